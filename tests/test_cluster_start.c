/* How workers start and end: setup, cleanup, starts that fail; clusters that
 * outlive their creator. */
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What setup and cleanup leave in test_shared. */
struct record {
    _Atomic unsigned setups, cleanups, fail;
    pid_t setup_pid[16], cleanup_pid[16];
};

struct message {
    char text[24];
    unsigned workers;
};

static dsm_cluster *
create(unsigned workers, dsm_fn setup, dsm_fn cleanup, const void *arg,
       size_t arg_size)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.setup = setup;
    options.cleanup = cleanup;
    options.setup_arg = arg;
    options.setup_arg_size = arg_size;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

/* ---- Setup and cleanup. */

static unsigned set_up_as; /* in a worker: its number and 100 */

/* A setup's or cleanup's own judgement; a wrong argument makes it fail. */
static bool
expected(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct message *message = arg;

    return arg_size == sizeof *message && strcmp(message->text, "hello") == 0 &&
           message->workers == dsm_worker_count(self);
}

static int
set_up(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct record *record = test_shared;
    unsigned id = dsm_worker_id(self);

    set_up_as = 100 + id;
    record->setup_pid[id] = getpid();
    record->setups++;
    return !expected(self, arg, arg_size);
}

static int
clean_up(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct record *record = test_shared;
    unsigned id = dsm_worker_id(self);

    if (!expected(self, arg, arg_size))
        return 1;
    record->cleanup_pid[id] = getpid();
    record->cleanups++;
    return 1; /* of no account */
}

static int
check_set_up(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    return set_up_as != 100 + dsm_worker_id(self);
}

START_TEST(setup_and_cleanup)
{
    struct record *record = test_shared;
    struct message message = {"hello", 3};
    dsm_cluster *cluster =
        create(3, set_up, clean_up, &message, sizeof message);
    pid_t pid[3];

    /* Only the copy counts from now on. */
    memset(&message, 0, sizeof message);
    ck_assert_uint_eq(record->setups, 3);
    for (unsigned w = 0; w < 3; w++) {
        pid[w] = test_pid(cluster, w);
        ck_assert_int_eq(record->setup_pid[w], pid[w]);
    }
    ck_dsm(dsm_cluster_run(cluster, check_set_up, NULL, 0));
    ck_assert_uint_eq(record->setups, 3);
    ck_assert_uint_eq(record->cleanups, 0);
    dsm_cluster_destroy(cluster);
    ck_assert_uint_eq(record->setups, 3);
    ck_assert_uint_eq(record->cleanups, 3);
    for (unsigned w = 0; w < 3; w++)
        ck_assert_int_eq(record->cleanup_pid[w], pid[w]);
}
END_TEST

START_TEST(refresh_sets_up_again)
{
    struct record *record = test_shared;
    struct message message = {"hello", 2};
    dsm_cluster *cluster =
        create(2, set_up, clean_up, &message, sizeof message);

    memset(&message, 0, sizeof message);
    for (unsigned round = 2; round <= 10; round++) {
        ck_dsm(dsm_cluster_refresh(cluster));
        ck_assert_uint_eq(record->setups, 2 * round);
        for (unsigned w = 0; w < 2; w++)
            ck_assert_int_eq(record->setup_pid[w], test_pid(cluster, w));
    }
    ck_assert_uint_eq(record->cleanups, 0); /* they were killed */
    ck_dsm(dsm_cluster_run(cluster, check_set_up, NULL, 0));
    dsm_cluster_destroy(cluster);
    ck_assert_uint_eq(record->cleanups, 2);
}
END_TEST

static int
compare_address(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self;
    return arg_size != 0 || arg != test_shared;
}

