/* Arrays between processes: the same address everywhere, arrays that are made
 * while a region runs, addresses that are used again, and what many arrays
 * cost. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* ---- One address. */

/* Where this process sees "A", into its own item of "SEEN". */
static int
note_address(dsm_worker *self, const void *arg, size_t arg_size)
{
    uintptr_t *seen = dsm_array_data(dsm_worker_array(self, "SEEN"));
    dsm_array *array = dsm_worker_array(self, "A");
    const double *items = dsm_array_data(array);

    (void)arg_size;
    /* The handle, too, is one for all. */
    if (array != *(dsm_array *const *)arg || items[1] != 1.5)
        return 1;
    seen[dsm_worker_id(self)] = (uintptr_t)items;
    return 0;
}

static void
check_addresses(dsm_cluster *cluster, dsm_array *array, dsm_array *noted)
{
    uintptr_t *seen = dsm_array_data(noted);

    memset(seen, 0, dsm_array_count(noted) * sizeof *seen);
    ck_dsm(dsm_cluster_run(cluster, note_address, &array, sizeof array));
    for (size_t k = 0; k < dsm_array_count(noted); k++)
        ck_assert_uint_eq(seen[k], (uintptr_t)dsm_array_data(array));
}

START_TEST(all_workers_see_one_address)
{
    dsm_cluster *cluster = test_cluster(4);
    dsm_array *array, *noted;

    ck_dsm(dsm_array_create(&noted, cluster, "SEEN", DSM_UINT64, DSM_SHAPE(4)));
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_FLOAT64, DSM_SHAPE(2)));
    ((double *)dsm_array_data(array))[1] = 1.5;
    check_addresses(cluster, array, noted);
    /* Workers that were forked when the arrays were there already. */
    ck_dsm(dsm_cluster_refresh(cluster));
    check_addresses(cluster, array, noted);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* What the test and a program that attaches tell each other. */
struct talk {
    char name[DSM_NAME_MAX + 1];
    _Atomic int step;
    uintptr_t address;
};

static bool
has_step(const void *arg)
{
    const int *wanted = arg;
    struct talk *talk = test_shared;

    return atomic_load(&talk->step) >= *wanted;
}

static void
say(int step)
{
    struct talk *talk = test_shared;

    atomic_store(&talk->step, step);
}

static bool
hear(int step)
{
    return test_poll(has_step, &step);
}

/* An attached program: says where it sees "A", and makes "B". */
static int
join_and_share(void *arg)
{
    struct talk *talk = arg;
    dsm_cluster *cluster;
    dsm_array *array;

    if (!hear(1) || dsm_cluster_attach(&cluster, talk->name) < 0 ||
        dsm_array_open(&array, cluster, "A", DSM_FLOAT64) < 0)
        return 1;
    talk->address = (uintptr_t)dsm_array_data(array);
    if (((double *)dsm_array_data(array))[1] != 1.5)
        return 2;
    if (dsm_array_create(&array, cluster, "B", DSM_INT32, DSM_SHAPE(2)) < 0)
        return 3;
    ((int *)dsm_array_data(array))[1] = 42;
    dsm_cluster_destroy(cluster);
    return 0;
}

static int
read_b(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    return ((int *)dsm_array_data(dsm_worker_array(self, "B")))[1] - 42;
}

START_TEST(an_attached_program_sees_and_makes_arrays)
{
    struct talk *talk = test_shared;
    pid_t other = test_host(join_and_share, talk);
    dsm_cluster *cluster = test_cluster(2);
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_FLOAT64, DSM_SHAPE(2)));
    ((double *)dsm_array_data(array))[1] = 1.5;
    strcpy(talk->name, dsm_cluster_name(cluster));
    say(1);
    ck_assert_int_eq(test_reap(other), 0);
    ck_assert_uint_eq(talk->address, (uintptr_t)dsm_array_data(array));
    ck_dsm(dsm_cluster_run(cluster, read_b, NULL, 0));
    ck_dsm(dsm_array_open(&array, cluster, "B", DSM_INT32));
    ck_assert_int_eq(((int *)dsm_array_data(array))[1], 42);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Stopped when it is about to make a file, until the cluster has ended. */
