/* Each kill point of the library (src/base/point.h): a process of every kind
 * that comes to it dies there, and what the others find is as documented.
 *
 * All kinds go through the same tour, in which everything is used.  A row says
 * who dies at which point, and its test fails if nobody came there.  The check
 * "points" demands a row of each point. */
#include "hosts.h"

#include "base/point.h"
#include "cluster/cluster.h"
#include "cluster/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#define GRACE_MS 100
#define LARGE ((size_t)20000)
#define JOBS 8

enum who { CONTROLLER, GUEST, SUPERVISOR, WORKER, SWEEPER };

/* The n-th time that one of them comes to the point. */
static const struct row {
    const char *point;
    enum who who;
    int n;
} rows[] = {
    /* Creating, and the end. */
    {"control.created", CONTROLLER, 1},
    {"control.written", CONTROLLER, 1},
    {"control.launch", CONTROLLER, 1},
    {"control.launched", CONTROLLER, 1},
    {"control.stop", CONTROLLER, 1},
    {"control.leave", CONTROLLER, 1},
    {"segment.create", CONTROLLER, 1},
    {"segment.allocate", CONTROLLER, 1},
    {"supervisor.start", SUPERVISOR, 1},
    {"supervisor.fork", SUPERVISOR, 1},
    {"supervisor.fork", SUPERVISOR, 2},
    {"supervisor.unlink", SUPERVISOR, 1},
    {"remains.unlink", SUPERVISOR, 1},
    {"remains.arrays", SUPERVISOR, 1},
    {"worker.born", WORKER, 1},
    {"worker.start", WORKER, 1},
    {"worker.ready", WORKER, 1},
    {"worker.finish", WORKER, 1},
    /* Attaching. */
    {"attach.locked", GUEST, 1},
    {"attach.mapped", GUEST, 1},
    {"attach.hello", GUEST, 1},
    {"attach.welcome", GUEST, 1},
    {"control.leave", GUEST, 1},
    {"supervisor.accept", SUPERVISOR, 1},
    {"supervisor.hello", SUPERVISOR, 1},
    {"supervisor.forget", SUPERVISOR, 1},
    /* Objects. */
    {"object.lock", CONTROLLER, 3},
    {"object.lock", GUEST, 3},
    {"object.lock", WORKER, 2},
    {"object.new", CONTROLLER, 1},
    {"object.new", GUEST, 1},
    {"object.new", WORKER, 1},
    {"object.publish", CONTROLLER, 1},
    {"object.publish", GUEST, 1},
    {"object.publish", WORKER, 1},
    {"object.remove", CONTROLLER, 1},
    {"object.remove", GUEST, 1},
    {"object.unlinked", CONTROLLER, 1},
    {"object.unlinked", GUEST, 1},
    {"object.recover", CONTROLLER, 1},
    {"object.recover", WORKER, 1},
    {"segment.create", GUEST, 1},
    {"segment.create", WORKER, 1},
    {"segment.allocate", CONTROLLER, 2},
    {"segment.allocate", GUEST, 1},
    {"segment.allocate", WORKER, 1},
    {"segment.remove", CONTROLLER, 1},
    {"segment.remove", GUEST, 1},
    {"array.create", CONTROLLER, 1},
    {"array.create", GUEST, 1},
    {"array.create", WORKER, 1},
    {"array.fill", CONTROLLER, 1},
    {"array.fill", GUEST, 1},
    {"array.fill", WORKER, 1},
    {"array.load", CONTROLLER, 1},
    {"array.load", GUEST, 1},
    /* Locks, barriers, queues. */
    {"lock.acquire", CONTROLLER, 1},
    {"lock.acquire", GUEST, 1},
    {"lock.acquire", WORKER, 1},
    {"lock.held", CONTROLLER, 1},
    {"lock.held", GUEST, 1},
    {"lock.held", WORKER, 1},
    {"lock.waited", WORKER, 1},
    {"lock.release", CONTROLLER, 1},
    {"lock.release", GUEST, 1},
    {"lock.release", WORKER, 1},
    {"lock.released", CONTROLLER, 1},
    {"lock.released", GUEST, 1},
    {"lock.released", WORKER, 1},
    {"gate.wait", CONTROLLER, 1},
    {"gate.wait", GUEST, 1},
    {"gate.wait", WORKER, 1},
    {"gate.arrived", WORKER, 1},
    {"gate.complete", CONTROLLER, 1},
    {"gate.complete", GUEST, 1},
    {"gate.complete", WORKER, 1},
    {"barrier.pthread", WORKER, 1},
    {"barrier.passed", WORKER, 1},
    {"queue.push", CONTROLLER, 1},
    {"queue.push", GUEST, 1},
    {"queue.push", WORKER, 1},
    {"queue.pop", CONTROLLER, 1},
    {"queue.pop", GUEST, 1},
    {"queue.pop", WORKER, 1},
    {"queue.moved", CONTROLLER, 1},
    {"queue.moved", GUEST, 1},
    {"queue.moved", WORKER, 1},
    {"queue.wake", CONTROLLER, 1},
    {"queue.wake", GUEST, 1},
    {"queue.wake", WORKER, 1},
    {"queue.close", CONTROLLER, 1},
    {"queue.close", GUEST, 1},
    {"wait.woken", CONTROLLER, 1},
    {"wait.woken", SUPERVISOR, 1},
    {"wait.woken", WORKER, 1},
    /* Regions. */
    {"region.start", CONTROLLER, 1},
    {"region.started", CONTROLLER, 1},
    {"region.collect", CONTROLLER, 1},
    {"region.mend", CONTROLLER, 1},
    {"region.done", WORKER, 1},
    {"region.done", SUPERVISOR, 1},
    {"part.begin", WORKER, 1},
    {"part.end", WORKER, 1},
    {"part.ended", WORKER, 1},
    {"relay.take", WORKER, 1},
    {"relay.give", WORKER, 1},
    {"loop.chunk", WORKER, 1},
    {"supervisor.serve", SUPERVISOR, 1},
    {"supervisor.end_part", SUPERVISOR, 1},
    {"supervisor.fork", SUPERVISOR, 3},
    {"supervisor.refresh", SUPERVISOR, 1},
    /* Jobs. */
    {"job.board", CONTROLLER, 1},
    {"job.board", GUEST, 1},
    {"job.fill", CONTROLLER, 1},
    {"job.fill", GUEST, 1},
    {"job.push", CONTROLLER, 1},
    {"job.push", GUEST, 1},
    {"job.shown", CONTROLLER, 1},
    {"job.shown", GUEST, 1},
    {"job.read", CONTROLLER, 1},
    {"job.read", GUEST, 1},
    {"job.recycle", CONTROLLER, 1},
    {"job.recycle", GUEST, 1},
    {"job.take", WORKER, 1},
    {"job.claimed", WORKER, 1},
    {"job.again", WORKER, 1},
    {"job.call", WORKER, 1},
    {"job.publish", WORKER, 1},
    {"job.return", WORKER, 1},
    {"job.commit", WORKER, 1},
    {"job.committed", WORKER, 1},
    {"job.tell", WORKER, 1},
    {"job.telling", WORKER, 1},
    {"bell.ring", WORKER, 1},
    {"job.empty", WORKER, 1},
    {"job.emptied", WORKER, 1},
    {"job.tell", SUPERVISOR, 1},
    {"job.telling", SUPERVISOR, 1},
    {"job.requeue", SUPERVISOR, 1},
    {"job.failed", SUPERVISOR, 1},
    {"job.settle", SUPERVISOR, 1},
    {"parcel.write", CONTROLLER, 1},
    {"parcel.write", GUEST, 1},
    {"parcel.write", WORKER, 1},
    {"supervisor.bury_jobs", SUPERVISOR, 1},
    {"supervisor.doom", SUPERVISOR, 1},
    /* Taking remains away. */
    {"remains.locked", SWEEPER, 1},
    {"remains.sweep", SWEEPER, 1},
    {"remains.unlink", SWEEPER, 1},
    {"remains.arrays", SWEEPER, 1},
    {"remains.orphans", SWEEPER, 1},
    {"segment.create", SWEEPER, 1},
};

