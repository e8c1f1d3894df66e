/* Deaths while an array is made or removed: at each point on the way a worker,
 * an attached program or the controller is killed, and what it had begun is
 * taken back or finished, so that the name is free and nothing is left. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const points[] = {"object.new", "array.create",
                                     "segment.allocate", "array.fill",
                                     "object.publish"};

enum { POINTS = sizeof points / sizeof *points, ITEMS = 5000 };

/* So that processes forked from now on can be killed at a point that is chosen
 * later. */
static void
prepare_to_kill(void)
{
    test_kill_at("nowhere", 1, SIGKILL, 0);
}

/* Segments of the cluster's arrays that lie in /dev/shm. */
static int
segments(const dsm_cluster *cluster)
{
    char prefix[96];
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    int n = 0;

    snprintf(prefix, sizeof prefix, "dsm.%lu.%s.", (unsigned long)geteuid(),
             dsm_cluster_name(cluster));
    while (files && (file = readdir(files)))
        n += strncmp(file->d_name, prefix, strlen(prefix)) == 0 &&
             file->d_name[strlen(prefix)] != '.';
    if (files)
        closedir(files);
    return n;
}

static int
count_object(const dsm_object_info *info, void *arg)
{
    int *n = arg;

    (void)info;
    ++*n;
    return 0;
}

static int
objects(const dsm_cluster *cluster)
{
    int n = 0;

    ck_dsm(dsm_cluster_objects(dsm_cluster_name(cluster), count_object, &n));
    return n;
}

static int
make_filled(dsm_cluster *cluster, const char *name, int value)
{
    dsm_array *array;
    int error =
        dsm_array_create(&array, cluster, name, DSM_INT32, DSM_SHAPE(ITEMS));

    for (int k = 0; !error && k < ITEMS; k++)
        ((int *)dsm_array_data(array))[k] = value;
    return error;
}

/* Worker 1 makes "A", full of ones. */
static int
make_a(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    return dsm_worker_id(self) == 1
               ? make_filled(dsm_worker_cluster(self), "A", 1)
               : 0;
}

static bool
is_filled(const dsm_array *array, int value)
{
    const int *items = dsm_array_data(array);

    for (size_t k = 0; k < dsm_array_count(array); k++)
        if (items[k] != value)
            return false;
    return true;
}

/* Whether "A" holds one number throughout: that in `arg`. */
static int
check_a(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    return is_filled(dsm_worker_array(self, "A"), *(const int *)arg) ? 0 : 1;
}

/* The name is free, and what is made by it now is whole: first by the
 * controller, with another shape, then by the worker that was killed. */
static void
check_recovered(dsm_cluster *cluster, int others)
{
    dsm_array *array;
    int value = 0;

    ck_dsm(
        dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(2, ITEMS)));
    ck_dsm(dsm_cluster_run(cluster, check_a, &value, sizeof value));
    ck_assert_int_eq(segments(cluster), others + 1);
    ck_assert_int_eq(objects(cluster), others + 1);
    ck_dsm(dsm_array_destroy(array));
    ck_assert_int_eq(segments(cluster), others);
    ck_assert_int_eq(objects(cluster), others);
    ck_dsm(dsm_cluster_run(cluster, make_a, NULL, 0));
    value = 1;
    ck_dsm(dsm_cluster_run(cluster, check_a, &value, sizeof value));
    ck_dsm(dsm_array_open(&array, cluster, "A", DSM_INT32));
    ck_assert_uint_eq(dsm_array_count(array), ITEMS);
    ck_dsm(dsm_array_destroy(array));
    ck_assert_int_eq(segments(cluster), others);
}

/* ---- A worker. */

START_TEST(a_worker_dies_making_an_array)
{
    dsm_cluster *cluster;
    dsm_array *array;

    prepare_to_kill();
    cluster = test_cluster(2);
    ck_dsm(make_filled(cluster, "B", 7));
    test_kill_at(points[_i], 1, SIGKILL, 1);
    ck_dsm_error(dsm_cluster_run(cluster, make_a, NULL, 0), DSM_EWORKER,
                 "SIGKILL");
    ck_assert(strstr(dsm_last_error(), "worker 1"));
    ck_assert_int_eq(test_killed(), 1);
    ck_dsm_error(dsm_array_open(&array, cluster, "A", DSM_ANY), -ENOENT, "'A'");
    /* The first to look has mended the registry. */
    ck_assert_int_eq(segments(cluster), 1);
    check_recovered(cluster, 1);
    ck_dsm(dsm_array_open(&array, cluster, "B", DSM_INT32));
    ck_assert(is_filled(array, 7));
    dsm_cluster_destroy(cluster);
}
END_TEST

