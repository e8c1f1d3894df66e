/* Regions: arguments, results, start and wait. */
#include "workers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
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

/* ---- Arguments. */

static unsigned char
pattern(size_t i, size_t size)
{
    return (unsigned char)(i * 31 + size * 7 + 1);
}

static int
check_bytes(dsm_worker *self, const void *arg, size_t arg_size)
{
    const unsigned char *bytes = arg;

    (void)self;
    if ((uintptr_t)arg % 64)
        return 1;
    for (size_t i = 0; i < arg_size; i++)
        if (bytes[i] != pattern(i, arg_size))
            return 2;
    return 0;
}

START_TEST(arguments_of_all_sizes)
{
    static const size_t sizes[] = {1,    2,       63,      64,      65,   1000,
                                   1023, 1024,    1025,    5 << 20, 4096, 1024,
                                   1025, 6 << 20, 5 << 20, 1};
    dsm_cluster *cluster = test_cluster(3);
    unsigned char *bytes = malloc(6 << 20);

    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        for (size_t i = 0; i < sizes[k]; i++)
            bytes[i] = pattern(i, sizes[k]);
        ck_dsm(dsm_cluster_run(cluster, check_bytes, bytes, sizes[k]));
    }
    free(bytes);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
check_none(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self;
    return arg != NULL || arg_size != 0;
}

/* The array "A" holds, in item 1, the address that arg is to have. */
static int
check_pointer(dsm_worker *self, const void *arg, size_t arg_size)
{
    uint64_t *items = dsm_array_data(dsm_worker_array(self, "A"));

    return arg_size != 0 || (uint64_t)(uintptr_t)arg != items[1] ||
           *(const uint64_t *)arg != 4711;
}

static int
use_lock(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_lock *lock = (dsm_lock *)(uintptr_t)arg;

    (void)self, (void)arg_size;
    if (dsm_lock_acquire(lock, DSM_FOREVER) != 0)
        return 1;
    shared()->runs++;
    return dsm_lock_release(lock);
}

