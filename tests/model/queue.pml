/* The bounded queue (src/sync/queue.c).
 *
 * Property.  Whoever may die, and at whatever step:
 *   - a message that was pushed is popped once, in order, and whole; with one
 *     who dies goes at most the message that it was pushing or had popped;
 *   - nobody waits for ever while there is room or a message, nor when the
 *     queue is closed or the region interrupted: the dead are in nobody's way;
 *   - nobody needs the end of a time slice, but after a death (its holder may
 *     have died after its message counted and before it woke somebody).
 *
 * Abstraction.  The robust mutex has an owner, who loses it by dying: the next
 * to lock it gets EOWNERDEAD, makes it consistent, and goes on as if nothing
 * had happened, as dsm__mutex_lock's callers do here.  Waiting for the mutex is
 * the C library's affair.  A message is copied in two steps, in between it is
 * TORN.  head and tail do not run over.  Of events event.pml shows that who
 * sleeps is woken; so here one falls asleep, unless it may go on, in one step,
 * and wakes all who sleep in another.  As to slices see barrier.pml.
 *
 * Memory order.  All but the sleepers' part is under the mutex.  `tail` (or
 * `head`) is stored, then it is looked whether somebody sleeps; who is about to
 * sleep is counted, then looks at `tail`: all seq_cst in C (attempt, dsm__signal,
 * sleep_unless, may_go_on).
 *
 * Cases (run.sh), each with one place in the queue: nobody dies (two pushers of
 * two messages, two poppers; 235,000 states); one dies and the queue is closed in
 * the end (397,000); one dies and the region is interrupted (249,000). */

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
bool closed;
byte ring[CAPACITY];
byte owner = NOBODY; /* of the mutex */

bool asleep[PROCESSES]; /* pushers on the event `room`, poppers on `message` */
bool dead[PROCESSES];
byte deaths = DEATHS;

/* What is only there to be asserted. */
bool died, interrupted;
byte pushed[MESSAGES], popped[MESSAGES];
byte pushing = PUSHERS; /* who push on */

/* wait.h: dsm__signal, INT_MAX; dsm__event_reset. */
inline wake(first, end)
{
    d_step {
        k = first;
        do
        :: k < end -> asleep[k] = false; k++
        :: else -> break
        od;
        k = 0
    }
}

#define WAKE_PUSHERS wake(POPPERS, PROCESSES)
#define WAKE_POPPERS wake(0, POPPERS)

/* registry/mutex.h: dsm__mutex_lock. */
#define LOCK d_step { owner == NOBODY -> owner = me }
#define UNLOCK owner = NOBODY

/* wait.c: dsm__sleep_until, unless may_go_on: `theirs` is what it waits for a
 * change of. */
inline sleep(theirs)
{
#ifdef BUG_SEEN_LATE
    seen = theirs;
#endif
    d_step {
        if
        :: theirs == seen && !closed && !interrupted -> asleep[me] = true
        :: else
        fi
    }
    if
    :: !asleep[me]
    :: timeout -> /* a slice has ended */
       d_step {
           assert(died);
           asleep[me] = false
       }
    fi;
    seen = 0
}

/* queue.c: dsm_queue_push: transfer, locked_attempt, attempt. */
proctype pusher(byte me; byte first)
{
    byte n, seen, k;

    {
        do
        :: n < EACH && !interrupted ->
           LOCK;
           if
           :: closed -> UNLOCK; break /* -EPIPE */
           :: !closed && tail == head + CAPACITY ->
              seen = head;
              UNLOCK;
              sleep(head)
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
              WAKE_POPPERS
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
              sleep(tail)
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
              WAKE_PUSHERS
           fi
        :: else -> break
        od
    } unless { dead[me] }
}

#ifdef CLOSER
/* queue.c: dsm_queue_close, and dsm__queues_wake. */
proctype closer()
{
    byte k;

#ifdef BUG_WAKES_FIRST
    WAKE_POPPERS;
#endif
    if
#ifdef CLOSES
    :: pushing == 0 -> closed = true
#endif
#ifdef INTERRUPTS
    :: interrupted = true
#endif
    fi;
    WAKE_PUSHERS;
#ifndef BUG_WAKES_FIRST
    WAKE_POPPERS
#endif
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
