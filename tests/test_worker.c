/* What a worker's function may ask and call: who it is, its share, the worker
 * barrier, cancellation, objects by name.  dsm_worker_reduce is
 * test_worker_reduce.c's. */
#include "meeting.h"

#include <errno.h>
#include <pthread.h>

/* A cluster of 1 … 8 workers; in the second half of a loop of 16 the controller
 * is one of them. */
static dsm_cluster *
cluster_of(int i)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.controller_works = i >= 8;
    ck_dsm(dsm_cluster_create(&cluster, (unsigned)(i % 8 + 1), &options));
    return cluster;
}

/* ---- Who it is. */

static int
who_am_i(dsm_worker *self, const void *arg, size_t arg_size)
{
    static const size_t lengths[] = {0, 1, 2, 7, 8, 1000, SIZE_MAX};
    const char *name = arg;
    unsigned id = dsm_worker_id(self), count = dsm_worker_count(self);
    dsm_cluster *cluster = dsm_worker_cluster(self);

    (void)arg_size;
    atomic_fetch_add(&meeting()->count[id], 1);
    if (strcmp(dsm_cluster_name(cluster), name) != 0)
        return 1;
    if (dsm_cluster_workers(cluster) != count)
        return 2;
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        dsm_range mine = dsm_worker_range(self, lengths[k]);
        dsm_range split = dsm_split(lengths[k], count, id);

        if (mine.begin != split.begin || mine.end != split.end)
            return 3;
        /* Together all of it. */
        if ((id == 0 && mine.begin != 0) ||
            (id == count - 1 && mine.end != lengths[k]))
            return 4;
    }
    return 0;
}

