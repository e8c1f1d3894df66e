/* Successive over-relaxation by the workers of a cluster, each on rows of its
 * own and without waiting for the others: chaotic relaxation (Chazan and
 * Miranker 1969).
 */
#ifndef EXAMPLES_ASOR_SOLVER_H
#define EXAMPLES_ASOR_SOLVER_H

#include "linear_system.h"
#include "progress.h"

typedef enum asor_outcome {
    ASOR_CONVERGED,
    ASOR_LIMIT,   /* max_sweeps did not do */
    ASOR_DIVERGED /* the residual grew, with omega <= 1 */
} asor_outcome;

typedef struct asor_options {
    double omega, tolerance;
    uint64_t max_sweeps; /* of each worker */
    bool synchronous;    /* a barrier after every sweep */
    /* Called at every look of the observer. */
    void (*show)(const progress_view *seen);
    /* Called once, when the residual grows at omega > 1. */
    void (*lowering)(double omega);
} asor_options;

typedef struct asor_result {
    asor_outcome outcome;
    double omega;    /* with which it ended */
    double residual; /* of the solution: |b - A x| / |b| */
    double seconds;  /* while workers sweep */
    double check;    /* of them the observer's, for true residuals ... */
    unsigned checks; /* ... so many times */
    dsm_array *solution;
    const progress *workers;
} asor_result;

/* Solves the system, once in a cluster.  0, whatever the outcome, or a code of
 * the library. */
DSM_CHECKED int asor_solve(asor_result *result, dsm_cluster *cluster,
                           const linear_system *s, const asor_options *options);

#endif
