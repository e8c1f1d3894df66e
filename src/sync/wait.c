/* The part of waiting that gives the CPU away; see wait.h. */
#include "sync/wait.h"

#include "base/clock.h"
#include "base/error.h"
#include "os/futex.h"
#include "registry/mutex.h"

#include <errno.h>
#include <sched.h>

void
dsm__wait_tune(struct dsm__control *control, unsigned processes)
{
    bool fits = processes <= dsm__cpu_count();

    control->spins = fits ? 1000 : 200;
    control->yields = fits ? 0 : 100;
}

/* Yields until the word changes.  A turn of others that only wait as well takes
 * some microseconds; if one takes longer somebody computes, perhaps a stranger.
 * Then each further turn would cost a slice of the scheduler's, where a sleeper
 * is woken at once, so that for a while this process does not yield at all. */
static bool
yield(const struct dsm__control *control, _Atomic uint32_t *word, uint32_t seen)
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
        if (atomic_load_explicit(word, memory_order_acquire) != seen)
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
    if (control->yields && yield(control, word, seen))
        return 0;
    return dsm__sleep(control, word, seen, sleeping, deadline);
}

/* One sleeper less, unless it was forgotten meanwhile (dsm__wake_all). */
static void
leave(_Atomic uint32_t *sleeping)
{
    uint32_t n = atomic_load_explicit(sleeping, memory_order_relaxed);

    while (n && !atomic_compare_exchange_weak_explicit(sleeping, &n, n - 1,
                                                       memory_order_relaxed,
                                                       memory_order_relaxed))
        ;
}

int
dsm__sleep(const struct dsm__control *control, _Atomic uint32_t *word,
           uint32_t seen, _Atomic uint32_t *sleeping, int64_t deadline)
{
    int64_t now;

    if (dsm__supervisor_dead(control))
        return DSM_ESTALE;
    now = dsm__now();
    if (now >= deadline)
        return -ETIMEDOUT;
    /* Pairs with dsm__wake. */
    atomic_fetch_add_explicit(sleeping, 1, memory_order_seq_cst);
    if (atomic_load_explicit(word, memory_order_seq_cst) == seen)
        dsm__futex_wait(word, seen,
                        deadline - now < DSM__SLICE_NS ? deadline - now
                                                       : DSM__SLICE_NS);
    leave(sleeping);
    return 0;
}

int
dsm__wake_all(_Atomic uint32_t *word, _Atomic uint32_t *sleeping)
{
    /* Whoever lives and sleeps on counts itself again. */
    atomic_store_explicit(sleeping, 0, memory_order_seq_cst);
    return dsm__futex_wake(word);
}
