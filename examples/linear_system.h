/* A linear system A x = b in the arrays of a cluster, made so that its solution
 * is known: b = A (1, 2, ..., n).
 *
 * The pointers lead into arrays and hold in every process of the cluster, so a
 * linear_system may be passed as a region's argument.  It ends with its
 * cluster.  Functions that return int pass on the library's codes.
 */
#ifndef EXAMPLES_LINEAR_SYSTEM_H
#define EXAMPLES_LINEAR_SYSTEM_H

#include "matrix.h"

#include <dsm.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct linear_system {
    size_t n;
    /* Compressed rows, as in matrix.h; NULL when there are none. */
    size_t *start;
    uint32_t *column;
    double *value;
    /* n rows of n; NULL: use the compressed ones. */
    double *dense;
    double *b;
    double *inverse; /* 1 / a_ii */
    double norm;     /* of b */
    /* Zero at first.  Workers read each other's parts while they change. */
    _Atomic double *x;
} linear_system;

/* From `m`, which stays the caller's, kept as compressed rows or expanded. */
DSM_CHECKED int linear_system_create(linear_system *s, dsm_cluster *cluster,
                                     const matrix *m, bool dense);

/* Of the rows of matrix_random_row, which the workers make. */
DSM_CHECKED int linear_system_random(linear_system *s, dsm_cluster *cluster,
                                     size_t n);

/* The least time that the workers together need to read the full rows once, of
 * a few times: what a sweep cannot be faster than.  Afterwards the rows are
 * mapped in every process. */
DSM_CHECKED int linear_system_read_time(const linear_system *s,
                                        dsm_cluster *cluster, double *seconds);

/* Row i of A times a vector of this process. */
double linear_system_row(const linear_system *s, size_t i, const double *x);

/* The same with the shared x as it is at this moment (compressed rows only). */
static inline double
linear_system_row_now(const linear_system *s, size_t i)
{
    double sum = 0;

    for (size_t k = s->start[i]; k < s->start[i + 1]; k++)
        sum += s->value[k] *
               atomic_load_explicit(&s->x[s->column[k]], memory_order_relaxed);
    return sum;
}

/* Copies the shared x, value by value, while workers may change it. */
void linear_system_copy(const linear_system *s, double *x);

/* Sets the shared x to zero again, while no worker runs. */
void linear_system_reset(const linear_system *s);

/* |b - A x| / |b|, and |x - (1, ..., n)| / |(1, ..., n)|. */
double linear_system_residual(const linear_system *s, const double *x);
double linear_system_error(const linear_system *s, const double *x);

#endif
