/* The ends of regions; see outcome.h. */
#include "cluster/outcome.h"

#include "base/point.h"
#include "pool/ended.h"
#include "pool/take.h"
#include "sync/barrier.h"
#include "sync/gate.h"
#include "sync/queue.h"
#include "sync/wait.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
dsm__outcome_clear(struct dsm__worker_slot *slot)
{
    struct dsm__outcome *outcome = &slot->outcome;

    /* The text counts for nothing without an order. */
    atomic_store_explicit(&outcome->order, 0, memory_order_relaxed);
    atomic_store_explicit(&outcome->value, 0, memory_order_relaxed);
    atomic_store_explicit(&outcome->signal, 0, memory_order_relaxed);
    atomic_store_explicit(&outcome->exit_code, 0, memory_order_relaxed);
    atomic_store_explicit(&outcome->dead_pid, 0, memory_order_relaxed);
}

void
dsm__outcome_fail(struct dsm__control *control, struct dsm__worker_slot *slot,
                  int code, const char *format, ...)
{
    struct dsm__outcome *outcome = &slot->outcome;
    va_list arguments;

    if (atomic_load_explicit(&outcome->order, memory_order_acquire))
        return;
    outcome->code = code;
    va_start(arguments, format);
    vsnprintf(outcome->message, sizeof outcome->message, format, arguments);
    va_end(arguments);
    /* Last: a part that has an order has the rest too. */
    atomic_store_explicit(&outcome->order,
                          atomic_fetch_add(&control->region.failures, 1) + 1,
                          memory_order_release);
}

/* Wakes who waits for a prefix (prim/relay.h).  The bit is set behind
 * `interrupt`, so that whoever is about to sleep on the word without it does
 * not. */
static void
break_relays(struct dsm__control *control)
{
    for (unsigned w = 0; w < control->workers; w++) {
        struct dsm__event *relay = &dsm__worker_slot(control, w)->relay;

        atomic_fetch_or_explicit(&relay->word, DSM__RELAY_BROKEN,
                                 memory_order_seq_cst);
        dsm__wake(&relay->word, &relay->sleeping);
    }
}

void
dsm__region_interrupt(struct dsm__control *control, uint32_t region,
                      uint32_t reason)
{
    if (region != dsm__region_now(control) || !dsm__region_active(control))
        return;
    atomic_fetch_or(&control->region.reason, reason);
    atomic_store(&control->region.interrupt, region);
    dsm__gate_break(&control->region.gate);
    dsm__barriers_break(control);
    dsm__queues_wake(control);
    break_relays(control);
}

/* The bits that word w has when all parts have ended. */
static uint64_t
mask_of(const struct dsm__control *control, unsigned w)
{
    unsigned bits = control->workers - w * 64;

    return bits >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << bits) - 1;
}

static unsigned
words_of(const struct dsm__control *control)
{
    return (control->workers + 63) / 64;
}

static void
region_done(struct dsm__control *control, uint32_t region)
{
    struct dsm__event *done = &control->region.done;

    /* Release: the parts' results; seq_cst: see dsm__wake. */
    atomic_store_explicit(&done->word, region, memory_order_seq_cst);
    DSM__POINT("region.done");
    dsm__wake(&done->word, &done->sleeping);
    /* Jobs have waited for it, and perhaps the controller's event loop. */
    if (dsm__queued_any(control))
        dsm__queued_tell(control, DSM__PROGRAMS_MAX);
    if (dsm__board_exists(control, 0))
        dsm__board_ring(control, 0);
}

void
dsm__part_end(struct dsm__control *control, unsigned worker, uint32_t region)
{
    struct dsm__region *r = &control->region;
    unsigned w = worker / 64, words = words_of(control), parity = region & 1;
    uint64_t bit = UINT64_C(1) << worker % 64, full;

    full = bit | atomic_fetch_or_explicit(&r->ended[w][parity], bit,
                                          memory_order_acq_rel);
    DSM__POINT("part.ended");
    if (full != mask_of(control, w))
        return;
    if (words > 1) {
        bit = UINT64_C(1) << w;
        full = bit | atomic_fetch_or_explicit(&r->full[parity], bit,
                                              memory_order_acq_rel);
        if (full != (UINT64_C(1) << words) - 1)
            return;
    }
    region_done(control, region);
}

bool
dsm__part_ended(const struct dsm__control *control, unsigned worker,
                uint32_t region)
{
    return atomic_load_explicit(&control->region.ended[worker / 64][region & 1],
                                memory_order_acquire) >>
               worker % 64 &
           1;
}

bool
dsm__any_part_ended(const struct dsm__control *control)
{
    unsigned parity = dsm__region_now(control) & 1;

    for (unsigned w = 0; w < words_of(control); w++)
        if (atomic_load_explicit(&control->region.ended[w][parity],
                                 memory_order_acquire))
            return true;
    return false;
}

void
dsm__parts_reset(struct dsm__control *control, uint32_t region)
{
    struct dsm__region *r = &control->region;

    for (unsigned w = 0; w < words_of(control); w++)
        atomic_store_explicit(&r->ended[w][region & 1], 0,
                              memory_order_relaxed);
    atomic_store_explicit(&r->full[region & 1], 0, memory_order_relaxed);
}

int
dsm__first_failure(const struct dsm__control *control)
{
    uint32_t first = UINT32_MAX;
    int worker = -1;

    for (unsigned w = 0; w < control->workers; w++) {
        uint32_t order = dsm__worker_slot(control, w)->outcome.order;

        if (order && order < first) {
            first = order;
            worker = (int)w;
        }
    }
    return worker;
}
