/* The bounded queue (src/sync/queue.c).
 *
 * Property.  Whoever may die, and at whatever step:
 *   - a message that was pushed is popped once, in order, and whole; with one
 *     who dies goes at most the message that it was pushing or had popped;
 *   - nobody waits for ever while there is room or a message, nor when the
 *     queue is closed or the region interrupted: the dead are in nobody's way;
 *   - nobody needs the end of a time slice, but after a death (its holder may
 *     have died after its message counted and before it woke somebody), and
 *     when the queue is closed or a region interrupted (which change no word
 *     that a sleeper sleeps on: one who was just about to sleep finds out at
 *     the end of its slice).
 *
 * Abstraction.  The robust mutex has an owner, who loses it by dying: the next
 * to lock it gets EOWNERDEAD, makes it consistent, and goes on as if nothing
 * had happened, as dsm__mutex_lock's callers do here.  Waiting for the mutex is
 * the C library's affair.  A message is copied in two steps, in between it is
 * TORN.  head and tail are the lower halves; they do not run over.  As to
 * futexes and slices see barrier.pml.
 *
 * Memory order.  All but the sleepers' part is under the mutex.  There the pairs
 * are: `tail` (or `head`) is stored, then `sleeping` is looked at; `sleeping`
 * is added to, then the word is looked at (and compared by the kernel): all
 * seq_cst in C (attempt, dsm__wake, sleep_unless).
 *
 * Cases (run.sh), each with one place in the queue: nobody dies (two pushers of
 * two messages, two poppers; 553,000 states); one dies and the queue is closed in
 * the end (883,000); one dies and the region is interrupted (846,000). */

#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef POPPERS
#define POPPERS 2
#endif
#ifndef EACH
#define EACH 2 /* messages that a pusher pushes */
#endif
#ifndef CAPACITY
#define CAPACITY 1
#endif
#ifndef DEATHS
#define DEATHS 0
#endif

/* Without an end that is told, poppers know how many there are. */
#if defined CLOSES || defined INTERRUPTS
#define CLOSER
#define QUOTA 1
#define quota() skip
#else
#define QUOTA (PUSHERS * EACH / POPPERS)
#define quota() n++
#endif

#define PROCESSES (PUSHERS + POPPERS)
#define MESSAGES (PUSHERS * EACH)
#define NOBODY 255
#define TORN 255

/* struct dsm_queue. */
byte head, tail;
byte pusher_sleeping, popper_sleeping;
bool closed;
byte ring[CAPACITY];
byte owner = NOBODY; /* of the mutex */

bool asleep[PROCESSES]; /* pushers on head's lower half, poppers on tail's */
bool dead[PROCESSES];
byte deaths = DEATHS;

/* What is only there to be asserted. */
bool died, interrupted;
byte pushed[MESSAGES], popped[MESSAGES];
byte pushing = PUSHERS; /* who push on */

inline wake_pushers()
{
    d_step {
        k = PROCESSES;
        do
        :: k > POPPERS -> k--; asleep[k] = false
        :: else -> break
        od;
        k = 0
    }
}

inline wake_poppers()
{
    d_step {
        k = POPPERS;
        do
        :: k > 0 -> k--; asleep[k] = false
        :: else -> break
        od;
        k = 0
    }
}

/* registry/mutex.h: dsm__mutex_lock. */
#define LOCK d_step { owner == NOBODY -> owner = me }
#define UNLOCK owner = NOBODY

/* wait.c: sleep_unless, not counted; `word` is what it waits for a change of. */
inline sleep(word, sleeping)
{
#ifdef BUG_COUNTS_LATE
    d_step {
        if
        :: word == seen -> asleep[me] = true
        :: else
        fi
    }
    sleeping++;
#else
    sleeping++;
#ifdef BUG_SEEN_LATE
    seen = word;
#endif
    d_step { /* changed(), and FUTEX_WAIT, which compares once more */
        if
        :: word == seen -> asleep[me] = true
        :: else
        fi
    }
#endif
    if
    :: !asleep[me]
    :: timeout -> /* a slice has ended */
       d_step {
           assert(died || closed || interrupted);
           asleep[me] = false
       }
    fi;
    d_step { /* leave */
        if
        :: sleeping > 0 -> sleeping--
        :: else
        fi;
        seen = 0
    }
}

