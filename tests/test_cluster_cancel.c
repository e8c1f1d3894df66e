/* Cancelling regions, and refreshing workers. */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shared {
    _Atomic unsigned began, ended, cancelled;
};

static struct shared *
shared(void)
{
    return test_shared;
}

static bool
all_began(const void *cluster)
{
    return shared()->began == dsm_cluster_workers(cluster);
}

static dsm_cluster *
create(unsigned workers, int grace_ms)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.grace_ms = grace_ms;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

/* Starts a region and waits until all workers are in it. */
static void
start(dsm_cluster *cluster, dsm_fn fn, const void *arg, size_t arg_size)
{
    memset(test_shared, 0, sizeof *shared());
    ck_dsm(dsm_cluster_start(cluster, fn, arg, arg_size));
    test_await(all_began, cluster);
}

/* ---- Functions that obey. */

static int
look(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    shared()->began++;
    while (!dsm_worker_cancelled(self))
        usleep(1000);
    shared()->ended++;
    return 0;
}

/* The last worker never comes, so the others wait. */
static int
meet(dsm_worker *self, const void *arg, size_t arg_size)
{
    int error;

    shared()->began++;
    if (dsm_worker_id(self) + 1 == dsm_worker_count(self))
        while (!dsm_worker_cancelled(self))
            usleep(1000);
    error = dsm_worker_barrier(self);
    if (error == DSM_EBROKEN)
        shared()->ended++;
    (void)arg_size;
    return arg && *(const bool *)arg ? error : 0;
}

static int
meet_by_name(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_barrier *barrier = (dsm_barrier *)(uintptr_t)arg;

    (void)self, (void)arg_size;
    shared()->began++;
    if (dsm_barrier_wait(barrier) == DSM_EBROKEN)
        shared()->ended++;
    return 0;
}

static int
pop(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_queue *queue = (dsm_queue *)(uintptr_t)arg;
    int message;

    (void)self, (void)arg_size;
    shared()->began++;
    if (dsm_queue_pop(queue, &message, DSM_FOREVER) == DSM_ECANCELED)
        shared()->ended++;
    return 0;
}

static int
push(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_queue *queue = (dsm_queue *)(uintptr_t)arg;
    int message = 1, error;

    (void)self, (void)arg_size;
    shared()->began++;
    do
        error = dsm_queue_push(queue, &message, DSM_FOREVER);
    while (error == 0);
    if (error == DSM_ECANCELED)
        shared()->ended++;
    return 0;
}

static void
ck_obeyed(dsm_cluster *cluster, int grace_ms)
{
    unsigned workers = dsm_cluster_workers(cluster);
    pid_t pid[8];

    for (unsigned w = 0; w < workers; w++)
        pid[w] = test_pid(cluster, w);
    ck_dsm(dsm_cluster_cancel(cluster, grace_ms));
    ck_dsm(dsm_cluster_wait(cluster, 10000));
    ck_assert_uint_eq(shared()->ended, workers);
    for (unsigned w = 0; w < workers; w++) {
        ck_assert_int_eq(test_pid(cluster, w), pid[w]);
        ck_assert_int_eq(test_info(cluster, w).value, 0);
        ck_assert_uint_eq(test_info(cluster, w).deaths, 0);
    }
    test_whole(cluster);
}

