#include "linear_system.h"
#include "support.h"

#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t SEED = 1;

/* The data of a new array, n or n x n; NULL once *status is an error. */
static void *
create(int *status, dsm_cluster *cluster, const char *name, dsm_type type,
       unsigned ndim, size_t n)
{
    const size_t shape[2] = {n, n};
    dsm_array *array;

    if (*status >= 0)
        *status = dsm_array_create(&array, cluster, name, type, ndim, shape);
    return *status < 0 ? NULL : dsm_array_data(array);
}

static void
fill_dense_row(const linear_system *s, size_t i)
{
    double *row = s->dense + i * s->n;

    if (!s->start) {
        matrix_random_row(row, s->n, i, SEED);
        return;
    }
    for (size_t k = s->start[i]; k < s->start[i + 1]; k++)
        row[s->column[k]] = s->value[k];
}

static double
diagonal(const linear_system *s, size_t i)
{
    size_t k;

    if (s->dense)
        return s->dense[i * s->n + i];
    for (k = s->start[i]; s->column[k] != i; k++)
        continue;
    return s->value[k];
}

/* A region: every worker makes its own rows, so that they lie near it. */
static int
fill_rows(dsm_worker *self, const void *arg, size_t arg_size)
{
    const linear_system *s = arg;
    dsm_range rows = dsm_worker_range(self, s->n);
    double *known = malloc(s->n * sizeof *known);

    (void)arg_size;
    if (!known)
        dsm_worker_fail(self, -ENOMEM, "no memory for a vector of %zu", s->n);
    for (size_t i = 0; i < s->n; i++)
        known[i] = (double)(i + 1);
    for (size_t i = rows.begin; i < rows.end; i++) {
        if (s->dense)
            fill_dense_row(s, i);
        s->b[i] = linear_system_row(s, i, known);
        s->inverse[i] = 1 / diagonal(s, i);
    }
    free(known);
    return 0;
}

static int
complete(linear_system *s, dsm_cluster *cluster, int status)
{
    s->b = create(&status, cluster, "b", DSM_FLOAT64, 1, s->n);
    s->inverse = create(&status, cluster, "inverse", DSM_FLOAT64, 1, s->n);
    s->x = create(&status, cluster, "x", DSM_FLOAT64, 1, s->n);
    if (status >= 0)
        status = dsm_cluster_run(cluster, fill_rows, s, sizeof *s);
    if (status < 0)
        return status;
    s->norm = 0;
    for (size_t i = 0; i < s->n; i++)
        s->norm = hypot(s->norm, s->b[i]);
    if (s->norm == 0) /* then residuals are absolute ones */
        s->norm = 1;
    return 0;
}

int
linear_system_create(linear_system *s, dsm_cluster *cluster, const matrix *m,
                     bool dense)
{
    int status = 0;

    *s = (linear_system){.n = m->n};
    s->start = create(&status, cluster, "start", DSM_UINT64, 1, m->n + 1);
    s->column = create(&status, cluster, "column", DSM_UINT32, 1, m->entries);
    s->value = create(&status, cluster, "value", DSM_FLOAT64, 1, m->entries);
    if (dense)
        s->dense = create(&status, cluster, "dense", DSM_FLOAT64, 2, m->n);
    if (status >= 0) {
        memcpy(s->start, m->start, (m->n + 1) * sizeof *m->start);
        memcpy(s->column, m->column, m->entries * sizeof *m->column);
        memcpy(s->value, m->value, m->entries * sizeof *m->value);
    }
    return complete(s, cluster, status);
}

int
linear_system_random(linear_system *s, dsm_cluster *cluster, size_t n)
{
    int status = 0;

    *s = (linear_system){.n = n};
    s->dense = create(&status, cluster, "dense", DSM_FLOAT64, 2, n);
    return complete(s, cluster, status);
}

/* What comes out matters to the compiler alone. */
static double
read_rows(const linear_system *s, dsm_range rows)
{
    double sum = 0;

    for (size_t i = rows.begin; i < rows.end; i++)
        sum += cblas_dasum((int)s->n, s->dense + i * s->n, 1);
    return sum;
}

/* A region. */
static int
read_own_rows(dsm_worker *self, const void *arg, size_t arg_size)
{
    const linear_system *s = arg;

    (void)arg_size;
    return read_rows(s, dsm_worker_range(self, s->n)) < 0;
}

int
linear_system_read_time(const linear_system *s, dsm_cluster *cluster,
                        double *seconds)
{
    *seconds = INFINITY;
    if (read_rows(s, (dsm_range){0, s->n}) < 0)
        return -EDOM;
    for (int k = 0; k < 5; k++) {
        double began = seconds_now();
        int status = dsm_cluster_run(cluster, read_own_rows, s, sizeof *s);

        if (status < 0)
            return status;
        *seconds = fmin(*seconds, seconds_now() - began);
    }
    return 0;
}

double
linear_system_row(const linear_system *s, size_t i, const double *x)
{
    double sum = 0;

    if (s->dense)
        return cblas_ddot((int)s->n, s->dense + i * s->n, 1, x, 1);
    for (size_t k = s->start[i]; k < s->start[i + 1]; k++)
        sum += s->value[k] * x[s->column[k]];
    return sum;
}

void
linear_system_copy(const linear_system *s, double *x)
{
    for (size_t i = 0; i < s->n; i++)
        x[i] = atomic_load_explicit(&s->x[i], memory_order_relaxed);
}

void
linear_system_reset(const linear_system *s)
{
    for (size_t i = 0; i < s->n; i++)
        atomic_store_explicit(&s->x[i], 0, memory_order_relaxed);
}

double
linear_system_residual(const linear_system *s, const double *x)
{
    double sum = 0;

    for (size_t i = 0; i < s->n; i++) {
        double r = (s->b[i] - linear_system_row(s, i, x)) / s->norm;

        sum += r * r;
    }
    return sqrt(sum);
}

double
linear_system_error(const linear_system *s, const double *x)
{
    double wrong = 0, whole = 0;

    for (size_t i = 0; i < s->n; i++) {
        double known = (double)(i + 1);

        wrong += (x[i] - known) * (x[i] - known);
        whole += known * known;
    }
    return sqrt(wrong / whole);
}
