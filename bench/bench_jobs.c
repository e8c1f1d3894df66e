/* Jobs beside the pools of Python, tasks of OpenMP and TBB, and the copies that
 * large arguments and results come down to.  The tables say what is measured.
 *
 * One cluster, of as many workers as there are CPUs, lives through all rounds;
 * its processes sleep while a peer is measured.  All memory was touched before,
 * but for what the library makes anew for a job. */
#include "job_calls.h"
#include "job_peers.h"
#include "topics.h"

#include <stdlib.h>
#include <string.h>

enum { LARGE_MIB = 1024 };

#define ROWS(rows) rows, sizeof(rows) / sizeof *(rows)

/* Rows of a table. */
#define CALL(label, function)                                                  \
    .name = label, .sample = sample_job_call,                                  \
    .detail = &(const struct job_call)                                         \
    {                                                                          \
        function, 0                                                            \
    }
#define IDLE(label, function)                                                  \
    .name = label, .sample = sample_job_call,                                  \
    .detail = &(const struct job_call)                                         \
    {                                                                          \
        function, IDLE_MS                                                      \
    }
#define PEER(label, peer, where)                                               \
    .name = label, .sample = measure_peer, .detail = &(const struct peer_call) \
    {                                                                          \
        peer, 0, "active", where                                               \
    }

static const struct figure singles[] = {
    {CALL("dsm_job_submit, dsm_job_next", call_submit_and_next),
     .most_ns = 1000},
    {CALL("the same, dsm_cluster_drain", call_submit_and_drain)},
    {PEER("OpenMP task", "omp-tasks", PEER_SELF)},
    {PEER("TBB task_group", "tbb-tasks", PEER_TBB)},
    {PEER("Pool.map, chunk 1, of 10^4", "pool-empty-1", PEER_PYTHON),
     .size = 10000, .count = 1},
    {PEER("futures submit, of 10^3", "futures-submit", PEER_PYTHON),
     .size = 1000, .count = 1},
};

static const struct figure maps[] = {
    {CALL("dsm_job_map, dsm_cluster_drain", call_map_and_drain),
     .most_ns = 200},
    {CALL("the same, dsm_job_next", call_map_and_next)},
    {PEER("OpenMP taskloop", "omp-taskloop", PEER_SELF)},
    {PEER("TBB parallel_for, grain 1", "tbb-empty-1", PEER_TBB)},
    {PEER("TBB parallel_for, auto", "tbb-empty-auto", PEER_TBB)},
    {PEER("Pool.map, of 10^5", "pool-empty", PEER_PYTHON), .size = 100000,
     .count = 1},
};

static const struct figure echoes[] = {
    {CALL("dsm_job_map, dsm_cluster_drain", call_map_lines)},
    {PEER("OpenMP taskloop", "omp-echo", PEER_SELF)},
    {PEER("TBB parallel_for, auto", "tbb-echo", PEER_TBB)},
    {PEER("Pool.map, of 10^5", "pool-echo", PEER_PYTHON), .size = 100000,
     .count = 1},
};

static const struct figure hot[] = {
    {CALL("dsm_job_submit, _result", call_round_trip), .most_ns = 5e3},
    {PEER("pipes to a process", "pipes", PEER_SELF)},
    {PEER("OpenMP region with one task", "omp-task", PEER_SELF)},
    {PEER("TBB enqueue, std::future", "tbb-enqueue", PEER_TBB)},
    {PEER("Pool.apply", "pool-apply", PEER_PYTHON), .count = 1000},
    {PEER("futures submit, result", "futures-one", PEER_PYTHON), .count = 1000},
};

static const struct figure asleep[] = {
    {IDLE("dsm_job_submit, _result", call_round_trip), .most_ns = 60e3},
    {PEER("pipes to a process", "pipes-idle", PEER_SELF)},
    {PEER("OpenMP region with one task", "omp-task-idle", PEER_SELF)},
    {PEER("TBB enqueue, std::future", "tbb-enqueue-idle", PEER_TBB)},
    {PEER("Pool.apply", "pool-apply-idle", PEER_PYTHON)},
    {PEER("futures submit, result", "futures-one-idle", PEER_PYTHON)},
};

