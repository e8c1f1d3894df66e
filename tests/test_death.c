/* A worker dies, wherever it may be, and nothing hangs: the region ends within
 * the grace, the error names the worker, and the next region is whole. */
#include "workers.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 3
#define VICTIM 1
#define GRACE_MS 300

/* In test_shared. */
struct stage {
    _Atomic unsigned ready;          /* the victim is about to be there */
    _Atomic unsigned survivors;      /* the others are */
    _Atomic int result[WORKERS];     /* of what a survivor waited for */
    _Atomic unsigned whole[WORKERS]; /* parts of the last check */
};

/* The argument of all regions here. */
struct tools {
    dsm_barrier *robust, *pthread;
    dsm_lock *lock;
    dsm_queue *full, *empty, *queue;
};

struct scene {
    dsm_cluster *cluster;
    struct tools tools;
    pid_t pid[WORKERS];
};

static struct stage *
stage(void)
{
    return test_shared;
}

static void
note_pids(struct scene *scene)
{
    for (unsigned w = 0; w < WORKERS; w++)
        scene->pid[w] = test_pid(scene->cluster, w);
}

static void
set_up(struct scene *scene)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    int message = 0;

    options.name = test_name();
    options.grace_ms = GRACE_MS;
    ck_dsm(dsm_cluster_create(&scene->cluster, WORKERS, &options));
    ck_dsm(dsm_barrier_create(&scene->tools.robust, scene->cluster, "robust",
                              WORKERS, DSM_BARRIER_ROBUST));
    ck_dsm(dsm_barrier_create(&scene->tools.pthread, scene->cluster, "pthread",
                              WORKERS, DSM_BARRIER_PTHREAD));
    ck_dsm(dsm_lock_create(&scene->tools.lock, scene->cluster, "lock"));
    ck_dsm(dsm_queue_create(&scene->tools.full, scene->cluster, "full", 1,
                            sizeof(int)));
    ck_dsm(dsm_queue_push(scene->tools.full, &message, 0));
    ck_dsm(dsm_queue_create(&scene->tools.empty, scene->cluster, "empty", 1,
                            sizeof(int)));
    ck_dsm(dsm_queue_create(&scene->tools.queue, scene->cluster, "queue", 100,
                            sizeof(int)));
    note_pids(scene);
}

/* Uses everything once more; the error of what is not as it should be. */
static int
check_whole(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;
    int message = (int)dsm_worker_id(self), result;

    (void)arg_size;
    stage()->whole[message]++;
    if (dsm_worker_barrier(self) < 0)
        return 1;
    result = dsm_lock_acquire(tools->lock, 5000);
    if (result < 0 || dsm_lock_release(tools->lock) < 0)
        return 2;
    if (dsm_barrier_wait(tools->robust) < 0)
        return 3;
    if (dsm_barrier_wait(tools->pthread) < 0)
        return 4;
    if (dsm_queue_push(tools->queue, &message, 5000) < 0 ||
        dsm_queue_pop(tools->queue, &message, 5000) < 0)
        return 5;
    if (dsm_queue_pop(tools->empty, &message, 0) != -ETIMEDOUT)
        return 6;
    if (dsm_queue_push(tools->full, &message, 0) != -ETIMEDOUT)
        return 7;
    return 0;
}

static void
ck_whole(const struct scene *scene)
{
    for (int round = 1; round <= 2; round++) {
        memset(test_shared, 0, sizeof *stage());
        ck_dsm(dsm_cluster_run(scene->cluster, check_whole, &scene->tools,
                               sizeof scene->tools));
        for (unsigned w = 0; w < WORKERS; w++)
            ck_assert_uint_eq(stage()->whole[w], 1);
    }
    test_whole(scene->cluster);
}

/* ---- Where it may be.  In all these, worker 1 is the victim. */

static bool
is_victim(dsm_worker *self)
{
    if (dsm_worker_id(self) != VICTIM)
        return false;
    /* Whoever did not begin yet would not begin any more. */
    while (stage()->survivors < WORKERS - 1)
        usleep(100);
    stage()->ready = 1;
    return true;
}

static void
compute(void)
{
    for (volatile unsigned long k = 0;; k++)
        ;
}

