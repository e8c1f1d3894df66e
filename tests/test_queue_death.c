/* Queues when processes die inside of push and pop, and when a region ends
 * before its time: nothing that was committed is lost or told twice, and nobody
 * waits for ever. */
#include "meeting.h"

#include <errno.h>
#include <pthread.h>

static dsm_queue *
make_queue(dsm_cluster *cluster, size_t capacity)
{
    dsm_queue *queue;

    ck_dsm(dsm_queue_create(&queue, cluster, "Q", capacity, sizeof(int)));
    return queue;
}

/* Asserts that first … last are in it and no more, and that all room is there
 * again. */
static void
ck_holds(dsm_queue *queue, int first, int last, int capacity)
{
    int message;

    for (int k = first; k <= last; k++) {
        ck_dsm(dsm_queue_pop(queue, &message, 0));
        ck_assert_int_eq(message, k);
    }
    ck_dsm_error(dsm_queue_pop(queue, &message, 0), -ETIMEDOUT, "empty");
    for (int k = 0; k < capacity; k++)
        ck_dsm(dsm_queue_push(queue, &k, 0));
    ck_dsm_error(dsm_queue_push(queue, &message, 0), -ETIMEDOUT, "full");
    for (int k = 0; k < capacity; k++)
        ck_dsm(dsm_queue_pop(queue, &message, 0));
}

/* ---- Killed inside. */

struct order {
    dsm_queue *queue;
    bool push;
};

/* Worker 0 does so until it is killed. */
static int
push_or_pop(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct order *order = arg;
    int message;

    (void)arg_size;
    if (dsm_worker_id(self) != 0)
        return 0;
    for (int k = 0; k < 8; k++) {
        message = k;
        if (order->push ? dsm_queue_push(order->queue, &message, DSM_FOREVER)
                        : dsm_queue_pop(order->queue, &message, DSM_FOREVER))
            return 1;
        if (message != k)
            return 2;
        meeting()->count[0]++;
    }
    return 0;
}

