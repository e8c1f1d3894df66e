/* Deaths in primitives: whoever waits for a prefix, a share or a barrier of a
 * worker that is lost is told in bounded time, and the next call is whole. */
#include "calls.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define WORKERS 3
#define GRACE_MS 300
#define BLOCKS 10
#define LARGE 5000

/* ---- What is called, and whether it was done. */

struct scene {
    dsm_cluster *cluster;
    dsm_array *in, *out, *counts, *large, *prefixes, *results;
};

static void
set_up(struct scene *scene)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    size_t n = BLOCKS * dsm__block_items(sizeof(int64_t));
    size_t few = BLOCKS * dsm__block_items(LARGE);
    dsm_cluster *cluster;

    options.name = test_name();
    options.grace_ms = GRACE_MS;
    ck_dsm(dsm_cluster_create(&cluster, WORKERS, &options));
    scene->cluster = cluster;
    scene->in = make_array(cluster, "in", DSM_INT64, n);
    scene->out = make_array(cluster, "out", DSM_INT64, n);
    scene->counts = make_array(cluster, "counts", DSM_UINT8, 5000);
    scene->large = random_array(cluster, "large", DSM_STRUCT(LARGE), few);
    scene->prefixes = make_array(cluster, "prefixes", DSM_STRUCT(LARGE), few);
    scene->results =
        make_array(cluster, "results", DSM_UINT8, WORKERS * RESULT_ROOM);
    for (size_t i = 0; i < n; i++)
        ((int64_t *)dsm_array_data(scene->in))[i] = (int64_t)i;
}

static int
scan(dsm_cluster *cluster, const struct call *call, void *result)
{
    (void)result;
    return dsm_scan(cluster, call->out, call->in, &DSM_SUM, DSM_SCAN_INCLUSIVE);
}

static bool
scanned(const struct call *call)
{
    const int64_t *x = dsm_array_data(call->out);
    int64_t n = (int64_t)dsm_array_count(call->out);

    return x[n - 1] == n * (n - 1) / 2 && x[n / 2] == n / 2 * (n / 2 + 1) / 2;
}

/* Of accumulators that do not fit into a relay's line, nor into the scratch. */
static int
scan_large(dsm_cluster *cluster, const struct call *call, void *result)
{
    char identity[LARGE];
    struct many many;
    dsm_op op = op_of_many(&many, identity, LARGE);

    (void)result;
    op.fold = NULL;
    return dsm_scan(cluster, call->out, call->in, &op, DSM_SCAN_INCLUSIVE);
}

static bool
scanned_large(const struct call *call)
{
    size_t n = dsm_array_count(call->in);
    char wanted[LARGE];
    struct many many;

    op_of_many(&many, wanted, LARGE);
    for (size_t i = 0; i < n; i++)
        compose_many(wanted, (char *)dsm_array_data(call->in) + i * LARGE,
                     &many);
    return memcmp((char *)dsm_array_data(call->out) + (n - 1) * LARGE, wanted,
                  LARGE) == 0;
}

static void
keep_odd(uint8_t *keep, const void *in, size_t n, const void *arg)
{
    const int64_t *x = in;

    (void)arg;
    for (size_t i = 0; i < n; i++)
        keep[i] = x[i] & 1;
}

static int
filter(dsm_cluster *cluster, const struct call *call, void *result)
{
    return dsm_filter(cluster, call->out, result, call->in, keep_odd, NULL, 0);
}

static bool
filtered(const struct call *call)
{
    const int64_t *x = dsm_array_data(call->out);
    int64_t n = (int64_t)dsm_array_count(call->in);

    return x[0] == 1 && x[n / 2 - 1] == n - 1;
}

static void
count(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    _Atomic uint8_t *counts = *(_Atomic uint8_t *const *)arg;

    (void)self;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&counts[i], 1);
}

