/* The part of waiting that gives the CPU away; see wait.h. */
#include "sync/wait.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "os/futex.h"
#include "registry/mutex.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>

void
dsm__wait_tune(struct dsm__control *control, unsigned processes)
{
    bool fits = processes <= dsm__cpu_count();

    control->spins = fits ? DSM__TURNS_MAX : 200;
    control->yields = fits ? 0 : 100;
}

/* Whether a word has changed, as something to wait for. */
struct change {
    const _Atomic uint32_t *word;
    uint32_t seen;
};

static bool
changed(const void *context)
{
    const struct change *change = context;

    return atomic_load_explicit(change->word, memory_order_seq_cst) !=
           change->seen;
}

/* Yields until `ready`.  A turn of others that only wait as well takes some
 * microseconds; if one takes longer somebody computes, perhaps a stranger.
 * Then each further turn would cost a slice of the scheduler's, where a sleeper
 * is woken at once, so that for a while this process does not yield at all. */
static bool
yield(const struct dsm__control *control, bool (*ready)(const void *),
      const void *context)
{
    enum { LONG_NS = 50000, WAITS_WITHOUT = 100 };
    static _Atomic uint32_t without;
    uint32_t left = atomic_load_explicit(&without, memory_order_relaxed);
    int64_t before = dsm__now(), after;

    if (left) {
        atomic_store_explicit(&without, left - 1, memory_order_relaxed);
        return false;
    }
    for (uint32_t k = control->yields; k > 0; k--) {
        sched_yield();
        if (ready(context))
            return true;
        after = dsm__now();
        if (after - before > LONG_NS) {
            atomic_store_explicit(&without, WAITS_WITHOUT,
                                  memory_order_relaxed);
            return false;
        }
        before = after;
    }
    return false;
}

int
dsm__wait_slow(const struct dsm__control *control, _Atomic uint32_t *word,
               uint32_t seen, _Atomic uint32_t *sleeping, int64_t deadline)
{
    struct change change = {word, seen};

    if (control->yields && yield(control, changed, &change))
        return 0;
    return dsm__sleep(control, word, seen, sleeping, deadline);
}

static bool
same_epoch(uint32_t sleeping, uint32_t then)
{
    return sleeping / DSM__SLEEP_EPOCH == then / DSM__SLEEP_EPOCH;
}

/* So many sleepers less, of those that were counted in the epoch of `then`.
 * When it is over they were forgotten, and the others are not theirs to take
 * off. */
static void
leave(_Atomic uint32_t *sleeping, uint32_t then, uint32_t less)
{
    uint32_t now = atomic_load_explicit(sleeping, memory_order_relaxed), n;

    do {
        n = now & DSM__SLEEPERS;
        if (n == 0 || !same_epoch(now, then))
            return;
    } while (!atomic_compare_exchange_weak_explicit(
        sleeping, &now, now - (less < n ? less : n), memory_order_relaxed,
        memory_order_relaxed));
}

/* Begins an epoch, with nobody counted; seq_cst: before the word changes. */
static uint32_t
forget(_Atomic uint32_t *sleeping, uint32_t flag)
{
    uint32_t now = atomic_load_explicit(sleeping, memory_order_relaxed), next;

    do
        next = (now / DSM__SLEEP_EPOCH + 1) * DSM__SLEEP_EPOCH + flag;
    while (!atomic_compare_exchange_weak_explicit(
        sleeping, &now, next, memory_order_seq_cst, memory_order_relaxed));
    return next;
}

void
dsm__sleepers_forget(_Atomic uint32_t *sleeping)
{
    forget(sleeping, 0);
}

/* Sleeps on the word, which was `seen`, unless `ready`.  `counted`: who wakes
 * sleepers takes those whom he woke off their number. */
static int
sleep_unless(const struct dsm__control *control, _Atomic uint32_t *word,
             uint32_t seen, _Atomic uint32_t *sleeping, int64_t deadline,
             bool (*ready)(const void *), const void *context, bool counted)
{
    bool woken = false;
    uint32_t then;
    int64_t now;

    if (dsm__supervisor_dead(control))
        return DSM_ESTALE;
    now = dsm__now();
    if (now >= deadline)
        return -ETIMEDOUT;
    /* Pairs with dsm__wake and dsm__signal. */
    then = atomic_fetch_add_explicit(sleeping, 1, memory_order_seq_cst);
    if (!ready(context))
        woken = dsm__futex_wait(word, seen,
                                deadline - now < DSM__SLICE_NS ? deadline - now
                                                               : DSM__SLICE_NS);
    if (!woken || !counted)
        leave(sleeping, then, 1);
    return 0;
}

int
dsm__sleep(const struct dsm__control *control, _Atomic uint32_t *word,
           uint32_t seen, _Atomic uint32_t *sleeping, int64_t deadline)
{
    struct change change = {word, seen};

    return sleep_unless(control, word, seen, sleeping, deadline, changed,
                        &change, false);
}

bool
dsm__spin_until(const struct dsm__control *control,
                bool (*ready)(const void *context), const void *context,
                uint32_t spins)
{
    for (uint32_t k = spins; k > 0; k--) {
        if (ready(context))
            return true;
        dsm__pause();
    }
    return control->yields && yield(control, ready, context);
}

bool
dsm__spin_politely(const struct dsm__control *control,
                   bool (*ready)(const void *), const void *context,
                   uint32_t spins)
{
    enum { TURN = 20 };

    for (uint32_t k = 0; k < spins; k += TURN) {
        for (uint32_t j = 0; j < TURN; j++) {
            if (ready(context))
                return true;
            dsm__pause();
        }
        sched_yield();
    }
    return control->yields && yield(control, ready, context);
}

int
dsm__sleep_until(const struct dsm__control *control, struct dsm__event *event,
                 bool (*ready)(const void *context), const void *context,
                 int64_t deadline)
{
    uint32_t seen = atomic_load_explicit(&event->word, memory_order_acquire);

    return sleep_unless(control, &event->word, seen, &event->sleeping, deadline,
                        ready, context, true);
}

/* Who was woken is no sleeper any more, though it may take a while until it
 * runs: nobody need pay for waking it again. */
void
dsm__signal_slow(struct dsm__event *event, int most, uint32_t sleeping)
{
    int woken;

    atomic_fetch_add_explicit(&event->word, 1, memory_order_release);
    woken = most == 1 ? dsm__futex_wake_one(&event->word)
                      : dsm__futex_wake(&event->word, most);
    DSM__POINT("wait.woken");
    /* Unsettled: it may have been one of an epoch before. */
    if (woken > 0 && !(sleeping & DSM__SLEEP_UNSETTLED))
        leave(&event->sleeping, sleeping, (uint32_t)woken);
}

/* First the epoch: whoever is counted in the one before has then read the word
 * before it changes, and is either woken here or does not fall asleep. */
int
dsm__event_reset(struct dsm__event *event)
{
    uint32_t then = forget(&event->sleeping, DSM__SLEEP_UNSETTLED), now;
    int woken;

    atomic_fetch_add_explicit(&event->word, 1, memory_order_seq_cst);
    woken = dsm__futex_wake(&event->word, INT_MAX);
    now = atomic_load_explicit(&event->sleeping, memory_order_relaxed);
    while (same_epoch(now, then) &&
           !atomic_compare_exchange_weak_explicit(
               &event->sleeping, &now, now & ~DSM__SLEEP_UNSETTLED,
               memory_order_release, memory_order_relaxed))
        ;
    return woken;
}