static int
until_cancelled(dsm_worker *self)
{
    stage()->survivors++;
    while (!dsm_worker_cancelled(self))
        usleep(1000);
    return 0;
}

static int
note(dsm_worker *self, int result)
{
    stage()->result[dsm_worker_id(self)] = result;
    return 0;
}

static int
computing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (is_victim(self))
        compute();
    return until_cancelled(self);
}

static int
awaited(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (is_victim(self))
        compute();
    stage()->survivors++;
    return note(self, dsm_worker_barrier(self));
}

static int
at_worker_barrier(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 2)
        return until_cancelled(self);
    if (!is_victim(self))
        stage()->survivors++;
    return note(self, dsm_worker_barrier(self));
}

static int
at_robust_barrier(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;

    (void)arg_size;
    if (dsm_worker_id(self) == 2)
        return until_cancelled(self);
    if (!is_victim(self))
        stage()->survivors++;
    return note(self, dsm_barrier_wait(tools->robust));
}

static int
at_pthread_barrier(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;

    (void)arg_size;
    if (dsm_worker_id(self) == 2)
        return until_cancelled(self);
    if (!is_victim(self))
        stage()->survivors++;
    return note(self, dsm_barrier_wait(tools->pthread));
}

static int
holding_lock(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;
    int result;

    (void)arg_size;
    if (is_victim(self)) {
        stage()->ready = 0;
        if (dsm_lock_acquire(tools->lock, 0) < 0)
            return 1;
        stage()->ready = 1;
        compute();
    }
    if (dsm_worker_id(self) == 2)
        return until_cancelled(self);
    stage()->survivors++;
    while (!stage()->ready)
        usleep(100);
    result = dsm_lock_acquire(tools->lock, DSM_FOREVER);
    note(self, result);
    return result < 0 ? 1 : dsm_lock_release(tools->lock);
}

static int
waiting_for_lock(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;

    (void)arg_size;
    if (dsm_worker_id(self) == 0) {
        if (dsm_lock_acquire(tools->lock, 0) < 0)
            return 1;
        until_cancelled(self);
        return dsm_lock_release(tools->lock);
    }
    if (is_victim(self) && dsm_lock_acquire(tools->lock, DSM_FOREVER) < 0)
        return 1;
    return until_cancelled(self);
}

static int
in_push(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;
    int message = 9;

    (void)arg_size;
    if (dsm_worker_id(self) == 2)
        return until_cancelled(self);
    if (!is_victim(self))
        stage()->survivors++;
    return note(self, dsm_queue_push(tools->full, &message, DSM_FOREVER));
}

static int
in_pop(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;
    int message;

    (void)arg_size;
    if (dsm_worker_id(self) == 2)
        return until_cancelled(self);
    if (!is_victim(self))
        stage()->survivors++;
    return note(self, dsm_queue_pop(tools->empty, &message, DSM_FOREVER));
}

static int
in_reduce(dsm_worker *self, const void *arg, size_t arg_size)
{
    double values[3000] = {0};

    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 2)
        return until_cancelled(self);
    if (!is_victim(self))
        stage()->survivors++;
    return note(self,
                dsm_worker_reduce(self, values, 3000, DSM_FLOAT64, &DSM_SUM));
}

static int
ignored(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (!is_victim(self))
        stage()->survivors++;
    compute();
    return 0;
}

/* Worker 0's result, or KILLED when it and perhaps worker 2 had to be ended
 * after the grace. */
enum { KILLED = 12345 };

static const struct place {
    dsm_fn fn;
    bool asleep; /* the victim sleeps in the kernel there */
    int result;  /* worker 0's */
} places[] = {
    {computing, false, 0},
    {awaited, false, DSM_EBROKEN},
    {at_worker_barrier, true, DSM_EBROKEN},
    {at_robust_barrier, true, DSM_EBROKEN},
    {at_pthread_barrier, true, KILLED},
    {holding_lock, false, 1},
    {waiting_for_lock, true, 0},
    {in_push, true, DSM_ECANCELED},
    {in_pop, true, DSM_ECANCELED},
    {in_reduce, true, DSM_EBROKEN},
    {ignored, false, KILLED},
};
#define PLACES (int)(sizeof places / sizeof *places)