static int
loop(dsm_cluster *cluster, const struct call *call, void *result)
{
    void *counts = dsm_array_data(call->out);

    (void)result;
    return dsm_for(cluster, dsm_array_count(call->out),
                   (dsm_schedule)call->kind, 10, count, &counts, sizeof counts);
}

static bool
looped(const struct call *call)
{
    const uint8_t *counts = dsm_array_data(call->out);

    for (size_t i = 0; i < dsm_array_count(call->out); i++)
        if (counts[i] != 1)
            return false;
    return true;
}

enum job { SCAN, SCAN_LARGE, FILTER, LOOP };

static struct call
call_of(const struct scene *scene, enum job job, int schedule)
{
    struct call call = {.in = scene->in, .out = scene->out, .kind = schedule};

    call.results = dsm_array_data(scene->results);
    call.result_size = sizeof(size_t);
    call.fn = job == SCAN     ? scan
              : job == FILTER ? filter
              : job == LOOP   ? loop
                              : scan_large;
    if (job == SCAN_LARGE) {
        call.in = scene->large;
        call.out = scene->prefixes;
    }
    if (job == LOOP)
        call.out = scene->counts;
    return call;
}

static bool
done(enum job job, const struct call *call)
{
    switch (job) {
    case SCAN:
        return scanned(call);
    case SCAN_LARGE:
        return scanned_large(call);
    case FILTER:
        return filtered(call);
    default:
        return looped(call);
    }
}

static void
clear(const struct call *call)
{
    memset(dsm_array_data(call->out), 0,
           dsm_array_count(call->out) * dsm_array_item_size(call->out));
    memset(test_shared, 0, WORKERS * sizeof(int));
}

/* The call, by the controller or in a region. */
static int
run(const struct scene *scene, const struct call *call, bool in_region)
{
    size_t result;

    clear(call);
    if (in_region)
        return dsm_cluster_run(scene->cluster, call_part, call, sizeof *call);
    return call->fn(scene->cluster, call, &result);
}

/* Twice more, and all is well. */
static void
ck_well(const struct scene *scene, enum job job, const struct call *call)
{
    for (int in_region = 0; in_region < 2; in_region++) {
        ck_dsm(run(scene, call, in_region));
        ck_assert(done(job, call));
        for (int w = 0; w < WORKERS; w++)
            ck_assert_int_eq(((int *)test_shared)[w], 0);
    }
    test_whole(scene->cluster);
}

/* So many died in all: those who waited for them were told and lived. */
static void
ck_deaths(const struct scene *scene, uint64_t deaths)
{
    for (unsigned w = 0; w < WORKERS; w++)
        deaths -= test_info(scene->cluster, w).deaths;
    ck_assert_uint_eq(deaths, 0);
}

/* The survivors of a region were told; or their part never began. */
static void
ck_survivors(void)
{
    for (int w = 0; w < WORKERS; w++) {
        int code = ((int *)test_shared)[w];

        ck_assert_msg(code == 0 || code == DSM_EBROKEN, "worker %d: %s", w,
                      dsm_errname(code));
    }
}

/* ---- Points where one dies. */

static const struct death {
    const char *point;
    int n;
    enum job job;
    int schedule;
    bool only_in_region;
} deaths[] = {
    {"relay.take", 1, SCAN, 0, false},
    {"relay.take", 2, SCAN, 0, false},
    {"relay.give", 1, SCAN, 0, false},
    {"relay.give", 3, SCAN, 0, false},
    {"relay.take", 2, SCAN_LARGE, 0, false},
    {"relay.give", 2, SCAN_LARGE, 0, false},
    {"relay.take", 1, FILTER, 0, false},
    {"relay.give", 2, FILTER, 0, false},
    {"gate.wait", 1, SCAN, 0, false},
    {"loop.chunk", 1, LOOP, DSM_SCHEDULE_AUTO, false},
    {"loop.chunk", 9, LOOP, DSM_SCHEDULE_STATIC, false},
    {"loop.chunk", 9, LOOP, DSM_SCHEDULE_DYNAMIC, false},
    {"loop.chunk", 2, LOOP, DSM_SCHEDULE_GUIDED, false},
    {"loop.chunk", 9, LOOP, DSM_SCHEDULE_STEAL, false},
    {"object.new", 1, SCAN_LARGE, 0, true},
    {"array.create", 1, SCAN_LARGE, 0, true},
    {"segment.allocate", 1, SCAN_LARGE, 0, true},
    {"array.fill", 1, SCAN_LARGE, 0, true},
    {"object.publish", 1, SCAN_LARGE, 0, true},
};
#define DEATHS (int)(sizeof deaths / sizeof *deaths)

