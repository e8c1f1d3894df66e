/* Jobs: what they are given and what they return, in which order they end, and
 * what they may use. */
#include "held.h"
#include "workers.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WORKERS ((unsigned)_i)

/* ---- Arguments. */

struct digest {
    size_t size;
    uint64_t sum;
    bool aligned, null;
};

static uint64_t
sum_of(const unsigned char *data, size_t size)
{
    uint64_t sum = 0;

    for (size_t k = 0; k < size; k++)
        sum = sum * 31 + data[k];
    return sum;
}

static void
fill_pattern(unsigned char *data, size_t size, unsigned seed)
{
    for (size_t k = 0; k < size; k++)
        data[k] = (unsigned char)((k + seed) * 167 >> 3);
}

static int
digest(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct digest found = {
        .size = arg_size,
        .sum = sum_of(arg, arg_size),
        .aligned = (uintptr_t)arg % 64 == 0,
        .null = !arg,
    };

    return dsm_worker_return(self, &found, sizeof found);
}

static void
ck_digest(dsm_job *job, size_t size, uint64_t sum)
{
    const struct digest *found;
    const void *result;
    size_t result_size;

    ck_dsm(dsm_job_result(job, &result, &result_size, DSM_FOREVER));
    ck_assert_uint_eq(result_size, sizeof *found);
    found = result;
    ck_assert_uint_eq(found->size, size);
    ck_assert_uint_eq(found->sum, sum);
    ck_assert(found->aligned);
    ck_assert(found->null == (size == 0));
    dsm_job_release(job);
}

START_TEST(arguments_of_any_size)
{
    static const size_t sizes[] = {1, 511, 512, 513, 4096, 3 << 20};
    enum { N = sizeof sizes / sizeof *sizes };
    dsm_cluster *cluster = test_cluster(WORKERS);
    unsigned char *data = malloc(3 << 20);
    uint64_t sums[N];
    dsm_job *jobs[N];

    ck_assert_ptr_nonnull(data);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned k = 0; k < N; k++) {
            fill_pattern(data, sizes[k], round + k);
            sums[k] = sum_of(data, sizes[k]);
            jobs[k] = submit(cluster, digest, data, sizes[k]);
            /* It was copied. */
            memset(data, 0xee, sizes[k]);
        }
        for (unsigned k = 0; k < N; k++)
            ck_digest(jobs[k], sizes[k], sums[k]);
        ck_digest(submit(cluster, digest, NULL, 0), 0, 0);
    }
    free(data);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
add_to(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self;
    if (arg_size != 0)
        return 1;
    atomic_fetch_add((_Atomic int64_t *)(uintptr_t)arg, 1);
    return 0;
}

