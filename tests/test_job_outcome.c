/* How jobs end: failures, cancellation, what status tells of them, and what
 * they printed. */
#include "held.h"
#include "workers.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Failures. */

static int
return_number(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    return *(const int *)arg;
}

static int
say_no_memory(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    dsm_worker_fail(self, -ENOSPC, "no room for %d pages", 77);
}

/* A positive code is a number like any other. */
static int
say_five(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    dsm_worker_fail(self, 5, "five");
}

static int
want_array(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    return dsm_worker_array(self, "missing") ? 1 : 2;
}

static int
leave_with_lock(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    return dsm_lock_acquire(*(dsm_lock *const *)arg, DSM_FOREVER) != 0;
}

static dsm_job *
submit_named(dsm_cluster *cluster, dsm_fn fn, const void *arg, size_t arg_size,
             const char *name)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job;

    options.name = name;
    ck_dsm(dsm_job_submit(&job, cluster, fn, arg, arg_size, &options));
    return job;
}

/* Asserts that the job failed with this code and value, and releases it. */
static void
ck_failed(dsm_job *job, int code, int value, const char *message)
{
    dsm_job_info info;

    ck_dsm_error(dsm_job_result(job, NULL, NULL, DSM_FOREVER), code, message);
    info = job_info(job);
    ck_assert_int_eq(info.code, code);
    ck_assert_int_eq(info.value, value);
    ck_assert_int_eq(info.state, DSM_JOB_FAILED);
    ck_assert_uint_eq(info.tries, 1);
    ck_assert_int_eq(info.signal, 0);
    ck_assert_msg(strstr(info.message, message), "'%s' has no '%s'",
                  info.message, message);
    dsm_job_release(job);
}

