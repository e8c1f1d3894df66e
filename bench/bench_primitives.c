/* Reductions, scans, compaction, maps and loops beside what the machine's
 * memory can do and beside their peers.  The tables say what is measured.
 *
 * libdsm's own line of each group is a call by a controller that does not work
 * itself.  For arrays in cache, where latency counts, there are two more: the
 * controller works, and the workers make the calls in one region.  The arrays
 * of libdsm lie in /dev/shm in the pages that the library gets there; those of
 * the peers in private memory, in large pages.  All was touched before. */
#include "calls.h"
#include "primitive_peers.h"
#include "topics.h"

#include <stdlib.h>
#include <string.h>

static struct team team = {.has_matrix = true};
static struct team working = {.controller_works = true};

#define ROWS(rows) rows, sizeof(rows) / sizeof *(rows)

/* Rows of a table. */
#define CALL(label, function)                                                  \
    {                                                                          \
        .name = label, .sample = sample_call, .detail = &(const struct call)   \
        {                                                                      \
            &team, function, false                                             \
        }                                                                      \
    }
#define WORKING(function)                                                      \
    {                                                                          \
        .name = "the controller works", .sample = sample_call,                 \
        .detail = &(const struct call)                                         \
        {                                                                      \
            &working, function, false                                          \
        }                                                                      \
    }
#define IN_REGION(function)                                                    \
    {                                                                          \
        .name = "called in a region", .sample = sample_call,                   \
        .detail = &(const struct call)                                         \
        {                                                                      \
            &team, function, true                                              \
        }                                                                      \
    }
#define LIMIT(label, function)                                                 \
    {                                                                          \
        .name = label, .sample = sample_limit, .detail = &(const struct limit) \
        {                                                                      \
            &team, function                                                    \
        }                                                                      \
    }
#define PEER(label, peer, where)                                               \
    {                                                                          \
        .name = label, .sample = measure_peer,                                 \
        .detail = &(const struct peer_call)                                    \
        {                                                                      \
            peer, 0, "active", where                                           \
        }                                                                      \
    }

static const struct figure limits[] = {
    LIMIT("limit: read (sum)", limit_read),
    LIMIT("limit: copy", limit_copy),
    LIMIT("limit: copy, streaming stores", limit_copy_streaming),
    LIMIT("limit: write, streaming stores", limit_write_streaming),
    PEER("read, private large pages", "omp-sum-of-shares", PEER_SELF),
    PEER("copy, private large pages", "omp-copy", PEER_SELF),
    PEER("the same, streaming stores", "omp-copy-streaming", PEER_SELF),
};

static const struct figure reductions[] = {
    CALL("dsm_reduce", call_reduce),
    WORKING(call_reduce),
    IN_REGION(call_reduce),
    LIMIT("limit: read", limit_read),
    CALL("DSM_REDUCE_TREE, dsm_for a level", call_reduce_tree),
    PEER("C, 1 thread", "serial-sum", PEER_SELF),
    PEER("OpenMP reduction simd", "omp-sum", PEER_SELF),
    PEER("OpenMP, vectors by hand", "omp-sum-of-shares", PEER_SELF),
    PEER("TBB parallel_reduce", "tbb-sum", PEER_TBB),
    PEER("std::reduce, par_unseq", "std-sum", PEER_TBB),
    PEER("MPI_Allreduce", "mpi-sum", PEER_MPI),
    PEER("NumPy sum", "numpy-sum", PEER_PYTHON),
};

static const struct figure products[] = {
    CALL("dsm_dot", call_dot),
    WORKING(call_dot),
    IN_REGION(call_dot),
    LIMIT("limit: read both", limit_read_two),
    PEER("C, 1 thread", "serial-dot", PEER_SELF),
    PEER("OpenMP reduction simd", "omp-dot", PEER_SELF),
    PEER("TBB parallel_reduce", "tbb-dot", PEER_TBB),
    PEER("std::transform_reduce, par_unseq", "std-dot", PEER_TBB),
    PEER("MPI_Allreduce", "mpi-dot", PEER_MPI),
    PEER("OpenBLAS ddot", "blas-dot", PEER_BLAS),
    PEER("NumPy dot", "numpy-dot", PEER_PYTHON),
};

