/* dsm_gemv: products of all types and shapes against plain loops, for every
 * number of workers, whoever calls. */
#include "calls.h"

static int
gemv(dsm_cluster *cluster, const struct call *call, void *result)
{
    (void)result;
    return dsm_gemv(cluster, call->a, call->in, call->other, call->b,
                    call->out);
}

static dsm_array *
random_matrix(dsm_cluster *cluster, const char *name, dsm_type type,
              size_t rows, size_t columns)
{
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, name, type,
                            DSM_SHAPE(rows, columns)));
    random_items(type, dsm_array_data(array), rows * columns);
    return array;
}

/* Reals as far as they can be rounded, integers exactly, with what wraps. */
#define RIGHT_REAL(name, item, epsilon)                                        \
    static bool right_##name(const struct call *call, const item *a,           \
                             const item *x, const item *before, const item *y, \
                             size_t rows, size_t columns)                      \
    {                                                                          \
        for (size_t r = 0; r < rows; r++) {                                    \
            double sum = 0;                                                    \
                                                                               \
            for (size_t k = 0; k < columns; k++)                               \
                sum += (double)a[r * columns + k] * x[k];                      \
            sum *= call->a;                                                    \
            if (call->b != 0)                                                  \
                sum += call->b * before[r];                                    \
            if (!(fabs(y[r] - sum) <= (epsilon) * (double)(columns + 2)))      \
                return false;                                                  \
        }                                                                      \
        return true;                                                           \
    }
RIGHT_REAL(float32, float, 1e-6)
RIGHT_REAL(float64, double, 1e-15)

/* Through int64_t, as a negative double is no uint64_t. */
#define LEFT(x) (uint64_t)(int64_t)(x)
#define RIGHT_INTEGER(name, item)                                              \
    static bool right_##name(const struct call *call, const item *a,           \
                             const item *x, const item *before, const item *y, \
                             size_t rows, size_t columns)                      \
    {                                                                          \
        for (size_t r = 0; r < rows; r++) {                                    \
            uint64_t sum = 0;                                                  \
                                                                               \
            for (size_t k = 0; k < columns; k++)                               \
                sum += LEFT(a[r * columns + k]) * LEFT(x[k]);                  \
            sum *= LEFT(call->a);                                              \
            if (call->b != 0)                                                  \
                sum += LEFT(call->b) * LEFT(before[r]);                        \
            if ((item)y[r] != (item)sum)                                       \
                return false;                                                  \
        }                                                                      \
        return true;                                                           \
    }
RIGHT_INTEGER(int32, int32_t)
RIGHT_INTEGER(int64, int64_t)

static bool
right(const struct call *call, const void *before)
{
    const size_t *shape = dsm_array_shape(call->in);
    const void *a = dsm_array_data(call->in), *x = dsm_array_data(call->other);
    const void *y = dsm_array_data(call->out);

    switch (dsm_array_type(call->in)) {
    case DSM_FLOAT32:
        return right_float32(call, a, x, before, y, shape[0], shape[1]);
    case DSM_FLOAT64:
        return right_float64(call, a, x, before, y, shape[0], shape[1]);
    case DSM_INT32:
        return right_int32(call, a, x, before, y, shape[0], shape[1]);
    }
    return right_int64(call, a, x, before, y, shape[0], shape[1]);
}

static const size_t shapes[][2] = {{0, 5},   {5, 0},   {1, 1},   {3, 17},
                                   {4, 64},  {16, 31}, {17, 33}, {100, 257},
                                   {801, 5}, {2, 5000}};

/* Views, so that rows and vectors lie anywhere; y of beta 0 holds NaNs. */
static void
ck_shape(dsm_cluster *cluster, dsm_type type, size_t rows, size_t columns)
{
    static const double scales[][2] = {{1, 0}, {-2, 1}, {3, -2}};
    size_t size = dsm_type_size(type);
    dsm_array *a = random_matrix(cluster, "a", type, rows + 2, columns);
    dsm_array *x = random_array(cluster, "x", type, columns + 3);
    dsm_array *y = make_array(cluster, "y", type, rows + 8);
    struct call call = {.fn = gemv,
                        .in = view_of(a, 1, rows),
                        .other = view_of(x, 3, columns),
                        .out = view_of(y, 5, rows)};
    char *before = malloc(rows * size + 1);

    for (int k = 0; k < 3; k++)
        for (int in_region = 0; in_region < 2; in_region++) {
            call.a = scales[k][0];
            call.b = scales[k][1];
            random_items(type, before, rows);
            clear_array(y);
            memset(dsm_array_data(call.out), 0xff, rows * size);
            if (call.b != 0)
                memcpy(dsm_array_data(call.out), before, rows * size);
            ck_dsm(make_call(cluster, &call, in_region, NULL));
            ck_assert_msg(right(&call, before), "%zu by %zu %s", rows, columns,
                          dsm_type_name(type));
            ck_kept(y, call.out, rows);
        }
    free(before);
    ck_dsm(dsm_array_destroy(a));
    ck_dsm(dsm_array_destroy(x));
    ck_dsm(dsm_array_destroy(y));
}

