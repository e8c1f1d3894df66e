/* The gate (src/sync/gate.c) that breaks when a party dies, leaves or is given
 * up, as a region's workers use it (src/cluster).
 *
 * Property.  Whoever may die, and at whatever step:
 *   - nobody waits for ever: every party's wait ends, every region ends;
 *   - nobody passes a round before all parties have arrived in it, and of a
 *     round all who live pass it or none does;
 *   - DSM_EBROKEN comes only if in this region one died or left, and DSM_ESTALE
 *     only if the supervisor died: so a gate that was mended is whole.
 *   - Nobody needs the end of a time slice to be woken, but in two cases, where
 *     dsm__sleep looks at what no word tells: a party left a region in which
 *     others wait (`hopeless`), and the supervisor died.
 *
 * Abstraction.  The word of a gate is four variables that change in one step, as
 * in C they do by one instruction.  A futex is a flag for each sleeper: the
 * kernel compares the word and queues in one step.  A sleeper that is killed is
 * taken off the queue by the kernel; its count in `sleeping` stays.  Looks that
 * only spin are left out: each is as the first one at another time.  A slice
 * ends only when nothing else can happen (timeout), so that a wake-up that was
 * lost shows.  The controller's wait for the region's end is no futex here; that
 * wait is of the same kind.  Counters do not run over.
 *
 * Memory order.  Spin is sequentially consistent.  All that decides is in the
 * gate's word, which changes by read-modify-write only, so that there is one
 * order of its values anyhow; acq_rel on it carries what parties wrote.  The one
 * pair of two words is the word and `sleeping`: a sleeper adds to `sleeping` and
 * then looks at the word, a waker changes the word and then looks at `sleeping`;
 * these four are seq_cst in C (sleep_unless, dsm__wake, let_through).
 * dsm__gate_break needs no such pair, as it wakes in any case.
 *
 * Cases (run.sh): two workers, two regions of two rounds, a death (322,000
 * states); the supervisor's death, too (1.1 million); one leaves too early; three
 * workers, one round (3.0 million).  Three workers, two rounds, one region were
 * looked at once (11.5 million).  PROCESSES above PARTIES, a named barrier with
 * more who come than it waits for, takes too long for all of its states. */

#ifndef PARTIES
#define PARTIES 3
#endif
#ifndef PROCESSES
#define PROCESSES PARTIES
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef REGIONS
#define REGIONS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SUPERVISOR_DEATHS
#define SUPERVISOR_DEATHS 0
#endif
#ifndef LEAVES
#define LEAVES 0
#endif

#define REGION_GATE (PROCESSES == PARTIES) /* else a named barrier's */

/* struct dsm__gate. */
byte generation, mends, count, sleeping, sleep_epoch;
bool broken;
bool asleep[PROCESSES]; /* in the kernel, on the upper half of the word */

/* struct dsm__region. */
byte epoch, done, ended[2]; /* two maps, by parity */
bool interrupted;
byte began[PROCESSES];
bool stopping;

/* Who was killed takes no further step; who is dead can be waited for, till the
 * supervisor forks a replacement. */
bool killed[PROCESSES], dead[PROCESSES];
bool supervisor_dead;
byte deaths = DEATHS, leaves = LEAVES;

/* What is only there to be asserted, all of this region. */
bool lost, left_early;       /* one died; one left */
byte arrived[PROCESSES];     /* arrivals of each */
byte arrivals, through;      /* all arrivals, and all that passed */
bool passed[ROUNDS + 1], failed[ROUNDS + 1]; /* somebody passed the round */

#define ALL ((1 << PROCESSES) - 1)

inline wake_sleepers() /* FUTEX_WAKE, INT_MAX */
{
    d_step {
        k = 0;
        do
        :: k < PROCESSES -> asleep[k] = false; k++
        :: else -> break
        od;
        k = 0;
    }
}

/* wait.c: dsm__sleepers_forget. */
inline forget_sleepers()
{
    d_step {
        sleep_epoch = (sleep_epoch + 1) % 4;
        sleeping = 0
    }
}

/* gate.c: dsm__gate_break. */
inline gate_break()
{
    forget_sleepers();
#ifndef BUG_BREAK_WAKES_FIRST
    broken = true;
#endif
    wake_sleepers();
#ifdef BUG_BREAK_WAKES_FIRST
    broken = true;
#endif
}

/* wait.h: dsm__wake. */
inline wake()
{
    if
    :: sleeping != 0 -> wake_sleepers()
    :: else
    fi
}

