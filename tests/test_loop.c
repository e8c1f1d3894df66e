/* dsm_for: each item once by every schedule, in the pieces that are documented,
 * and whoever is free takes what a slow one has left. */
#include "calls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define SCHEDULES 5
#define ITEMS 20011

static const size_t lengths[] = {0, 1, 2, 5, 64, 1000, ITEMS};
static const size_t chunks[] = {0, 1, 3, 64, 999, SIZE_MAX};

struct piece {
    size_t begin, end;
    unsigned worker;
};

/* In shared memory: what the body saw. */
struct record {
    _Atomic size_t pieces;
    struct piece piece[ITEMS];
    _Atomic uint8_t calls[ITEMS];
};

static void
note(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    struct record *record = *(struct record *const *)arg;

    record->piece[atomic_fetch_add(&record->pieces, 1)] =
        (struct piece){begin, end, dsm_worker_id(self)};
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&record->calls[i], 1);
}

static int
loop(dsm_cluster *cluster, const struct call *call, void *result)
{
    (void)result;
    return dsm_for(cluster, call->n, (dsm_schedule)call->kind, call->seed, note,
                   &call->arg, sizeof call->arg);
}

static size_t
default_chunk(const struct call *call, unsigned workers)
{
    if (call->seed)
        return call->seed < call->n ? call->seed : call->n;
    if (call->kind == DSM_SCHEDULE_DYNAMIC && call->n / workers / 16 > 0)
        return call->n / workers / 16;
    return 1;
}

static bool
fits(const struct call *call, const struct piece *piece, unsigned workers)
{
    size_t chunk = default_chunk(call, workers);
    size_t length = piece->end - piece->begin;
    dsm_range share = dsm_split(call->n, workers, piece->worker);
    bool last = piece->end == call->n;

    if (call->kind == DSM_SCHEDULE_STATIC && call->seed == 0)
        return piece->begin == share.begin && piece->end == share.end;
    if (call->kind == DSM_SCHEDULE_STATIC &&
        piece->begin / chunk % workers != piece->worker)
        return false;
    if (call->kind == DSM_SCHEDULE_GUIDED)
        return last || (length >= chunk &&
                        (length <= chunk ||
                         length <= (call->n - piece->begin) / 2 / workers));
    if (call->kind == DSM_SCHEDULE_AUTO && call->seed == 0)
        return true;
    return piece->begin % chunk == 0 && (last || length == chunk);
}

static void
ck_record(const struct call *call, struct record *record, unsigned workers)
{
    bool right = true;

    for (size_t i = 0; i < ITEMS; i++)
        right &= record->calls[i] == (i < call->n);
    ck_assert_msg(right, "%zu items by schedule %d and chunk %zu", call->n,
                  call->kind, (size_t)call->seed);
    for (size_t k = 0; k < record->pieces; k++) {
        const struct piece *piece = &record->piece[k];

        if (piece->begin >= piece->end || !fits(call, piece, workers))
            ck_abort_msg("%zu items by schedule %d and chunk %zu: %zu to %zu",
                         call->n, call->kind, (size_t)call->seed, piece->begin,
                         piece->end);
    }
}

/* What the statistics say: the pieces, and how long they are. */
static void
ck_statistics(const dsm_cluster *cluster, const struct call *call,
              uint64_t pieces)
{
    unsigned workers = dsm_cluster_workers(cluster);

    for (unsigned w = 0; w < workers; w++) {
        dsm_worker_info info = test_info(cluster, w);

        pieces -= info.chunks;
        if (call->seed && call->n)
            ck_assert_uint_eq(info.chunk, default_chunk(call, workers));
    }
    ck_assert_uint_eq(pieces, 0);
}

