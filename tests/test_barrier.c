/* Named barriers that break: rounds, deaths of workers at and before them,
 * controllers and attached programs that wait too, and their being whole again
 * after the region.  The pthread kind is test_barrier_pthread.c's. */
#include "meeting.h"

#include <errno.h>
#include <pthread.h>

static dsm_barrier *
make_barrier(dsm_cluster *cluster, unsigned parties)
{
    dsm_barrier *barrier;

    ck_dsm(dsm_barrier_create(&barrier, cluster, "B", parties,
                              DSM_BARRIER_ROBUST));
    ck_assert_ptr_nonnull(barrier);
    return barrier;
}

/* ---- The object. */

START_TEST(is_found_by_its_name)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_barrier *barrier = make_barrier(cluster, 2), *other;
    dsm_lock *lock;

    ck_dsm(dsm_barrier_open(&other, cluster, "B"));
    ck_assert_ptr_eq(other, barrier);
    ck_dsm_error(dsm_barrier_create(&other, cluster, "B", 2, 0), -EEXIST,
                 "'B'");
    ck_assert_ptr_null(other);
    ck_dsm_error(dsm_barrier_open(&other, cluster, "C"), -ENOENT, "'C'");
    ck_dsm_error(dsm_lock_open(&lock, cluster, "B"), -EINVAL, "barrier");
    ck_dsm_error(dsm_barrier_create(&other, cluster, "C", 0, 0), -EINVAL,
                 "65535");
    ck_dsm_error(dsm_barrier_create(&other, cluster, "C", 65536, 0), -EINVAL,
                 "65536");
    ck_dsm_error(
        dsm_barrier_create(&other, cluster, "C", 2, (dsm_barrier_kind)2),
        -EINVAL, "kind 2");
    ck_dsm_error(dsm_barrier_create(&other, cluster, "C C", 2, 0), -EINVAL, "");
    ck_assert_ptr_null(other);
    ck_dsm(dsm_barrier_create(&other, cluster, "C", 65535, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(alone_nobody_waits)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_barrier *barrier = make_barrier(cluster, 1);

    for (int k = 0; k < 1000; k++)
        ck_assert_int_eq(dsm_barrier_wait(barrier), 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A thread of the controller that waits. */

static void *
wait_in_thread(void *barrier)
{
    now_waits(0);
    meeting()->result[0] = dsm_barrier_wait(barrier);
    return NULL;
}

static pthread_t
send_thread(dsm_barrier *barrier)
{
    unsigned place = 0;
    pthread_t thread;

    meeting()->waiter[0] = 0;
    meeting()->result[0] = NO_RESULT;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_in_thread, barrier), 0);
    test_await(is_waiting, &place);
    return thread;
}

static void
ck_thread(pthread_t thread, int result)
{
    pthread_join(thread, NULL);
    ck_result(0, result);
}

/* Asserts that two parties of this process meet there. */
static void
ck_two_meet(dsm_barrier *barrier)
{
    pthread_t thread = send_thread(barrier);

    ck_assert_int_eq(dsm_barrier_wait(barrier), 1);
    ck_thread(thread, 0);
}

START_TEST(destroy_leaves_no_waiter)
{
    dsm_cluster *cluster = meeting_cluster(1);
    dsm_barrier *barrier = make_barrier(cluster, 2), *other;
    pthread_t thread = send_thread(barrier);

    ck_dsm_error(dsm_barrier_destroy(barrier), -EBUSY, "'B'");
    ck_assert_int_eq(dsm_barrier_wait(barrier), 1);
    ck_thread(thread, 0);
    ck_dsm(dsm_barrier_destroy(barrier));
    ck_dsm_error(dsm_barrier_open(&other, cluster, "B"), -ENOENT, "'B'");
    ck_dsm_error(dsm_barrier_destroy(barrier), -ENOENT, "destroyed");
    ck_dsm(dsm_barrier_destroy(NULL));
    ck_two_meet(make_barrier(cluster, 2));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Rounds. */

struct rounds {
    dsm_barrier *barrier;
    int rounds;
    int *shared; /* each worker's round, and how many ones a round had */
};

static int
go_rounds(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct rounds *r = arg;
    unsigned id = dsm_worker_id(self), count = dsm_worker_count(self);
    int *ones = r->shared + DSM_WORKERS_MAX, result;

    (void)arg_size;
    for (int n = 0; n < r->rounds; n++) {
        r->shared[id] = n;
        result = dsm_barrier_wait(r->barrier);
        if (result != 0 && result != 1)
            return 1;
        /* Who is told so is alone. */
        if (result == 1)
            ones[n]++;
        for (unsigned w = 0; w < count; w++)
            if (r->shared[w] != n)
                return 2;
        if (dsm_barrier_wait(r->barrier) < 0)
            return 3;
    }
    return 0;
}

START_TEST(rounds_separate_what_is_written)
{
    static const unsigned workers[] = {1, 2, 3, 4, 8};
    unsigned n = workers[_i];
    dsm_cluster *cluster = test_cluster(n);
    struct rounds r = {make_barrier(cluster, n), n > 4 ? 200 : 1000, NULL};
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "S", DSM_INT32,
                            DSM_SHAPE(DSM_WORKERS_MAX + 1000)));
    r.shared = dsm_array_data(array);
    for (int again = 1; again <= 3; again++) {
        ck_dsm(dsm_cluster_run(cluster, go_rounds, &r, sizeof r));
        for (int k = 0; k < r.rounds; k++)
            ck_assert_int_eq(r.shared[DSM_WORKERS_MAX + k], again);
    }
    if (n > 1)
        ck_assert_double_gt(test_info(cluster, 0).barrier_wait +
                                test_info(cluster, 1).barrier_wait,
                            0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* More workers than parties: they meet as they come. */
static int
meet_in_pairs(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct rounds *r = arg;
    _Atomic int *arrived = &meeting()->count[0], *passed = &meeting()->count[1];

    (void)self, (void)arg_size;
    while (atomic_fetch_add(&meeting()->count[3], 1) < r->rounds) {
        int result, n;

        atomic_fetch_add(arrived, 1);
        result = dsm_barrier_wait(r->barrier);
        if (result != 0 && result != 1)
            return 1;
        atomic_fetch_add(&meeting()->count[2], result);
        /* Nobody passes without company. */
        n = atomic_fetch_add(passed, 1) + 1;
        if (*arrived < (n + 1) / 2 * 2)
            return 2;
    }
    return 0;
}

START_TEST(more_may_take_turns_than_meet)
{
    dsm_cluster *cluster = meeting_cluster((unsigned)_i);
    struct rounds r = {make_barrier(cluster, 2), 4000, NULL};

    ck_dsm(dsm_cluster_run(cluster, meet_in_pairs, &r, sizeof r));
    ck_assert_int_eq(meeting()->count[1], r.rounds);
    ck_assert_int_eq(meeting()->count[2], r.rounds / 2);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A worker dies. */

enum death { AT_BARRIER, BEFORE, FAILING, DEATHS };

struct loss {
    dsm_barrier *barrier;
    enum death death;
};

/* Worker 0 is lost to the others, who wait and then come once more. */
static int
lose_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct loss *loss = arg;
    unsigned id = dsm_worker_id(self);

    (void)arg_size;
    if (id == 0 && loss->death != AT_BARRIER) {
        for (unsigned w = 1; w < dsm_worker_count(self); w++)
            if (!await_waiting(w))
                return 1;
        if (loss->death == FAILING)
            return 7;
        die();
    }
    now_waits(id);
    meeting()->result[id] = dsm_barrier_wait(loss->barrier);
    for (int k = 0; k < 3; k++)
        if (dsm_barrier_wait(loss->barrier) != DSM_EBROKEN)
            meeting()->result[id] = 1;
    return 0;
}

static void
kill_at_barrier(dsm_cluster *cluster)
{
    for (unsigned w = 0; w < dsm_cluster_workers(cluster); w++)
        ck_assert(await_waiting(w));
    ck_assert_int_eq(kill(test_pid(cluster, 0), SIGKILL), 0);
}

static void
lose_in_region(dsm_cluster *cluster, dsm_barrier *barrier, enum death death)
{
    struct loss loss = {barrier, death};
    unsigned workers = dsm_cluster_workers(cluster);
    double start;

    for (unsigned w = 0; w < workers; w++) {
        meeting()->waiter[w] = 0;
        meeting()->result[w] = NO_RESULT;
    }
    start = test_now();
    ck_dsm(dsm_cluster_start(cluster, lose_one, &loss, sizeof loss));
    if (death == AT_BARRIER)
        kill_at_barrier(cluster);
    if (death == FAILING)
        ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_EFAILED,
                     "worker 0's function returned 7");
    else
        ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_EWORKER,
                     "SIGKILL");
    ck_assert_double_lt(test_now() - start, 10);
    for (unsigned w = 1; w < workers; w++) {
        ck_result(w, DSM_EBROKEN);
        ck_assert_int_eq(test_info(cluster, w).signal, 0);
    }
}

