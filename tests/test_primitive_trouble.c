/* Primitives in trouble: a worker dies in one, wherever it may be, a loop is
 * cancelled, and mistakes that are the program's and not an argument's. */
#include "calls.h"

#include "base/point.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORKERS 3
#define N 100000
#define LARGE 8000 /* bytes of an accumulator that no scratch has room for */

/* In test_shared. */
struct stage {
    _Atomic long items; /* of loops */
    _Atomic int left;   /* times that the point is to be reached */
    _Atomic int begun;
    char point[32];
    pid_t host;
    int result[WORKERS];
};

static struct stage *
stage(void)
{
    return test_shared;
}

/* ---- A death: the error says so, the next call is right. */

/* Any worker, but not the controller: it is the test. */
static void
kill_worker(const char *point)
{
    if (stage()->left > 0 && getpid() != stage()->host &&
        strcmp(point, stage()->point) == 0 &&
        atomic_fetch_sub(&stage()->left, 1) == 1)
        kill(getpid(), SIGKILL);
}

struct scene {
    dsm_cluster *cluster;
    dsm_array *x, *y, *mask, *matrix, *v, *w, *few, *large;
    int which;
};

static void
count_items(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self, (void)arg;
    atomic_fetch_add(&stage()->items, (long)(end - begin));
}

static void
copy_doubles(void *out, const void *in, size_t n, const void *arg)
{
    (void)arg;
    memcpy(out, in, n * sizeof(double));
}

static void
keep_odd(uint8_t *keep, const void *in, size_t n, const void *arg)
{
    const double *x = in;

    (void)arg;
    for (size_t i = 0; i < n; i++)
        keep[i] = (uint8_t)((long)x[i] & 1);
}

static int
loop(dsm_cluster *cluster, dsm_schedule schedule)
{
    return dsm_for(cluster, 3000, schedule, 7, count_items, NULL, 0);
}

/* The arrays that a call needs are in the scene; results go nowhere. */
#define CALLS 12

static int
call_one(dsm_cluster *cluster, struct scene *s)
{
    char identity[LARGE], result[LARGE];
    struct many many;
    dsm_op op = op_of_many(&many, identity, LARGE);
    size_t count;

    switch (s->which) {
    case 0:
        return loop(cluster, DSM_SCHEDULE_STATIC);
    case 1:
        return loop(cluster, DSM_SCHEDULE_DYNAMIC);
    case 2:
        return loop(cluster, DSM_SCHEDULE_STEAL);
    case 3:
        return dsm_map(cluster, s->y, s->x, copy_doubles, NULL, 0);
    case 4:
        return dsm_reduce(cluster, result, 8, s->x, &DSM_SUM);
    case 5:
        return dsm_reduce(cluster, result, LARGE, s->few, &op);
    case 6:
        return dsm_scan(cluster, s->y, s->x, &DSM_SUM, DSM_SCAN_INCLUSIVE);
    case 7:
        return dsm_scan(cluster, s->large, s->few, &op, DSM_SCAN_EXCLUSIVE);
    case 8:
        return dsm_pack(cluster, s->y, &count, s->x, s->mask);
    case 9:
        return dsm_filter(cluster, s->y, &count, s->x, keep_odd, NULL, 0);
    case 10:
        return dsm_random_uniform(cluster, s->y, 0, 1, 5);
    default:
        return dsm_gemv(cluster, 1, s->matrix, s->v, 0, s->w);
    }
}

/* Twice, so that one also dies between two. */
static int
call_twice(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct scene scene = *(const struct scene *)arg;
    int error = call_one(dsm_worker_cluster(self), &scene);

    (void)arg_size;
    return error ? error : call_one(dsm_worker_cluster(self), &scene);
}