START_TEST(each_worker_is_itself)
{
    dsm_cluster *cluster = cluster_of(_i);
    unsigned workers = (unsigned)(_i % 8 + 1);
    const char *name = dsm_cluster_name(cluster);

    ck_dsm(dsm_cluster_run(cluster, who_am_i, name, strlen(name) + 1));
    for (unsigned k = 0; k < MEETING_PLACES; k++)
        ck_assert_int_eq(meeting()->count[k], k < workers);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The barrier. */

#define ROUNDS 500

static int
meet(dsm_worker *self, const void *arg, size_t arg_size)
{
    _Atomic int *rounds = meeting()->count;

    (void)arg, (void)arg_size;
    for (int n = 1; n <= ROUNDS; n++) {
        atomic_store_explicit(&rounds[dsm_worker_id(self)], n,
                              memory_order_relaxed);
        if (dsm_worker_barrier(self) != 0)
            return 1;
        for (unsigned w = 0; w < dsm_worker_count(self); w++)
            if (atomic_load_explicit(&rounds[w], memory_order_relaxed) != n)
                return 2;
        if (dsm_worker_barrier(self) != 0)
            return 3;
    }
    return 0;
}

START_TEST(the_barrier_separates_what_is_written)
{
    dsm_cluster *cluster = cluster_of(_i);

    for (int k = 0; k < 3; k++)
        ck_dsm(dsm_cluster_run(cluster, meet, NULL, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

struct leaving {
    unsigned who;
    int rounds; /* before it leaves */
    bool last;  /* when all others wait */
};

static int
leave(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct leaving *leaving = arg;
    unsigned id = dsm_worker_id(self);
    int result = 0;

    (void)arg_size;
    for (int k = 0; k < leaving->rounds; k++)
        if (dsm_worker_barrier(self) != 0)
            return 1;
    if (id == leaving->who) {
        for (unsigned w = 0; leaving->last && w < dsm_worker_count(self); w++)
            if (w != id && !await_waiting(w))
                return 2;
        return 0;
    }
    now_waits(id);
    result = dsm_worker_barrier(self);
    meeting()->result[id] = result;
    /* Until the region ends. */
    if (dsm_worker_barrier(self) != DSM_EBROKEN)
        meeting()->result[id] = 1;
    return 0;
}

START_TEST(leaving_early_breaks_it_for_all)
{
    unsigned workers = _i < 8 ? 2 : 5;
    dsm_cluster *cluster = cluster_of((int)workers - 1 + _i % 2 * 8);
    struct leaving leaving = {_i / 2 % 2 ? workers - 1 : 0, 0, _i / 4 % 2 == 1};

    for (leaving.rounds = 0; leaving.rounds < 4; leaving.rounds++) {
        for (unsigned w = 0; w < workers; w++) {
            meeting()->waiter[w] = 0;
            meeting()->result[w] = NO_RESULT;
        }
        ck_dsm_error(dsm_cluster_run(cluster, leave, &leaving, sizeof leaving),
                     DSM_EBROKEN, "the worker barrier");
        for (unsigned w = 0; w < workers; w++) {
            /* Who had not begun yet does not begin. */
            if (w != leaving.who && (leaving.last || meeting()->waiter[w]))
                ck_result(w, DSM_EBROKEN);
            ck_assert_uint_eq(test_info(cluster, w).deaths, 0);
        }
        test_whole(cluster);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Whoever fails breaks it, too; nobody is killed for that. */
static int
fail_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned id = dsm_worker_id(self);

    (void)arg, (void)arg_size;
    if (id == 1)
        return -EIO;
    meeting()->result[id] = dsm_worker_barrier(self);
    return 0;
}

START_TEST(failing_breaks_it_for_all)
{
    dsm_cluster *cluster = cluster_of(2 + _i * 8);

    for (int k = 0; k < 10; k++) {
        meeting()->result[0] = meeting()->result[2] = NO_RESULT;
        ck_dsm_error(dsm_cluster_run(cluster, fail_one, NULL, 0), DSM_EFAILED,
                     "worker 1's function returned -5, EIO");
        for (unsigned w = 0; w < 3; w += 2) {
            ck_assert(meeting()->result[w] == DSM_EBROKEN ||
                      meeting()->result[w] == NO_RESULT);
            ck_assert_uint_eq(test_info(cluster, w).deaths, 0);
        }
        test_whole(cluster);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Cancellation. */

static void *
see_cancelled(void *self)
{
    meeting()->count[1] = dsm_worker_cancelled(self);
    return NULL;
}

static int
await_cancel(dsm_worker *self, const void *arg, size_t arg_size)
{
    pthread_t thread;

    (void)arg, (void)arg_size;
    if (dsm_worker_cancelled(self))
        return 1;
    atomic_fetch_add(&meeting()->count[0], 1);
    while (!dsm_worker_cancelled(self))
        pause_briefly();
    if (dsm_worker_barrier(self) != DSM_EBROKEN)
        return 2;
    if (pthread_create(&thread, NULL, see_cancelled, self) != 0)
        return 3;
    pthread_join(thread, NULL);
    return 0;
}

static bool
all_have_begun(const void *workers)
{
    return meeting()->count[0] == *(const int *)workers;
}

START_TEST(cancelled_turns_true_and_false_again)
{
    int workers = _i + 1;
    dsm_cluster *cluster = cluster_of(_i);

    for (int k = 0; k < 3; k++) {
        meeting()->count[0] = meeting()->count[1] = 0;
        ck_dsm(dsm_cluster_start(cluster, await_cancel, NULL, 0));
        test_await(all_have_begun, &workers);
        ck_dsm(dsm_cluster_cancel(cluster, DSM_FOREVER));
        ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
        ck_assert_int_eq(meeting()->count[1], 1);
    }
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Worker 0 fails or dies; the others compute until they hear of it. */
static int
compute_until_lost(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    if (dsm_worker_id(self) == 0) {
        while (meeting()->count[0] < (int)dsm_worker_count(self) - 1)
            pause_briefly();
        if (*(const bool *)arg)
            die();
        return 7;
    }
    atomic_fetch_add(&meeting()->count[0], 1);
    while (!dsm_worker_cancelled(self))
        pause_briefly();
    atomic_fetch_add(&meeting()->count[1], 1);
    return 0;
}

START_TEST(cancelled_tells_of_a_loss)
{
    bool dies = _i == 1;
    dsm_cluster *cluster = cluster_of(3);

    for (int k = 0; k < 3; k++) {
        meeting()->count[0] = meeting()->count[1] = 0;
        ck_assert_int_eq(
            dsm_cluster_run(cluster, compute_until_lost, &dies, sizeof dies),
            dies ? DSM_EWORKER : DSM_EFAILED);
        ck_assert_int_eq(meeting()->count[1], 3);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Objects. */

static int
find_objects(dsm_worker *self, const void *arg, size_t arg_size)
{
    void *const *wanted = arg;
    dsm_array *array = dsm_worker_array(self, "A");
    dsm_lock *lock = dsm_worker_lock(self, "L");

    (void)arg_size;
    if (array != wanted[0] || lock != wanted[1])
        return 1;
    if (dsm_lock_acquire(lock, DSM_FOREVER) < 0)
        return 2;
    *(int *)dsm_array_data(array) += 1;
    return dsm_lock_release(lock);
}

START_TEST(objects_are_found_by_name)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *array;
    dsm_lock *lock;
    void *wanted[2];

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, 0, NULL));
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    wanted[0] = array;
    wanted[1] = lock;
    ck_dsm(dsm_cluster_run(cluster, find_objects, wanted, sizeof wanted));
    ck_assert_int_eq(*(int *)dsm_array_data(array), _i % 8 + 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

enum missing { NO_ARRAY, NO_LOCK, OTHER_KIND, FAIL };

static int
miss_object(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    if (dsm_worker_id(self) != 0)
        return 0;
    switch (*(const enum missing *)arg) {
    case NO_ARRAY:
        dsm_worker_array(self, "nowhere");
        break;
    case NO_LOCK:
        dsm_worker_lock(self, "nowhere");
        break;
    case OTHER_KIND:
        dsm_worker_lock(self, "A");
        break;
    case FAIL:
        dsm_worker_fail(self, -ERANGE, "nowhere %d", 5);
    }
    /* Not reached. */
    meeting()->count[0]++;
    return 0;
}

/* Worker 0 ends there: a process is replaced, a controller only leaves. */
START_TEST(a_missing_object_ends_the_part)
{
    static const int errors[] = {-ENOENT, -ENOENT, -EINVAL, -ERANGE};
    enum missing missing = (enum missing)(_i % 4);
    bool works = _i >= 4;
    dsm_cluster *cluster = cluster_of(1 + works * 8);
    dsm_array *array;
    pid_t pid = test_pid(cluster, 0);

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, 0, NULL));
    for (unsigned k = 1; k <= 3; k++) {
        ck_dsm_error(
            dsm_cluster_run(cluster, miss_object, &missing, sizeof missing),
            errors[missing], missing == OTHER_KIND ? "'A'" : "nowhere");
        test_whole(cluster);
        ck_assert_uint_eq(test_info(cluster, 0).deaths, works ? 0 : k);
        ck_assert_uint_eq(test_info(cluster, 1).deaths, 0);
    }
    ck_assert_int_eq(meeting()->count[0], 0);
    ck_assert_int_eq(test_pid(cluster, 0) == pid, works);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("worker");
    TCase *self = test_case(suite, "self");
    TCase *barrier = test_case(suite, "barrier");
    TCase *cancel = test_case(suite, "cancel");
    TCase *objects = test_case(suite, "objects");

    tcase_add_loop_test(self, each_worker_is_itself, 0, 16);
    tcase_add_loop_test(barrier, the_barrier_separates_what_is_written, 0, 16);
    tcase_add_loop_test(barrier, leaving_early_breaks_it_for_all, 0, 16);
    tcase_add_loop_test(barrier, failing_breaks_it_for_all, 0, 2);
    tcase_add_loop_test(cancel, cancelled_turns_true_and_false_again, 0, 4);
    tcase_add_loop_test(cancel, cancelled_tells_of_a_loss, 0, 2);
    tcase_add_loop_test(objects, objects_are_found_by_name, 0, 16);
    tcase_add_loop_test(objects, a_missing_object_ends_the_part, 0, 8);
    return test_main(suite);
}