static const struct figure arguments[] = {
    {CALL("dsm_job_submit, _result", call_argument_read)},
    {CALL("the same, all is summed", call_argument_summed)},
    {CALL("limit: memcpy", limit_copy), .most_ratio = 2},
    {CALL("memcpy to new memory, of 64 MiB", call_copy_to_new), .size = 64,
     .count = 1},
    {PEER("Pool.apply, of 16 MiB", "pool-argument", PEER_PYTHON), .size = 16,
     .count = 1},
};

static const struct figure results[] = {
    {CALL("dsm_job_submit, _result", call_result_read)},
    {CALL("limit: memcpy", limit_copy), .most_ratio = 2},
    {PEER("Pool.apply, of 16 MiB", "pool-result", PEER_PYTHON), .size = 16,
     .count = 1},
};

static const struct figure publishings[] = {
    {CALL("dsm_worker_publish, newest counts", call_publish_newest)},
    {CALL("the same, each is waited for", call_publish_every)},
    {PEER("multiprocessing Queue, of 10^4", "queue", PEER_PYTHON),
     .size = 10000, .count = 1},
};

static const struct figure histograms[] = {
    {CALL("dsm_job_map, dsm_job_result", call_map_histograms)},
    {CALL("limit: in equal parts", limit_histograms), .most_ratio = 1.1},
    {PEER("C, 1 thread", "serial-histograms", PEER_SELF)},
    {PEER("OpenMP task", "omp-histograms", PEER_SELF)},
    {PEER("TBB task_group", "tbb-histograms", PEER_TBB)},
};

static const struct topic topics[] = {
    {.name = "%s empty jobs one by one, per job",
     ROWS(singles),
     .sizes = {{JOBS_MAX, 5}},
     .amount = 1e3,
     .unit = "M/s",
     .each = true},
    {.name = "%s empty jobs at once, per job",
     ROWS(maps),
     .sizes = {{JOBS_MAX, 10}},
     .amount = 1e3,
     .unit = "M/s",
     .each = true},
    {.name = "%s jobs at once, 64 bytes in and out, per job",
     ROWS(echoes),
     .sizes = {{JOBS_MAX, 10}},
     .amount = 1e3,
     .unit = "M/s",
     .each = true},
    {.name = "round trip of a job",
     ROWS(hot),
     .sizes = {{1, 10000}},
     .fixed = true},
    {.name = "the same, after 2 ms idle",
     ROWS(asleep),
     .sizes = {{1, 20}},
     .fixed = true},
    {.name = "argument of %s MiB, a word of each page is read",
     ROWS(arguments),
     .sizes = {{LARGE_MIB, 1}},
     .amount = 1 << 20,
     .unit = "GB/s"},
    {.name = "result of %s MiB, a word of each page is read",
     ROWS(results),
     .sizes = {{LARGE_MIB, 1}},
     .amount = 1 << 20,
     .unit = "GB/s"},
    {.name = "%s provisional results of 8 bytes, each",
     ROWS(publishings),
     .sizes = {{100000, 1}},
     .amount = 1e3,
     .unit = "M/s",
     .each = true},
    {.name = "%s jobs of 100 us, per job",
     ROWS(histograms),
     .sizes = {{1000, 1}},
     .each = true},
};

int
main(int argc, char **argv)
{
    struct run run = {.program = "bench_jobs",
                      .about = "Measures libdsm's jobs beside their peers.",
                      .time_limit_s = 90};
    int status = 0;
    if (argc > 1 && strcmp(argv[1], "--peer") == 0)
        return peer_main(argc, argv, measure_job_peer);
    if (!measure_options(&run, argc, argv, &status))
        return status;
    topics_expand(&run, topics, sizeof topics / sizeof *topics);
    status = job_pool_make(run.quick ? (LARGE_MIB + 9) / 10 : LARGE_MIB) < 0 ||
             measure_rounds(&run) < 0;
    job_pool_free();
    if (status == 0)
        status = report(&run) < 0;
    free(run.samples);
    free(run.chosen);
    return status;
}
