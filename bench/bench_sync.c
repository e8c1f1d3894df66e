/* Barriers, regions, locks, queues and splits, beside OpenMP's, MPI's,
 * Python's, pthreads' and the kernel's.  The table at the end says what is
 * measured; the targets in it are aims and decide nothing about the exit
 * status.
 *
 * Clusters and their objects are made once and live through all rounds: their
 * processes sleep while a peer is measured. */
#include "measure.h"
#include "sync_peers.h"

#include <dsm.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_CAPACITY = 1024, SPLIT_SIZE = 1000000 };

/* A cluster and what is measured in it. */
struct team {
    unsigned workers;
    bool controller_works;
    dsm_cluster *cluster;
    dsm_barrier *robust_barrier, *pthread_barrier;
    dsm_lock *lock;
    dsm_queue *queue;
    struct measure_span *spans; /* in shared memory: one of each worker */
};

static struct team pair = {.workers = 2};
static struct team four = {.workers = 4};
static struct team working = {.workers = 2, .controller_works = true};
static struct team *const teams[] = {&pair, &four, &working};

enum { TEAMS = sizeof teams / sizeof *teams };

/* What the first `parties` workers of a team do over and over: a figure's
 * detail. */
struct step {
    const struct team *team;
    int (*once)(dsm_worker *self, const struct team *team);
    unsigned parties;
    bool each; /* an operation is one worker's, not one of all together */
};

/* The argument of do_work.  It carries the team, because the workers' own copy
 * dates from their fork, when the team had no objects yet. */
struct work {
    struct step step;
    struct team team;
    long count;
};

static int
complain(const char *what)
{
    fprintf(stderr, "bench_sync: %s: %s\n", what, dsm_last_error());
    return SAMPLE_FAILED;
}

/* ---- Steps: one operation in a worker; negative when it failed. */

static int
worker_barrier(dsm_worker *self, const struct team *team)
{
    (void)team;
    return dsm_worker_barrier(self);
}

static int
robust_barrier(dsm_worker *self, const struct team *team)
{
    (void)self;
    return dsm_barrier_wait(team->robust_barrier);
}

static int
pthread_barrier(dsm_worker *self, const struct team *team)
{
    (void)self;
    return dsm_barrier_wait(team->pthread_barrier);
}

static int
lock_pair(dsm_worker *self, const struct team *team)
{
    (void)self;
    int error = dsm_lock_acquire(team->lock, DSM_FOREVER);
    return error < 0 ? error : dsm_lock_release(team->lock);
}

static int
queue_pair(dsm_worker *self, const struct team *team)
{
    char message[MESSAGE_SIZE] = {0};
    (void)self;
    int error = dsm_queue_push(team->queue, message, DSM_FOREVER);
    return error < 0 ? error : dsm_queue_pop(team->queue, message, DSM_FOREVER);
}

/* Worker 0 produces, worker 1 consumes. */
static int
queue_end(dsm_worker *self, const struct team *team)
{
    char message[MESSAGE_SIZE] = {0};
    return dsm_worker_id(self) == 0
               ? dsm_queue_push(team->queue, message, DSM_FOREVER)
               : dsm_queue_pop(team->queue, message, DSM_FOREVER);
}

/* Each worker makes its part of a random split, a new one every time. */
static int
split_part(dsm_worker *self, const struct team *team)
{
    static size_t indices[SPLIT_SIZE];
    static uint64_t seed;
    dsm_split_indices(indices, SPLIT_SIZE, team->workers, dsm_worker_id(self),
                      DSM_SPLIT_RANDOM, seed++);
    return 0;
}

static void
repeat_step(dsm_worker *self, const struct work *work, long count)
{
    for (long i = 0; i < count; i++) {
        int error = work->step.once(self, &work->team);
        if (error < 0)
            dsm_worker_fail(self, error, "%s", dsm_last_error());
    }
}

/* The region of all steps.  A warm-up and a barrier make the parties start
 * together. */
static int
do_work(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct work *work = arg;
    unsigned id = dsm_worker_id(self);
    (void)arg_size;
    if (id >= work->step.parties)
        return 0;
    repeat_step(self, work, work->count / 10 + 1);
    if (work->step.parties > 1)
        dsm_worker_barrier(self);
    work->team.spans[id].begin = measure_now();
    repeat_step(self, work, work->count);
    work->team.spans[id].end = measure_now();
    return 0;
}

static int
sample_step(const struct figure *figure, long count, double *ns)
{
    const struct step *step = figure->detail;
    struct work work = {*step, *step->team, count};
    if (dsm_cluster_run(work.team.cluster, do_work, &work, sizeof work) < 0)
        return complain(figure->name);
    double operations = (double)count * (step->each ? step->parties : 1);
    double seconds = measure_overall(work.team.spans, step->parties);
    *ns = seconds / operations * 1e9;
    return SAMPLE_TAKEN;
}

