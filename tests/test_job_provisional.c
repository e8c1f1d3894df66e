/* Provisional results of jobs: that each is told of and the newest is had, and
 * for whom a worker waits. */
#include "held.h"
#include "workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISHED_MOST ((size_t)1 << 20)

/* The n-th provisional result: its size, and its bytes; the first ones say n.
 */
static size_t
size_of(int n)
{
    static const size_t sizes[] = {4, 64, 65, PUBLISHED_MOST, 8, 4096, 65};

    return sizes[n % 7];
}

static void
make_result(unsigned char *data, int n)
{
    memset(data, n & 0xff, size_of(n));
    memcpy(data, &n, sizeof n);
}

static int
number_of(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    bool right = true;
    int n;

    ck_assert_uint_ge(size, sizeof n);
    memcpy(&n, data, sizeof n);
    ck_assert_uint_eq(size, size_of(n));
    for (size_t k = sizeof n; k < size; k++)
        right = right && bytes[k] == (n & 0xff);
    ck_assert(right);
    return n;
}

/* Publishes so many of mixed sizes and waits until each was taken. */
static int
publish_mixed(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned char *data = malloc(PUBLISHED_MOST);
    int error = 0, n;

    (void)arg_size;
    held()->value[2] = 1;
    for (n = 1; !error && n <= *(const int *)arg; n++) {
        make_result(data, n);
        error = dsm_worker_publish(self, data, size_of(n), DSM_FOREVER);
    }
    free(data);
    held()->value[1] = n;
    held()->value[0] = error;
    return error != 0;
}

static void
take_newest(dsm_job *job, void *arg)
{
    int *last = arg;
    const void *data;
    size_t size;
    int n;

    if (dsm_job_provisional(job, &data, &size) == DSM_EPENDING) {
        ck_assert_int_eq(dsm_job_result(job, NULL, NULL, 0), 0);
        return;
    }
    n = number_of(data, size);
    ck_assert_msg(n == *last + 1, "%d after %d", n, *last);
    *last = n;
}

