/* Arrays to and from .npy files: what is saved comes back, what is torn, short
 * or foreign is refused with its path, and a save that fails leaves neither a
 * file of its own nor a changed one of before. */
#include "workers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- A directory of the tests' own, empty as each begins. */

#define HOME "/tmp/dsm-test-file-XXXXXX"

static char home[sizeof HOME];

static void
make_home(void)
{
    strcpy(home, HOME);
    ck_assert_ptr_nonnull(mkdtemp(home));
}

static int
files_in(const char *directory)
{
    DIR *files = opendir(directory);
    struct dirent *file;
    int n = 0;

    while (files && (file = readdir(files)))
        n += file->d_name[0] != '.';
    if (files)
        closedir(files);
    return n;
}

static void
empty_home(void)
{
    DIR *files = opendir(home);
    struct dirent *file;

    while (files && (file = readdir(files)))
        unlinkat(dirfd(files), file->d_name, 0);
    if (files)
        closedir(files);
}

static void
remove_home(void)
{
    empty_home();
    rmdir(home);
}

/* The path of a file there; the fourth call from now reuses the buffer. */
static const char *
in_home(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, PATH_MAX, "%s/%s", home, name);
    return path;
}

static void
write_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
}

/* A version 1.0 file: a header of 128 bytes with this dict, then the data. */
static void
write_npy(const char *path, const char *dict, const void *data, size_t n)
{
    char bytes[128 + 256] = "\x93NUMPY\1\0\x76\0";

    ck_assert_uint_le(n, 256);
    memset(bytes + 10, ' ', 117);
    memcpy(bytes + 10, dict, strlen(dict));
    bytes[127] = '\n';
    if (n)
        memcpy(bytes + 128, data, n);
    write_file(path, bytes, 128 + n);
}

/* ---- Round trips. */

static const dsm_type types[] = {
    DSM_BOOL,    DSM_INT8,      DSM_INT16,      DSM_INT32,     DSM_INT64,
    DSM_UINT8,   DSM_UINT16,    DSM_UINT32,     DSM_UINT64,    DSM_FLOAT32,
    DSM_FLOAT64, DSM_COMPLEX64, DSM_COMPLEX128, DSM_STRUCT(1), DSM_STRUCT(21),
};

static const struct {
    unsigned ndim;
    size_t shape[DSM_NDIM_MAX];
} shapes[] = {
    {0, {0}},    {1, {7}},       {1, {0}},       {2, {3, 5}},
    {2, {4, 0}}, {3, {2, 3, 4}}, {3, {0, 3, 4}}, {8, {1, 2, 1, 3, 1, 2, 1, 2}},
};

enum {
    TYPES = sizeof types / sizeof *types,
    SHAPES = sizeof shapes / sizeof *shapes
};

static size_t
bytes_of(const dsm_array *array)
{
    return dsm_array_count(array) * dsm_array_item_size(array);
}

static void
check_equal(const dsm_array *a, const dsm_array *b)
{
    ck_assert_uint_eq(dsm_array_type(a), dsm_array_type(b));
    ck_assert_uint_eq(dsm_array_ndim(a), dsm_array_ndim(b));
    ck_assert_mem_eq(dsm_array_shape(a), dsm_array_shape(b),
                     dsm_array_ndim(a) * sizeof(size_t));
    ck_assert_mem_eq(dsm_array_data(a), dsm_array_data(b), bytes_of(a));
}

