/* Open MPI's collectives as peers.  Each rank has its share of the arrays in
 * its own memory; an operation is a barrier's distance from the next, and rank
 * 0 prints its time. */
#include "kernels.h"
#include "peer.h"
#include "peer_arrays.h"

#include <math.h>
#include <mpi.h>
#include <string.h>

static volatile double sink;

static int
sum(void *context)
{
    const struct peer_arrays *share = context;
    double mine = kernel_sum(share->x, share->n), all;
    MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    sink = all;
    return 0;
}

static int
dot(void *context)
{
    const struct peer_arrays *share = context;
    double mine = kernel_dot(share->x, share->y, share->n), all;
    MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    sink = all;
    return 0;
}

static int
scan(void *context)
{
    const struct peer_arrays *share = context;
    double mine = kernel_sum(share->x, share->n), prefix = 0;
    int rank;
    MPI_Exscan(&mine, &prefix, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    kernel_scan(share->y, share->x, share->n, rank > 0 ? prefix : 0);
    MPI_Barrier(MPI_COMM_WORLD);
    return 0;
}

static int
barrier(void *context)
{
    (void)context;
    MPI_Barrier(MPI_COMM_WORLD);
    return 0;
}

static const struct {
    const char *name;
    int (*once)(void *share);
    unsigned which;
} peers[] = {
    {"mpi-sum", sum, 0},
    {"mpi-dot", dot, PEER_Y},
    {"mpi-scan", scan, PEER_Y},
    {"mpi-barrier", barrier, 0},
};

static int
measure(const struct peer_work *work, double *ns)
{
    int rank, ranks, status = SAMPLE_NOT_AVAILABLE;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        struct peer_arrays share;
        if (strcmp(peers[i].name, work->name) != 0)
            continue;
        if (peer_arrays_make(&share, work->size / (size_t)ranks + 1, 1,
                             peers[i].which) != 0)
            return -1;
        MPI_Barrier(MPI_COMM_WORLD);
        status = measure_loop(peers[i].once, &share, work->count, ns);
    }
    if (rank != 0)
        *ns = NAN;
    return status;
}

int
main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    int status = peer_main(argc, argv, measure);
    MPI_Finalize();
    return status;
}
