/* A supervisor dies, or is stopped: whoever waits is told within a second, the
 * workers end, and the controller still unlinks everything. */
#include "base/point.h"
#include "hosts.h"

#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- Who kills it: a process of its own, forked before the cluster is there.
 */

static int
kill_supervisor(void *when)
{
    bool (*condition)(const void *) = (bool (*)(const void *))when;

    host_begin();
    if (!test_poll(condition, NULL))
        return 1;
    scene()->since = test_now();
    return kill(scene()->supervisor, SIGKILL) < 0;
}

static pid_t
start_killer(bool (*when)(const void *))
{
    return test_host(kill_supervisor, (void *)when);
}

static bool
somebody_waits(const void *arg)
{
    pid_t pid = scene()->waiting;

    (void)arg;
    return pid && test_asleep(&pid);
}

static bool
one_waits_while_one_computes(const void *arg)
{
    return workers_compute(arg) && somebody_waits(arg);
}

/* ---- A cluster whose supervisor is dead. */

static int
visit_scene(const dsm_cluster_info *info, void *arg)
{
    dsm_cluster_state *state = arg;

    if (strcmp(info->name, scene()->name) == 0)
        *state = info->state;
    return 0;
}

static void
ck_estale_everywhere(dsm_cluster *cluster, bool works)
{
    const char *name = scene()->name;
    dsm_cluster_state state = DSM_CLUSTER_FOREIGN;
    dsm_cluster *attached;
    dsm_array *array;
    dsm_lock *lock;

    ck_dsm_error(dsm_cluster_run(cluster, note_processes, NULL, 0), DSM_ESTALE,
                 name);
    if (!works)
        ck_dsm_error(dsm_cluster_start(cluster, note_processes, NULL, 0),
                     DSM_ESTALE, name);
    ck_dsm_error(dsm_cluster_cancel(cluster, 0), DSM_ESTALE, name);
    ck_dsm_error(dsm_cluster_refresh(cluster), DSM_ESTALE, "supervisor");
    ck_dsm_error(
        dsm_array_create(&array, cluster, "late", DSM_INT8, DSM_SHAPE(9)),
        DSM_ESTALE, name);
    ck_assert_ptr_null(array);
    ck_dsm_error(dsm_lock_create(&lock, cluster, "later"), DSM_ESTALE, name);
    ck_dsm_error(dsm_cluster_attach(&attached, name), DSM_ESTALE, name);
    /* Its controller holds on to what is left; others call it what it is. */
    ck_dsm(dsm_cluster_list(visit_scene, &state));
    ck_assert_int_eq(state, DSM_CLUSTER_STALE);
    ck_dsm_error(dsm_cluster_remove(name, false), -EBUSY, name);
}

/* The controller ends what is left. */
static void
ck_dead(dsm_cluster *cluster)
{
    test_await(workers_gone, NULL);
    ck_within_a_second(scene()->since);
    test_await(supervisor_gone, NULL);
    ck_estale_everywhere(cluster, !scene()->worker[0]);
    ck_assert(!test_nothing_left(scene()->name));
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(scene()->name));
}

static dsm_cluster *
scene_cluster(void)
{
    dsm_cluster *cluster;

    scene_begin();
    ck_dsm(scene_create(&cluster));
    ck_scene_on();
    return cluster;
}

START_TEST(dies_idle)
{
    dsm_cluster *cluster = scene_cluster();

    scene()->since = test_now();
    kill(scene()->supervisor, SIGKILL);
    ck_dead(cluster);
}
END_TEST

/* ---- While workers and the controller wait. */

enum waiting { IN_LOCK, AT_GATE, AT_ROBUST, AT_PTHREAD, IN_POP, IN_PUSH, BUSY };

#define WAITINGS (BUSY + 1)

static int
wait_at_barrier(dsm_cluster *cluster, const char *name)
{
    dsm_barrier *barrier;
    int error = dsm_barrier_open(&barrier, cluster, name);

    return error ? error : dsm_barrier_wait(barrier);
}