static bool
victim_ready(const void *arg)
{
    (void)arg;
    return stage()->ready;
}

/* The survivors end as `place` says. */
static void
ck_survivors(const struct scene *scene, const struct place *place)
{
    if (place->result == KILLED) {
        test_died(scene->cluster, 0, scene->pid[0], SIGKILL, 0);
        ck_assert_ptr_nonnull(
            strstr(test_info(scene->cluster, 0).message, "grace"));
        return;
    }
    ck_assert_int_eq(stage()->result[0], place->result);
    for (unsigned w = 0; w < WORKERS; w += 2) {
        ck_assert_int_eq(test_pid(scene->cluster, w), scene->pid[w]);
        ck_assert_str_eq(test_info(scene->cluster, w).message, "");
    }
}

static void
kill_in(struct scene *scene, const struct place *place)
{
    char text[64];
    double begin;
    uint64_t before = test_info(scene->cluster, VICTIM).deaths;

    note_pids(scene);
    memset(test_shared, 0, sizeof *stage());
    ck_dsm(dsm_cluster_start(scene->cluster, place->fn, &scene->tools,
                             sizeof scene->tools));
    test_await(victim_ready, NULL);
    if (place->asleep)
        test_await(test_asleep, &scene->pid[VICTIM]);
    begin = test_now();
    ck_assert_int_eq(kill(scene->pid[VICTIM], SIGKILL), 0);
    snprintf(text, sizeof text, "worker 1 (pid %ld) died of SIGKILL in region",
             (long)scene->pid[VICTIM]);
    ck_dsm_error(dsm_cluster_wait(scene->cluster, 60000), DSM_EWORKER, text);
    ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
    if (place->result == KILLED)
        ck_assert_double_ge(test_now() - begin, GRACE_MS / 1000.0);
    test_died(scene->cluster, VICTIM, scene->pid[VICTIM], SIGKILL, 0);
    ck_assert_str_eq(test_info(scene->cluster, VICTIM).message,
                     dsm_last_error());
    ck_survivors(scene, place);
    ck_whole(scene);
    ck_assert_int_ne(test_pid(scene->cluster, VICTIM), scene->pid[VICTIM]);
    ck_assert_uint_eq(test_info(scene->cluster, VICTIM).deaths, before + 1);
    ck_assert_int_eq(test_info(scene->cluster, VICTIM).signal, 0);
}

START_TEST(dies_in_a_region)
{
    struct scene scene;

    set_up(&scene);
    for (int k = 0; k < 3; k++)
        kill_in(&scene, &places[_i]);
    dsm_cluster_destroy(scene.cluster);
}
END_TEST

/* One after the other in the same cluster. */
START_TEST(dies_everywhere)
{
    struct scene scene;

    set_up(&scene);
    for (int k = 0; k < PLACES; k++)
        kill_in(&scene, &places[k]);
    dsm_cluster_destroy(scene.cluster);
}
END_TEST

/* Who has no work is missed by nobody. */
START_TEST(dies_idle)
{
    struct scene scene;

    set_up(&scene);
    for (unsigned k = 0; k < 20; k++) {
        note_pids(&scene);
        for (unsigned w = 0; w < WORKERS; w++) {
            if (k % 4 && k % 3 != w) /* one, or all */
                continue;
            test_await(test_asleep, &scene.pid[w]);
            kill(scene.pid[w], SIGKILL);
        }
        ck_whole(&scene);
    }
    dsm_cluster_destroy(scene.cluster);
}
END_TEST

/* The same while the very first region begins. */
START_TEST(dies_before_the_first_region)
{
    struct scene scene;

    for (unsigned k = 0; k < 50; k++) {
        set_up(&scene);
        test_await(test_asleep, &scene.pid[k % WORKERS]);
        kill(scene.pid[k % WORKERS], SIGKILL);
        ck_whole(&scene);
        dsm_cluster_destroy(scene.cluster);
    }
}
END_TEST

/* ---- Points within the library.  Whoever comes there first dies. */