#define ROWS (int)(sizeof rows / sizeof *rows)

/* Who dies first, so that the point is come to at all. */
static const struct row before_recovery[] = {
    [CONTROLLER] = {"array.create", GUEST, 1},
    [WORKER] = {"array.create", WORKER, 1},
};

/* Lies in test_shared. */
struct stage {
    char name[DSM_NAME_MAX + 1]; /* of the cluster */
    char path[64];               /* of a file of NumPy's */
    _Atomic int32_t supervisor;
    _Atomic int guests;     /* so many may come */
    _Atomic int second;     /* worker 1 is in the region */
    _Atomic int creating;   /* worker 0 has begun to create an array */
    _Atomic int32_t holder; /* it holds the lock */
    _Atomic int32_t waiter; /* it is about to wait for the lock */
    _Atomic int inside;     /* jobs that do not end by themselves */
    _Atomic int suicides;   /* of jobs */
    struct row death[2];    /* who is to die, in turn */
    int all;
    _Atomic int deaths, reached[2]; /* of each of these, how often its point */
};

_Static_assert(sizeof(struct stage) <= 4096, "it fits");

static struct stage *
stage(void)
{
    return test_shared;
}

/* ---- Death. */

static enum who program; /* what this process began as */

static enum who
kind_here(const char *point)
{
    char name[16] = "";

    prctl(PR_GET_NAME, name);
    if (strcmp(point, "supervisor.start") == 0)
        stage()->supervisor = getpid();
    if (getpid() == stage()->supervisor)
        return SUPERVISOR;
    return strncmp(name, "dsm-", 4) == 0 ? WORKER : program;
}

