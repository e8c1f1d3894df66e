/* How the workers' parts of a region end, and with it the region.
 *
 * Every part ends with its bit in the map of the region: set by the worker, or
 * by the supervisor for a dead one.  Setting a bit is idempotent, so that it
 * does not matter how far a worker had come when it died.  Whoever sets the
 * last one marks the region done.  The first failure, by the order that a
 * counter gave them, is what the region returns. */
#ifndef DSM_CLUSTER_OUTCOME_H
#define DSM_CLUSTER_OUTCOME_H

#include "registry/control.h"

#include <dsm/error.h>

/* The region that began last. */
static inline uint32_t
dsm__region_now(const struct dsm__control *control)
{
    return atomic_load_explicit(&control->region.epoch, memory_order_acquire);
}

/* Forgets how worker's last part ended. */
void dsm__outcome_clear(struct dsm__worker_slot *slot);

/* What a function comes to that returned something else than 0: it may only
 * have handed on that the supervisor is gone. */
static inline int
dsm__code_of_return(const struct dsm__control *control, int value)
{
    return value == DSM_ESTALE && dsm__supervisor_dead(control) ? DSM_ESTALE
                                                                : DSM_EFAILED;
}

/* Notes a failure of a worker's part; the first one for a part stays. */
void dsm__outcome_fail(struct dsm__control *control,
                       struct dsm__worker_slot *slot, int code,
                       const char *format, ...) DSM_PRINTF(4, 5);

/* Tells all in the region that it is to end: `reason` is DSM__LOST or
 * DSM__CANCELLED.  Breaks barriers, wakes queues; takes no lock.  The caller
 * sees to it that the region is not collected meanwhile: it has a part in it
 * that has not ended, or holds the lock under which regions are collected. */
void dsm__region_interrupt(struct dsm__control *control, uint32_t region,
                           uint32_t reason);

/* Ends a worker's part. */
void dsm__part_end(struct dsm__control *control, unsigned worker,
                   uint32_t region);

/* Whether it has ended. */
bool dsm__part_ended(const struct dsm__control *control, unsigned worker,
                     uint32_t region);

/* Whether any worker's part of the region under way has ended: then its gate
 * can never open again. */
bool dsm__any_part_ended(const struct dsm__control *control);

/* Before a region starts: no part of it has ended. */
void dsm__parts_reset(struct dsm__control *control, uint32_t region);

/* The worker whose failure is the region's; -1: all is well. */
int dsm__first_failure(const struct dsm__control *control);

#endif