static const struct figure scans[] = {
    CALL("dsm_scan", call_scan),
    WORKING(call_scan),
    IN_REGION(call_scan),
    LIMIT("limit: copy", limit_copy),
    LIMIT("limit: copy, streaming stores", limit_copy_streaming),
    PEER("C, 1 thread", "serial-scan", PEER_SELF),
    PEER("OpenMP, two passes by hand", "omp-scan-two-passes", PEER_SELF),
    PEER("OpenMP scan directive", "omp-scan", PEER_SELF),
    PEER("TBB parallel_scan", "tbb-scan", PEER_TBB),
    PEER("std::inclusive_scan, par", "std-scan", PEER_TBB),
    PEER("MPI_Exscan, two passes", "mpi-scan", PEER_MPI),
    PEER("NumPy cumsum", "numpy-scan", PEER_PYTHON),
};

static const struct figure filters[] = {
    CALL("dsm_filter", call_filter),
    WORKING(call_filter),
    IN_REGION(call_filter),
    LIMIT("limit: copy of all", limit_copy_streaming),
    PEER("C, 1 thread, branch-free", "serial-filter", PEER_SELF),
    PEER("OpenMP, count, then branch-free", "omp-filter", PEER_SELF),
    PEER("std::copy_if, par", "std-filter", PEER_TBB),
    PEER("NumPy compress(x > 0, x)", "numpy-filter", PEER_PYTHON),
};

static const struct figure packs[] = {
    CALL("dsm_pack", call_pack),
    WORKING(call_pack),
    IN_REGION(call_pack),
    LIMIT("limit: copy of all", limit_copy_streaming),
    PEER("C, 1 thread, branch-free", "serial-pack", PEER_SELF),
    PEER("OpenMP, count, then branch-free", "omp-pack", PEER_SELF),
    PEER("NumPy compress", "numpy-pack", PEER_PYTHON),
};

static const struct figure fills[] = {
    CALL("dsm_random_uniform (Philox)", call_random),
    WORKING(call_random),
    IN_REGION(call_random),
    LIMIT("limit: write, streaming stores", limit_write_streaming),
    PEER("OpenMP, Random123 (Philox)", "omp-random", PEER_SELF),
    PEER("NumPy Generator (PCG64)", "numpy-random", PEER_PYTHON),
    PEER("NumPy Generator (Philox)", "numpy-random-philox", PEER_PYTHON),
};

static const struct figure maps[] = {
    CALL("dsm_map", call_map),
    WORKING(call_map),
    IN_REGION(call_map),
    LIMIT("limit: copy", limit_copy),
    LIMIT("limit: copy, streaming stores", limit_copy_streaming),
    PEER("C, 1 thread", "serial-map", PEER_SELF),
    PEER("OpenMP for simd", "omp-map", PEER_SELF),
    PEER("TBB parallel_for", "tbb-map", PEER_TBB),
    PEER("std::transform, par_unseq", "std-map", PEER_TBB),
    PEER("NumPy multiply, add", "numpy-map", PEER_PYTHON),
    {.name = "Pool.map, of 10^5 and scaled",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pool-map", 0, NULL, PEER_PYTHON},
     .size = 100000,
     .count = 5},
};

static const struct figure vectors[] = {
    CALL("dsm_gemv", call_gemv),
    LIMIT("limit: read of the matrix", limit_read_matrix),
    PEER("OpenMP, a row at a time", "omp-gemv", PEER_SELF),
    PEER("OpenBLAS dgemv", "blas-gemv", PEER_BLAS),
};

static const struct figure single_items[] = {
    CALL("dsm_for, DYNAMIC, chunk 1", call_empty_dynamic),
    CALL("dsm_for, STEAL, chunk 1", call_empty_steal),
    PEER("OpenMP dynamic, 1", "omp-empty-dynamic", PEER_SELF),
    PEER("TBB parallel_for, grain 1", "tbb-empty-1", PEER_TBB),
    {.name = "Pool.map, chunk 1, of 10^4",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pool-empty-1", 0, NULL, PEER_PYTHON},
     .size = 10000,
     .count = 1},
};

static const struct figure chunks[] = {
    CALL("dsm_for, AUTO", call_empty_auto),
    CALL("dsm_for, STATIC", call_empty_static),
    CALL("dsm_for, DYNAMIC, chunk 64", call_empty_dynamic_64),
    PEER("OpenMP static", "omp-empty-static", PEER_SELF),
    PEER("OpenMP dynamic, 64", "omp-empty-dynamic-64", PEER_SELF),
    PEER("TBB parallel_for, auto", "tbb-empty-auto", PEER_TBB),
    {.name = "Pool.map, of 10^5",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pool-empty", 0, NULL, PEER_PYTHON},
     .size = 100000,
     .count = 1},
};

