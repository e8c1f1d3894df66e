/* The jobs of one program: taking them, running them, dying over them, and the
 * workers' sleep (src/pool/take.c, src/pool/recover.c, src/cluster/perform.c,
 * src/cluster/work.c, src/job/submit.c, src/job/handle.c).
 *
 * Property.  Whoever of the workers may die, and at whatever step:
 *   - every job that was submitted ends, and ends once; also one whose function
 *     never returns, if it is cancelled;
 *   - it is run by one worker at a time, in the turn that its word says; with
 *     retries again after a death, without them it fails;
 *   - no worker sleeps while a job is queued that nobody else will take: none
 *     needs the end of a time slice.
 *
 * Abstraction.  One program, one priority; slots are used again, with the next
 * turn.  The ring `ended` is in ended.pml: here the program just sees the words.
 * Blocks have up to two jobs, of any share.  A worker's time is anything: a
 * block may always be stalled, a worker always quick or never (QUICK), and it
 * says that there are no jobs after one look or more.  A worker does not spin:
 * looks that only spin are as the first one at another time.  The supervisor is
 * told of a death by waitpid, and of a cancel by a request, at any later time.
 * As to futexes see barrier.pml; the slice's end here is none at all.
 *
 * Memory order.  The word of a job is one 64-bit word, and decides alone: it
 * changes by compare-and-swap, but where only its owner may change it.  Pairs of
 * words are: tails and `queued` (stored, then `looking` and `sleeping` are
 * looked at) against `looking` and `sleeping` (changed, then `queued` is looked
 * at); the bit in `again` and the word (the word is stored first, the bit is
 * cleared before the word is read); block_count and heads (the block is filled
 * before the head moves).  All of them are seq_cst in C.  Entries of rings and
 * blocks are relaxed: the supervisor reads them of a dead worker only, and who
 * steals from a block checks the word.
 *
 * Cases (run.sh): "cancel", "death", "retry". */

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
byte word, sleeping;
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

#define ENTRY(t, j) ((t) * SLOTS + (j))
#define SLOT(e) ((e) % SLOTS)
#define TURN(e) ((e) / SLOTS)

/* futex.c: dsm__futex_wake; of those who sleep, any one. */
inline wake_one()
{
    atomic {
        woken = 0;
        if
        :: asleep[0] -> asleep[0] = false; woken = 1
#if WORKERS > 1
        :: asleep[1] -> asleep[1] = false; woken = 1
#endif
#if WORKERS > 2
        :: asleep[2] -> asleep[2] = false; woken = 1
#endif
        :: else
        fi
    }
}

inline wake_all()
{
    d_step {
        asleep[0] = false;
#if WORKERS > 1
        asleep[1] = false;
#endif
#if WORKERS > 2
        asleep[2] = false;
#endif
    }
}

inline leave(n)
{
    d_step {
        if
        :: sleeping >= n -> sleeping = sleeping - n
        :: else -> sleeping = 0
        fi
    }
}

/* wait.c: dsm__signal, of one. */
inline signal()
{
    if
    :: sleeping != 0 ->
       word++;
       wake_one();
       if
       :: woken > 0 -> leave(woken)
       :: else
       fi;
       woken = 0
    :: else
    fi
}

/* wait.c: dsm__event_reset. */
inline event_reset()
{
#ifdef BUG_RESET_FORGETS
    word++;
    sleeping = 0;
    wake_all();
#else
    sleeping = 0;
    word++;
    wake_all();
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
    if
    :: !queued -> queued = true
    :: else
    fi;
#endif
    if
    :: !SOMEONE_LOOKS -> signal()
    :: else
    fi
}

/* take.c: dsm__look. */
inline look(on)
{
    if
    :: looking[me] != on -> looking[me] = on
    :: else
    fi
}

/* take.c: block_open, block_put, block_close with one entry. */
inline block_of_one(e)
{
    d_step { count[me] = 0; block[me * 2] = e }
    d_step { count[me] = 1; have = 1; next = 0 }
}

/* take.c: take_from_ring. */
inline take_from_ring()
{
    at = head;
    do
    :: at >= tail -> break
    :: else ->
       if /* block_size: any share */
       :: n = 1
       :: d_step { BLOCK > 1 && tail - at > 1 -> n = 2 }
       fi;
       d_step {
           count[me] = 0;
           block[me * 2] = ring[at % RING];
           block[me * 2 + 1] = (n > 1 -> ring[(at + 1) % RING] : 0);
           next = 0;
           have = n
       }
#ifdef BUG_HEAD_FIRST
       d_step {
           if
           :: head == at -> head = at + n; found = true
           :: else -> at = head
           fi
       }
       if
       :: found -> count[me] = n
       :: else -> have = 0
       fi;
#else
       count[me] = n;
       d_step {
           if
           :: head == at -> head = at + n; found = true
           :: else -> at = head
           fi
       }
#endif
       if
       :: found -> break
       :: else
       fi
    od;
    atomic { at = 0; n = 0 }
}

/* take.c: find_again, one look at the map. */
#define FIND                                                                   \
    (map[0] -> 0 : (map[SLOTS - 1] -> SLOTS - 1 : NOBODY))

/* take.c: take_again. */
inline take_again()
{
    if
    :: again ->
       at = FIND;
       if
       :: at == NOBODY ->
          again = false;
          at = FIND;
          if
          :: at != NOBODY -> again = true
          :: else
          fi
       :: else
       fi;
       if
       :: at != NOBODY ->
          n = ENTRY(turn[at], at);
          block_of_one(n);
          map[at] = false;
#ifndef BUG_AGAIN_ONCE
          n = ENTRY(turn[at], at);
          block[me * 2] = n;
#endif
          found = true
       :: else
       fi;
       d_step { at = 0; n = 0 }
    :: else
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
    :: queued ->
       take_from_board();
       if
       :: found
       :: !found -> look(true) /* misses++ < MISSES */
       :: !found ->
          queued = false;
#ifndef BUG_NO_SECOND_LOOK
          take_from_board();
          if
          :: found -> queued = true
          :: else
          fi
#endif
       fi
    :: else
    fi
}

