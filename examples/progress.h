/* A board on which the workers of an iteration tell how far they are, for an
 * observer and for each other.
 *
 * Everything that is written while others look is a relaxed atomic: each value
 * stands alone, and whoever concludes something from them checks it.
 */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <dsm.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One worker's place, in a cache line of its own. */
typedef struct progress {
    _Alignas(64) _Atomic uint64_t sweeps;
    _Atomic double residual; /* of its part, as its last sweep met it */
    _Atomic bool converged;  /* in its own eyes */
    /* Seconds spent, to be read when the region has ended. */
    double compute, check, sync;
    double clock;
} progress;

/* All workers' together. */
typedef struct progress_view {
    uint64_t slowest, fastest;
    double residual; /* the 2-norm over the workers */
    bool converged;  /* all of them */
} progress_view;

/* Whether the residual still falls. */
typedef struct progress_trend {
    bool begun;
    double lowest;
    uint64_t first, fell; /* sweeps at the first look, and at the lowest */
} progress_trend;

/* A board for the cluster's workers, with nothing told yet: no sweeps, and a
 * residual of 1. */
DSM_CHECKED int progress_create(progress **board, dsm_cluster *cluster);

/* While no worker runs: forgets the residuals, not the sweeps and times. */
void progress_reset(progress *board, dsm_cluster *cluster);

uint64_t progress_sweeps(const progress *me);
void progress_tell(progress *me, uint64_t sweeps, double residual,
                   bool converged);
/* Adds the time since the last call to *spent, one of the worker's own; NULL
 * only starts the clock. */
void progress_clock(progress *me, double *spent);

progress_view progress_look(progress *board, unsigned workers);

/* Whether the residual has fallen by less than a tenth for longer, in sweeps,
 * than it fell before.  Given every view of a region; *trend is zero at first.
 */
bool progress_stalls(progress_trend *trend, const progress_view *seen);

/* For workers that iterate without waiting for each other: keeps `me` from
 * working long on what nobody renews.  Call it now and then; *busy is zero at
 * first. */
void progress_keep_pace(progress *board, unsigned workers, const progress *me,
                        unsigned *busy);

#endif
