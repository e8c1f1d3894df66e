/* Creating and destroying clusters: names, numbers of workers, options. */
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Asserts that a cluster with these options is refused. */
static void
refuse(unsigned workers, const dsm_cluster_options *options, int code,
       const char *text)
{
    dsm_cluster *cluster = (dsm_cluster *)(uintptr_t)1;

    ck_dsm_error(dsm_cluster_create(&cluster, workers, options), code, text);
    ck_assert_ptr_null(cluster);
}

static dsm_cluster *
create_as(const char *name, unsigned workers)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = name;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

/* ---- Names. */

static void
ck_default_name(dsm_cluster *cluster, const char *program, const char *suffix)
{
    char name[128];

    snprintf(name, sizeof name, "%s-%ld%s", program, (long)getpid(), suffix);
    ck_assert_str_eq(dsm_cluster_name(cluster), name);
}

START_TEST(default_names)
{
    dsm_cluster *cluster[3];
    char name[3][DSM_NAME_MAX + 1];

    program_invocation_short_name = (char[]){"hello"};
    for (int k = 0; k < 3; k++) {
        ck_dsm(dsm_cluster_create(&cluster[k], 1, NULL));
        strcpy(name[k], dsm_cluster_name(cluster[k]));
    }
    ck_default_name(cluster[0], "hello", "");
    ck_default_name(cluster[1], "hello", "-2");
    ck_default_name(cluster[2], "hello", "-3");
    for (int k = 0; k < 3; k++) {
        dsm_cluster_destroy(cluster[k]);
        ck_assert(test_nothing_left(name[k]));
    }
}
END_TEST

/* A program may have a name that no cluster can have. */
START_TEST(default_name_of_an_odd_program)
{
    static const char *const odd[][2] = {
        {"a b.c/d", "a_b_c_d"},
        {"", "dsm"},
        {"abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz",
         "abcdefghijklmnopqrstuvw"},
    };

    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
        dsm_cluster *cluster;
        char name[DSM_NAME_MAX + 1];

        program_invocation_short_name = (char *)(uintptr_t)odd[k][0];
        ck_dsm(dsm_cluster_create(&cluster, 1, NULL));
        ck_default_name(cluster, odd[k][1], "");
        strcpy(name, dsm_cluster_name(cluster));
        dsm_cluster_destroy(cluster);
        ck_assert(test_nothing_left(name));
    }
}
END_TEST

START_TEST(longest_name)
{
    const char *unique = test_name();
    char name[DSM_NAME_MAX + 2];
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    memset(name, 'x', sizeof name);
    memcpy(name, unique, strlen(unique));
    name[DSM_NAME_MAX] = '\0';
    cluster = create_as(name, 1);
    ck_assert_str_eq(dsm_cluster_name(cluster), name);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(name));
    name[DSM_NAME_MAX] = 'x';
    name[DSM_NAME_MAX + 1] = '\0';
    options.name = name;
    refuse(1, &options, -EINVAL, "is no name for a cluster");
}
END_TEST

START_TEST(bad_names)
{
    static const char *const bad[] = {"",    ".",   "a.b",  "a/b",
                                      "a b", "../", "\xc3", "a\n"};
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        options.name = bad[k];
        refuse(1, &options, -EINVAL, "is no name for a cluster");
        ck_assert_ptr_nonnull(strstr(dsm_last_error(), bad[k]));
    }
}
END_TEST

