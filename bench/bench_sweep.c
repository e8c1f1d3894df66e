/* What the plots show: speed-up by workers, bandwidth by size, and the latency
 * of a barrier and a region by workers, beside OpenMP's and MPI's.  bench_sync
 * and bench_primitives measure more, at fewer places. */
#include "calls.h"
#include "primitive_peers.h"
#include "sync_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIGURES_MAX = 512, TEAMS_MAX = 8 };
enum { SPEED_UP_ITEMS = 10000000, IRREGULAR_ITEMS = 20000 };

static struct figure figures[FIGURES_MAX];
static size_t figure_count;

/* Of 1, 2, 4, … workers, to twice the CPUs, where they must share; `full` has
 * a worker for each CPU. */
static struct team teams[TEAMS_MAX], working[TEAMS_MAX];
static unsigned team_count;
static struct team full;

static void *
keep(const void *detail, size_t size)
{
    void *copy = malloc(size);
    if (copy == NULL)
        exit(1);
    return memcpy(copy, detail, size);
}

static void
add(struct figure figure)
{
    if (figure_count < FIGURES_MAX)
        figures[figure_count++] = figure;
}

static void
add_call(const char *group, const char *name, struct team *team,
         call_once *once, bool in_region, size_t size, long count)
{
    struct call call = {team, once, in_region};
    add((struct figure){.group = group,
                        .name = name,
                        .sample = sample_call,
                        .detail = keep(&call, sizeof call),
                        .parties = team->workers,
                        .size = size,
                        .count = count});
}

static void
add_limit(const char *group, const char *name, struct team *team,
          call_share *share, size_t size, long count)
{
    struct limit limit = {team, share};
    add((struct figure){.group = group,
                        .name = name,
                        .sample = share != NULL ? sample_limit : sample_region,
                        .detail = keep(&limit, sizeof limit),
                        .parties = team->workers,
                        .size = size,
                        .count = count});
}

static void
add_peer(const char *name, struct peer_call call, size_t size, long count)
{
    if (call.parties <= measure_cpus() && call.program == PEER_SELF)
        call.wait_policy = "active";
    add((struct figure){.name = name,
                        .sample = measure_peer,
                        .detail = keep(&call, sizeof call),
                        .parties = call.parties,
                        .size = size,
                        .count = count});
}

/* ---- What is swept. */

/* The same work with ever more workers: one group, so that a round measures
 * them together. */
static void
add_speed_up(const char *group, call_once *once, const char *peer, size_t size,
             long count)
{
    for (unsigned t = 0; t < team_count; t++) {
        add_call(t == 0 ? group : NULL, "libdsm", &teams[t], once, false, size,
                 count);
        if (peer != NULL)
            add_peer(
                "OpenMP",
                (struct peer_call){.name = peer, .parties = teams[t].workers},
                size, count);
    }
}

static void
add_bandwidths(size_t size)
{
    long count = (long)(200000000 / size);
    count = count < 2 ? 2 : count > 5000 ? 5000 : count;
    unsigned parties = full.workers;
    add_call("sum by size", "dsm_reduce", &full, call_reduce, false, size,
             count);
    add_call(NULL, "dsm_reduce in a region", &full, call_reduce, true, size,
             count);
    add_limit(NULL, "limit: read", &full, limit_read, size, count);
    add_peer("OpenMP", (struct peer_call){"omp-sum", parties, NULL, PEER_SELF},
             size, count);
    add_call("scan by size", "dsm_scan", &full, call_scan, false, size, count);
    add_call(NULL, "dsm_scan in a region", &full, call_scan, true, size, count);
    add_limit(NULL, "limit: copy", &full, limit_copy, size, count);
    add_limit(NULL, "limit: copy, streaming stores", &full,
              limit_copy_streaming, size, count);
    add_peer(
        "OpenMP, two passes",
        (struct peer_call){"omp-scan-two-passes", parties, NULL, PEER_SELF},
        size, count);
}

