/* Workers sweep; the controller is the observer.  It sleeps, looks at what the
 * workers tell, and when all believe that they have converged it computes the
 * residual of a copy of x.  That copy, not what x becomes afterwards, is the
 * solution.
 */
#include "asor_solver.h"
#include "support.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* What a region is given. */
typedef struct relaxation {
    linear_system system;
    asor_options options;
    progress *board;
    double *copy; /* of x, the observer's */
} relaxation;

/* One sweep over the worker's rows, which a cancellation may cut short; returns
 * the residual that it met.  With full rows, BLAS reads a copy of x that is
 * renewed every few rows: it must not read what others write, and atomic loads
 * would cost several times as much. */
static double
sweep(dsm_worker *self, const relaxation *job, double *copy)
{
    enum { ROWS_PER_COPY = 64 };
    const linear_system *s = &job->system;
    dsm_range rows = dsm_worker_range(self, s->n);
    double sum = 0;

    for (size_t i = rows.begin; i < rows.end; i++) {
        double r, x = atomic_load_explicit(&s->x[i], memory_order_relaxed);

        if (copy && (i - rows.begin) % ROWS_PER_COPY == 0) {
            if (dsm_worker_cancelled(self))
                break;
            linear_system_copy(s, copy);
        }
        r = s->b[i] - (copy ? linear_system_row(s, i, copy)
                            : linear_system_row_now(s, i));
        x += job->options.omega * s->inverse[i] * r;
        atomic_store_explicit(&s->x[i], x, memory_order_relaxed);
        if (copy)
            copy[i] = x;
        sum += r * r;
    }
    return sqrt(sum) / s->norm;
}

/* The region: sweeps until it is cancelled. */
static int
relax(dsm_worker *self, const void *arg, size_t arg_size)
{
    const relaxation *job = arg;
    const linear_system *s = &job->system;
    const unsigned count = dsm_worker_count(self);
    const double enough = job->options.tolerance / sqrt(count);
    progress *me = &job->board[dsm_worker_id(self)];
    double *copy = s->dense ? malloc(s->n * sizeof *copy) : NULL;
    unsigned busy = 0;
    double met = 0; /* of the residual, by a sweep */

    (void)arg_size;
    if (s->dense && !copy)
        dsm_worker_fail(self, -ENOMEM, "no memory for a copy of x");
    progress_clock(me, NULL);
    for (uint64_t done = progress_sweeps(me); done < job->options.max_sweeps;) {
        double before = met, left;

        met = sweep(self, job, copy);
        if (dsm_worker_cancelled(self))
            break;
        progress_clock(me, &me->compute);
        /* What it leaves should be less in the same ratio. */
        left = met * fmin(1, met / before);
        progress_tell(me, ++done, met, left <= enough);
        progress_clock(me, &me->check);
        if (job->options.synchronous)
            dsm_worker_barrier(self); /* when it breaks, we are cancelled too */
        else
            progress_keep_pace(job->board, count, me, &busy);
        progress_clock(me, &me->sync);
    }
    free(copy);
    return 0;
}

/* Whether the x of this moment will do. */
static bool
is_solved(const relaxation *job, asor_result *result)
{
    double began = seconds_now();

    linear_system_copy(&job->system, job->copy);
    result->residual = linear_system_residual(&job->system, job->copy);
    result->check += seconds_now() - began;
    result->checks++;
    return result->residual <= job->options.tolerance;
}

/* Watches a region until it has an outcome, and ends it.  One that ends by
 * itself has done max_sweeps, or lost a worker. */
static int
observe(dsm_cluster *cluster, const relaxation *job, asor_result *result)
{
    const double too_large = 1e10; /* SOR may begin with a rise */
    progress_trend trend = {0};
    double pause = 1e-4;
    int status;

    for (;; pause = fmin(1.05 * pause, 5e-3)) {
        progress_view seen;

        sleep_seconds(pause);
        status = dsm_cluster_wait(cluster, 0);
        if (status < 0 && status != -ETIMEDOUT)
            return status;
        seen = progress_look(job->board, dsm_cluster_workers(cluster));
        job->options.show(&seen);
        result->residual = seen.residual;
        if (!(seen.residual < too_large) ||
            (progress_stalls(&trend, &seen) && job->options.omega > 1))
            result->outcome = ASOR_DIVERGED;
        else if ((seen.converged || status == 0) && is_solved(job, result))
            result->outcome = ASOR_CONVERGED;
        else if (status == 0)
            result->outcome = ASOR_LIMIT;
        else
            continue;
        break;
    }
    if (status == 0)
        return 0;
    dsm_cluster_cancel(cluster, DSM_FOREVER);
    return dsm_cluster_wait(cluster, DSM_FOREVER);
}

int
asor_solve(asor_result *result, dsm_cluster *cluster, const linear_system *s,
           const asor_options *options)
{
    relaxation job = {.system = *s, .options = *options};
    int status = progress_create(&job.board, cluster);
    double began;

    *result = (asor_result){0};
    if (status >= 0)
        status = dsm_array_create(&result->solution, cluster, "solution",
                                  DSM_FLOAT64, DSM_SHAPE(s->n));
    if (status < 0)
        return status;
    job.copy = dsm_array_data(result->solution);
    began = seconds_now();
    for (double *omega = &job.options.omega;;) {
        status = dsm_cluster_start(cluster, relax, &job, sizeof job);
        if (status >= 0)
            status = observe(cluster, &job, result);
        if (status < 0 || result->outcome != ASOR_DIVERGED || *omega <= 1)
            break;
        if (*omega == options->omega)
            options->lowering(*omega);
        *omega = *omega > 1.1 ? 1 + (*omega - 1) / 2 : 1;
        linear_system_reset(s);
        progress_reset(job.board, cluster);
    }
    result->omega = job.options.omega;
    result->workers = job.board;
    result->seconds = seconds_now() - began;
    return status;
}
