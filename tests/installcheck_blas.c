/* Compiled and run by "make installcheck" through pkg-config's dsm_blas. */
#include <dsm.h>
#include <dsm/blas.h>

#include <stdio.h>

static int
multiply(dsm_cluster *cluster)
{
    const size_t n = 100;
    dsm_array *a, *b, *c;
    size_t i;

    if (dsm_array_create(&a, cluster, "a", DSM_FLOAT64, DSM_SHAPE(n, n)) < 0 ||
        dsm_array_create(&b, cluster, "b", DSM_FLOAT64, DSM_SHAPE(n, n)) < 0 ||
        dsm_array_create(&c, cluster, "c", DSM_FLOAT64, DSM_SHAPE(n, n)) < 0)
        return -1;
    for (i = 0; i < n * n; i++) {
        ((double *)dsm_array_data(a))[i] = 2;
        ((double *)dsm_array_data(b))[i] = 3;
    }
    if (dsm_gemm(cluster, 1, a, b, 0, c) < 0)
        return -1;
    for (i = 0; i < n * n; i++)
        if (((double *)dsm_array_data(c))[i] != 600)
            return 1;
    return 0;
}

int
main(void)
{
    dsm_cluster *cluster;
    int status;

    if (dsm_cluster_create(&cluster, 2, NULL) < 0) {
        fprintf(stderr, "installcheck: %s\n", dsm_last_error());
        return 1;
    }
    status = multiply(cluster);
    if (status)
        fprintf(stderr, "installcheck: dsm_gemm: %s\n",
                status < 0 ? dsm_last_error() : "an item is wrong");
    dsm_cluster_destroy(cluster);
    return status != 0;
}