static int
wait_in_queue(dsm_cluster *cluster, bool push)
{
    uint64_t message = 0;
    dsm_queue *queue;
    int error = dsm_queue_open(&queue, cluster, "Q");

    while (!error)
        error = push ? dsm_queue_push(queue, &message, DSM_FOREVER)
                     : dsm_queue_pop(queue, &message, DSM_FOREVER);
    return error;
}

/* Worker 0 waits for what never comes; worker 1 computes. */
static int
wait_in_vain(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_cluster *cluster = dsm_worker_cluster(self);

    if (dsm_worker_id(self) != 0)
        return compute_on(self, arg, arg_size);
    scene()->waiting = getpid();
    atomic_fetch_add(&scene()->inside, 1);
    switch (*(const enum waiting *)arg) {
    case IN_LOCK:
        return dsm_lock_acquire(dsm_worker_lock(self, "L"), DSM_FOREVER);
    case AT_GATE:
        return dsm_worker_barrier(self);
    case AT_ROBUST:
        return wait_at_barrier(cluster, "R");
    case AT_PTHREAD:
        return wait_at_barrier(cluster, "P");
    case IN_POP:
    case IN_PUSH:
        return wait_in_queue(cluster, *(const enum waiting *)arg == IN_PUSH);
    case BUSY:
        break;
    }
    pause_for_ever();
}

START_TEST(dies_while_a_worker_waits)
{
    pid_t killer = start_killer(one_waits_while_one_computes);
    enum waiting waiting = (enum waiting)(_i % WAITINGS);
    dsm_cluster *cluster = scene_cluster();
    dsm_lock *lock;

    ck_dsm(dsm_lock_open(&lock, cluster, "L"));
    ck_dsm(dsm_lock_acquire(lock, DSM_FOREVER));
    if (_i < WAITINGS) {
        ck_dsm_error(
            dsm_cluster_run(cluster, wait_in_vain, &waiting, sizeof waiting),
            DSM_ESTALE, "supervisor");
    } else {
        ck_dsm(
            dsm_cluster_start(cluster, wait_in_vain, &waiting, sizeof waiting));
        ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_ESTALE,
                     "supervisor");
    }
    ck_within_a_second(scene()->since);
    /* The region never ends; that is no reason to wait for its end. */
    ck_dsm_error(dsm_lock_destroy(lock), DSM_ESTALE, "supervisor");
    ck_assert_int_eq(test_reap(killer), 0);
    ck_dead(cluster);
}
END_TEST

/* The controller as worker 0 waits for a worker who dies with its supervisor.
 */
START_TEST(dies_while_the_controller_works)
{
    static const enum waiting waitings[] = {AT_GATE, AT_ROBUST, IN_POP};
    pid_t killer = start_killer(one_waits_while_one_computes);
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    scene_begin();
    options.name = scene()->name;
    options.controller_works = true;
    ck_dsm(dsm_cluster_create(&cluster, SCENE_WORKERS, &options));
    ck_dsm(scene_populate(cluster));
    ck_dsm_error(dsm_cluster_run(cluster, wait_in_vain, &waitings[_i],
                                 sizeof waitings[_i]),
                 DSM_ESTALE, "supervisor");
    ck_within_a_second(scene()->since);
    ck_assert_int_eq(test_reap(killer), 0);
    ck_dead(cluster);
}
END_TEST

/* A worker may live a moment longer than its supervisor, here until it is told:
 * that nobody comes is not the other's fault, who has left. */
static bool
was_told(const void *arg)
{
    (void)arg;
    return scene()->result != 0;
}

static int
outlive_the_supervisor(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 0)
        return !test_poll(was_told, NULL);
    prctl(PR_SET_PDEATHSIG, 0);
    scene()->waiting = getpid();
    scene()->result = dsm_worker_barrier(self);
    return 0;
}