/* Also into one that was made when the workers were there already. */
START_TEST(pointers_into_arrays)
{
    dsm_cluster *cluster = test_cluster(WORKERS);
    dsm_array *array;
    int64_t *data, own = 0;
    dsm_job *job;

    ck_finished(submit(cluster, record, NULL, 0));
    for (int k = 0; k < 3; k++) {
        char name[8];

        snprintf(name, sizeof name, "A%d", k);
        ck_dsm(dsm_array_create(&array, cluster, name, DSM_INT64,
                                DSM_SHAPE(1000)));
        data = dsm_array_data(array);
        ck_finished(submit(cluster, add_to, data, 0));
        ck_finished(submit(cluster, add_to, &data[999], 0));
        ck_assert_int_eq(data[0], 1);
        ck_assert_int_eq(data[999], 1);
    }
    ck_dsm_error(dsm_job_submit(&job, cluster, add_to, &own, 0, NULL), -EINVAL,
                 "");
    ck_assert_ptr_null(job);
    ck_assert_int_eq(dsm_job_next(&job, cluster, 0), -ECHILD);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Results. */

#define RESULT_MOST ((size_t)5 << 20)

/* Returns results of these sizes, one after the other. */
static int
give(dsm_worker *self, const void *arg, size_t arg_size)
{
    const size_t *sizes = arg;
    unsigned char *data = malloc(RESULT_MOST);
    int error = 0;

    for (size_t k = 0; data && !error && k < arg_size / sizeof *sizes; k++) {
        fill_pattern(data, sizes[k], (unsigned)k);
        error = dsm_worker_return(self, data, sizes[k]);
    }
    free(data);
    return data ? error : -ENOMEM;
}

/* Asserts that the last result counts. */
static void
ck_gives(dsm_cluster *cluster, const size_t *sizes, size_t n)
{
    dsm_job *job = submit(cluster, give, sizes, n * sizeof *sizes);
    unsigned char *expected = malloc(RESULT_MOST);
    size_t last = sizes[n - 1];

    fill_pattern(expected, last, (unsigned)(n - 1));
    for (int again = 0; again < 2; again++) {
        const void *result = expected;
        size_t size = 77;

        ck_dsm(dsm_job_result(job, &result, &size, DSM_FOREVER));
        ck_assert_uint_eq(size, last);
        ck_assert(last ? (uintptr_t)result % 16 == 0 : !result);
        if (last)
            ck_assert_int_eq(memcmp(result, expected, last), 0);
    }
    free(expected);
    ck_finished(job);
}

START_TEST(results_of_any_size)
{
    static const size_t sizes[] = {0,    1,    1023, 1024,
                                   1025, 4096, 4097, RESULT_MOST};
    dsm_cluster *cluster = test_cluster(WORKERS);

    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        ck_gives(cluster, &sizes[k], 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(the_last_result_counts)
{
    static const size_t sizes[][3] = {{1024, 1025, 0},
                                      {RESULT_MOST, 5000, 1024},
                                      {1, RESULT_MOST, 1025},
                                      {1025, 1, 4097},
                                      {5000, 0, 1025}};
    dsm_cluster *cluster = test_cluster(WORKERS);

    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            ck_gives(cluster, sizes[k], 3);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* While no file can be opened it has no size, either; later it is there. */
START_TEST(a_result_that_cannot_be_mapped)
{
    static const size_t large = 5000;
    dsm_cluster *cluster = test_cluster(1);
    dsm_job *job = submit(cluster, give, &large, sizeof large);
    struct rlimit limit, none;
    const void *result;
    size_t size;
    int error;

    ck_dsm(dsm_job_result(job, NULL, NULL, DSM_FOREVER));
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    error = dsm_job_result(job, &result, &size, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(error, -EMFILE);
    ck_assert_ptr_null(result);
    ck_assert_uint_eq(size, 0);
    ck_dsm(dsm_job_result(job, &result, &size, 0));
    ck_assert_uint_eq(size, large);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_result_that_is_pending)
{
    dsm_cluster *cluster = test_cluster(WORKERS);
    dsm_job *job = submit(cluster, hold, NULL, 0);
    const void *result = job;
    size_t size = 77;
    int one = 1;

    ck_dsm_error(dsm_job_result(job, &result, &size, 0), DSM_EPENDING,
                 "not ended");
    ck_assert(!result && size == 0);
    test_await(inside_reached, &one);
    ck_dsm_error(dsm_job_result(job, NULL, NULL, 20), DSM_EPENDING,
                 "not ended");
    ck_assert_int_eq(job_info(job).state, DSM_JOB_RUNNING);
    let_go(1);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The next that has ended. */

/* The last submitted is the first to end. */
START_TEST(next_goes_by_the_order_of_ends)
{
    dsm_cluster *cluster = test_cluster(WORKERS);
    int n = _i;
    dsm_job *jobs[4], *job;

    for (int k = 0; k < n; k++)
        jobs[k] = submit_number(cluster, hold, n - k);
    test_await(inside_reached, &n);
    ck_dsm_error(dsm_job_next(&job, cluster, 0), -ETIMEDOUT, "");
    ck_dsm_error(dsm_job_next(&job, cluster, 20), -ETIMEDOUT, "");
    ck_assert_ptr_null(job);
    for (int k = n - 1; k >= 0; k--) {
        let_go(n - k);
        test_await(has_ended, jobs[k]);
    }
    for (int k = n - 1; k >= 0; k--) {
        ck_dsm(dsm_job_next(&job, cluster, DSM_FOREVER));
        ck_assert_ptr_eq(job, jobs[k]);
    }
    ck_dsm_error(dsm_job_next(&job, cluster, DSM_FOREVER), -ECHILD, "");
    ck_assert_ptr_null(job);
    for (int k = 0; k < n; k++)
        ck_finished(jobs[k]);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* What was cancelled in the queue ended at that moment. */
START_TEST(a_cancelled_job_has_its_turn_in_the_order_of_ends)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_job *ended = submit(cluster, record, NULL, 0), *cancelled, *job;

    test_await(has_ended, ended);
    hold_workers(cluster, 1);
    cancelled = submit(cluster, record, NULL, 0);
    ck_dsm(dsm_job_cancel(cancelled, DSM_GRACE));
    ck_dsm(dsm_job_next(&job, cluster, 0));
    ck_assert_ptr_eq(job, ended);
    ck_dsm(dsm_job_next(&job, cluster, 0));
    ck_assert_ptr_eq(job, cancelled);
    dsm_job_release(ended);
    dsm_job_release(cancelled);
    let_go(1);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A worker tells of several short jobs at once, but not too late: it may have
 * begun a long one. */
START_TEST(an_end_is_told_while_the_worker_goes_on)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_job *job;
    int count, inside;

    for (int round = 1; round <= 20; round++) {
        /* Many short ones, so that it takes several at once. */
        ck_dsm(dsm_job_map(NULL, cluster, record, NULL, 0, 500, NULL));
        for (int k = 0; k < 500; k++) {
            ck_dsm(dsm_job_next(&job, cluster, DSM_FOREVER));
            dsm_job_release(job);
        }
        count = held()->count + 1;
        inside = held()->inside + 1;
        dsm_job_release(submit_number(cluster, hold, 2 * round - 1));
        test_await(inside_reached, &inside);
        ck_dsm(dsm_job_map(NULL, cluster, record, NULL, 0, 500, NULL));
        dsm_job_release(submit_number(cluster, hold, 2 * round));
        let_go(2 * round - 1);
        count += 499;
        inside++;
        test_await(inside_reached, &inside);
        ck_assert_int_eq(held()->count, count);
        for (int k = 0; k < 500; k++) {
            ck_dsm(dsm_job_next(&job, cluster, 5000));
            dsm_job_release(job);
        }
        let_go(2 * round);
        ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(release_before_the_end)
{
    dsm_cluster *cluster = small_cluster(WORKERS, 8);
    dsm_job *job;
    int n = _i + 3;

    hold_workers(cluster, _i);
    for (int k = 0; k < 3; k++)
        dsm_job_release(submit(cluster, record, NULL, 0));
    dsm_job_release(NULL);
    /* Nobody waits for them. */
    ck_dsm_error(dsm_job_next(&job, cluster, DSM_FOREVER), -ECHILD, "");
    let_go(1);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(held()->count, 3);
    ck_dsm_error(dsm_job_next(&job, cluster, DSM_FOREVER), -ECHILD, "");
    /* Their memory was given back. */
    for (int k = n; k < 100; k++)
        dsm_job_release(submit(cluster, record, NULL, 0));
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(held()->count, 3 + 100 - n);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
square(dsm_worker *self, const void *arg, size_t arg_size)
{
    int values[2] = {*(const int *)arg, 0};

    (void)arg_size;
    values[1] = values[0] * values[0];
    record(self, arg, arg_size);
    return dsm_worker_return(self, values, sizeof values);
}

/* Takes n jobs that square the numbers 0 .. n-1; asserts that each comes once.
 */
static void
take_squares(dsm_cluster *cluster, int n)
{
    bool *seen = calloc((size_t)n, sizeof *seen);
    dsm_job *job;

    for (int k = 0; k < n; k++) {
        const void *result;
        const int *values;
        size_t size;

        ck_dsm(dsm_job_next(&job, cluster, DSM_FOREVER));
        ck_dsm(dsm_job_result(job, &result, &size, 0));
        ck_assert_uint_eq(size, 2 * sizeof *values);
        values = result;
        ck_assert(values[0] >= 0 && values[0] < n && !seen[values[0]]);
        ck_assert_int_eq(values[1], values[0] * values[0]);
        seen[values[0]] = true;
        dsm_job_release(job);
    }
    free(seen);
    ck_dsm_error(dsm_job_next(&job, cluster, DSM_FOREVER), -ECHILD, "");
    ck_assert_int_eq(held()->count, n);
    held()->count = 0;
}

START_TEST(no_handle_is_wanted)
{
    dsm_cluster *cluster = test_cluster(WORKERS);

    for (int k = 0; k < 300; k++)
        ck_dsm(dsm_job_submit(NULL, cluster, square, &k, sizeof k, NULL));
    take_squares(cluster, 300);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Many at once. */

START_TEST(map_gives_each_its_argument)
{
    enum { N = 5000 };
    dsm_cluster *cluster = test_cluster(WORKERS);
    dsm_job **jobs = malloc(N * sizeof *jobs);
    int numbers[N];

    for (int k = 0; k < N; k++)
        numbers[k] = k;
    ck_dsm(
        dsm_job_map(jobs, cluster, square, numbers, sizeof *numbers, N, NULL));
    for (int k = 0; k < N; k++) {
        const void *result;

        ck_dsm(dsm_job_result(jobs[k], &result, NULL, DSM_FOREVER));
        ck_assert_int_eq(*(const int *)result, k);
    }
    take_squares(cluster, N);
    ck_dsm(
        dsm_job_map(NULL, cluster, square, numbers, sizeof *numbers, N, NULL));
    take_squares(cluster, N);
    free(jobs);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(map_gives_all_one_pointer)
{
    dsm_cluster *cluster = test_cluster(WORKERS);
    dsm_array *array;
    int64_t *data;
    dsm_job *job;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT64, DSM_SHAPE(1)));
    data = dsm_array_data(array);
    ck_dsm(dsm_job_map(NULL, cluster, add_to, data, 0, 1000, NULL));
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(*data, 1000);
    for (int k = 0; k < 1000; k++) {
        ck_dsm(dsm_job_next(&job, cluster, 0));
        ck_finished(job);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(map_does_all_or_none)
{
    dsm_cluster *cluster = small_cluster(WORKERS, 70);
    int numbers[71] = {0};
    dsm_job *jobs[71];

    memset(jobs, 0xff, sizeof jobs);
    ck_dsm(
        dsm_job_map(jobs, cluster, record, numbers, sizeof *numbers, 0, NULL));
    ck_dsm(dsm_job_map(NULL, cluster, record, NULL, 0, 0, NULL));
    ck_assert_ptr_nonnull(jobs[0]);
    ck_dsm_error(
        dsm_job_map(jobs, cluster, record, numbers, sizeof *numbers, 71, NULL),
        -EINVAL, "71 jobs");
    for (int k = 0; k < 71; k++)
        ck_assert_ptr_null(jobs[k]);
    ck_assert_int_eq(dsm_job_next(jobs, cluster, 0), -ECHILD);
    ck_dsm_error(
        dsm_job_map(jobs, cluster, record, numbers, SIZE_MAX / 2, 3, NULL),
        -EINVAL, "");
    ck_dsm(dsm_cluster_drain(cluster, 0));
    ck_assert_int_eq(held()->count, 0);
    ck_dsm(
        dsm_job_map(jobs, cluster, record, numbers, sizeof *numbers, 70, NULL));
    for (int k = 0; k < 70; k++)
        ck_finished(jobs[k]);
    ck_assert_int_eq(held()->count, 70);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(large_arguments_of_many)
{
    enum { N = 40, SIZE = 5000 };
    dsm_cluster *cluster = test_cluster(WORKERS);
    unsigned char *data = malloc(N * SIZE);
    dsm_job *jobs[N];

    fill_pattern(data, N * SIZE, 5);
    ck_dsm(dsm_job_map(jobs, cluster, digest, data, SIZE, N, NULL));
    for (int k = 0; k < N; k++)
        ck_digest(jobs[k], SIZE, sum_of(data + k * SIZE, SIZE));
    free(data);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- What jobs use. */

struct objects {
    dsm_lock *lock;
    dsm_queue *queue;
    int64_t *sum;
};

/* Adds what it takes from the queue, without atomics. */
static int
take_and_add(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct objects *objects = arg;
    int64_t message;

    (void)self, (void)arg_size;
    if (dsm_queue_pop(objects->queue, &message, DSM_FOREVER) < 0 ||
        dsm_lock_acquire(objects->lock, DSM_FOREVER) != 0)
        return 1;
    *objects->sum += message;
    return dsm_lock_release(objects->lock);
}

START_TEST(locks_and_queues_in_jobs)
{
    enum { N = 2000 };
    dsm_cluster *cluster = test_cluster(WORKERS);
    struct objects objects;
    dsm_array *array;
    dsm_job *job;

    ck_dsm(dsm_lock_create(&objects.lock, cluster, "L"));
    ck_dsm(dsm_queue_create(&objects.queue, cluster, "Q", 10, 8));
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT64, DSM_SHAPE(1)));
    objects.sum = dsm_array_data(array);
    for (int k = 0; k < N; k++)
        ck_dsm(dsm_job_submit(NULL, cluster, take_and_add, &objects,
                              sizeof objects, NULL));
    for (int64_t k = 0; k < N; k++)
        ck_dsm(dsm_queue_push(objects.queue, &k, DSM_FOREVER));
    for (int k = 0; k < N; k++) {
        ck_dsm(dsm_job_next(&job, cluster, DSM_FOREVER));
        ck_finished(job);
    }
    ck_assert_int_eq(*objects.sum, (int64_t)N * (N - 1) / 2);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("job");
    TCase *given = test_case(suite, "given"), *ends = test_case(suite, "ends");
    TCase *many = test_case(suite, "many"), *uses = test_case(suite, "uses");

    tcase_add_loop_test(given, arguments_of_any_size, 1, 5);
    tcase_add_loop_test(given, pointers_into_arrays, 1, 5);
    tcase_add_loop_test(given, results_of_any_size, 1, 5);
    tcase_add_loop_test(given, the_last_result_counts, 1, 5);
    tcase_add_test(given, a_result_that_cannot_be_mapped);
    tcase_add_loop_test(ends, a_result_that_is_pending, 1, 5);
    tcase_add_loop_test(ends, next_goes_by_the_order_of_ends, 1, 5);
    tcase_add_test(ends, a_cancelled_job_has_its_turn_in_the_order_of_ends);
    tcase_add_test(ends, an_end_is_told_while_the_worker_goes_on);
    tcase_add_loop_test(ends, release_before_the_end, 1, 5);
    tcase_add_loop_test(ends, no_handle_is_wanted, 1, 5);
    tcase_add_loop_test(many, map_gives_each_its_argument, 1, 5);
    tcase_add_loop_test(many, map_gives_all_one_pointer, 1, 5);
    tcase_add_loop_test(many, map_does_all_or_none, 1, 5);
    tcase_add_loop_test(many, large_arguments_of_many, 1, 5);
    tcase_add_loop_test(uses, locks_and_queues_in_jobs, 1, 5);
    return test_main(suite);
}