static void
reach(const char *point)
{
    int next = stage()->deaths;
    const struct row *death = &stage()->death[next];

    if (strcmp(point, "supervisor.start") != 0 &&
        (next == stage()->all || strcmp(point, death->point) != 0))
        return;
    if (kind_here(point) != death->who || strcmp(point, death->point) != 0)
        return;
    /* One process alone counts to n. */
    if (atomic_fetch_add(&stage()->reached[next], 1) + 1 != death->n)
        return;
    stage()->deaths++;
    kill(getpid(), SIGKILL);
}

static void
plan(const struct row *row)
{
    stage()->all = 0;
    if (strcmp(row->point, "object.recover") == 0)
        stage()->death[stage()->all++] = before_recovery[row->who];
    stage()->death[stage()->all++] = *row;
    dsm__point_hook = reach;
}

static bool
all_died(const void *arg)
{
    (void)arg;
    return stage()->deaths == stage()->all;
}

/* ---- The tour. */

struct tour {
    dsm_cluster *cluster;
    enum who victim;
    bool strict; /* nobody dies any more */
};

/* What a call may give when somebody else dies meanwhile. */
static void
step(const struct tour *tour, int code, const char *what)
{
    bool well = code >= 0;

    if (!tour->strict && tour->victim == WORKER)
        well = well || code == DSM_EWORKER;
    if (!tour->strict && tour->victim == SUPERVISOR)
        well = well || code == DSM_ESTALE || code == DSM_EWORKER;
    ck_assert_msg(well, "%s: %s (%s)", what, dsm_errname(code),
                  dsm_last_error());
}

#define STEP(call) step(tour, call, #call)

static char
prefix(void)
{
    return program == GUEST ? 'g' : 'c';
}

static const char *
name_of(const char *object)
{
    static char name[4][16];
    static unsigned next;

    next = (next + 1) % 4;
    snprintf(name[next], sizeof *name, "%c%s", prefix(), object);
    return name[next];
}

/* What one who died has left. */
static void
clear(const struct tour *tour)
{
    static const char *const arrays[] = {"A", "C"};
    dsm_array *array;
    dsm_lock *lock;
    dsm_queue *queue;
    dsm_barrier *barrier;

    for (int k = 0; k < 2; k++)
        if (dsm_array_open(&array, tour->cluster, name_of(arrays[k]),
                           DSM_ANY) == 0)
            STEP(dsm_array_destroy(array));
    if (dsm_lock_open(&lock, tour->cluster, name_of("L")) == 0)
        STEP(dsm_lock_destroy(lock));
    if (dsm_queue_open(&queue, tour->cluster, name_of("Q")) == 0)
        STEP(dsm_queue_destroy(queue));
    if (dsm_barrier_open(&barrier, tour->cluster, name_of("R")) == 0)
        STEP(dsm_barrier_destroy(barrier));
}