START_TEST(a_function_that_fails)
{
    dsm_cluster *cluster = test_cluster((unsigned)_i);
    int three = 3, minus = -ENOENT;
    pid_t pid;

    ck_finished(submit(cluster, record, NULL, 0));
    pid = test_pid(cluster, 0);
    ck_failed(submit(cluster, return_number, &three, sizeof three), DSM_EFAILED,
              3, "returned 3");
    ck_failed(
        submit_named(cluster, return_number, &minus, sizeof minus, "sort"),
        DSM_EFAILED, -ENOENT, "'sort' returned -2, ENOENT");
    /* Its worker did nothing wrong. */
    ck_assert_int_eq(test_pid(cluster, 0), pid);
    ck_failed(submit(cluster, say_no_memory, NULL, 0), -ENOSPC, -ENOSPC,
              "no room for 77 pages");
    ck_failed(submit(cluster, say_five, NULL, 0), DSM_EFAILED, 5, "five");
    ck_failed(submit(cluster, want_array, NULL, 0), -ENOENT, -ENOENT,
              "'missing'");
    ck_finished(submit(cluster, record, NULL, 0));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* The next one to acquire it is told. */
START_TEST(a_function_that_leaves_with_a_lock)
{
    dsm_cluster *cluster = test_cluster((unsigned)_i);
    dsm_lock *lock;

    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    for (int k = 0; k < 3; k++) {
        ck_failed(
            submit_named(cluster, leave_with_lock, &lock, sizeof lock, "thief"),
            DSM_EFAILED, 0, "left job 'thief' holding a lock");
        ck_assert_int_eq(dsm_lock_acquire(lock, DSM_FOREVER), 1);
        ck_dsm(dsm_lock_release(lock));
    }
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Cancellation. */

static void
ck_cancelled(dsm_job *job, unsigned tries)
{
    dsm_job_info info;

    ck_dsm_error(dsm_job_result(job, NULL, NULL, DSM_FOREVER), DSM_ECANCELED,
                 "cancelled");
    info = job_info(job);
    ck_assert_int_eq(info.state, DSM_JOB_CANCELLED);
    ck_assert_int_eq(info.code, DSM_ECANCELED);
    ck_assert_uint_eq(info.tries, tries);
    ck_assert_ptr_nonnull(strstr(info.message, "cancelled"));
    ck_assert_double_ge(info.ended, tries ? info.started : info.submitted);
    ck_assert_double_lt(info.ended, info.submitted + 1000);
    /* It has ended. */
    ck_dsm(dsm_job_cancel(job, 0));
    dsm_job_release(job);
}

START_TEST(a_queued_job_never_runs)
{
    dsm_cluster *cluster = test_cluster((unsigned)_i);
    dsm_job *job;

    hold_workers(cluster, _i);
    job = submit(cluster, record, NULL, 0);
    ck_dsm(dsm_job_cancel(job, DSM_GRACE));
    ck_cancelled(job, 0);
    let_go(1);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(held()->count, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_running_job_is_asked_and_then_killed)
{
    dsm_cluster *cluster = test_cluster((unsigned)_i);
    int one = 1;
    dsm_job *job = submit(cluster, obey, NULL, 0), *other;
    unsigned worker;
    pid_t pid;

    ck_dsm_error(dsm_job_cancel(job, -3), -EINVAL, "-3");
    test_await(inside_reached, &one);
    worker = job_info(job).worker;
    pid = test_pid(cluster, worker);
    ck_dsm(dsm_job_cancel(job, DSM_FOREVER));
    ck_cancelled(job, 1);
    ck_assert_int_eq(test_pid(cluster, worker), pid);
    /* This one does not listen. */
    held()->inside = 0;
    job = submit(cluster, hang, NULL, 0);
    test_await(inside_reached, &one);
    other = submit(cluster, obey, NULL, 0);
    worker = job_info(job).worker;
    ck_dsm(dsm_job_cancel(job, DSM_FOREVER));
    ck_assert_int_eq(dsm_job_result(job, NULL, NULL, 50), DSM_EPENDING);
    /* What is asked first is not taken back. */
    ck_dsm(dsm_job_cancel(job, 100));
    ck_dsm(dsm_job_cancel(job, 1000000));
    ck_dsm_error(dsm_job_result(job, NULL, NULL, DSM_FOREVER), DSM_ECANCELED,
                 "died of SIGKILL");
    ck_assert_int_eq(job_info(job).signal, 9);
    ck_cancelled(job, 1);
    /* The other one was not meant. */
    ck_assert_int_eq(dsm_job_result(other, NULL, NULL, 0), DSM_EPENDING);
    ck_dsm(dsm_job_cancel(other, DSM_GRACE));
    ck_assert_int_eq(dsm_job_result(other, NULL, NULL, DSM_FOREVER),
                     DSM_ECANCELED);
    dsm_job_release(other);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A function that returns 0 all the same has finished. */
START_TEST(a_cancelled_job_that_finishes)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_job *job = submit(cluster, hold, NULL, 0);
    int one = 1;

    test_await(inside_reached, &one);
    ck_dsm(dsm_job_cancel(job, DSM_FOREVER));
    let_go(1);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Status. */

START_TEST(times_are_in_order)
{
    enum { N = 200 };
    dsm_cluster *cluster = test_cluster(2);
    dsm_job *jobs[N];
    struct timespec now;
    double before;

    clock_gettime(CLOCK_REALTIME, &now);
    before = (double)now.tv_sec - 0.5;
    ck_dsm(dsm_job_map(jobs, cluster, record, NULL, 0, N, NULL));
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    for (int k = 0; k < N; k++) {
        dsm_job_info info = job_info(jobs[k]);

        ck_assert_double_ge(info.submitted, before);
        ck_assert_double_ge(info.started, info.submitted);
        ck_assert_double_ge(info.ended, info.started);
        ck_assert_double_le(info.ended, before + 100);
        ck_assert_uint_eq(info.tries, 1);
        ck_assert_int_eq(info.pid, test_pid(cluster, info.worker));
        ck_assert_str_eq(info.message, "");
        ck_assert_int_eq(info.host[0] != '\0', 1);
        dsm_job_release(jobs[k]);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(status_of_each_state)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_job *running, *queued;
    dsm_job_info info = {.size = 0};
    int one = 1;

    running = submit_named(cluster, hold, NULL, 0, "first");
    ck_dsm_error(dsm_job_status(running, &info), -EINVAL, "INIT");
    test_await(inside_reached, &one);
    queued = submit(cluster, record, NULL, 0);
    info = job_info(running);
    ck_assert_int_eq(info.state, DSM_JOB_RUNNING);
    ck_assert_int_eq(info.code, DSM_EPENDING);
    ck_assert_int_eq(info.pid, test_pid(cluster, 0));
    ck_assert_str_eq(info.name, "first");
    ck_assert(info.started >= info.submitted && info.ended == 0);
    info = job_info(queued);
    ck_assert_int_eq(info.state, DSM_JOB_QUEUED);
    ck_assert_int_eq(info.code, DSM_EPENDING);
    ck_assert(info.started == 0 && info.ended == 0 && info.submitted > 0);
    ck_assert(info.tries == 0 && info.pid == 0);
    ck_assert_str_eq(info.name, "");
    let_go(1);
    ck_finished(running);
    ck_finished(queued);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(names_are_cut)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    dsm_cluster *cluster = test_cluster(1);

    for (size_t length = 46; length < 60; length++) {
        char name[64] = {0}, expected[64] = {0}, work[64];
        dsm_job *job;

        memcpy(name, letters, length);
        memcpy(expected, letters,
               length < DSM_NAME_MAX ? length : DSM_NAME_MAX);
        let_go(0);
        held()->inside = 0;
        job = submit_named(cluster, hold, NULL, 0, name);
        memset(name, 'x', length);
        test_await(inside_reached, &(int){1});
        ck_assert_str_eq(job_info(job).name, expected);
        snprintf(work, sizeof work, "job %.50s", expected);
        ck_assert_str_eq(test_info(cluster, 0).work, work);
        let_go(1);
        ck_finished(job);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
work_long(dsm_worker *self, const void *arg, size_t arg_size)
{
    double end = test_now() + 0.05;

    (void)self, (void)arg, (void)arg_size;
    while (test_now() < end)
        ;
    return 0;
}

START_TEST(workers_count_their_jobs)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_worker_info info;
    double busy;

    for (int k = 0; k < 9; k++)
        ck_finished(submit(cluster, record, NULL, 0));
    ck_finished(submit(cluster, work_long, NULL, 0));
    test_whole(cluster);
    info = test_info(cluster, 0);
    ck_assert_uint_eq(info.jobs, 10);
    ck_assert_uint_eq(info.regions, 1);
    ck_assert_str_eq(info.work, "");
    busy = info.job_busy;
    ck_assert(info.job_worst > 0.049 && info.job_worst <= busy + 1e-6);
    ck_assert(info.job_mean > 0.0049 && info.job_mean <= busy / 10 * 1.01);
    ck_assert(info.job_mean >= busy / 10 * 0.99 && info.busy >= busy * 0.99);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- What jobs print. */

static int
print(dsm_worker *self, const void *arg, size_t arg_size)
{
    int number = *(const int *)arg;
    char command[64];

    (void)self, (void)arg_size;
    printf("out %d\n", number);
    fprintf(stderr, "err %d\n", number);
    snprintf(command, sizeof command, "echo child %d; echo bad %d >&2", number,
             number);
    if (system(command) != 0)
        return 1;
    printf("end %d", number);
    return 0;
}

static int
print_line(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    printf("line %d\n", *(const int *)arg);
    return 0;
}

START_TEST(output_is_captured)
{
    enum { N = 6 };
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_cluster *cluster = test_cluster(2);
    dsm_job *jobs[N];
    int numbers[N] = {0, 1, 2, 3, 4, 5};

    options.capture_output = true;
    ck_dsm(dsm_job_map(jobs, cluster, print, numbers, sizeof *numbers, N,
                       &options));
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    for (int k = 0; k < N; k++) {
        char out[64], err[64];
        dsm_job_info info = job_info(jobs[k]);

        snprintf(out, sizeof out, "out %d\nchild %d\nend %d", k, k, k);
        snprintf(err, sizeof err, "err %d\nbad %d\n", k, k);
        ck_assert_int_eq(info.code, 0);
        ck_assert_ptr_nonnull(info.out);
        /* stdout is a file there, so that the child's comes first. */
        ck_assert_uint_eq(info.out_size, strlen(out));
        ck_assert_ptr_nonnull(strstr(info.out, "child"));
        ck_assert_uint_eq(strlen(info.out), info.out_size);
        ck_assert_str_eq(info.err, err);
        ck_assert_uint_eq(info.err_size, strlen(err));
        dsm_job_release(jobs[k]);
    }
    /* Nothing at all. */
    ck_dsm(dsm_job_map(jobs, cluster, record, numbers, sizeof *numbers, 1,
                       &options));
    ck_dsm(dsm_job_result(jobs[0], NULL, NULL, DSM_FOREVER));
    ck_assert_str_eq(job_info(jobs[0]).out, "");
    ck_assert_uint_eq(job_info(jobs[0]).err_size, 0);
    ck_finished(jobs[0]);
    /* Nothing was asked for. */
    jobs[0] = submit(cluster, record, NULL, 0);
    ck_dsm(dsm_job_result(jobs[0], NULL, NULL, DSM_FOREVER));
    ck_assert_ptr_null(job_info(jobs[0]).out);
    ck_finished(jobs[0]);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A worker prints where it did before: into a file of the test's. */
START_TEST(output_goes_back)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    int numbers[3] = {1, 2, 3};
    int saved[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    char line[256] = "";
    dsm_cluster *cluster;
    FILE *file = tmpfile();
    dsm_job *job;

    ck_assert_ptr_nonnull(file);
    fflush(stdout);
    for (int k = 0; k < 2; k++)
        ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO + k), 0);
    cluster = test_cluster(1);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_ge(dup2(saved[k], STDOUT_FILENO + k), 0);
        close(saved[k]);
    }
    for (int k = 0; k < 3; k++) {
        options.capture_output = k == 1;
        ck_dsm(dsm_job_submit(&job, cluster, print, &numbers[k],
                              sizeof *numbers, &options));
        ck_finished(job);
    }
    /* Also when it is left by dsm_worker_fail. */
    options.capture_output = true;
    ck_dsm(dsm_job_submit(&job, cluster, say_five, NULL, 0, &options));
    ck_failed(job, DSM_EFAILED, 5, "five");
    dsm_cluster_destroy(cluster);
    rewind(file);
    ck_assert_uint_gt(fread(line, 1, sizeof line - 1, file), 0);
    ck_assert_ptr_nonnull(strstr(line, "out 1"));
    ck_assert_ptr_nonnull(strstr(line, "end 1"));
    ck_assert_ptr_null(strchr(line, '2'));
    ck_assert_ptr_nonnull(strstr(line, "out 3"));
    ck_assert_ptr_nonnull(strstr(line, "child 3"));
    ck_assert_ptr_nonnull(strstr(line, "bad 3"));
    fclose(file);
}
END_TEST

/* What a worker printed nowhere does not go into the next best file. */
START_TEST(output_of_a_program_without_stdout)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    int saved = dup(STDOUT_FILENO), numbers[2] = {1, 2};
    dsm_cluster *cluster;
    dsm_job *job;

    fflush(stdout);
    close(STDOUT_FILENO);
    cluster = test_cluster(1);
    ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
    close(saved);
    options.capture_output = true;
    ck_dsm(dsm_job_submit(&job, cluster, print_line, &numbers[0],
                          sizeof *numbers, &options));
    ck_dsm(dsm_job_result(job, NULL, NULL, DSM_FOREVER));
    ck_finished(submit_number(cluster, print_line, 2));
    ck_assert_str_eq(job_info(job).out, "line 1\n");
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("jobs, how they end");
    TCase *ends = test_case(suite, "ends"), *told = test_case(suite, "told");

    tcase_add_loop_test(ends, a_function_that_fails, 1, 4);
    tcase_add_loop_test(ends, a_function_that_leaves_with_a_lock, 1, 4);
    tcase_add_loop_test(ends, a_queued_job_never_runs, 1, 4);
    tcase_add_loop_test(ends, a_running_job_is_asked_and_then_killed, 2, 4);
    tcase_add_test(ends, a_cancelled_job_that_finishes);
    tcase_add_test(told, times_are_in_order);
    tcase_add_test(told, status_of_each_state);
    tcase_add_test(told, names_are_cut);
    tcase_add_test(told, workers_count_their_jobs);
    tcase_add_test(told, output_is_captured);
    tcase_add_test(told, output_goes_back);
    tcase_add_test(told, output_of_a_program_without_stdout);
    return test_main(suite);
}
