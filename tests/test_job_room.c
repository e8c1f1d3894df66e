/* The order in which queued jobs run, and what happens when a program has as
 * many jobs as it may have. */
#include "held.h"
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
submit_at(dsm_cluster *cluster, int priority, int number)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;

    options.priority = priority;
    ck_dsm(dsm_job_submit(NULL, cluster, record, &number, sizeof number,
                          &options));
}

/* Takes and releases all that have ended, when all have. */
static void
take_all(dsm_cluster *cluster)
{
    dsm_job *job;

    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    while (dsm_job_next(&job, cluster, 0) == 0)
        ck_finished(job);
}

/* ---- Order. */

START_TEST(the_higher_priority_runs_first)
{
    enum { LEVELS = DSM_PRIORITY_MOST - DSM_PRIORITY_LEAST + 1, N = 10 };
    dsm_cluster *cluster = test_cluster(1);

    for (int round = 0; round < 3; round++) {
        held()->count = 0;
        hold_workers(cluster, 1);
        for (int k = 0; k < N * LEVELS; k++) {
            int priority = (k * 5 + round) % LEVELS + DSM_PRIORITY_LEAST;

            submit_at(cluster, priority,
                      (DSM_PRIORITY_MOST - priority) * 1000 + k);
        }
        let_go(1);
        take_all(cluster);
        ck_assert_int_eq(held()->count, N * LEVELS);
        /* Within one in the order of k. */
        for (int k = 1; k < N * LEVELS; k++)
            ck_assert_int_lt(held()->record[k - 1], held()->record[k]);
        let_go(0);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A lower one that waits already does not go first. */
START_TEST(a_higher_priority_that_comes_later)
{
    dsm_cluster *cluster = test_cluster(1);
    int two = 2;

    hold_workers(cluster, 1);
    for (int k = 0; k < 100; k++)
        submit_at(cluster, DSM_PRIORITY_LEAST, 200 + k);
    submit_at(cluster, 0, 100);
    /* This one holds the worker again. */
    submit_number(cluster, hold, 2);
    submit_at(cluster, DSM_PRIORITY_MOST, 0);
    let_go(1);
    test_await(inside_reached, &two);
    submit_at(cluster, DSM_PRIORITY_MOST, 1);
    let_go(2);
    take_all(cluster);
    ck_assert_int_eq(held()->count, 103);
    ck_assert_int_eq(held()->record[0], 0);
    ck_assert_int_eq(held()->record[1], 100);
    ck_assert_int_eq(held()->record[2], 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(first_come_first_served)
{
    dsm_cluster *cluster = test_cluster(1);

    hold_workers(cluster, 1);
    for (int k = 0; k < HELD_RECORD; k++)
        submit_at(cluster, 1, k);
    let_go(1);
    take_all(cluster);
    ck_assert_int_eq(held()->count, HELD_RECORD);
    for (int k = 0; k < HELD_RECORD; k++)
        ck_assert_int_eq(held()->record[k], k);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- No room. */

static int
try_to_submit(dsm_cluster *cluster, bool nowait, int timeout_ms)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job = test_shared;
    int result;

    options.nowait = nowait;
    options.timeout_ms = timeout_ms;
    result = dsm_job_submit(&job, cluster, record, NULL, 0, &options);
    ck_assert(result == 0 || !job);
    dsm_job_release(job);
    return result;
}

/* Four jobs that have ended, or are held up, and keep their places. */
static void
fill_room(dsm_cluster *cluster, dsm_job **jobs, dsm_fn fn)
{
    for (int k = 0; k < 4; k++)
        jobs[k] = submit(cluster, fn, NULL, 0);
    if (fn == record)
        ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
}

START_TEST(no_room_is_an_error)
{
    dsm_cluster *cluster = small_cluster(1, 4);
    dsm_fn fn = _i ? hold : record;
    dsm_job *jobs[4];
    double before;
    int count;

    fill_room(cluster, jobs, fn);
    count = held()->count;
    ck_dsm_error(try_to_submit(cluster, true, 0), -EAGAIN, "4 jobs");
    ck_dsm_error(try_to_submit(cluster, false, 0), -EDEADLK, "4 jobs");
    ck_dsm_error(try_to_submit(cluster, false, DSM_FOREVER), -EDEADLK, "");
    let_go(1);
    for (int k = 0; k < 4; k++)
        ck_finished(jobs[k]);
    ck_assert_int_eq(held()->count, count);
    /* Somebody could make room, as it releases running jobs. */
    let_go(0);
    for (int k = 0; k < 4; k++)
        dsm_job_release(submit(cluster, hold, NULL, 0));
    before = test_now();
    ck_dsm_error(try_to_submit(cluster, true, 1000), -EAGAIN, "4 jobs");
    ck_dsm_error(try_to_submit(cluster, false, 30), -ETIMEDOUT, "timeout");
    ck_assert_double_ge(test_now() - before, 0.029);
    let_go(1);
    ck_assert_int_eq(try_to_submit(cluster, false, 0), 0);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(held()->count, count + 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A job: ends when the process whose number it is given sleeps. */
static int
end_when_it_sleeps(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    return !test_poll(test_asleep, arg);
}

/* The only thread waits, as what it has released will end. */
START_TEST(released_jobs_make_room_when_they_end)
{
    dsm_cluster *cluster = small_cluster(2, 4);
    pid_t pid = getpid();

    for (int round = 0; round < 5; round++) {
        for (int k = 0; k < 4; k++)
            dsm_job_release(
                submit(cluster, end_when_it_sleeps, &pid, sizeof pid));
        ck_assert_int_eq(try_to_submit(cluster, false, 0), 0);
    }
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(held()->count, 5);
    dsm_cluster_destroy(cluster);
}
END_TEST

struct helper {
    dsm_job **jobs;
    pid_t waiter;
    int n;
    bool late;
};

/* A thread: releases jobs when the other one sleeps, one by one. */
static void *
release_jobs(void *arg)
{
    struct helper *helper = arg;

    for (int k = 0; k < helper->n; k++) {
        if (!test_poll(test_asleep, &helper->waiter))
            helper->late = true;
        dsm_job_release(helper->jobs[k]);
    }
    return NULL;
}

START_TEST(another_thread_makes_room)
{
    dsm_cluster *cluster = small_cluster(1, 4);
    dsm_fn fn = _i % 2 ? hold : record;
    int n = _i < 2 ? 1 : 3, numbers[3] = {0};
    dsm_job *jobs[4], *more[3];
    struct helper helper = {jobs, (pid_t)syscall(SYS_gettid), n, false};
    pthread_t thread;

    fill_room(cluster, jobs, fn);
    let_go(_i % 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, release_jobs, &helper), 0);
    ck_dsm(dsm_job_map(more, cluster, record, numbers, sizeof *numbers,
                       (size_t)n, NULL));
    pthread_join(thread, NULL);
    ck_assert(!helper.late);
    for (int k = 0; k < n; k++)
        ck_finished(more[k]);
    for (int k = n; k < 4; k++)
        ck_finished(jobs[k]);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Those that wait are all that there is room for. */
START_TEST(as_many_as_there_may_be)
{
    enum { N = 300 };
    dsm_cluster *cluster = small_cluster(2, N);

    for (int round = 0; round < 3; round++) {
        held()->count = 0;
        for (int k = 0; k < N; k++)
            submit_at(cluster, k % 7 - 3, k);
        ck_dsm_error(try_to_submit(cluster, true, 0), -EAGAIN, "300 jobs");
        take_all(cluster);
        ck_assert_int_eq(held()->count, N);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Jobs that were cancelled in the queue leave their places in the ring,
 * which is 64 long. */

static void
cancel_some(dsm_cluster *cluster, int n)
{
    for (int k = 0; k < n; k++) {
        dsm_job *job = submit_number(cluster, record, -1);

        ck_dsm(dsm_job_cancel(job, 0));
        ck_assert_int_eq(dsm_job_result(job, NULL, NULL, 0), DSM_ECANCELED);
        dsm_job_release(job);
    }
}

START_TEST(cancelled_jobs_do_not_fill_the_ring)
{
    dsm_cluster *cluster = small_cluster(2, (unsigned)_i);
    int n = _i - 3 < 40 ? _i - 3 : 40;

    hold_workers(cluster, 2);
    for (int k = 0; k < n; k++) {
        submit_at(cluster, 0, k);
        cancel_some(cluster, 17 * (k % 5));
    }
    cancel_some(cluster, 1000);
    let_go(1);
    take_all(cluster);
    ck_assert_int_eq(held()->count, n);
    for (int k = 0; k < n; k++) {
        int times = 0;

        for (int j = 0; j < n; j++)
            times += held()->record[j] == k;
        ck_assert_int_eq(times, 1);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Nor do they change the order of the others. */
START_TEST(cancelled_jobs_keep_the_order)
{
    dsm_cluster *cluster = small_cluster(1, 64);

    hold_workers(cluster, 1);
    for (int k = 0; k < 40; k++) {
        submit_at(cluster, 0, k);
        cancel_some(cluster, k % 8);
    }
    let_go(1);
    take_all(cluster);
    ck_assert_int_eq(held()->count, 40);
    for (int k = 0; k < 40; k++)
        ck_assert_int_eq(held()->record[k], k);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* All at once, each of them: none of the queue is left. */
START_TEST(all_of_a_full_queue_cancelled)
{
    dsm_cluster *cluster = small_cluster(2, 66);
    dsm_job *jobs[64];

    hold_workers(cluster, 2);
    for (int round = 0; round < 30; round++) {
        ck_dsm(dsm_job_map(jobs, cluster, record, NULL, 0, 64, NULL));
        for (int k = 0; k < 64; k++)
            ck_dsm(dsm_job_cancel(jobs[k], DSM_FOREVER));
        for (int k = 0; k < 64; k++) {
            ck_assert_int_eq(job_info(jobs[k]).state, DSM_JOB_CANCELLED);
            dsm_job_release(jobs[k]);
        }
    }
    submit_at(cluster, 0, 5);
    let_go(1);
    take_all(cluster);
    ck_assert_int_eq(held()->count, 1);
    ck_assert_int_eq(held()->record[0], 5);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("jobs, order and room");
    TCase *order = test_case(suite, "order"), *room = test_case(suite, "room");
    TCase *ring = test_case(suite, "ring");

    tcase_add_test(order, the_higher_priority_runs_first);
    tcase_add_test(order, a_higher_priority_that_comes_later);
    tcase_add_test(order, first_come_first_served);
    tcase_add_loop_test(room, no_room_is_an_error, 0, 2);
    tcase_add_test(room, released_jobs_make_room_when_they_end);
    tcase_add_loop_test(room, another_thread_makes_room, 0, 4);
    tcase_add_test(room, as_many_as_there_may_be);
    tcase_add_loop_test(ring, cancelled_jobs_do_not_fill_the_ring, 4, 6);
    tcase_add_loop_test(ring, cancelled_jobs_do_not_fill_the_ring, 64, 66);
    tcase_add_test(ring, cancelled_jobs_keep_the_order);
    tcase_add_test(ring, all_of_a_full_queue_cancelled);
    return test_main(suite);
}