static void
use_arrays(const struct tour *tour)
{
    dsm_array *array, *loaded, *view;

    STEP(dsm_array_create(&array, tour->cluster, name_of("A"), DSM_FLOAT64,
                          DSM_SHAPE(30, 100)));
    if (!array)
        return;
    STEP(dsm_array_view(&view, array, 3, 7));
    STEP(dsm_array_save(array, stage()->path));
    STEP(dsm_array_load(&loaded, tour->cluster, name_of("C"), stage()->path));
    STEP(dsm_array_destroy(loaded));
    STEP(dsm_array_destroy(array));
}

static void
use_sync(const struct tour *tour)
{
    dsm_lock *lock;
    dsm_queue *queue;
    dsm_barrier *barrier;
    int message = 3;

    STEP(dsm_lock_create(&lock, tour->cluster, name_of("L")));
    STEP(dsm_queue_create(&queue, tour->cluster, name_of("Q"), 2,
                          sizeof message));
    STEP(dsm_barrier_create(&barrier, tour->cluster, name_of("R"), 1,
                            DSM_BARRIER_ROBUST));
    if (!lock || !queue || !barrier)
        return;
    STEP(dsm_lock_acquire(lock, 10000));
    STEP(dsm_lock_release(lock));
    STEP(dsm_queue_push(queue, &message, 10000));
    STEP(dsm_queue_pop(queue, &message, 10000));
    STEP(dsm_queue_close(queue));
    STEP(dsm_barrier_wait(barrier));
    STEP(dsm_lock_destroy(lock));
    STEP(dsm_queue_destroy(queue));
    STEP(dsm_barrier_destroy(barrier));
}

/* ---- What workers do. */

struct tools {
    dsm_lock *lock;
    dsm_queue *queue;
    dsm_barrier *robust, *pthread;
};

static bool
worker_creates(const void *self)
{
    return stage()->creating || dsm_worker_cancelled(self);
}

static bool
the_other_is_in(const void *self)
{
    return stage()->second || dsm_worker_cancelled(self);
}

/* Worker 0 begins first: who comes second finds what it left.  It waits until
 * that one is in the region, which does not begin one that has lost a worker.
 */
static int
create_own(dsm_worker *self)
{
    unsigned id = dsm_worker_id(self);
    dsm_array *array;
    char name[8];

    if (id == 0) {
        (void)test_poll(the_other_is_in, self);
        stage()->creating = 1;
    } else {
        stage()->second = 1;
        (void)test_poll(worker_creates, self);
    }
    snprintf(name, sizeof name, "w%u", id);
    return dsm_array_create(&array, dsm_worker_cluster(self), name, DSM_INT8,
                            DSM_SHAPE(10000));
}

static bool
lock_is_held(const void *self)
{
    return stage()->holder || dsm_worker_cancelled(self);
}

static bool
somebody_waits(const void *self)
{
    pid_t waiter = stage()->waiter;

    return (waiter && test_asleep(&waiter)) || dsm_worker_cancelled(self);
}

/* Worker 1 waits for the lock that worker 0 holds. */
static int
contend(dsm_worker *self, dsm_lock *lock)
{
    bool first = dsm_worker_id(self) == 0;
    int error;

    if (!first && test_poll(lock_is_held, self))
        stage()->waiter = getpid();
    error = dsm_lock_acquire(lock, DSM_FOREVER);
    if (error < 0)
        return error;
    if (first) {
        stage()->holder = 1;
        (void)test_poll(somebody_waits, self);
    }
    return dsm_lock_release(lock);
}

static int
use_all(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;
    int message = 1, error;

    (void)arg_size;
    error = create_own(self);
    if (error >= 0)
        error = dsm_worker_barrier(self);
    if (error >= 0)
        error = contend(self, tools->lock);
    if (error >= 0)
        error = dsm_queue_push(tools->queue, &message, DSM_FOREVER);
    if (error >= 0)
        error = dsm_queue_pop(tools->queue, &message, DSM_FOREVER);
    if (error >= 0)
        error = dsm_barrier_wait(tools->robust);
    if (error >= 0)
        error = dsm_barrier_wait(tools->pthread);
    return error < 0 && !dsm_worker_cancelled(self) ? error : 0;
}