START_TEST(taken_name)
{
    const char *name = test_name();
    dsm_cluster *cluster = create_as(name, 2);
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    options.name = name;
    refuse(1, &options, -EEXIST, name);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
    cluster = create_as(name, 1);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(destroy_nothing)
{
    dsm_cluster_destroy(NULL);
}
END_TEST

/* What failed before is not what a successful destroy talks about. */
START_TEST(destroy_keeps_the_sentence)
{
    dsm_cluster *cluster = test_cluster(1);
    char before[1024];

    refuse(DSM_WORKERS_MAX + 1, NULL, -EINVAL, "at most");
    snprintf(before, sizeof before, "%s", dsm_last_error());
    dsm_cluster_destroy(cluster);
    ck_assert_str_eq(dsm_last_error(), before);
}
END_TEST

/* ---- Numbers of workers. */

/* Counts itself in arg, bytes for each worker, and checks what it is told. */
static int
sign_in(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned workers = dsm_worker_count(self), id = dsm_worker_id(self);
    dsm_range range = dsm_worker_range(self, workers);

    (void)arg;
    ((_Atomic unsigned char *)test_shared)[id]++;
    return arg_size != workers || range.begin != id || range.end != id + 1;
}

/* The region waits for this one, whoever it is. */
static int
sign_in_late(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned late = *(const unsigned *)arg, id = dsm_worker_id(self);

    (void)arg_size;
    if (id == late)
        usleep(20000);
    ((_Atomic unsigned char *)test_shared)[id]++;
    return 0;
}

static void
ck_workers(unsigned workers)
{
    dsm_cluster *cluster = test_cluster(workers);
    unsigned char *signs = test_shared;
    char size[DSM_WORKERS_MAX];

    memset(size, 0, sizeof size);
    memset(signs, 0, workers + 1);
    ck_assert_uint_eq(dsm_cluster_workers(cluster), workers);
    ck_dsm(dsm_cluster_run(cluster, sign_in, size, workers));
    for (unsigned w = 0; w < workers; w++) {
        ck_assert_uint_eq(signs[w], 1);
        for (unsigned v = 0; v < w; v++)
            ck_assert_int_ne(test_pid(cluster, w), test_pid(cluster, v));
    }
    ck_assert_uint_eq(signs[workers], 0);
    for (unsigned late = 0; late < workers; late += 64) {
        unsigned before = signs[late];

        ck_dsm(dsm_cluster_run(cluster, sign_in_late, &late, sizeof late));
        ck_assert_uint_eq(signs[late], before + 1);
    }
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}

START_TEST(few_workers)
{
    ck_workers((unsigned)_i);
}
END_TEST

/* Beyond 64 the ends of parts are counted in more than one word. */
START_TEST(many_workers)
{
    static const unsigned many[] = {64, 65, 100, 128, 130};

    ck_workers(many[_i]);
}
END_TEST

START_TEST(too_many_workers)
{
    refuse(DSM_WORKERS_MAX + 1, NULL, -EINVAL, "1025 workers");
    refuse(UINT32_MAX, NULL, -EINVAL, "at most 1024");
}
END_TEST

START_TEST(workers_by_default)
{
    cpu_set_t mask;
    dsm_cluster *cluster;

    unsetenv("DSM_WORKERS");
    ck_assert_int_eq(sched_getaffinity(0, sizeof mask, &mask), 0);
    cluster = test_cluster(0);
    ck_assert_uint_ge(dsm_cluster_workers(cluster), 1);
    ck_assert_int_le((int)dsm_cluster_workers(cluster), CPU_COUNT(&mask));
    dsm_cluster_destroy(cluster);
    /* One CPU allowed: one worker. */
    for (size_t cpu = 0, kept = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mask) && kept++)
            CPU_CLR(cpu, &mask);
    ck_assert_int_eq(sched_setaffinity(0, sizeof mask, &mask), 0);
    cluster = test_cluster(0);
    ck_assert_uint_eq(dsm_cluster_workers(cluster), 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(workers_by_environment)
{
    dsm_cluster *cluster;

    setenv("DSM_WORKERS", "3", 1);
    cluster = test_cluster(0);
    ck_assert_uint_eq(dsm_cluster_workers(cluster), 3);
    dsm_cluster_destroy(cluster);
    /* An argument comes first. */
    cluster = test_cluster(2);
    ck_assert_uint_eq(dsm_cluster_workers(cluster), 2);
    dsm_cluster_destroy(cluster);
    /* Empty is unset. */
    setenv("DSM_WORKERS", "", 1);
    cluster = test_cluster(0);
    ck_assert_uint_ge(dsm_cluster_workers(cluster), 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(bad_workers_in_environment)
{
    static const char *const bad[] = {"0",
                                      "-1",
                                      "+2",
                                      "3x",
                                      "x",
                                      "1025",
                                      " 2",
                                      "2.5",
                                      "0x2",
                                      "2 ",
                                      "99999999999999999999999"};

    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        char text[64];

        setenv("DSM_WORKERS", bad[k], 1);
        snprintf(text, sizeof text, "DSM_WORKERS=%s: not 1 to 1024", bad[k]);
        refuse(0, NULL, -EINVAL, text);
    }
    /* Not looked at when the number is given. */
    dsm_cluster_destroy(test_cluster(1));
}
END_TEST

/* ---- Options. */

/* Of which a control segment has no room for the path. */
START_TEST(a_long_directory)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    char top[] = "/tmp/dsm-test-long-XXXXXX", path[300];

    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(path, sizeof path, "%s/%0255d", top, 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    options.directory = path;
    refuse(1, &options, -ENAMETOOLONG, "is too long");
    rmdir(path);
    rmdir(top);
}
END_TEST

START_TEST(bad_options)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    options.bind = (dsm_bind)(DSM_BIND_NUMA + 1);
    refuse(1, &options, -EINVAL, "options.bind");
    options = DSM_CLUSTER_OPTIONS_INIT;
    options.grace_ms = -1;
    refuse(1, &options, -EINVAL, "options.grace_ms");
    options = DSM_CLUSTER_OPTIONS_INIT;
    options.setup_arg_size = 8;
    refuse(1, &options, -EINVAL, "options.setup_arg");
    options = DSM_CLUSTER_OPTIONS_INIT;
    options.detached = options.controller_works = true;
    refuse(1, &options, -EINVAL, "options.detached");
    options = DSM_CLUSTER_OPTIONS_INIT;
    options.max_jobs = DSM_JOBS_MAX + 1;
    refuse(1, &options, -EINVAL, "options.max_jobs");
    options = DSM_CLUSTER_OPTIONS_INIT;
    options.directory = "/nonexistent/directory";
    refuse(1, &options, -ENOENT, "options.directory /nonexistent/directory");
    options = DSM_CLUSTER_OPTIONS_INIT;
    options.log = "/nonexistent/log";
    refuse(1, &options, -ENOENT, "options.log /nonexistent/log");
    memset(&options, 0, sizeof options);
    refuse(1, &options, -EINVAL, "DSM_CLUSTER_OPTIONS_INIT");
}
END_TEST

/* A program may have been compiled against a newer or an older header. */
START_TEST(options_of_other_versions)
{
    struct {
        dsm_cluster_options known;
        char unknown[24];
    } newer = {.known = DSM_CLUSTER_OPTIONS_INIT};
    dsm_cluster_options older = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    newer.known.size = sizeof newer;
    newer.known.name = test_name();
    ck_dsm(dsm_cluster_create(&cluster, 1, &newer.known));
    dsm_cluster_destroy(cluster);
    newer.unknown[23] = 1;
    refuse(1, &newer.known, -EINVAL, "does not know");

    older.size = offsetof(dsm_cluster_options, bind);
    older.name = test_name();
    older.grace_ms = -1; /* beyond its size: not there */
    ck_dsm(dsm_cluster_create(&cluster, 1, &older));
    ck_assert_str_eq(dsm_cluster_name(cluster), older.name);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Options and what they point to are the caller's again after create. */
START_TEST(options_are_copied)
{
    char *name = strdup(test_name()), *kept = strdup(name);
    char *directory = strdup("/dev/shm/../shm");
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    options.name = name;
    options.directory = directory;
    ck_dsm(dsm_cluster_create(&cluster, 1, &options));
    memset(name, '.', strlen(name));
    memset(directory, '.', strlen(directory));
    memset(&options, 0xff, sizeof options);
    free(name);
    free(directory);
    ck_assert_str_eq(dsm_cluster_name(cluster), kept);
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(10)));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(kept));
    free(kept);
}
END_TEST

