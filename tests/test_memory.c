/* Memory that is short: a small file system for the arrays, a small or full
 * /dev/shm, and limits on files and addresses.  What does not fit is an error
 * with figures, never a signal, and leaves nothing. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

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

static bool
is_empty(const void *directory)
{
    return files_in(directory) == 0;
}

/* Worker 0 adds one to every byte of the array named by `arg`, and fails if
 * they were not all the same before. */
static int
count_up(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array = dsm_worker_array(self, arg);
    unsigned char *byte = dsm_array_data(array), before = byte[0];
    int differ = 0;

    (void)arg_size;
    for (size_t k = 0; dsm_worker_id(self) == 0 && k < dsm_array_count(array);
         k++)
        differ |= byte[k]++ != before;
    return differ;
}

/* ---- options.directory on a small file system. */

static const char *directory;

static void
begin_directory(void)
{
    directory = test_tmpfs(16);
}

static void
end_directory(void)
{
    if (!directory)
        return;
    umount(directory);
    rmdir(directory);
}

static dsm_cluster *
cluster_in_directory(unsigned workers)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.directory = directory;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

START_TEST(too_large_an_array_is_told_with_both_figures)
{
    dsm_cluster *cluster;
    dsm_array *array;

    if (!directory)
        return;
    cluster = cluster_in_directory(2);
    ck_dsm_error(
        dsm_array_create(&array, cluster, "A", DSM_UINT8, DSM_SHAPE(64 * MIB)),
        -ENOSPC, "array 'A' needs 67 MB");
    ck_assert(strstr(dsm_last_error(), "17 MB free"));
    ck_assert(strstr(dsm_last_error(), directory));
    ck_assert_ptr_null(array);
    ck_assert_int_eq(files_in(directory), 0);
    /* The name and the memory are free. */
    ck_dsm(
        dsm_array_create(&array, cluster, "A", DSM_UINT8, DSM_SHAPE(10 * MIB)));
    ck_dsm(dsm_cluster_run(cluster, count_up, "A", 2));
    ck_assert_uint_eq(((uint8_t *)dsm_array_data(array))[10 * MIB - 1], 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

/* Though the workers still have the pages of the first one mapped. */
START_TEST(what_was_destroyed_makes_room_at_once)
{
    dsm_cluster *cluster;
    dsm_array *array;

    if (!directory)
        return;
    cluster = cluster_in_directory(2);
    for (int k = 0; k < 5; k++) {
        ck_dsm(dsm_array_create(&array, cluster, "A", DSM_UINT8,
                                DSM_SHAPE(10 * MIB)));
        ck_dsm(dsm_cluster_run(cluster, count_up, "A", 2));
        ck_dsm(dsm_array_destroy(array));
        ck_dsm(dsm_array_create(&array, cluster, "B", DSM_UINT8,
                                DSM_SHAPE(10 * MIB)));
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(what_fits_lies_there_and_goes_with_its_cluster)
{
    dsm_cluster *cluster;
    dsm_array *array, *second;

    if (!directory)
        return;
    cluster = cluster_in_directory(1);
    ck_dsm(
        dsm_array_create(&array, cluster, "A", DSM_UINT8, DSM_SHAPE(10 * MIB)));
    ck_assert_int_eq(files_in(directory), 1);
    ck_dsm_error(
        dsm_array_create(&second, cluster, "B", DSM_UINT8, DSM_SHAPE(10 * MIB)),
        -ENOSPC, "6.3 MB free");
    ck_dsm(dsm_cluster_run(cluster, count_up, "A", 2));
    ck_dsm(dsm_array_destroy(array));
    ck_assert_int_eq(files_in(directory), 0);
    /* The worker lets go of it when it begins its next region. */
    ck_dsm(dsm_cluster_run(cluster, nothing, NULL, 0));
    ck_dsm(dsm_array_create(&second, cluster, "B", DSM_UINT8,
                            DSM_SHAPE(10 * MIB)));
    ck_dsm(dsm_cluster_run(cluster, count_up, "B", 2));
    dsm_cluster_destroy(cluster);
    ck_assert_int_eq(files_in(directory), 0);
}
END_TEST

/* Both workers want most of the memory at once; 1 into WON for who got it. */
static int
grab(dsm_worker *self, const void *arg, size_t arg_size)
{
    int *won = dsm_array_data(dsm_worker_array(self, "WON"));
    unsigned id = dsm_worker_id(self);
    dsm_array *array;
    int error;

    (void)arg, (void)arg_size;
    dsm_worker_barrier(self);
    error = dsm_array_create(&array, dsm_worker_cluster(self), id ? "B1" : "B0",
                             DSM_UINT8, DSM_SHAPE(10 * MIB));
    won[id] = error == 0;
    if (!error)
        memset(dsm_array_data(array), 1, 10 * MIB);
    return error == 0 || error == -ENOSPC ? 0 : 1;
}

START_TEST(of_two_that_want_it_all_one_gets_it)
{
    dsm_cluster *cluster;
    dsm_array *won, *array;
    const int *flags;

    if (!directory)
        return;
    cluster = cluster_in_directory(2);
    ck_dsm(dsm_array_create(&won, cluster, "WON", DSM_INT32, DSM_SHAPE(2)));
    flags = dsm_array_data(won);
    for (int round = 0; round < 5; round++) {
        ck_dsm(dsm_cluster_run(cluster, grab, NULL, 0));
        ck_assert_int_eq(flags[0] + flags[1], 1);
        ck_dsm(
            dsm_array_open(&array, cluster, flags[1] ? "B1" : "B0", DSM_UINT8));
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
make_and_die(void *arg)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    options.name = arg;
    options.directory = directory;
    if (dsm_cluster_create(&cluster, 2, &options) < 0 ||
        dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(MIB)) < 0 ||
        files_in(directory) != 1)
        return 1;
    return raise(SIGKILL);
}

START_TEST(a_dead_controller_leaves_nothing_there)
{
    if (!directory)
        return;
    ck_assert_int_eq(
        test_reap(test_host(make_and_die, (void *)(uintptr_t)test_name())),
        SIGKILL);
    test_await(is_empty, directory);
}
END_TEST

START_TEST(bad_directories_are_refused)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster = (dsm_cluster *)&options;

    options.name = test_name();
    options.directory = "/no/such/place";
    ck_dsm_error(dsm_cluster_create(&cluster, 1, &options), -ENOENT,
                 "/no/such/place");
    ck_assert_ptr_null(cluster);
    options.directory = "/dev/null";
    ck_dsm_error(dsm_cluster_create(&cluster, 1, &options), -ENOTDIR,
                 "/dev/null");
}
END_TEST

/* ---- A small /dev/shm. */

/* Mounts one in a namespace of this process's own; false where that cannot be
 * had. */
static bool
private_shm(size_t bytes)
{
    char options[64];

    snprintf(options, sizeof options, "size=%zu,mode=1777", bytes);
    return unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/dev/shm", "tmpfs", 0, options) == 0;
}

/* Takes what memory is left in /dev/shm. */
static void
fill_shm(void)
{
    static const char block[4096];
    int fd = open("/dev/shm/filler", O_CREAT | O_EXCL | O_WRONLY, 0600);

    ck_assert_int_ge(fd, 0);
    while (write(fd, block, sizeof block) > 0)
        ;
    ck_assert_int_eq(errno, ENOSPC);
    close(fd);
}

static int
reduce_ids(dsm_worker *self, const void *arg, size_t arg_size)
{
    double sum[200];
    double n = dsm_worker_count(self);

    (void)arg, (void)arg_size;
    for (int k = 0; k < 200; k++)
        sum[k] = k + (double)dsm_worker_id(self);
    if (dsm_worker_reduce(self, sum, 200, DSM_FLOAT64, &DSM_SUM) < 0)
        return 1;
    return sum[199] == n * (n - 1) / 2 + n * 199 ? 0 : 2;
}

static int
die(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    return dsm_worker_id(self) == 0 ? raise(SIGKILL) : 0;
}

START_TEST(a_cluster_fits_or_is_refused)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    size_t bytes = (size_t)4096 << _i;
    dsm_cluster *cluster;
    int error;

    if (!private_shm(bytes))
        return;
    options.name = test_name();
    error = dsm_cluster_create(&cluster, 4, &options);
    if (error) {
        ck_assert_int_eq(error, -ENOSPC);
        ck_assert(strstr(dsm_last_error(), "control segment needs"));
        ck_assert(strstr(dsm_last_error(), "but /dev/shm has"));
        ck_assert_ptr_null(cluster);
        ck_assert_uint_lt(bytes, MIB);
    } else {
        fill_shm();
        ck_dsm(dsm_cluster_run(cluster, reduce_ids, NULL, 0));
        unlink("/dev/shm/filler");
        dsm_cluster_destroy(cluster);
        ck_assert_uint_gt(bytes, 16384);
    }
    ck_assert_int_eq(files_in("/dev/shm"), 0);
}
END_TEST

/* What a cluster needs to live it has from the start. */
START_TEST(a_cluster_lives_on_when_memory_is_full)
{
    static char large[MIB];
    dsm_cluster *cluster;
    dsm_array *array;
    dsm_lock *lock;
    dsm_queue *queue;
    char name[16];
    int error = 0;

    if (!private_shm(4 * MIB))
        return;
    cluster = test_cluster(3);
    ck_dsm(
        dsm_array_create(&array, cluster, "A", DSM_UINT8, DSM_SHAPE(100000)));
    fill_shm();
    ck_dsm(dsm_cluster_run(cluster, count_up, "A", 2));
    ck_dsm(dsm_cluster_run(cluster, reduce_ids, NULL, 0));
    ck_dsm_error(dsm_cluster_run(cluster, die, NULL, 0), DSM_EWORKER,
                 "SIGKILL");
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_dsm(dsm_cluster_run(cluster, reduce_ids, NULL, 0));
    ck_dsm_error(
        dsm_array_create(&array, cluster, "B", DSM_UINT8, DSM_SHAPE(8 * MIB)),
        -ENOSPC, "array 'B' needs 8.4 MB but /dev/shm has");
    ck_assert(strstr(dsm_last_error(), "raise --shm-size"));
    ck_dsm_error(dsm_cluster_run(cluster, count_up, large, sizeof large),
                 -ENOSPC, "/dev/shm");
    ck_dsm_error(dsm_queue_create(&queue, cluster, "Q", 1000, 1000), -ENOSPC,
                 "queue needs");
    for (int k = 0; !error && k < 1000; k++) {
        snprintf(name, sizeof name, "L%d", k);
        error = dsm_lock_create(&lock, cluster, name);
    }
    ck_assert_int_eq(error, -ENOSPC);
    ck_assert(strstr(dsm_last_error(), "the table of objects needs"));
    ck_dsm(dsm_cluster_run(cluster, count_up, "A", 2));
    unlink("/dev/shm/filler");
    ck_dsm(dsm_lock_create(&lock, cluster, name));
    ck_dsm(dsm_queue_create(&queue, cluster, "Q", 1000, 1000));
    strcpy(large, "A");
    ck_dsm(dsm_cluster_run(cluster, count_up, large, sizeof large));
    dsm_cluster_destroy(cluster);
    ck_assert_int_eq(files_in("/dev/shm"), 0);
}
END_TEST

/* ---- Limits on the program.  Each runs in a host of its own; what it returns
 * says where it failed. */

static bool
failed_with(int result, int code, const char *text)
{
    if (result == code && strstr(dsm_last_error(), text))
        return true;
    fprintf(stderr, "%s, '%s'\n", dsm_errname(result), dsm_last_error());
    return false;
}

static void
limit(int resource, size_t soft)
{
    struct rlimit limits;

    getrlimit((__rlimit_resource_t)resource, &limits);
    limits.rlim_cur = soft;
    setrlimit((__rlimit_resource_t)resource, &limits);
}

static int
create_named(dsm_cluster **cluster, unsigned workers, const char *name)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    options.name = name;
    return dsm_cluster_create(cluster, workers, &options);
}

static int
small_files(void *arg)
{
    dsm_cluster *cluster;
    dsm_array *array;

    limit(RLIMIT_FSIZE, MIB);
    if (create_named(&cluster, 2, arg) < 0)
        return 1;
    if (!failed_with(dsm_array_create(&array, cluster, "A", DSM_UINT8,
                                      DSM_SHAPE(4 * MIB)),
                     -EFBIG, "4.2 MB but files may have 1.0 MB at most"))
        return 2;
    if (dsm_array_create(&array, cluster, "A", DSM_UINT8, DSM_SHAPE(MIB / 2)) <
            0 ||
        dsm_cluster_run(cluster, count_up, "A", 2) < 0)
        return 3;
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(a_limit_on_files_is_told)
{
    ck_assert_int_eq(
        test_reap(test_host(small_files, (void *)(uintptr_t)test_name())), 0);
}
END_TEST

/* Even where the control segment of some workers fits and that of more not. */
static int
tiny_files(void *arg)
{
    dsm_cluster *cluster;
    int error;

    for (size_t bytes = MIB; bytes >= 1024; bytes /= 2)
        for (unsigned workers = 1; workers <= 16; workers *= 4) {
            limit(RLIMIT_FSIZE, bytes);
            error = create_named(&cluster, workers, arg);
            if (!error)
                error = dsm_cluster_run(cluster, reduce_ids, NULL, 0);
            if (error &&
                (bytes == MIB || !failed_with(error, -EFBIG, "ulimit -f")))
                return 1;
            dsm_cluster_destroy(cluster);
        }
    limit(RLIMIT_FSIZE, 0);
    error = create_named(&cluster, 1, arg);
    limit(RLIMIT_FSIZE, RLIM_INFINITY); /* to write what was covered */
    return failed_with(error, -EFBIG, "ulimit -f") ? 0 : 2;
}

START_TEST(no_limit_on_files_is_a_signal)
{
    ck_assert_int_eq(
        test_reap(test_host(tiny_files, (void *)(uintptr_t)test_name())), 0);
}
END_TEST

static int
save_beyond_limit(void *arg)
{
    char home[] = "/tmp/dsm-test-save-XXXXXX", path[64];
    dsm_cluster *cluster;
    dsm_array *array;
    int result = 0;

    if (!mkdtemp(home) || create_named(&cluster, 1, arg) < 0 ||
        dsm_array_create(&array, cluster, "A", DSM_UINT8, DSM_SHAPE(4 * MIB)) <
            0)
        return 1;
    snprintf(path, sizeof path, "%s/a.npy", home);
    limit(RLIMIT_FSIZE, MIB);
    if (!failed_with(dsm_array_save(array, path), -EFBIG, "ulimit -f"))
        result = 2;
    else if (files_in(home))
        result = 3;
    unlink(path);
    rmdir(home);
    dsm_cluster_destroy(cluster);
    return result;
}

START_TEST(a_save_beyond_the_limit_is_told)
{
    ck_assert_int_eq(
        test_reap(test_host(save_beyond_limit, (void *)(uintptr_t)test_name())),
        0);
}
END_TEST

static size_t
addresses_in_use(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t pages = 0;

    if (!file || fscanf(file, "%zu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* The reservation is halved until it leaves the program half of what it may
 * have. */
static int
few_addresses(void *arg)
{
    dsm_cluster *cluster;
    dsm_array *array;

    limit(RLIMIT_AS, 700 * MIB);
    if (create_named(&cluster, 2, arg) < 0)
        return 1;
    if (!failed_with(dsm_array_create(&array, cluster, "A", DSM_UINT8,
                                      DSM_SHAPE(1024 * MIB)),
                     -ENOMEM, " MB that cluster"))
        return 2;
    if (dsm_array_create(&array, cluster, "A", DSM_UINT8, DSM_SHAPE(MIB)) < 0 ||
        dsm_cluster_run(cluster, count_up, "A", 2) < 0)
        return 3;
    dsm_cluster_destroy(cluster);
    return 0;
}

static int
no_addresses(void *arg)
{
    dsm_cluster *cluster;

    limit(RLIMIT_AS, addresses_in_use() + 16 * MIB);
    return failed_with(create_named(&cluster, 2, arg), -ENOMEM, "ulimit -v")
               ? 0
               : 1;
}

/* A sanitizer reserves more for itself than any such limit. */
START_TEST(a_limit_on_addresses_is_kept)
{
    if (test_sanitized())
        return;
    ck_assert_int_eq(
        test_reap(test_host(few_addresses, (void *)(uintptr_t)test_name())), 0);
    ck_assert_int_eq(
        test_reap(test_host(no_addresses, (void *)(uintptr_t)test_name())), 0);
}
END_TEST

START_TEST(any_wish_for_addresses_is_met_or_told)
{
    static const size_t wishes[] = {1,
                                    4096,
                                    3 * MIB + 1,
                                    100 * MIB + 12345,
                                    (size_t)3 << 40,
                                    (size_t)1 << 50,
                                    SIZE_MAX};
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    options.name = test_name();
    options.address_space = wishes[_i];
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_UINT8, DSM_SHAPE(MIB)));
    ck_dsm(dsm_cluster_run(cluster, count_up, "A", 2));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("memory");
    TCase *place = test_case(suite, "directory");
    TCase *shm = test_case(suite, "shm");
    TCase *limits = test_case(suite, "limits");

    tcase_add_checked_fixture(place, begin_directory, end_directory);
    tcase_add_test(place, too_large_an_array_is_told_with_both_figures);
    tcase_add_test(place, what_was_destroyed_makes_room_at_once);
    tcase_add_test(place, what_fits_lies_there_and_goes_with_its_cluster);
    tcase_add_test(place, of_two_that_want_it_all_one_gets_it);
    tcase_add_test(place, a_dead_controller_leaves_nothing_there);
    tcase_add_test(place, bad_directories_are_refused);
    tcase_add_loop_test(shm, a_cluster_fits_or_is_refused, 0, 9);
    tcase_add_test(shm, a_cluster_lives_on_when_memory_is_full);
    tcase_add_test(limits, a_limit_on_files_is_told);
    tcase_add_test(limits, no_limit_on_files_is_a_signal);
    tcase_add_test(limits, a_save_beyond_the_limit_is_told);
    tcase_add_test(limits, a_limit_on_addresses_is_kept);
    tcase_add_loop_test(limits, any_wish_for_addresses_is_met_or_told, 0, 7);
    return test_main(suite);
}