/* ---- Regions, and clusters themselves. */

static int
do_nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

static int
run_region(void *cluster)
{
    return dsm_cluster_run(cluster, do_nothing, NULL, 0);
}

static int
sample_region(const struct figure *figure, long count, double *ns)
{
    const struct team *team = figure->detail;
    if (measure_loop(run_region, team->cluster, count, ns) < 0)
        return complain(figure->name);
    return SAMPLE_TAKEN;
}

static int
sample_region_idle(const struct figure *figure, long count, double *ns)
{
    const struct team *team = figure->detail;
    if (measure_singly(run_region, team->cluster, count, IDLE_MS, ns) < 0)
        return complain(figure->name);
    return SAMPLE_TAKEN;
}

static int
create_and_destroy(void *context)
{
    const unsigned *workers = context;
    dsm_cluster *cluster;
    int error = dsm_cluster_create(&cluster, *workers, NULL);
    if (error == 0)
        dsm_cluster_destroy(cluster);
    return error;
}

static int
sample_create(const struct figure *figure, long count, double *ns)
{
    unsigned workers = 2;
    if (measure_singly(create_and_destroy, &workers, count, 0, ns) < 0)
        return complain(figure->name);
    return SAMPLE_TAKEN;
}

/* ---- Teams. */

static int
make_objects(struct team *team)
{
    dsm_cluster *cluster = team->cluster;
    dsm_array *spans;
    int error = dsm_array_create(&spans, cluster, "spans",
                                 DSM_STRUCT(sizeof(struct measure_span)),
                                 DSM_SHAPE(team->workers));
    if (error < 0)
        return error;
    team->spans = dsm_array_data(spans);
    error = dsm_barrier_create(&team->robust_barrier, cluster, "robust",
                               team->workers, DSM_BARRIER_ROBUST);
    if (error < 0)
        return error;
    error = dsm_barrier_create(&team->pthread_barrier, cluster, "pthread",
                               team->workers, DSM_BARRIER_PTHREAD);
    if (error < 0)
        return error;
    error = dsm_lock_create(&team->lock, cluster, "lock");
    if (error < 0)
        return error;
    return dsm_queue_create(&team->queue, cluster, "queue", QUEUE_CAPACITY,
                            MESSAGE_SIZE);
}

static int
make_team(struct team *team)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    options.controller_works = team->controller_works;
    if (dsm_cluster_create(&team->cluster, team->workers, &options) < 0)
        return complain("creating a cluster");
    if (make_objects(team) < 0)
        return complain("creating its objects");
    return 0;
}

/* ---- The table. */

