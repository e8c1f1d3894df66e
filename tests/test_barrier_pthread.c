/* Barriers of the pthread kind: they cannot break, so whoever survives a party
 * at one is ended, and the barrier made anew. */
#include "meeting.h"

#include <errno.h>

#define GRACE_MS 200

static dsm_cluster *
start_cluster(unsigned workers, bool controller_works, dsm_barrier **barrier)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.grace_ms = GRACE_MS;
    options.controller_works = controller_works;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    strcpy(meeting()->name, options.name);
    for (unsigned k = 0; k < MEETING_PLACES; k++)
        meeting()->result[k] = NO_RESULT;
    ck_dsm(dsm_barrier_create(barrier, cluster, "P", workers,
                              DSM_BARRIER_PTHREAD));
    return cluster;
}

/* ---- Rounds. */

#define ROUNDS 200

static int
go_rounds(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_barrier *barrier = *(dsm_barrier *const *)arg;
    _Atomic int *rounds = meeting()->count;

    (void)arg_size;
    for (int n = 1; n <= ROUNDS; n++) {
        int result;

        rounds[dsm_worker_id(self)] = n;
        result = dsm_barrier_wait(barrier);
        if (result != 0 && result != 1)
            return 1;
        /* One worker of each round is told so. */
        atomic_fetch_add(&rounds[MEETING_PLACES - 1], result);
        for (unsigned w = 0; w < dsm_worker_count(self); w++)
            if (rounds[w] != n)
                return 2;
        if (dsm_barrier_wait(barrier) < 0)
            return 3;
    }
    return 0;
}

static void
ck_rounds(dsm_cluster *cluster, dsm_barrier *barrier)
{
    memset(meeting()->count, 0, sizeof meeting()->count);
    ck_dsm(dsm_cluster_run(cluster, go_rounds, &barrier, sizeof barrier));
    ck_assert_int_eq(meeting()->count[MEETING_PLACES - 1], ROUNDS);
}

START_TEST(rounds_separate_what_is_written)
{
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster((unsigned)_i, false, &barrier);

    for (int k = 0; k < 3; k++)
        ck_rounds(cluster, barrier);
    ck_dsm(dsm_barrier_destroy(barrier));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- For worker processes only. */

static int
wait_attached(void *argument)
{
    dsm_cluster *cluster = attach_to_meeting();
    dsm_barrier *barrier;

    (void)argument;
    if (!cluster || dsm_barrier_open(&barrier, cluster, "P") < 0)
        return 1;
    return dsm_barrier_wait(barrier) == -EPERM ? 0 : 2;
}

START_TEST(nobody_else_may_wait)
{
    pid_t host = test_host(wait_attached, NULL);
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(1, false, &barrier);

    ck_dsm_error(dsm_barrier_wait(barrier), -EPERM, "'P'");
    next_step();
    ck_assert_int_eq(test_reap(host), 0);
    ck_rounds(cluster, barrier);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
wait_there(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned id = dsm_worker_id(self);
    int result;

    (void)arg_size;
    now_waits(id);
    result = dsm_barrier_wait(*(dsm_barrier *const *)arg);
    meeting()->result[id] = result;
    return result < 0;
}

static int
wait_last(dsm_worker *self, const void *arg, size_t arg_size)
{
    if (dsm_worker_id(self) == 0 && !await_waiting(1))
        return 2;
    return wait_there(self, arg, arg_size);
}

/* Worker 0 is no process, and its refusal fails the region; the others, who
 * would wait for it for ever, are ended. */
START_TEST(a_controller_that_works_may_not)
{
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(2, true, &barrier);
    double start = test_now();

    ck_dsm_error(dsm_cluster_run(cluster, wait_last, &barrier, sizeof barrier),
                 DSM_EFAILED, "worker 0's function returned 1");
    ck_assert_double_lt(test_now() - start, 10);
    ck_result(0, -EPERM);
    ck_assert_int_eq(meeting()->result[1], NO_RESULT);
    ck_assert_int_eq(test_info(cluster, 1).signal, SIGKILL);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A party is lost. */

enum loss { KILLED_INSIDE, KILLED_BEFORE, FAILED_BEFORE, RACING, TOO_LATE };

struct losing {
    dsm_barrier *barrier;
    enum loss loss;
};

static int
until_cancelled(dsm_worker *self)
{
    while (!dsm_worker_cancelled(self))
        pause_briefly();
    return 0;
}

static int
lose_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct losing *losing = arg;
    unsigned id = dsm_worker_id(self), last = dsm_worker_count(self) - 1;
    int result;

    (void)arg_size;
    if (id == 0 && losing->loss >= RACING) {
        while (!meeting()->waiter[last])
            pause_briefly();
        return 7;
    }
    if (id == 0 && losing->loss != KILLED_INSIDE) {
        for (unsigned w = 1; w <= last; w++)
            if (!await_waiting(w))
                return 1;
        if (losing->loss == FAILED_BEFORE)
            return 7;
        die();
    }
    /* Or the round would be complete. */
    if (id == last && losing->loss == KILLED_INSIDE)
        return until_cancelled(self);
    now_waits(id);
    if (losing->loss == TOO_LATE)
        (void)until_cancelled(self);
    result = dsm_barrier_wait(losing->barrier);
    meeting()->result[id] = result;
    return 0;
}

/* The survivors' end is told by the message of the first to be lost. */
static void
ck_loss(dsm_cluster *cluster, dsm_barrier *barrier, enum loss loss)
{
    struct losing losing = {barrier, loss};
    unsigned workers = dsm_cluster_workers(cluster);
    pid_t pid = test_pid(cluster, 0);
    double start;
    char text[64];

    for (unsigned w = 0; w < workers; w++) {
        meeting()->waiter[w] = 0;
        meeting()->result[w] = NO_RESULT;
    }
    start = test_now();
    ck_dsm(dsm_cluster_start(cluster, lose_one, &losing, sizeof losing));
    if (loss == KILLED_INSIDE) {
        for (unsigned w = 0; w + 1 < workers; w++)
            ck_assert(await_waiting(w));
        kill(pid, SIGKILL);
    }
    snprintf(text, sizeof text, "worker 0 (pid %ld) died of SIGKILL",
             (long)pid);
    if (loss >= FAILED_BEFORE)
        ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_EFAILED,
                     "worker 0's function returned 7");
    else
        ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_EWORKER, text);
    ck_assert_double_lt(test_now() - start, 1e-3 * GRACE_MS + 10);
}

