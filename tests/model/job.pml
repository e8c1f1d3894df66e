/* The jobs of one program: taking them, running them, dying over them, and the
 * workers' sleep (src/pool/take.c, src/pool/recover.c, src/cluster/perform.c,
 * src/cluster/work.c, src/job/submit.c, src/job/handle.c).
 *
 * Property.  Whoever of the workers may die, and at whatever step:
 *   - every job that was submitted ends, and ends once; also one whose function
 *     never returns, if it is cancelled;
 *   - it is run by one worker at a time, in the turn that its word says; after
 *     a death again while it has retries, and else it fails;
 *   - who is killed for a job has not ended it;
 *   - no worker needs the end of a time slice to find a job.
 *
 * Abstraction.  One program, one priority, a ring that does not run full.
 * Blocks have up to two jobs, of any share.  Time is anything: a block may
 * always be stalled, and a worker says that there are no jobs after one look or
 * more.  What a worker alone can see, or what it sees at any time by spinning,
 * is no step; that its count is 0 and that its block changes is one.  Entries
 * of blocks and rings are not torn: they are words.  The ring `ended` is not
 * here: the program sees the words.  The supervisor is told of a death, and of
 * a cancel, at any later time.  The event's word counts modulo 8.  As to futexes
 * and slices see barrier.pml; a worker that may still be killed is no deadlock
 * for spin, so lost wake-ups are looked for without deaths.
 *
 * Memory order.  The word of a job is one 64-bit word and decides alone: it
 * changes by compare-and-swap, but where only one may change it.  Pairs of words
 * are: tails and `queued` (stored, then `looking` and `sleeping` are looked at)
 * against those two (changed, then `queued` is looked at); `queued` (cleared)
 * against tails (looked at afterwards); the map `again` and the word (the word
 * is stored before the bit is set; the bit is cleared before the word is read);
 * the block and the head (the block is filled before the head moves).  All of
 * these are seq_cst in C.  Entries are relaxed: the supervisor reads those of
 * the dead only, and who steals from a block asks the word.
 *
 * Cases (run.sh): one worker with sleep; two without (SLEEP=0: who finds nothing
 * waits till a program says that it has jobs), over one job; two that take and
 * steal blocks; two that sleep: 27,000 to 2.5 million states.  Looked at once:
 * two workers, two jobs and a death, SLEEP=0 BLOCK=1 (7.8 million). */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef SUBMITTED
#define SUBMITTED 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef RETRIES
#define RETRIES 0
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef QUICK
#define QUICK 0
#endif
#ifndef SLEEP
#define SLEEP 1
#endif
#ifndef BLOCK
#define BLOCK 2
#endif
#define RING 4

/* A job's word is three variables, which change together. */
#define FREE 0
#define QUEUED 1
#define RUNNING 2
#define DOOMED 3
#define ENDED 4
#define NOBODY 255
byte turn[SLOTS], runner[SLOTS], phase[SLOTS];
byte tries[SLOTS];
bool cancel[SLOTS];

/* struct dsm__board. */
byte tail, head, ring[RING]; /* an entry is turn * SLOTS + slot */
bool again, map[SLOTS];
/* struct dsm__work. */
byte word, sleeping, sleep_epoch;
bool unsettled;
bool queued, looking[WORKERS];
/* struct dsm__worker_slot. */
byte count[WORKERS], block[WORKERS * 2];

bool asleep[WORKERS], killed[WORKERS], dead[WORKERS];
bool stopping;
byte deaths = DEATHS;
bool asked; /* a request to cancel lies with the supervisor, */
byte asked_entry; /* for this */

/* What is only there to be asserted. */
byte ends[SLOTS]; /* of this submission */
bool endless[SLOTS]; /* its function never returns */
bool died;

#define ENTRY(t, j) ((t) * SLOTS + (j))
#define SLOT(e) ((e) % SLOTS)
#define TURN(e) ((e) / SLOTS)

/* A step of a worker that others can see, before which it may be killed; of
 * the supervisor and the program, who are not. */
#define MORTAL                                                                 \
    d_step {                                                                   \
        me < WORKERS && (deaths > 0 || killed[me]) ->                          \
        deaths = (killed[me] -> deaths : deaths - 1);                          \
        killed[me] = false                                                     \
    }
#define S(step)                                                                \
    if                                                                         \
    :: MORTAL -> goto dies                                                     \
    :: step                                                                    \
    fi

/* futex.c: dsm__futex_wake; of those who sleep, any one. */
inline wake_one()
{
    if
    :: MORTAL -> goto dies
    :: d_step { asleep[0] -> asleep[0] = false; woken = 1 }
#if WORKERS > 1
    :: d_step { asleep[1] -> asleep[1] = false; woken = 1 }
    :: !asleep[0] && !asleep[1]
#else
    :: !asleep[0]
#endif
    fi
}

