/* Multiplies two matrices with a cluster of processes, and by OpenBLAS with one
 * thread and with as many threads as there are workers.
 *
 * The workers use OpenBLAS, too, each with one thread.  What is compared are
 * two ways to share the work out, so the kernels that OpenBLAS has chosen for
 * this CPU are named.  Its own threads come last: they keep the CPUs for a
 * while after each call.
 */
#include "product.h"
#include "support.h"

#include <cblas.h>
#include <dsm.h>
#include <dsm/blas.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char HELP[] =
    "Usage: matmul [-p WORKERS] [-n N] [--rounds R]\n"
    "Multiplies two matrices of N by N numbers: by worker processes, and by\n"
    "OpenBLAS with one thread and with as many; checks the result and prints\n"
    "how fast each is.\n"
    "\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "  -n, --size=N           default 2000, or what memory allows\n"
    "      --rounds=R         of which the median is printed; default 3\n"
    "      --help             show this and exit\n";

typedef struct operands {
    const product *p;
    dsm_array *matrices[3]; /* a b = c */
    const double *a, *b;
    double *c;
} operands;

static void
by_workers(void *context)
{
    operands *o = context;

    if (dsm_gemm(o->p->cluster, 1, o->matrices[0], o->matrices[1], 0,
                 o->matrices[2]) < 0)
        fail("%s", dsm_last_error());
}

static void
by_openblas(void *context)
{
    operands *o = context;
    int n = (int)o->p->n;

    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, o->a, n,
                o->b, n, 0, o->c, n);
}

/* to = matrix from */
static void
apply(double *to, const double *matrix, const double *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;

        for (size_t j = 0; j < n; j++)
            sum += matrix[i * n + j] * from[j];
        to[i] = sum;
    }
}

/* Freivalds' check (1977): for vectors r of random zeros and ones, A (B r) must
 * be C r.  A wrong item of C is missed by each with a probability of 1/2. */
static void
check(const operands *o)
{
    enum { VECTORS = 20 };
    size_t n = o->p->n;
    double *r = malloc(4 * n * sizeof *r), *br, *abr, *cr;
    double bound = 3 * (double)n * DBL_EPSILON;
    uint32_t bits = 1;

    if (!r)
        fail("no memory for %zu numbers", 4 * n);
    br = r + n;
    abr = br + n;
    cr = abr + n;
    for (int v = 0; v < VECTORS; v++) {
        for (size_t j = 0; j < n; j++) {
            bits = bits * 1664525 + 1013904223;
            r[j] = bits >> 31;
        }
        apply(br, o->b, r, n);
        apply(abr, o->a, br, n);
        apply(cr, o->c, r, n);
        for (size_t i = 0; i < n; i++)
            if (!(fabs(cr[i] - abr[i]) <= bound * abr[i]))
                fail("row %zu of the product is wrong: applied to a vector it "
                     "gives %.17g and should give %.17g",
                     i, cr[i], abr[i]);
    }
    free(r);
}

int
main(int argc, char **argv)
{
    product p = {.n = 2000, .rounds = 3, .ways = 3};
    operands o = {.p = &p};
    double workers, one, all, operations;
    char name[32];
    int threads;

    program = "matmul";
    product_parse(&p, argc, argv, HELP);
    product_create(&p, o.matrices, 3);
    o.a = dsm_array_data(o.matrices[0]);
    o.b = dsm_array_data(o.matrices[1]);
    o.c = dsm_array_data(o.matrices[2]);

    workers = product_measure(&p, by_workers, &o);
    check(&o);
    product_blas_threads(1);
    one = product_measure(&p, by_openblas, &o);
    threads = product_blas_threads(dsm_cluster_workers(p.cluster));
    all = product_measure(&p, by_openblas, &o);
    check(&o);

    printf("C = A B, %zu by %zu numbers: the result is right\n"
           "OpenBLAS computes with its kernels for %s\n",
           p.n, p.n, openblas_get_corename());
    operations = 2 * (double)p.n * (double)p.n * (double)p.n;
    snprintf(name, sizeof name, "%u workers, dsm_gemm",
             dsm_cluster_workers(p.cluster));
    product_report(name, workers, workers, operations, "FLOP/s");
    product_report("OpenBLAS, 1 thread", one, workers, operations, "FLOP/s");
    snprintf(name, sizeof name, "OpenBLAS, %d threads", threads);
    product_report(name, all, workers, operations, "FLOP/s");
    dsm_cluster_destroy(p.cluster);
    return EXIT_SUCCESS;
}
