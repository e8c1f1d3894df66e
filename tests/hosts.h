/* A host program with a cluster that a test means to end: who belongs to it,
 * and whether all of it is gone. */
#ifndef TESTS_HOSTS_H
#define TESTS_HOSTS_H

#include "workers.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SCENE_WORKERS 2

/* Lies in test_shared: what the processes of a test tell each other. */
struct scene {
    char name[DSM_NAME_MAX + 1];
    _Atomic int32_t controller, supervisor, worker[SCENE_WORKERS];
    _Atomic int32_t other;    /* a process that a worker or host made */
    _Atomic int32_t waiting;  /* who is about to wait */
    _Atomic int ready;        /* the host's cluster is as it is to be */
    _Atomic int inside;       /* workers that have begun to compute */
    _Atomic int go;           /* the test lets the others go on */
    _Atomic int done, result; /* of a call */
    _Atomic int calls;        /* of whatever is counted */
    _Atomic double since;     /* a moment by test_now() */
    _Atomic int value[16];    /* whatever a test needs */
};

static inline struct scene *
scene(void)
{
    return test_shared;
}

/* ---- In the host and its workers. */

/* A host dies with its test, has none of the handlers that check installs, and
 * leaves no core file. */
static inline void
host_begin(void)
{
    struct rlimit none = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    setrlimit(RLIMIT_CORE, &none);
}

static inline void
pause_briefly(void)
{
    struct timespec ms = {.tv_nsec = 1000000};

    nanosleep(&ms, NULL);
}

static inline _Noreturn void
pause_for_ever(void)
{
    for (;;)
        pause();
}

static inline int
note_processes(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    /* With options.controller_works one of them is no worker process. */
    if (getpid() == scene()->controller)
        return 0;
    scene()->worker[dsm_worker_id(self)] = getpid();
    scene()->supervisor = getppid();
    return 0;
}

/* Until it is told to leave, if it obeys. */
static inline int
compute(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    atomic_fetch_add(&scene()->inside, 1);
    while (!dsm_worker_cancelled(self))
        pause_briefly();
    return 0;
}

static inline int
compute_on(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    atomic_fetch_add(&scene()->inside, 1);
    pause_for_ever();
}

/* A job: publishes what it is given, and returns it; fails with the code and
 * the sentence of what failed. */
static inline int
give_back(dsm_worker *self, const void *arg, size_t arg_size)
{
    int error = dsm_worker_publish(self, arg, arg_size, 0);

    if (!error)
        error = dsm_worker_return(self, arg, arg_size);
    if (error)
        dsm_worker_fail(self, error, "%s", dsm_last_error());
    return 0;
}

/* Fills a cluster with some of everything, and notes who belongs to it.  0 or
 * the first error. */
static inline int
scene_populate(dsm_cluster *cluster)
{
    dsm_array *array;
    dsm_lock *lock;
    dsm_barrier *barrier;
    dsm_queue *queue;
    int error;

    scene()->controller = getpid();
    error = dsm_array_create(&array, cluster, "A", DSM_FLOAT64,
                             DSM_SHAPE(100, 100));
    if (!error)
        error = dsm_array_create(&array, cluster, "B", DSM_UINT8, DSM_SHAPE(0));
    if (!error)
        error = dsm_lock_create(&lock, cluster, "L");
    if (!error)
        error = dsm_barrier_create(&barrier, cluster, "R", SCENE_WORKERS,
                                   DSM_BARRIER_ROBUST);
    if (!error)
        error = dsm_barrier_create(&barrier, cluster, "P", SCENE_WORKERS,
                                   DSM_BARRIER_PTHREAD);
    if (!error)
        error = dsm_queue_create(&queue, cluster, "Q", 2, 8);
    if (!error)
        error = dsm_cluster_run(cluster, note_processes, NULL, 0);
    return error;
}

/* Creates the scene's cluster; scene()->name was set.  Its grace is long, so
 * that whoever waits for the end of it is too late. */
