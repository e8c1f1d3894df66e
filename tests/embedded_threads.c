/* embedded_threads NAME controller|workers: OpenMP in the controller before and
 * after a cluster is created, or in the workers alone; and OpenBLAS in both. */
#include <dsm.h>

#ifdef WITH_BLAS
#include <cblas.h>
#endif
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 256

static void
need(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s; %s\n", what, dsm_last_error());
    exit(1);
}

#define NEED(condition) need(condition, #condition)

static long
count_in_team(void)
{
    long n = 0;

#pragma omp parallel for num_threads(4) reduction(+ : n)
    for (int k = 0; k < 10000; k++)
        n += k;
    return n;
}

/* Large enough for OpenBLAS to use its threads. */
static int
multiply(void)
{
#ifdef WITH_BLAS
    static double a[N * N], b[N * N], c[N * N];

    for (int k = 0; k < N * N; k++) {
        a[k] = 1;
        b[k] = 2;
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, b,
                N, 0, c, N);
    return c[0] == 2.0 * N && c[N * N - 1] == 2.0 * N;
#else
    return 1;
#endif
}

static int
multiply_in_worker(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return !multiply();
}

static int
count_in_worker(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return count_in_team() != 49995000;
}

int
main(int argc, char **argv)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    int workers;

    if (argc != 3)
        return 2;
    workers = strcmp(argv[2], "workers") == 0;
    options.name = argv[1];
    for (int round = 0; round < 3; round++) {
        NEED(workers || count_in_team() == 49995000);
        NEED(multiply());
        NEED(dsm_cluster_create(&cluster, 2, &options) == 0);
        NEED(multiply());
        NEED(workers || count_in_team() == 49995000);
        NEED(dsm_cluster_run(cluster, multiply_in_worker, NULL, 0) == 0);
        if (workers)
            NEED(dsm_cluster_run(cluster, count_in_worker, NULL, 0) == 0);
        NEED(dsm_cluster_refresh(cluster) == 0);
        NEED(dsm_cluster_run(cluster, multiply_in_worker, NULL, 0) == 0);
        if (workers)
            NEED(dsm_cluster_run(cluster, count_in_worker, NULL, 0) == 0);
        NEED(multiply());
        dsm_cluster_destroy(cluster);
        NEED(multiply());
    }
    puts("done");
    return 0;
}