/* take.c: take_from_worker. */
inline take_from_worker(who)
{
    n = count[who];
    do
    :: d_step { n > 0 -> n--; at = block[(who) * 2 + n] }
       if
       :: at != 0 && turn[SLOT(at)] == TURN(at) && phase[SLOT(at)] == QUEUED ->
          block_of_one(at);
          found = true;
          break
       :: else
       fi
    :: else -> break
    od;
    atomic { at = 0; n = 0 }
}

/* take.c: dsm__block_take: refill and share_work. */
inline block_take()
{
    d_step { next = 0; have = 0; found = false }
#if WORKERS > 1
    if
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
#if !QUICK
       look(false);
#endif
       if
       :: sleeping != 0 && queued ->
          if
          :: !OTHERS_LOOK -> signal()
          :: else
          fi
       :: else
       fi
    :: else
    fi
}

inline end_job(j)
{
    phase[j] = ENDED;
    ends[j]++;
    assert(ends[j] == 1)
}

/* perform.c: perform_one and commit, of entry e. */
inline perform(e)
{
    d_step { /* take.c: claim */
        at = e;
        next++;
        j = SLOT(at);
        claimed = turn[j] == TURN(at) && phase[j] == QUEUED;
        if
        :: claimed -> phase[j] = RUNNING; runner[j] = me
        :: else
        fi
    }
    if
    :: claimed ->
       d_step {
           assert(turn[j] == TURN(at) && runner[j] == me);
           tries[j]++
       }
       cancel[j] || !endless[j]; /* its function */
#ifdef BUG_COMMITS_BLINDLY
       d_step { end_job(j) }
#else
       d_step {
           claimed = turn[j] == TURN(at) && phase[j] == RUNNING &&
                     runner[j] == me;
           if
           :: claimed -> end_job(j)
           :: else
           fi
       }
       claimed; /* else: for (;;) pause() */
#endif
#if !QUICK
       look(false);
#endif
       skip
    :: else
    fi;
    d_step { j = 0; at = 0; claimed = false }
}

/* work.c: has_work. */
#define HAS_WORK (next < have || queued || stopping)

/* work.c: dsm__worker_main, wait_for_work; perform.c: dsm__perform. */
proctype worker(byte me)
{
    byte next, have, at, n, j, seen, woken;
    bool found, claimed;

start:
    {
        do
        :: stopping -> goto gone
        :: !stopping && HAS_WORK ->
           do
           :: next < have ->
              perform(block[me * 2 + next])
           :: next >= have ->
              block_take();
              if
              :: !found -> break
              :: else -> found = false
              fi
           od
        :: !HAS_WORK ->
           if /* spin_for_work */
           :: look(true)
           :: true
           fi;
           look(false); /* sleep_for_work */
           seen = word;
           sleeping++;
#ifdef BUG_NO_RECHECK
           if
           :: true ->
#else
           if
           :: HAS_WORK
           :: !HAS_WORK ->
#endif
              d_step { /* FUTEX_WAIT */
                  if
                  :: word == seen -> asleep[me] = true
                  :: else
                  fi;
                  woken = asleep[me]
              }
              !asleep[me]
           fi;
           if
           :: !woken -> leave(1)
           :: else
           fi;
           d_step { woken = 0; seen = 0 }
           if
           :: !HAS_WORK -> /* dsm__queued_check */
              if
              :: again || head < tail -> queued_tell()
              :: else
              fi
           :: else
           fi
        od
    } unless {
        d_step { killed[me] ->
            killed[me] = false;
            dead[me] = true;
            next = 0; have = 0; at = 0; n = 0; j = 0; seen = 0; woken = 0;
            found = false; claimed = false
        }
        if
        :: !dead[me] -> goto start /* its replacement */
        :: stopping
        fi
    };
gone:
    skip
}

/* recover.c: queue_again. */
inline queue_again(j)
{
#ifdef BUG_BIT_BEFORE
    again = true;
    map[j] = true;
#else
    map[j] = true;
    again = true;
#endif
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
    byte w, n, j, old_turn, old_phase, woken;
    bool mine;

    do
    :: d_step { dead[0] -> w = 0 } goto bury
#if WORKERS > 1
    :: d_step { dead[1] -> w = 1 } goto bury
#endif
    :: asked ->
       asked = false;
       d_step { /* dsm__job_doom: one compare-and-swap */
           j = SLOT(asked_entry);
           if
           :: turn[j] == TURN(asked_entry) && phase[j] == RUNNING ->
              phase[j] = DOOMED;
              killed[runner[j]] = !dead[runner[j]];
              asleep[runner[j]] = false
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
#ifndef BUG_NO_LOOK_AGAIN
       again = true; /* look_again */
       queued_tell();
#endif
       event_reset();
       d_step { n = 0; dead[w] = false; w = 0 }
    od
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
        fi;
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
    byte done, s, woken;

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
    event_reset()
}

proctype killer()
{
    do
    :: d_step { deaths > 0 && !killed[0] && !dead[0] ->
           deaths--; killed[0] = true; asleep[0] = false }
#if WORKERS > 1
    :: d_step { deaths > 0 && !killed[1] && !dead[1] ->
           deaths--; killed[1] = true; asleep[1] = false }
#endif
    :: break
    od
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
        run killer();
        k = 0
    }
}
