/* Attached programs at barriers: they meet workers and the controller, learn
 * that it broke, and break it by their own death. */
#include "meeting.h"

#include <errno.h>
#include <pthread.h>

#define PROGRAM 10 /* its place in the meeting */

enum life { WAIT_ONCE, WAIT_TWICE, OPEN_ONLY, WAIT_AND_EXIT };

/* Attaches at step 1 and says by the next step that it did as it was told. */
static int
program(void *argument)
{
    enum life life = (enum life)(uintptr_t)argument;
    dsm_cluster *cluster = attach_to_meeting();
    dsm_barrier *barrier;

    if (!cluster || dsm_barrier_open(&barrier, cluster, "B") < 0)
        return 1;
    if (life != OPEN_ONLY) {
        now_waits(PROGRAM);
        meeting()->result[PROGRAM] = dsm_barrier_wait(barrier);
    }
    next_step();
    if (life == WAIT_TWICE && await_step(3)) {
        now_waits(PROGRAM + 1);
        meeting()->result[PROGRAM + 1] = dsm_barrier_wait(barrier);
    }
    if (life == WAIT_AND_EXIT)
        return await_step(3) ? 0 : 2;
    pause_for_ever();
}

/* It is forked before there is a cluster, whose addresses it would inherit. */
static pid_t
start_program(enum life life)
{
    return test_host(program, (void *)(uintptr_t)life);
}

static dsm_cluster *
start_cluster(unsigned workers, dsm_barrier **barrier, unsigned parties)
{
    dsm_cluster *cluster = meeting_cluster(workers);

    ck_dsm(
        dsm_barrier_create(barrier, cluster, "B", parties, DSM_BARRIER_ROBUST));
    next_step();
    return cluster;
}

static void
end_program(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_killed(pid);
}

static int
wait_there(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned id = dsm_worker_id(self);
    int result;

    (void)arg_size;
    now_waits(id);
    result = dsm_barrier_wait(*(dsm_barrier *const *)arg);
    meeting()->result[id] = result;
    return 0;
}

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