START_TEST(dies_before_its_worker)
{
    pid_t killer = start_killer(somebody_waits);
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    scene_begin();
    options.name = scene()->name;
    options.controller_works = true;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    ck_dsm(scene_populate(cluster));
    ck_dsm_error(dsm_cluster_run(cluster, outlive_the_supervisor, NULL, 0),
                 DSM_ESTALE, "supervisor");
    ck_assert_int_eq(scene()->result, DSM_ESTALE);
    ck_assert_int_eq(test_reap(killer), 0);
    kill(scene()->waiting, SIGKILL);
    ck_dead(cluster);
}
END_TEST

/* One that dies late, as SIGKILL waits for what the kernel is at: it makes a
 * file when the controller destroys the cluster, and would be just too late if
 * that did not wait for its death. */
static bool
is_swept(const void *arg)
{
    const double *since = arg;
    char path[128];

    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s", (unsigned long)geteuid(),
             scene()->name);
    return access(path, F_OK) < 0 || test_now() > *since + 0.3;
}

static bool
destroy_began(const void *arg)
{
    (void)arg;
    return scene()->go != 0;
}

static void
die_late(const char *point)
{
    double since;

    if (getpid() == scene()->controller && strcmp(point, "control.stop") == 0)
        scene()->go = 1;
    if (getpid() != scene()->worker[0])
        return;
    if (strcmp(point, "segment.create") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(point, "object.new") != 0)
        return;
    scene()->waiting = getpid();
    (void)test_poll(destroy_began, NULL);
    since = test_now();
    (void)test_poll(is_swept, &since);
}

static int
create_late(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array;

    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) != 0)
        return 0;
    prctl(PR_SET_PDEATHSIG, 0);
    return dsm_array_create(&array, dsm_worker_cluster(self), "late", DSM_INT8,
                            DSM_SHAPE(10));
}

START_TEST(dies_while_a_worker_makes_a_file)
{
    pid_t killer = start_killer(somebody_waits);
    dsm_cluster *cluster;

    dsm__point_hook = die_late;
    cluster = scene_cluster();
    ck_dsm_error(dsm_cluster_run(cluster, create_late, NULL, 0), DSM_ESTALE,
                 "supervisor");
    ck_assert_int_eq(test_reap(killer), 0);
    dsm_cluster_destroy(cluster);
    test_await(workers_gone, NULL);
    ck_assert(test_nothing_left(scene()->name));
}
END_TEST

/* ---- While a call of the controller or of an attached program waits. */

static int
call_acquire(dsm_cluster *cluster)
{
    dsm_lock *lock;
    int error = dsm_lock_open(&lock, cluster, "L");

    return error ? error : dsm_lock_acquire(lock, DSM_FOREVER);
}

static int
call_barrier(dsm_cluster *cluster)
{
    return wait_at_barrier(cluster, "R");
}

static int
call_pop(dsm_cluster *cluster)
{
    return wait_in_queue(cluster, false);
}

static int
call_push(dsm_cluster *cluster)
{
    return wait_in_queue(cluster, true);
}

/* These wait for a supervisor that is stopped. */
static int
call_refresh(dsm_cluster *cluster)
{
    kill(scene()->supervisor, SIGSTOP);
    return dsm_cluster_refresh(cluster);
}

static int
call_attach(dsm_cluster *cluster)
{
    dsm_cluster *attached;

    (void)cluster;
    kill(scene()->supervisor, SIGSTOP);
    return dsm_cluster_attach(&attached, scene()->name);
}

static int
call_cancel(dsm_cluster *cluster)
{
    kill(scene()->supervisor, SIGSTOP);
    return dsm_cluster_cancel(cluster, 0);
}

static int (*const controllers_calls[])(dsm_cluster *) = {
    call_acquire, call_barrier, call_pop, call_push, call_refresh, call_cancel};

static int (*const attached_calls[])(dsm_cluster *) = {
    call_acquire, call_barrier, call_pop, call_push, call_refresh, call_attach};

#define CALLS 6

/* The lock that others want is held by a thread of the controller: one who dies
 * with the cluster would let go of it. */
static void *
hold_lock(void *cluster)
{
    dsm_lock *lock;

    scene()->value[0] = dsm_lock_open(&lock, cluster, "L") == 0 &&
                        dsm_lock_acquire(lock, DSM_FOREVER) == 0;
    scene()->ready = 1;
    pause_for_ever();
}

