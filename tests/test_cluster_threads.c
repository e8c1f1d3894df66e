/* Calls on a cluster from several threads. */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

struct shared {
    _Atomic bool go;
    _Atomic unsigned began, runs;
};

static struct shared *
shared(void)
{
    return test_shared;
}

/* Runs until it is let go. */
static int
hold(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    shared()->began++;
    while (!shared()->go && !dsm_worker_cancelled(self))
        usleep(1000);
    shared()->runs++;
    return 0;
}

static bool
all_began(const void *cluster)
{
    return shared()->began == dsm_cluster_workers(cluster);
}

static int
count(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    shared()->runs++;
    return 0;
}

/* Runs as many regions as the other thread leaves it; how many. */
static void *
run_many(void *cluster)
{
    uintptr_t done = 0;

    while (done < 300) {
        int result = dsm_cluster_run(cluster, count, NULL, 0);

        if (result == 0)
            done++;
        else if (result != -EBUSY)
            return NULL;
    }
    return (void *)done;
}

START_TEST(regions_from_two_threads)
{
    dsm_cluster *cluster = test_cluster(2);
    pthread_t thread[2];
    void *done;

    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(pthread_create(&thread[k], NULL, run_many, cluster),
                         0);
    for (int k = 0; k < 2; k++) {
        pthread_join(thread[k], &done);
        ck_assert_uint_eq((uintptr_t)done, 300);
    }
    ck_assert_uint_eq(shared()->runs, 2 * 600);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void *
run_hold(void *cluster)
{
    return (void *)(intptr_t)dsm_cluster_run(cluster, hold, NULL, 0);
}

START_TEST(calls_beside_a_region)
{
    dsm_cluster *cluster = test_cluster(2);
    pthread_t thread;
    dsm_array *array;
    dsm_lock *lock;
    void *result;

    ck_assert_int_eq(pthread_create(&thread, NULL, run_hold, cluster), 0);
    test_await(all_began, cluster);
    ck_dsm_error(dsm_cluster_run(cluster, count, NULL, 0), -EBUSY, "already");
    ck_dsm_error(dsm_cluster_start(cluster, count, NULL, 0), -EBUSY, "already");
    ck_assert_int_lt(dsm_cluster_wait(cluster, 0), 0);
    ck_dsm_error(dsm_cluster_refresh(cluster), -EBUSY, "region");
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(9)));
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    ck_dsm(dsm_lock_acquire(lock, 0));
    ck_dsm(dsm_lock_release(lock));
    ck_assert_int_eq(test_info(cluster, 1).state, DSM_WORKER_RUNNING);
    shared()->go = true;
    pthread_join(thread, &result);
    ck_assert_ptr_null(result);
    ck_assert_uint_eq(shared()->runs, 2);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void *
wait_for_ever(void *cluster)
{
    return (void *)(intptr_t)dsm_cluster_wait(cluster, DSM_FOREVER);
}

static bool
busy_to_wait(const void *cluster)
{
    return dsm_cluster_wait((dsm_cluster *)(uintptr_t)cluster, 0) == -EBUSY;
}

START_TEST(wait_in_two_threads)
{
    dsm_cluster *cluster = test_cluster(2);
    pthread_t thread;
    void *result;

    ck_dsm(dsm_cluster_start(cluster, hold, NULL, 0));
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_ever, cluster), 0);
    test_await(busy_to_wait, cluster);
    shared()->go = true;
    pthread_join(thread, &result);
    ck_assert_ptr_null(result);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Clusters of their own do not meet. */
static void *
live_and_die(void *name)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    options.name = name;
    for (int k = 0; k < 10; k++) {
        dsm_cluster *cluster;
        int error = dsm_cluster_create(&cluster, 2, &options);

        if (!error)
            error = dsm_cluster_run(cluster, count, NULL, 0);
        dsm_cluster_destroy(cluster);
        if (error)
            return (void *)(intptr_t)error;
    }
    return NULL;
}

START_TEST(clusters_in_threads)
{
    pthread_t thread[3];
    void *result;

    for (int k = 0; k < 3; k++)
        ck_assert_int_eq(pthread_create(&thread[k], NULL, live_and_die,
                                        (void *)(uintptr_t)test_name()),
                         0);
    for (int k = 0; k < 3; k++) {
        pthread_join(thread[k], &result);
        ck_assert_msg(!result, "%s", dsm_errname((int)(intptr_t)result));
    }
    ck_assert_uint_eq(shared()->runs, 60);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cluster_threads");
    TCase *tests = test_case(suite, "threads");

    tcase_add_test(tests, regions_from_two_threads);
    tcase_add_test(tests, calls_beside_a_region);
    tcase_add_test(tests, wait_in_two_threads);
    tcase_add_test(tests, clusters_in_threads);
    return test_main(suite);
}
