/* Callbacks of jobs, the descriptor for event loops, and several threads that
 * wait at once. */
#include "held.h"
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

/* What a callback is to do and has done. */
struct called {
    dsm_cluster *cluster;
    pthread_t thread;
    int times, left;
    dsm_job *job;
};

/* ---- Callbacks. */

static void
count_call(dsm_job *job, void *arg)
{
    struct called *called = arg;

    called->times++;
    called->thread = pthread_self();
    called->job = job;
}

START_TEST(callbacks_run_in_poll_and_drain)
{
    dsm_cluster *cluster = test_cluster(2);
    struct called called = {.cluster = cluster};
    dsm_job *job, *other;

    ck_assert_int_eq(dsm_cluster_poll(cluster, DSM_FOREVER), 0);
    for (int k = 1; k <= 4; k++) {
        job = submit_with(cluster, record, k, count_call, &called);
        ck_dsm(dsm_job_result(job, NULL, NULL, DSM_FOREVER));
        ck_dsm_error(dsm_job_next(&other, cluster, DSM_FOREVER), -ECHILD, "");
        ck_finished(submit(cluster, record, NULL, 0));
        ck_assert_int_eq(called.times, k - 1);
        if (k % 2)
            ck_assert_int_eq(dsm_cluster_poll(cluster, DSM_FOREVER), 1);
        else
            ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
        ck_assert_int_eq(called.times, k);
        ck_assert_ptr_eq(called.job, job);
        ck_assert(pthread_equal(called.thread, pthread_self()));
        ck_assert_int_eq(dsm_cluster_poll(cluster, 0), 0);
        dsm_job_release(job);
    }
    ck_assert_int_eq(called.times, 4);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(poll_waits_for_the_first)
{
    dsm_cluster *cluster = test_cluster(2);
    struct called called = {.cluster = cluster};
    dsm_job *job = submit_with(cluster, hold, 1, count_call, &called);

    ck_assert_int_eq(dsm_cluster_poll(cluster, 0), 0);
    ck_assert_int_eq(dsm_cluster_poll(cluster, 20), 0);
    ck_dsm_error(dsm_cluster_drain(cluster, 20), -ETIMEDOUT, "1 job");
    ck_assert_int_eq(called.times, 0);
    let_go(1);
    ck_assert_int_eq(dsm_cluster_poll(cluster, DSM_FOREVER), 1);
    ck_assert_int_eq(called.times, 1);
    dsm_job_release(job);
    /* Released: it runs on, and nobody is called. */
    let_go(0);
    dsm_job_release(submit_with(cluster, hold, 1, count_call, &called));
    ck_assert_int_eq(dsm_cluster_poll(cluster, DSM_FOREVER), 0);
    let_go(1);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(called.times, 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Submits the next one, and releases this one. */
static void
go_on(dsm_job *job, void *arg)
{
    struct called *called = arg;

    called->times++;
    ck_assert_int_eq(dsm_job_result(job, NULL, NULL, 0), 0);
    if (called->left-- > 0)
        submit_with(called->cluster, record, called->left, go_on, called);
    dsm_job_release(job);
}

/* Cancels the job that it is told of, which then has its callback, too. */
static void
cancel_other(dsm_job *job, void *arg)
{
    struct called *called = arg;

    (void)job;
    called->times++;
    if (called->job)
        ck_dsm(dsm_job_cancel(called->job, DSM_GRACE));
    called->job = NULL;
}

START_TEST(callbacks_submit_cancel_and_release)
{
    dsm_cluster *cluster = small_cluster(1, 4);
    struct called called = {.cluster = cluster, .left = 300};
    dsm_job *jobs[3];

    submit_with(cluster, record, 0, go_on, &called);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(called.times, 301);
    ck_assert_int_eq(held()->count, 301);
    called.times = 0;
    jobs[0] = submit_with(cluster, hold, 1, cancel_other, &called);
    jobs[1] = submit_with(cluster, hold, 2, cancel_other, &called);
    called.job = jobs[2] =
        submit_with(cluster, record, 2, cancel_other, &called);
    let_go(1);
    ck_assert_int_eq(dsm_cluster_poll(cluster, DSM_FOREVER), 1);
    ck_assert_int_eq(dsm_job_result(jobs[2], NULL, NULL, 0), DSM_ECANCELED);
    ck_assert_int_eq(dsm_cluster_poll(cluster, DSM_FOREVER), 1);
    ck_assert_int_eq(called.times, 2);
    let_go(2);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(called.times, 3);
    ck_assert_int_eq(held()->count, 301);
    for (int k = 0; k < 3; k++)
        dsm_job_release(jobs[k]);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void
try_nested(dsm_job *job, void *arg)
{
    struct called *called = arg;

    (void)job;
    called->times++;
    ck_assert_int_eq(dsm_cluster_poll(called->cluster, DSM_FOREVER), 0);
    ck_dsm_error(dsm_cluster_drain(called->cluster, DSM_FOREVER), -EDEADLK,
                 "callback");
    ck_finished(submit(called->cluster, record, NULL, 0));
}

START_TEST(callbacks_are_never_nested)
{
    dsm_cluster *cluster = test_cluster(2);
    struct called called = {.cluster = cluster};
    dsm_job *jobs[50];

    for (int k = 0; k < 50; k++)
        jobs[k] = submit_with(cluster, record, k, try_nested, &called);
    for (int k = 0; k < 50; k++)
        ck_dsm(dsm_job_result(jobs[k], NULL, NULL, DSM_FOREVER));
    while (called.times < 50)
        ck_assert_int_ge(dsm_cluster_poll(cluster, DSM_FOREVER), 1);
    ck_assert_int_eq(dsm_cluster_poll(cluster, 0), 0);
    ck_assert_int_eq(called.times, 50);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(without_a_handle_the_callback_is_the_last)
{
    dsm_cluster *cluster = small_cluster(2, 4);
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    struct called called = {.cluster = cluster};

    options.callback = count_call;
    options.callback_arg = &called;
    options.nowait = true;
    for (int k = 0; k < 400; k++) {
        int error =
            dsm_job_submit(NULL, cluster, record, &k, sizeof k, &options);

        if (error == -EAGAIN) {
            ck_assert_int_ge(dsm_cluster_poll(cluster, DSM_FOREVER), 1);
            k--;
        } else {
            ck_dsm(error);
        }
    }
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(called.times, 400);
    ck_assert_int_eq(held()->count, 400);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The descriptor. */

static void
ck_level_triggered(int fd)
{
    for (int k = 0; k < 3; k++)
        ck_assert(is_readable(fd, 10000));
}

/* It may be readable once without cause. */
static void
ck_idle(dsm_cluster *cluster, int fd)
{
    for (int k = 0; k < 5 && is_readable(fd, 5); k++)
        ck_assert_int_eq(dsm_cluster_poll(cluster, 0), 0);
    ck_assert(!is_readable(fd, 0));
}

START_TEST(the_descriptor_tells_of_jobs)
{
    dsm_cluster *cluster = test_cluster(2);
    struct called called = {.cluster = cluster};
    int fd = dsm_cluster_fd(cluster);
    dsm_job *job, *other;

    ck_dsm(fd);
    ck_assert_int_eq(dsm_cluster_fd(cluster), fd);
    for (int k = 1; k <= 20; k++) {
        ck_idle(cluster, fd);
        job = submit_with(cluster, hold, k, count_call, &called);
        ck_idle(cluster, fd);
        let_go(k);
        ck_level_triggered(fd);
        ck_assert_int_eq(dsm_cluster_poll(cluster, 0), 1);
        ck_idle(cluster, fd);
        dsm_job_release(job);
        job = submit(cluster, record, NULL, 0);
        other = submit(cluster, record, NULL, 0);
        ck_level_triggered(fd);
        for (int j = 0; j < 2; j++) {
            dsm_job *next;

            ck_assert(is_readable(fd, 10000));
            ck_dsm(dsm_job_next(&next, cluster, 0));
            ck_assert(next == job || next == other);
        }
        ck_idle(cluster, fd);
        ck_finished(job);
        ck_finished(other);
    }
    ck_assert_int_eq(called.times, 20);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(the_descriptor_tells_of_regions)
{
    dsm_cluster *cluster = test_cluster(2);
    int fd = dsm_cluster_fd(cluster);

    for (int k = 1; k <= 10; k++) {
        ck_idle(cluster, fd);
        ck_dsm(dsm_cluster_start(cluster, hold, &k, sizeof k));
        ck_idle(cluster, fd);
        let_go(k);
        ck_level_triggered(fd);
        ck_dsm(dsm_cluster_wait(cluster, 0));
    }
    ck_idle(cluster, fd);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Threads. */

#define THREADS 4
#define EACH 500

static int
double_it(dsm_worker *self, const void *arg, size_t arg_size)
{
    int result = 2 * *(const int *)arg;

    (void)arg_size;
    return dsm_worker_return(self, &result, sizeof result);
}

/* Submits jobs and waits for their results; gives how many were its own. */
static void *
wait_for_own(void *arg)
{
    dsm_cluster *cluster = arg;
    static _Atomic int threads;
    int first = 100000 * atomic_fetch_add(&threads, 1);
    intptr_t right = 0;

    for (int k = 0; k < EACH; k++) {
        int number = first + k;
        const void *result;
        dsm_job *job;

        if (dsm_job_submit(&job, cluster, double_it, &number, sizeof number,
                           NULL) < 0 ||
            dsm_job_result(job, &result, NULL, DSM_FOREVER) < 0)
            break;
        right += *(const int *)result == 2 * number;
        dsm_job_release(job);
    }
    return (void *)right;
}

static _Atomic int taken[THREADS * EACH];

/* Takes what has ended until there is nothing left. */
static void *
take_next(void *arg)
{
    dsm_cluster *cluster = arg;
    intptr_t n = 0;
    dsm_job *job;

    while (dsm_job_next(&job, cluster, DSM_FOREVER) == 0) {
        const void *result;

        if (dsm_job_result(job, &result, NULL, 0) == 0)
            atomic_fetch_add(&taken[*(const int *)result / 2], 1);
        dsm_job_release(job);
        n++;
    }
    return (void *)n;
}

static intptr_t
run_threads(void *(*body)(void *arg), dsm_cluster *cluster)
{
    pthread_t threads[THREADS];
    intptr_t sum = 0;
    void *result;

    for (int k = 0; k < THREADS; k++)
        ck_assert_int_eq(pthread_create(&threads[k], NULL, body, cluster), 0);
    for (int k = 0; k < THREADS; k++) {
        pthread_join(threads[k], &result);
        sum += (intptr_t)result;
    }
    return sum;
}

START_TEST(threads_wait_for_their_own_jobs)
{
    dsm_cluster *cluster = test_cluster(2);

    ck_assert_int_eq(run_threads(wait_for_own, cluster), THREADS * EACH);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(threads_take_each_job_once)
{
    dsm_cluster *cluster = test_cluster(2);

    hold_workers(cluster, 2);
    for (int k = 0; k < THREADS * EACH; k++)
        ck_dsm(dsm_job_submit(NULL, cluster, double_it, &k, sizeof k, NULL));
    let_go(1);
    ck_assert_int_eq(run_threads(take_next, cluster), THREADS * EACH);
    for (int k = 0; k < THREADS * EACH; k++)
        ck_assert_int_eq(taken[k], 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("jobs, callbacks");
    TCase *call = test_case(suite, "call");
    TCase *descriptor = test_case(suite, "descriptor");
    TCase *threads = test_case(suite, "threads");

    tcase_add_test(call, callbacks_run_in_poll_and_drain);
    tcase_add_test(call, poll_waits_for_the_first);
    tcase_add_test(call, callbacks_submit_cancel_and_release);
    tcase_add_test(call, callbacks_are_never_nested);
    tcase_add_test(call, without_a_handle_the_callback_is_the_last);
    tcase_add_test(descriptor, the_descriptor_tells_of_jobs);
    tcase_add_test(descriptor, the_descriptor_tells_of_regions);
    tcase_add_test(threads, threads_wait_for_their_own_jobs);
    tcase_add_test(threads, threads_take_each_job_once);
    return test_main(suite);
}
