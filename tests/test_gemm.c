/* Matrix products: against three plain loops, for all types and shapes around
 * the cut into panels, and the same to the bit for every number of workers. */
#include "support.h"

#include <dsm/blas.h>

#include <cblas.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct product {
    dsm_array *a, *b, *c;
};

static struct product
create(dsm_cluster *cluster, dsm_type type, size_t m, size_t k, size_t n)
{
    struct product p;

    ck_dsm(dsm_array_create(&p.a, cluster, "a", type, DSM_SHAPE(m, k)));
    ck_dsm(dsm_array_create(&p.b, cluster, "b", type, DSM_SHAPE(k, n)));
    ck_dsm(dsm_array_create(&p.c, cluster, "c", type, DSM_SHAPE(m, n)));
    return p;
}

static void
destroy(struct product *p)
{
    ck_dsm(dsm_array_destroy(p->a));
    ck_dsm(dsm_array_destroy(p->b));
    ck_dsm(dsm_array_destroy(p->c));
}

static double
item(const void *items, dsm_type type, size_t i)
{
    switch (type) {
    case DSM_INT32:
        return ((const int32_t *)items)[i];
    case DSM_INT64:
        return (double)((const int64_t *)items)[i];
    case DSM_FLOAT32:
        return ((const float *)items)[i];
    default:
        return ((const double *)items)[i];
    }
}

static void
set_item(void *items, dsm_type type, size_t i, double x)
{
    switch (type) {
    case DSM_INT32:
        ((int32_t *)items)[i] = (int32_t)x;
        break;
    case DSM_INT64:
        ((int64_t *)items)[i] = (int64_t)x;
        break;
    case DSM_FLOAT32:
        ((float *)items)[i] = (float)x;
        break;
    default:
        ((double *)items)[i] = x;
    }
}

/* Small whole numbers, so that every sum is exact. */
static void
fill(dsm_array *array, unsigned seed)
{
    for (size_t i = 0; i < dsm_array_count(array); i++) {
        seed = seed * 1664525 + 1013904223;
        set_item(dsm_array_data(array), dsm_array_type(array), i,
                 (int)(seed >> 24) % 8 - 3);
    }
}

/* Such that the order of additions shows. */
static void
fill_inexactly(dsm_array *array, unsigned seed)
{
    for (size_t i = 0; i < dsm_array_count(array); i++) {
        seed = seed * 1664525 + 1013904223;
        set_item(dsm_array_data(array), dsm_array_type(array), i,
                 seed / 0x1p32 - 0.5);
    }
}

static void
check(dsm_cluster *cluster, struct product *p, double alpha, double beta)
{
    dsm_type type = dsm_array_type(p->a);
    size_t m = dsm_array_shape(p->a)[0], k = dsm_array_shape(p->a)[1];
    size_t n = dsm_array_shape(p->b)[1];
    const void *a = dsm_array_data(p->a), *b = dsm_array_data(p->b);
    const void *c = dsm_array_data(p->c);
    double *right = calloc(m * n + 1, sizeof *right);

    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;

            for (size_t l = 0; l < k; l++)
                sum += item(a, type, i * k + l) * item(b, type, l * n + j);
            right[i * n + j] =
                alpha * sum + (beta == 0 ? 0 : beta * item(c, type, i * n + j));
        }
    ck_dsm(dsm_gemm(cluster, alpha, p->a, p->b, beta, p->c));
    for (size_t i = 0; i < m * n; i++)
        ck_assert_msg(item(c, type, i) == right[i],
                      "%s, %zu by %zu by %zu, %g and %g, item %zu: %g, not %g",
                      dsm_type_name(type), m, k, n, alpha, beta, i,
                      item(c, type, i), right[i]);
    free(right);
}

static const dsm_type types[] = {DSM_INT32, DSM_INT64, DSM_FLOAT32,
                                 DSM_FLOAT64};
enum { TYPES = sizeof types / sizeof *types };

