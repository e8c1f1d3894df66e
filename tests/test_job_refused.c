/* Calls that are refused: with wrong options, by workers and jobs, in a child,
 * and of a cluster that has no worker for jobs. */
#include "held.h"
#include "workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(options_that_are_wrong)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_job_options options = DSM_JOB_OPTIONS_INIT, wrong[4];
    struct {
        dsm_job_options options;
        int more;
    } longer = {DSM_JOB_OPTIONS_INIT, 1};
    static const char *const texts[] = {"INIT", "priority 4", "priority -4",
                                        "timeout_ms"};
    dsm_job *job;

    for (int k = 0; k < 4; k++)
        wrong[k] = options;
    wrong[0].size = 0;
    wrong[1].priority = DSM_PRIORITY_MOST + 1;
    wrong[2].priority = DSM_PRIORITY_LEAST - 1;
    wrong[3].timeout_ms = -2;
    for (int k = 0; k < 4; k++) {
        job = test_shared;
        ck_dsm_error(dsm_job_submit(&job, cluster, record, NULL, 0, &wrong[k]),
                     -EINVAL, texts[k]);
        ck_assert_ptr_null(job);
    }
    longer.options.size = sizeof longer;
    ck_dsm_error(
        dsm_job_submit(&job, cluster, record, NULL, 0, &longer.options),
        -EINVAL, "");
    ck_assert_int_eq(dsm_job_next(&job, cluster, 0), -ECHILD);
    ck_assert_int_eq(held()->count, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* What no job may do: 0, or which of them was not refused. */
static int
try_all(dsm_cluster *cluster, dsm_job *job)
{
    dsm_job_info info = DSM_JOB_INFO_INIT;
    const void *data;
    size_t size;
    dsm_job *other;

    if (dsm_job_submit(&other, cluster, record, NULL, 0, NULL) != -EPERM ||
        dsm_job_map(&other, cluster, record, NULL, 0, 1, NULL) != -EPERM)
        return 1;
    if (dsm_job_next(&other, cluster, 0) != -EPERM)
        return 2;
    if (dsm_cluster_poll(cluster, 0) != -EPERM ||
        dsm_cluster_drain(cluster, 0) != -EPERM ||
        dsm_cluster_fd(cluster) != -EPERM)
        return 3;
    if (dsm_job_result(job, NULL, NULL, DSM_FOREVER) != -EPERM ||
        dsm_job_status(job, &info) != -EPERM ||
        dsm_job_cancel(job, 0) != -EPERM ||
        dsm_job_provisional(job, &data, &size) != -EPERM)
        return 4;
    dsm_job_release(job);
    return 0;
}

static int
try_in_worker(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    return try_all(dsm_worker_cluster(self), *(dsm_job *const *)arg);
}

static int
return_in_region(dsm_worker *self, const void *arg, size_t arg_size)
{
    if (dsm_worker_return(self, "x", 1) != -EPERM ||
        dsm_worker_publish(self, "x", 1, 0) != -EPERM)
        return 5;
    return try_in_worker(self, arg, arg_size);
}

static void
no_body(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self, (void)begin, (void)end, (void)arg;
}

static int
wait_for_others(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_barrier *const *barriers = arg;
    int value = 1;

    (void)arg_size;
    if (dsm_worker_barrier(self) != -EPERM ||
        dsm_worker_reduce(self, &value, 1, DSM_INT32, &DSM_SUM) != -EPERM)
        return 1;
    if (dsm_for(dsm_worker_cluster(self), 10, DSM_SCHEDULE_AUTO, 1, no_body,
                NULL, 0) != -EPERM)
        return 2;
    if (dsm_barrier_wait(barriers[0]) != -EPERM ||
        dsm_barrier_wait(barriers[1]) != -EPERM)
        return 3;
    return 0;
}

START_TEST(jobs_do_not_wait_for_others)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_barrier *barriers[2];

    ck_dsm(
        dsm_barrier_create(&barriers[0], cluster, "R", 2, DSM_BARRIER_ROBUST));
    ck_dsm(
        dsm_barrier_create(&barriers[1], cluster, "P", 2, DSM_BARRIER_PTHREAD));
    ck_finished(submit(cluster, wait_for_others, barriers, sizeof barriers));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(workers_have_no_jobs)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_job *job = submit(cluster, hold, NULL, 0);
    pid_t pid;

    ck_finished(submit(cluster, try_in_worker, &job, sizeof job));
    let_go(1);
    ck_dsm(dsm_cluster_run(cluster, return_in_region, &job, sizeof job));
    /* Nor has a child of the host's. */
    pid = fork();
    if (pid == 0)
        _exit(try_all(cluster, job));
    ck_assert_int_eq(test_reap(pid), 0);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A child of a worker is not the worker. */
static int
call_in_child(dsm_worker *self, const void *arg, size_t arg_size)
{
    pid_t pid = fork();

    (void)arg, (void)arg_size;
    if (pid == 0)
        _exit(dsm_worker_return(self, "x", 1) != -EPERM ||
              dsm_worker_publish(self, "x", 1, 0) != -EPERM ||
              dsm_worker_barrier(self) != -EPERM);
    return test_reap(pid);
}

static int
return_nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    return dsm_worker_return(self, NULL, 1) != -EINVAL ||
           dsm_worker_publish(self, NULL, 1, 0) != -EINVAL;
}

