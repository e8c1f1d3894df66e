/* Arrays: creating, opening and destroying them, what the accessors say, and
 * what every mistake is answered with.  Views are in test_array_view.c, how
 * processes share arrays in test_array_shared.c, files in test_array_file.c,
 * deaths in test_array_recovery.c.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    dsm_type type;
    size_t size;
    const char *name;
} types[] = {
    {DSM_BOOL, 1, "bool"},
    {DSM_INT8, 1, "int8"},
    {DSM_INT16, 2, "int16"},
    {DSM_INT32, 4, "int32"},
    {DSM_INT64, 8, "int64"},
    {DSM_UINT8, 1, "uint8"},
    {DSM_UINT16, 2, "uint16"},
    {DSM_UINT32, 4, "uint32"},
    {DSM_UINT64, 8, "uint64"},
    {DSM_FLOAT32, 4, "float32"},
    {DSM_FLOAT64, 8, "float64"},
    {DSM_COMPLEX64, 8, "complex64"},
    {DSM_COMPLEX128, 16, "complex128"},
    {DSM_STRUCT(1), 1, "struct"},
    {DSM_STRUCT(24), 24, "struct"},
    {DSM_STRUCT(4099), 4099, "struct"},
};

enum { TYPES = sizeof types / sizeof *types };

static const struct {
    unsigned ndim;
    size_t shape[DSM_NDIM_MAX], count;
} shapes[] = {
    {0, {0}, 1},
    {1, {1}, 1},
    {1, {5000}, 5000},
    {1, {0}, 0},
    {2, {3, 4}, 12},
    {2, {0, 4}, 0},
    {2, {4, 0}, 0},
    {3, {2, 3, 5}, 30},
    {3, {2, 0, 5}, 0},
    {8, {1, 2, 3, 1, 2, 1, 2, 3}, 72},
    {8, {1, 2, 3, 1, 2, 1, 0, 3}, 0},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

static bool
all_bytes(const void *data, size_t bytes, unsigned char value)
{
    const unsigned char *byte = data;

    for (size_t k = 0; k < bytes; k++)
        if (byte[k] != value)
            return false;
    return true;
}

static const char *
segment_path(const dsm_cluster *cluster, const char *array)
{
    static char path[256];

    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s.%s",
             (unsigned long)geteuid(), dsm_cluster_name(cluster), array);
    return path;
}

/* ---- What an array is. */

/* Whether the array "A" is all 0x5a; makes it all 0xa5. */
static int
invert_bytes(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array = dsm_worker_array(self, "A");
    size_t bytes = dsm_array_count(array) * dsm_array_item_size(array);

    (void)arg, (void)arg_size;
    if (!all_bytes(dsm_array_data(array), bytes, 0x5a))
        return 1;
    memset(dsm_array_data(array), 0xa5, bytes);
    return 0;
}

static void
check_described(const dsm_array *array, int type, int shape)
{
    size_t bytes = shapes[shape].count * types[type].size;

    ck_assert_uint_eq(dsm_array_type(array), types[type].type);
    ck_assert_uint_eq(dsm_array_item_size(array), types[type].size);
    ck_assert_uint_eq(dsm_array_ndim(array), shapes[shape].ndim);
    ck_assert_mem_eq(dsm_array_shape(array), shapes[shape].shape,
                     shapes[shape].ndim * sizeof(size_t));
    ck_assert_uint_eq(dsm_array_count(array), shapes[shape].count);
    ck_assert_str_eq(dsm_array_name(array), "A");
    ck_assert_uint_eq((uintptr_t)dsm_array_data(array) % 64, 0);
    ck_assert_ptr_nonnull(dsm_array_lock((dsm_array *)(uintptr_t)array));
    ck_assert(all_bytes(dsm_array_data(array), bytes, 0));
}

