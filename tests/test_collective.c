/* Calling primitives: from where they may be called and from where not, one
 * after the other in a region, beside another region, and short of memory. */
#include "calls.h"
#include "hosts.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>

/* ---- Every primitive, called with good arguments. */

struct tools {
    dsm_cluster *cluster; /* at the same address in workers and forks */
    dsm_array *a, *b, *mask, *matrix;
    int *inner; /* what calls from within gave */
};

static void
body(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self, (void)begin, (void)end, (void)arg;
}

static void
copy(void *out, const void *in, size_t n, const void *arg)
{
    (void)arg;
    memmove(out, in, n * sizeof(double));
}

static void
keep_all(uint8_t *keep, const void *in, size_t n, const void *arg)
{
    (void)in, (void)arg;
    memset(keep, 1, n);
}

#define PRIMITIVES 11

static int
call_primitive(int which, dsm_cluster *cluster, const struct tools *t)
{
    char identity[5000], wide[5000];
    double result;
    size_t count;
    struct many many;
    dsm_op large = op_of_many(&many, identity, sizeof identity);

    switch (which) {
    case 0:
        return dsm_for(cluster, 100, DSM_SCHEDULE_STEAL, 1, body, NULL, 0);
    case 1:
        return dsm_map(cluster, t->b, t->a, copy, NULL, 0);
    case 2:
        return dsm_reduce(cluster, &result, sizeof result, t->a, &DSM_MAX);
    case 3:
        return dsm_scan(cluster, t->b, t->a, &DSM_SUM, DSM_SCAN_INCLUSIVE);
    case 4:
        return dsm_pack(cluster, t->b, &count, t->a, t->mask);
    case 5:
        return dsm_filter(cluster, NULL, &count, t->a, keep_all, NULL, 0);
    case 6:
        return dsm_dot(cluster, &result, sizeof result, t->a, t->a);
    case 7:
        return dsm_random_uniform(cluster, t->a, 0, 1, 3);
    case 8:
        return dsm_random_normal(cluster, t->a, 0, 1, 3);
    case 9:
        return dsm_gemv(cluster, 1, t->matrix, t->a, 0, t->b);
    }
    /* One with a workspace beyond the scratch. */
    return dsm_reduce(cluster, wide, sizeof wide, t->mask, &large);
}

static struct tools
make_tools(dsm_cluster *cluster)
{
    struct tools t = {.cluster = cluster};

    t.a = random_array(cluster, "a", DSM_FLOAT64, 64);
    t.b = make_array(cluster, "b", DSM_FLOAT64, 64);
    t.mask = make_array(cluster, "mask", DSM_BOOL, 64);
    t.inner = dsm_array_data(make_array(cluster, "inner", DSM_INT32, 64));
    ck_dsm(dsm_array_create(&t.matrix, cluster, "matrix", DSM_FLOAT64,
                            DSM_SHAPE(64, 64)));
    return t;
}

static bool
has_work_array(const dsm_cluster *cluster)
{
    char path[512];
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    bool found = false;

    snprintf(path, sizeof path, "dsm.%lu.%s..work", (unsigned long)geteuid(),
             dsm_cluster_name(cluster));
    while (files && (file = readdir(files)))
        found = found || strncmp(file->d_name, path, strlen(path)) == 0;
    if (files)
        closedir(files);
    return found;
}