START_TEST(killed_inside_of_push)
{
    struct order order = {NULL, true};
    dsm_cluster *cluster;

    test_kill_at("queue.push", _i, SIGKILL, 1);
    cluster = meeting_cluster(2);
    order.queue = make_queue(cluster, 8);
    ck_dsm_error(dsm_cluster_run(cluster, push_or_pop, &order, sizeof order),
                 DSM_EWORKER, "worker 0");
    ck_assert_int_eq(test_killed(), 1);
    ck_assert_int_eq(meeting()->count[0], _i - 1);
    ck_holds(order.queue, 0, _i - 2, 8);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(killed_inside_of_pop)
{
    struct order order = {NULL, false};
    dsm_cluster *cluster;

    test_kill_at("queue.pop", _i, SIGKILL, 1);
    cluster = meeting_cluster(2);
    order.queue = make_queue(cluster, 8);
    for (int k = 0; k < 8; k++)
        ck_dsm(dsm_queue_push(order.queue, &k, 0));
    ck_dsm_error(dsm_cluster_run(cluster, push_or_pop, &order, sizeof order),
                 DSM_EWORKER, "worker 0");
    ck_assert_int_eq(test_killed(), 1);
    ck_assert_int_eq(meeting()->count[0], _i - 1);
    ck_holds(order.queue, _i - 1, 7, 8);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Killed again and again, while others push and pop. */

#define MESSAGES 300

enum { NEXT, SEEN = 16 }; /* places of counts */

/* Two producers and two consumers: a message's number is count[NEXT + id]. */
static int
carry_on(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_queue *queue = *(dsm_queue *const *)arg;
    unsigned id = dsm_worker_id(self);
    _Atomic int *next = &meeting()->count[NEXT + id % 2];
    uint8_t *seen = dsm_array_data(dsm_worker_array(self, "S"));
    int message, error = 0;

    (void)arg_size;
    for (; id < 2 && *next < MESSAGES; ++*next) {
        message = (int)id * MESSAGES + *next;
        error = dsm_queue_push(queue, &message, DSM_FOREVER);
        if (error)
            break;
    }
    while (id >= 2 && meeting()->count[SEEN] < 2 * MESSAGES) {
        error = dsm_queue_pop(queue, &message, 20);
        if (error && error != -ETIMEDOUT)
            break;
        if (error)
            continue;
        atomic_fetch_add((_Atomic uint8_t *)&seen[message], 1);
        atomic_fetch_add(&meeting()->count[SEEN], 1);
    }
    return error == DSM_ECANCELED || error == -ETIMEDOUT ? 0 : error;
}

START_TEST(nothing_is_lost_or_told_twice)
{
    dsm_cluster *cluster;
    dsm_array *array;
    dsm_queue *queue;
    uint8_t *seen;
    int error, lost = 0;

    test_kill_at(_i ? "queue.pop" : "queue.push", 20, SIGKILL, 12);
    cluster = meeting_cluster(4);
    queue = make_queue(cluster, 5);
    ck_dsm(dsm_array_create(&array, cluster, "S", DSM_UINT8,
                            DSM_SHAPE(2 * MESSAGES)));
    seen = dsm_array_data(array);
    while ((error = dsm_cluster_run(cluster, carry_on, &queue, sizeof queue))) {
        ck_dsm_error(error, DSM_EWORKER, "SIGKILL");
        ck_assert_int_lt(lost++, 12);
    }
    ck_assert_int_eq(test_killed(), 12);
    for (int k = 0; k < 2 * MESSAGES; k++)
        ck_assert_uint_eq(seen[k], 1);
    ck_holds(queue, 0, -1, 5);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Workers that wait, when their region ends. */

enum ending { OTHER_DIES, OTHER_FAILS, CANCELLED, SELF_DIES, ENDINGS };

struct scenario {
    struct order order;
    enum ending ending;
    int timeout_ms;
};

static int
wait_in_region(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct scenario *scenario = arg;
    const struct order *order = &scenario->order;
    unsigned id = dsm_worker_id(self);
    int message = 3, result;

    (void)arg_size;
    if (id == 0 && scenario->ending <= OTHER_FAILS) {
        if (!await_waiting(1))
            return 1;
        if (scenario->ending == OTHER_FAILS)
            return 7;
        die();
    }
    now_waits(id);
    result = order->push
                 ? dsm_queue_push(order->queue, &message, scenario->timeout_ms)
                 : dsm_queue_pop(order->queue, &message, scenario->timeout_ms);
    meeting()->result[id] = result;
    /* As long as the region lasts. */
    if (result == DSM_ECANCELED &&
        dsm_queue_push(order->queue, &message, 0) != DSM_ECANCELED)
        meeting()->result[id] = 1;
    return 0;
}

/* Both workers wait, or worker 1 does and 0 ends the region. */
static void
end_region(dsm_cluster *cluster, const struct scenario *scenario)
{
    double start = test_now();

    memset(meeting()->waiter, 0, sizeof meeting()->waiter);
    for (unsigned k = 0; k < 2; k++)
        meeting()->result[k] = NO_RESULT;
    ck_dsm(
        dsm_cluster_start(cluster, wait_in_region, scenario, sizeof *scenario));
    if (scenario->ending >= CANCELLED)
        ck_assert(await_waiting(0) && await_waiting(1));
    if (scenario->ending == CANCELLED) {
        ck_dsm(dsm_cluster_cancel(cluster, DSM_FOREVER));
        ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
        ck_result(0, DSM_ECANCELED);
    } else if (scenario->ending == OTHER_FAILS) {
        ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_EFAILED,
                     "worker 0's function returned 7");
    } else {
        if (scenario->ending == SELF_DIES)
            kill(test_pid(cluster, 0), SIGKILL);
        ck_dsm_error(dsm_cluster_wait(cluster, DSM_FOREVER), DSM_EWORKER,
                     "worker 0");
    }
    ck_result(1, DSM_ECANCELED);
    ck_assert_int_eq(test_info(cluster, 1).signal, 0);
    ck_assert_double_lt(test_now() - start, 10);
}

START_TEST(waiters_learn_that_their_region_ends)
{
    bool push = _i % 2;
    dsm_cluster *cluster = meeting_cluster(2);
    struct scenario scenario = {{make_queue(cluster, 1), push},
                                (enum ending)(_i / 2 % ENDINGS),
                                _i / 2 / ENDINGS ? 60000 : DSM_FOREVER};
    int message = 0;

    if (push)
        ck_dsm(dsm_queue_push(scenario.order.queue, &message, 0));
    for (int again = 0; again < 3; again++) {
        end_region(cluster, &scenario);
        /* Then all is as before. */
        ck_dsm_error(push ? dsm_queue_push(scenario.order.queue, &message, 0)
                          : dsm_queue_pop(scenario.order.queue, &message, 0),
                     -ETIMEDOUT, "'Q'");
    }
    ck_holds(scenario.order.queue, 0, push ? 0 : -1, 1);
    ck_dsm(dsm_queue_destroy(scenario.order.queue));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The controller waits for its region's workers. */

static int
fail_when_awaited(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    if (dsm_worker_id(self) != 0)
        return 0;
    if (!await_waiting(10))
        return 1;
    if (*(const bool *)arg)
        die();
    return 7;
}

START_TEST(the_controller_learns_it_too)
{
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_queue *queue = make_queue(cluster, 1);
    bool dies = _i == 1;
    int message;

    for (int again = 0; again < 3; again++) {
        meeting()->waiter[10] = 0;
        ck_dsm(
            dsm_cluster_start(cluster, fail_when_awaited, &dies, sizeof dies));
        now_waits(10);
        ck_dsm_error(dsm_queue_pop(queue, &message, DSM_FOREVER), DSM_ECANCELED,
                     "'Q'");
        ck_assert_int_eq(dsm_cluster_wait(cluster, DSM_FOREVER),
                         dies ? DSM_EWORKER : DSM_EFAILED);
        ck_dsm_error(dsm_queue_pop(queue, &message, 0), -ETIMEDOUT, "'Q'");
    }
    ck_holds(queue, 0, -1, 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Attached programs. */

enum program { WAITS, PUSHES, TRIES };

static int
program(void *argument)
{
    dsm_cluster *cluster = attach_to_meeting();
    dsm_queue *queue;
    int message;

    if (!cluster || dsm_queue_open(&queue, cluster, "Q") < 0)
        return 1;
    if ((enum program)(uintptr_t)argument == WAITS) {
        now_waits(10);
        meeting()->result[10] = dsm_queue_pop(queue, &message, DSM_FOREVER);
        meeting()->count[0] = message;
    }
    if ((enum program)(uintptr_t)argument == TRIES) {
        if (!await_step(2))
            return 3;
        meeting()->result[10] = dsm_queue_pop(queue, &message, 0);
    }
    for (int k = 0; (enum program)(uintptr_t)argument == PUSHES; k++)
        if (dsm_queue_push(queue, &k, DSM_FOREVER) < 0)
            return 2;
    return 0;
}

static int
die_at_once(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 0)
        die();
    return 0;
}

/* It has no part in the region. */
START_TEST(an_attached_program_waits_on)
{
    unsigned place = 10;
    pid_t host = test_host(program, (void *)(uintptr_t)WAITS);
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_queue *queue = make_queue(cluster, 1);
    int message = 42;

    next_step();
    test_await(is_waiting, &place);
    ck_dsm_error(dsm_cluster_run(cluster, die_at_once, NULL, 0), DSM_EWORKER,
                 "worker 0");
    ck_assert_int_eq(meeting()->result[10], NO_RESULT);
    ck_dsm(dsm_queue_push(queue, &message, 0));
    ck_assert_int_eq(test_reap(host), 0);
    ck_result(10, 0);
    ck_assert_int_eq(meeting()->count[0], 42);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
stay(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    meeting()->count[1]++;
    return !await_step(3);
}

static bool
both_stay(const void *arg)
{
    (void)arg;
    return meeting()->count[1] == 2;
}

START_TEST(an_attached_program_is_not_cancelled)
{
    pid_t host = test_host(program, (void *)(uintptr_t)TRIES);
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_queue *queue = make_queue(cluster, 1);
    int message;

    next_step();
    ck_dsm(dsm_cluster_start(cluster, stay, NULL, 0));
    test_await(both_stay, NULL);
    ck_dsm(dsm_cluster_cancel(cluster, DSM_FOREVER));
    ck_dsm_error(dsm_queue_pop(queue, &message, 0), DSM_ECANCELED, "'Q'");
    next_step();
    ck_assert_int_eq(test_reap(host), 0);
    ck_result(10, -ETIMEDOUT);
    next_step();
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* It dies with the queue's lock. */
START_TEST(an_attached_program_dies_inside_of_push)
{
    dsm_cluster *cluster;
    dsm_queue *queue;
    pid_t host;

    test_kill_at("queue.push", 4, SIGKILL, 1);
    host = test_host(program, (void *)(uintptr_t)PUSHES);
    cluster = meeting_cluster(1);
    queue = make_queue(cluster, 9);
    next_step();
    ck_killed(host);
    ck_holds(queue, 0, 2, 9);
    ck_dsm(dsm_queue_destroy(queue));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Nor does one that is killed while it waits count as a waiter. */
START_TEST(a_killed_waiter_waits_no_more)
{
    unsigned place = 10;
    pid_t host = test_host(program, (void *)(uintptr_t)WAITS);
    dsm_cluster *cluster = meeting_cluster(1);
    dsm_queue *queue = make_queue(cluster, 1);

    next_step();
    test_await(is_waiting, &place);
    ck_dsm_error(dsm_queue_destroy(queue), -EBUSY, "waits");
    kill(host, SIGKILL);
    ck_killed(host);
    ck_dsm(dsm_queue_destroy(queue));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("queue, deaths");
    TCase *inside = test_case(suite, "inside");
    TCase *region = test_case(suite, "region");
    TCase *attached = test_case(suite, "attached");

    tcase_add_loop_test(inside, killed_inside_of_push, 1, 9);
    tcase_add_loop_test(inside, killed_inside_of_pop, 1, 9);
    tcase_add_loop_test(inside, nothing_is_lost_or_told_twice, 0, 2);
    tcase_add_loop_test(region, waiters_learn_that_their_region_ends, 0,
                        4 * ENDINGS);
    tcase_add_loop_test(region, the_controller_learns_it_too, 0, 2);
    tcase_add_test(attached, an_attached_program_waits_on);
    tcase_add_test(attached, an_attached_program_is_not_cancelled);
    tcase_add_test(attached, an_attached_program_dies_inside_of_push);
    tcase_add_test(attached, a_killed_waiter_waits_no_more);
    return test_main(suite);
}