START_TEST(address_spaces)
{
    static const size_t sizes[] = {(size_t)1 << 26, ((size_t)1 << 26) + 1,
                                   ((size_t)3 << 30) + 4097, (size_t)1 << 42};
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        dsm_cluster *cluster;
        dsm_array *array;

        options.name = test_name();
        options.address_space = sizes[k];
        ck_dsm(dsm_cluster_create(&cluster, 2, &options));
        ck_dsm(dsm_array_create(&array, cluster, "A", DSM_FLOAT64,
                                DSM_SHAPE(100000)));
        test_whole(cluster);
        dsm_cluster_destroy(cluster);
    }
}
END_TEST

static int
affinity(dsm_worker *self, const void *arg, size_t arg_size)
{
    cpu_set_t *sets = test_shared;

    (void)arg, (void)arg_size;
    return sched_getaffinity(0, sizeof *sets, &sets[dsm_worker_id(self)]);
}

/* Whether every CPU of `part` is in `all`, and there is one. */
static bool
subset(const cpu_set_t *part, const cpu_set_t *all)
{
    cpu_set_t both;

    CPU_AND(&both, part, all);
    return CPU_COUNT(part) > 0 && CPU_EQUAL(&both, part);
}

START_TEST(bind_kinds)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    cpu_set_t before, after, shared_core, *sets = test_shared;
    dsm_cluster *cluster;
    bool one_core;

    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    options.name = test_name();
    options.bind = (dsm_bind)_i;
    ck_dsm(dsm_cluster_create(&cluster, 3, &options));
    ck_dsm(dsm_cluster_run(cluster, affinity, NULL, 0));
    for (int w = 0; w < 3; w++)
        ck_assert(subset(&sets[w], &before));
    CPU_AND(&shared_core, &sets[0], &sets[1]);
    one_core = CPU_EQUAL(&sets[0], &before);
    if (options.bind == DSM_BIND_NONE)
        ck_assert(CPU_EQUAL(&sets[0], &before));
    if (options.bind == DSM_BIND_CORE && !one_core)
        ck_assert_int_eq(CPU_COUNT(&shared_core), 0);
    dsm_cluster_destroy(cluster);
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));
}
END_TEST