START_TEST(well_called)
{
    dsm_cluster *cluster = cluster_of(_i);
    struct tools t = make_tools(cluster);

    for (int k = 0; k < PRIMITIVES - 1; k++)
        ck_dsm(call_primitive(k, cluster, &t));
    ck_assert(!has_work_array(cluster));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Within the function of another primitive. */

static void
call_all(const struct tools *t)
{
    for (int k = 0; k < PRIMITIVES; k++)
        if (call_primitive(k, t->cluster, t) != -EPERM ||
            !strstr(dsm_last_error(), "another primitive"))
            t->inner[k] = 1;
    t->inner[63]++;
}

static void
calling_body(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    struct tools t = *(const struct tools *)arg;

    t.cluster = dsm_worker_cluster(self);
    for (; begin < end; begin++)
        if (begin == 0)
            call_all(&t);
}

static void
calling_copy(void *out, const void *in, size_t n, const void *arg)
{
    copy(out, in, n, NULL);
    call_all(arg);
}

static void
calling_predicate(uint8_t *keep, const void *in, size_t n, const void *arg)
{
    keep_all(keep, in, n, NULL);
    call_all(arg);
}

static void
calling_fold(void *acc, const void *items, size_t first, size_t n,
             const void *arg)
{
    (void)acc, (void)items, (void)first, (void)n;
    call_all(arg);
}

static void
no_combine(void *acc, const void *right, const void *arg)
{
    (void)acc, (void)right, (void)arg;
}

static int
call_nested(int which, dsm_cluster *cluster, const struct tools *t)
{
    double acc = 0;
    size_t count;
    dsm_op op = {.size = sizeof acc,
                 .identity = &acc,
                 .combine = no_combine,
                 .fold = calling_fold,
                 .arg = t,
                 .arg_size = sizeof *t};

    switch (which) {
    case 0:
        return dsm_for(cluster, 100, DSM_SCHEDULE_DYNAMIC, 3, calling_body, t,
                       sizeof *t);
    case 1:
        return dsm_map(cluster, t->b, t->a, calling_copy, t, sizeof *t);
    case 2:
        return dsm_filter(cluster, NULL, &count, t->a, calling_predicate, t,
                          sizeof *t);
    case 3:
        return dsm_scan(cluster, t->b, t->a, &op, DSM_SCAN_INCLUSIVE);
    }
    return dsm_reduce(cluster, &acc, sizeof acc, t->a, &op);
}

static int
nest_in_region(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *t = arg;

    (void)arg_size;
    for (int k = 0; k < 5; k++)
        if (call_nested(k, dsm_worker_cluster(self), t) != 0)
            return k + 1;
    return 0;
}

START_TEST(not_within_another)
{
    dsm_cluster *cluster = cluster_of(_i);
    struct tools t = make_tools(cluster);

    for (int k = 0; k < 6; k++) {
        memset(t.inner, 0, 64 * sizeof *t.inner);
        if (k < 5)
            ck_dsm(call_nested(k, cluster, &t));
        else
            ck_dsm(dsm_cluster_run(cluster, nest_in_region, &t, sizeof t));
        ck_assert_int_gt(t.inner[63], 0);
        for (int p = 0; p < PRIMITIVES; p++)
            ck_assert_msg(t.inner[p] == 0, "primitive %d within %d", p, k);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- In setup and cleanup. */

static int
call_early(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_cluster *cluster = dsm_worker_cluster(self);
    struct tools t = {.cluster = cluster};
    int code;

    (void)arg, (void)arg_size;
    code = dsm_for(cluster, 10, DSM_SCHEDULE_AUTO, 0, body, NULL, 0);
    atomic_fetch_add(&scene()->calls, 1);
    if (code != -EPERM || !strstr(dsm_last_error(), "setup, cleanup"))
        scene()->result = code ? code : 1;
    /* There are arrays when workers start anew. */
    if (dsm_array_open(&t.a, cluster, "a", DSM_FLOAT64) < 0)
        return 0;
    t.b = t.mask = t.matrix = t.a;
    for (int k = 0; k < PRIMITIVES; k++)
        if (call_primitive(k, cluster, &t) != -EPERM)
            scene()->result = 100 + k;
    atomic_fetch_add(&scene()->calls, 100);
    return 0;
}

START_TEST(not_in_setup_nor_in_cleanup)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.setup = options.cleanup = call_early;
    options.controller_works = _i;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    make_array(cluster, "a", DSM_FLOAT64, 64);
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_int_eq(scene()->result, 0);
    ck_assert_int_ge(scene()->calls, 100);
    ck_dsm(dsm_for(cluster, 10, DSM_SCHEDULE_AUTO, 0, body, NULL, 0));
    dsm_cluster_destroy(cluster);
    ck_assert_int_eq(scene()->result, 0);
    ck_assert_int_ge(scene()->calls, 200);
}
END_TEST

/* ---- In a fork, and in a program that attached. */

START_TEST(not_in_a_fork)
{
    dsm_cluster *cluster = cluster_of(1);
    struct tools t = make_tools(cluster);
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        for (int k = 0; k < PRIMITIVES; k++)
            if (call_primitive(k, cluster, &t) != -EPERM)
                _exit(k + 1);
        _exit(0);
    }
    ck_assert_int_eq(test_reap(child), 0);
    for (int k = 0; k < PRIMITIVES; k++)
        ck_dsm(call_primitive(k, cluster, &t));
    dsm_cluster_destroy(cluster);
}
END_TEST

static bool
is_ready(const void *arg)
{
    (void)arg;
    return scene()->ready;
}

static int
attach_and_call(void *arg)
{
    dsm_cluster *cluster;
    struct tools t = {0};
    int wrong = 0;

    (void)arg;
    host_begin();
    if (!test_poll(is_ready, NULL) ||
        dsm_cluster_attach(&cluster, scene()->name) < 0)
        return 99;
    if (dsm_array_open(&t.a, cluster, "a", DSM_ANY) < 0 ||
        dsm_array_open(&t.b, cluster, "b", DSM_ANY) < 0 ||
        dsm_array_open(&t.mask, cluster, "mask", DSM_ANY) < 0 ||
        dsm_array_open(&t.matrix, cluster, "matrix", DSM_ANY) < 0)
        return 98;
    for (int k = 0; k < PRIMITIVES; k++)
        if (call_primitive(k, cluster, &t) != -EPERM ||
            !strstr(dsm_last_error(), "created"))
            wrong = k + 1;
    dsm_cluster_destroy(cluster);
    return wrong;
}

START_TEST(not_in_a_program_that_attached)
{
    pid_t program = test_host(attach_and_call, NULL);
    dsm_cluster *cluster = cluster_of(1);

    make_tools(cluster);
    strcpy(scene()->name, dsm_cluster_name(cluster));
    scene()->ready = 1;
    ck_assert_int_eq(test_reap(program), 0);
    ck_assert(!has_work_array(cluster));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- While a region runs. */

static int
wait_for_leave(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    scene()->inside = 1;
    while (!scene()->go && !dsm_worker_cancelled(self))
        pause_briefly();
    return 0;
}

static void
waiting_body(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)begin, (void)end;
    (void)wait_for_leave(self, arg, 0);
}

static void *
run_loop(void *cluster)
{
    scene()->result =
        dsm_for(cluster, 1, DSM_SCHEDULE_STATIC, 0, waiting_body, NULL, 0);
    return NULL;
}

static bool
is_inside(const void *arg)
{
    (void)arg;
    return scene()->inside;
}

START_TEST(one_at_a_time)
{
    dsm_cluster *cluster = cluster_of(2);
    struct tools t = make_tools(cluster);
    pthread_t thread;

    if (_i == 0)
        ck_dsm(dsm_cluster_start(cluster, wait_for_leave, NULL, 0));
    else
        ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, cluster), 0);
    test_await(is_inside, NULL);
    for (int k = 0; k < PRIMITIVES; k++)
        ck_dsm_error(call_primitive(k, cluster, &t), -EBUSY, "region");
    scene()->go = 1;
    if (_i == 0)
        ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    else
        pthread_join(thread, NULL);
    ck_assert_int_eq(scene()->result, 0);
    for (int k = 0; k < PRIMITIVES; k++)
        ck_dsm(call_primitive(k, cluster, &t));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- One after the other, in whatever order, and reductions of the workers'
 * own between them.  A workspace must not be written before it was read. */