static int
use_everything(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *tools = arg;
    double values[300] = {0};
    int message = 1;
    dsm_array *array;
    char name[16];

    (void)arg_size;
    stage()->survivors++;
    while (stage()->survivors < WORKERS)
        usleep(100);
    snprintf(name, sizeof name, "array%u", dsm_worker_id(self));
    if (dsm_array_create(&array, dsm_worker_cluster(self), name, DSM_INT8,
                         DSM_SHAPE(100000)) == 0)
        memset(dsm_array_data(array), 1, 100000);
    if (dsm_worker_barrier(self) < 0 || dsm_worker_cancelled(self))
        return 0;
    if (dsm_lock_acquire(tools->lock, DSM_FOREVER) < 0)
        return 0;
    dsm_lock_release(tools->lock);
    if (dsm_queue_push(tools->queue, &message, DSM_FOREVER) < 0 ||
        dsm_queue_pop(tools->queue, &message, DSM_FOREVER) < 0)
        return 0;
    if (dsm_worker_reduce(self, values, 300, DSM_FLOAT64, &DSM_SUM) < 0 ||
        dsm_barrier_wait(tools->robust) < 0)
        return 0;
    (void)dsm_barrier_wait(tools->pthread);
    return 0;
}

static const char *const points[] = {
    "object.new",     "segment.allocate", "array.create", "array.fill",
    "object.publish", "gate.wait",        "lock.acquire", "queue.push",
    "queue.pop",      "barrier.pthread",  "part.end"};
#define POINTS (int)(sizeof points / sizeof *points)

START_TEST(dies_at_a_point)
{
    struct scene scene;
    double begin;

    test_kill_at("", 1, SIGKILL, 0); /* none yet */
    set_up(&scene);
    test_kill_at(points[_i], 1, SIGKILL, 1);
    begin = test_now();
    ck_dsm_error(dsm_cluster_run(scene.cluster, use_everything, &scene.tools,
                                 sizeof scene.tools),
                 DSM_EWORKER, "died of SIGKILL in region 1");
    ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
    ck_assert_int_eq(test_killed(), 1);
    /* All arrays can be had: those that were made, and the unfinished one. */
    memset(test_shared, 0, sizeof *stage());
    ck_dsm(dsm_cluster_run(scene.cluster, use_everything, &scene.tools,
                           sizeof scene.tools));
    for (unsigned w = 0; w < WORKERS; w++) {
        dsm_array *array;
        char name[16];

        snprintf(name, sizeof name, "array%u", w);
        ck_dsm(dsm_array_open(&array, scene.cluster, name, DSM_INT8));
        ck_assert_uint_eq(dsm_array_count(array), 100000);
        ck_dsm(dsm_array_destroy(array));
    }
    ck_whole(&scene);
    dsm_cluster_destroy(scene.cluster);
}
END_TEST

/* Who dies before it begins has its part run by the next. */
START_TEST(dies_before_it_begins)
{
    struct scene scene;

    for (int times = 1; times <= 5; times++) {
        test_kill_at("part.begin", 1, SIGKILL, times);
        set_up(&scene);
        ck_whole(&scene);
        ck_assert_int_eq(test_killed(), times);
        dsm_cluster_destroy(scene.cluster);
    }
}
END_TEST

/* Whose part has ended, but who has not yet said that all have: with one worker
 * that is always the last. */
START_TEST(dies_once_its_part_has_ended)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    test_kill_at("part.ended", 1, SIGKILL, 1);
    ck_dsm(dsm_cluster_create(&cluster, 1, &options));
    for (int k = 0; k < 3; k++)
        ck_dsm(dsm_cluster_run(cluster, test_whole_part, NULL, 0));
    ck_assert_int_eq(test_killed(), 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("death");
    TCase *tests = test_case(suite, "places");

    tcase_add_loop_test(tests, dies_in_a_region, 0, PLACES);
    tcase_add_test(tests, dies_everywhere);
    tcase_add_test(tests, dies_idle);
    tcase_add_test(tests, dies_before_the_first_region);

    tests = test_case(suite, "points");
    tcase_add_loop_test(tests, dies_at_a_point, 0, POINTS);
    tcase_add_test(tests, dies_before_it_begins);
    tcase_add_test(tests, dies_once_its_part_has_ended);
    return test_main(suite);
}
