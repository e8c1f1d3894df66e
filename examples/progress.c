#include "progress.h"
#include "support.h"

#include <math.h>
#include <sched.h>

int
progress_create(progress **board, dsm_cluster *cluster)
{
    dsm_array *array;
    int status = dsm_array_create(&array, cluster, "progress",
                                  DSM_STRUCT(sizeof **board),
                                  DSM_SHAPE(dsm_cluster_workers(cluster)));

    if (status < 0)
        return status;
    *board = dsm_array_data(array);
    progress_reset(*board, cluster);
    return 0;
}

void
progress_reset(progress *board, dsm_cluster *cluster)
{
    unsigned workers = dsm_cluster_workers(cluster);

    for (progress *p = board; p < board + workers; p++)
        progress_tell(p, progress_sweeps(p), 1 / sqrt(workers), false);
}

uint64_t
progress_sweeps(const progress *me)
{
    return atomic_load_explicit(&me->sweeps, memory_order_relaxed);
}

void
progress_tell(progress *me, uint64_t sweeps, double residual, bool converged)
{
    atomic_store_explicit(&me->residual, residual, memory_order_relaxed);
    atomic_store_explicit(&me->converged, converged, memory_order_relaxed);
    atomic_store_explicit(&me->sweeps, sweeps, memory_order_relaxed);
}

void
progress_clock(progress *me, double *spent)
{
    double now = seconds_now();

    if (spent)
        *spent += now - me->clock;
    me->clock = now;
}

progress_view
progress_look(progress *board, unsigned workers)
{
    progress_view v = {.slowest = UINT64_MAX, .converged = true};

    for (progress *p = board; p < board + workers; p++) {
        uint64_t n = progress_sweeps(p);
        double r = atomic_load_explicit(&p->residual, memory_order_relaxed);

        v.slowest = n < v.slowest ? n : v.slowest;
        v.fastest = n > v.fastest ? n : v.fastest;
        v.residual = hypot(v.residual, r);
        if (!atomic_load_explicit(&p->converged, memory_order_relaxed))
            v.converged = false;
    }
    return v;
}

bool
progress_stalls(progress_trend *trend, const progress_view *seen)
{
    enum { PATIENCE = 10000 }; /* sweeps that are nothing yet */

    if (!trend->begun)
        trend->first = seen->slowest;
    if (!trend->begun || seen->residual < 0.9 * trend->lowest) {
        trend->lowest = seen->residual;
        trend->fell = seen->slowest;
    }
    trend->begun = true;
    return seen->slowest - trend->fell > trend->fell - trend->first + PATIENCE;
}

/* Workers that share a CPU hand it on after every call.  When that lets a
 * stranger have it for a whole scheduler slice (a few ms), they stop doing so
 * for a while; a sleep, of some 60 us, costs no turn, but too much to be the
 * rule.  Measured on 2 CPUs, 662_bus to 1e-8: with 2 and 4 workers 0.6 and 1.0
 * s, and 2 and 8 s beside two other busy processes; without any pacing 4
 * workers take more than 30 s, and beside others it does not end. */
void
progress_keep_pace(progress *board, unsigned workers, const progress *me,
                   unsigned *busy)
{
    enum { FAR_AHEAD = 20, CALLS_WITHOUT_YIELD = 1000 };
    double began;

    if (workers == 1)
        return;
    if (progress_sweeps(me) >
        progress_look(board, workers).slowest + FAR_AHEAD) {
        sleep_seconds(1e-6);
    } else if (*busy > 0) {
        --*busy;
    } else {
        began = seconds_now();
        sched_yield();
        if (seconds_now() - began > 5e-4)
            *busy = CALLS_WITHOUT_YIELD;
    }
}