/* gate.c: dsm__gate_mend, even_whole; one compare-and-swap that succeeds. */
inline gate_mend()
{
    d_step {
        generation++;
        broken = false;
        count = 0;
        mends++;
    }
    wake_sleepers();
}

/* outcome.c: dsm__region_interrupt, for the region under way. */
inline region_interrupt()
{
    interrupted = true;
    gate_break();
}

/* outcome.c: dsm__part_end and region_done. */
inline part_end(who, region)
{
    d_step {
        ended[(region) & 1] = ended[(region) & 1] | (1 << (who));
        all_ended = ended[(region) & 1] == ALL;
    }
    if
    :: all_ended -> done = region; all_ended = false
    :: else
    fi
}

/* gate.c: over(), of the word as it is at one moment. */
#define OVER (mends != then_mends || generation > then_generation || broken)
#define OVER_RESULT                                                            \
    (mends != then_mends                  -> DSM_EBROKEN :                     \
     (generation > then_generation        -> PASSED : DSM_EBROKEN))

#define PASSED 0
#define LAST 1
#define DSM_EBROKEN 2
#define DSM_ESTALE 3
#define NO_RESULT 4

/* gate.c: wait_long, with wait.c: dsm__sleep and sleep_unless in it. */
inline wait_long()
{
    do
    :: d_step { /* while (!over(now = load(gate), ...)) */
           if
           :: OVER -> result = OVER_RESULT
           :: else -> seen_generation = generation; seen_broken = broken
           fi
       }
       if
       :: result != NO_RESULT -> break
       :: else
       fi;
       /* hopeless(): work.c, dsm__any_part_ended; then over() again. */
       if
       :: REGION_GATE && ended[epoch & 1] != 0 ->
          d_step {
              if
              :: OVER -> result = OVER_RESULT
              :: else
              fi
          }
          if
          :: result != NO_RESULT -> break
          :: else
          fi;
          gate_break()
       :: else ->
          if
          :: supervisor_dead -> result = DSM_ESTALE; break
          :: else
          fi;
          d_step { sleeping++; slept_in = sleep_epoch }; /* sleep_unless */
          /* changed(), and FUTEX_WAIT, which compares once more: the first look
           * only spares the call. */
          d_step {
              if
#ifdef BUG_NO_COMPARE
              :: true -> asleep[me] = true
#else
              :: generation == seen_generation && broken == seen_broken ->
                 asleep[me] = true
#endif
              :: else
              fi
          }
          if
          :: !asleep[me]
          :: timeout -> /* a slice has ended */
             atomic {
                 assert(left_early || supervisor_dead);
                 asleep[me] = false
             }
          fi;
          d_step { /* leave */
              if
              :: sleeping > 0 && slept_in == sleep_epoch -> sleeping--
              :: else
              fi;
              slept_in = 0
          }
       fi
    od
}

/* gate.c: dsm__gate_wait, let_through, refused. */
inline gate_wait()
{
    result = NO_RESULT;
    d_step { /* atomic_fetch_add */
        then_generation = generation;
        then_mends = mends;
        then_count = count;
        then_broken = broken;
        count++;
        arrived[me]++;
        arrivals++;
    }
    if
    :: then_broken -> result = DSM_EBROKEN
    :: !then_broken && (then_count + 1) % PARTIES == 0 ->
       d_step { /* the compare-and-swap of let_through */
           if
#ifndef BUG_LETS_BROKEN_THROUGH
           :: broken || mends != then_mends -> result = DSM_EBROKEN
#endif
           :: else ->
              generation++;
              count = count - PARTIES;
              result = LAST
           fi
       }
       if
       :: result == LAST -> wake()
       :: else
       fi
    :: !then_broken && (then_count + 1) % PARTIES != 0 ->
       then_generation = then_generation + then_count / PARTIES;
       wait_long()
    fi
}

inline check_result()
{
    d_step {
        if
        :: result == PASSED || result == LAST ->
           through++;
           assert(through <= arrivals / PARTIES * PARTIES);
#if REGION_GATE
           k = 0;
           do
           :: k < PARTIES -> assert(arrived[k] >= round); k++
           :: else -> break
           od;
           k = 0;
           passed[round] = true;
           assert(!failed[round])
#endif
        :: result == DSM_EBROKEN ->
           assert(lost || left_early);
#if REGION_GATE
           failed[round] = true;
           assert(!passed[round])
#endif
        :: result == DSM_ESTALE -> assert(supervisor_dead)
        fi;
        then_generation = 0; then_mends = 0; then_count = 0;
        seen_generation = 0; then_broken = false; seen_broken = false
    }
}