inline leave(n)
{
    S(d_step {
        if
        :: slept_in == sleep_epoch ->
           sleeping = (sleeping >= n -> sleeping - n : 0)
        :: else
        fi
    })
}

/* wait.c: dsm__signal, of one. */
inline signal()
{
    if
    :: MORTAL -> goto dies
    :: d_step { sleeping != 0 -> /* one load */
           slept_in = sleep_epoch;
           unsure = unsettled
       };
       S(word = (word + 1) % 8);
       wake_one();
       if
       :: woken > 0 && !unsure -> leave(woken)
       :: else
       fi;
       d_step { woken = 0; slept_in = 0; unsure = false }
    :: sleeping == 0
    fi
}

/* wait.c: dsm__event_reset. */
inline event_reset()
{
#if SLEEP
    d_step { /* forget */
        sleep_epoch = (sleep_epoch + 1) % 4;
        sleeping = 0;
        unsettled = true
    };
    word = (word + 1) % 8;
    d_step { /* FUTEX_WAKE, all */
        asleep[0] = false;
#if WORKERS > 1
        asleep[1] = false
#endif
    };
    unsettled = false
#else
    skip
#endif
}

#if WORKERS == 1
#define SOMEONE_LOOKS looking[0]
#define OTHERS_LOOK false
#else
#define SOMEONE_LOOKS (looking[0] || looking[1])
#define OTHERS_LOOK looking[1 - me]
#endif

/* take.c: dsm__queued_tell. */
inline queued_tell()
{
#ifdef BUG_TELLS_BEFORE
    skip;
#else
    S(queued = true); /* or it is so */
#endif
#if SLEEP
    if
    :: MORTAL -> goto dies
    :: !SOMEONE_LOOKS -> signal()
    :: SOMEONE_LOOKS
    fi
#endif
}

/* take.c: dsm__look. */
inline look(on)
{
#if SLEEP
    S(looking[me] = on)
#else
    skip
#endif
}

/* take.c: block_open, block_put, block_close with one entry. */
inline block_of_one(e)
{
    S(d_step { count[me] = 0; block[me * 2] = e });
    S(d_step { count[me] = 1; have = 1; next = 0 })
}

#define MOVE_HEAD                                                              \
    d_step {                                                                   \
        if                                                                     \
        :: head == at -> head = at + n; found = true                           \
        :: else -> at = head                                                   \
        fi                                                                     \
    }

/* take.c: take_from_ring. */
inline take_from_ring()
{
    S(at = head);
    do
    :: MORTAL -> goto dies
    :: at >= tail -> break
    :: at < tail -> /* block_size: any share */
       if
       :: n = 1
       :: d_step { BLOCK > 1 && tail - at > 1 -> n = 2 }
       fi;
       S(d_step {
           count[me] = 0;
           block[me * 2] = ring[at % RING];
           block[me * 2 + 1] = (n > 1 -> ring[(at + 1) % RING] : 0);
           next = 0;
           have = n
       });
#ifdef BUG_HEAD_FIRST
       S(MOVE_HEAD);
       if
       :: found -> S(count[me] = n)
       :: else -> have = 0
       fi;
#else
       S(count[me] = n);
       S(MOVE_HEAD);
#endif
       if
       :: found -> break
       :: else
       fi
    od;
    at = 0;
    n = 0
}

/* take.c: find_again, one look at the map. */
#define FIND                                                                   \
    (map[0] -> 0 : (map[SLOTS - 1] -> SLOTS - 1 : NOBODY))

/* take.c: take_again. */
inline take_again()
{
    if
    :: MORTAL -> goto dies
    :: !again
    :: again ->
       S(at = FIND);
       if
       :: at == NOBODY ->
          S(again = false);
          S(at = FIND);
          if
          :: at != NOBODY -> S(again = true)
          :: else
          fi
       :: else
       fi;
       if
       :: at != NOBODY ->
          S(n = ENTRY(turn[at], at));
          block_of_one(n);
          S(map[at] = false);
#ifndef BUG_AGAIN_ONCE
          S(n = ENTRY(turn[at], at));
          S(block[me * 2] = n);
#endif
          found = true
       :: else
       fi;
       at = 0;
       n = 0
    fi
}

inline take_from_board()
{
    take_again();
    if
    :: !found -> take_from_ring()
    :: else
    fi
}