static const dsm_type types[] = {DSM_FLOAT32, DSM_FLOAT64, DSM_INT32,
                                 DSM_INT64};

START_TEST(all_types_and_shapes)
{
    dsm_cluster *cluster = cluster_of(_i);

    for (size_t t = 0; t < 4; t++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
            ck_shape(cluster, types[t], shapes[k][0], shapes[k][1]);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Bit by bit, however many workers there are. */
START_TEST(the_same_for_all_workers)
{
    static char wanted[237 * sizeof(double)];

    for (int i = 0; i < CLUSTERS; i++) {
        dsm_cluster *cluster = cluster_of(i);
        dsm_array *a = random_matrix(cluster, "a", types[_i], 237, 531);
        dsm_array *x = make_array(cluster, "x", types[_i], 531);
        dsm_array *y = make_array(cluster, "y", types[_i], 237);
        size_t size = dsm_type_size(types[_i]);

        /* The same in all clusters. */
        for (size_t k = 0; k < 237 * 531; k++)
            if (size == 4 && is_real(types[_i]))
                ((float *)dsm_array_data(a))[k] = 1 / (float)(k % 1009 + 1);
            else if (is_real(types[_i]))
                ((double *)dsm_array_data(a))[k] = 1 / (double)(k % 1009 + 1);
            else
                store_item(types[_i], dsm_array_data(a), k, (int64_t)(k * k));
        memcpy(dsm_array_data(x), dsm_array_data(a), 531 * size);
        ck_dsm(dsm_gemv(cluster, 3, a, x, 0, y));
        if (i == 0)
            memcpy(wanted, dsm_array_data(y), 237 * size);
        ck_assert_mem_eq(dsm_array_data(y), wanted, 237 * size);
        dsm_cluster_destroy(cluster);
    }
}
END_TEST

START_TEST(mistakes_are_told)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *a = random_matrix(cluster, "a", DSM_INT32, 4, 3);
    dsm_array *b = random_matrix(cluster, "b", DSM_INT16, 4, 3);
    dsm_array *square = random_matrix(cluster, "s", DSM_INT32, 3, 3);
    dsm_array *x = random_array(cluster, "x", DSM_INT32, 3);
    dsm_array *y = random_array(cluster, "y", DSM_INT32, 4);
    dsm_array *f = random_array(cluster, "f", DSM_FLOAT32, 4);

    ck_dsm_error(dsm_gemv(cluster, 1, b, x, 0, y), -EINVAL,
                 "'b' has items of int16");
    ck_dsm_error(dsm_gemv(cluster, 1, a, x, 0, f), -EINVAL, "y of float32");
    ck_dsm_error(dsm_gemv(cluster, 0.5, a, x, 0, y), -EINVAL, "whole numbers");
    ck_dsm_error(dsm_gemv(cluster, 1, a, x, NAN, y), -EINVAL, "whole numbers");
    ck_dsm_error(dsm_gemv(cluster, 0x1p63, a, x, 0, y), -EINVAL, "2^62");
    ck_dsm_error(dsm_gemv(cluster, 1, a, y, 0, x), -EINVAL,
                 "4 rows and 3 columns, x of 4 items and y of 3");
    ck_dsm_error(dsm_gemv(cluster, 1, x, x, 0, y), -EINVAL, "1, 1 and 1");
    ck_dsm_error(dsm_gemv(cluster, 1, square, x, 0, x), -EINVAL, "overlaps");
    ck_dsm(dsm_gemv(cluster, 1, a, x, 1, y));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("gemv");
    TCase *tests = test_case(suite, "gemv");

    tcase_add_loop_test(tests, all_types_and_shapes, 0, CLUSTERS);
    tcase_add_loop_test(tests, the_same_for_all_workers, 0, 4);
    tcase_add_loop_test(tests, mistakes_are_told, 4, 6);
    return test_main(suite);
}