static void
add_latencies(unsigned t)
{
    unsigned parties = teams[t].workers;
    long count = parties <= measure_cpus() ? 20000 : 1000;
    add_limit("barrier by workers", "dsm_worker_barrier", &teams[t],
              limit_barrier, 1000, count);
    add_peer("OpenMP",
             (struct peer_call){"omp-barrier", parties, NULL, PEER_SELF}, 0,
             count);
    add_peer("MPI_Barrier",
             (struct peer_call){"mpi-barrier", parties, NULL, PEER_MPI}, 1000,
             count);
    add_peer("pthread_barrier_wait, processes",
             (struct peer_call){"pthread-barrier", parties, NULL, PEER_SELF}, 0,
             2000);
    add_limit("region by workers", "dsm_cluster_run", &teams[t], NULL, 0, 2000);
    add_limit(NULL, "the controller works", &working[t], NULL, 0, count);
    add_peer("OpenMP",
             (struct peer_call){"omp-region", parties, NULL, PEER_SELF}, 0,
             count);
    add_peer("fork + waitpid",
             (struct peer_call){"fork", parties, NULL, PEER_SELF}, 0, 50);
}

static void
add_figures(bool quick)
{
    size_t most = quick ? 10000000 : 100000000;
    add_speed_up("loop, item i costs i", call_irregular_auto,
                 "omp-irregular-dynamic", IRREGULAR_ITEMS, 2);
    add_speed_up("random numbers", call_random, "omp-random", SPEED_UP_ITEMS,
                 2);
    add_speed_up("sum", call_reduce, "omp-sum", SPEED_UP_ITEMS, 20);
    add_speed_up("scan", call_scan, "omp-scan-two-passes", SPEED_UP_ITEMS, 10);
    for (size_t size = 1000; size <= most; size *= 10) {
        add_bandwidths(size);
        if (3 * size < most)
            add_bandwidths(3 * size);
    }
    for (unsigned t = 0; t < team_count; t++)
        add_latencies(t);
}

static int
make_teams(bool quick)
{
    for (unsigned workers = 1;
         workers <= 2 * measure_cpus() && team_count < TEAMS_MAX;
         workers *= 2) {
        struct team *team = &teams[team_count], *other = &working[team_count];
        team->workers = other->workers = workers;
        other->controller_works = true;
        team_count++;
        if (team_make(team, SPEED_UP_ITEMS, 0) < 0 ||
            team_make(other, 1000, 0) < 0)
            return SAMPLE_FAILED;
    }
    return team_make(&full, quick ? 10000000 : 100000000, 0);
}

static void
end_teams(void)
{
    for (unsigned t = 0; t < team_count; t++) {
        dsm_cluster_destroy(teams[t].cluster);
        dsm_cluster_destroy(working[t].cluster);
    }
    dsm_cluster_destroy(full.cluster);
}

static int
measure_any_peer(const struct peer_work *work, double *ns)
{
    int status = measure_primitive_peer(work, ns);
    return status == SAMPLE_NOT_AVAILABLE ? measure_sync_peer(work, ns)
                                          : status;
}

int
main(int argc, char **argv)
{
    struct run run = {.program = "bench_sweep",
                      .about =
                          "Measures what bench/plot.sh plots: the speed-up "
                          "of libdsm by workers, bandwidths\n"
                          "by size, and latencies by workers.",
                      .time_limit_s = 60,
                      .figures = figures};
    int status = 0;
    if (argc > 1 && strcmp(argv[1], "--peer") == 0)
        return peer_main(argc, argv, measure_any_peer);
    if (!measure_options(&run, argc, argv, &status))
        return status;
    status = make_teams(run.quick) < 0;
    if (status == 0) {
        add_figures(run.quick);
        run.figure_count = figure_count;
        status = measure_rounds(&run) < 0;
    }
    end_teams();
    if (status == 0)
        status = report(&run) < 0;
    free(run.samples);
    free(run.chosen);
    return status;
}