/* Each was taken before the next came, so the program sees all. */
START_TEST(each_provisional_result_is_called_for)
{
    dsm_cluster *cluster = test_cluster((unsigned)_i);
    dsm_job *jobs[2];
    int last[2] = {0, 0}, n = 300;

    for (int k = 0; k < 2; k++)
        jobs[k] = submit_with(cluster, publish_mixed, n, take_newest, &last[k]);
    while (dsm_cluster_poll(cluster, DSM_FOREVER) > 0)
        ;
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(last[k], n);
        ck_finished(jobs[k]);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(provisional_results_are_taken_without_callbacks)
{
    dsm_cluster *cluster = test_cluster((unsigned)_i);
    int n = 100, last = 0;
    dsm_job *job = submit(cluster, publish_mixed, &n, sizeof n);
    const void *data;
    size_t size;

    while (last < n) {
        int error = dsm_job_provisional(job, &data, &size);

        ck_assert(error == 0 || error == DSM_EPENDING);
        if (error)
            ck_assert(!data && size == 0);
        else
            ck_assert_int_eq(number_of(data, size), ++last);
    }
    ck_dsm_error(dsm_job_provisional(job, &data, &size), DSM_EPENDING, "");
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Publishes a flood and then waits. */
static int
flood(dsm_worker *self, const void *arg, size_t arg_size)
{
    for (int n = 1; n <= *(const int *)arg; n++)
        if (dsm_worker_publish(self, &n, sizeof n, 0) < 0)
            return 1;
    return hold(self, NULL, arg_size * 0);
}

static long
resident_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long all, resident = -1;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%ld %ld", &all, &resident), 2);
    fclose(file);
    return resident;
}

static void
keep_newest(dsm_job *job, void *arg)
{
    const void *data;
    int *last = arg;
    size_t size;

    if (dsm_job_provisional(job, &data, &size) == 0) {
        ck_assert_uint_eq(size, sizeof *last);
        ck_assert_int_gt(*(const int *)data, *last);
        *last = *(const int *)data;
    }
}

START_TEST(a_flood_of_provisional_results)
{
    dsm_cluster *cluster = test_cluster(1);
    int n = test_sanitized() ? 100000 : 1000000, last = 0, one = 1;
    dsm_job *job = submit_with(cluster, flood, n, keep_newest, &last);
    long before;

    for (int k = 0; k < 100 && last < n; k++)
        ck_assert_int_ge(dsm_cluster_poll(cluster, 1000), 0);
    before = resident_pages();
    test_await(inside_reached, &one);
    while (last < n)
        ck_assert_int_eq(dsm_cluster_poll(cluster, 10000), 1);
    ck_assert_int_lt(resident_pages() - before, 256);
    let_go(1);
    ck_assert_int_eq(dsm_cluster_poll(cluster, DSM_FOREVER), 1);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Publishes two, the second of which waits for so long. */
static int
publish_two(dsm_worker *self, const void *arg, size_t arg_size)
{
    int number = 7;

    (void)arg_size;
    held()->value[0] = dsm_worker_publish(self, &number, sizeof number, 0);
    number = 8;
    held()->value[1] = 1;
    held()->value[2] =
        dsm_worker_publish(self, &number, sizeof number, *(const int *)arg);
    held()->value[3] = 1;
    return hold(self, NULL, 0);
}

static bool
value_is_set(const void *index)
{
    return held()->value[*(const int *)index] != 0;
}

START_TEST(publish_waits_until_the_last_was_taken)
{
    dsm_cluster *cluster = test_cluster(1);
    int timeout = _i ? 30 : DSM_FOREVER, one = 1, three = 3;
    dsm_job *job = submit(cluster, publish_two, &timeout, sizeof timeout);
    const void *data;
    size_t size;

    test_await(value_is_set, &one);
    if (_i) {
        test_await(value_is_set, &three);
        ck_assert_int_eq(held()->value[2], -ETIMEDOUT);
    } else {
        pid_t pid = test_pid(cluster, 0);

        test_await(test_asleep, &pid);
        ck_assert_int_eq(held()->value[3], 0);
    }
    ck_dsm(dsm_job_provisional(job, &data, &size));
    ck_assert_int_eq(*(const int *)data, 7);
    test_await(value_is_set, &three);
    if (_i) {
        ck_dsm_error(dsm_job_provisional(job, &data, &size), DSM_EPENDING, "");
    } else {
        ck_assert_int_eq(held()->value[2], 0);
        ck_dsm(dsm_job_provisional(job, &data, &size));
        ck_assert_int_eq(*(const int *)data, 8);
    }
    let_go(1);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
do_nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

/* A job: ends when the publisher has published all. */
static int
wait_for_publisher(dsm_worker *self, const void *arg, size_t arg_size)
{
    int one = 1;

    (void)self, (void)arg, (void)arg_size;
    return !test_poll(value_is_set, &one);
}

/* The program takes nothing while it waits in some other call. */
START_TEST(publish_does_not_wait_for_who_waits)
{
    dsm_cluster *cluster = small_cluster(2, 2);
    int n = 50, two = 2;
    dsm_job *job = submit(cluster, publish_mixed, &n, sizeof n), *other;

    test_await(value_is_set, &two);
    switch (_i) {
    case 0:
        ck_dsm(dsm_job_result(job, NULL, NULL, DSM_FOREVER));
        break;
    case 1:
        ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
        break;
    case 2:
        ck_dsm(dsm_job_next(&other, cluster, DSM_FOREVER));
        ck_assert_ptr_eq(other, job);
        break;
    case 3:
        dsm_job_release(submit(cluster, wait_for_publisher, NULL, 0));
        ck_finished(submit(cluster, record, NULL, 0));
        break;
    case 4:
        ck_dsm(dsm_cluster_run(cluster, do_nothing, NULL, 0));
        break;
    case 5:
        /* A running one that nobody will take from. */
        dsm_job_release(job);
        ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
        break;
    }
    ck_assert_int_eq(held()->value[1], n + 1);
    ck_assert_int_eq(held()->value[0], 0);
    if (_i < 5)
        ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Nor for one that releases it, or wants its end, while it waits. */
START_TEST(who_waits_to_publish_is_let_go)
{
    dsm_cluster *cluster = test_cluster(1);
    int forever = DSM_FOREVER, one = 1, three = 3;
    dsm_job *job = submit(cluster, publish_two, &forever, sizeof forever);
    pid_t pid = test_pid(cluster, 0);

    test_await(value_is_set, &one);
    test_await(test_asleep, &pid);
    if (_i == 0)
        dsm_job_release(job);
    else
        ck_dsm(dsm_job_cancel(job, DSM_FOREVER));
    test_await(value_is_set, &three);
    ck_assert_int_eq(held()->value[2], _i ? DSM_ECANCELED : 0);
    let_go(1);
    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    if (_i)
        ck_finished(job);
    ck_assert_int_eq(test_pid(cluster, 0), pid);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void
count_only(dsm_job *job, void *arg)
{
    int *times = arg;

    (void)job;
    ++*times;
}

/* A callback may look at nothing. */
START_TEST(a_provisional_result_that_nobody_wants)
{
    dsm_cluster *cluster = test_cluster(1);
    int times = 0;
    dsm_job *job = submit_with(cluster, publish_mixed, 20, count_only, &times);

    while (dsm_cluster_poll(cluster, DSM_FOREVER) > 0)
        ;
    ck_assert_int_ge(times, 2);
    ck_assert_int_eq(held()->value[1], 21);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void
wait_for_the_end(dsm_job *job, void *arg)
{
    int *ends = arg;

    /* That of the provisional result: the job ends while it runs. */
    if (held()->inside) {
        held()->go = 1;
        while (job_info(job).state != DSM_JOB_FINISHED)
            wait_a_moment();
        held()->inside = 0;
        ck_assert_int_eq(dsm_job_result(job, NULL, NULL, 0), DSM_EPENDING);
        ck_dsm(dsm_job_result(job, NULL, NULL, DSM_FOREVER));
        return;
    }
    ck_dsm(dsm_job_result(job, NULL, NULL, 0));
    ++*ends;
}

static int
publish_and_hold(dsm_worker *self, const void *arg, size_t arg_size)
{
    held()->inside = 1;
    if (dsm_worker_publish(self, arg, arg_size, 0) < 0)
        return 1;
    while (held()->go < 1)
        wait_a_moment();
    return 0;
}

/* A callback for a provisional result is none for the end that comes while it
 * runs: or who adds up results would take that one twice. */
START_TEST(an_end_is_called_for_once)
{
    dsm_cluster *cluster = test_cluster(1);
    int ends = 0;
    dsm_job *job =
        submit_with(cluster, publish_and_hold, 1, wait_for_the_end, &ends);

    ck_dsm(dsm_cluster_drain(cluster, DSM_FOREVER));
    ck_assert_int_eq(ends, 1);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(the_descriptor_tells_of_provisional_results)
{
    dsm_cluster *cluster = test_cluster(1);
    int fd = dsm_cluster_fd(cluster), last = 0;
    dsm_job *job = submit_with(cluster, publish_mixed, 200, take_newest, &last);

    while (last < 200 || dsm_job_result(job, NULL, NULL, 0)) {
        ck_assert(is_readable(fd, 10000));
        ck_assert_int_ge(dsm_cluster_poll(cluster, 0), 0);
    }
    for (int k = 0; k < 5 && is_readable(fd, 5); k++)
        ck_assert_int_ge(dsm_cluster_poll(cluster, 0), 0);
    ck_assert(!is_readable(fd, 0));
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Entries that are lost, and tries. */

/* Publishes its number so many times, each when the last was taken. */
static int
publish_number(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    for (int n = 1; n <= *(const int *)arg; n++)
        if (dsm_worker_publish(self, &n, sizeof n, DSM_FOREVER) < 0)
            return 1;
    return 0;
}

/* The program takes some as they come, and does not hear of them; then there is
 * no place to tell it of another's. */
START_TEST(what_cannot_be_told_is_found)
{
    dsm_cluster *cluster = small_cluster(2, 4);
    int last = 0, n = 1000, times = 0;
    dsm_job *first, *second;
    const void *data;
    size_t size;

    first = submit_with(cluster, publish_number, n, count_only, &times);
    while (last < n)
        if (dsm_job_provisional(first, &data, &size) == 0)
            last = *(const int *)data;
    ck_assert_int_eq(times, 0);
    last = 0;
    second = submit_with(cluster, publish_number, 3, keep_newest, &last);
    while (dsm_cluster_poll(cluster, DSM_FOREVER) > 0)
        ;
    ck_assert_int_eq(last, 3);
    ck_finished(first);
    ck_finished(second);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Publishes a large one, and dies in its first try. */
static int
publish_and_die(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned char *data = malloc(PUBLISHED_MOST);
    int first = atomic_fetch_add(&held()->count, 1) == 0, error;

    make_result(data, 3);
    error = first ? dsm_worker_publish(self, data, PUBLISHED_MOST, 0) : 0;
    free(data);
    if (first)
        abort();
    return error ? error : hold(self, arg, arg_size);
}

START_TEST(a_provisional_result_of_a_try_that_died)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    const void *data;
    size_t size;
    dsm_job *job;

    options.retries = 1;
    ck_dsm(dsm_job_submit(&job, cluster, publish_and_die, NULL, 0, &options));
    test_await(inside_reached, &(int){1});
    ck_dsm(dsm_job_provisional(job, &data, &size));
    ck_assert_int_eq(number_of(data, size), 3);
    ck_dsm_error(dsm_job_provisional(job, &data, &size), DSM_EPENDING, "");
    let_go(1);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Publishes a number in each of two tries, and dies in the first. */
static int
publish_in_two_tries(dsm_worker *self, const void *arg, size_t arg_size)
{
    int try = atomic_fetch_add(&held()->count, 1) + 1, error;
    unsigned char data[PUBLISHED_MOST];

    (void)arg, (void)arg_size;
    make_result(data, try);
    held()->value[try] = 1;
    error = dsm_worker_publish(self, data, size_of(try),
                               try == 1 ? 0 : DSM_FOREVER);
    if (try == 1)
        abort();
    return error;
}

/* What told of the first try's means nothing any more when it is read, and the
 * second try waits until that is taken. */
START_TEST(a_provisional_result_is_told_of_after_a_death)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    int last = 0, second = 2;
    dsm_job *job;

    options.retries = 1;
    options.callback = take_newest;
    options.callback_arg = &last;
    ck_dsm(
        dsm_job_submit(&job, cluster, publish_in_two_tries, NULL, 0, &options));
    test_await(value_is_set, &second);
    while (dsm_cluster_poll(cluster, 20000) > 0)
        ;
    ck_assert_int_eq(last, 2);
    ck_finished(job);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("jobs, provisional results");
    TCase *taken = test_case(suite, "taken");
    TCase *waits = test_case(suite, "waits");

    tcase_add_loop_test(taken, each_provisional_result_is_called_for, 1, 3);
    tcase_add_loop_test(taken, provisional_results_are_taken_without_callbacks,
                        1, 3);
    tcase_add_test(taken, a_flood_of_provisional_results);
    tcase_add_test(taken, a_provisional_result_that_nobody_wants);
    tcase_add_test(taken, what_cannot_be_told_is_found);
    tcase_add_test(taken, a_provisional_result_of_a_try_that_died);
    tcase_add_test(taken, a_provisional_result_is_told_of_after_a_death);
    tcase_add_test(taken, an_end_is_called_for_once);
    tcase_add_test(taken, the_descriptor_tells_of_provisional_results);
    tcase_add_loop_test(waits, publish_waits_until_the_last_was_taken, 0, 2);
    tcase_add_loop_test(waits, publish_does_not_wait_for_who_waits, 0, 6);
    tcase_add_loop_test(waits, who_waits_to_publish_is_let_go, 0, 2);
    return test_main(suite);
}