START_TEST(each_item_once)
{
    dsm_cluster *cluster = cluster_of(_i);
    struct record *record = dsm_array_data(
        make_array(cluster, "record", DSM_UINT8, sizeof *record));
    struct call call = {.fn = loop, .arg = record};
    uint64_t pieces = 0;

    for (int k = 0; k < 7 * 6 * SCHEDULES; k++) {
        call.n = lengths[k % 7];
        call.seed = chunks[k / 7 % 6];
        call.kind = k / 42;
        memset(record, 0, sizeof *record);
        ck_dsm(make_call(cluster, &call, (k + _i) % 2, NULL));
        ck_record(&call, record, dsm_cluster_workers(cluster));
        pieces += record->pieces;
        ck_statistics(cluster, &call, pieces);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Item 0 ends when all others have: somebody else must do those of its
 * worker's share. */

static void
wait_for_others(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    _Atomic size_t *done = *(_Atomic size_t *const *)arg;
    double limit = test_now() + 10;

    if (begin == 0)
        while (atomic_load(done) < 99 && test_now() < limit)
            if (dsm_worker_cancelled(self))
                return;
    if (begin == 0 && atomic_load(done) < 99)
        dsm_worker_fail(self, -ETIME, "%zu others were done",
                        atomic_load(done));
    atomic_fetch_add(done, end - begin);
}

START_TEST(others_take_what_is_left)
{
    static const dsm_schedule schedules[] = {
        DSM_SCHEDULE_AUTO, DSM_SCHEDULE_DYNAMIC, DSM_SCHEDULE_STEAL};
    dsm_cluster *cluster = cluster_of(_i);
    _Atomic size_t *done =
        dsm_array_data(make_array(cluster, "done", DSM_UINT64, 1));

    for (int k = 0; k < 30; k++) {
        *done = 0;
        ck_dsm(dsm_for(cluster, 100, schedules[k % 3], k % 3 ? 1 : 0,
                       wait_for_others, &done, sizeof done));
        ck_assert_uint_eq(*done, 100);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A great many items, of which nobody is asked to do each. */

static void
add_lengths(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self;
    atomic_fetch_add(*(_Atomic size_t *const *)arg, end - begin);
}

START_TEST(more_items_than_32_bits_count)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t n = ((size_t)1 << 50) + 12345;
    _Atomic size_t *sum =
        dsm_array_data(make_array(cluster, "sum", DSM_UINT64, 1));

    for (int schedule = 0; schedule < SCHEDULES; schedule++)
        for (int k = 0; k < 2; k++) {
            *sum = 0;
            ck_dsm(dsm_for(cluster, n, (dsm_schedule)schedule,
                           k ? n : n / 1000 + 7, add_lengths, &sum,
                           sizeof sum));
            ck_assert_uint_eq(*sum, n);
        }
    ck_dsm_error(dsm_for(cluster, SIZE_MAX / 2, DSM_SCHEDULE_AUTO, 0,
                         add_lengths, &sum, sizeof sum),
                 -EINVAL, "too many");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Arguments. */

static void
take_pointer(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self, (void)begin, (void)end;
    if (arg)
        atomic_fetch_add((_Atomic int *)(uintptr_t)arg, 1);
}

START_TEST(arguments)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *array = make_array(cluster, "array", DSM_INT32, 2);
    int local = 0, *shared = dsm_array_data(array);

    ck_dsm(
        dsm_for(cluster, 10, DSM_SCHEDULE_DYNAMIC, 1, take_pointer, shared, 0));
    ck_assert_int_eq(*shared, 10);
    ck_dsm(dsm_for(cluster, 10, DSM_SCHEDULE_AUTO, 0, take_pointer, NULL, 0));
    ck_dsm_error(
        dsm_for(cluster, 10, DSM_SCHEDULE_AUTO, 0, take_pointer, &local, 0),
        -EINVAL, "not share");
    ck_dsm_error(
        dsm_for(cluster, 10, DSM_SCHEDULE_AUTO, 0, take_pointer, NULL, 4),
        -EINVAL, "NULL");
    ck_dsm_error(
        dsm_for(cluster, 10, (dsm_schedule)5, 0, take_pointer, NULL, 0),
        -EINVAL, "no schedule 5");
    ck_dsm_error(
        dsm_for(cluster, 10, (dsm_schedule)-1, 0, take_pointer, NULL, 0),
        -EINVAL, "no schedule -1");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A loop that is cancelled has not done its items, and says so. */

struct slow {
    _Atomic int *inside;
};

static void
take_long(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    struct timespec ms = {.tv_nsec = 1000000};

    (void)begin, (void)end;
    atomic_fetch_add(((const struct slow *)arg)->inside, 1);
    while (!dsm_worker_cancelled(self))
        nanosleep(&ms, NULL);
}

static void *
cancel_soon(void *arg)
{
    dsm_cluster *cluster = arg;
    dsm_array *inside;
    struct timespec ms = {.tv_nsec = 1000000};

    ck_dsm(dsm_array_open(&inside, cluster, "inside", DSM_INT32));
    while (atomic_load((_Atomic int *)dsm_array_data(inside)) == 0)
        nanosleep(&ms, NULL);
    ck_dsm(dsm_cluster_cancel(cluster, DSM_FOREVER));
    return NULL;
}

START_TEST(a_cancelled_loop_says_so)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *inside = make_array(cluster, "inside", DSM_INT32, 1);
    struct slow slow = {dsm_array_data(inside)};

    for (int schedule = 0; schedule < SCHEDULES; schedule++) {
        pthread_t thread;

        *slow.inside = 0;
        ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, cluster),
                         0);
        ck_dsm_error(dsm_for(cluster, 100000, (dsm_schedule)schedule, 1,
                             take_long, &slow, sizeof slow),
                     DSM_ECANCELED, "");
        pthread_join(thread, NULL);
        ck_assert_int_le(*slow.inside, (int)dsm_cluster_workers(cluster));
        test_whole(cluster);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("loop");
    TCase *tests = test_case(suite, "loop");

    tcase_add_loop_test(tests, each_item_once, 0, CLUSTERS);
    tcase_add_loop_test(tests, others_take_what_is_left, 1, 5);
    tcase_add_loop_test(tests, others_take_what_is_left, 6, CLUSTERS);
    tcase_add_loop_test(tests, more_items_than_32_bits_count, 0, CLUSTERS);
    tcase_add_loop_test(tests, arguments, 2, 9);
    tcase_add_loop_test(tests, a_cancelled_loop_says_so, 0, CLUSTERS);
    return test_main(suite);
}