static struct scene
make_scene(bool works)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    struct scene s;

    options.name = test_name();
    options.grace_ms = 300;
    options.controller_works = works;
    ck_dsm(dsm_cluster_create(&s.cluster, WORKERS, &options));
    s.x = random_array(s.cluster, "x", DSM_FLOAT64, N);
    s.y = make_array(s.cluster, "y", DSM_FLOAT64, N);
    s.mask = random_array(s.cluster, "mask", DSM_BOOL, N);
    s.v = random_array(s.cluster, "v", DSM_FLOAT64, 90);
    s.w = make_array(s.cluster, "w", DSM_FLOAT64, 100);
    s.few = random_array(s.cluster, "few", DSM_INT32, 4000);
    s.large = make_array(s.cluster, "large", DSM_STRUCT(LARGE), 4000);
    ck_dsm(dsm_array_create(&s.matrix, s.cluster, "matrix", DSM_FLOAT64,
                            DSM_SHAPE(100, 90)));
    return s;
}

static const char *const points[] = {"relay.take",    "relay.give",
                                     "loop.chunk",    "gate.wait",
                                     "gate.complete", "array.fill"};

enum { POINTS = sizeof points / sizeof *points };

/* Each call by the controller and in a region, until a worker comes to a point
 * for the n-th time, if one does. */
static void
ck_call(struct scene *s, const char *point, int n, bool in_region)
{
    int error;

    stage()->left = n;
    error = in_region ? dsm_cluster_run(s->cluster, call_twice, s, sizeof *s)
                      : call_one(s->cluster, s);
    if (stage()->left > 0)
        ck_dsm(error);
    else
        ck_assert_msg(error == DSM_EWORKER, "call %d at %s: %s (%s)", s->which,
                      point, dsm_errname(error), dsm_last_error());
    stage()->left = 0;
    ck_dsm(call_one(s->cluster, s));
    ck_dsm(dsm_cluster_run(s->cluster, call_twice, s, sizeof *s));
}

START_TEST(workers_die)
{
    const char *point = points[_i / 4];
    struct scene s;

    snprintf(stage()->point, sizeof stage()->point, "%s", point);
    stage()->host = getpid();
    dsm__point_hook = kill_worker;
    for (int n = 1; n <= 5; n += 2) {
        s = make_scene(_i / 2 % 2);
        for (s.which = 0; s.which < CALLS; s.which++)
            ck_call(&s, point, n, _i % 2);
        test_whole(s.cluster);
        dsm_cluster_destroy(s.cluster);
    }
}
END_TEST

/* ---- A worker that cannot map the workspace that the others have. */

static int
reduce_without_files(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct scene scene = *(const struct scene *)arg;
    struct rlimit limit, none;
    int error;

    (void)arg_size;
    /* Who begins late finds the workspace as its part begins. */
    (void)!dsm_worker_barrier(self);
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 0;
    if (dsm_worker_id(self) == 2)
        setrlimit(RLIMIT_NOFILE, &none);
    error = call_one(dsm_worker_cluster(self), &scene);
    setrlimit(RLIMIT_NOFILE, &limit);
    stage()->result[dsm_worker_id(self)] = error;
    /* What the others must not take for the end of their call. */
    (void)!dsm_worker_barrier(self);
    return 0;
}

START_TEST(one_cannot_take_part)
{
    struct scene s = make_scene(_i);

    s.which = 5;
    ck_dsm_error(dsm_cluster_run(s.cluster, reduce_without_files, &s, sizeof s),
                 -EMFILE, "worker 2");
    ck_assert_int_eq(stage()->result[0], DSM_EBROKEN);
    ck_assert_int_eq(stage()->result[1], DSM_EBROKEN);
    ck_assert_int_eq(stage()->result[2], -EMFILE);
    ck_dsm(dsm_cluster_run(s.cluster, call_twice, &s, sizeof s));
    dsm_cluster_destroy(s.cluster);
}
END_TEST

/* ---- Loops that are cancelled. */

struct cancelled {
    dsm_cluster *cluster;
    dsm_schedule schedule;
    int error;
};

static void
wait_for_go(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)begin, (void)end, (void)arg;
    stage()->begun = 1;
    while (!dsm_worker_cancelled(self))
        ;
}

