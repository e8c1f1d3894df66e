/* Listing clusters and their objects, and removing live ones.  What becomes of
 * dead ones is test_remains.c. */
#include "workers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct found {
    const char *name;
    dsm_cluster_info info;
    unsigned times, stop_after;
    char last[DSM_NAME_MAX + 1];
    bool ordered;
};

/* Other tests may run at the same time: only what has the name counts. */
static int
find_cluster(const dsm_cluster_info *info, void *arg)
{
    struct found *found = arg;

    found->ordered = found->ordered && strcmp(found->last, info->name) < 0;
    strcpy(found->last, info->name);
    if (strcmp(info->name, found->name) == 0) {
        found->info = *info;
        found->times++;
        return (int)found->stop_after;
    }
    return 0;
}

static struct found
find(const char *name)
{
    struct found found = {.name = name, .ordered = true};

    ck_dsm(dsm_cluster_list(find_cluster, &found));
    ck_assert(found.ordered);
    return found;
}

START_TEST(list)
{
    dsm_cluster *cluster = test_cluster(3), *other = test_cluster(1);
    char name[DSM_NAME_MAX + 1];
    struct found found;
    dsm_array *array;
    dsm_lock *lock;
    uint64_t bytes;

    strcpy(name, dsm_cluster_name(cluster));
    found = find(name);
    ck_assert_uint_eq(found.times, 1);
    ck_assert_uint_eq(found.info.size, sizeof found.info);
    ck_assert_int_eq(found.info.state, DSM_CLUSTER_LIVE);
    ck_assert_int_eq(found.info.owner, getpid());
    ck_assert_uint_eq(found.info.workers, 3);
    ck_assert_uint_eq(found.info.objects, 0);
    ck_assert_str_eq(found.info.program, program_invocation_short_name);
    ck_assert_str_eq(found.info.directory, "/dev/shm");
    ck_assert_double_ge(found.info.age, 0);
    ck_assert_double_le(found.info.age, 600);
    ck_assert_uint_gt(found.info.bytes, 0);
    bytes = found.info.bytes;
    ck_dsm(
        dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(1000000)));
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    found = find(name);
    ck_assert_uint_eq(found.info.objects, 2);
    ck_assert_uint_ge(found.info.bytes, bytes + 1000000);
    ck_assert_uint_le(found.info.bytes, bytes + 1200000);
    ck_assert_uint_eq(find(dsm_cluster_name(other)).times, 1);
    dsm_cluster_destroy(cluster);
    ck_assert_uint_eq(find(name).times, 0);
    ck_assert_uint_eq(find(dsm_cluster_name(other)).times, 1);
    dsm_cluster_destroy(other);
}
END_TEST

START_TEST(list_until_found)
{
    dsm_cluster *first = test_cluster(1), *second = test_cluster(1);
    struct found found = {.name = dsm_cluster_name(first), .stop_after = 17};

    ck_assert_int_eq(dsm_cluster_list(find_cluster, &found), 17);
    ck_assert_uint_eq(found.times, 1);
    ck_assert_str_eq(found.last, found.name);
    dsm_cluster_destroy(second);
    dsm_cluster_destroy(first);
}
END_TEST

#define OBJECTS_MAX 16

struct objects {
    dsm_object_info info[OBJECTS_MAX];
    unsigned n, stop_at;
};

static int
collect(const dsm_object_info *info, void *arg)
{
    struct objects *objects = arg;

    if (objects->n < OBJECTS_MAX)
        objects->info[objects->n++] = *info;
    return objects->stop_at == objects->n ? -77 : 0;
}

static int
do_nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