START_TEST(every_type_and_shape_is_made_of_zeros_and_shared)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *opened;

    for (int shape = 0; shape < SHAPES; shape++) {
        size_t bytes = shapes[shape].count * types[_i].size;

        ck_dsm(dsm_array_create(&array, cluster, "A", types[_i].type,
                                shapes[shape].ndim, shapes[shape].shape));
        check_described(array, _i, shape);
        ck_dsm(dsm_array_open(&opened, cluster, "A", types[_i].type));
        ck_assert_ptr_eq(opened, array);
        memset(dsm_array_data(array), 0x5a, bytes);
        ck_dsm(dsm_cluster_run(cluster, invert_bytes, NULL, 0));
        ck_assert(all_bytes(dsm_array_data(array), bytes, 0xa5));
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_scalar_needs_no_shape)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_FLOAT64, 0, NULL));
    ck_assert_uint_eq(dsm_array_ndim(array), 0);
    ck_assert_uint_eq(dsm_array_count(array), 1);
    *(double *)dsm_array_data(array) = 1.5;
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(the_macro_gives_number_and_lengths)
{
    dsm_cluster *cluster = test_cluster(1);
    size_t rows = 2;
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8,
                            DSM_SHAPE(rows, rows + 1, 7)));
    ck_assert_uint_eq(dsm_array_ndim(array), 3);
    ck_assert_uint_eq(dsm_array_shape(array)[0], 2);
    ck_assert_uint_eq(dsm_array_shape(array)[1], 3);
    ck_assert_uint_eq(dsm_array_shape(array)[2], 7);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Names. */

START_TEST(good_names_are_taken)
{
    static const char *const names[] = {
        "a", "-",      "_",
        "0", "Ab-9_z", "123456789012345678901234567890123456789012345678"};
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        ck_dsm(dsm_array_create(&array, cluster, names[k], DSM_INT8, 0, NULL));
        ck_assert_str_eq(dsm_array_name(array), names[k]);
        ck_assert_int_eq(access(segment_path(cluster, names[k]), F_OK), 0);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(bad_names_are_refused)
{
    static const char *const names[] = {
        "",
        ".",
        "..",
        ".arg",
        "a.b",
        "a/b",
        "../x",
        "a b",
        "\xc3\xa4",
        "a\n",
        "1234567890123456789012345678901234567890123456789"};
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        array = (dsm_array *)cluster;
        ck_dsm_error(
            dsm_array_create(&array, cluster, names[k], DSM_INT8, 0, NULL),
            -EINVAL, "A-Z a-z 0-9 _ and -");
        ck_assert_ptr_null(array);
        ck_assert(strstr(dsm_last_error(), "an array"));
        ck_assert(strstr(dsm_last_error(), names[k]));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_name_is_taken_once)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *second = NULL;
    dsm_lock *lock;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    second = array;
    ck_dsm_error(
        dsm_array_create(&second, cluster, "A", DSM_INT8, DSM_SHAPE(3)),
        -EEXIST, "has array 'A' already");
    ck_assert_ptr_null(second);
    ck_dsm_error(
        dsm_array_create(&second, cluster, "L", DSM_INT8, DSM_SHAPE(3)),
        -EEXIST, "has lock 'L' already");
    ck_dsm_error(dsm_lock_create(&lock, cluster, "A"), -EEXIST, "array 'A'");
    ck_assert(strstr(dsm_last_error(), dsm_cluster_name(cluster)));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A file that somebody else put where the segment would lie is his. */
START_TEST(a_planted_file_is_not_touched)
{
    dsm_cluster *cluster = test_cluster(1);
    const char *path = segment_path(cluster, "A");
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    dsm_array *array;
    char text[8] = "";

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "mine", 4), 4);
    close(fd);
    ck_dsm_error(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)),
                 -EEXIST, path);
    ck_dsm_error(dsm_array_open(&array, cluster, "A", DSM_ANY), -ENOENT, "'A'");
    fd = open(path, O_RDONLY);
    ck_assert_int_eq(read(fd, text, sizeof text), 4);
    ck_assert_str_eq(text, "mine");
    close(fd);
    unlink(path);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Types and shapes. */