/* Rows around those where panels become more, or higher. */
START_TEST(agrees_with_plain_loops)
{
    static const size_t shapes[][3] = {
        {0, 0, 0},    {0, 3, 2},    {3, 0, 2},    {3, 2, 0},    {1, 1, 1},
        {1, 5, 7},    {7, 1, 1},    {8, 9, 1},    {9, 8, 7},    {47, 5, 3},
        {48, 5, 3},   {49, 5, 3},   {95, 2, 33},  {96, 2, 33},  {97, 300, 17},
        {383, 3, 5},  {384, 3, 5},  {385, 3, 5},  {1279, 4, 3}, {1280, 4, 3},
        {1281, 4, 3}, {2079, 3, 2}, {2080, 3, 2}, {3840, 2, 1}, {3841, 2, 3}};
    dsm_cluster *cluster = test_cluster(3);

    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t *d = shapes[s];
        struct product p = create(cluster, types[_i], d[0], d[1], d[2]);

        fill(p.a, 1);
        fill(p.b, 2);
        fill(p.c, 3);
        check(cluster, &p, 1, 0);
        check(cluster, &p, 1, 1);
        check(cluster, &p, -2, 3);
        check(cluster, &p, 0, 2);
        if (types[_i] == DSM_FLOAT32 || types[_i] == DSM_FLOAT64)
            check(cluster, &p, 0.5, -0.25);
        destroy(&p);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(beta_0_ignores_what_c_holds)
{
    dsm_cluster *cluster = test_cluster(2);

    for (size_t k = 0; k < 3; k++)
        for (int t = 2; t < TYPES; t++) {
            struct product p = create(cluster, types[t], 100, 60 * k, 70);

            fill(p.a, 1);
            fill(p.b, 2);
            for (size_t i = 0; i < dsm_array_count(p.c); i++)
                set_item(dsm_array_data(p.c), types[t], i,
                         i % 2 ? (double)NAN : (double)INFINITY);
            check(cluster, &p, 2, 0);
            destroy(&p);
        }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(integers_wrap)
{
    dsm_cluster *cluster = test_cluster(2);
    struct product p = create(cluster, DSM_INT32, 1, 2, 1);
    int32_t *a = dsm_array_data(p.a), *b = dsm_array_data(p.b);
    int32_t *c = dsm_array_data(p.c);

    a[0] = INT32_MAX, b[0] = 2;
    a[1] = INT32_MIN, b[1] = -1;
    c[0] = 5;
    ck_dsm(dsm_gemm(cluster, 3, p.a, p.b, 0x1p40, p.c));
    ck_assert_int_eq(c[0], (int32_t)(3 * (0xfffffffeu + 0x80000000u)));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The same bits. */

enum { M = 500, K = 700, N = 130 };

static int
multiply_together(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct product *p = arg;

    (void)arg_size;
    return dsm_gemm(dsm_worker_cluster(self), 1.1, p->a, p->b, 0, p->c);
}

/* The product of the same matrices by a cluster of its own. */
static void
multiply(void *c, dsm_type type, unsigned workers, bool in_region, bool works)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    struct product p;

    options.name = test_name();
    options.controller_works = works;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    p = create(cluster, type, M, K, N);
    fill_inexactly(p.a, 1);
    fill_inexactly(p.b, 2);
    openblas_set_num_threads(2);
    if (in_region)
        ck_dsm(dsm_cluster_run(cluster, multiply_together, &p, sizeof p));
    else
        ck_dsm(dsm_gemm(cluster, 1.1, p.a, p.b, 0, p.c));
    ck_assert_int_eq(openblas_get_num_threads(), 2);
    memcpy(c, dsm_array_data(p.c), M * N * dsm_type_size(type));
    dsm_cluster_destroy(cluster);
}

START_TEST(is_the_same_for_all_workers)
{
    static char one[M * N * sizeof(double)], many[sizeof one];
    dsm_type type = types[_i];
    size_t bytes = M * N * dsm_type_size(type);

    multiply(one, type, 1, false, false);
    for (unsigned workers = 1; workers <= 4; workers++)
        for (int mode = 0; mode < 4; mode++) {
            memset(many, 1, sizeof many);
            multiply(many, type, workers, mode & 1, mode & 2);
            ck_assert_msg(memcmp(one, many, bytes) == 0,
                          "%u workers, mode %d: another result", workers, mode);
        }
}
END_TEST

/* ---- Workers. */

static int
count_threads(dsm_worker *self, const void *arg, size_t arg_size)
{
    int *counts = dsm_array_data(dsm_worker_array(self, "counts"));
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int count = 0;

    (void)arg, (void)arg_size;
    if (!tasks)
        return 1;
    while ((task = readdir(tasks)))
        count += task->d_name[0] != '.';
    closedir(tasks);
    counts[dsm_worker_id(self)] = count;
    return 0;
}

static void
assert_one_thread_each(dsm_cluster *cluster, const dsm_array *counts)
{
    const int *count = dsm_array_data(counts);

    ck_dsm(dsm_cluster_run(cluster, count_threads, NULL, 0));
    for (unsigned w = 0; w < dsm_cluster_workers(cluster); w++)
        ck_assert_int_eq(count[w], 1);
}

/* Also those that replace dead ones. */
START_TEST(workers_start_no_threads)
{
    dsm_cluster *cluster;
    dsm_array *counts;
    struct product p;

    openblas_set_num_threads(4);
    /* Not in the first product, whose 8 panels one worker may take all. */
    test_kill_at("loop.chunk", 9, SIGKILL, 1);
    cluster = test_cluster(2);
    ck_dsm(
        dsm_array_create(&counts, cluster, "counts", DSM_INT32, DSM_SHAPE(2)));
    p = create(cluster, DSM_FLOAT64, M, K, N);
    fill(p.a, 1);
    fill(p.b, 2);
    assert_one_thread_each(cluster, counts);
    check(cluster, &p, 1, 0);
    assert_one_thread_each(cluster, counts);
    while (!test_killed())
        ck_assert_int_ne(dsm_gemm(cluster, 1, p.a, p.b, 0, p.c), -EINVAL);
    check(cluster, &p, 1, 0);
    assert_one_thread_each(cluster, counts);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- What it must refuse. */

static dsm_array *
matrix(dsm_cluster *cluster, const char *name, dsm_type type, size_t m,
       size_t n)
{
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, name, type, DSM_SHAPE(m, n)));
    return array;
}

START_TEST(refuses_types)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *z = matrix(cluster, "z", DSM_COMPLEX128, 2, 2);
    dsm_array *s = matrix(cluster, "s", DSM_STRUCT(8), 2, 2);
    dsm_array *f = matrix(cluster, "f", DSM_FLOAT32, 2, 2);
    dsm_array *d = matrix(cluster, "d", DSM_FLOAT64, 2, 2);
    dsm_array *i = matrix(cluster, "i", DSM_INT32, 2, 2);
    dsm_array *j = matrix(cluster, "j", DSM_INT32, 2, 2);
    dsm_array *k = matrix(cluster, "k", DSM_INT32, 2, 2);

    ck_dsm_error(dsm_gemm(cluster, 1, z, z, 0, z), -EINVAL,
                 "dsm_gemm takes float32, float64, int32 and int64; 'z' has "
                 "items of complex128");
    ck_dsm_error(dsm_gemm(cluster, 1, s, s, 0, s), -EINVAL, "items of struct");
    ck_dsm_error(dsm_gemm(cluster, 1, f, d, 0, d), -EINVAL,
                 "'f' of float32, 'd' of float64 and 'd' of float64");
    ck_dsm_error(dsm_gemm(cluster, 1, d, d, 0, f), -EINVAL, "'f' of float32");
    ck_dsm_error(dsm_gemm(cluster, 0.5, i, j, 0, k), -EINVAL,
                 "for int32 alpha (0.5) and beta (0) must be whole numbers");
    ck_dsm_error(dsm_gemm(cluster, 1, i, j, 0x1p63, k), -EINVAL,
                 "whole numbers");
    ck_dsm_error(dsm_gemm(cluster, (double)NAN, i, j, 0, k), -EINVAL,
                 "whole numbers");
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(refuses_shapes)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *a = matrix(cluster, "a", DSM_FLOAT64, 2, 3);
    dsm_array *b = matrix(cluster, "b", DSM_FLOAT64, 3, 4);
    dsm_array *c = matrix(cluster, "c", DSM_FLOAT64, 2, 4);
    dsm_array *wide = matrix(cluster, "wide", DSM_FLOAT64, 0, 3000000000);
    dsm_array *square = matrix(cluster, "square", DSM_FLOAT64, 4, 4);
    dsm_array *none = matrix(cluster, "none", DSM_FLOAT64, 0, 0);
    dsm_array *line, *upper, *lower;

    ck_dsm(dsm_array_create(&line, cluster, "line", DSM_FLOAT64, DSM_SHAPE(3)));
    ck_dsm_error(dsm_gemm(cluster, 1, a, line, 0, c), -EINVAL,
                 "dsm_gemm takes matrices, not arrays of 2, 1 and 2 "
                 "dimensions");
    ck_dsm_error(dsm_gemm(cluster, 1, b, a, 0, c), -EINVAL,
                 "dsm_gemm: 3 by 4 times 2 by 3 is not 2 by 4");
    ck_dsm_error(dsm_gemm(cluster, 1, a, b, 0, square), -EINVAL,
                 "dsm_gemm: 2 by 3 times 3 by 4 is not 4 by 4");
    ck_dsm_error(dsm_gemm(cluster, 1, none, wide, 0, wide), -EINVAL,
                 "rows of more than 2147483647 items");
    ck_dsm_error(dsm_gemm(cluster, 1, square, square, 0, square), -EINVAL,
                 "dsm_gemm: the output overlaps the input 'square'");
    ck_dsm(dsm_array_view(&upper, square, 0, 3));
    ck_dsm(dsm_array_view(&lower, square, 1, 4));
    ck_dsm_error(dsm_gemm(cluster, 1, upper, square, 0, lower), -EINVAL,
                 "overlaps");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Views of the same array that lie apart are all right. */
START_TEST(takes_views)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_array *all = matrix(cluster, "all", DSM_FLOAT64, 12, 4);
    struct product p;

    fill(all, 7);
    ck_dsm(dsm_array_view(&p.a, all, 0, 4));
    ck_dsm(dsm_array_view(&p.b, all, 8, 12));
    ck_dsm(dsm_array_view(&p.c, all, 4, 8));
    check(cluster, &p, 1, 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void
multiply_in_a_loop(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const struct product *p = arg;
    int status = dsm_gemm(dsm_worker_cluster(self), 1, p->a, p->b, 0, p->c);

    (void)begin, (void)end;
    if (status < 0)
        dsm_worker_fail(self, status, "%s", dsm_last_error());
}

START_TEST(refuses_the_place)
{
    dsm_cluster *cluster = test_cluster(2);
    struct product p = create(cluster, DSM_FLOAT64, 2, 2, 2);

    ck_dsm_error(dsm_for(cluster, 1, DSM_SCHEDULE_STATIC, 0, multiply_in_a_loop,
                         &p, sizeof p),
                 -EPERM, "dsm_gemm: a worker may call it in its part");
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("gemm");
    TCase *products = test_case(suite, "products");
    TCase *workers = test_case(suite, "workers");
    TCase *refused = test_case(suite, "refused");

    tcase_add_loop_test(products, agrees_with_plain_loops, 0, TYPES);
    tcase_add_test(products, beta_0_ignores_what_c_holds);
    tcase_add_test(products, integers_wrap);
    tcase_add_test(products, takes_views);
    tcase_add_loop_test(workers, is_the_same_for_all_workers, 2, TYPES);
    tcase_add_test(workers, workers_start_no_threads);
    tcase_add_test(refused, refuses_types);
    tcase_add_test(refused, refuses_shapes);
    tcase_add_test(refused, refuses_the_place);
    return test_main(suite);
}