static int
say(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    printf("worker %u speaks\n", dsm_worker_id(self));
    fprintf(stderr, "worker %u warns\n", dsm_worker_id(self));
    /* Who has not begun when another dies does not begin. */
    dsm_worker_barrier(self);
    if (dsm_worker_id(self) == 1)
        exit(3);
    return 0;
}

static void
ck_in_file(const char *path, const char *text)
{
    char content[4096] = "";
    FILE *file = fopen(path, "re");

    ck_assert_ptr_nonnull(file);
    content[fread(content, 1, sizeof content - 1, file)] = '\0';
    fclose(file);
    ck_assert_msg(strstr(content, text), "no '%s' in '%s'", text, content);
}

START_TEST(log_file)
{
    char path[] = "/tmp/dsm-test-log-XXXXXX";
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "before\n", 7), 7);
    close(fd);
    options.name = test_name();
    options.log = path;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    ck_dsm_error(dsm_cluster_run(cluster, say, NULL, 0), DSM_EWORKER,
                 "exit(3)");
    dsm_cluster_destroy(cluster);
    ck_in_file(path, "before\n"); /* it is added to */
    ck_in_file(path, "worker 0 speaks\n");
    ck_in_file(path, "worker 0 warns\n");
    ck_in_file(path, "worker 1 speaks\n"); /* exit flushes */
    ck_in_file(path, "called exit(3)\n");  /* the supervisor's */
    unlink(path);
}
END_TEST

/* ---- More than one cluster. */

static int
add(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array = dsm_worker_array(self, "A");
    _Atomic int64_t *item = dsm_array_data(array);

    (void)arg_size;
    atomic_fetch_add(item, *(const int64_t *)arg);
    return 0;
}

START_TEST(two_clusters)
{
    dsm_cluster *cluster[2];
    int64_t step[2] = {1, 100}, *data[2];

    for (int k = 0; k < 2; k++) {
        dsm_array *array;

        cluster[k] = test_cluster(2 + (unsigned)k);
        ck_dsm(
            dsm_array_create(&array, cluster[k], "A", DSM_INT64, DSM_SHAPE(1)));
        data[k] = dsm_array_data(array);
    }
    /* At once. */
    for (int k = 0; k < 2; k++)
        ck_dsm(dsm_cluster_start(cluster[k], add, &step[k], sizeof *step));
    for (int k = 0; k < 2; k++)
        ck_dsm(dsm_cluster_wait(cluster[k], DSM_FOREVER));
    ck_assert_int_eq(*data[0], 2);
    ck_assert_int_eq(*data[1], 300);
    /* What lies in the one is foreign to the other. */
    ck_dsm_error(dsm_cluster_run(cluster[0], add, data[1], 0), -EINVAL,
                 "do not share");
    dsm_cluster_destroy(cluster[0]);
    ck_dsm(dsm_cluster_run(cluster[1], add, &step[1], sizeof *step));
    ck_assert_int_eq(*data[1], 600);
    dsm_cluster_destroy(cluster[1]);
}
END_TEST

/* Workers of the second cluster inherit, and do not disturb, the first. */
START_TEST(one_after_the_other)
{
    for (int k = 0; k < 20; k++) {
        dsm_cluster *outer = test_cluster(2), *inner = test_cluster(2);

        test_whole(inner);
        dsm_cluster_destroy(k % 2 ? inner : outer);
        test_whole(k % 2 ? outer : inner);
        dsm_cluster_destroy(k % 2 ? outer : inner);
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cluster");
    TCase *tests = test_case(suite, "names");

    tcase_add_test(tests, default_names);
    tcase_add_test(tests, default_name_of_an_odd_program);
    tcase_add_test(tests, longest_name);
    tcase_add_test(tests, bad_names);
    tcase_add_test(tests, taken_name);
    tcase_add_test(tests, destroy_nothing);
    tcase_add_test(tests, destroy_keeps_the_sentence);

    tests = test_case(suite, "workers");
    tcase_add_loop_test(tests, few_workers, 1, 17);
    tcase_add_loop_test(tests, many_workers, 0, 5);
    tcase_add_test(tests, too_many_workers);
    tcase_add_test(tests, workers_by_default);
    tcase_add_test(tests, workers_by_environment);
    tcase_add_test(tests, bad_workers_in_environment);

    tests = test_case(suite, "options");
    tcase_add_test(tests, bad_options);
    tcase_add_test(tests, a_long_directory);
    tcase_add_test(tests, options_of_other_versions);
    tcase_add_test(tests, options_are_copied);
    tcase_add_test(tests, address_spaces);
    tcase_add_loop_test(tests, bind_kinds, DSM_BIND_AUTO, DSM_BIND_NUMA + 1);
    tcase_add_test(tests, log_file);

    tests = test_case(suite, "several");
    tcase_add_test(tests, two_clusters);
    tcase_add_test(tests, one_after_the_other);
    return test_main(suite);
}
