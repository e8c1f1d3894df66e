/* Jobs and regions take turns. */
#include "held.h"
#include "workers.h"

#include <errno.h>
#include <signal.h>

static int
record_in_region(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    return record(self, &(int){1}, sizeof(int));
}

/* A region waits for the jobs that run, and those that wait wait on. */
START_TEST(regions_wait_for_running_jobs)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_job *running, *queued[10];
    int number = 2;

    running = submit(cluster, hold, NULL, 0);
    hold_workers(cluster, 1);
    test_await(inside_reached, &(int){2});
    for (int k = 0; k < 10; k++)
        queued[k] = submit(cluster, record, &number, sizeof number);
    ck_dsm(dsm_cluster_start(cluster, record_in_region, NULL, 0));
    ck_assert_int_eq(dsm_cluster_wait(cluster, 30), -ETIMEDOUT);
    ck_assert_int_eq(held()->count, 0);
    let_go(1);
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_finished(running);
    for (int k = 0; k < 10; k++)
        ck_finished(queued[k]);
    ck_assert_int_eq(held()->count, 12);
    for (int k = 0; k < 12; k++)
        ck_assert_int_eq(held()->record[k], k < 2 ? 1 : 2);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A setup: workers do not start while the test does not want them to. */
static int
start_if_wanted(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    while (held()->value[0])
        wait_a_moment();
    return 0;
}

static int
die(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    raise(SIGKILL);
    return 0;
}

/* Two workers, one of which a job holds up. */
static dsm_cluster *
half_held_cluster(dsm_job **job)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.setup = start_if_wanted;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    *job = submit(cluster, hold, NULL, 0);
    test_await(inside_reached, &(int){1});
    return cluster;
}

/* The job is not killed for a region that it knows nothing of, and its worker
 * has no part in it any more.  Returns the region's result. */
static int
cancel_region(dsm_cluster *cluster, dsm_job *job)
{
    unsigned worker = job_info(job).worker;
    pid_t pid = test_pid(cluster, worker);
    int result, inside = held()->inside;

    ck_dsm(dsm_cluster_cancel(cluster, 0));
    ck_dsm_error(dsm_cluster_wait(cluster, 300), -ETIMEDOUT, "");
    ck_assert_int_eq(dsm_job_result(job, NULL, NULL, 0), DSM_EPENDING);
    held()->value[0] = 0;
    let_go(1);
    result = dsm_cluster_wait(cluster, DSM_FOREVER);
    ck_finished(job);
    ck_assert_int_eq(test_pid(cluster, worker), pid);
    ck_assert_int_eq(held()->inside, inside);
    test_whole(cluster);
    return result;
}

START_TEST(a_region_that_waits_is_cancelled)
{
    dsm_job *job;
    dsm_cluster *cluster = half_held_cluster(&job);

    ck_dsm(dsm_cluster_start(cluster, hang, NULL, 0));
    test_await(inside_reached, &(int){2});
    ck_assert_int_eq(cancel_region(cluster, job), DSM_ECANCELED);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Who is killed as it starts is not killed again and again. */
START_TEST(a_region_is_cancelled_that_a_worker_has_not_begun)
{
    dsm_job *job, *other;
    dsm_cluster *cluster = half_held_cluster(&job);

    held()->value[0] = 1;
    other = submit(cluster, die, NULL, 0);
    ck_assert_int_eq(dsm_job_result(other, NULL, NULL, DSM_FOREVER),
                     DSM_EWORKER);
    dsm_job_release(other);
    ck_dsm(dsm_cluster_start(cluster, hang, NULL, 0));
    ck_assert_int_eq(cancel_region(cluster, job), DSM_ECANCELED);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Neither forgets the other, whoever comes first. */
START_TEST(regions_and_jobs_in_turn)
{
    dsm_cluster *cluster = test_cluster((unsigned)_i);
    int jobs = 0, number = 2;
    dsm_job *job;

    for (int round = 0; round < 300; round++) {
        for (int k = 0; k < round % 5; k++, jobs++)
            ck_dsm(dsm_job_submit(NULL, cluster, record, &number, sizeof number,
                                  NULL));
        ck_dsm(dsm_cluster_run(cluster, test_whole_part, NULL, 0));
        if (round % 3 == 0)
            while (dsm_job_next(&job, cluster, DSM_FOREVER) == 0)
                ck_finished(job);
    }
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(held()->count, jobs);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("jobs and regions");
    TCase *tests = test_case(suite, "region");

    tcase_add_test(tests, regions_wait_for_running_jobs);
    tcase_add_test(tests, a_region_that_waits_is_cancelled);
    tcase_add_test(tests, a_region_is_cancelled_that_a_worker_has_not_begun);
    tcase_add_loop_test(tests, regions_and_jobs_in_turn, 1, 5);
    return test_main(suite);
}