static void
name_of(char name[16], int k)
{
    snprintf(name, 16, "N%d", k);
}

/* Worker 0 makes many arrays, and worker 1 meanwhile "A". */
static int
make_many(dsm_worker *self, const void *arg, size_t arg_size)
{
    char name[16];

    /* Nobody begins what is to end already. */
    dsm_worker_barrier(self);
    if (dsm_worker_id(self) == 1)
        return make_a(self, arg, arg_size);
    for (int k = 0; k < 40; k++) {
        name_of(name, k);
        if (make_filled(dsm_worker_cluster(self), name, k) < 0)
            return 1;
    }
    return 0;
}

/* Only worker 0 comes so far that it is killed, over its 20th array. */
START_TEST(what_was_complete_survives_a_death)
{
    int value = 1;
    dsm_cluster *cluster;
    dsm_array *array;
    char name[16];

    prepare_to_kill();
    cluster = test_cluster(2);
    test_kill_at(points[_i], 20, SIGKILL, 1);
    ck_dsm_error(dsm_cluster_run(cluster, make_many, NULL, 0), DSM_EWORKER,
                 "worker 0");
    for (int k = 0; k < 19; k++) {
        name_of(name, k);
        ck_dsm(dsm_array_open(&array, cluster, name, DSM_INT32));
        ck_assert(is_filled(array, k));
    }
    name_of(name, 19);
    ck_dsm_error(dsm_array_open(&array, cluster, name, DSM_ANY), -ENOENT, name);
    ck_dsm(dsm_cluster_run(cluster, check_a, &value, sizeof value));
    ck_assert_int_eq(segments(cluster), 20);
    ck_assert_int_eq(objects(cluster), 20);
    ck_dsm(make_filled(cluster, name, 3));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* The table of objects has room for 64 at first, and is then made larger. */
START_TEST(a_worker_dies_enlarging_the_table)
{
    dsm_cluster *cluster;
    dsm_array *array;

    prepare_to_kill();
    cluster = test_cluster(2);
    ck_dsm(make_filled(cluster, "B", 7));
    ck_dsm(dsm_array_open(&array, cluster, "B", DSM_INT32));
    for (int k = 1; k < 64; k++) {
        dsm_array *view;

        ck_dsm(dsm_array_view(&view, array, 0, 1));
    }
    test_kill_at("segment.allocate", 1, SIGKILL, 1);
    ck_dsm_error(dsm_cluster_run(cluster, make_a, NULL, 0), DSM_EWORKER,
                 "worker 1");
    ck_assert_int_eq(test_killed(), 1);
    check_recovered(cluster, 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Makes a view of "A" and removes it. */
static int
drop_view(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *view;

    (void)arg, (void)arg_size;
    if (dsm_array_view(&view, dsm_worker_array(self, "A"), 1, 3) < 0)
        return 1;
    return dsm_array_destroy(view);
}

START_TEST(a_worker_dies_removing_a_view)
{
    int value = 4;
    dsm_cluster *cluster;
    dsm_array *array;

    prepare_to_kill();
    cluster = test_cluster(2);
    ck_dsm(make_filled(cluster, "A", value));
    test_kill_at("object.remove", 1, SIGKILL, 1);
    ck_dsm_error(dsm_cluster_run(cluster, drop_view, NULL, 0), DSM_EWORKER,
                 "SIGKILL");
    ck_assert_int_eq(test_killed(), 1);
    ck_dsm(dsm_cluster_run(cluster, drop_view, NULL, 0));
    ck_dsm(dsm_cluster_run(cluster, check_a, &value, sizeof value));
    ck_dsm(dsm_array_open(&array, cluster, "A", DSM_INT32));
    ck_dsm(dsm_array_destroy(array));
    ck_assert_int_eq(segments(cluster), 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- An attached program. */

/* What the test tells the program that it forked before the cluster. */
struct talk {
    char name[DSM_NAME_MAX + 1];
    _Atomic int ready;
};

static bool
is_ready(const void *arg)
{
    return atomic_load(&((struct talk *)(uintptr_t)arg)->ready) != 0;
}

static void
tell_name(const dsm_cluster *cluster)
{
    struct talk *talk = test_shared;

    strcpy(talk->name, dsm_cluster_name(cluster));
    atomic_store(&talk->ready, 1);
}

static dsm_cluster *
join(struct talk *talk)
{
    dsm_cluster *cluster;

    return test_poll(is_ready, talk) &&
                   dsm_cluster_attach(&cluster, talk->name) == 0
               ? cluster
               : NULL;
}

static int
join_and_make(void *arg)
{
    dsm_cluster *cluster = join(arg);

    return cluster && make_filled(cluster, "A", 1) == 0 ? 0 : 1;
}

static int
join_and_remove(void *arg)
{
    dsm_cluster *cluster = join(arg);
    dsm_array *array;

    return cluster && dsm_array_open(&array, cluster, "A", DSM_ANY) == 0 &&
                   dsm_array_destroy(array) == 0
               ? 0
               : 1;
}

static void
check_killed(int status)
{
    ck_assert_int_eq(test_killed(), 1);
    ck_assert_int_eq(status, SIGKILL); /* a status that says so */
}

START_TEST(an_attached_program_dies_making_an_array)
{
    dsm_cluster *cluster;
    pid_t other;

    prepare_to_kill();
    other = test_host(join_and_make, test_shared);
    cluster = test_cluster(2);
    test_kill_at(points[_i], 1, SIGKILL, 1);
    tell_name(cluster);
    check_killed(test_reap(other));
    check_recovered(cluster, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(an_attached_program_dies_removing_an_array)
{
    int value = 5;
    dsm_cluster *cluster;
    dsm_array *array, *view;
    pid_t other;

    prepare_to_kill();
    other = test_host(join_and_remove, test_shared);
    cluster = test_cluster(2);
    ck_dsm(make_filled(cluster, "A", value));
    ck_dsm(dsm_array_open(&array, cluster, "A", DSM_INT32));
    ck_dsm(dsm_array_view(&view, array, 0, 2));
    ck_dsm(dsm_cluster_run(cluster, check_a, &value, sizeof value));
    test_kill_at("object.remove", 1, SIGKILL, 1);
    tell_name(cluster);
    check_killed(test_reap(other));
    /* What had begun to go is gone, with its views. */
    ck_dsm_error(dsm_array_destroy(array), -ENOENT, "destroyed already");
    ck_dsm_error(dsm_array_destroy(view), -ENOENT, "destroyed already");
    ck_assert_int_eq(segments(cluster), 0);
    check_recovered(cluster, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The controller. */

struct plan {
    const char *name, *point;
};

static int
make_and_remove(void *arg)
{
    const struct plan *plan = arg;
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    options.name = plan->name;
    prepare_to_kill();
    if (dsm_cluster_create(&cluster, 2, &options) < 0 ||
        make_filled(cluster, "B", 7) < 0)
        return 1;
    test_kill_at(plan->point, 1, SIGKILL, 1);
    if (make_filled(cluster, "A", 1) < 0 ||
        dsm_array_open(&array, cluster, "A", DSM_ANY) < 0 ||
        dsm_array_destroy(array) < 0)
        return 2;
    return 3;
}

START_TEST(the_controller_dies_over_an_array)
{
    struct plan plan = {.name = test_name(), .point = "object.remove"};

    if (_i < POINTS)
        plan.point = points[_i];
    check_killed(test_reap(test_host(make_and_remove, &plan)));
    test_await(test_nothing_left, plan.name);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("array_recovery");
    TCase *worker = test_case(suite, "worker");
    TCase *program = test_case(suite, "program");
    TCase *controller = test_case(suite, "controller");

    tcase_add_loop_test(worker, a_worker_dies_making_an_array, 0, POINTS);
    tcase_add_loop_test(worker, what_was_complete_survives_a_death, 0, POINTS);
    tcase_add_test(worker, a_worker_dies_enlarging_the_table);
    tcase_add_test(worker, a_worker_dies_removing_a_view);
    tcase_add_loop_test(program, an_attached_program_dies_making_an_array, 0,
                        POINTS);
    tcase_add_test(program, an_attached_program_dies_removing_an_array);
    tcase_add_loop_test(controller, the_controller_dies_over_an_array, 0,
                        POINTS + 1);
    return test_main(suite);
}
