/* Locks: one holder at a time, timeouts, misuse, and holders and waiters that
 * die. */
#include "meeting.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

static dsm_lock *
make_lock(dsm_cluster *cluster)
{
    dsm_lock *lock;

    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    ck_assert_ptr_nonnull(lock);
    return lock;
}

/* Asserts that it is free and in good order. */
static void
ck_free(dsm_lock *lock)
{
    ck_assert_int_eq(dsm_lock_acquire(lock, 0), 0);
    ck_dsm(dsm_lock_release(lock));
}

/* Asserts that its last holder died inside, which is told once. */
static void
ck_orphan(dsm_lock *lock)
{
    ck_assert_int_eq(dsm_lock_acquire(lock, DSM_FOREVER), 1);
    ck_dsm(dsm_lock_release(lock));
    ck_free(lock);
}

/* ---- The object. */

START_TEST(is_found_by_its_name)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_lock *lock = make_lock(cluster), *other;
    dsm_queue *queue;

    ck_dsm(dsm_lock_open(&other, cluster, "L"));
    ck_assert_ptr_eq(other, lock);
    ck_dsm_error(dsm_lock_create(&other, cluster, "L"), -EEXIST, "'L'");
    ck_assert_ptr_null(other);
    ck_dsm_error(dsm_lock_open(&other, cluster, "M"), -ENOENT, "'M'");
    ck_assert_ptr_null(other);
    ck_dsm_error(dsm_lock_create(&other, cluster, "not/legal"), -EINVAL, "");
    ck_assert_ptr_null(other);
    ck_dsm_error(dsm_queue_open(&queue, cluster, "L"), -EINVAL, "lock");
    ck_dsm(dsm_queue_create(&queue, cluster, "Q", 1, 1));
    ck_dsm_error(dsm_lock_open(&other, cluster, "Q"), -EINVAL, "queue");
    ck_assert_ptr_null(other);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(destroy_waits_for_nobody)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_lock *lock = make_lock(cluster), *other;

    ck_dsm(dsm_lock_acquire(lock, 0));
    ck_dsm_error(dsm_lock_destroy(lock), -EBUSY, "'L'");
    ck_dsm(dsm_lock_release(lock));
    ck_dsm(dsm_lock_destroy(lock));
    ck_dsm_error(dsm_lock_open(&other, cluster, "L"), -ENOENT, "'L'");
    ck_dsm_error(dsm_lock_destroy(lock), -ENOENT, "destroyed");
    ck_dsm(dsm_lock_destroy(NULL));
    /* Its place may be used again, by a lock that nobody holds. */
    ck_free(make_lock(cluster));
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(there_may_be_many)
{
    enum { LOCKS = 300 };
    dsm_cluster *cluster = test_cluster(1);
    dsm_lock *lock[LOCKS];
    char name[16];

    for (int k = 0; k < LOCKS; k++) {
        snprintf(name, sizeof name, "L%d", k);
        ck_dsm(dsm_lock_create(&lock[k], cluster, name));
        ck_assert_int_eq(dsm_lock_acquire(lock[k], 0), 0);
    }
    for (int k = 0; k < LOCKS; k++)
        ck_dsm(dsm_lock_release(lock[k]));
    for (int k = 0; k < LOCKS; k++)
        ck_free(lock[k]);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- One at a time. */

START_TEST(is_acquired_and_released)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_lock *lock = make_lock(cluster);

    for (int k = 0; k < 1000; k++) {
        ck_assert_int_eq(dsm_lock_acquire(lock, k % 2 ? 0 : DSM_FOREVER), 0);
        ck_assert_int_eq(dsm_lock_release(lock), 0);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

#define ROUNDS 5000

/* Adds to a counter in a way that loses sums where two do so at once. */
static int
count_up(dsm_worker *self, const void *arg, size_t arg_size)
{
    volatile uint64_t *counter = dsm_array_data(dsm_worker_array(self, "C"));
    dsm_lock *lock = dsm_worker_lock(self, "L");

    (void)arg_size;
    if (lock != *(dsm_lock *const *)arg)
        return 3;
    for (int k = 0; k < ROUNDS; k++) {
        uint64_t seen;

        if (dsm_lock_acquire(lock, k % 2 ? DSM_FOREVER : 60000) != 0)
            return 1;
        seen = *counter;
        if (k % 64 == 0)
            sched_yield();
        *counter = seen + 1;
        if (dsm_lock_release(lock) != 0)
            return 2;
    }
    return 0;
}

START_TEST(excludes_all_others)
{
    unsigned workers = (unsigned)_i;
    dsm_cluster *cluster = test_cluster(workers);
    dsm_lock *lock = make_lock(cluster);
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "C", DSM_UINT64, 0, NULL));
    ck_dsm(dsm_cluster_run(cluster, count_up, &lock, sizeof lock));
    ck_assert_uint_eq(*(uint64_t *)dsm_array_data(array), workers * ROUNDS);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
acquire_and_release(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_lock *lock = *(dsm_lock *const *)arg;
    unsigned id = dsm_worker_id(self);
    int result;

    (void)arg_size;
    now_waits(id);
    result = dsm_lock_acquire(lock, DSM_FOREVER);
    meeting()->result[id] = result;
    return dsm_lock_release(lock) || result;
}

START_TEST(a_waiter_gets_it_from_the_controller)
{
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_lock *lock = make_lock(cluster);

    ck_dsm(dsm_lock_acquire(lock, DSM_FOREVER));
    ck_dsm(dsm_cluster_start(cluster, acquire_and_release, &lock, sizeof lock));
    ck_assert(await_waiting(0) && await_waiting(1));
    ck_dsm_error(dsm_lock_destroy(lock), -EBUSY, "region");
    ck_dsm_error(dsm_cluster_wait(cluster, 0), -ETIMEDOUT, "");
    ck_dsm(dsm_lock_release(lock));
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    /* Who has to wait is told in its statistics. */
    ck_assert_double_gt(test_info(cluster, 0).lock_wait, 0);
    ck_assert_double_gt(test_info(cluster, 1).lock_wait, 0);
    ck_free(lock);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Timeouts. */

struct attempt {
    dsm_lock *lock;
    int timeout_ms;
};

static int
try_to_acquire(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct attempt *attempt = arg;
    double start = test_now(), took;
    int result = dsm_lock_acquire(attempt->lock, attempt->timeout_ms);

    (void)self, (void)arg_size;
    took = test_now() - start;
    meeting()->result[0] = result;
    if (!strstr(dsm_last_error(), "'L'"))
        return 1;
    /* Not too early; how late, no clock can promise. */
    return took < 1e-3 * attempt->timeout_ms;
}

START_TEST(a_timeout_ends_the_wait)
{
    static const int timeouts[] = {0, 1, 30, 250};
    dsm_cluster *cluster = meeting_cluster(1);
    struct attempt attempt = {make_lock(cluster), timeouts[_i]};

    ck_dsm(dsm_lock_acquire(attempt.lock, DSM_FOREVER));
    ck_dsm(dsm_cluster_run(cluster, try_to_acquire, &attempt, sizeof attempt));
    ck_result(0, -ETIMEDOUT);
    ck_dsm(dsm_lock_release(attempt.lock));
    ck_free(attempt.lock);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Misuse. */

START_TEST(its_holder_cannot_acquire_it_again)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_lock *lock = make_lock(cluster);

    ck_dsm(dsm_lock_acquire(lock, 0));
    ck_dsm_error(dsm_lock_acquire(lock, 0), -EDEADLK, "'L'");
    ck_dsm_error(dsm_lock_acquire(lock, 20), -EDEADLK, "'L'");
    ck_dsm_error(dsm_lock_acquire(lock, DSM_FOREVER), -EDEADLK, "'L'");
    ck_dsm(dsm_lock_release(lock));
    ck_dsm_error(dsm_lock_release(lock), -EPERM, "'L'");
    ck_free(lock);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
release_only(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    return dsm_lock_release(*(dsm_lock *const *)arg) != -EPERM;
}

/* Another thread of the holder's process. */
static void *
release_in_thread(void *lock)
{
    meeting()->result[0] = dsm_lock_release(lock);
    meeting()->result[1] = dsm_lock_acquire(lock, 0);
    meeting()->result[2] = dsm_lock_destroy(lock);
    return NULL;
}

START_TEST(only_its_holder_releases_it)
{
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_lock *lock = make_lock(cluster);
    pthread_t thread;

    ck_dsm_error(dsm_lock_release(lock), -EPERM, "'L'");
    ck_dsm(dsm_lock_acquire(lock, 0));
    ck_dsm(dsm_cluster_run(cluster, release_only, &lock, sizeof lock));
    ck_assert_int_eq(pthread_create(&thread, NULL, release_in_thread, lock), 0);
    pthread_join(thread, NULL);
    ck_result(0, -EPERM);
    ck_result(1, -ETIMEDOUT);
    ck_result(2, -EBUSY);
    ck_dsm(dsm_lock_release(lock));
    ck_free(lock);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A worker dies inside. */

enum death { KILLED, EXITED, ABORTED, DEATHS };

static void
end_process(enum death death)
{
    if (death == EXITED)
        exit(3);
    if (death == ABORTED)
        abort();
    die();
}

struct holding {
    dsm_lock *lock;
    enum death death;
    bool watched; /* worker 1 waits for it meanwhile */
};

static int
die_inside(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct holding *holding = arg;
    int result;

    (void)arg_size;
    if (dsm_worker_id(self) == 0) {
        if (dsm_lock_acquire(holding->lock, DSM_FOREVER) != 0)
            return 1;
        next_step();
        if (!holding->watched || await_waiting(1))
            end_process(holding->death);
        return 2;
    }
    if (!await_step(1) || !holding->watched)
        return 0;
    now_waits(1);
    result = dsm_lock_acquire(holding->lock, DSM_FOREVER);
    meeting()->result[1] = result;
    meeting()->result[2] = dsm_lock_release(holding->lock);
    return 0;
}

START_TEST(a_dead_holder_is_told_to_the_next)
{
    bool watched = _i >= DEATHS;
    enum death death = (enum death)(_i % DEATHS);
    dsm_cluster *cluster = meeting_cluster(2);
    struct holding holding = {make_lock(cluster), death, watched};
    pid_t pid = test_pid(cluster, 0);
    double start = test_now();
    char text[32];

    snprintf(text, sizeof text, "worker 0 (pid %ld)", (long)pid);
    ck_dsm_error(dsm_cluster_run(cluster, die_inside, &holding, sizeof holding),
                 DSM_EWORKER, text);
    ck_assert_double_lt(test_now() - start, 10);
    ck_assert_int_ne(test_pid(cluster, 0), pid);
    if (watched) {
        ck_result(1, 1);
        ck_result(2, 0);
        ck_free(holding.lock);
    } else {
        ck_orphan(holding.lock);
    }
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Every array has a lock of its own. */
static int
die_inside_of_array(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) != 0)
        return 0;
    if (dsm_lock_acquire(dsm_array_lock(dsm_worker_array(self, "A")), 0) != 0)
        return 1;
    die();
}

START_TEST(an_array_s_lock_is_a_lock)
{
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_array *array;
    dsm_lock *lock;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(5)));
    lock = dsm_array_lock(array);
    ck_dsm_error(dsm_lock_destroy(lock), -EINVAL, "'A'");
    ck_free(lock);
    ck_dsm_error(dsm_cluster_run(cluster, die_inside_of_array, NULL, 0),
                 DSM_EWORKER, "worker 0");
    ck_orphan(lock);
    ck_dsm(dsm_lock_acquire(lock, 0));
    ck_dsm_error(dsm_lock_acquire(lock, 0), -EDEADLK, "'A'");
    ck_dsm_error(dsm_array_destroy(array), -EBUSY, "'A'");
    ck_dsm(dsm_lock_release(lock));
    ck_dsm(dsm_array_destroy(array));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A worker forgets its lock. */

static int
leave_with_lock(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct holding *holding = arg;
    int result;

    (void)arg_size;
    if (dsm_worker_id(self) == 0) {
        result = dsm_lock_acquire(holding->lock, DSM_FOREVER);
        next_step();
        return holding->watched && !await_waiting(1) ? -1 : result;
    }
    if (!await_step(1) || !holding->watched)
        return 0;
    now_waits(1);
    result = dsm_lock_acquire(holding->lock, DSM_FOREVER);
    meeting()->result[1] = result;
    return dsm_lock_release(holding->lock);
}

START_TEST(a_forgotten_lock_is_a_dead_holder_s)
{
    bool watched = _i == 1;
    dsm_cluster *cluster = meeting_cluster(2);
    struct holding holding = {make_lock(cluster), KILLED, watched};
    pid_t pid = test_pid(cluster, 0), kept = test_pid(cluster, 1);

    ck_dsm_error(
        dsm_cluster_run(cluster, leave_with_lock, &holding, sizeof holding),
        DSM_EFAILED, "worker 0 left region 1 holding a lock");
    test_await(test_gone, &pid);
    if (watched)
        ck_result(1, 1);
    else
        ck_orphan(holding.lock);
    ck_free(holding.lock);
    test_whole(cluster);
    ck_assert_int_ne(test_pid(cluster, 0), pid);
    ck_assert_int_eq(test_pid(cluster, 1), kept);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
acquire_only(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    return dsm_worker_id(self) == 0
               ? dsm_lock_acquire(*(dsm_lock *const *)arg, DSM_FOREVER)
               : 0;
}

START_TEST(a_controller_that_works_keeps_it)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_lock *lock;

    options.name = test_name();
    options.controller_works = true;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    lock = make_lock(cluster);
    ck_dsm_error(dsm_cluster_run(cluster, acquire_only, &lock, sizeof lock),
                 DSM_EFAILED, "holding a lock");
    ck_dsm(dsm_lock_release(lock));
    ck_free(lock);
    /* What it held before does not count. */
    ck_dsm(dsm_lock_acquire(lock, 0));
    test_whole(cluster);
    ck_dsm(dsm_lock_release(lock));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A waiter dies. */

START_TEST(a_dead_waiter_leaves_no_trace)
{
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_lock *lock = make_lock(cluster);

    ck_dsm(dsm_lock_acquire(lock, 0));
    ck_dsm(dsm_cluster_start(cluster, acquire_and_release, &lock, sizeof lock));
    ck_assert(await_waiting(0) && await_waiting(1));
    kill(test_pid(cluster, 0), SIGKILL);
    ck_dsm_error(dsm_lock_acquire(lock, 0), -EDEADLK, "'L'");
    ck_dsm(dsm_lock_release(lock));
    ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_EWORKER,
                 "worker 0");
    ck_result(1, 0);
    ck_assert_int_eq(test_info(cluster, 1).signal, 0);
    ck_free(lock);
    ck_dsm(dsm_cluster_run(cluster, acquire_and_release, &lock, sizeof lock));
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(it_dies_just_before_it_waits)
{
    dsm_cluster *cluster;
    dsm_lock *lock;

    test_kill_at("lock.acquire", 1, SIGKILL, 1);
    cluster = meeting_cluster(2);
    lock = make_lock(cluster);
    ck_dsm_error(
        dsm_cluster_run(cluster, acquire_and_release, &lock, sizeof lock),
        DSM_EWORKER, "SIGKILL");
    ck_assert_int_eq(test_killed(), 1);
    ck_free(lock);
    ck_dsm(dsm_cluster_run(cluster, acquire_and_release, &lock, sizeof lock));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Attached programs. */

static int
hold_and_end(void *killed)
{
    dsm_cluster *cluster = attach_to_meeting();
    dsm_lock *lock;

    if (!cluster || dsm_lock_open(&lock, cluster, "L") < 0 ||
        dsm_lock_acquire(lock, DSM_FOREVER) != 0)
        return 1;
    next_step();
    if (!await_step(3))
        return 2;
    if (killed)
        die();
    return 0;
}

START_TEST(an_attached_program_ends_with_it)
{
    pid_t host = test_host(hold_and_end, _i ? test_shared : NULL);
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_lock *lock = make_lock(cluster);

    next_step();
    ck_assert(await_step(2));
    ck_dsm_error(dsm_lock_acquire(lock, 10), -ETIMEDOUT, "'L'");
    ck_dsm_error(dsm_lock_destroy(lock), -EBUSY, "'L'");
    ck_dsm_error(dsm_lock_release(lock), -EPERM, "'L'");
    next_step();
    ck_assert_int_eq(dsm_lock_acquire(lock, DSM_FOREVER), 1);
    ck_dsm(dsm_lock_release(lock));
    if (_i)
        ck_killed(host);
    else
        ck_assert_int_eq(test_reap(host), 0);
    ck_dsm(dsm_cluster_run(cluster, acquire_and_release, &lock, sizeof lock));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("lock");
    TCase *object = test_case(suite, "object");
    TCase *exclusion = test_case(suite, "exclusion");
    TCase *misuse = test_case(suite, "misuse");
    TCase *death = test_case(suite, "death");

    tcase_add_test(object, is_found_by_its_name);
    tcase_add_test(object, destroy_waits_for_nobody);
    tcase_add_test(object, there_may_be_many);
    tcase_add_test(exclusion, is_acquired_and_released);
    tcase_add_loop_test(exclusion, excludes_all_others, 1, 5);
    tcase_add_test(exclusion, a_waiter_gets_it_from_the_controller);
    tcase_add_loop_test(exclusion, a_timeout_ends_the_wait, 0, 4);
    tcase_add_test(misuse, its_holder_cannot_acquire_it_again);
    tcase_add_test(misuse, only_its_holder_releases_it);
    tcase_add_loop_test(death, a_dead_holder_is_told_to_the_next, 0,
                        2 * DEATHS);
    tcase_add_test(death, an_array_s_lock_is_a_lock);
    tcase_add_loop_test(death, a_forgotten_lock_is_a_dead_holder_s, 0, 2);
    tcase_add_test(death, a_controller_that_works_keeps_it);
    tcase_add_test(death, a_dead_waiter_leaves_no_trace);
    tcase_add_test(death, it_dies_just_before_it_waits);
    tcase_add_loop_test(death, an_attached_program_ends_with_it, 0, 2);
    return test_main(suite);
}