/* take.c: take_from_program. */
inline take_from_program()
{
    if
    :: MORTAL -> goto dies
    :: !queued
    :: queued ->
       take_from_board();
       if
       :: found
#if SLEEP
       :: !found -> look(true) /* misses++ < MISSES */
#endif
       :: !found ->
          S(queued = false);
#ifndef BUG_NO_SECOND_LOOK
          take_from_board();
          if
          :: found -> S(queued = true)
          :: else
          fi
#endif
       fi
    fi
}

#define STEALABLE(e)                                                           \
    (e != 0 && turn[SLOT(e)] == TURN(e) && phase[SLOT(e)] == QUEUED)

/* take.c: take_from_worker. */
inline take_from_worker(who)
{
    S(n = count[who]);
    do
    :: n > 0 ->
       S(d_step { n--; at = block[(who) * 2 + n] });
       if
       :: MORTAL -> goto dies
       :: STEALABLE(at) ->
          block_of_one(at);
          found = true;
          break
       :: !STEALABLE(at)
       fi
    :: else -> break
    od;
    at = 0;
    n = 0
}

/* take.c: dsm__block_take: refill and share_work. */
inline block_take()
{
    next = 0;
    have = 0;
#if WORKERS > 1 && BLOCK > 1
    if
    :: MORTAL -> goto dies
    :: count[1 - me] == 2 -> take_from_worker(1 - me) /* take_stalled */
    :: true
    fi;
#endif
    if
    :: !found -> take_from_program()
    :: else
    fi;
#if WORKERS > 1
    if
    :: !found -> take_from_worker(1 - me)
    :: else
    fi;
#endif
    if
    :: found ->
#if SLEEP
#if !QUICK
       look(false);
#endif
       if
       :: MORTAL -> goto dies
       :: sleeping != 0 && queued ->
          if
          :: MORTAL -> goto dies
          :: !OTHERS_LOOK -> signal()
          :: OTHERS_LOOK
          fi
       :: !(sleeping != 0 && queued)
       fi
#else
       skip
#endif
    :: else
    fi
}

inline end_job(j)
{
    phase[j] = ENDED;
    ends[j]++;
    assert(ends[j] == 1)
}

#define HIS(p) (turn[j] == TURN(at) && phase[j] == p)

/* perform.c: perform_one and commit, of the next entry of the block. */
inline perform()
{
    at = block[me * 2 + next];
    next++;
    j = SLOT(at);
    if
    :: MORTAL -> goto dies
    :: d_step { HIS(QUEUED) -> phase[j] = RUNNING; runner[j] = me } /* claim */
       S(d_step { assert(runner[j] == me && turn[j] == TURN(at)); tries[j]++ });
       S(cancel[j] || !endless[j]); /* its function */
       S(d_step { /* commit */
#ifndef BUG_COMMITS_BLINDLY
           HIS(RUNNING) && runner[j] == me ->
#endif
           assert(!killed[me]); /* as the job was not to end */
           end_job(j)
       });
#if !QUICK
       look(false)
#endif
    :: !HIS(QUEUED)
    fi;
    j = 0;
    at = 0
}

/* work.c: has_work. */
#define HAS_WORK (queued || stopping)

/* work.c: dsm__worker_main, wait_for_work; perform.c: dsm__perform. */
proctype worker(byte me)
{
    byte next, have, at, n, j, seen, woken, slept_in;
    bool found, unsure;

start:
    do
    :: MORTAL -> goto dies
    :: stopping -> goto gone
    :: !stopping && queued ->
       do
       :: next < have -> perform()
       :: next >= have ->
          block_take();
          if
          :: !found -> break
          :: else -> found = false
          fi
       od
#if SLEEP
    :: !HAS_WORK ->
       look(false); /* sleep_for_work */
       S(seen = word);
       S(d_step { sleeping++; slept_in = sleep_epoch });
       if
       :: MORTAL -> goto dies
#ifndef BUG_NO_RECHECK
       :: HAS_WORK
       :: !HAS_WORK ->
#else
       :: true ->
#endif
          S(d_step { /* FUTEX_WAIT */
              asleep[me] = (word == seen);
              woken = asleep[me]
          });
          if
          :: MORTAL -> goto dies
          :: !asleep[me]
          :: timeout -> /* a slice has ended */
             d_step { assert(false); asleep[me] = false; woken = 0 }
          fi
       fi;
       if
       :: !woken -> leave(1)
       :: else
       fi;
       d_step { woken = 0; seen = 0; slept_in = 0 };
       if
       :: MORTAL -> goto dies
       :: HAS_WORK
       :: !HAS_WORK -> /* dsm__queued_check */
          if
          :: MORTAL -> goto dies
          :: again || head < tail -> queued_tell()
          :: !(again || head < tail)
          fi
       fi
#endif
    od;
dies:
    skip;
    d_step {
        died = true;
        asleep[me] = false;
        next = 0; have = 0; at = 0; n = 0; j = 0; seen = 0; woken = 0;
        slept_in = 0;
        found = false;
        unsure = false;
        dead[me] = true
    }
    if
    :: !dead[me] -> goto start /* its replacement */
    :: stopping
    fi;
gone:
    skip
}

