/* Sleeping and being woken (src/sync/wait.c), while those who were killed asleep
 * are forgotten.
 *
 * There are two kinds.  An event (dsm__sleep_until, dsm__signal) is slept on for
 * what no word tells, here that there are `things` to take or that it is closed;
 * who wakes somebody takes him off the count.  With -DWORD it is a word of its
 * own meaning (dsm__sleep, dsm__wake), whose changes are waited for; there each
 * takes himself off.
 *
 * Property.  Whoever may die, at whatever step, and whenever sleepers are
 * forgotten:
 *   - nobody sleeps on while there is something to take, it is closed, or the
 *     word is another than he saw;
 *   - when nobody dies and nobody is forgotten, as many are counted as sleep: so
 *     nobody pays for a call that wakes nobody.
 *
 * Abstraction.  A slice never ends, so that a wake-up that was lost shows for
 * ever (`watcher`).  The halves of `sleeping` are variables that change in one
 * step, as in C they do by one instruction; neither runs over.  As to futexes see
 * barrier.pml; which of several sleepers the kernel wakes is left open.  Who
 * forgets does not die: after a worker's death another forgets again, and with
 * the supervisor all ends.  After a death comes the supervisor's reset.
 *
 * Memory order.  The pairs are: a change and `sleeping`, which is read behind it,
 * against `sleeping`, which is added to, and the look behind that: all seq_cst
 * in C.  The word is read before `sleeping` is added to (acquire), and changes
 * after sleepers were forgotten (seq_cst).
 *
 * Cases (run.sh), each of two sleepers and one who wakes: nobody dies; sleepers
 * are forgotten once, at any time (1.9 million states); one dies (808,000);
 * two forget at the same time (9.0 million); the other kind, and one dies
 * (590,000). */

#ifndef SLEEPERS
#define SLEEPERS 2
#endif
#ifndef WAKERS
#define WAKERS 1
#endif
#ifndef CHANGES
#define CHANGES 1 /* by each waker: a thing more, or another word */
#endif
#ifndef RESETS
#define RESETS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef RESET_CLOSES
#define RESET_CLOSES 0
#endif
#define PROCESSES (SLEEPERS + WAKERS)

/* struct dsm__event. */
byte word;
byte epoch, count; /* of `sleeping` */
bool unsettled;

byte things;
bool closed;

bool asleep[SLEEPERS], dead[PROCESSES];
byte seen[SLEEPERS];
byte deaths = DEATHS, resets = RESETS, to_bury;

#if SLEEPERS == 1
#define NOBODY_SLEEPS (!asleep[0])
#else
#define NOBODY_SLEEPS (!asleep[0] && !asleep[1])
#endif

#ifdef WORD
#define READY (word != seen[me])
#else
#define READY (things > 0 || closed)
#endif

/* wait.c: leave: less in its own epoch. */
inline leave(own, n)
{
    d_step {
        if
#ifdef BUG_NO_EPOCH
        :: true ->
#else
        :: own == epoch ->
#endif
           count = (count > n -> count - n : 0)
        :: else
        fi
    }
}

/* FUTEX_WAKE of one, whichever, or of all; `n` were woken. */
inline wake(one, n)
{
    if
    :: d_step { one && asleep[0] -> asleep[0] = false; n = 1 }
#if SLEEPERS > 1
    :: d_step { one && asleep[1] -> asleep[1] = false; n = 1 }
#endif
    :: d_step { !one || NOBODY_SLEEPS ->
           n = 0;
           k = 0;
           do
           :: k < SLEEPERS ->
              n = n + asleep[k];
              asleep[k] = false;
              k++
           :: else -> break
           od;
           k = 0
       }
    fi
}

/* wait.c: dsm__sleep_until, or dsm__sleep; sleep_unless. */
proctype sleeper(byte me)
{
    byte own;
    bool woken;

    {
        do
#ifndef WORD
        :: d_step { things > 0 -> things-- }
        :: closed && things == 0 -> break
        :: things == 0 && !closed ->
#else
        :: true ->
#endif
           seen[me] = word;
#ifdef BUG_LOOKS_FIRST
           if
           :: READY -> goto again
           :: else
           fi;
#endif
           d_step { count++; own = epoch };
           if
#ifndef BUG_LOOKS_FIRST
           :: READY
           :: !READY ->
#else
           :: true ->
#endif
              d_step { /* FUTEX_WAIT */
                  asleep[me] = (word == seen[me]);
                  woken = asleep[me]
              };
end:
              !asleep[me]
           fi;
#ifdef WORD
           leave(own, 1);
#else
           if
           :: !woken -> leave(own, 1)
           :: else
           fi;
#endif
           d_step { woken = 0; own = 0 };
#ifdef BUG_LOOKS_FIRST
again:     skip
#endif
        od
    } unless {
        d_step { dead[me] -> seen[me] = 0; own = 0; woken = 0 }
    }
}