START_TEST(what_is_saved_comes_back)
{
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");
    dsm_array *saved, *loaded;
    struct stat status;

    for (int k = 0; k < SHAPES; k++) {
        unsigned char *byte;

        ck_dsm(dsm_array_create(&saved, cluster, "A", types[_i], shapes[k].ndim,
                                shapes[k].shape));
        byte = dsm_array_data(saved);
        for (size_t i = 0; i < bytes_of(saved); i++)
            byte[i] = (unsigned char)(i * 37 + 11);
        ck_dsm(dsm_array_save(saved, path));
        ck_assert_int_eq(stat(path, &status), 0);
        ck_assert_uint_eq((size_t)status.st_size, 4096 + bytes_of(saved));
        ck_dsm(dsm_array_load(&loaded, cluster, "B", path));
        ck_assert_str_eq(dsm_array_name(loaded), "B");
        check_equal(saved, loaded);
        ck_dsm(dsm_array_destroy(saved));
        ck_dsm(dsm_array_destroy(loaded));
    }
    ck_assert_int_eq(files_in(home), 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* An array's segment is a file that can be loaded, too. */
START_TEST(a_segment_can_be_loaded)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *copy;
    char path[200];

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT16, DSM_SHAPE(3, 2)));
    memcpy(dsm_array_data(array), (int16_t[]){1, 2, 3, 4, 5, 6}, 12);
    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s.A",
             (unsigned long)geteuid(), dsm_cluster_name(cluster));
    ck_dsm(dsm_array_load(&copy, cluster, "B", path));
    check_equal(array, copy);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_view_is_saved_as_its_rows)
{
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");
    dsm_array *array, *view, *loaded;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(5, 2)));
    for (int k = 0; k < 10; k++)
        ((int *)dsm_array_data(array))[k] = k;
    ck_dsm(dsm_array_view(&view, array, 1, 4));
    ck_dsm(dsm_array_save(view, path));
    ck_dsm(dsm_array_load(&loaded, cluster, "B", path));
    check_equal(view, loaded);
    ck_assert_int_eq(((int *)dsm_array_data(loaded))[0], 2);
    ck_assert_uint_eq(dsm_array_count(loaded), 6);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_save_replaces_what_was_there)
{
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");
    dsm_array *array, *loaded;

    write_file(path, "something else", 14);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    for (int k = 0; k < 2; k++) {
        memset(dsm_array_data(array), k + 1, 3);
        ck_dsm(dsm_array_save(array, path));
        ck_dsm(dsm_array_load(&loaded, cluster, "B", path));
        check_equal(array, loaded);
        ck_dsm(dsm_array_destroy(loaded));
    }
    ck_assert_int_eq(files_in(home), 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_relative_path_will_do)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *loaded;

    ck_assert_int_eq(chdir(home), 0);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm(dsm_array_save(array, "a.npy"));
    ck_assert_int_eq(access(in_home("a.npy"), F_OK), 0);
    ck_dsm(dsm_array_load(&loaded, cluster, "B", "a.npy"));
    check_equal(array, loaded);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- What is no array. */

static const char good[] =
    "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }";

static const struct {
    const char *dict;
    size_t bytes; /* of data */
    const char *text;
} foreign[] = {
    {"{'descr': '<i4', 'fortran_order': True, 'shape': (1, 3), }", 12,
     "Fortran order"},
    {"{'descr': '>i4', 'fortran_order': False, 'shape': (3,), }", 12,
     "byte order"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", 24,
     "Python's own"},
    {"{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }", 6, "'<f2'"},
    {"{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (3,), }", 12,
     "structured"},
    {"{'descr': '<i4', 'fortran_order': False, 'shape': (3), }", 12,
     "malformed"},
    {"hello", 12, "malformed"},
    {good, 11, "11 of its 12 bytes"},
    {good, 0, "0 of its 12 bytes"},
    /* Short by so much that there would be no memory for it. */
    {"{'descr': '<i4', 'fortran_order': False, 'shape': (1099511627776,), }", 8,
     "8 of its 4398046511104 bytes"},
};

enum { FOREIGN = sizeof foreign / sizeof *foreign };

/* Loading it fails with the code and a sentence that has the path and the text,
 * and the name stays free. */
static void
check_refused(dsm_cluster *cluster, const char *path, int code,
              const char *text)
{
    dsm_array *array = (dsm_array *)cluster;

    ck_dsm_error(dsm_array_load(&array, cluster, "A", path), code, path);
    ck_assert_ptr_null(array);
    ck_assert_msg(strstr(dsm_last_error(), text), "'%s' has no '%s'",
                  dsm_last_error(), text);
    ck_dsm_error(dsm_array_open(&array, cluster, "A", DSM_ANY), -ENOENT, "'A'");
}

START_TEST(foreign_files_are_refused)
{
    static const char data[64];
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");

    write_npy(path, foreign[_i].dict, data, foreign[_i].bytes);
    check_refused(cluster, path, DSM_EFORMAT, foreign[_i].text);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* However much of the file is there, it is the whole or nothing. */
START_TEST(torn_files_are_refused)
{
    static const int32_t data[] = {1, 2, 3};
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");
    dsm_array *array;

    write_npy(path, good, data, sizeof data);
    ck_dsm(dsm_array_load(&array, cluster, "A", path));
    ck_assert_mem_eq(dsm_array_data(array), data, sizeof data);
    ck_dsm(dsm_array_destroy(array));
    for (off_t size = 139; size >= 0; size--) {
        ck_assert_int_eq(truncate(path, size), 0);
        check_refused(cluster, path, DSM_EFORMAT, "");
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* What follows the data is not looked at, as by NumPy. */
START_TEST(more_than_the_data_is_ignored)
{
    static const int32_t data[] = {1, 2, 3, 99, 99};
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");
    dsm_array *array;

    write_npy(path, good, data, sizeof data);
    ck_dsm(dsm_array_load(&array, cluster, "A", path));
    ck_assert_uint_eq(dsm_array_count(array), 3);
    ck_assert_mem_eq(dsm_array_data(array), data, 12);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(what_cannot_be_read_is_refused)
{
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");

    check_refused(cluster, path, -ENOENT, "No such file");
    check_refused(cluster, home, -EISDIR, "directory");
    write_file(path, "Dear reader,\nthis is a letter.\n", 31);
    check_refused(cluster, path, DSM_EFORMAT, "not a .npy file");
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_load_needs_a_free_and_good_name)
{
    static const int32_t data[] = {1, 2, 3};
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");
    dsm_array *array, *loaded;

    write_npy(path, good, data, sizeof data);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    memset(dsm_array_data(array), 7, 3);
    ck_dsm_error(dsm_array_load(&loaded, cluster, "A", path), -EEXIST, "'A'");
    ck_assert_mem_eq(dsm_array_data(array), "\7\7\7", 3);
    ck_dsm_error(dsm_array_load(&loaded, cluster, "a.b", path), -EINVAL, "a.b");
    ck_assert_ptr_null(loaded);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
load_torn(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array;
    int result;

    (void)arg_size;
    result = dsm_array_load(&array, dsm_worker_cluster(self), "A", arg);
    if (result != DSM_EFORMAT || !strstr(dsm_last_error(), "11 of its 12"))
        return 1;
    return dsm_array_open(&array, dsm_worker_cluster(self), "A", DSM_ANY) ==
                   -ENOENT
               ? 0
               : 2;
}

/* Where nothing can be destroyed, as a region runs. */
START_TEST(a_worker_too_is_left_with_nothing)
{
    static const int32_t data[] = {1, 2, 3};
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("a.npy");

    write_npy(path, good, data, 11);
    ck_dsm(dsm_cluster_run(cluster, load_torn, path, strlen(path) + 1));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Who looks while one loads. */

static int
load_array(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array;

    (void)arg_size;
    return dsm_array_load(&array, dsm_worker_cluster(self), "A", arg);
}

static bool
somebody_has_read(const void *arg)
{
    (void)arg;
    return test_killed() == 1;
}

static void
check_loaded(dsm_cluster *cluster, const int32_t *data)
{
    dsm_array *array;

    ck_dsm(dsm_array_open(&array, cluster, "A", DSM_INT32));
    ck_assert_mem_eq(dsm_array_data(array), data, 3 * sizeof *data);
    dsm_cluster_destroy(cluster);
}

/* The loader is stopped when it has read all; nobody has to wait for it. */
START_TEST(nobody_finds_what_is_being_loaded)
{
    static const int32_t data[] = {1, 2, 3};
    const char *path = in_home("a.npy");
    dsm_worker_info info = DSM_WORKER_INFO_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    write_npy(path, good, data, sizeof data);
    test_kill_at("array.load", 1, SIGSTOP, 1);
    cluster = test_cluster(1);
    ck_dsm(dsm_cluster_start(cluster, load_array, path, strlen(path) + 1));
    test_await(somebody_has_read, NULL);
    ck_dsm_error(dsm_array_open(&array, cluster, "A", DSM_ANY), -ENOENT, "'A'");
    ck_dsm(dsm_array_create(&array, cluster, "B", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm(dsm_cluster_worker(cluster, 0, &info));
    test_await(test_stopped, &info.pid);
    ck_assert_int_eq(kill(info.pid, SIGCONT), 0);
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    check_loaded(cluster, data);
}
END_TEST

START_TEST(a_loader_that_dies_leaves_nothing)
{
    static const int32_t data[] = {1, 2, 3};
    const char *path = in_home("a.npy");
    dsm_cluster *cluster;
    dsm_array *array;

    write_npy(path, good, data, sizeof data);
    test_kill_at("array.load", 1, SIGKILL, 1);
    cluster = test_cluster(1);
    ck_dsm_error(dsm_cluster_run(cluster, load_array, path, strlen(path) + 1),
                 DSM_EWORKER, "SIGKILL");
    ck_dsm_error(dsm_array_open(&array, cluster, "A", DSM_ANY), -ENOENT, "'A'");
    ck_dsm(dsm_array_load(&array, cluster, "A", path));
    check_loaded(cluster, data);
}
END_TEST

/* ---- Saving that fails. */

START_TEST(a_missing_directory_is_told)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm_error(dsm_array_save(array, in_home("no/a.npy")), -ENOENT,
                 in_home("no/a.npy"));
    ck_dsm_error(dsm_array_save(array, ""), -ENOENT, "No such file");
    ck_assert_int_eq(files_in(home), 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_directory_is_not_replaced)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    ck_assert_int_eq(mkdir(in_home("d"), 0700), 0);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm_error(dsm_array_save(array, in_home("d")), -EISDIR, in_home("d"));
    ck_assert_int_eq(files_in(home), 1);
    rmdir(in_home("d"));
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_full_disk_keeps_the_file_of_before)
{
    const char *small = test_tmpfs(1);
    dsm_array *large, *fits, *loaded;
    char path[PATH_MAX];
    dsm_cluster *cluster;

    if (!small)
        return;
    snprintf(path, sizeof path, "%s/a.npy", small);
    cluster = test_cluster(1);
    ck_dsm(dsm_array_create(&fits, cluster, "F", DSM_INT8, DSM_SHAPE(100)));
    memset(dsm_array_data(fits), 3, 100);
    ck_dsm(dsm_array_save(fits, path));
    ck_dsm(
        dsm_array_create(&large, cluster, "L", DSM_INT8, DSM_SHAPE(2000000)));
    ck_dsm_error(dsm_array_save(large, path), -ENOSPC, path);
    ck_assert_int_eq(files_in(small), 1);
    ck_dsm(dsm_array_load(&loaded, cluster, "B", path));
    check_equal(fits, loaded);
    dsm_cluster_destroy(cluster);
    test_tmpfs_end(small);
}
END_TEST

START_TEST(a_read_only_place_is_told)
{
    const char *place = test_tmpfs(1);
    char path[PATH_MAX];
    dsm_cluster *cluster;
    dsm_array *array;

    if (!place)
        return;
    snprintf(path, sizeof path, "%s/a.npy", place);
    ck_assert_int_eq(mount(NULL, place, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    cluster = test_cluster(1);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm_error(dsm_array_save(array, path), -EROFS, path);
    ck_assert_int_eq(files_in(place), 0);
    dsm_cluster_destroy(cluster);
    test_tmpfs_end(place);
}
END_TEST

/* Only a device of the test's own stands for those in /dev. */
START_TEST(a_device_is_not_replaced)
{
    dsm_cluster *cluster = test_cluster(1);
    const char *path = in_home("pipe");
    dsm_array *array;
    struct stat status;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm_error(dsm_array_save(array, path), -EINVAL, path);
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert(S_ISFIFO(status.st_mode));
    ck_assert_int_eq(files_in(home), 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Several processes and one file. */

enum { ROUNDS = 15, ITEMS = 100000 };

/* Workers 0 and 1 save arrays of their own number again and again to one file;
 * worker 2 loads it as often. */
static int
save_and_load(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_cluster *cluster = dsm_worker_cluster(self);
    unsigned id = dsm_worker_id(self);
    char name[16];
    dsm_array *array;

    (void)arg_size;
    for (int round = 0; round < ROUNDS; round++) {
        snprintf(name, sizeof name, id == 2 ? "L%d" : "S%u",
                 id == 2 ? (unsigned)round : id);
        if (id != 2) {
            if (dsm_array_save(dsm_worker_array(self, name), arg) < 0)
                return 1;
            continue;
        }
        if (dsm_array_load(&array, cluster, name, arg) < 0)
            return 2;
        for (int k = 1; k < ITEMS; k++)
            if (((int *)dsm_array_data(array))[k] !=
                *(int *)dsm_array_data(array))
                return 3;
    }
    return 0;
}

START_TEST(no_reader_meets_a_torn_file)
{
    dsm_cluster *cluster = test_cluster(3);
    const char *path = in_home("a.npy");
    dsm_array *array;

    for (int k = 0; k < 2; k++) {
        ck_dsm(dsm_array_create(&array, cluster, k ? "S1" : "S0", DSM_INT32,
                                DSM_SHAPE(ITEMS)));
        for (int i = 0; i < ITEMS; i++)
            ((int *)dsm_array_data(array))[i] = k + 1;
    }
    ck_dsm(dsm_array_save(array, path));
    ck_dsm(dsm_cluster_run(cluster, save_and_load, path, strlen(path) + 1));
    ck_assert_int_eq(files_in(home), 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

static TCase *
file_case(Suite *suite, const char *name)
{
    TCase *tests = test_case(suite, name);

    tcase_add_unchecked_fixture(tests, make_home, remove_home);
    tcase_add_checked_fixture(tests, empty_home, NULL);
    return tests;
}

int
main(void)
{
    Suite *suite = suite_create("array_file");
    TCase *both = file_case(suite, "both");
    TCase *load = file_case(suite, "load");
    TCase *save = file_case(suite, "save");

    tcase_add_loop_test(both, what_is_saved_comes_back, 0, TYPES);
    tcase_add_test(both, a_segment_can_be_loaded);
    tcase_add_test(both, a_view_is_saved_as_its_rows);
    tcase_add_test(both, a_save_replaces_what_was_there);
    tcase_add_test(both, a_relative_path_will_do);
    tcase_add_test(both, no_reader_meets_a_torn_file);
    tcase_add_loop_test(load, foreign_files_are_refused, 0, FOREIGN);
    tcase_add_test(load, torn_files_are_refused);
    tcase_add_test(load, more_than_the_data_is_ignored);
    tcase_add_test(load, what_cannot_be_read_is_refused);
    tcase_add_test(load, a_load_needs_a_free_and_good_name);
    tcase_add_test(load, a_worker_too_is_left_with_nothing);
    tcase_add_test(load, nobody_finds_what_is_being_loaded);
    tcase_add_test(load, a_loader_that_dies_leaves_nothing);
    tcase_add_test(save, a_missing_directory_is_told);
    tcase_add_test(save, a_directory_is_not_replaced);
    tcase_add_test(save, a_device_is_not_replaced);
    tcase_add_test(save, a_full_disk_keeps_the_file_of_before);
    tcase_add_test(save, a_read_only_place_is_told);
    return test_main(suite);
}