START_TEST(results_of_nothing_and_nobody)
{
    dsm_cluster *cluster = test_cluster(1);

    ck_finished(submit(cluster, call_in_child, NULL, 0));
    ck_finished(submit(cluster, return_nothing, NULL, 0));
    ck_dsm(dsm_cluster_run(cluster, call_in_child, NULL, 0));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
return_large(dsm_worker *self, const void *arg, size_t arg_size)
{
    size_t size = 3 << 20;
    char *data = calloc(1, size);
    int error;

    (void)arg, (void)arg_size;
    error = dsm_worker_return(self, data, size);
    if (error == -ENOSPC)
        error = dsm_worker_publish(self, data, size, 0);
    free(data);
    /* What was returned before does not count either. */
    return error == -ENOSPC ? 0 : 1;
}

/* Arguments and results that there is no memory for. */
START_TEST(a_full_directory)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    char *large = calloc(3, 1 << 20);
    dsm_cluster *cluster;
    const void *result;
    dsm_job *job, *jobs[3];
    size_t size;

    options.directory = test_tmpfs(2);
    options.name = test_name();
    if (!options.directory) {
        free(large);
        return;
    }
    ck_dsm(dsm_cluster_create(&cluster, 1, &options));
    for (int round = 0; round < 3; round++) {
        ck_dsm_error(
            dsm_job_submit(&job, cluster, record, large, 3 << 20, NULL),
            -ENOSPC, "");
        ck_assert_ptr_null(job);
        ck_dsm_error(
            dsm_job_map(jobs, cluster, record, large, 1 << 20, 3, NULL),
            -ENOSPC, "");
        for (int k = 0; k < 3; k++)
            ck_assert_ptr_null(jobs[k]);
        ck_assert_int_eq(dsm_job_next(&job, cluster, 0), -ECHILD);
        ck_assert_int_eq(held()->count, round);
        job = submit(cluster, return_large, NULL, 0);
        ck_dsm(dsm_job_result(job, &result, &size, DSM_FOREVER));
        ck_assert(!result && size == 0);
        dsm_job_release(job);
        ck_finished(submit(cluster, record, large, 1 << 20));
    }
    dsm_cluster_destroy(cluster);
    test_tmpfs_end(options.directory);
    free(large);
}
END_TEST

static dsm_cluster *
working_controller(unsigned workers)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.controller_works = true;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

START_TEST(a_controller_that_works)
{
    dsm_cluster *cluster = working_controller(1);
    dsm_job *job = test_shared;

    ck_dsm_error(dsm_job_submit(&job, cluster, record, NULL, 0, NULL), -EINVAL,
                 "only worker");
    ck_assert_ptr_null(job);
    dsm_cluster_destroy(cluster);
    cluster = working_controller(2);
    for (int k = 0; k < 100; k++)
        job = submit(cluster, record, NULL, 0);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(held()->count, 100);
    ck_assert_uint_eq(job_info(job).worker, 1);
    /* As worker 0 it is a worker, too. */
    ck_dsm(dsm_cluster_run(cluster, return_in_region, &job, sizeof job));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("jobs, refused");
    TCase *tests = test_case(suite, "refused");

    tcase_add_test(tests, options_that_are_wrong);
    tcase_add_test(tests, jobs_do_not_wait_for_others);
    tcase_add_test(tests, workers_have_no_jobs);
    tcase_add_test(tests, results_of_nothing_and_nobody);
    tcase_add_test(tests, a_controller_that_works);
    tcase_add_test(tests, a_full_directory);
    return test_main(suite);
}