static dsm_cluster *
busy_cluster(void)
{
    dsm_cluster *cluster = scene_cluster();
    pthread_t thread;

    ck_dsm(dsm_cluster_start(cluster, compute_on, NULL, 0));
    test_await(workers_compute, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, hold_lock, cluster), 0);
    test_await(host_is_ready, NULL);
    ck_assert_int_eq(scene()->value[0], 1);
    return cluster;
}

static int
attach_and_call(void *call)
{
    int (*function)(dsm_cluster *) = (int (*)(dsm_cluster *))call;
    dsm_cluster *attached = NULL;

    host_begin();
    /* call_attach attaches by itself, and a process can do so once. */
    if (!test_poll(host_is_ready, NULL) ||
        (function != call_attach &&
         dsm_cluster_attach(&attached, scene()->name) < 0))
        return 1;
    scene()->waiting = getpid();
    scene()->result = function(attached);
    scene()->done = 1;
    dsm_cluster_destroy(attached);
    return 0;
}

START_TEST(dies_while_an_attached_program_waits)
{
    pid_t killer = start_killer(somebody_waits);
    pid_t other = test_host(attach_and_call, (void *)attached_calls[_i]);
    dsm_cluster *cluster = busy_cluster();

    test_await(call_done, NULL);
    ck_within_a_second(scene()->since);
    ck_assert_int_eq(scene()->result, DSM_ESTALE);
    ck_assert_int_eq(test_reap(other), 0);
    ck_assert_int_eq(test_reap(killer), 0);
    ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_ESTALE,
                 "supervisor");
    ck_dead(cluster);
}
END_TEST

START_TEST(dies_while_the_controller_waits)
{
    pid_t killer = start_killer(somebody_waits);
    dsm_cluster *cluster = busy_cluster();

    scene()->waiting = getpid();
    ck_assert_int_eq(controllers_calls[_i](cluster), DSM_ESTALE);
    ck_within_a_second(scene()->since);
    ck_assert_int_eq(test_reap(killer), 0);
    ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_ESTALE,
                 "supervisor");
    ck_dead(cluster);
}
END_TEST

static int
never_ready(dsm_worker *self, const void *arg, size_t arg_size)
{
    note_processes(self, arg, arg_size);
    return compute_on(self, arg, arg_size);
}

START_TEST(dies_while_a_create_waits)
{
    pid_t killer = start_killer(workers_compute);
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    scene_begin();
    options.name = scene()->name;
    options.setup = never_ready;
    ck_dsm_error(dsm_cluster_create(&cluster, SCENE_WORKERS, &options),
                 DSM_ESTALE, scene()->name);
    ck_assert_ptr_null(cluster);
    ck_assert_int_eq(test_reap(killer), 0);
    ck_scene_over(scene()->since);
}
END_TEST

/* ---- At its own critical moments. */

/* The parts of all workers but 0 have ended in the region that this is. */
static bool
others_ended(const void *self)
{
    dsm_cluster *cluster = dsm_worker_cluster(self);
    dsm_worker_info mine = DSM_WORKER_INFO_INIT;
    bool ended = dsm_cluster_worker(cluster, 0, &mine) == 0;

    for (unsigned w = 1; w < dsm_cluster_workers(cluster); w++) {
        dsm_worker_info info = DSM_WORKER_INFO_INIT;

        ended &= dsm_cluster_worker(cluster, w, &info) == 0 &&
                 info.regions > mine.regions && info.state == DSM_WORKER_IDLE;
    }
    return ended;
}

/* Worker 0 dies last, or the others would die with the supervisor before their
 * parts have ended. */
static int
end_by_signal(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 0 && test_poll(others_ended, self))
        raise(SIGKILL);
    return 0;
}

static const struct {
    const char *point;
    int n;
} starts[] = {
    {"supervisor.start", 1}, {"supervisor.fork", 1}, {"supervisor.fork", 2}};