/* Nobody who waited came out of it as if nothing had been. */
static void
ck_survivors_ended(dsm_cluster *cluster, enum loss loss)
{
    unsigned waited = dsm_cluster_workers(cluster) - (loss == KILLED_INSIDE);

    for (unsigned w = 1; w < waited; w++) {
        ck_assert_int_eq(meeting()->result[w], NO_RESULT);
        ck_assert_int_eq(test_info(cluster, w).signal, SIGKILL);
    }
}

START_TEST(survivors_are_ended_and_it_is_made_anew)
{
    enum loss loss = (enum loss)(_i % 3);
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(_i < 3 ? 2 : 4, false, &barrier);

    for (int again = 0; again < 3; again++) {
        ck_loss(cluster, barrier, loss);
        ck_survivors_ended(cluster, loss);
        ck_rounds(cluster, barrier);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Who comes after the loss need not wait. */
START_TEST(whoever_comes_too_late_is_told)
{
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(2, false, &barrier);

    for (int again = 0; again < 5; again++) {
        ck_loss(cluster, barrier, TOO_LATE);
        ck_result(1, DSM_EBROKEN);
        ck_assert_int_eq(test_info(cluster, 1).signal, 0);
    }
    /* At the same time: one or the other. */
    for (int again = 0; again < 15; again++) {
        ck_loss(cluster, barrier, RACING);
        ck_assert(meeting()->result[1] == DSM_EBROKEN ||
                  test_info(cluster, 1).signal == SIGKILL);
    }
    ck_rounds(cluster, barrier);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(it_dies_just_before_it_waits)
{
    dsm_barrier *barrier;
    dsm_cluster *cluster;

    test_kill_at("barrier.pthread", 77, SIGKILL, 1);
    cluster = start_cluster(3, false, &barrier);
    ck_dsm_error(dsm_cluster_run(cluster, go_rounds, &barrier, sizeof barrier),
                 DSM_EWORKER, "SIGKILL");
    ck_assert_int_eq(test_killed(), 1);
    ck_rounds(cluster, barrier);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(cancelling_ends_its_waiters)
{
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(2, false, &barrier);
    dsm_barrier *larger;

    ck_dsm(dsm_barrier_create(&larger, cluster, "P3", 3, DSM_BARRIER_PTHREAD));
    ck_dsm(dsm_cluster_start(cluster, wait_there, &larger, sizeof larger));
    ck_assert(await_waiting(0) && await_waiting(1));
    ck_dsm(dsm_cluster_cancel(cluster, DSM_GRACE));
    ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_ECANCELED, "");
    ck_rounds(cluster, barrier);
    ck_dsm(dsm_barrier_destroy(larger));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("barrier, pthread kind");
    TCase *rounds = test_case(suite, "rounds");
    TCase *loss = test_case(suite, "loss");

    tcase_add_loop_test(rounds, rounds_separate_what_is_written, 1, 5);
    tcase_add_test(rounds, nobody_else_may_wait);
    tcase_add_test(rounds, a_controller_that_works_may_not);
    tcase_add_loop_test(loss, survivors_are_ended_and_it_is_made_anew, 0, 6);
    tcase_add_test(loss, whoever_comes_too_late_is_told);
    tcase_add_test(loss, it_dies_just_before_it_waits);
    tcase_add_test(loss, cancelling_ends_its_waiters);
    return test_main(suite);
}