/* recover.c: queue_again. */
inline queue_again(j)
{
    map[j] = true;
    again = true;
    queued_tell()
}

/* recover.c: bury_entry and end_try, of entry k of a dead worker's block. */
inline bury_entry(k)
{
    d_step {
        j = SLOT(block[w * 2 + k]);
        old_turn = turn[j];
        old_phase = phase[j];
        mine = runner[j] == w
    }
    if
    :: (old_phase == RUNNING || old_phase == DOOMED) && mine ->
       if
       :: old_phase == RUNNING && !cancel[j] && tries[j] <= RETRIES ->
          d_step { turn[j] = old_turn + 1; phase[j] = QUEUED; runner[j] = 0 }
          queue_again(j)
       :: else -> d_step { end_job(j) }
       fi
#ifndef BUG_BURIES_ONE
    :: old_phase == QUEUED -> queue_again(j)
#endif
    :: else
    fi;
    d_step { j = 0; old_turn = 0; old_phase = 0; mine = false }
}

/* nursery.c: bury; recover.c: dsm__pool_bury; errands.c: dsm__errands_cancel,
 * carry_out. */
proctype supervisor()
{
    byte w, n, j, old_turn, old_phase, woken, slept_in, me = WORKERS;
    bool mine, unsure;

    do
    :: d_step { dead[0] -> w = 0 } goto bury
#if WORKERS > 1
    :: d_step { dead[1] -> w = 1 } goto bury
#endif
    :: asked ->
       asked = false;
       d_step { /* dsm__job_doom: one compare-and-swap; and the kill */
           j = SLOT(asked_entry);
           if
           :: turn[j] == TURN(asked_entry) && phase[j] == RUNNING ->
              phase[j] = DOOMED;
              killed[runner[j]] = !dead[runner[j]]
           :: else
           fi;
           j = 0
       }
    :: stopping -> break
bury:
       n = count[w];
       looking[w] = false;
       if
       :: n > 0 -> bury_entry(0)
       :: else
       fi;
       if
       :: n > 1 -> bury_entry(1)
       :: else
       fi;
       count[w] = 0;
       again = true; /* look_again */
       queued_tell();
       event_reset();
       d_step { n = 0; dead[w] = false; w = 0 }
    od;
dies:
    skip
}

/* submit.c: push, show. */
inline submit(s)
{
    if
    :: d_step { phase[s] == ENDED || phase[s] == FREE ->
           ends[s] = 0;
           cancel[s] = false;
           tries[s] = 0;
           endless[s] = CANCELS && done == 0;
           phase[s] = FREE
       }
    fi;
    d_step { turn[s]++; phase[s] = QUEUED; runner[s] = 0 }
    ring[tail % RING] = ENTRY(turn[s], s);
#ifdef BUG_TELLS_BEFORE
    queued = true;
#endif
    tail++;
    queued_tell();
    done++
}

/* handle.c: dsm_job_cancel, of the first one. */
inline cancel_job(s)
{
    cancel[s] = true;
    d_step {
        if
        :: phase[s] == QUEUED -> end_job(s); runner[s] = NOBODY
        :: else
        fi
    }
    d_step {
        if
        :: phase[s] == RUNNING ->
           asked = true;
           asked_entry = ENTRY(turn[s], s)
        :: else
        fi
    }
}

proctype program()
{
    byte done, s, woken, slept_in, me = WORKERS;
    bool unsure;

    do
    :: done < SUBMITTED ->
       s = done % SLOTS;
       submit(s)
#if CANCELS
    :: done == 1 && endless[0] && !cancel[0] -> cancel_job(0)
#endif
    :: done == SUBMITTED -> break
    od;
#if CANCELS
    if
    :: endless[0] && !cancel[0] -> cancel_job(0)
    :: else
    fi;
#endif
    s = 0;
    do
    :: s < SLOTS -> phase[s] == ENDED; assert(ends[s] == 1); s++
    :: else -> break
    od;
    stopping = true; /* dsm__watch_stop */
    event_reset();
dies:
    skip
}

init {
    byte k;

    atomic {
        do
        :: k < WORKERS -> run worker(k); k++
        :: else -> break
        od;
        run supervisor();
        run program();
        k = 0
    }
}