START_TEST(dies_starting)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    double since;

    options.name = test_name();
    test_kill_at(starts[_i].point, starts[_i].n, SIGKILL, 1);
    since = test_now();
    ck_dsm_error(dsm_cluster_create(&cluster, SCENE_WORKERS, &options),
                 DSM_ESTALE, options.name);
    ck_within_a_second(since);
    ck_assert_ptr_null(cluster);
    ck_assert_int_eq(test_killed(), 1);
    ck_assert(test_nothing_left(options.name));
}
END_TEST

static bool
one_was_killed(const void *arg)
{
    (void)arg;
    return test_killed() == 1;
}

/* While it buries a worker, and while it replaces it: then the region is over
 * already. */
START_TEST(dies_with_a_worker)
{
    dsm_cluster *cluster;

    test_kill_at(_i ? "supervisor.fork" : "supervisor.end_part", _i ? 3 : 1,
                 SIGKILL, 1);
    cluster = scene_cluster();
    scene()->since = test_now();
    ck_assert_int_eq(dsm_cluster_run(cluster, end_by_signal, NULL, 0),
                     _i ? DSM_EWORKER : DSM_ESTALE);
    test_await(one_was_killed, NULL);
    ck_dead(cluster);
}
END_TEST

/* As it begins to serve a command. */
START_TEST(dies_serving_a_cancel)
{
    dsm_cluster *cluster;

    test_kill_at("supervisor.serve", 1, SIGKILL, 1);
    cluster = scene_cluster();
    ck_dsm(dsm_cluster_start(cluster, compute_on, NULL, 0));
    test_await(workers_compute, NULL);
    scene()->since = test_now();
    ck_dsm_error(dsm_cluster_cancel(cluster, 0), DSM_ESTALE, "supervisor");
    ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_ESTALE,
                 "supervisor");
    ck_within_a_second(scene()->since);
    ck_dead(cluster);
}
END_TEST

START_TEST(dies_serving_a_refresh)
{
    dsm_cluster *cluster;

    test_kill_at("supervisor.serve", 1, SIGKILL, 1);
    cluster = scene_cluster();
    scene()->since = test_now();
    ck_dsm_error(dsm_cluster_refresh(cluster), DSM_ESTALE, "supervisor");
    ck_within_a_second(scene()->since);
    ck_dead(cluster);
}
END_TEST

/* What it had to do, the controller does in its place. */
START_TEST(dies_during_the_destroy)
{
    dsm_cluster *cluster;
    double since;

    test_kill_at(_i ? "supervisor.unlink" : "supervisor.serve", 1, SIGKILL, 1);
    cluster = scene_cluster();
    since = test_now();
    dsm_cluster_destroy(cluster);
    ck_assert_int_eq(test_killed(), 1);
    ck_assert(test_nothing_left(scene()->name));
    ck_scene_over(since);
}
END_TEST

/* ---- Stopped: not dead, but destroy does not wait for ever. */

static dsm_cluster *
impatient_cluster(void)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    scene_begin();
    options.name = scene()->name;
    options.grace_ms = 50;
    ck_dsm(dsm_cluster_create(&cluster, SCENE_WORKERS, &options));
    ck_dsm(scene_populate(cluster));
    ck_scene_on();
    return cluster;
}

static void
stop(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    test_await(test_stopped, &pid);
}

START_TEST(destroyed_while_it_is_stopped)
{
    dsm_cluster *cluster = impatient_cluster();

    stop(scene()->supervisor);
    if (_i > 0)
        for (int w = 0; w < SCENE_WORKERS; w++)
            stop(scene()->worker[w]);
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(scene()->name));
    ck_scene_over(test_now());
}
END_TEST

START_TEST(destroyed_while_it_is_stopped_at_the_end)
{
    dsm_cluster *cluster;

    test_kill_at("supervisor.unlink", 1, SIGSTOP, 1);
    cluster = impatient_cluster();
    dsm_cluster_destroy(cluster);
    ck_assert_int_eq(test_killed(), 1);
    ck_assert(test_nothing_left(scene()->name));
    ck_scene_over(test_now());
}
END_TEST