static int
mix_calls(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_cluster *cluster = dsm_worker_cluster(self);
    const struct tools *t = arg;
    unsigned count = dsm_worker_count(self);

    (void)arg_size;
    for (unsigned k = 1; k <= 300; k++) {
        uint32_t sums[700], which = k * k * 2654435761u >> 28;
        size_t kept = 0;
        double largest = 0;
        char identity[2504], many_result[2504];
        struct many many;
        dsm_op op = op_of_many(&many, identity, sizeof identity);

        for (unsigned i = 0; i < 700; i++)
            sums[i] = k + i + dsm_worker_id(self);
        if (which % 4 == 0 &&
            (dsm_worker_reduce(self, sums, k, DSM_UINT32, &DSM_SUM) != 0 ||
             sums[k - 1] != count * (2 * k - 1) + count * (count - 1) / 2))
            return 1;
        if (which % 5 == 1 &&
            (dsm_filter(cluster, NULL, &kept, t->a, keep_all, NULL, 0) != 0 ||
             kept != 64))
            return 2;
        if (which % 3 == 2 && (dsm_reduce(cluster, &largest, sizeof largest,
                                          t->a, &DSM_MAX) != 0 ||
                               largest != 63))
            return 3;
        if (which % 7 == 3 &&
            (dsm_reduce(cluster, many_result, sizeof many_result, t->mask,
                        &op) != 0 ||
             memcmp(many_result, identity, sizeof identity) == 0))
            return 4;
        /* All make the same mistake. */
        if (which % 6 == 4 &&
            (dsm_reduce(cluster, &largest, 3, t->a, &DSM_MAX) != -EINVAL ||
             dsm_scan(cluster, t->mask, t->a, &DSM_SUM, DSM_SCAN_INCLUSIVE) !=
                 -EINVAL))
            return 5;
        if (which % 6 == 5 &&
            (dsm_scan(cluster, t->b, t->a, &DSM_SUM, DSM_SCAN_INCLUSIVE) != 0 ||
             ((double *)dsm_array_data(t->b))[63] != 64 * 63 / 2))
            return 6;
        if (which % 9 == 8 &&
            dsm_for(cluster, k, DSM_SCHEDULE_GUIDED, 0, body, NULL, 0) != 0)
            return 7;
    }
    return 0;
}