START_TEST(dies_at_a_point)
{
    const struct death *death = &deaths[_i];

    for (int in_region = death->only_in_region; in_region < 2; in_region++) {
        struct scene scene;
        struct call call;
        double begin;

        test_kill_at("", 1, SIGKILL, 0); /* none yet */
        set_up(&scene);
        call = call_of(&scene, death->job, death->schedule);
        test_kill_at(death->point, death->n, SIGKILL, 1);
        begin = test_now();
        ck_dsm_error(run(&scene, &call, in_region), DSM_EWORKER,
                     "died of SIGKILL in region");
        ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
        ck_assert_int_eq(test_killed(), 1);
        ck_deaths(&scene, 1);
        if (in_region)
            ck_survivors();
        ck_well(&scene, death->job, &call);
        dsm_cluster_destroy(scene.cluster);
    }
}
END_TEST

/* ---- One is stopped, and the call is cancelled by another thread. */

static bool
one_stopped(const void *arg)
{
    (void)arg;
    return test_killed() == 1;
}

static void *
cancel(void *cluster)
{
    test_await(one_stopped, NULL);
    ck_dsm(dsm_cluster_cancel(cluster, test_sanitized() ? 1000 : 150));
    return NULL;
}

START_TEST(one_is_stopped_and_all_cancelled)
{
    const struct death *death = &deaths[_i];
    struct scene scene;
    struct call call;
    pthread_t thread;
    double begin;

    test_kill_at("", 1, SIGKILL, 0);
    set_up(&scene);
    call = call_of(&scene, death->job, death->schedule);
    test_kill_at(death->point, death->n, SIGSTOP, 1);
    begin = test_now();
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel, scene.cluster), 0);
    ck_assert_int_eq(run(&scene, &call, _i % 2), DSM_ECANCELED);
    ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
    pthread_join(thread, NULL);
    ck_deaths(&scene, 1);
    ck_well(&scene, death->job, &call);
    dsm_cluster_destroy(scene.cluster);
}
END_TEST

/* ---- The user's functions fail. */

enum ending { FAIL, CRASH, LEAVE };

static void
end_badly(enum ending ending)
{
    if (ending == CRASH)
        raise(SIGKILL);
    exit(3);
}

static void
failing_body(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const enum ending *ending = arg;

    if (begin > 777 || end <= 777)
        return;
    if (*ending == FAIL)
        dsm_worker_fail(self, -EDOM, "item %d is too bad", 777);
    end_badly(*ending);
}

static void
failing_fold(void *acc, const void *items, size_t first, size_t n,
             const void *arg)
{
    (void)acc, (void)items;
    if (first <= 77777 && first + n > 77777)
        end_badly(*(const enum ending *)arg);
}

static void
failing_predicate(uint8_t *keep, const void *in, size_t n, const void *arg)
{
    keep_odd(keep, in, n, NULL);
    if (*(const int64_t *)in <= 77777 && *(const int64_t *)in + 1024 > 77777)
        end_badly(*(const enum ending *)arg);
}

static void
failing_map(void *out, const void *in, size_t n, const void *arg)
{
    const int64_t *x = in;

    (void)out;
    if (x[0] <= 77777 && x[n - 1] >= 77777)
        end_badly(*(const enum ending *)arg);
}