START_TEST(destroyed_while_workers_are_stopped)
{
    dsm_cluster *cluster = impatient_cluster();
    double since;

    for (int w = 0; w < SCENE_WORKERS; w++)
        stop(scene()->worker[w]);
    since = test_now();
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(scene()->name));
    ck_scene_over(since);
}
END_TEST

/* It finds out when it goes on that its controller died. */
/* Who asks it does not wait for ever, and what it answers when it goes on is
 * taken for no other answer. */
START_TEST(stopped_while_it_is_asked)
{
    dsm_cluster *cluster = scene_cluster();
    int error;

    ck_dsm(dsm_cluster_start(cluster, compute, NULL, 0));
    kill(scene()->supervisor, SIGSTOP);
    ck_dsm_error(dsm_cluster_cancel(cluster, 5000), -ETIMEDOUT, "is stopped");
    kill(scene()->supervisor, SIGCONT);
    error = dsm_cluster_wait(cluster, DSM_FOREVER);
    ck_assert(error == 0 || error == DSM_ECANCELED);
    ck_dsm(dsm_cluster_refresh(cluster));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(stopped_while_the_controller_dies)
{
    double since;
    pid_t host;

    scene_begin();
    host = test_host(waiting_host, NULL);
    test_await(host_is_ready, NULL);
    stop(scene()->supervisor);
    kill(host, SIGKILL);
    ck_assert_int_eq(test_reap(host), SIGKILL);
    ck_scene_on();
    since = test_now();
    kill(scene()->supervisor, SIGCONT);
    ck_scene_over(since);
}
END_TEST

/* ---- What it is deaf to: all that is sent to a process group. */

START_TEST(ignores_signals)
{
    static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
                                  SIGUSR2, SIGPIPE, SIGALRM, SIGTSTP, SIGTTOU};
    dsm_cluster *cluster = scene_cluster();
    pid_t worker = scene()->worker[0];

    for (size_t k = 0; k < sizeof signals / sizeof *signals; k++)
        ck_assert_int_eq(kill(scene()->supervisor, signals[k]), 0);
    /* And workers, to those by which the user ends a program. */
    for (size_t k = 0; k < 4; k++)
        ck_assert_int_eq(kill(worker, signals[k]), 0);
    test_whole(cluster);
    ck_assert_int_eq(test_pid(cluster, 0), worker);
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_int_ne(test_pid(cluster, 0), worker);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("supervisor");
    TCase *tests = test_case(suite, "dies");

    tcase_add_test(tests, dies_idle);
    tcase_add_loop_test(tests, dies_while_a_worker_waits, 0, 2 * WAITINGS);
    tcase_add_loop_test(tests, dies_while_the_controller_works, 0, 3);
    tcase_add_test(tests, dies_before_its_worker);
    tcase_add_test(tests, dies_while_a_worker_makes_a_file);
    tcase_add_loop_test(tests, dies_while_an_attached_program_waits, 0, CALLS);
    tcase_add_loop_test(tests, dies_while_the_controller_waits, 0, CALLS);
    tcase_add_test(tests, dies_while_a_create_waits);
    tests = test_case(suite, "moments");
    tcase_add_loop_test(tests, dies_starting, 0, 3);
    tcase_add_loop_test(tests, dies_with_a_worker, 0, 2);
    tcase_add_test(tests, dies_serving_a_cancel);
    tcase_add_test(tests, dies_serving_a_refresh);
    tcase_add_loop_test(tests, dies_during_the_destroy, 0, 2);
    tests = test_case(suite, "stopped");
    tcase_add_loop_test(tests, destroyed_while_it_is_stopped, 0, 2);
    tcase_add_test(tests, destroyed_while_it_is_stopped_at_the_end);
    tcase_add_test(tests, destroyed_while_workers_are_stopped);
    tcase_add_test(tests, stopped_while_it_is_asked);
    tcase_add_test(tests, stopped_while_the_controller_dies);
    tests = test_case(suite, "signals");
    tcase_add_test(tests, ignores_signals);
    return test_main(suite);
}