static void *
run_loop(void *arg)
{
    struct cancelled *c = arg;

    c->error = dsm_for(c->cluster, 1000, c->schedule, 1, wait_for_go, NULL, 0);
    return NULL;
}

static bool
has_begun(const void *arg)
{
    (void)arg;
    return stage()->begun;
}

/* Items are left: who called it must not take them for done. */
START_TEST(cancelled_loops_say_so)
{
    struct cancelled c = {test_cluster(2), (dsm_schedule)_i, 0};
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, &c), 0);
    test_await(has_begun, NULL);
    ck_dsm(dsm_cluster_cancel(c.cluster, DSM_FOREVER));
    pthread_join(thread, NULL);
    ck_assert_msg(c.error == DSM_ECANCELED, "%s", dsm_errname(c.error));
    ck_dsm(dsm_for(c.cluster, 10, c.schedule, 1, count_items, NULL, 0));
    ck_assert_int_eq(stage()->items, 10);
    dsm_cluster_destroy(c.cluster);
}
END_TEST

/* ---- Chunks. */

struct chunks {
    size_t n, chunk;
};

static void
check_chunk(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const struct chunks *c = arg;

    if (begin % c->chunk || (end - begin != c->chunk && end != c->n))
        dsm_worker_fail(self, -EDOM, "items %zu to %zu", begin, end);
    atomic_fetch_add(&stage()->items, (long)(end - begin));
}

/* All chunks are whole but the last, so that bodies may rely on it: of bits in
 * words, say. */