static void
make_tools(const struct tour *tour, struct tools *tools)
{
    dsm_cluster *cluster = tour->cluster;

    if (dsm_lock_open(&tools->lock, cluster, "L") == 0)
        STEP(dsm_queue_open(&tools->queue, cluster, "Q"));
    if (tools->queue) {
        STEP(dsm_barrier_open(&tools->robust, cluster, "R"));
        STEP(dsm_barrier_open(&tools->pthread, cluster, "P"));
        return;
    }
    STEP(dsm_lock_create(&tools->lock, cluster, "L"));
    /* With room for what is left when one dies in between. */
    STEP(dsm_queue_create(&tools->queue, cluster, "Q", 16, sizeof(int)));
    STEP(dsm_barrier_create(&tools->robust, cluster, "R", 2,
                            DSM_BARRIER_ROBUST));
    STEP(dsm_barrier_create(&tools->pthread, cluster, "P", 2,
                            DSM_BARRIER_PTHREAD));
}

/* Or is gone. */
static bool
rests(const void *pid)
{
    return test_process_state(*(const pid_t *)pid) != 'R';
}

/* So that who starts a region has somebody to wake. */
static void
let_workers_sleep(dsm_cluster *cluster)
{
    for (unsigned w = 0; w < 2; w++) {
        pid_t pid = test_pid(cluster, w);

        test_await(rests, &pid);
    }
}

static void
use_region(const struct tour *tour)
{
    struct tools tools = {0};
    dsm_array *array;
    char name[8];

    make_tools(tour, &tools);
    let_workers_sleep(tour->cluster);
    stage()->second = stage()->creating = 0;
    stage()->holder = stage()->waiter = 0;
    STEP(dsm_cluster_run(tour->cluster, use_all, &tools, sizeof tools));
    for (int w = 0; w < 2; w++) {
        snprintf(name, sizeof name, "w%d", w);
        if (dsm_array_open(&array, tour->cluster, name, DSM_ANY) == 0)
            STEP(dsm_array_destroy(array));
    }
}

static void
touch(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self, (void)begin, (void)end, (void)arg;
}

static void
use_primitives(const struct tour *tour)
{
    size_t n = 200000;
    dsm_array *array;

    STEP(dsm_for(tour->cluster, 100, DSM_SCHEDULE_DYNAMIC, 1, touch, NULL, 0));
    STEP(dsm_array_create(&array, tour->cluster, name_of("A"), DSM_INT64,
                          DSM_SHAPE(n)));
    if (!array)
        return;
    STEP(dsm_scan(tour->cluster, array, array, &DSM_SUM, DSM_SCAN_INCLUSIVE));
    STEP(dsm_array_destroy(array));
}

static bool
the_other_ended(const void *worker)
{
    const dsm_worker *self = worker;

    return dsm__part_ended(self->control, 1, self->region);
}

/* Last: the supervisor ends the region. */
static int
die_in_region(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 0) {
        (void)test_poll(the_other_ended, self);
        raise(SIGKILL);
    }
    return 0;
}

/* ---- Jobs. */

static int
return_much(dsm_worker *self, const void *arg, size_t arg_size)
{
    int error = dsm_worker_publish(self, arg, arg_size, 0);

    return error ? error : dsm_worker_return(self, arg, arg_size);
}

static int
die_once(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    if (atomic_fetch_add(&stage()->suicides, 1) == 0)
        raise(SIGKILL);
    return 0;
}

static int
stay(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    stage()->inside = 1;
    pause_for_ever();
}

static bool
is_inside(const void *arg)
{
    (void)arg;
    return stage()->inside || stage()->deaths == stage()->all;
}

static void
end_job(const struct tour *tour, dsm_job *job, int expected)
{
    int code;

    if (!job)
        return;
    code = dsm_job_result(job, NULL, NULL, 20000);
    if (code != expected)
        step(tour, tour->strict ? -1 : code, "a job");
    dsm_job_release(job);
}

static void
lose_jobs(const struct tour *tour)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job;

    for (unsigned retries = 0; retries < 2; retries++) {
        stage()->suicides = 0;
        options.retries = 5 * retries;
        STEP(dsm_job_submit(&job, tour->cluster, die_once, NULL, 0, &options));
        end_job(tour, job, retries ? 0 : DSM_EWORKER);
    }
    stage()->inside = 0;
    options.retries = 0;
    STEP(dsm_job_submit(&job, tour->cluster, stay, NULL, 0, &options));
    if (!job)
        return;
    test_await(is_inside, NULL);
    STEP(dsm_job_cancel(job, 0));
    end_job(tour, job, DSM_ECANCELED);
}