/* Whoever makes something so, and wakes. */
proctype waker(byte me)
{
    byte n, k, woken, own, left;
    bool was_unsettled;

    {
        do
#ifdef WORD
        :: n < CHANGES ->
           d_step { word++; n++ };
           if /* wait.h: dsm__wake */
           :: count != 0 -> wake(false, woken)
           :: else
           fi;
           woken = 0
#else
        :: n < CHANGES + CLOSES ->
           d_step {
               n++;
               if
               :: n <= CHANGES -> things++
               :: else -> closed = true
               fi
           };
           d_step { /* wait.h: dsm__signal: one load */
               left = count;
               own = epoch;
               was_unsettled = unsettled
           };
           if
           :: left != 0 -> /* wait.c: dsm__signal_slow */
              word++;
              wake(n <= CHANGES, woken);
              if
              :: woken > 0 && !was_unsettled -> leave(own, woken)
              :: else
              fi
           :: else
           fi;
           d_step { woken = 0; own = 0; left = 0; was_unsettled = false }
#endif
        :: else -> break
        od;
        n = 0
    } unless {
        d_step { dead[me] ->
            n = 0; k = 0; woken = 0; own = 0; left = 0; was_unsettled = false
        }
    }
}

/* wait.c: dsm__event_reset; with -DWORD gate.c: dsm__gate_break. */
inline reset()
{
#ifdef BUG_CHANGES_FIRST
    word++;
#endif
    d_step { /* forget */
        epoch++;
        count = 0;
        own = epoch;
#if !defined WORD && !defined BUG_SETTLED
        unsettled = true
#endif
    };
#if !defined BUG_CHANGES_FIRST && !defined BUG_CHANGES_NOTHING
    word++;
#endif
    wake(false, woken);
    d_step { /* settle */
        if
        :: own == epoch -> unsettled = false
        :: else
        fi;
        own = 0;
        woken = 0
    }
}

proctype supervisor()
{
    byte k, own, woken;

    do
    :: d_step { to_bury > 0 -> to_bury-- }
       reset()
    :: d_step { resets > 0 -> resets-- } /* another's death */
       reset()
    :: to_bury == 0 && deaths == 0 && resets == 0 -> break
    od
}

#if RESET_CLOSES
/* queue.c: dsm_queue_close. */
proctype closer()
{
    byte k, own, woken;

    closed = true;
    reset()
}
#endif

/* The kernel takes the dead off the queue. */
inline kill(who)
{
    d_step { deaths > 0 && !dead[who] ->
        deaths--;
        dead[who] = true;
        to_bury++;
        if
        :: who < SLEEPERS -> asleep[who] = false
        :: else
        fi
    }
}

proctype killer()
{
    do
    :: kill(0)
    :: kill(PROCESSES - 1)
    :: deaths == 0 -> break
    od
}

/* Nothing can happen any more. */
proctype watcher()
{
    byte k, sleep;

    timeout;
    d_step {
        do
        :: k < SLEEPERS ->
           sleep = sleep + asleep[k];
#ifdef WORD
           assert(!asleep[k] || seen[k] == word);
#else
           assert(!asleep[k] || (things == 0 && !closed));
#endif
           k++
        :: else -> break
        od
#if !DEATHS && !RESETS && !RESET_CLOSES
        ;
        assert(count == sleep)
#endif
    }
}

init {
    byte k;

    atomic {
        do
        :: k < SLEEPERS -> run sleeper(k); k++
        :: k >= SLEEPERS && k < PROCESSES -> run waker(k); k++
        :: else -> break
        od;
        run supervisor();
#if RESET_CLOSES
        run closer();
#endif
#if DEATHS
        run killer();
#endif
        run watcher()
    }
}