START_TEST(chunks_are_whole)
{
    static const dsm_schedule schedules[] = {
        DSM_SCHEDULE_AUTO, DSM_SCHEDULE_STATIC, DSM_SCHEDULE_DYNAMIC,
        DSM_SCHEDULE_STEAL};
    dsm_cluster *cluster = cluster_of(_i);

    for (size_t s = 0; s < sizeof schedules / sizeof *schedules; s++)
        for (size_t chunk = 1; chunk < 2000; chunk = chunk * 3 + 5) {
            struct chunks c = {10007, chunk};

            stage()->items = 0;
            ck_dsm(dsm_for(cluster, c.n, schedules[s], chunk, check_chunk, &c,
                           sizeof c));
            ck_assert_int_eq(stage()->items, (long)c.n);
        }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* The shared counter, which all move on behind the end, must not wrap. */
START_TEST(vast_loops)
{
    size_t n = UINT64_MAX / (DSM_WORKERS_MAX + 1);
    dsm_cluster *cluster = test_cluster(8);

    for (int schedule = 0; schedule <= DSM_SCHEDULE_STEAL; schedule++) {
        stage()->items = 0;
        ck_dsm(dsm_for(cluster, n, (dsm_schedule)schedule, n, count_items, NULL,
                       0));
        ck_assert_int_eq(stage()->items, (long)n);
    }
    ck_dsm_error(
        dsm_for(cluster, n + 1, DSM_SCHEDULE_DYNAMIC, n, count_items, NULL, 0),
        -EINVAL, "too many");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A primitive in the function of another. */

static void
call_within(void *acc, const void *right, const void *arg)
{
    dsm_array *array = *(dsm_array *const *)arg;
    dsm_cluster *cluster = *((dsm_cluster *const *)arg + 1);
    int64_t sum;
    int error = dsm_reduce(cluster, &sum, sizeof sum, array, &DSM_SUM);

    *(int64_t *)acc += *(const int64_t *)right;
    if (error != -EPERM && error != -EBUSY)
        atomic_fetch_add(&stage()->begun, 1);
}

static int
reduce_within(dsm_cluster *cluster, const struct call *call, void *result)
{
    const void *within[] = {call->in, cluster};
    int64_t zero = 0;
    dsm_op op = {.size = 8,
                 .identity = &zero,
                 .combine = call_within,
                 .arg = within,
                 .arg_size = sizeof within};

    return dsm_reduce(cluster, result, 8, call->in, &op);
}

START_TEST(not_within_each_other)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t n = 5 * dsm__block_items(8);
    dsm_array *x = make_array(cluster, "x", DSM_INT64, n);
    struct call call = {.fn = reduce_within, .in = x, .result_size = 8};
    int64_t *items = dsm_array_data(x), sum;

    for (size_t i = 0; i < n; i++)
        items[i] = (int64_t)i;
    for (int in_region = 0; in_region < 2; in_region++) {
        ck_dsm(make_call(cluster, &call, in_region, &sum));
        ck_assert_int_eq(sum, (int64_t)(n * (n - 1) / 2));
        ck_assert_int_eq(stage()->begun, 0);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Arrays that are not there. */

START_TEST(arrays_of_others)
{
    dsm_cluster *cluster = cluster_of(_i), *other = cluster_of(_i);
    dsm_array *x = make_array(cluster, "x", DSM_FLOAT64, 1000);
    dsm_array *y = make_array(other, "y", DSM_FLOAT64, 1000), *view;
    double sum;

    ck_dsm_error(dsm_reduce(cluster, &sum, 8, y, &DSM_SUM), -EINVAL, "none of");
    ck_dsm_error(dsm_map(cluster, x, y, copy_doubles, NULL, 0), -EINVAL,
                 "none of");
    ck_dsm_error(dsm_random_uniform(other, x, 0, 1, 2), -EINVAL, "none of");
    ck_dsm(dsm_array_view(&view, x, 10, 20));
    ck_dsm(dsm_array_destroy(view));
    ck_dsm_error(dsm_reduce(cluster, &sum, 8, view, &DSM_SUM), -ENOENT,
                 "'x' was destroyed");
    ck_dsm(dsm_array_destroy(y));
    ck_dsm_error(dsm_reduce(other, &sum, 8, y, &DSM_SUM), -ENOENT,
                 "'y' was destroyed");
    ck_dsm(dsm_reduce(cluster, &sum, 8, x, &DSM_SUM));
    dsm_cluster_destroy(cluster);
    dsm_cluster_destroy(other);
}
END_TEST

/* Nothing is no part of anything. */
START_TEST(empty_views_overlap_nothing)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *x = make_array(cluster, "x", DSM_FLOAT64, 100);
    dsm_array *none = make_array(cluster, "none", DSM_BOOL, 0);
    size_t count = 1;

    ck_dsm(dsm_pack(cluster, x, &count, view_of(x, 50, 0), none));
    ck_assert_uint_eq(count, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Limits that are no floats, and close to each other. */
START_TEST(floats_within_limits)
{
    const double low = 0.7, high = 0.7000002;
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *array = make_array(cluster, "x", DSM_FLOAT32, 1000);
    const float *x = dsm_array_data(array);

    ck_dsm(dsm_random_uniform(cluster, array, low, high, 1));
    for (size_t i = 0; i < 1000; i++)
        ck_assert(x[i] >= low && x[i] < high);
    ck_dsm(dsm_random_uniform(cluster, array, 0.25, 0.25, 1));
    for (size_t i = 0; i < 1000; i++)
        ck_assert(x[i] == 0.25f);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("primitive trouble");
    TCase *tests = test_case(suite, "death");

    tcase_add_loop_test(tests, workers_die, 0, 4 * POINTS);
    tcase_add_loop_test(tests, one_cannot_take_part, 0, 2);
    tests = test_case(suite, "loops");
    tcase_add_loop_test(tests, cancelled_loops_say_so, DSM_SCHEDULE_STATIC,
                        DSM_SCHEDULE_STEAL + 1);
    tcase_add_loop_test(tests, chunks_are_whole, 0, CLUSTERS);
    tcase_add_test(tests, vast_loops);
    tests = test_case(suite, "mistakes");
    tcase_add_loop_test(tests, not_within_each_other, 0, CLUSTERS);
    tcase_add_loop_test(tests, arrays_of_others, 0, CLUSTERS);
    tests = test_case(suite, "limits");
    tcase_add_loop_test(tests, empty_views_overlap_nothing, 4, 6);
    tcase_add_loop_test(tests, floats_within_limits, 4, 6);
    return test_main(suite);
}