START_TEST(objects)
{
    static const dsm_object_kind kinds[] = {DSM_OBJECT_LOCK, DSM_OBJECT_BARRIER,
                                            DSM_OBJECT_ARRAY, DSM_OBJECT_ARRAY,
                                            DSM_OBJECT_QUEUE};
    static const char *const names[] = {"a-lock", "barrier", "cube", "dot",
                                        "e_queue"};
    dsm_cluster *cluster = test_cluster(2);
    const char *name = dsm_cluster_name(cluster);
    struct objects found = {.n = 0};
    char *large = calloc(1, 100000), path[256];
    dsm_array *cube, *view, *dot;
    dsm_barrier *barrier;
    struct stat status;
    dsm_queue *queue;
    dsm_lock *lock;

    ck_dsm(dsm_cluster_objects(name, collect, &found));
    ck_assert_uint_eq(found.n, 0);
    ck_dsm(dsm_queue_create(&queue, cluster, "e_queue", 10, 1000));
    ck_dsm(dsm_array_create(&cube, cluster, "cube", DSM_FLOAT32,
                            DSM_SHAPE(3, 4, 5)));
    ck_dsm(dsm_array_create(&dot, cluster, "dot", DSM_UINT16, 0, NULL));
    ck_dsm(dsm_lock_create(&lock, cluster, "a-lock"));
    ck_dsm(dsm_barrier_create(&barrier, cluster, "barrier", 2,
                              DSM_BARRIER_ROBUST));
    /* What the library or a view has is not listed. */
    ck_dsm(dsm_array_view(&view, cube, 1, 2));
    ck_dsm(dsm_cluster_run(cluster, do_nothing, large, 100000));
    ck_dsm(dsm_cluster_objects(name, collect, &found));
    ck_assert_uint_eq(found.n, 5);
    for (unsigned k = 0; k < 5; k++) {
        ck_assert_uint_eq(found.info[k].size, sizeof found.info[k]);
        ck_assert_str_eq(found.info[k].name, names[k]);
        ck_assert_int_eq(found.info[k].kind, kinds[k]);
        ck_assert_uint_gt(found.info[k].bytes, 0);
    }
    ck_assert_uint_ge(found.info[4].bytes, 10000);
    ck_assert_str_eq(found.info[4].path, "");
    ck_assert_uint_eq(found.info[2].type, DSM_FLOAT32);
    ck_assert_uint_eq(found.info[2].ndim, 3);
    for (size_t k = 0; k < 3; k++)
        ck_assert_uint_eq(found.info[2].shape[k], 3 + k);
    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s.cube",
             (unsigned long)geteuid(), name);
    ck_assert_str_eq(found.info[2].path, path);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(found.info[2].bytes, (uint64_t)status.st_blocks * 512);
    ck_assert_uint_eq(found.info[3].type, DSM_UINT16);
    ck_assert_uint_eq(found.info[3].ndim, 0);

    found = (struct objects){.stop_at = 3};
    ck_assert_int_eq(dsm_cluster_objects(name, collect, &found), -77);
    ck_assert_uint_eq(found.n, 3);
    ck_dsm(dsm_array_destroy(cube));
    ck_dsm(dsm_lock_destroy(lock));
    found = (struct objects){.n = 0};
    ck_dsm(dsm_cluster_objects(name, collect, &found));
    ck_assert_uint_eq(found.n, 3);
    ck_assert_str_eq(found.info[0].name, "barrier");
    free(large);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(objects_of_nothing)
{
    struct objects found = {.n = 0};

    ck_dsm_error(dsm_cluster_objects("no-such-cluster", collect, &found),
                 -ENOENT, "no-such-cluster");
    ck_dsm_error(dsm_cluster_objects("no/name", collect, &found), -EINVAL,
                 "no/name");
    ck_assert_uint_eq(found.n, 0);
}
END_TEST

START_TEST(remove_nothing)
{
    ck_dsm_error(dsm_cluster_remove("no-such-cluster", false), -ENOENT,
                 "no-such-cluster");
    ck_dsm_error(dsm_cluster_remove("no-such-cluster", true), -ENOENT,
                 "no-such-cluster");
    ck_dsm_error(dsm_cluster_remove("no/name", false), -EINVAL, "no/name");
}
END_TEST

static int
work_on(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    ((_Atomic unsigned *)test_shared)[dsm_worker_id(self)] = 1;
    while (!dsm_worker_cancelled(self))
        usleep(1000);
    return 0;
}

static bool
both_began(const void *arg)
{
    const _Atomic unsigned *began = arg;

    return began[0] && began[1];
}

/* Its controller is told, and nothing hangs. */
START_TEST(remove_the_own_cluster)
{
    dsm_cluster *cluster = test_cluster(2);
    char name[DSM_NAME_MAX + 1];
    dsm_array *array;
    dsm_lock *lock;
    pid_t pid[2];

    strcpy(name, dsm_cluster_name(cluster));
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    for (unsigned w = 0; w < 2; w++)
        pid[w] = test_pid(cluster, w);
    ck_dsm_error(dsm_cluster_remove(name, false), -EBUSY, name);
    test_whole(cluster);
    if (_i) {
        ck_dsm(dsm_cluster_start(cluster, work_on, NULL, 0));
        test_await(both_began, test_shared);
    }
    ck_dsm(dsm_cluster_remove(name, true));
    ck_assert(test_nothing_left(name));
    for (unsigned w = 0; w < 2; w++)
        test_await(test_gone, &pid[w]);
    if (_i)
        ck_assert_int_le(dsm_cluster_wait(cluster, DSM_FOREVER), 0);
    ck_dsm_error(dsm_cluster_run(cluster, work_on, NULL, 0), DSM_ESTALE,
                 "is gone");
    ck_dsm_error(dsm_cluster_refresh(cluster), DSM_ESTALE, "is gone");
    /* What would be made would be left behind. */
    ck_assert_int_eq(
        dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(9)),
        DSM_ESTALE);
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(name));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cluster_list");
    TCase *tests = test_case(suite, "list");

    tcase_add_test(tests, list);
    tcase_add_test(tests, list_until_found);
    tcase_add_test(tests, objects);
    tcase_add_test(tests, objects_of_nothing);

    tests = test_case(suite, "remove");
    tcase_add_test(tests, remove_nothing);
    tcase_add_loop_test(tests, remove_the_own_cluster, 0, 2);
    return test_main(suite);
}