/* With arguments and results that need segments. */
static void
use_jobs(const struct tour *tour, dsm_fn fn, int expected)
{
    static const char large[LARGE];
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job[JOBS];
    int fd = dsm_cluster_fd(tour->cluster);

    STEP(fd < 0 ? fd : 0);
    options.retries = 5;
    for (int k = 0; k < JOBS; k++)
        STEP(
            dsm_job_submit(&job[k], tour->cluster, fn, large, LARGE, &options));
    STEP(job[0] ? dsm_cluster_drain(tour->cluster, 20000) : 0);
    for (int k = 0; k < JOBS; k++)
        end_job(tour, job[k], expected);
}

/* ---- Programs. */

static void
begin(const char *name)
{
    strcpy(stage()->name, name);
    snprintf(stage()->path, sizeof stage()->path, "/dev/shm/%s.npy", name);
}

static bool
may_come(const void *number)
{
    return stage()->guests >= *(const int *)number;
}

/* Attaches when it may, uses what it can and leaves. */
static int
visit(const struct tour *give, int number)
{
    void (*any)(void) = (void (*)(void))getppid;
    struct tour tour = *give;
    int error;

    host_begin();
    program = GUEST;
    if (!test_poll(may_come, &number))
        return 1;
    error = dsm_cluster_attach(&tour.cluster, stage()->name);
    if (error != -ENOENT || tour.strict || tour.victim != SUPERVISOR)
        step(&tour, error, "attach");
    if (error)
        return 0;
    clear(&tour);
    use_arrays(&tour);
    use_sync(&tour);
    /* That function gives an error, as a job, where workers find it. */
    use_jobs(&tour, (dsm_fn)any, DSM_EFAILED);
    dsm_cluster_destroy(tour.cluster);
    return 0;
}

static int
first_guest(void *tour)
{
    return visit(tour, 1);
}

static int
second_guest(void *tour)
{
    struct tour strict = *(struct tour *)tour;

    strict.strict = true;
    return visit(&strict, 2);
}

/* All that a controller does with a cluster; `guest` comes in between. */
static void
go_round(const struct tour *tour, pid_t guest)
{
    int status;

    clear(tour);
    if (guest) {
        stage()->guests++;
        status = test_reap(guest);
        ck_assert_int_eq(status, !tour->strict && stage()->death[0].who == GUEST
                                     ? SIGKILL
                                     : 0);
    }
    use_arrays(tour);
    use_sync(tour);
    use_region(tour);
    use_primitives(tour);
    if (dsm_cluster_run(tour->cluster, die_in_region, NULL, 0) != DSM_EWORKER)
        step(tour, tour->strict ? -1 : DSM_ESTALE, "a death in a region");
    use_jobs(tour, return_much, 0);
    lose_jobs(tour);
    STEP(dsm_cluster_refresh(tour->cluster));
}

static int
create(struct tour *tour)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    options.name = stage()->name;
    options.grace_ms = GRACE_MS;
    return dsm_cluster_create(&tour->cluster, 2, &options);
}

static int
controller(void *argument)
{
    struct tour *tour = argument;
    pid_t guest = 0;

    host_begin();
    if (stage()->death[0].who == GUEST)
        guest = test_host(first_guest, tour);
    if (create(tour) == 0)
        go_round(tour, guest);
    dsm_cluster_destroy(tour->cluster);
    return 0;
}

/* ---- What is left. */

/* Asserts that another cluster can have the name, and is whole, and that the
 * neighbour was not touched. */
static void
ck_afterwards(dsm_cluster *neighbour)
{
    struct tour next = {.strict = true};

    dsm__point_hook = NULL;
    ck_dsm(create(&next));
    test_whole(next.cluster);
    dsm_cluster_destroy(next.cluster);
    ck_assert(test_nothing_left(stage()->name));
    test_whole(neighbour);
    dsm_cluster_destroy(neighbour);
    unlink(stage()->path);
    test_await(test_alone, NULL);
}

static bool
name_is_free(const void *arg)
{
    struct tour next = {.strict = true};

    (void)arg;
    if (create(&next) < 0)
        return false;
    dsm_cluster_destroy(next.cluster);
    return true;
}

/* Its supervisor takes everything away, or if it has none yet, the next who
 * creates a cluster. */