START_TEST(arguments_without_a_size)
{
    dsm_cluster *cluster = test_cluster(3);
    dsm_array *array;
    dsm_lock *lock;
    uint64_t *items;

    ck_dsm(dsm_cluster_run(cluster, check_none, NULL, 0));
    ck_dsm(
        dsm_array_create(&array, cluster, "A", DSM_UINT64, DSM_SHAPE(100000)));
    items = dsm_array_data(array);
    items[77777] = 4711;
    items[1] = (uint64_t)(uintptr_t)&items[77777];
    ck_dsm(dsm_cluster_run(cluster, check_pointer, &items[77777], 0));
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    ck_dsm(dsm_cluster_run(cluster, use_lock, lock, 0));
    ck_assert_uint_eq(shared()->runs, 3);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(bad_arguments)
{
    dsm_cluster *cluster = test_cluster(2);
    void *heap = malloc(8), *stack = &heap;

    ck_dsm_error(dsm_cluster_run(cluster, hold, heap, 0), -EINVAL,
                 "do not share");
    ck_dsm_error(dsm_cluster_run(cluster, hold, stack, 0), -EINVAL,
                 "do not share");
    ck_dsm_error(dsm_cluster_start(cluster, hold, test_shared, 0), -EINVAL,
                 "do not share");
    ck_dsm_error(dsm_cluster_run(cluster, hold, NULL, 5), -EINVAL,
                 "NULL but its size 5");
    ck_assert_uint_eq(shared()->began, 0);
    ck_dsm_error(dsm_cluster_wait(cluster, 0), -EINVAL, "no region");
    test_whole(cluster);
    free(heap);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Worker 0 spoils the copy once all have seen it whole. */
static int
spoil(dsm_worker *self, const void *arg, size_t arg_size)
{
    int error;

    while (!shared()->go)
        usleep(1000);
    error = check_bytes(self, arg, arg_size);
    dsm_worker_barrier(self);
    if (dsm_worker_id(self) == 0)
        memset((void *)(uintptr_t)arg, 0, arg_size);
    return error;
}

static void
ck_copied(dsm_cluster *cluster, size_t size)
{
    unsigned char *bytes = malloc(size);

    shared()->go = false;
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(i, size);
    ck_dsm(dsm_cluster_start(cluster, spoil, bytes, size));
    memset(bytes, 0xee, size);
    shared()->go = true;
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    for (size_t i = 0; i < size; i++)
        ck_assert_uint_eq(bytes[i], 0xee);
    free(bytes);
}

START_TEST(arguments_are_copied)
{
    dsm_cluster *cluster = test_cluster(2);

    ck_copied(cluster, 100);
    ck_copied(cluster, 100000);
    ck_copied(cluster, 100);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* The library's own array for a large argument has no name to be found by. */
START_TEST(large_arguments_are_hidden)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_array *array;
    char *bytes = calloc(1, 100000);

    ck_dsm(dsm_cluster_start(cluster, hold, bytes, 100000));
    shared()->go = true;
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_assert_int_eq(
        dsm_array_create(&array, cluster, ".arg", DSM_INT8, DSM_SHAPE(1)),
        -EINVAL);
    free(bytes);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Results. */

static int
return_value(dsm_worker *self, const void *arg, size_t arg_size)
{
    const int *values = arg;

    (void)arg_size;
    shared()->began++;
    dsm_worker_barrier(self); /* or some might not begin */
    return values[dsm_worker_id(self)];
}

START_TEST(failing_functions)
{
    dsm_cluster *cluster = test_cluster(3);
    int values[3] = {0, 5, 0};
    pid_t pid = test_pid(cluster, 1);
    dsm_worker_info info;

    ck_dsm_error(dsm_cluster_run(cluster, return_value, values, sizeof values),
                 DSM_EFAILED, "worker 1's function returned 5");
    info = test_info(cluster, 1);
    ck_assert_int_eq(info.value, 5);
    ck_assert_str_eq(info.message, dsm_last_error());
    ck_assert_int_eq(info.pid, pid); /* it was not replaced */
    ck_assert_int_eq(info.dead_pid, 0);
    ck_assert_int_eq(test_info(cluster, 0).value, 0);
    ck_assert_str_eq(test_info(cluster, 0).message, "");
    /* Valid until the next region. */
    values[1] = 0;
    values[2] = -ENOENT;
    ck_dsm_error(dsm_cluster_run(cluster, return_value, values, sizeof values),
                 DSM_EFAILED, "worker 2's function returned -2, ENOENT");
    ck_assert_int_eq(test_info(cluster, 1).value, 0);
    ck_assert_str_eq(test_info(cluster, 1).message, "");
    ck_assert_int_eq(test_info(cluster, 2).value, -ENOENT);
    test_whole(cluster);
    ck_assert_int_eq(test_info(cluster, 2).value, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Worker `first` fails first, the others after it. */
static int
fail_in_turn(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned first = *(const unsigned *)arg, id = dsm_worker_id(self);

    (void)arg_size;
    dsm_worker_barrier(self);
    while (id != first && !dsm_worker_cancelled(self))
        usleep(100);
    return (int)(100 + id);
}

START_TEST(first_failure_counts)
{
    dsm_cluster *cluster = test_cluster(3);
    char text[64];

    for (unsigned first = 0; first < 3; first++) {
        snprintf(text, sizeof text, "worker %u's function returned %u", first,
                 100 + first);
        ck_dsm_error(
            dsm_cluster_run(cluster, fail_in_turn, &first, sizeof first),
            DSM_EFAILED, text);
        for (unsigned w = 0; w < 3; w++)
            ck_assert_int_eq(test_info(cluster, w).value, (int)(100 + w));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
call_fail(dsm_worker *self, const void *arg, size_t arg_size)
{
    char text[300];

    (void)arg_size;
    memset(text, 'x', sizeof text);
    dsm_worker_barrier(self);
    if (dsm_worker_id(self) == 1)
        dsm_worker_fail(self, *(const int *)arg, "sorry, %d of %.*s", 17, 299,
                        text);
    /* The others hear of it, and need not wait for ever. */
    return dsm_worker_barrier(self) == DSM_EBROKEN ? 0 : 1;
}

START_TEST(worker_fail)
{
    static const int codes[][2] = {{-EBADF, -EBADF},
                                   {DSM_EFORMAT, DSM_EFORMAT},
                                   {3, DSM_EFAILED},
                                   {0, DSM_EFAILED}};
    dsm_cluster *cluster = test_cluster(3);

    for (size_t k = 0; k < sizeof codes / sizeof *codes; k++) {
        pid_t pid = test_pid(cluster, 1), other = test_pid(cluster, 2);
        dsm_worker_info info;

        ck_dsm_error(dsm_cluster_run(cluster, call_fail, codes[k], sizeof(int)),
                     codes[k][1], "sorry, 17 of xxx");
        info = test_info(cluster, 1);
        ck_assert_int_eq(info.value, codes[k][0]);
        ck_assert_uint_eq(strlen(info.message), sizeof info.message - 1);
        test_whole(cluster);
        ck_assert_int_ne(test_pid(cluster, 1), pid);
        ck_assert_int_eq(test_pid(cluster, 2), other);
        ck_assert_uint_eq(test_info(cluster, 1).deaths, k + 1);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
open_missing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    if (*(const char *)arg == 'a')
        dsm_worker_array(self, "nowhere");
    else
        dsm_worker_lock(self, "nowhere");
    return 0;
}

START_TEST(missing_objects)
{
    dsm_cluster *cluster = test_cluster(2);

    ck_dsm_error(dsm_cluster_run(cluster, open_missing, "a", 1), -ENOENT,
                 "no array 'nowhere'");
    ck_dsm_error(dsm_cluster_run(cluster, open_missing, "l", 1), -ENOENT,
                 "no lock 'nowhere'");
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
leave_early(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 1)
        return 0;
    dsm_worker_barrier(self);
    return 0;
}

/* Also when the one who left did so long before. */
START_TEST(leaving_others_at_the_barrier)
{
    dsm_cluster *cluster = test_cluster(3);

    for (int k = 0; k < 20; k++) {
        ck_dsm_error(dsm_cluster_run(cluster, leave_early, NULL, 0),
                     DSM_EBROKEN, "barrier");
        test_whole(cluster);
    }
    ck_assert_uint_eq(test_info(cluster, 1).deaths, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
call_controller(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_cluster *cluster = dsm_worker_cluster(self), *other;

    (void)arg, (void)arg_size;
    if (dsm_cluster_run(cluster, hold, NULL, 0) != -EPERM)
        return 1;
    if (!strstr(dsm_last_error(), dsm_cluster_name(cluster)))
        return 2;
    if (dsm_cluster_start(cluster, hold, NULL, 0) != -EPERM)
        return 3;
    if (dsm_cluster_refresh(cluster) != -EPERM)
        return 4;
    if (dsm_cluster_cancel(cluster, 0) != -EPERM)
        return 5;
    if (dsm_cluster_wait(cluster, 0) >= 0)
        return 6;
    if (dsm_cluster_create(&other, 1, NULL) != -EPERM || other)
        return 7;
    dsm_cluster_destroy(cluster); /* nothing */
    return strcmp(dsm_cluster_name(cluster), (const char *)arg) ? 8 : 0;
}

START_TEST(calls_within_a_worker)
{
    dsm_cluster *cluster = test_cluster(2);
    const char *name = dsm_cluster_name(cluster);

    ck_dsm(dsm_cluster_run(cluster, call_controller, name, strlen(name) + 1));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Start and wait. */

START_TEST(start_and_wait)
{
    dsm_cluster *cluster = test_cluster(3);
    dsm_array *array;
    double begin;

    ck_dsm_error(dsm_cluster_wait(cluster, 0), -EINVAL, "no region");
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm(dsm_cluster_start(cluster, hold, NULL, 0));
    ck_dsm_error(dsm_cluster_wait(cluster, 0), -ETIMEDOUT, "still runs");
    begin = test_now();
    ck_dsm_error(dsm_cluster_wait(cluster, 150), -ETIMEDOUT, "still runs");
    ck_assert_double_ge(test_now() - begin, 0.15);
    ck_assert_double_lt(test_now() - begin, 5);
    ck_dsm_error(dsm_cluster_start(cluster, hold, NULL, 0), -EBUSY,
                 dsm_cluster_name(cluster));
    ck_dsm_error(dsm_cluster_run(cluster, hold, NULL, 0), -EBUSY,
                 "dsm_cluster_wait first");
    ck_dsm_error(dsm_cluster_refresh(cluster), -EBUSY, "region");
    ck_dsm_error(dsm_array_destroy(array), -EBUSY, "region");
    shared()->go = true;
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_assert_uint_eq(shared()->runs, 3);
    ck_dsm_error(dsm_cluster_wait(cluster, 0), -EINVAL, "no region");
    ck_dsm(dsm_array_destroy(array));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static bool
all_ended(const void *argument)
{
    const dsm_cluster *cluster = argument;

    if (!all_began(cluster))
        return false;
    for (unsigned w = 0; w < dsm_cluster_workers(cluster); w++)
        if (test_info(cluster, w).state != DSM_WORKER_IDLE)
            return false;
    return true;
}

/* A region that has ended is busy until somebody wants its result. */
START_TEST(start_and_do_not_wait)
{
    dsm_cluster *cluster = test_cluster(2);
    int values[2] = {6, 0};

    ck_dsm(dsm_cluster_start(cluster, return_value, values, sizeof values));
    test_await(all_ended, cluster);
    ck_dsm_error(dsm_cluster_run(cluster, hold, NULL, 0), -EBUSY,
                 "dsm_cluster_wait first");
    ck_dsm_error(dsm_cluster_wait(cluster, 5000), DSM_EFAILED, "returned 6");
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(destroy_a_started_region)
{
    dsm_cluster *cluster = test_cluster(2);
    double begin;

    ck_dsm(dsm_cluster_start(cluster, hold, NULL, 0));
    test_await(all_began, cluster);
    begin = test_now();
    dsm_cluster_destroy(cluster);
    /* They were asked, and left by themselves. */
    ck_assert_uint_eq(shared()->runs, 2);
    ck_assert_double_lt(test_now() - begin, 10);
}
END_TEST

static int
pop_for_ever(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_queue *queue = (dsm_queue *)(uintptr_t)arg;
    int message, error;

    (void)self, (void)arg_size;
    shared()->began++;
    error = dsm_queue_pop(queue, &message, DSM_FOREVER);
    if (error == DSM_ECANCELED)
        shared()->runs++;
    return 0;
}

/* The same for those who sleep at a queue. */
START_TEST(destroy_a_region_at_a_queue)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_queue *queue;
    double begin;

    options.name = test_name();
    options.grace_ms = 20000;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    ck_dsm(dsm_queue_create(&queue, cluster, "Q", 4, sizeof(int)));
    ck_dsm(dsm_cluster_start(cluster, pop_for_ever, queue, 0));
    test_await(all_began, cluster);
    begin = test_now();
    dsm_cluster_destroy(cluster);
    ck_assert_uint_eq(shared()->runs, 2);
    ck_assert_double_lt(test_now() - begin, 10);
}
END_TEST

static int
count(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    shared()->runs++;
    return 0;
}

START_TEST(many_regions)
{
    dsm_cluster *cluster = test_cluster(3);

    for (unsigned k = 1; k <= 3000; k++) {
        ck_dsm(dsm_cluster_run(cluster, count, NULL, 0));
        ck_assert_uint_eq(shared()->runs, 3 * k);
    }
    for (unsigned w = 0; w < 3; w++)
        ck_assert_uint_eq(test_info(cluster, w).regions, 3000);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cluster_run");
    TCase *tests = test_case(suite, "arguments");

    tcase_add_test(tests, arguments_of_all_sizes);
    tcase_add_test(tests, arguments_without_a_size);
    tcase_add_test(tests, bad_arguments);
    tcase_add_test(tests, arguments_are_copied);
    tcase_add_test(tests, large_arguments_are_hidden);

    tests = test_case(suite, "results");
    tcase_add_test(tests, failing_functions);
    tcase_add_test(tests, first_failure_counts);
    tcase_add_test(tests, worker_fail);
    tcase_add_test(tests, missing_objects);
    tcase_add_test(tests, leaving_others_at_the_barrier);
    tcase_add_test(tests, calls_within_a_worker);

    tests = test_case(suite, "start");
    tcase_add_test(tests, start_and_wait);
    tcase_add_test(tests, start_and_do_not_wait);
    tcase_add_test(tests, destroy_a_started_region);
    tcase_add_test(tests, destroy_a_region_at_a_queue);
    tcase_add_test(tests, many_regions);
    return test_main(suite);
}
