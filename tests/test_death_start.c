/* A worker dies as it starts, or as it ends. */
#include "workers.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#define WORKERS 3
#define VICTIM 1
#define GRACE_MS 300

static const char *const starts[] = {"worker.start", "worker.ready"};

/* No point yet, but all processes of the cluster will meet one. */
static dsm_cluster *
create_unharmed(void)
{
    test_kill_at("", 1, SIGKILL, 0);
    return test_cluster(WORKERS);
}

static int
die_in_region(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    dsm_worker_barrier(self);
    if (dsm_worker_id(self) == VICTIM)
        raise(SIGKILL);
    return 0;
}

START_TEST(dies_starting)
{
    for (int times = 1; times <= 2; times++) {
        dsm_cluster *cluster;

        test_kill_at(starts[_i], 1, SIGKILL, times);
        cluster = test_cluster(2);
        ck_assert_int_eq(test_killed(), times);
        ck_assert_uint_eq(test_info(cluster, 0).deaths +
                              test_info(cluster, 1).deaths,
                          (unsigned)times);
        test_whole(cluster);
        dsm_cluster_destroy(cluster);
    }
}
END_TEST

START_TEST(dies_starting_too_often)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    test_kill_at(starts[_i], 1, SIGKILL, 1000);
    ck_dsm_error(dsm_cluster_create(&cluster, 2, &options), DSM_EWORKER,
                 "died of SIGKILL");
    ck_assert_ptr_null(cluster);
    ck_assert_int_ge(test_killed(), 3);
    ck_assert(test_nothing_left(options.name));
}
END_TEST

START_TEST(its_replacement_dies)
{
    dsm_cluster *cluster = create_unharmed();
    uint64_t deaths = 0;

    for (int times = 1; times <= 2; times++) {
        test_kill_at(starts[_i], 1, SIGKILL, times);
        ck_dsm_error(dsm_cluster_run(cluster, die_in_region, NULL, 0),
                     DSM_EWORKER, "worker 1");
        test_whole(cluster);
        ck_assert_int_eq(test_killed(), times);
        deaths += 1 + (unsigned)times;
        ck_assert_uint_eq(test_info(cluster, VICTIM).deaths, deaths);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Then the cluster is of no use until a refresh succeeds. */
START_TEST(all_replacements_die)
{
    dsm_cluster *cluster = create_unharmed();

    test_kill_at(starts[_i], 1, SIGKILL, 1000);
    ck_dsm_error(dsm_cluster_run(cluster, die_in_region, NULL, 0), DSM_EWORKER,
                 "worker 1");
    ck_dsm_error(dsm_cluster_run(cluster, test_whole_part, NULL, 0),
                 DSM_EWORKER, "could not start its workers");
    ck_dsm_error(dsm_cluster_refresh(cluster), DSM_EWORKER,
                 "could not start its workers");
    ck_assert_int_ge(test_killed(), 6);
    test_kill_at("", 1, SIGKILL, 0);
    ck_dsm(dsm_cluster_refresh(cluster));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Not before the supervisor has given up. */
static bool
refreshed(const void *cluster)
{
    return dsm_cluster_refresh((dsm_cluster *)(uintptr_t)cluster) == 0;
}

/* A region that nobody could run has failed, also after a refresh. */
START_TEST(all_replacements_die_in_a_started_region)
{
    dsm_cluster *cluster = create_unharmed();
    pid_t pid = test_pid(cluster, VICTIM);

    /* Stopped, it cannot begin. */
    kill(pid, SIGSTOP);
    test_await(test_stopped, &pid);
    ck_dsm(dsm_cluster_start(cluster, test_whole_part, NULL, 0));
    test_kill_at(starts[_i], 1, SIGKILL, 3);
    kill(pid, SIGKILL);
    test_await(refreshed, cluster);
    ck_assert_int_eq(test_killed(), 3);
    ck_dsm_error(dsm_cluster_wait(cluster, 10000), DSM_EWORKER,
                 "region 1 was given up");
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(dies_in_a_refresh)
{
    dsm_cluster *cluster = create_unharmed();

    for (int times = 1; times <= 2; times++) {
        test_kill_at(starts[_i], 1, SIGKILL, times);
        ck_dsm(dsm_cluster_refresh(cluster));
        ck_assert_int_eq(test_killed(), times);
        test_whole(cluster);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
die_cleaning_up(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    ++*(_Atomic unsigned *)test_shared;
    if (dsm_worker_id(self) == VICTIM)
        raise(SIGKILL);
    return 0;
}

START_TEST(dies_in_cleanup)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    pid_t pid[WORKERS];
    double begin;

    options.name = test_name();
    options.grace_ms = GRACE_MS;
    options.cleanup = die_cleaning_up;
    ck_dsm(dsm_cluster_create(&cluster, WORKERS, &options));
    test_whole(cluster);
    for (unsigned w = 0; w < WORKERS; w++)
        pid[w] = test_pid(cluster, w);
    begin = test_now();
    dsm_cluster_destroy(cluster);
    ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
    ck_assert_uint_eq(*(_Atomic unsigned *)test_shared, WORKERS);
    ck_assert(test_nothing_left(options.name));
    for (unsigned w = 0; w < WORKERS; w++)
        test_await(test_gone, &pid[w]);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("death_start");
    TCase *tests = test_case(suite, "start");

    tcase_add_loop_test(tests, dies_starting, 0, 2);
    tcase_add_loop_test(tests, dies_starting_too_often, 0, 2);
    tcase_add_loop_test(tests, its_replacement_dies, 0, 2);
    tcase_add_loop_test(tests, all_replacements_die, 0, 2);
    tcase_add_loop_test(tests, all_replacements_die_in_a_started_region, 0, 2);
    tcase_add_loop_test(tests, dies_in_a_refresh, 0, 2);

    tests = test_case(suite, "end");
    tcase_add_test(tests, dies_in_cleanup);
    return test_main(suite);
}
