/* Programs that use libdsm beside much else: signals in every system call,
 * clusters and jobs in several threads, children and other programs that they
 * start, daemons, and what workers' functions do to their processes. */
#include "acts.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/time.h>

extern char **environ;

/* ---- All kinds of calls. */

static int
square(dsm_worker *self, const void *arg, size_t arg_size)
{
    int n = *(const int *)arg;

    (void)arg_size;
    n *= n;
    return dsm_worker_return(self, &n, sizeof n);
}

static void
sum_up(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    double *x = dsm_array_data(dsm_worker_array(self, "A"));

    (void)arg;
    for (size_t i = begin; i < end; i++)
        x[i] += 1;
}

static int
squares(dsm_cluster *cluster, int n)
{
    const int *result;
    dsm_job *job;

    for (int k = 0; k < n; k++) {
        WANT(dsm_job_submit(&job, cluster, square, &k, sizeof k, NULL) == 0);
        WANT(dsm_job_result(job, (const void **)&result, NULL, 20000) == 0);
        WANT(*result == k * k);
        dsm_job_release(job);
    }
    return 0;
}

static int
use_objects(dsm_cluster *cluster, const char *file)
{
    uint64_t message = 7;
    dsm_barrier *barrier;
    dsm_array *array;
    dsm_queue *queue;
    dsm_lock *lock;
    double sum;

    WANT(dsm_lock_open(&lock, cluster, "L") == 0);
    WANT(dsm_lock_acquire(lock, DSM_FOREVER) == 0);
    WANT(dsm_lock_release(lock) == 0);
    WANT(dsm_queue_open(&queue, cluster, "Q") == 0);
    WANT(dsm_queue_push(queue, &message, DSM_FOREVER) == 0);
    WANT(dsm_queue_pop(queue, &message, DSM_FOREVER) == 0);
    WANT(dsm_queue_pop(queue, &message, 10) == -ETIMEDOUT);
    WANT(dsm_barrier_create(&barrier, cluster, "one", 1, DSM_BARRIER_ROBUST) ==
         0);
    WANT(dsm_barrier_wait(barrier) == 1);
    WANT(dsm_barrier_destroy(barrier) == 0);
    WANT(dsm_array_open(&array, cluster, "A", DSM_FLOAT64) == 0);
    WANT(dsm_for(cluster, dsm_array_count(array), DSM_SCHEDULE_AUTO, 0, sum_up,
                 NULL, 0) == 0);
    WANT(dsm_reduce(cluster, &sum, sizeof sum, array, &DSM_SUM) == 0);
    WANT(dsm_array_save(array, file) == 0);
    WANT(dsm_array_load(&array, cluster, "loaded", file) == 0);
    WANT(dsm_array_destroy(array) == 0);
    unlink(file);
    return 0;
}

static int
ignore_cluster(const dsm_cluster_info *info, void *arg)
{
    (void)info, (void)arg;
    return 0;
}

static int
use_all(void)
{
    dsm_cluster *cluster;
    char file[64];
    int error;

    snprintf(file, sizeof file, "/tmp/%s.npy", scene()->name);
    WANT(scene_create(&cluster) == 0);
    WANT(use_objects(cluster, file) == 0);
    WANT(squares(cluster, 20) == 0);
    WANT(dsm_cluster_list(ignore_cluster, NULL) == 0);
    WANT(dsm_cluster_start(cluster, compute, NULL, 0) == 0);
    WANT(dsm_cluster_wait(cluster, 5) == -ETIMEDOUT);
    WANT(dsm_cluster_cancel(cluster, DSM_GRACE) == 0);
    error = dsm_cluster_wait(cluster, DSM_FOREVER);
    WANT(error == 0 || error == DSM_ECANCELED); /* if one had not begun */
    WANT(dsm_cluster_refresh(cluster) == 0);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    dsm_cluster_destroy(cluster);
    WANT(test_nothing_left(scene()->name));
    return 0;
}

static void
count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&scene()->calls, 1);
}

static int
use_all_interrupted(void *arg)
{
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = count_signal,
                               .sa_flags = *(const int *)arg};
    int result = 0;

    WANT(sigaction(SIGALRM, &action, NULL) == 0);
    WANT(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int k = 0; k < 3 && !result; k++)
        result = use_all();
    setitimer(ITIMER_REAL, &never, NULL);
    WANT(result || scene()->calls > 10);
    return result;
}

START_TEST(signals_interrupt_no_call)
{
    int flags = _i ? SA_RESTART : 0;

    scene_begin();
    ck_well(test_host(use_all_interrupted, &flags));
}
END_TEST

/* ---- Two clusters, in a thread each. */

struct worker_thread {
    pthread_t thread;
    dsm_cluster *mine, *other;
    int result;
};

static int
check_count(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    return dsm_worker_count(self) != *(const unsigned *)arg;
}