START_TEST(it_breaks_and_is_whole_again)
{
    enum death death = (enum death)(_i % DEATHS);
    unsigned workers = _i < DEATHS ? 2 : 5;
    dsm_cluster *cluster = meeting_cluster(workers);
    /* One that never comes together when all are here: they wait. */
    dsm_barrier *barrier = make_barrier(cluster, workers + 1);
    dsm_barrier *second;
    dsm_array *array;
    struct rounds r = {NULL, 100, NULL};

    ck_dsm(dsm_barrier_create(&second, cluster, "second", workers,
                              DSM_BARRIER_ROBUST));
    ck_dsm(dsm_array_create(&array, cluster, "S", DSM_INT32,
                            DSM_SHAPE(DSM_WORKERS_MAX + 100)));
    r.shared = dsm_array_data(array);
    r.barrier = second;
    for (int again = 1; again <= 4; again++) {
        lose_in_region(cluster, barrier, death);
        ck_dsm(dsm_cluster_run(cluster, go_rounds, &r, sizeof r));
        ck_assert_int_eq(r.shared[DSM_WORKERS_MAX], again);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* At the very moment of arriving. */
START_TEST(it_dies_between_two_rounds)
{
    dsm_cluster *cluster;
    struct rounds r = {NULL, 1000, NULL};
    dsm_array *array;

    test_kill_at(_i ? "gate.complete" : "gate.wait", 500, SIGKILL, 1);
    cluster = meeting_cluster(3);
    ck_dsm(dsm_array_create(&array, cluster, "S", DSM_INT32,
                            DSM_SHAPE(DSM_WORKERS_MAX + 1000)));
    r.shared = dsm_array_data(array);
    r.barrier = make_barrier(cluster, 3);
    ck_dsm_error(dsm_cluster_run(cluster, go_rounds, &r, sizeof r), DSM_EWORKER,
                 "SIGKILL");
    ck_assert_int_eq(test_killed(), 1);
    memset(r.shared, 0, 4 * dsm_array_count(array));
    ck_dsm(dsm_cluster_run(cluster, go_rounds, &r, sizeof r));
    for (int k = 0; k < r.rounds; k++)
        ck_assert_int_eq(r.shared[DSM_WORKERS_MAX + k], 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
wait_there(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned id = dsm_worker_id(self);

    (void)arg_size;
    now_waits(id);
    meeting()->result[id] = dsm_barrier_wait(*(dsm_barrier *const *)arg);
    return 0;
}

START_TEST(cancelling_breaks_it)
{
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_barrier *barrier = make_barrier(cluster, 3);

    for (int again = 0; again < 3; again++) {
        meeting()->waiter[0] = meeting()->waiter[1] = 0;
        ck_dsm(
            dsm_cluster_start(cluster, wait_there, &barrier, sizeof barrier));
        ck_assert(await_waiting(0) && await_waiting(1));
        ck_dsm_error(dsm_barrier_destroy(barrier), -EBUSY, "region");
        ck_dsm(dsm_cluster_cancel(cluster, DSM_FOREVER));
        ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
        ck_result(0, DSM_EBROKEN);
        ck_result(1, DSM_EBROKEN);
    }
    /* The third party is this one. */
    ck_dsm(dsm_cluster_start(cluster, wait_there, &barrier, sizeof barrier));
    ck_dsm(dsm_barrier_wait(barrier));
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_assert_int_ge(meeting()->result[0], 0);
    ck_assert_int_ge(meeting()->result[1], 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The controller waits, too. */

static int
die_when_it_waits(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 0 && await_waiting(0))
        die();
    return 0;
}

START_TEST(it_breaks_for_the_controller)
{
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_barrier *barrier = make_barrier(cluster, 2);

    for (int again = 0; again < 3; again++) {
        pthread_t thread = send_thread(barrier);

        /* Broken and mended before the thread can look, perhaps. */
        ck_dsm_error(dsm_cluster_run(cluster, die_when_it_waits, NULL, 0),
                     DSM_EWORKER, "worker 0");
        ck_thread(thread, DSM_EBROKEN);
        ck_two_meet(barrier);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
meet_controller(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    for (int k = 0; k < 500; k++)
        if (dsm_barrier_wait(*(dsm_barrier *const *)arg) < 0)
            return 1;
    return 0;
}

START_TEST(controller_and_workers_meet)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_barrier *barrier = make_barrier(cluster, 3);

    ck_dsm(
        dsm_cluster_start(cluster, meet_controller, &barrier, sizeof barrier));
    for (int k = 0; k < 500; k++)
        ck_dsm(dsm_barrier_wait(barrier));
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A worker that dies while it has no work breaks nothing. */
START_TEST(an_idle_worker_s_death_breaks_nothing)
{
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_barrier *barrier = make_barrier(cluster, 2);
    pthread_t thread = send_thread(barrier);
    pid_t pid = test_pid(cluster, 0);

    kill(pid, SIGKILL);
    test_await(test_gone, &pid);
    test_whole(cluster);
    ck_assert_int_eq(dsm_barrier_wait(barrier), 1);
    ck_thread(thread, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("barrier");
    TCase *object = test_case(suite, "object");
    TCase *rounds = test_case(suite, "rounds");
    TCase *death = test_case(suite, "death");
    TCase *controller = test_case(suite, "controller");

    tcase_add_test(object, is_found_by_its_name);
    tcase_add_test(object, destroy_leaves_no_waiter);
    tcase_add_test(rounds, alone_nobody_waits);
    tcase_add_loop_test(rounds, rounds_separate_what_is_written, 0, 5);
    tcase_add_loop_test(rounds, more_may_take_turns_than_meet, 2, 6);
    tcase_add_loop_test(death, it_breaks_and_is_whole_again, 0, 2 * DEATHS);
    tcase_add_loop_test(death, it_dies_between_two_rounds, 0, 2);
    tcase_add_test(death, cancelling_breaks_it);
    tcase_add_test(controller, it_breaks_for_the_controller);
    tcase_add_test(controller, controller_and_workers_meet);
    tcase_add_test(controller, an_idle_worker_s_death_breaks_nothing);
    return test_main(suite);
}