/* Without a size it is a pointer, to what the program had at create. */
START_TEST(setup_pointer)
{
    dsm_cluster *cluster = create(2, compare_address, NULL, test_shared, 0);

    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
use_objects(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array;
    dsm_lock *lock;
    int error;

    (void)arg, (void)arg_size;
    /* Whoever comes first makes them. */
    error = dsm_lock_create(&lock, dsm_worker_cluster(self), "L");
    if (error == -EEXIST)
        lock = dsm_worker_lock(self, "L");
    else if (error)
        return error;
    error = dsm_lock_acquire(lock, DSM_FOREVER);
    if (error)
        return error;
    error = dsm_array_create(&array, dsm_worker_cluster(self), "A", DSM_INT64,
                             DSM_SHAPE(1));
    if (error == -EEXIST)
        error =
            dsm_array_open(&array, dsm_worker_cluster(self), "A", DSM_INT64);
    if (!error)
        ++*(int64_t *)dsm_array_data(array);
    dsm_lock_release(lock);
    return error;
}

START_TEST(setup_uses_objects)
{
    dsm_cluster *cluster = create(4, use_objects, NULL, NULL, 0);
    dsm_array *array;

    ck_dsm(dsm_array_open(&array, cluster, "A", DSM_INT64));
    ck_assert_int_eq(*(int64_t *)dsm_array_data(array), 4);
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_int_eq(*(int64_t *)dsm_array_data(array), 8);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
never_end(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct record *record = test_shared;

    (void)self, (void)arg, (void)arg_size;
    record->cleanups++;
    while (record)
        pause();
    return 0;
}

/* It has the grace and no more. */
START_TEST(cleanup_that_hangs)
{
    struct record *record = test_shared;
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    double begin;

    options.name = test_name();
    options.cleanup = never_end;
    options.grace_ms = 200;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    begin = test_now();
    dsm_cluster_destroy(cluster);
    ck_assert_double_lt(test_now() - begin, 10);
    ck_assert_uint_eq(record->cleanups, 2);
}
END_TEST

/* ---- Starts that fail. */

enum manner { RETURN, FAIL, FAIL_CODE, KILL, EXIT, MANNERS };

static int
fail_to_start(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct record *record = test_shared;

    (void)arg_size;
    record->setups++;
    if (record->setups > record->fail)
        return 0;
    switch (*(const enum manner *)arg) {
    case FAIL:
        dsm_worker_fail(self, 5, "no %s today", "tea");
    case FAIL_CODE:
        dsm_worker_fail(self, -ENODEV, "no device %d", 3);
    case KILL:
        raise(SIGKILL);
        break;
    case EXIT:
        exit(0);
    default:
        break;
    }
    return 7;
}

static const struct {
    int code;
    const char *text;
} failure[MANNERS] = {
    [RETURN] = {DSM_EFAILED, "worker 0: setup returned 7"},
    [FAIL] = {DSM_EFAILED, "worker 0: no tea today"},
    [FAIL_CODE] = {-ENODEV, "worker 0: no device 3"},
    [KILL] = {DSM_EWORKER, "died of SIGKILL"},
    [EXIT] = {DSM_EWORKER, "called exit(0)"},
};

static int
create_failing(dsm_cluster **cluster, unsigned workers, enum manner manner,
               bool detached)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    options.name = test_name();
    options.setup = fail_to_start;
    options.setup_arg = &manner;
    options.setup_arg_size = sizeof manner;
    options.detached = detached;
    *cluster = (dsm_cluster *)(uintptr_t)1;
    return dsm_cluster_create(cluster, workers, &options);
}

/* The teardown finds what may be left. */
START_TEST(setup_fails)
{
    struct record *record = test_shared;
    dsm_cluster *cluster;

    record->fail = 100;
    ck_dsm_error(create_failing(&cluster, 1, (enum manner)_i, false),
                 failure[_i].code, failure[_i].text);
    ck_assert_ptr_nonnull(
        strstr(dsm_last_error(), "could not start its workers"));
    ck_assert_ptr_null(cluster);
    ck_assert_uint_eq(record->setups, 3);
}
END_TEST

START_TEST(setup_fails_in_many)
{
    struct record *record = test_shared;
    dsm_cluster *cluster;

    record->fail = 100;
    ck_dsm_error(create_failing(&cluster, 5, (enum manner)_i, false),
                 failure[_i].code, "worker ");
    ck_assert_ptr_null(cluster);
}
END_TEST

START_TEST(setup_of_a_detached_cluster_fails)
{
    struct record *record = test_shared;
    dsm_cluster *cluster;

    record->fail = 100;
    ck_dsm_error(create_failing(&cluster, 2, RETURN, true), DSM_EFAILED,
                 "setup returned 7");
    ck_assert_ptr_null(cluster);
}
END_TEST

START_TEST(setup_fails_twice)
{
    struct record *record = test_shared;
    dsm_cluster *cluster;

    record->fail = 2;
    ck_dsm(create_failing(&cluster, 1, (enum manner)_i, false));
    ck_assert_uint_eq(record->setups, 3);
    test_whole(cluster);
    ck_assert_uint_eq(test_info(cluster, 0).deaths, 2);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
die(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 0)
        raise(SIGKILL);
    return 0;
}

/* The cluster is of no use until a refresh succeeds. */
START_TEST(setup_fails_after_a_death)
{
    struct record *record = test_shared;
    dsm_cluster *cluster;

    ck_dsm(create_failing(&cluster, 2, (enum manner)_i, false));
    record->fail = 100;
    ck_dsm_error(dsm_cluster_run(cluster, die, NULL, 0), DSM_EWORKER,
                 "SIGKILL");
    for (int k = 0; k < 2; k++)
        ck_dsm_error(dsm_cluster_run(cluster, test_whole_part, NULL, 0),
                     failure[_i].code, "could not start its workers");
    record->setups = 0;
    ck_dsm_error(dsm_cluster_refresh(cluster), failure[_i].code,
                 failure[_i].text + 10);
    record->fail = 0;
    ck_dsm(dsm_cluster_refresh(cluster));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Clusters that outlive their creator. */

static int
make_detached(void *name)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    options.name = name;
    options.detached = true;
    options.setup = set_up;
    options.setup_arg = &(struct message){"hello", 2};
    options.setup_arg_size = sizeof(struct message);
    if (dsm_cluster_create(&cluster, 2, &options) < 0 ||
        dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(4)) < 0)
        return 1;
    *(int32_t *)dsm_array_data(array) = 42;
    return 0; /* also without a destroy */
}