static int
make_too_late(void *arg)
{
    struct talk *talk = arg;
    dsm_cluster *cluster;
    dsm_array *array;

    if (!hear(1) || dsm_cluster_attach(&cluster, talk->name) < 0)
        return 1;
    test_kill_at("object.new", 1, SIGSTOP, 1);
    if (dsm_array_create(&array, cluster, "B", DSM_INT32, DSM_SHAPE(2)) !=
        DSM_ESTALE)
        return 2;
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(an_array_comes_after_the_end)
{
    struct talk *talk = test_shared;
    pid_t other = test_host(make_too_late, talk);
    dsm_cluster *cluster = test_cluster(1);
    int status;

    strcpy(talk->name, dsm_cluster_name(cluster));
    say(1);
    ck_assert_int_eq(waitpid(other, &status, WUNTRACED), other);
    ck_assert(WIFSTOPPED(status));
    dsm_cluster_destroy(cluster);
    kill(other, SIGCONT);
    ck_assert_int_eq(test_reap(other), 0);
    ck_assert(test_nothing_left(talk->name));
}
END_TEST

struct node {
    struct node *next;
    int value;
};

enum { NODES = 1000 };

/* Worker 0 links the nodes in an order that jumps about (7 and NODES have no
 * common divisor). */
static void
build_list(struct node *nodes)
{
    for (int k = 0; k < NODES; k++) {
        nodes[k * 7 % NODES].value = k;
        nodes[k * 7 % NODES].next =
            k + 1 < NODES ? &nodes[(k + 1) * 7 % NODES] : NULL;
    }
}

/* How many nodes follow each other with the right values. */
static int
walk_list(const struct node *node)
{
    int n = 0;

    for (; node && node->value == n; node = node->next)
        n++;
    return node ? -1 : n;
}

/* Worker 1 finds its way by pointers alone, from the handle in `arg`. */
static int
pass_list(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *list = (dsm_array *)(uintptr_t)arg;

    (void)arg_size;
    if (dsm_worker_id(self) == 0)
        build_list(dsm_array_data(list));
    dsm_worker_barrier(self);
    return walk_list(dsm_array_data(list)) == NODES ? 0 : 1;
}

START_TEST(a_linked_list_is_walked_everywhere)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_array *list;

    ck_dsm(dsm_array_create(&list, cluster, "LIST",
                            DSM_STRUCT(sizeof(struct node)), DSM_SHAPE(NODES)));
    ck_assert_int_ne(walk_list(dsm_array_data(list)), NODES);
    ck_dsm(dsm_cluster_run(cluster, pass_list, list, 0));
    ck_assert_int_eq(walk_list(dsm_array_data(list)), NODES);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Arrays made while a region runs. */

static void
name_of(char name[16], unsigned worker)
{
    snprintf(name, 16, "OF-%u", worker);
}

/* Each worker makes an array; after the barrier each opens all. */
static int
make_and_open_all(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_cluster *cluster = dsm_worker_cluster(self);
    unsigned id = dsm_worker_id(self);
    dsm_array *array;
    char name[16];

    (void)arg, (void)arg_size;
    name_of(name, id);
    if (dsm_array_create(&array, cluster, name, DSM_UINT32, DSM_SHAPE(3000)) <
        0)
        return 1;
    ((unsigned *)dsm_array_data(array))[2999] = id + 100;
    dsm_worker_barrier(self);
    for (unsigned k = 0; k < dsm_worker_count(self); k++) {
        name_of(name, k);
        if (dsm_array_open(&array, cluster, name, DSM_UINT32) < 0)
            return 2;
        if (((unsigned *)dsm_array_data(array))[2999] != k + 100)
            return 3;
    }
    return 0;
}

START_TEST(what_workers_make_all_can_open)
{
    dsm_cluster *cluster = test_cluster(4);
    dsm_array *array;
    char name[16];

    ck_dsm(dsm_cluster_run(cluster, make_and_open_all, NULL, 0));
    for (unsigned k = 0; k < 4; k++) {
        name_of(name, k);
        ck_dsm(dsm_array_open(&array, cluster, name, DSM_UINT32));
        ck_assert_uint_eq(((unsigned *)dsm_array_data(array))[2999], k + 100);
        ck_dsm(dsm_array_destroy(array));
    }
    /* The names are free again, for those who made them too. */
    ck_dsm(dsm_cluster_run(cluster, make_and_open_all, NULL, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* All try to make the same one; 1 into WON where it worked. */
static int
compete(dsm_worker *self, const void *arg, size_t arg_size)
{
    int *won = dsm_array_data(dsm_worker_array(self, "WON"));
    dsm_array *array;
    int result;

    (void)arg, (void)arg_size;
    dsm_worker_barrier(self);
    result = dsm_array_create(&array, dsm_worker_cluster(self), "SAME",
                              DSM_INT64, DSM_SHAPE(5));
    won[dsm_worker_id(self)] = result == 0;
    return result == 0 || result == -EEXIST ? 0 : 1;
}

START_TEST(of_many_makers_one_wins)
{
    dsm_cluster *cluster = test_cluster(4);
    dsm_array *array, *won;

    ck_dsm(dsm_array_create(&won, cluster, "WON", DSM_INT32, DSM_SHAPE(4)));
    for (int round = 0; round < 20; round++) {
        int winners = 0;

        ck_dsm(dsm_cluster_run(cluster, compete, NULL, 0));
        for (int k = 0; k < 4; k++)
            winners += ((int *)dsm_array_data(won))[k];
        ck_assert_int_eq(winners, 1);
        ck_dsm(dsm_array_open(&array, cluster, "SAME", DSM_INT64));
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
open_missing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    dsm_worker_array(self, "MISSING");
    return 0;
}

START_TEST(a_missing_array_ends_the_region)
{
    dsm_cluster *cluster = test_cluster(1);

    ck_dsm_error(dsm_cluster_run(cluster, open_missing, NULL, 0), -ENOENT,
                 "no array 'MISSING'");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Addresses used again. */

static dsm_cluster *
cramped_cluster(unsigned workers)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.address_space = 64 * MIB;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

/* "A" holds the stamp at its ends and in its middle. */
static int
check_stamp(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array = dsm_worker_array(self, "A");
    const uint64_t *items = dsm_array_data(array), *stamp = arg;
    size_t n = dsm_array_count(array);

    (void)arg_size;
    return items[0] == *stamp && items[n / 2] == *stamp &&
                   items[n - 1] == *stamp && items[1] == 0
               ? 0
               : 1;
}

/* Makes "A" of `bytes`, has all workers look at it; its address. */
static void *
make_and_show(dsm_cluster *cluster, dsm_array **array, size_t bytes,
              uint64_t stamp)
{
    size_t n = bytes / sizeof stamp;
    uint64_t *items;

    ck_dsm(dsm_array_create(array, cluster, "A", DSM_UINT64, 1, &n));
    items = dsm_array_data(*array);
    ck_assert_uint_eq(items[0] + items[n / 2] + items[n - 1], 0);
    items[0] = items[n / 2] = items[n - 1] = stamp;
    ck_dsm(dsm_cluster_run(cluster, check_stamp, &stamp, sizeof stamp));
    return items;
}

START_TEST(addresses_are_used_again)
{
    dsm_cluster *cluster = cramped_cluster(2);
    void *at[12];
    int repeated = 0;

    /* No more than two fit at once. */
    for (uint64_t k = 0; k < 12; k++) {
        dsm_array *array;

        at[k] = make_and_show(cluster, &array, 18 * MIB, k + 1);
        for (uint64_t before = 0; before < k; before++)
            repeated += at[before] == at[k];
        ck_dsm(dsm_array_destroy(array));
    }
    ck_assert_int_gt(repeated, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A worker may still see the old array until it begins its next region. */
START_TEST(no_address_is_used_while_someone_has_it)
{
    dsm_cluster *cluster = cramped_cluster(2);
    size_t n = 30 * MIB;
    uint64_t stamp = 2;
    dsm_array *array;
    void *at;

    at = make_and_show(cluster, &array, n, 1);
    ck_dsm(dsm_array_destroy(array));
    ck_dsm_error(dsm_array_create(&array, cluster, "A", DSM_UINT8, 1, &n),
                 -ENOMEM, "no room");
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_UINT64, DSM_SHAPE(9)));
    *(uint64_t *)dsm_array_data(array) = stamp;
    ((uint64_t *)dsm_array_data(array))[4] = stamp;
    ((uint64_t *)dsm_array_data(array))[8] = stamp;
    ck_dsm(dsm_cluster_run(cluster, check_stamp, &stamp, sizeof stamp));
    ck_dsm(dsm_array_destroy(array));
    ck_assert_ptr_eq(make_and_show(cluster, &array, n, 3), at);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(what_no_worker_saw_leaves_its_address_at_once)
{
    dsm_cluster *cluster = cramped_cluster(2);
    size_t n = 30 * MIB;

    for (int k = 0; k < 5; k++) {
        dsm_array *array;

        ck_dsm(dsm_array_create(&array, cluster, "A", DSM_UINT8, 1, &n));
        ck_assert_int_eq(((uint8_t *)dsm_array_data(array))[n - 1], 0);
        ((uint8_t *)dsm_array_data(array))[n - 1] = 1;
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_gap_between_arrays_is_filled)
{
    dsm_cluster *cluster = cramped_cluster(1);
    dsm_array *low, *array, *high;
    void *gap;

    ck_dsm(
        dsm_array_create(&low, cluster, "LOW", DSM_UINT8, DSM_SHAPE(6 * MIB)));
    gap = make_and_show(cluster, &array, 8 * MIB, 1);
    ck_dsm(dsm_array_create(&high, cluster, "HIGH", DSM_UINT8,
                            DSM_SHAPE(20 * MIB)));
    memset(dsm_array_data(low), 1, 6 * MIB);
    memset(dsm_array_data(high), 2, 20 * MIB);
    ck_dsm(dsm_array_destroy(array));
    /* Any region makes the workers let go, one that needs nothing, too. */
    ck_dsm_error(dsm_cluster_run(cluster, open_missing, NULL, 0), -ENOENT,
                 "MISSING");
    ck_assert_ptr_eq(make_and_show(cluster, &array, 8 * MIB, 2), gap);
    ck_assert_int_eq(((char *)dsm_array_data(low))[6 * MIB - 1], 1);
    ck_assert_int_eq(((char *)dsm_array_data(high))[0], 2);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Many arrays. */

static int
open_files(void)
{
    DIR *files = opendir("/proc/self/fd");
    int n = 0;

    while (files && readdir(files))
        n++;
    if (files)
        closedir(files);
    return n;
}

enum { MANY = 10000 };

static int
add_up(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *const *arrays = arg;
    long sum = 0;

    (void)self, (void)arg_size;
    for (int k = 0; k < MANY; k++)
        sum += *(int *)dsm_array_data(arrays[k]);
    return sum == (long)MANY * (MANY - 1) / 2 ? 0 : 1;
}

/* Arrays keep no file open. */
static int
make_many(void *arg)
{
    static dsm_array *arrays[MANY];
    struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    char name[16];
    int before, error;

    options.name = arg;
    if (setrlimit(RLIMIT_NOFILE, &few) < 0 ||
        dsm_cluster_create(&cluster, 2, &options) < 0)
        return 1;
    before = open_files();
    for (int k = 0; k < MANY; k++) {
        snprintf(name, sizeof name, "A%d", k);
        if (dsm_array_create(&arrays[k], cluster, name, DSM_INT32, 0, NULL) < 0)
            return 2;
        *(int *)dsm_array_data(arrays[k]) = k;
    }
    if (open_files() != before)
        return 3;
    error = dsm_cluster_run(cluster, add_up, arrays, sizeof arrays);
    if (error)
        fprintf(stderr, "%s\n", dsm_last_error());
    dsm_cluster_destroy(cluster);
    return error ? 4 : 0;
}

START_TEST(ten_thousand_arrays_need_no_files)
{
    ck_assert_int_eq(
        test_reap(test_host(make_many, (void *)(uintptr_t)test_name())), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("array_shared");
    TCase *address = test_case(suite, "address");
    TCase *region = test_case(suite, "region");
    TCase *again = test_case(suite, "again");

    tcase_add_test(address, all_workers_see_one_address);
    tcase_add_test(address, an_attached_program_sees_and_makes_arrays);
    tcase_add_test(address, an_array_comes_after_the_end);
    tcase_add_test(address, a_linked_list_is_walked_everywhere);
    tcase_add_test(region, what_workers_make_all_can_open);
    tcase_add_test(region, of_many_makers_one_wins);
    tcase_add_test(region, a_missing_array_ends_the_region);
    tcase_add_test(again, addresses_are_used_again);
    tcase_add_test(again, no_address_is_used_while_someone_has_it);
    tcase_add_test(again, what_no_worker_saw_leaves_its_address_at_once);
    tcase_add_test(again, a_gap_between_arrays_is_filled);
    tcase_add_test(again, ten_thousand_arrays_need_no_files);
    return test_main(suite);
}