START_TEST(bad_types_and_shapes_are_refused)
{
    static const size_t large[] = {SIZE_MAX / 4, 5};
    static const size_t large_beside_zero[] = {SIZE_MAX, 0, 2};
    static const size_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const struct {
        dsm_type type;
        unsigned ndim;
        const size_t *shape;
        const char *text;
    } bad[] = {
        {DSM_ANY, 1, nine, "no item type"},
        {14, 1, nine, "no item type"},
        {DSM_STRUCT(0), 1, nine, "no item type"},
        {DSM_INT8, 9, nine, "at most 8 dimensions, 9"},
        {DSM_INT8, 2, NULL, "needs a shape"},
        {DSM_INT8, 2, large, "too large"},
        {DSM_STRUCT(INT32_MAX), 1, large, "too large"},
        {DSM_INT8, 3, large_beside_zero, "too large"},
    };
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        array = (dsm_array *)cluster;
        ck_dsm_error(dsm_array_create(&array, cluster, "A", bad[k].type,
                                      bad[k].ndim, bad[k].shape),
                     -EINVAL, bad[k].text);
        ck_assert_ptr_null(array);
    }
    ck_dsm_error(dsm_array_open(&array, cluster, "A", DSM_ANY), -ENOENT, "'A'");
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(what_cannot_have_an_address_is_refused)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    ck_dsm_error(dsm_array_create(&array, cluster, "A", DSM_INT8,
                                  DSM_SHAPE((size_t)1 << 60)),
                 -ENOMEM, "options.address_space");
    ck_assert_ptr_null(array);
    ck_assert_int_ne(access(segment_path(cluster, "A"), F_OK), 0);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(1)));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Opening. */

START_TEST(only_what_is_there_can_be_opened)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *opened;
    dsm_lock *lock;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(3)));
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    ck_dsm(dsm_array_open(&opened, cluster, "A", DSM_ANY));
    ck_assert_ptr_eq(opened, array);
    ck_dsm_error(dsm_array_open(&opened, cluster, "A", DSM_FLOAT32), -EINVAL,
                 "array 'A' has items of int32, not of float32");
    ck_assert_ptr_null(opened);
    opened = array;
    ck_dsm_error(dsm_array_open(&opened, cluster, "B", DSM_ANY), -ENOENT,
                 "no array 'B'");
    ck_assert_ptr_null(opened);
    ck_dsm_error(dsm_array_open(&opened, cluster, "L", DSM_ANY), -EINVAL,
                 "is of kind lock, not array");
    ck_dsm_error(dsm_array_open(&opened, cluster, "", DSM_ANY), -ENOENT,
                 "no array ''");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Destroying. */

static int
touch_a(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    return *(const volatile char *)arg;
}

START_TEST(a_destroyed_array_is_gone)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *opened;
    void *data;

    ck_dsm(dsm_array_destroy(NULL));
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    data = dsm_array_data(array);
    ck_dsm(dsm_cluster_run(cluster, touch_a, data, 0));
    ck_dsm(dsm_array_destroy(array));
    ck_assert_int_ne(access(segment_path(cluster, "A"), F_OK), 0);
    ck_dsm_error(dsm_array_open(&opened, cluster, "A", DSM_ANY), -ENOENT, "A");
    ck_dsm_error(dsm_array_destroy(array), -ENOENT, "destroyed already");
    /* Stale pointers meet nothing, rather than what came after. */
    ck_dsm_error(dsm_cluster_run(cluster, touch_a, data, 0), DSM_EWORKER,
                 "SIGSEGV");
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_new_array_of_an_old_name_is_zeroed)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    for (int k = 0; k < 3; k++) {
        ck_dsm(
            dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(9000)));
        ck_assert(all_bytes(dsm_array_data(array), 9000, 0));
        memset(dsm_array_data(array), 0x5a, 9000);
        ck_dsm(dsm_cluster_run(cluster, invert_bytes, NULL, 0));
        ck_assert(all_bytes(dsm_array_data(array), 9000, 0xa5));
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
wait_for_flag(dsm_worker *self, const void *arg, size_t arg_size)
{
    _Atomic int *flag = test_shared;

    (void)arg, (void)arg_size;
    while (!atomic_load(flag) && !dsm_worker_cancelled(self))
        usleep(1000);
    return 0;
}