START_TEST(workers_obey)
{
    static const int graces[] = {DSM_GRACE, DSM_FOREVER, 30000};
    dsm_cluster *cluster = create(3, 30000);
    dsm_barrier *barrier;
    dsm_queue *queue;

    ck_dsm(dsm_barrier_create(&barrier, cluster, "B", 4, DSM_BARRIER_ROBUST));
    ck_dsm(dsm_queue_create(&queue, cluster, "Q", 5, sizeof(int)));
    start(cluster, look, NULL, 0);
    ck_obeyed(cluster, graces[_i]);
    start(cluster, meet, NULL, 0);
    ck_obeyed(cluster, graces[_i]);
    start(cluster, meet_by_name, barrier, 0);
    ck_obeyed(cluster, graces[_i]);
    start(cluster, pop, queue, 0);
    ck_obeyed(cluster, graces[_i]);
    start(cluster, push, queue, 0);
    ck_obeyed(cluster, graces[_i]);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A function that hands on what it got from a call did not fail by itself. */
START_TEST(workers_hand_the_error_on)
{
    dsm_cluster *cluster = create(3, 30000);
    bool hand_on = true;

    start(cluster, meet, &hand_on, sizeof hand_on);
    ck_dsm(dsm_cluster_cancel(cluster, DSM_GRACE));
    ck_dsm_error(dsm_cluster_wait(cluster, 10000), DSM_ECANCELED,
                 "DSM_EBROKEN");
    ck_assert_uint_eq(test_info(cluster, 0).deaths, 0);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
obey_and_fail(dsm_worker *self, const void *arg, size_t arg_size)
{
    look(self, arg, arg_size);
    return dsm_worker_id(self) == 1 ? 9 : 0;
}

START_TEST(worker_fails_when_cancelled)
{
    dsm_cluster *cluster = create(2, 30000);

    start(cluster, obey_and_fail, NULL, 0);
    ck_dsm(dsm_cluster_cancel(cluster, DSM_GRACE));
    ck_dsm_error(dsm_cluster_wait(cluster, 10000), DSM_EFAILED, "returned 9");
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Before any worker had the time to begin, or to end: it is 0 if all have been
 * there. */
START_TEST(cancel_at_once)
{
    dsm_cluster *cluster = create(3, 30000);

    for (int k = 0; k < 200; k++) {
        int error;

        memset(test_shared, 0, sizeof *shared());
        ck_dsm(dsm_cluster_start(cluster, k % 2 ? look : meet, NULL, 0));
        ck_dsm(dsm_cluster_cancel(cluster, k % 3 ? DSM_GRACE : DSM_FOREVER));
        error = dsm_cluster_wait(cluster, 10000);
        ck_assert_int_eq(error, all_began(cluster) ? 0 : DSM_ECANCELED);
        test_whole(cluster);
    }
    ck_assert_uint_eq(test_info(cluster, 0).deaths, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
meet_and_fail(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    shared()->began++;
    dsm_worker_barrier(self); /* or some might not begin */
    return 9;
}

static bool
all_ended(const void *argument)
{
    const dsm_cluster *cluster = argument;

    if (!all_began(cluster))
        return false;
    for (unsigned w = 0; w < dsm_cluster_workers(cluster); w++)
        if (test_info(cluster, w).state != DSM_WORKER_IDLE)
            return false;
    return true;
}

START_TEST(cancel_nothing)
{
    dsm_cluster *cluster = create(2, 1000);

    ck_dsm(dsm_cluster_cancel(cluster, 0));
    ck_dsm(dsm_cluster_cancel(cluster, DSM_GRACE));
    ck_dsm(dsm_cluster_cancel(cluster, DSM_FOREVER));
    test_whole(cluster);
    ck_dsm(dsm_cluster_cancel(cluster, 0));
    test_whole(cluster);
    /* A region that has ended but was not waited for keeps its result. */
    shared()->began = 0;
    ck_dsm(dsm_cluster_start(cluster, meet_and_fail, NULL, 0));
    test_await(all_ended, cluster);
    ck_dsm(dsm_cluster_cancel(cluster, 0));
    ck_dsm_error(dsm_cluster_wait(cluster, 10000), DSM_EFAILED, "returned 9");
    ck_dsm_error(dsm_cluster_cancel(cluster, -3), -EINVAL, "-3");
    ck_assert_uint_eq(test_info(cluster, 0).deaths, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Functions that do not obey. */

static int
ignore(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    shared()->began++;
    if (dsm_worker_id(self) == 1)
        return look(self, NULL, 0);
    while (shared()->began)
        usleep(1000);
    return 0;
}

static bool
began_and_one(const void *cluster)
{
    /* Worker 1 counts twice. */
    return shared()->began == dsm_cluster_workers(cluster) + 1;
}

static void
start_ignore(dsm_cluster *cluster)
{
    memset(test_shared, 0, sizeof *shared());
    ck_dsm(dsm_cluster_start(cluster, ignore, NULL, 0));
    test_await(began_and_one, cluster);
}

/* Workers 0 and 2 were killed and replaced, worker 1 was not. */
static void
ck_killed(dsm_cluster *cluster, const pid_t pid[3])
{
    char text[96];

    ck_dsm_error(dsm_cluster_wait(cluster, 10000), DSM_ECANCELED,
                 "died of SIGKILL in region");
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), "grace"));
    for (unsigned w = 0; w < 3; w += 2) {
        dsm_worker_info info = test_info(cluster, w);

        ck_assert_int_eq(info.signal, SIGKILL);
        ck_assert_int_eq(info.dead_pid, pid[w]);
        ck_assert_int_eq(info.exit_code, 0);
        snprintf(text, sizeof text, "worker %u (pid %ld) died of SIGKILL", w,
                 (long)pid[w]);
        ck_assert_ptr_nonnull(strstr(info.message, text));
    }
    ck_assert_str_eq(test_info(cluster, 1).message, "");
    test_whole(cluster);
    ck_assert_int_ne(test_pid(cluster, 0), pid[0]);
    ck_assert_int_eq(test_pid(cluster, 1), pid[1]);
    ck_assert_int_ne(test_pid(cluster, 2), pid[2]);
}

START_TEST(workers_ignore_it)
{
    static const int graces[] = {DSM_GRACE, 0, 1, 250};
    static const double seconds[] = {0.2, 0, 0.001, 0.25};
    dsm_cluster *cluster = create(3, 200);

    for (int k = 0; k < 3; k++) {
        double begin;
        pid_t pid[3];

        for (unsigned w = 0; w < 3; w++)
            pid[w] = test_pid(cluster, w);
        start_ignore(cluster);
        begin = test_now();
        ck_dsm(dsm_cluster_cancel(cluster, graces[_i]));
        if (seconds[_i] < 0.1) {
            /* Worker 1 may have been killed too. */
            ck_dsm_error(dsm_cluster_wait(cluster, 10000), DSM_ECANCELED,
                         "died of SIGKILL in region");
            test_whole(cluster);
            ck_assert_int_ne(test_pid(cluster, 0), pid[0]);
            ck_assert_int_ne(test_pid(cluster, 2), pid[2]);
        } else {
            ck_killed(cluster, pid);
        }
        ck_assert_double_ge(test_now() - begin, seconds[_i]);
        ck_assert_double_lt(test_now() - begin, seconds[_i] + 5);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static bool
one_ended(const void *argument)
{
    (void)argument;
    return shared()->ended == 1;
}

/* Only asked, they run on; and may then be killed. */
START_TEST(ask_first)
{
    dsm_cluster *cluster = create(3, 200);
    pid_t pid[3];

    for (unsigned w = 0; w < 3; w++)
        pid[w] = test_pid(cluster, w);
    start_ignore(cluster);
    ck_dsm(dsm_cluster_cancel(cluster, DSM_FOREVER));
    test_await(one_ended, NULL); /* who obeys */
    ck_dsm_error(dsm_cluster_wait(cluster, 500), -ETIMEDOUT, "still runs");
    ck_assert_int_eq(test_pid(cluster, 0), pid[0]);
    ck_dsm(dsm_cluster_cancel(cluster, 0));
    ck_killed(cluster, pid);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Asking again may shorten the grace and never prolongs it. */
START_TEST(cancel_twice)
{
    dsm_cluster *cluster = create(3, 200);
    double begin;
    pid_t pid[3];

    for (int k = 0; k < 2; k++) {
        for (unsigned w = 0; w < 3; w++)
            pid[w] = test_pid(cluster, w);
        start_ignore(cluster);
        begin = test_now();
        ck_dsm(dsm_cluster_cancel(cluster, k ? 100 : 60000));
        ck_dsm(dsm_cluster_cancel(cluster, k ? 60000 : 100));
        ck_killed(cluster, pid);
        ck_assert_double_lt(test_now() - begin, 5);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A grace ends with its region. */
START_TEST(grace_of_the_last_region)
{
    dsm_cluster *cluster = create(2, 200);

    start(cluster, look, NULL, 0);
    ck_dsm(dsm_cluster_cancel(cluster, 100));
    ck_dsm(dsm_cluster_wait(cluster, 10000));
    start(cluster, look, NULL, 0);
    ck_dsm_error(dsm_cluster_wait(cluster, 300), -ETIMEDOUT, "still runs");
    ck_obeyed(cluster, DSM_GRACE);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void *
run_look(void *cluster)
{
    return (void *)(intptr_t)dsm_cluster_run(cluster, look, NULL, 0);
}

START_TEST(cancel_from_another_thread)
{
    dsm_cluster *cluster = create(3, 30000);
    pthread_t thread;
    void *result;

    ck_assert_int_eq(pthread_create(&thread, NULL, run_look, cluster), 0);
    test_await(all_began, cluster);
    ck_dsm(dsm_cluster_cancel(cluster, DSM_GRACE));
    pthread_join(thread, &result);
    ck_assert_ptr_null(result);
    ck_assert_uint_eq(shared()->ended, 3);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Refresh. */

static unsigned private_count; /* in each process its own */

/* Counts in private memory and in the array "A"; gives the first count. */
static int
count_both(dsm_worker *self, const void *arg, size_t arg_size)
{
    uint64_t *items = dsm_array_data(dsm_worker_array(self, "A"));

    (void)arg, (void)arg_size;
    items[dsm_worker_id(self)]++;
    items[4] = (uint64_t)(uintptr_t)items;
    return ++private_count != *(const unsigned *)arg;
}

START_TEST(refresh)
{
    dsm_cluster *cluster = create(3, 1000);
    dsm_array *array;
    dsm_lock *lock;
    dsm_queue *queue;
    uint64_t *items, regions;
    unsigned expected = 1;
    int message = 7;
    pid_t pid[3];

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_UINT64, DSM_SHAPE(8)));
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    ck_dsm(dsm_queue_create(&queue, cluster, "Q", 4, sizeof message));
    ck_dsm(dsm_queue_push(queue, &message, 0));
    items = dsm_array_data(array);
    ck_dsm(dsm_cluster_run(cluster, count_both, &expected, sizeof expected));
    expected = 2;
    ck_dsm(dsm_cluster_run(cluster, count_both, &expected, sizeof expected));
    regions = test_info(cluster, 0).regions;
    for (unsigned w = 0; w < 3; w++)
        pid[w] = test_pid(cluster, w);
    ck_dsm(dsm_lock_acquire(lock, 0)); /* the controller's goes on */
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_dsm(dsm_lock_release(lock));
    for (unsigned w = 0; w < 3; w++) {
        ck_assert_int_ne(test_pid(cluster, w), pid[w]);
        ck_assert_int_eq(test_info(cluster, w).state, DSM_WORKER_IDLE);
        test_await(test_gone, &pid[w]);
    }
    expected = 1; /* again */
    ck_dsm(dsm_cluster_run(cluster, count_both, &expected, sizeof expected));
    for (unsigned w = 0; w < 3; w++)
        ck_assert_uint_eq(items[w], 3);
    ck_assert_uint_eq(items[4], (uint64_t)(uintptr_t)items);
    ck_assert_uint_eq(test_info(cluster, 0).regions, regions + 1);
    message = 0;
    ck_dsm(dsm_queue_pop(queue, &message, 0));
    ck_assert_int_eq(message, 7);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(refresh_often)
{
    dsm_cluster *cluster = create(4, 1000);

    for (int k = 0; k < 100; k++) {
        ck_dsm(dsm_cluster_refresh(cluster));
        if (k % 3 == 0)
            test_whole(cluster);
    }
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
keep_lock(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    return dsm_lock_acquire((dsm_lock *)(uintptr_t)arg, DSM_FOREVER) < 0;
}

/* Who leaves a region holding a lock is replaced, and the next is told. */
START_TEST(leaving_with_a_lock)
{
    dsm_cluster *cluster = create(1, 1000);
    dsm_lock *lock;
    pid_t pid = test_pid(cluster, 0);

    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    ck_dsm_error(dsm_cluster_run(cluster, keep_lock, lock, 0), DSM_EFAILED,
                 "holding a lock");
    ck_assert_int_eq(dsm_lock_acquire(lock, 10000), 1);
    ck_dsm(dsm_lock_release(lock));
    test_whole(cluster);
    ck_assert_int_ne(test_pid(cluster, 0), pid);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void *
refresh_many(void *cluster)
{
    for (int k = 0; k < 50; k++) {
        int error = dsm_cluster_refresh(cluster);

        if (error && error != -EBUSY)
            return (void *)(intptr_t)error;
    }
    return NULL;
}

/* ---- Workers that do not get as far as the region. */

/* The second of each worker never starts. */
static int
set_up_once(dsm_worker *self, const void *arg, size_t arg_size)
{
    static const unsigned workers = 4;

    (void)self, (void)arg, (void)arg_size;
    if (shared()->began++ / workers == 1)
        for (;;)
            pause();
    return 0;
}

static bool
second_ones_began(const void *workers)
{
    return shared()->began == 2 * *(const unsigned *)workers;
}

/* Killed for the region before they have started, they are no workers that
 * cannot be started. */
START_TEST(cancel_while_workers_start)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    const unsigned workers = 4;
    dsm_cluster *cluster;

    options.name = test_name();
    options.setup = set_up_once;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    for (unsigned w = 0; w < workers; w++)
        kill(test_pid(cluster, w), SIGKILL);
    test_await(second_ones_began, &workers);
    ck_dsm(dsm_cluster_start(cluster, look, NULL, 0));
    ck_dsm(dsm_cluster_cancel(cluster, 0));
    ck_assert_int_eq(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_ECANCELED);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Neither waits for the other. */
START_TEST(refresh_in_two_threads)
{
    dsm_cluster *cluster = create(2, 1000);
    pthread_t thread[2];
    void *result;

    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(
            pthread_create(&thread[k], NULL, refresh_many, cluster), 0);
    for (int k = 0; k < 2; k++) {
        pthread_join(thread[k], &result);
        ck_assert_msg(!result, "%s", dsm_errname((int)(intptr_t)result));
    }
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cluster_cancel");
    TCase *tests = test_case(suite, "cancel");

    tcase_add_loop_test(tests, workers_obey, 0, 3);
    tcase_add_test(tests, workers_hand_the_error_on);
    tcase_add_test(tests, worker_fails_when_cancelled);
    tcase_add_test(tests, cancel_at_once);
    tcase_add_test(tests, cancel_nothing);
    tcase_add_loop_test(tests, workers_ignore_it, 0, 4);
    tcase_add_test(tests, ask_first);
    tcase_add_test(tests, cancel_twice);
    tcase_add_test(tests, grace_of_the_last_region);
    tcase_add_test(tests, cancel_from_another_thread);
    tcase_add_test(tests, cancel_while_workers_start);

    tests = test_case(suite, "refresh");
    tcase_add_test(tests, refresh);
    tcase_add_test(tests, refresh_often);
    tcase_add_test(tests, leaving_with_a_lock);
    tcase_add_test(tests, refresh_in_two_threads);
    return test_main(suite);
}