/* work.c: dsm__worker_main: one part of a region after the other. */
proctype worker(byte me)
{
    byte result, round, k, mine, slept_in;
    byte then_generation, then_mends, then_count, seen_generation;
    bool then_broken, seen_broken, all_ended;

start:
    {
        do
        :: d_step { epoch != began[me] && !stopping ->
               began[me] = epoch; /* dsm__part_run */
               mine = epoch;
               round = 0;
               k = 0;
               all_ended = false
           }
           do
           :: round < ROUNDS ->
              if
              :: d_step { leaves > 0 ->
                     leaves--;
                     left_early = true }
                 break
              :: true ->
                 round++;
                 gate_wait();
                 check_result();
                 if
                 :: result == DSM_ESTALE -> goto gone
                 :: result == DSM_EBROKEN ->
                    if /* worker.c: dsm_worker_barrier */
                    :: REGION_GATE && !interrupted -> region_interrupt()
                    :: else
                    fi;
                    break
                 :: else
                 fi
              fi
           :: else -> break
           od;
           /* judge(): a look at the gate, dsm__gate_waited_at. */
           if
           :: REGION_GATE && count != 0 && !broken -> region_interrupt()
           :: else
           fi;
           part_end(me, mine)
        :: stopping -> goto gone
        :: supervisor_dead && epoch == began[me] -> goto gone
        od
    } unless {
        d_step { killed[me] ->
            killed[me] = false;
            dead[me] = true;
            k = 0; result = 0; round = 0; mine = 0; all_ended = false;
            slept_in = 0; then_generation = 0; then_mends = 0; then_count = 0;
            seen_generation = 0; then_broken = false; seen_broken = false;
        }
        if
        :: !dead[me] -> goto start /* its replacement */
        :: supervisor_dead || stopping
        fi
    };
gone:
    skip
}

/* nursery.c: bury and end_part. */
proctype supervisor()
{
    byte k, w, region;
    bool all_ended, runs;

    {
        do
        :: d_step { dead[0] -> w = 0 } goto bury
        :: d_step { dead[1] -> w = 1 } goto bury
#if PROCESSES > 2
        :: d_step { dead[2] -> w = 2 } goto bury
#endif
#if PROCESSES > 3
        :: d_step { dead[3] -> w = 3 } goto bury
#endif
        :: stopping -> goto gone
bury:
#ifdef BUG_REGION_FIRST
           region = epoch;
           runs = epoch != done;
#else
           /* In this order: a region may begin just now, which it had no part
            * in. */
           runs = epoch != done;
           region = epoch;
#endif
           if
           :: runs && began[w] == region ->
              if
              :: (ended[region & 1] & (1 << w)) == 0 ->
#ifndef BUG_NO_BREAK
                 region_interrupt();
#endif
                 part_end(w, region)
              :: else -> part_end(w, region)
              fi
           :: else
           fi;
           dead[w] = false /* dsm__workers_start */
        od
    } unless { supervisor_dead };
gone:
    skip
}

/* region.c: start, await, collect and mend. */
proctype controller()
{
    byte k;

    do
    :: epoch < REGIONS ->
       d_step {
           ended[(epoch + 1) & 1] = 0; /* dsm__parts_reset */
           lost = false;
           left_early = false;
           k = 0;
           do
           :: k < PROCESSES -> arrived[k] = 0; k++
           :: else -> break
           od;
           k = 0;
           do
           :: k <= ROUNDS -> passed[k] = false; failed[k] = false; k++
           :: else -> break
           od;
           k = 0;
           arrivals = 0;
           through = 0
       }
       epoch++;
       if
       :: done == epoch
       :: supervisor_dead -> break
       fi;
       if
       :: interrupted || count != 0 || broken ->
          interrupted = false;
          gate_mend()
       :: else
       fi
    :: else -> break
    od;
    stopping = true
}

/* SIGKILL, at any moment: the kernel takes a sleeper off the queue of a futex,
 * marks the supervisor's mutex `alive`, and tells the supervisor of the rest. */
inline kill(who)
{
    d_step { deaths > 0 && !killed[who] && !dead[who] ->
        deaths--;
        killed[who] = true;
        asleep[who] = false;
        lost = true
    }
}

proctype killer()
{
    do
    :: kill(0)
    :: kill(1)
#if PROCESSES > 2
    :: kill(2)
#endif
#if PROCESSES > 3
    :: kill(3)
#endif
#if SUPERVISOR_DEATHS
    :: !supervisor_dead -> supervisor_dead = true
#endif
    :: break
    od
}

init {
    byte k;

    atomic {
        do
        :: k < PROCESSES -> run worker(k); k++
        :: else -> break
        od;
        run supervisor();
        run controller();
        run killer()
    }
}