START_TEST(no_array_goes_while_a_region_runs)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_array *array, *view;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm(dsm_cluster_start(cluster, wait_for_flag, NULL, 0));
    ck_dsm_error(dsm_array_destroy(array), -EBUSY,
                 "array 'A' cannot go while a region runs");
    ck_dsm(dsm_array_view(&view, array, 1, 2));
    ck_dsm(dsm_array_destroy(view));
    atomic_store((_Atomic int *)test_shared, 1);
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_dsm(dsm_array_destroy(array));
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(no_array_goes_while_its_lock_is_held)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_assert_int_eq(dsm_lock_acquire(dsm_array_lock(array), 0), 0);
    ck_dsm_error(dsm_array_destroy(array), -EBUSY, "'A'");
    ck_dsm(dsm_lock_release(dsm_array_lock(array)));
    ck_dsm(dsm_array_destroy(array));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A child of the host's own. */

struct things {
    dsm_cluster *cluster;
    dsm_array *array;
};

static int
meddle(void *arg)
{
    const struct things *things = arg;
    dsm_array *array;

    if (dsm_array_create(&array, things->cluster, "B", DSM_INT8, 0, NULL) !=
        -EPERM)
        return 1;
    if (dsm_array_open(&array, things->cluster, "A", DSM_ANY) != -EPERM)
        return 2;
    if (dsm_array_view(&array, things->array, 0, 1) != -EPERM)
        return 3;
    if (dsm_array_save(things->array, "/dev/null/x") != -EPERM)
        return 4;
    if (dsm_array_destroy(things->array) != -EPERM)
        return 5;
    return strstr(dsm_last_error(), "forked") ? 0 : 6;
}

START_TEST(a_hosts_child_has_no_part)
{
    struct things things = {.cluster = test_cluster(1)};
    dsm_array *opened;

    ck_dsm(dsm_array_create(&things.array, things.cluster, "A", DSM_INT8,
                            DSM_SHAPE(3)));
    ck_assert_int_eq(test_reap(test_host(meddle, &things)), 0);
    ck_dsm(dsm_array_open(&opened, things.cluster, "A", DSM_ANY));
    ck_dsm(dsm_array_destroy(opened));
    dsm_cluster_destroy(things.cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("array");
    TCase *making = test_case(suite, "create");
    TCase *ending = test_case(suite, "destroy");

    tcase_add_loop_test(
        making, every_type_and_shape_is_made_of_zeros_and_shared, 0, TYPES);
    tcase_add_test(making, a_scalar_needs_no_shape);
    tcase_add_test(making, the_macro_gives_number_and_lengths);
    tcase_add_test(making, good_names_are_taken);
    tcase_add_test(making, bad_names_are_refused);
    tcase_add_test(making, a_name_is_taken_once);
    tcase_add_test(making, a_planted_file_is_not_touched);
    tcase_add_test(making, bad_types_and_shapes_are_refused);
    tcase_add_test(making, what_cannot_have_an_address_is_refused);
    tcase_add_test(making, only_what_is_there_can_be_opened);
    tcase_add_test(making, a_hosts_child_has_no_part);
    tcase_add_test(ending, a_destroyed_array_is_gone);
    tcase_add_test(ending, a_new_array_of_an_old_name_is_zeroed);
    tcase_add_test(ending, no_array_goes_while_a_region_runs);
    tcase_add_test(ending, no_array_goes_while_its_lock_is_held);
    return test_main(suite);
}