START_TEST(detached)
{
    struct record *record = test_shared;
    char name[DSM_NAME_MAX + 1];
    dsm_cluster *cluster;
    dsm_array *array;
    pid_t worker[2];

    strcpy(name, test_name());
    ck_assert_int_eq(test_reap(test_host(make_detached, name)), 0);
    ck_dsm(dsm_cluster_attach(&cluster, name));
    ck_dsm(dsm_array_open(&array, cluster, "A", DSM_INT32));
    ck_assert_int_eq(*(int32_t *)dsm_array_data(array), 42);
    /* Its workers live, and are replaced. */
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_uint_eq(record->setups, 4);
    for (unsigned w = 0; w < 2; w++) {
        worker[w] = test_pid(cluster, w);
        ck_assert_int_eq(kill(worker[w], 0), 0);
    }
    dsm_cluster_destroy(cluster);
    ck_assert(!test_nothing_left(name));
    ck_dsm_error(dsm_cluster_remove(name, false), -EBUSY, name);
    ck_dsm(dsm_cluster_remove(name, true));
    ck_assert(test_nothing_left(name));
    for (unsigned w = 0; w < 2; w++)
        test_await(test_gone, &worker[w]);
    ck_dsm_error(dsm_cluster_attach(&cluster, name), -ENOENT, name);
}
END_TEST

/* Its creator's handle only lets go of it. */
START_TEST(detached_in_its_creator)
{
    char name[DSM_NAME_MAX + 1];
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    strcpy(name, test_name());
    options.name = name;
    options.detached = true;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(4)));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
    ck_dsm(dsm_cluster_attach(&cluster, name));
    ck_dsm(dsm_array_open(&array, cluster, "A", DSM_ANY));
    dsm_cluster_destroy(cluster);
    ck_dsm(dsm_cluster_remove(name, true));
}
END_TEST

/* Whoever deletes its segment by hand ends it too. */
START_TEST(detached_and_unlinked)
{
    char name[DSM_NAME_MAX + 1], path[128];
    dsm_cluster *cluster;
    pid_t worker;

    strcpy(name, test_name());
    ck_assert_int_eq(test_reap(test_host(make_detached, name)), 0);
    ck_dsm(dsm_cluster_attach(&cluster, name));
    worker = test_pid(cluster, 0);
    dsm_cluster_destroy(cluster);
    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s", (unsigned long)geteuid(),
             name);
    ck_assert_int_eq(unlink(path), 0);
    test_await(test_gone, &worker);
    /* Its array has lost its cluster; any sweep takes it away. */
    (void)dsm_cluster_remove(name, false);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cluster_start");
    TCase *tests = test_case(suite, "setup");

    tcase_add_test(tests, setup_and_cleanup);
    tcase_add_test(tests, refresh_sets_up_again);
    tcase_add_test(tests, setup_pointer);
    tcase_add_test(tests, setup_uses_objects);
    tcase_add_test(tests, cleanup_that_hangs);

    tests = test_case(suite, "failure");
    tcase_add_loop_test(tests, setup_fails, 0, MANNERS);
    tcase_add_loop_test(tests, setup_fails_in_many, 0, MANNERS);
    tcase_add_test(tests, setup_of_a_detached_cluster_fails);
    tcase_add_loop_test(tests, setup_fails_twice, 0, MANNERS);
    tcase_add_loop_test(tests, setup_fails_after_a_death, 0, MANNERS);

    tests = test_case(suite, "detached");
    tcase_add_test(tests, detached);
    tcase_add_test(tests, detached_in_its_creator);
    tcase_add_test(tests, detached_and_unlinked);
    return test_main(suite);
}
