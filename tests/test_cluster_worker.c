/* What is told of workers, and a controller that works itself. */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shared {
    _Atomic bool go;
    _Atomic unsigned began;
    pid_t pid[8];
};

static struct shared *
shared(void)
{
    return test_shared;
}

static int
hold(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    shared()->began++;
    while (!shared()->go && !dsm_worker_cancelled(self))
        usleep(1000);
    return 0;
}

static bool
all_began(const void *cluster)
{
    return shared()->began == dsm_cluster_workers(cluster);
}

/* ---- Information. */

START_TEST(bad_calls)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_worker_info info = DSM_WORKER_INFO_INIT;

    ck_dsm_error(dsm_cluster_worker(cluster, 2, &info), -EINVAL, "no worker 2");
    ck_dsm_error(dsm_cluster_worker(cluster, UINT32_MAX, &info), -EINVAL,
                 "no worker");
    info.size = 0;
    ck_dsm_error(dsm_cluster_worker(cluster, 0, &info), -EINVAL,
                 "DSM_WORKER_INFO_INIT");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A program may have been compiled against an older or a newer header. */
START_TEST(info_of_other_versions)
{
    dsm_cluster *cluster = test_cluster(2);
    struct {
        dsm_worker_info known;
        char unknown[32];
    } newer;
    dsm_worker_info older;

    memset(&newer, 0x5a, sizeof newer);
    newer.known.size = sizeof newer;
    ck_dsm(dsm_cluster_worker(cluster, 1, &newer.known));
    ck_assert_uint_eq(newer.known.id, 1);
    ck_assert_uint_eq(newer.known.size, sizeof newer);

    memset(&older, 0x5a, sizeof older);
    older.size = offsetof(dsm_worker_info, value);
    ck_dsm(dsm_cluster_worker(cluster, 1, &older));
    ck_assert_int_eq(older.pid, newer.known.pid);
    ck_assert_int_eq(older.value, 0x5a5a5a5a);
    ck_assert_uint_eq(older.regions, UINT64_C(0x5a5a5a5a5a5a5a5a));
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
note_pid(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    shared()->pid[dsm_worker_id(self)] = getpid();
    return 0;
}

START_TEST(states_and_pids)
{
    dsm_cluster *cluster = test_cluster(3);
    dsm_worker_info info;

    ck_dsm(dsm_cluster_run(cluster, note_pid, NULL, 0));
    for (unsigned w = 0; w < 3; w++) {
        info = test_info(cluster, w);
        ck_assert_uint_eq(info.id, w);
        ck_assert_int_eq(info.state, DSM_WORKER_IDLE);
        ck_assert_int_eq(info.pid, shared()->pid[w]);
        ck_assert_uint_eq(info.regions, 1);
        ck_assert_uint_eq(info.deaths, 0);
        ck_assert_str_eq(info.message, "");
    }
    ck_dsm(dsm_cluster_start(cluster, hold, NULL, 0));
    test_await(all_began, cluster);
    for (unsigned w = 0; w < 3; w++)
        ck_assert_int_eq(test_info(cluster, w).state, DSM_WORKER_RUNNING);
    shared()->go = true;
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    for (unsigned w = 0; w < 3; w++)
        ck_assert_int_eq(test_info(cluster, w).state, DSM_WORKER_IDLE);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Worker 0 computes for the given milliseconds while it holds the lock; then
 * all meet.  So the others wait, first at the lock, then at the barrier. */
static int
spend(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_lock *lock = dsm_worker_lock(self, "L");
    double end;

    (void)arg_size;
    if (dsm_worker_id(self) == 0 && dsm_lock_acquire(lock, DSM_FOREVER))
        return 1;
    dsm_worker_barrier(self);
    end = test_now() + *(const double *)arg;
    if (dsm_worker_id(self) == 0) {
        while (test_now() < end)
            ;
        dsm_lock_release(lock);
        end = test_now() + *(const double *)arg;
        while (test_now() < end)
            ;
    }
    if (dsm_worker_id(self) == 1 &&
        (dsm_lock_acquire(lock, DSM_FOREVER) || dsm_lock_release(lock)))
        return 2;
    dsm_worker_barrier(self);
    return 0;
}

START_TEST(where_time_goes)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_worker_info info[2];
    double each = 0.1, begin = test_now(), whole;
    dsm_lock *lock;

    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    usleep(50000);
    ck_dsm(dsm_cluster_run(cluster, spend, &each, sizeof each));
    whole = test_now() - begin + 1;
    for (unsigned w = 0; w < 2; w++) {
        info[w] = test_info(cluster, w);
        ck_assert_double_ge(info[w].busy, 0.19); /* of the clock's 0.2 */
        ck_assert_double_le(info[w].busy, whole);
        ck_assert_double_ge(info[w].idle, 0.04);
        ck_assert_double_le(info[w].idle, whole);
    }
    ck_assert_double_ge(info[1].lock_wait, 0.05);
    ck_assert_double_ge(info[1].barrier_wait, 0.05);
    ck_assert_double_le(info[1].lock_wait + info[1].barrier_wait, whole);
    ck_assert_double_lt(info[0].lock_wait, info[1].lock_wait);
    ck_assert_double_lt(info[0].barrier_wait, info[1].barrier_wait);
    /* Counters stay through re-forks. */
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_double_ge(test_info(cluster, 1).lock_wait, 0.05);
    ck_assert_double_ge(test_info(cluster, 1).barrier_wait, 0.05);
    ck_assert_double_ge(test_info(cluster, 1).busy, 0.19);
    ck_assert_uint_eq(test_info(cluster, 1).regions, 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(print_stats)
{
    dsm_cluster *cluster = test_cluster(3);
    char *text = NULL, pid[16], *line;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    test_whole(cluster);
    ck_dsm(dsm_cluster_print_stats(cluster, stream));
    fclose(stream);
    line = strtok(text, "\n");
    ck_assert_ptr_nonnull(strstr(line, "WORKER"));
    ck_assert_ptr_nonnull(strstr(line, "REGIONS"));
    for (unsigned w = 0; w < 3; w++) {
        unsigned id;
        long shown;

        line = strtok(NULL, "\n");
        ck_assert_ptr_nonnull(line);
        ck_assert_int_eq(sscanf(line, "%u %ld", &id, &shown), 2);
        ck_assert_uint_eq(id, w);
        ck_assert_int_eq(shown, test_pid(cluster, w));
        snprintf(pid, sizeof pid, "%ld", shown);
        ck_assert_ptr_nonnull(strstr(line, "idle"));
    }
    ck_assert_ptr_null(strtok(NULL, "\n"));
    free(text);

    stream = fopen("/dev/full", "we");
    setvbuf(stream, NULL, _IONBF, 0);
    ck_dsm_error(dsm_cluster_print_stats(cluster, stream), -EIO, "print");
    fclose(stream);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A controller that works. */

static dsm_cluster *
create_working(unsigned workers)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.controller_works = true;
    options.grace_ms = 300;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

static unsigned private_count;

static int
count(dsm_worker *self, const void *arg, size_t arg_size)
{
    private_count++;
    return note_pid(self, arg, arg_size);
}

START_TEST(controller_is_worker_0)
{
    dsm_cluster *cluster = create_working((unsigned)_i);

    ck_assert_uint_eq(dsm_cluster_workers(cluster), (unsigned)_i);
    ck_assert_int_eq(test_pid(cluster, 0), getpid());
    for (unsigned k = 1; k <= 100; k++) {
        ck_dsm(dsm_cluster_run(cluster, count, NULL, 0));
        ck_assert_uint_eq(private_count, k); /* no isolation */
    }
    for (unsigned w = 0; w < (unsigned)_i; w++) {
        ck_assert_int_eq(shared()->pid[w], test_pid(cluster, w));
        if (w > 0)
            ck_assert_int_ne(shared()->pid[w], getpid());
        ck_assert_uint_eq(test_info(cluster, w).regions, 100);
    }
    test_whole(cluster);
    ck_dsm_error(dsm_cluster_start(cluster, count, NULL, 0), -EINVAL,
                 "controller_works");
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_int_eq(test_pid(cluster, 0), getpid());
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

enum manner { RETURN, FAIL, FAIL_CODE, LEAVE };

/* Worker 0, or 1, ends its part in a way that others at the barrier are to
 * hear of. */
static int
end_part(dsm_worker *self, const void *arg, size_t arg_size)
{
    const unsigned *how = arg; /* who, enum manner */

    (void)arg_size;
    dsm_worker_barrier(self);
    if (dsm_worker_id(self) == how[0])
        switch ((enum manner)how[1]) {
        case FAIL:
            dsm_worker_fail(self, 4, "worker %u gives up", how[0]);
        case FAIL_CODE:
            dsm_worker_fail(self, -EDOM, "worker %u gives up", how[0]);
        case RETURN:
            return 8;
        case LEAVE:
            return 0;
        }
    dsm_worker_barrier(self);
    return 0;
}

START_TEST(a_part_fails)
{
    static const struct {
        int code;
        const char *text;
    } expected[] = {[RETURN] = {DSM_EFAILED, "function returned 8"},
                    [FAIL] = {DSM_EFAILED, " gives up"},
                    [FAIL_CODE] = {-EDOM, " gives up"},
                    [LEAVE] = {DSM_EBROKEN, "barrier"}};
    dsm_cluster *cluster = create_working(3);

    for (unsigned who = 0; who < 2; who++)
        for (unsigned how = 0; how < 4; how++) {
            const unsigned arg[2] = {who, how};

            ck_dsm_error(dsm_cluster_run(cluster, end_part, arg, sizeof arg),
                         expected[how].code, expected[how].text);
            test_whole(cluster);
            ck_assert_int_eq(test_pid(cluster, 0), getpid());
        }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Worker 1 dies while worker 0, in the controller, waits or computes. */
static int
lose_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    bool compute = *(const bool *)arg;

    (void)arg_size;
    dsm_worker_barrier(self);
    if (dsm_worker_id(self) == 1)
        raise(SIGKILL);
    if (!compute)
        return dsm_worker_barrier(self) == DSM_EBROKEN ? 0 : 1;
    while (!dsm_worker_cancelled(self))
        usleep(1000);
    usleep(400000); /* longer than the grace: worker 0 is never killed */
    shared()->began++;
    return 0;
}

START_TEST(a_worker_dies)
{
    dsm_cluster *cluster = create_working(2);
    char text[64];

    for (int compute = 0; compute < 2; compute++) {
        bool arg = compute;

        snprintf(text, sizeof text, "worker 1 (pid %ld) died of SIGKILL",
                 (long)test_pid(cluster, 1));
        ck_dsm_error(dsm_cluster_run(cluster, lose_one, &arg, sizeof arg),
                     DSM_EWORKER, text);
        test_whole(cluster);
    }
    ck_assert_uint_eq(shared()->began, 1);
    ck_assert_uint_eq(test_info(cluster, 0).deaths, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
run_within(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_cluster *cluster = dsm_worker_cluster(self);

    (void)arg, (void)arg_size;
    return dsm_cluster_run(cluster, count, NULL, 0) < 0 &&
                   dsm_cluster_refresh(cluster) < 0
               ? 0
               : 1;
}

START_TEST(no_region_within_a_region)
{
    dsm_cluster *cluster = create_working(2);

    ck_dsm(dsm_cluster_run(cluster, run_within, NULL, 0));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void *
cancel_soon(void *cluster)
{
    while (!all_began(cluster))
        usleep(1000);
    return (void *)(intptr_t)dsm_cluster_cancel(cluster, DSM_GRACE);
}

START_TEST(cancel_a_working_controller)
{
    dsm_cluster *cluster = create_working(3);
    pthread_t thread;
    void *result;

    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, cluster), 0);
    ck_dsm(dsm_cluster_run(cluster, hold, NULL, 0));
    pthread_join(thread, &result);
    ck_assert_ptr_null(result);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Each is worker 0 of its own. */
START_TEST(two_working_clusters)
{
    dsm_cluster *first = create_working(2), *second = create_working(3);

    for (unsigned k = 1; k <= 50; k++) {
        ck_dsm(dsm_cluster_run(first, count, NULL, 0));
        ck_dsm(dsm_cluster_run(second, count, NULL, 0));
        ck_assert_uint_eq(private_count, 2 * k);
    }
    dsm_cluster_destroy(first);
    test_whole(second);
    dsm_cluster_destroy(second);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cluster_worker");
    TCase *tests = test_case(suite, "information");

    tcase_add_test(tests, bad_calls);
    tcase_add_test(tests, info_of_other_versions);
    tcase_add_test(tests, states_and_pids);
    tcase_add_test(tests, where_time_goes);
    tcase_add_test(tests, print_stats);

    tests = test_case(suite, "controller_works");
    tcase_add_loop_test(tests, controller_is_worker_0, 1, 6);
    tcase_add_test(tests, a_part_fails);
    tcase_add_test(tests, a_worker_dies);
    tcase_add_test(tests, no_region_within_a_region);
    tcase_add_test(tests, cancel_a_working_controller);
    tcase_add_test(tests, two_working_clusters);
    return test_main(suite);
}