/* queue.c: dsm_queue_push: transfer, locked_attempt, attempt. */
proctype pusher(byte me; byte first)
{
    byte n, seen, k;
    bool waits;

    {
        do
        :: n < EACH && !interrupted ->
           LOCK;
           if
           :: closed -> UNLOCK; break /* -EPIPE */
           :: !closed && tail == head + CAPACITY ->
              seen = head;
              UNLOCK;
              sleep(head, pusher_sleeping)
           :: !closed && tail != head + CAPACITY ->
#ifdef BUG_COUNTS_FIRST
              tail++;
              ring[(tail - 1) % CAPACITY] = TORN;
              ring[(tail - 1) % CAPACITY] = first + n;
              d_step {
                  pushed[first + n]++;
                  n++
              }
#else
              ring[tail % CAPACITY] = TORN;
              ring[tail % CAPACITY] = first + n;
              d_step {
                  tail++;
                  pushed[first + n]++;
                  n++
              }
#endif
              UNLOCK;
              if /* wait.h: dsm__wake */
              :: popper_sleeping != 0 -> wake_poppers()
              :: else
              fi
           fi
        :: else -> break
        od;
        pushing--
    } unless {
        d_step { dead[me] && n <= EACH ->
            pushing--;
            n = EACH + 1
        }
    }
}

/* queue.c: dsm_queue_pop, the same the other way round. */
proctype popper(byte me)
{
    byte message, seen, k, n;

    {
        do
        :: n < QUOTA && !interrupted ->
           LOCK;
           if
           :: tail == head && closed -> UNLOCK; break /* -EPIPE */
           :: tail == head && !closed ->
              seen = tail;
              UNLOCK;
              sleep(tail, popper_sleeping)
           :: tail != head ->
              message = ring[head % CAPACITY]; /* copied in two steps */
              assert(message == ring[head % CAPACITY] && message != TORN);
              d_step {
                  head++;
                  popped[message]++;
                  assert(popped[message] == 1 && pushed[message] == 1);
                  assert(message % EACH == 0 || popped[message - 1] == 1);
                  message = 0;
                  quota()
              }
              UNLOCK;
              if
              :: pusher_sleeping != 0 -> wake_pushers()
              :: else
              fi
           fi
        :: else -> break
        od
    } unless { dead[me] }
}

#ifdef CLOSER
/* queue.c: dsm_queue_close, and dsm__queues_wake: wait.c: dsm__wake_all. */
proctype closer()
{
    byte k;

    if
#ifdef CLOSES
    :: pushing == 0 -> closed = true
#endif
#ifdef INTERRUPTS
    :: interrupted = true
#endif
    fi;
    pusher_sleeping = 0;
    wake_pushers();
    popper_sleeping = 0;
    wake_poppers()
}
#endif

/* The kernel takes the dead off the queues of futexes, and the mutex from them.
 */
inline kill(who)
{
    d_step { deaths > 0 && !dead[who] ->
        deaths--;
        dead[who] = true;
        died = true;
        asleep[who] = false;
        if
        :: owner == who -> owner = NOBODY
        :: else
        fi
    }
}

proctype killer()
{
    do
    :: kill(0)
    :: kill(PROCESSES - 1)
    :: break
    od
}

init {
    byte k;

    atomic {
        do
        :: k < POPPERS -> run popper(k); k++
        :: k >= POPPERS && k < PROCESSES ->
           run pusher(k, (k - POPPERS) * EACH);
           k++
        :: else -> break
        od;
#ifdef CLOSER
        run closer();
#endif
#if DEATHS
        run killer()
#endif
        k = 0
    }
    _nr_pr == 1;
    d_step {
        do
        :: k < MESSAGES ->
           assert(interrupted || popped[k] == pushed[k]);
           assert(died || interrupted || pushed[k] == 1);
           k++
        :: else -> break
        od
    }
}