static void
add(void *acc, const void *right, const void *arg)
{
    (void)arg;
    *(int64_t *)acc += *(const int64_t *)right;
}

static int
call_failing(dsm_cluster *cluster, const struct call *call, void *result)
{
    enum ending ending = (enum ending)call->seed;
    int64_t zero = 0, sum;
    size_t n;
    dsm_op op = {.size = sizeof zero,
                 .identity = &zero,
                 .combine = add,
                 .fold = failing_fold,
                 .arg = &ending,
                 .arg_size = sizeof ending};

    (void)result;
    switch (call->kind) {
    case 0:
        return dsm_for(cluster, 1000, (dsm_schedule)call->n, 7, failing_body,
                       &ending, sizeof ending);
    case 1:
        return dsm_reduce(cluster, &sum, sizeof sum, call->in, &op);
    case 2:
        return dsm_scan(cluster, call->out, call->in, &op, DSM_SCAN_INCLUSIVE);
    case 3:
        return dsm_filter(cluster, call->out, &n, call->in, failing_predicate,
                          &ending, sizeof ending);
    }
    return dsm_map(cluster, call->out, call->in, failing_map, &ending,
                   sizeof ending);
}

/* The code of the controller's call is that of a region in which it is made. */
START_TEST(a_function_ends_badly)
{
    struct scene scene;
    struct call call, well;
    uint64_t died = 0;

    set_up(&scene);
    well = call_of(&scene, SCAN, 0);
    call = well;
    call.fn = call_failing;
    call.kind = _i;
    for (call.seed = _i ? CRASH : FAIL; call.seed <= LEAVE; call.seed++)
        for (call.n = 0; call.n < (_i ? 1 : 5); call.n++)
            for (int in_region = 0; in_region < 2; in_region++) {
                double begin = test_now();

                ck_dsm_error(run(&scene, &call, in_region),
                             call.seed == FAIL ? -EDOM : DSM_EWORKER,
                             call.seed == FAIL    ? "item 777 is too bad"
                             : call.seed == CRASH ? "died of SIGKILL"
                                                  : "exit(3)");
                ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
                ck_deaths(&scene, ++died);
                if (in_region)
                    ck_survivors();
                ck_well(&scene, SCAN, &well);
            }
    dsm_cluster_destroy(scene.cluster);
}
END_TEST

static void
worker_0_fails(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)begin, (void)end, (void)arg;
    if (dsm_worker_id(self) == 0)
        dsm_worker_fail(self, -EDOM, "not with me");
}

/* Its function is left by longjmp, and it may call again. */
START_TEST(a_controller_that_works_fails)
{
    dsm_cluster *cluster = cluster_of(7);
    dsm_array *in = random_array(cluster, "in", DSM_INT64, 100000);
    dsm_array *out = make_array(cluster, "out", DSM_INT64, 100000);
    struct call call = {.fn = scan, .in = in, .out = out};

    for (int k = 0; k < 5; k++) {
        ck_dsm_error(dsm_for(cluster, 100, DSM_SCHEDULE_STATIC, 1,
                             worker_0_fails, NULL, 0),
                     -EDOM, "not with me");
        for (int in_region = 0; in_region < 2; in_region++)
            ck_dsm(make_call(cluster, &call, in_region, NULL));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("relay");
    TCase *tests = test_case(suite, "deaths");

    tcase_add_loop_test(tests, dies_at_a_point, 0, DEATHS);
    tcase_add_loop_test(tests, one_is_stopped_and_all_cancelled, 2, 7);
    tcase_add_loop_test(tests, one_is_stopped_and_all_cancelled, 10, 13);
    tests = test_case(suite, "functions");
    tcase_add_loop_test(tests, a_function_ends_badly, 0, 5);
    tcase_add_test(tests, a_controller_that_works_fails);
    return test_main(suite);
}