/* Regions of one and jobs of both, by turns. */
static void *
use_both(void *argument)
{
    struct worker_thread *self = argument;
    unsigned mine = dsm_cluster_workers(self->mine);

    self->result = 1;
    for (int k = 0; k < 30; k++)
        if (dsm_cluster_run(self->mine, check_count, &mine, sizeof mine) != 0 ||
            squares(self->other, 3) != 0 || squares(self->mine, 3) != 0)
            return NULL;
    self->result = 0;
    return NULL;
}

START_TEST(two_clusters_in_two_threads)
{
    struct worker_thread thread[2];

    thread[0].mine = thread[1].other = test_cluster(2);
    thread[1].mine = thread[0].other = test_cluster(3);
    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(
            pthread_create(&thread[k].thread, NULL, use_both, &thread[k]), 0);
    for (int k = 0; k < 2; k++)
        pthread_join(thread[k].thread, NULL);
    for (int k = 0; k < 2; k++)
        ck_assert_msg(thread[k].result == 0, "%s", SENTENCE);
    /* Each alone, when the other has gone. */
    dsm_cluster_destroy(thread[0].mine);
    test_whole(thread[1].mine);
    dsm_cluster_destroy(thread[1].mine);
}
END_TEST

static void *
create_and_leave(void *cluster)
{
    *(dsm_cluster **)cluster = test_cluster(2);
    return NULL;
}

/* Workers do not hear of the end of the thread that created them, nor do their
 * replacements, and other threads use the cluster. */
START_TEST(a_thread_creates_it_and_ends)
{
    pid_t before[2];
    dsm_cluster *cluster;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, create_and_leave, &cluster),
                     0);
    pthread_join(thread, NULL);
    for (unsigned w = 0; w < 2; w++)
        before[w] = test_pid(cluster, w);
    test_whole(cluster);
    ck_assert_msg(squares(cluster, 5) == 0, "%s", SENTENCE);
    for (unsigned w = 0; w < 2; w++)
        ck_assert_int_eq(test_pid(cluster, w), before[w]);
    ck_dsm(dsm_cluster_refresh(cluster));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Other programs. */

static int
run_program(const char *command)
{
    char *const arguments[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    pid_t pid;

    if (posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ) != 0)
        return -1;
    return WEXITSTATUS(test_reap(pid));
}

