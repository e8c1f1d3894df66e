/* OpenBLAS as a peer: a program of its own, as its threads start when it is
 * loaded. */
#include "peer.h"
#include "peer_arrays.h"

#include <cblas.h>
#include <string.h>

static volatile double sink;

static int
dot(void *context)
{
    const struct peer_arrays *a = context;
    sink = cblas_ddot((int)a->n, a->x, 1, a->y, 1);
    return 0;
}

struct matrix {
    struct peer_arrays arrays; /* x: of size by size items */
    int size;
};

static int
gemv(void *context)
{
    const struct matrix *m = context;
    cblas_dgemv(CblasRowMajor, CblasNoTrans, m->size, m->size, 1.0, m->arrays.x,
                m->size, m->arrays.y, 1, 0.0, m->arrays.y + m->size, 1);
    return 0;
}

static int
measure(const struct peer_work *work, double *ns)
{
    struct matrix matrix = {.size = (int)work->size};
    bool is_gemv = strcmp(work->name, "blas-gemv") == 0;
    size_t n = is_gemv ? work->size * work->size : work->size;
    if (!is_gemv && strcmp(work->name, "blas-dot") != 0)
        return SAMPLE_NOT_AVAILABLE;
    openblas_set_num_threads((int)work->parties);
    if (peer_arrays_make(&matrix.arrays, n, work->parties, PEER_Y) != 0)
        return -1;
    return is_gemv ? measure_loop(gemv, &matrix, work->count, ns)
                   : measure_loop(dot, &matrix.arrays, work->count, ns);
}

int
main(int argc, char **argv)
{
    return peer_main(argc, argv, measure);
}