static void
controller_dies(const struct row *row)
{
    struct tour tour = {.victim = CONTROLLER};
    dsm_cluster *neighbour = test_cluster(1);

    begin(test_name());
    plan(row);
    ck_assert_int_eq(test_reap(test_host(controller, &tour)), SIGKILL);
    ck_assert_int_eq(stage()->deaths, stage()->all);
    dsm__point_hook = NULL;
    test_await(name_is_free, NULL);
    ck_afterwards(neighbour);
}

/* Its cluster tells, is whole again, and goes on. */
static void
worker_dies(const struct row *row)
{
    struct tour tour = {.victim = WORKER};
    dsm_cluster *neighbour = test_cluster(1);

    begin(test_name());
    plan(row);
    ck_dsm(create(&tour));
    go_round(&tour, 0);
    tour.strict = true;
    go_round(&tour, 0);
    dsm_cluster_destroy(tour.cluster);
    test_await(all_died, NULL);
    ck_afterwards(neighbour);
}

/* The cluster goes on, and another may come. */
static void
guest_dies(const struct row *row)
{
    struct tour tour = {.victim = GUEST};
    dsm_cluster *neighbour = test_cluster(1);
    pid_t guest[2];

    begin(test_name());
    plan(row);
    guest[0] = test_host(first_guest, &tour);
    guest[1] = test_host(second_guest, &tour);
    ck_dsm(create(&tour));
    go_round(&tour, guest[0]);
    ck_assert_int_eq(stage()->deaths, stage()->all);
    tour.strict = true;
    go_round(&tour, guest[1]);
    dsm_cluster_destroy(tour.cluster);
    ck_afterwards(neighbour);
}

static bool
is_stale(const void *cluster)
{
    return dsm_cluster_run((dsm_cluster *)(uintptr_t)cluster, test_whole_part,
                           NULL, 0) == DSM_ESTALE;
}

/* All calls say so, and the controller takes everything away. */
static void
supervisor_dies(const struct row *row)
{
    struct tour tour = {.victim = SUPERVISOR};
    dsm_cluster *neighbour = test_cluster(1);
    pid_t guest;
    int error;

    begin(test_name());
    plan(row);
    guest = test_host(first_guest, &tour);
    error = create(&tour);
    step(&tour, error, "create");
    if (error == 0) {
        go_round(&tour, guest);
        if (all_died(NULL))
            test_await(is_stale, tour.cluster);
    } else {
        stage()->guests++;
        ck_assert_int_eq(test_reap(guest), 0);
    }
    dsm_cluster_destroy(tour.cluster);
    test_await(all_died, NULL);
    ck_afterwards(neighbour);
}

static int
sweep(void *argument)
{
    (void)argument;
    host_begin();
    program = SWEEPER;
    return dsm_cluster_remove(stage()->name, false);
}

/* The next one takes away what it has left. */
static void
sweeper_dies(const struct row *row)
{
    dsm_cluster *neighbour;
    const char *name;
    char path[128];

    if (!private_shm())
        return;
    neighbour = test_cluster(1);
    name = make_stale();
    memset(test_shared, 0, sizeof *stage());
    begin(name);
    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s", (unsigned long)geteuid(),
             name);
    /* Then it has to make a tombstone. */
    if (strncmp(row->point, "remains.orphans", 15) == 0 ||
        strncmp(row->point, "segment", 7) == 0)
        ck_assert_int_eq(unlink(path), 0);
    plan(row);
    ck_assert_int_eq(test_reap(test_host(sweep, NULL)), SIGKILL);
    ck_assert_int_eq(stage()->deaths, 1);
    ck_assert(!test_nothing_left(name));
    dsm__point_hook = NULL;
    ck_dsm(dsm_cluster_remove(name, false));
    ck_assert(test_nothing_left(name));
    ck_afterwards(neighbour);
}

START_TEST(dies_there)
{
    static void (*const death_of[])(const struct row *row) = {
        [CONTROLLER] = controller_dies, [GUEST] = guest_dies,
        [SUPERVISOR] = supervisor_dies, [WORKER] = worker_dies,
        [SWEEPER] = sweeper_dies,
    };

    death_of[rows[_i].who](&rows[_i]);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("points");
    TCase *tests = test_case(suite, "points");

    tcase_add_loop_test(tests, dies_there, 0, ROWS);
    return test_main(suite);
}