static const struct figure figures[] = {
    {.group = "barrier of 2",
     .name = "dsm_worker_barrier",
     .sample = sample_step,
     .detail = &(const struct step){&pair, worker_barrier, 2, false},
     .count = 100000},
    {.name = OPENMP ", active",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"omp-barrier", 2, "active", PEER_SELF},
     .count = 100000,
     .most_ratio = 0.4,
     .most_ratio_separate = 0.8},
    {.name = "pthread barrier, processes",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pthread-barrier", 2, NULL, PEER_SELF},
     .count = 5000,
     .most_ratio = 1.0 / 50},
    {.name = "pthread barrier, a CPU each",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pthread-barrier-spread", 2, NULL,
                                         PEER_SELF},
     .count = 5000,
     .most_ratio = 1.0 / 50},
    {.name = "MPI_Barrier",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"mpi-barrier", 2, NULL, PEER_MPI},
     .count = 50000},
    {.name = "dsm_barrier, DSM_BARRIER_PTHREAD",
     .sample = sample_step,
     .detail = &(const struct step){&pair, pthread_barrier, 2, false},
     .count = 5000},
    {.name = "dsm_barrier, DSM_BARRIER_ROBUST",
     .sample = sample_step,
     .detail = &(const struct step){&pair, robust_barrier, 2, false},
     .count = 100000},
    {.group = "barrier of 4, target for 2 CPUs",
     .name = "dsm_worker_barrier",
     .sample = sample_step,
     .detail = &(const struct step){&four, worker_barrier, 4, false},
     .count = 2000},
    {.name = OPENMP ", default",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"omp-barrier", 4, NULL, PEER_SELF},
     .count = 2000,
     .most_ratio = 1.0},
    {.name = "pthread barrier, processes",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pthread-barrier", 4, NULL, PEER_SELF},
     .count = 2000},
    {.name = "MPI_Barrier",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"mpi-barrier", 4, NULL, PEER_MPI},
     .count = 2000},
    {.name = "dsm_barrier, DSM_BARRIER_ROBUST",
     .sample = sample_step,
     .detail = &(const struct step){&four, robust_barrier, 4, false},
     .count = 2000},
    {.group = "empty region of 2, the controller works",
     .name = "dsm_cluster_run",
     .sample = sample_region,
     .detail = &working,
     .count = 50000},
    {.name = OPENMP ", active",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"omp-region", 2, "active", PEER_SELF},
     .count = 50000,
     .most_ratio = 1.0},
    {.group = "the same, after 2 ms idle",
     .name = "dsm_cluster_run",
     .sample = sample_region_idle,
     .detail = &working,
     .count = 20},
    {.name = OPENMP ", active",
     .sample = measure_peer,
     .detail =
         &(const struct peer_call){"omp-region-idle", 2, "active", PEER_SELF},
     .count = 20},
    {.name = OPENMP ", default",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"omp-region-idle", 2, NULL, PEER_SELF},
     .count = 20},
    {.group = "empty region of 2 workers",
     .name = "dsm_cluster_run",
     .sample = sample_region,
     .detail = &pair,
     .count = 3000,
     .most_ns = 60e3},
    {.name = "dsm_cluster_run, after 2 ms idle",
     .sample = sample_region_idle,
     .detail = &pair,
     .count = 20,
     .most_ns = 60e3},
    {.name = "fork + waitpid",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"fork", 2, NULL, PEER_SELF},
     .count = 50},
    {.name = "fork + waitpid, 256 MiB in use",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"fork-heap", 2, NULL, PEER_SELF},
     .count = 5},
    {.name = "multiprocessing Pool.map, 2 items",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pool-region", 2, NULL, PEER_PYTHON},
     .count = 200},
    {.group = "create + destroy a cluster of 2",
     .name = "dsm_cluster_create, _destroy",
     .sample = sample_create,
     .detail = NULL,
     .count = 10,
     .most_ns = 5e6},
    {.group = "lock and unlock, uncontended",
     .name = "dsm_lock",
     .sample = sample_step,
     .detail = &(const struct step){&pair, lock_pair, 1, true},
     .count = 500000,
     .most_ns = 60},
    {.name = "pthread mutex",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"mutex", 1, NULL, PEER_SELF},
     .count = 500000},
    {.name = "pthread mutex, shared and robust",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"robust-mutex", 1, NULL, PEER_SELF},
     .count = 500000},
    {.group = "lock and unlock, 2 contend",
     .name = "dsm_lock",
     .sample = sample_step,
     .detail = &(const struct step){&pair, lock_pair, 2, true},
     .count = 50000},
    {.name = "pthread mutex, shared and robust",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"robust-mutex", 2, NULL, PEER_SELF},
     .count = 50000},
    {.group = "push and pop 64 bytes, 1 process",
     .name = "dsm_queue",
     .sample = sample_step,
     .detail = &(const struct step){&pair, queue_pair, 1, false},
     .count = 100000},
    {.name = "pipe",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pipe", 1, NULL, PEER_SELF},
     .count = 50000},
    {.group = "1 producer, 1 consumer, per message",
     .name = "dsm_queue",
     .sample = sample_step,
     .detail = &(const struct step){&pair, queue_end, 2, false},
     .count = 50000},
    {.name = "pipe",
     .sample = measure_peer,
     .detail = &(const struct peer_call){"pipe", 2, NULL, PEER_SELF},
     .count = 50000},
    {.group = "split_indices of 1e6, random, 2 workers",
     .name = "dsm_split_indices",
     .sample = sample_step,
     .detail = &(const struct step){&pair, split_part, 2, false},
     .count = 10,
     .most_ns = 5e6},
};

int
main(int argc, char **argv)
{
    struct run run = {.program = "bench_sync",
                      .about = "Measures libdsm's barriers, regions, locks, "
                               "queues and splits beside their peers.",
                      .time_limit_s = 45,
                      .figures = figures,
                      .figure_count = sizeof figures / sizeof *figures};
    int status = 0;
    if (argc > 1 && strcmp(argv[1], "--peer") == 0)
        return peer_main(argc, argv, measure_sync_peer);
    if (!measure_options(&run, argc, argv, &status))
        return status;
    for (size_t i = 0; i < TEAMS && status == 0; i++)
        status = make_team(teams[i]) < 0;
    if (status == 0)
        status = measure_rounds(&run) < 0;
    for (size_t i = 0; i < TEAMS; i++)
        dsm_cluster_destroy(teams[i]->cluster);
    if (status == 0)
        status = report(&run) < 0;
    free(run.samples);
    free(run.chosen);
    return status;
}