START_TEST(it_meets_workers_and_controller)
{
    pid_t pid = start_program(WAIT_ONCE);
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(2, &barrier, 4);
    int sum = 0;

    ck_dsm(dsm_cluster_start(cluster, wait_there, &barrier, sizeof barrier));
    ck_assert(await_waiting(0) && await_waiting(1) && await_waiting(PROGRAM));
    ck_assert_int_eq(dsm_barrier_wait(barrier), 1);
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_assert(await_step(2));
    for (unsigned w = 0; w < 2; w++)
        sum += meeting()->result[w];
    ck_assert_int_eq(sum + meeting()->result[PROGRAM], 0);
    end_program(pid);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- It dies. */

/* Worker 0 meets the program, so that this is a party.  Then both workers come
 * in vain: worker 0 before its death, worker 1 after. */
static int
lose_program(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_barrier *barrier = *(dsm_barrier *const *)arg;
    unsigned id = dsm_worker_id(self);

    (void)arg_size;
    if (id == 0) {
        meeting()->result[2] = dsm_barrier_wait(barrier);
        now_waits(0);
        meeting()->result[0] = dsm_barrier_wait(barrier);
        next_step();
        return 0;
    }
    if (!await_step(3))
        return 1;
    meeting()->result[1] = dsm_barrier_wait(barrier);
    return 0;
}

START_TEST(its_death_breaks_it_for_the_region)
{
    pid_t pid = start_program(WAIT_ONCE);
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(2, &barrier, 2);

    ck_dsm(dsm_cluster_start(cluster, lose_program, &barrier, sizeof barrier));
    ck_assert(await_step(2));
    ck_assert(await_waiting(0));
    end_program(pid);
    ck_result(0, DSM_EBROKEN);
    ck_result(1, DSM_EBROKEN);
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    /* Then it is whole again. */
    for (int again = 0; again < 3; again++) {
        ck_dsm(dsm_cluster_run(cluster, wait_there, &barrier, sizeof barrier));
        ck_assert_int_eq(meeting()->result[0] + meeting()->result[1], 1);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(its_death_breaks_it_between_regions)
{
    pid_t pid = start_program(_i ? WAIT_AND_EXIT : WAIT_ONCE);
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(1, &barrier, 2);
    pthread_t thread;

    ck_dsm(dsm_barrier_wait(barrier));
    ck_assert(await_step(2));
    thread = send_thread(barrier);
    if (_i) {
        next_step();
        ck_assert_int_eq(test_reap(pid), 0);
    } else {
        end_program(pid);
    }
    ck_thread(thread, DSM_EBROKEN);
    thread = send_thread(barrier);
    ck_assert_int_eq(dsm_barrier_wait(barrier), 1);
    ck_thread(thread, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Creates a cluster that it does not take with it, and waits. */
static int
detaching_controller(void *name)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_barrier *barrier;
    dsm_cluster *cluster;

    host_begin();
    options.name = name;
    options.detached = true;
    if (dsm_cluster_create(&cluster, 1, &options) < 0 ||
        dsm_barrier_create(&barrier, cluster, "B", 3, DSM_BARRIER_ROBUST) < 0)
        return 1;
    next_step();
    now_waits(0);
    return dsm_barrier_wait(barrier) == DSM_ESTALE ? 0 : 2;
}

START_TEST(the_controllers_death_breaks_it)
{
    char *name = meeting()->name;
    pid_t pid = start_program(WAIT_ONCE), controller;

    strcpy(name, test_name());
    for (unsigned k = 0; k < MEETING_PLACES; k++)
        meeting()->result[k] = NO_RESULT;
    controller = test_host(detaching_controller, name);
    ck_assert(await_waiting(0) && await_waiting(PROGRAM));
    end_program(controller);
    ck_result(PROGRAM, DSM_EBROKEN);
    end_program(pid);
    ck_dsm(dsm_cluster_remove(name, true));
}
END_TEST

static bool
nobody_counted(const void *barrier)
{
    return dsm_barrier_destroy(*(dsm_barrier *const *)barrier) == 0;
}

/* Its arrival is not counted for what comes later. */
START_TEST(its_death_at_the_barrier_is_forgotten)
{
    unsigned place = PROGRAM;
    pid_t pid = start_program(WAIT_ONCE);
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(1, &barrier, 2);

    test_await(is_waiting, &place);
    ck_dsm_error(dsm_barrier_destroy(barrier), -EBUSY, "waits");
    end_program(pid);
    test_await(nobody_counted, &barrier);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(whoever_never_waited_breaks_nothing)
{
    pid_t pid = start_program(OPEN_ONLY);
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(1, &barrier, 2);
    pthread_t thread;

    ck_assert(await_step(2));
    thread = send_thread(barrier);
    end_program(pid);
    /* The supervisor hears of this after the death. */
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_int_eq(dsm_barrier_wait(barrier), 1);
    ck_thread(thread, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A worker dies. */

static int
die_in_region(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 0)
        die();
    return 0;
}

/* Even if it looks only when all has long been mended. */
START_TEST(it_learns_that_a_worker_died)
{
    unsigned place = PROGRAM;
    pid_t pid = start_program(WAIT_TWICE);
    dsm_barrier *barrier;
    dsm_cluster *cluster = start_cluster(2, &barrier, 2);

    test_await(is_waiting, &place);
    if (_i) {
        kill(pid, SIGSTOP);
        test_await(test_stopped, &pid);
    }
    ck_dsm_error(dsm_cluster_run(cluster, die_in_region, NULL, 0), DSM_EWORKER,
                 "worker 0");
    kill(pid, SIGCONT);
    ck_result(PROGRAM, DSM_EBROKEN);
    /* And meets the next to come. */
    ck_assert(await_step(2));
    next_step();
    ck_assert(await_waiting(PROGRAM + 1));
    ck_assert_int_eq(dsm_barrier_wait(barrier), 1);
    ck_result(PROGRAM + 1, 0);
    end_program(pid);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("barrier, attached");
    TCase *tests = test_case(suite, "attached");

    tcase_add_test(tests, it_meets_workers_and_controller);
    tcase_add_test(tests, its_death_breaks_it_for_the_region);
    tcase_add_loop_test(tests, its_death_breaks_it_between_regions, 0, 2);
    tcase_add_test(tests, the_controllers_death_breaks_it);
    tcase_add_test(tests, its_death_at_the_barrier_is_forgotten);
    tcase_add_test(tests, whoever_never_waited_breaks_nothing);
    tcase_add_loop_test(tests, it_learns_that_a_worker_died, 0, 2);
    return test_main(suite);
}