/* While a region runs, with SIGCHLD at its default. */
START_TEST(programs_run_beside_a_region)
{
    dsm_cluster *cluster = test_cluster(2);

    ck_dsm(dsm_cluster_start(cluster, compute, NULL, 0));
    test_await(workers_compute, NULL);
    for (int k = 0; k < 5; k++) {
        pid_t pid;

        ck_assert_int_eq(run_program("exit 7"), 7);
        ck_assert_int_eq(system("exit 5"), W_EXITCODE(5, 0));
        pid = vfork();
        if (pid == 0)
            _exit(9);
        ck_assert_int_eq(test_reap(pid), W_EXITCODE(9, 0));
    }
    ck_dsm(dsm_cluster_cancel(cluster, DSM_GRACE));
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* What another program has of a cluster: nothing, whatever the cluster does. */
START_TEST(programs_inherit_nothing)
{
    static const char list[] = "! ls -l /proc/self/fd | "
                               "grep -E 'dsm\\.|socket:|anon_inode:'";
    dsm_cluster *cluster;
    dsm_job *job;
    int three = 3;

    ck_assert_int_eq(run_program(list), 0);
    cluster = test_cluster(2);
    ck_assert_int_ge(dsm_cluster_fd(cluster), 0);
    ck_dsm(dsm_job_submit(&job, cluster, square, &three, sizeof three, NULL));
    ck_dsm(dsm_job_result(job, NULL, NULL, 20000));
    ck_assert_int_eq(run_program(list), 0);
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_int_eq(run_program(list), 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Programs that leave their terminal, or their user, before. */

static int
live_as_daemon(void *arg)
{
    pid_t pid = fork();

    (void)arg;
    if (pid != 0)
        _exit(pid < 0);
    setsid();
    pid = fork();
    if (pid != 0)
        _exit(pid < 0);
    WANT(chdir("/") == 0);
    umask(0);
    for (int fd = 0; fd < 256; fd++)
        close(fd);
    scene()->result = use_all();
    scene()->done = 1;
    _exit(0);
}

START_TEST(a_daemon_creates_it)
{
    scene_begin();
    ck_well(test_host(live_as_daemon, NULL));
    test_await(call_done, NULL);
    ck_assert_msg(scene()->result == 0, "%s", SENTENCE);
}
END_TEST

static int
live_as_user(void *arg)
{
    (void)arg;
    if (setgid(20003) < 0 || setuid(20003) < 0)
        return 0;
    return use_all();
}

START_TEST(a_server_gives_up_its_rights_before)
{
    scene_begin();
    ck_well(test_host(live_as_user, NULL));
}
END_TEST

/* As nohup starts it: the end of the session does not end it. */
static int
live_without_hangups(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    host_begin();
    setsid();
    signal(SIGHUP, SIG_IGN);
    WANT(scene_create(&cluster) == 0);
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    WANT(scene()->supervisor > 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(nohup_is_respected)
{
    pid_t host, worker;

    scene_begin();
    host = test_host(live_without_hangups, NULL);
    await_ready(host);
    ck_assert_int_eq(kill(-host, SIGHUP), 0);
    worker = scene()->worker[0];
    ck_assert(!test_gone(&worker));
    scene()->go = 1;
    ck_well(host);
}
END_TEST

/* A handler of its own decides of Ctrl-C, which workers get as well. */
static int
live_with_handler(void *arg)
{
    dsm_cluster *cluster;
    int error;

    (void)arg;
    host_begin();
    setsid();
    signal(SIGINT, count_signal);
    WANT(scene_create(&cluster) == 0);
    WANT(dsm_cluster_start(cluster, compute, NULL, 0) == 0);
    WANT(test_poll(workers_compute, NULL));
    scene()->ready = 1;
    while (scene()->calls == 0)
        pause_briefly();
    error = dsm_cluster_wait(cluster, 0);
    WANT(error == -ETIMEDOUT);
    WANT(dsm_cluster_cancel(cluster, DSM_GRACE) == 0);
    WANT(dsm_cluster_wait(cluster, DSM_FOREVER) == 0);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(an_interrupt_is_the_controllers)
{
    pid_t host;

    scene_begin();
    host = test_host(live_with_handler, NULL);
    await_ready(host);
    ck_assert_int_eq(kill(-host, SIGINT), 0);
    ck_well(host);
    ck_assert_int_eq(scene()->calls, 1);
}
END_TEST

/* ---- What a worker's function does to its process. */

static void *
leave_thread(void *arg)
{
    return arg;
}

static int
end_thread(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 1)
        pthread_exit(NULL);
    return 0;
}

/* Its process has one thread, as a worker has: so it ends. */
START_TEST(a_worker_ends_its_thread)
{
    dsm_cluster *cluster = test_cluster(2);
    pid_t pid = test_pid(cluster, 1);

    ck_dsm_error(dsm_cluster_run(cluster, end_thread, NULL, 0), DSM_EWORKER,
                 "worker 1 ");
    test_died(cluster, 1, pid, 0, 0);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void
do_nothing(int number)
{
    (void)number;
}

static void *
sleep_on(void *arg)
{
    (void)arg;
    pause_for_ever();
}

/* Threads that end and one that does not; another directory, umask, mask and
 * handlers. */
static int
change_process(dsm_worker *self, const void *arg, size_t arg_size)
{
    sigset_t all;
    pthread_t thread;

    (void)self, (void)arg, (void)arg_size;
    for (int k = 0; k < 4; k++)
        if (pthread_create(&thread, NULL, leave_thread, NULL) != 0 ||
            pthread_join(thread, NULL) != 0)
            return 1;
    if (pthread_create(&thread, NULL, sleep_on, NULL) != 0 || chdir("/") < 0)
        return 2;
    umask(0777);
    for (int number = 1; number < NSIG; number++)
        signal(number, do_nothing);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    fclose(stdin);
    return 0;
}

START_TEST(a_worker_changes_its_process)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_array *array;

    ck_dsm(dsm_cluster_run(cluster, change_process, NULL, 0));
    test_whole(cluster);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(10)));
    ck_assert_msg(squares(cluster, 4) == 0, "%s", SENTENCE);
    ck_dsm(dsm_cluster_start(cluster, compute_on, NULL, 0));
    test_await(workers_compute, NULL);
    /* And it ends all the same. */
    ck_dsm(dsm_cluster_cancel(cluster, 0));
    ck_assert_int_eq(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_ECANCELED);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("program");
    TCase *tests = test_case(suite, "signals");

    tcase_add_loop_test(tests, signals_interrupt_no_call, 0, 2);
    tcase_add_test(tests, nohup_is_respected);
    tcase_add_test(tests, an_interrupt_is_the_controllers);
    tests = test_case(suite, "threads");
    tcase_add_test(tests, two_clusters_in_two_threads);
    tcase_add_test(tests, a_thread_creates_it_and_ends);
    tests = test_case(suite, "programs");
    tcase_add_test(tests, programs_run_beside_a_region);
    tcase_add_test(tests, programs_inherit_nothing);
    tcase_add_test(tests, a_daemon_creates_it);
    tcase_add_test(tests, a_server_gives_up_its_rights_before);
    tests = test_case(suite, "workers");
    tcase_add_test(tests, a_worker_ends_its_thread);
    tcase_add_test(tests, a_worker_changes_its_process);
    return test_main(suite);
}