START_TEST(one_after_the_other)
{
    dsm_cluster *cluster = cluster_of(_i);
    struct tools t = make_tools(cluster);
    dsm_array *items = random_array(cluster, "items", DSM_UINT32, 999);

    for (int i = 0; i < 64; i++)
        ((double *)dsm_array_data(t.a))[i] = i;
    t.mask = items;
    for (int k = 0; k < 3; k++)
        ck_dsm(dsm_cluster_run(cluster, mix_calls, &t, sizeof t));
    ck_assert(has_work_array(cluster));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Worker 1 is slow to make its result of what the others left, and they
 * are in the next call by then. */

static bool slow_here;

static void
compose_slowly(void *acc, const void *right, const void *arg)
{
    if (slow_here)
        pause_briefly();
    compose_many(acc, right, arg);
}

static int
reduce_with_one_slow(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *t = arg;
    size_t n = dsm_array_count(t->a);
    const size_t sizes[] = {64, 5000};

    (void)arg_size;
    slow_here = dsm_worker_id(self) == 1;
    for (uint32_t k = 0; k < 12; k++) {
        char identity[5000], wanted[5000], result[5000];
        size_t size = sizes[k / 6];
        struct many many;
        dsm_op op = op_of_many(&many, identity, size);

        many.salt = k;
        op.combine = compose_slowly;
        memcpy(wanted, identity, size);
        fold_many(wanted, dsm_array_data(t->a), 0, n, &many);
        if (dsm_reduce(dsm_worker_cluster(self), result, size, t->a, &op) != 0)
            return 1;
        if (memcmp(result, wanted, size) != 0)
            return 2;
    }
    return 0;
}

START_TEST(nothing_is_written_before_it_was_read)
{
    dsm_cluster *cluster = cluster_of(_i);
    struct tools t = {
        .a = random_array(cluster, "a", DSM_UINT32, 5 * dsm__block_items(4))};

    ck_dsm(dsm_cluster_run(cluster, reduce_with_one_slow, &t, sizeof t));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- No memory for a workspace: all are told, and it goes on. */

static int
reduce_to_more(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct tools *t = arg;
    size_t size = (size_t)4 << 20;
    char *identity = calloc(2, size);
    dsm_op op = {.size = size,
                 .identity = identity,
                 .combine = no_combine,
                 .fold = calling_fold,
                 .arg = t,
                 .arg_size = sizeof *t};
    double largest;
    int code;

    (void)arg_size;
    for (int k = 0; k < 3; k++) {
        code = dsm_reduce(dsm_worker_cluster(self), identity + size, size, t->a,
                          &op);
        if (code != -ENOSPC)
            return 1;
        if (dsm_reduce(dsm_worker_cluster(self), &largest, sizeof largest, t->a,
                       &DSM_MAX) != 0)
            return 2;
    }
    free(identity);
    return 0;
}

START_TEST(all_are_told_when_memory_is_short)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    struct tools t;
    const char *directory = test_tmpfs(8);

    if (!directory)
        return;
    options.name = test_name();
    options.directory = directory;
    ck_dsm(dsm_cluster_create(&cluster, 3, &options));
    t = make_tools(cluster);
    ck_dsm(dsm_cluster_run(cluster, reduce_to_more, &t, sizeof t));
    dsm_cluster_destroy(cluster);
    test_tmpfs_end(directory);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("collective");
    TCase *tests = test_case(suite, "places");

    tcase_add_loop_test(tests, well_called, 0, CLUSTERS);
    tcase_add_loop_test(tests, not_within_another, 0, CLUSTERS);
    tcase_add_loop_test(tests, not_in_setup_nor_in_cleanup, 0, 2);
    tcase_add_test(tests, not_in_a_fork);
    tcase_add_test(tests, not_in_a_program_that_attached);
    tcase_add_loop_test(tests, one_at_a_time, 0, 2);
    tests = test_case(suite, "many");
    tcase_add_loop_test(tests, one_after_the_other, 0, CLUSTERS);
    tcase_add_loop_test(tests, nothing_is_written_before_it_was_read, 1, 5);
    tcase_add_test(tests, all_are_told_when_memory_is_short);
    return test_main(suite);
}
