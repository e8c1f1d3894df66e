/* Jobs and regions take turns. */
#include "held.h"
#include "workers.h"

#include <errno.h>

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

/* A job that has not ended is not killed for a region that it knows nothing
 * of. */
START_TEST(a_region_that_waits_is_cancelled)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_job *job = submit(cluster, hold, NULL, 0);
    unsigned worker;
    pid_t pid;

    test_await(inside_reached, &(int){1});
    worker = job_info(job).worker;
    pid = test_pid(cluster, worker);
    ck_dsm(dsm_cluster_start(cluster, record_in_region, NULL, 0));
    ck_dsm(dsm_cluster_cancel(cluster, 0));
    ck_assert_int_eq(dsm_cluster_wait(cluster, 50), -ETIMEDOUT);
    ck_assert_int_eq(dsm_job_result(job, NULL, NULL, 0), DSM_EPENDING);
    let_go(1);
    (void)!dsm_cluster_wait(cluster, DSM_FOREVER);
    ck_finished(job);
    ck_assert_int_eq(test_pid(cluster, worker), pid);
    /* The worker that the job held up had no part in it any more. */
    ck_assert_int_le(held()->count, 1);
    test_whole(cluster);
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
    tcase_add_loop_test(tests, regions_and_jobs_in_turn, 1, 5);
    return test_main(suite);
}
