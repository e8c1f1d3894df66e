/* Multiplies a matrix by a vector with a cluster of processes, and in two other
 * ways: by a plain loop and by OpenBLAS with threads.
 *
 * Such a product reads each item of the matrix once, so that it is as fast as
 * memory.  OpenBLAS comes last: its threads keep the CPUs for a while after
 * each call.  The cluster's fork ended them; the next call starts them again.
 */
#include "product.h"
#include "support.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char HELP[] =
    "Usage: matvec [-p WORKERS] [-n N] [--rounds R]\n"
    "Multiplies a matrix of N by N numbers by a vector: by worker processes, "
    "by\n"
    "a plain loop, and by OpenBLAS with as many threads; checks the result "
    "and\n"
    "prints how fast each is.\n"
    "\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "  -n, --size=N           default 10000, or what memory allows\n"
    "      --rounds=R         of which the median is printed; default 11\n"
    "      --help             show this and exit\n";

typedef struct operands {
    const product *p;
    dsm_array *a, *x, *y;
    const double *matrix, *vector;
    double *result; /* of the other ways */
} operands;

static dsm_array *
create_vector(dsm_cluster *cluster, const char *name, size_t n)
{
    dsm_array *array;

    if (dsm_array_create(&array, cluster, name, DSM_FLOAT64, DSM_SHAPE(n)) < 0)
        fail("%s", dsm_last_error());
    return array;
}

static void
by_workers(void *context)
{
    operands *o = context;

    if (dsm_gemv(o->p->cluster, 1, o->a, o->x, 0, o->y) < 0)
        fail("%s", dsm_last_error());
}

static void
by_loop(void *context)
{
    operands *o = context;
    size_t n = o->p->n;

    for (size_t i = 0; i < n; i++) {
        double sum = 0;

        for (size_t j = 0; j < n; j++)
            sum += o->matrix[i * n + j] * o->vector[j];
        o->result[i] = sum;
    }
}

static void
by_openblas(void *context)
{
    operands *o = context;
    int n = (int)o->p->n;

    cblas_dgemv(CblasRowMajor, CblasNoTrans, n, n, 1, o->matrix, n, o->vector,
                1, 0, o->result, 1);
}

/* Nothing is negative, so both sums are within n roundings of the true one. */
static void
check(const operands *o)
{
    const double *y = dsm_array_data(o->y);
    double bound = 2 * (double)o->p->n * DBL_EPSILON;

    for (size_t i = 0; i < o->p->n; i++)
        if (!(fabs(y[i] - o->result[i]) <= bound * o->result[i]))
            fail("y[%zu] is %.17g and should be %.17g", i, y[i], o->result[i]);
}

int
main(int argc, char **argv)
{
    product p = {.n = 10000, .rounds = 11, .ways = 3};
    operands o = {.p = &p};
    double workers, loop, openblas, bytes;
    char name[32];
    int threads;

    program = "matvec";
    product_parse(&p, argc, argv, HELP);
    product_create(&p, &o.a, 1);
    o.x = create_vector(p.cluster, "x", p.n);
    o.y = create_vector(p.cluster, "y", p.n);
    o.matrix = dsm_array_data(o.a);
    o.vector = dsm_array_data(o.x);
    o.result = malloc(p.n * sizeof *o.result);
    if (!o.result)
        fail("no memory for %zu numbers", p.n);
    if (dsm_random_uniform(p.cluster, o.x, 0, 1, 1) < 0)
        fail("%s", dsm_last_error());

    workers = product_measure(&p, by_workers, &o);
    loop = product_measure(&p, by_loop, &o);
    check(&o);
    threads = product_blas_threads(dsm_cluster_workers(p.cluster));
    openblas = product_measure(&p, by_openblas, &o);
    check(&o);

    printf("y = A x, %zu by %zu numbers: the result is right\n", p.n, p.n);
    bytes = sizeof(double) * (double)p.n * (double)p.n;
    snprintf(name, sizeof name, "%u workers, dsm_gemv",
             dsm_cluster_workers(p.cluster));
    product_report(name, workers, workers, bytes, "B/s");
    product_report("a plain loop", loop, workers, bytes, "B/s");
    snprintf(name, sizeof name, "OpenBLAS, %d threads", threads);
    product_report(name, openblas, workers, bytes, "B/s");
    dsm_cluster_destroy(p.cluster);
    free(o.result);
    return EXIT_SUCCESS;
}