static const struct figure irregular[] = {
    CALL("dsm_for, AUTO", call_irregular_auto),
    CALL("dsm_for, STEAL, chunk 1", call_irregular_steal),
    CALL("dsm_for, DYNAMIC, chunk 1", call_irregular_dynamic),
    CALL("dsm_for, GUIDED", call_irregular_guided),
    CALL("dsm_for, STATIC", call_irregular_static),
    LIMIT("limit: in equal parts", limit_irregular),
    PEER("C, 1 thread", "serial-irregular", PEER_SELF),
    PEER("OpenMP dynamic, 1", "omp-irregular-dynamic", PEER_SELF),
    PEER("OpenMP guided", "omp-irregular-guided", PEER_SELF),
    PEER("OpenMP static", "omp-irregular-static", PEER_SELF),
    PEER("TBB parallel_for, auto", "tbb-irregular", PEER_TBB),
};

enum { LARGE = 100000000, SMALL = 1000000, ORDER = 10000 };

static const struct topic topics[] = {
    {.name = "the machine, %s float64",
     ROWS(limits),
     .sizes = {{LARGE, 1}, {SMALL, 100}},
     .amount = 8,
     .unit = "GB/s"},
    {.name = "sum of %s float64",
     ROWS(reductions),
     .sizes = {{LARGE, 1}, {SMALL, 100}},
     .amount = 8,
     .unit = "GB/s"},
    {.name = "inner product of %s float64",
     ROWS(products),
     .sizes = {{LARGE, 1}, {SMALL, 100}},
     .amount = 16,
     .unit = "GB/s"},
    {.name = "inclusive scan of %s float64",
     ROWS(scans),
     .sizes = {{LARGE, 1}, {SMALL, 100}},
     .amount = 16,
     .unit = "GB/s"},
    {.name = "filter of %s float64, half are kept",
     ROWS(filters),
     .sizes = {{LARGE, 1}, {SMALL, 100}},
     .amount = 12,
     .unit = "GB/s"},
    {.name = "pack of %s float64 by a mask, half are kept",
     ROWS(packs),
     .sizes = {{LARGE, 1}, {SMALL, 100}},
     .amount = 13,
     .unit = "GB/s"},
    {.name = "uniform random numbers, %s float64",
     ROWS(fills),
     .sizes = {{LARGE, 1}, {SMALL, 50}},
     .amount = 1e3,
     .unit = "M/s"},
    {.name = "map of 2 x + 1 on %s float64",
     ROWS(maps),
     .sizes = {{LARGE / 10, 10}},
     .amount = 16,
     .unit = "GB/s"},
    {.name = "matrix times vector, order %s",
     ROWS(vectors),
     .sizes = {{ORDER, 2}},
     .amount = 8,
     .unit = "GB/s",
     .squared = true,
     .fixed = true},
    {.name = "loop of %s empty items one by one, per item",
     ROWS(single_items),
     .sizes = {{SMALL, 5}},
     .amount = 1e3,
     .unit = "M/s",
     .each = true},
    {.name = "loop of %s empty items in chunks, per item",
     ROWS(chunks),
     .sizes = {{SMALL, 20}},
     .amount = 1e3,
     .unit = "M/s",
     .each = true},
    {.name = "loop of %s items, item i costs i",
     ROWS(irregular),
     .sizes = {{20000, 2}},
     .fixed = true},
};

int
main(int argc, char **argv)
{
    struct run run = {.program = "bench_primitives",
                      .about = "Measures libdsm's loops, maps, reductions, "
                               "scans and compaction beside their peers.",
                      .time_limit_s = 200};
    int status = 0;
    if (argc > 1 && strcmp(argv[1], "--peer") == 0)
        return peer_main(argc, argv, measure_primitive_peer);
    if (!measure_options(&run, argc, argv, &status))
        return status;
    topics_expand(&run, topics, sizeof topics / sizeof *topics);
    size_t n = run.quick ? LARGE / 10 : LARGE;
    status = team_make(&team, n, ORDER) < 0 || team_make(&working, n, 0) < 0 ||
             measure_rounds(&run) < 0;
    dsm_cluster_destroy(team.cluster);
    dsm_cluster_destroy(working.cluster);
    if (status == 0)
        status = report(&run) < 0;
    free(run.samples);
    free(run.chosen);
    return status;
}