static inline int
scene_create(dsm_cluster **cluster)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    int error;

    options.name = scene()->name;
    options.grace_ms = 60000;
    error = dsm_cluster_create(cluster, SCENE_WORKERS, &options);
    return error ? error : scene_populate(*cluster);
}

/* ---- In the test. */

static inline void
scene_begin(void)
{
    strcpy(scene()->name, test_name());
}

static inline bool
host_is_ready(const void *arg)
{
    (void)arg;
    return scene()->ready != 0;
}

static inline bool
workers_compute(const void *arg)
{
    (void)arg;
    return scene()->inside == SCENE_WORKERS;
}

static inline bool
workers_gone(const void *arg)
{
    bool gone = true;

    (void)arg;
    for (int w = 0; w < SCENE_WORKERS; w++) {
        pid_t pid = scene()->worker[w];

        gone = gone && test_gone(&pid);
    }
    return gone;
}

static inline bool
supervisor_gone(const void *arg)
{
    pid_t pid = scene()->supervisor;

    (void)arg;
    return test_gone(&pid);
}

static inline bool
scene_over(const void *arg)
{
    return workers_gone(arg) && supervisor_gone(arg) &&
           test_nothing_left(scene()->name);
}

static inline bool
call_done(const void *arg)
{
    (void)arg;
    return scene()->done != 0;
}

/* Asserts that there is something to be gone. */
static inline void
ck_scene_on(void)
{
    ck_assert_int_gt(scene()->supervisor, 1);
    for (int w = 0; w < SCENE_WORKERS; w++) {
        pid_t pid = scene()->worker[w];

        ck_assert_int_gt(pid, 1);
        ck_assert(!test_gone(&pid));
    }
    ck_assert(!supervisor_gone(NULL));
    ck_assert(!test_nothing_left(scene()->name));
}

/* Asserts that it did not take longer than the second that is promised. */
static inline void
ck_within_a_second(double since)
{
    double took = test_now() - since;

    ck_assert_msg(took < (test_sanitized() ? 10 : 1), "took %.3f s", took);
}

/* Asserts that all of it is gone within a second. */
static inline void
ck_scene_over(double since)
{
    test_await(scene_over, NULL);
    ck_within_a_second(since);
}

/* ---- What controller and supervisor leave when they die together. */

/* Mounts a /dev/shm of this process's own, so that tests that run side by side
 * do not sweep each other's remains.  False where that cannot be had. */
static inline bool
private_shm(void)
{
    if (unshare(CLONE_NEWNS) == 0 &&
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=64m,mode=1777") == 0)
        return true;
    fprintf(stderr, "no mount namespace of its own: not tested\n");
    return false;
}

static inline int
waiting_host(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    host_begin();
    if (scene_create(&cluster) < 0)
        return 1;
    scene()->ready = 1;
    pause_for_ever();
}

static inline bool
pair_stopped(const void *arg)
{
    pid_t supervisor = scene()->supervisor;

    return test_stopped(arg) && test_stopped(&supervisor);
}

/* Kills the host and its supervisor; neither has a moment without the other. */
static inline void
kill_both(pid_t host)
{
    ck_scene_on();
    ck_assert_int_eq(kill(host, SIGSTOP), 0);
    ck_assert_int_eq(kill(scene()->supervisor, SIGSTOP), 0);
    test_await(pair_stopped, &host);
    kill(host, SIGKILL);
    kill(scene()->supervisor, SIGKILL);
    ck_assert_int_eq(test_reap(host), SIGKILL);
    test_await(supervisor_gone, NULL);
    test_await(workers_gone, NULL);
}

/* A dead cluster with segments; its name. */
static inline const char *
make_stale(void)
{
    const char *name = test_name();
    pid_t host;

    memset(scene(), 0, sizeof *scene());
    strcpy(scene()->name, name);
    host = test_host(waiting_host, NULL);
    test_await(host_is_ready, NULL);
    kill_both(host);
    return name;
}

#endif
