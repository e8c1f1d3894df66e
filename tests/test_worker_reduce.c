/* dsm_worker_reduce: every type and operator, operators of the user's own, the
 * order of the workers, rows of any length, misuse, and what breaks it. */
#include "meeting.h"

#include <complex.h>
#include <errno.h>
#include <stdlib.h>

static dsm_cluster *
cluster_of(int i)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.controller_works = i >= 8;
    ck_dsm(dsm_cluster_create(&cluster, (unsigned)(i % 8 + 1), &options));
    return cluster;
}

/* ---- All types and built-in operators.  Values are small whole numbers, so
 * that each type has the same result, cut to its width. */

static const dsm_op *const ops[] = {&DSM_SUM, &DSM_PROD, &DSM_MIN, &DSM_MAX,
                                    &DSM_AND, &DSM_OR,   &DSM_XOR};

enum { SUM, PROD, MIN, MAX, AND, OR, XOR, OPS };

static int64_t
combine(int op, int64_t a, int64_t b)
{
    switch (op) {
    case SUM:
        return a + b;
    case PROD:
        return a * b;
    case MIN:
        return a < b ? a : b;
    case MAX:
        return a > b ? a : b;
    case AND:
        return a & b;
    case OR:
        return a | b;
    default:
        return a ^ b;
    }
}

/* What worker w contributes to item k. */
static int64_t
value_of(unsigned w, size_t k, bool logical)
{
    int64_t value = (int64_t)((w * 7 + k * 3 + w * k) % 5) + 1;

    return logical ? value & 1 : value;
}

static int64_t
expected(int op, unsigned workers, size_t k, bool logical)
{
    int64_t value = value_of(0, k, logical);

    for (unsigned w = 1; w < workers; w++)
        value = combine(op, value, value_of(w, k, logical));
    return value;
}

static void
put(dsm_type type, void *items, size_t k, int64_t value)
{
    switch (type) {
#define PUT(TYPE, item)                                                        \
    case TYPE:                                                                 \
        ((item *)items)[k] = (item)value;                                      \
        break;
        PUT(DSM_BOOL, uint8_t)
        PUT(DSM_INT8, int8_t)
        PUT(DSM_INT16, int16_t)
        PUT(DSM_INT32, int32_t)
        PUT(DSM_INT64, int64_t)
        PUT(DSM_UINT8, uint8_t)
        PUT(DSM_UINT16, uint16_t)
        PUT(DSM_UINT32, uint32_t)
        PUT(DSM_UINT64, uint64_t)
        PUT(DSM_FLOAT32, float)
        PUT(DSM_FLOAT64, double)
        PUT(DSM_COMPLEX64, float complex)
        PUT(DSM_COMPLEX128, double complex)
#undef PUT
    }
}

static bool
has_meaning(dsm_type type, int op)
{
    if (type == DSM_BOOL)
        return op > PROD;
    if (type >= DSM_COMPLEX64)
        return op <= PROD;
    if (type >= DSM_FLOAT32)
        return op <= MAX;
    return true;
}

#define LENGTH 37

static int
reduce_one(dsm_worker *self, dsm_type type, int op)
{
    _Alignas(16) char values[LENGTH * 16], wanted[LENGTH * 16];
    size_t bytes = LENGTH * dsm_type_size(type);
    bool logical = type == DSM_BOOL;
    int error;

    for (size_t k = 0; k < LENGTH; k++) {
        put(type, values, k, value_of(dsm_worker_id(self), k, logical));
        put(type, wanted, k, expected(op, dsm_worker_count(self), k, logical));
    }
    error = dsm_worker_reduce(self, values, LENGTH, type, ops[op]);
    if (!has_meaning(type, op))
        return error != -EINVAL;
    return error || memcmp(values, wanted, bytes) != 0;
}

static int
reduce_all(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++)
        for (int op = 0; op < OPS; op++)
            if (reduce_one(self, type, op) != 0)
                return (int)type * 10 + op;
    return 0;
}

START_TEST(all_types_and_operators)
{
    dsm_cluster *cluster = cluster_of(_i);

    ck_dsm(dsm_cluster_run(cluster, reduce_all, NULL, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Order: the composition of x -> a x + b does not commute. */

struct affine {
    uint32_t a, b;
};

static void
compose(void *acc, const void *right, const void *arg)
{
    struct affine *first = acc;
    const struct affine *then = right;

    (void)arg;
    first->b = then->a * first->b + then->b;
    first->a *= then->a;
}

static const struct affine identity = {1, 0};
static const dsm_op composition = {
    .size = sizeof(struct affine), .identity = &identity, .combine = compose};

static struct affine
affine_of(unsigned w, size_t k)
{
    return (struct affine){(uint32_t)(3 + w * 1001 + k * 77),
                           (uint32_t)(w + k * k)};
}

static int
compose_all(dsm_worker *self, const void *arg, size_t arg_size)
{
    size_t n = *(const size_t *)arg;
    struct affine *values = malloc((n + 1) * sizeof *values);
    int wrong;

    (void)arg_size;
    /* One more than it is to touch. */
    for (size_t k = 0; k <= n; k++)
        values[k] = affine_of(dsm_worker_id(self), k);
    wrong = dsm_worker_reduce(self, values, n, DSM_STRUCT(sizeof *values),
                              &composition);
    for (size_t k = 0; k <= n && !wrong; k++) {
        struct affine all = affine_of(0, k);

        for (unsigned w = 1; w < dsm_worker_count(self); w++) {
            struct affine next = affine_of(w, k);

            compose(&all, &next, NULL);
        }
        if (k == n)
            all = affine_of(dsm_worker_id(self), k);
        wrong = memcmp(&values[k], &all, sizeof all) != 0;
    }
    free(values);
    return wrong;
}

START_TEST(in_the_order_of_the_workers)
{
    static const size_t lengths[] = {0,   1,   255,  256,  257,
                                     511, 512, 1000, 4096, 100001};
    dsm_cluster *cluster = cluster_of(_i);

    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        ck_dsm(dsm_cluster_run(cluster, compose_all, &lengths[k],
                               sizeof lengths[k]));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Many in a row, of changing lengths: no part is read after it was written
 * anew. */
static int
sum_often(dsm_worker *self, const void *arg, size_t arg_size)
{
    int64_t values[700];
    unsigned count = dsm_worker_count(self);

    (void)arg, (void)arg_size;
    for (size_t n = 0; n < 700; n += 1 + n % 3) {
        for (size_t k = 0; k < n; k++)
            values[k] = (int64_t)(k + n + dsm_worker_id(self));
        if (dsm_worker_reduce(self, values, n, DSM_INT64, &DSM_SUM) < 0)
            return 1;
        for (size_t k = 0; k < n; k++)
            if (values[k] !=
                (int64_t)((k + n) * count + count * (count - 1) / 2))
                return 2;
    }
    return 0;
}

START_TEST(many_in_a_row)
{
    dsm_cluster *cluster = cluster_of(_i);

    for (int k = 0; k < 3; k++)
        ck_dsm(dsm_cluster_run(cluster, sum_often, NULL, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Items and misuse. */

static void
keep_right(void *acc, const void *right, const void *size)
{
    memcpy(acc, right, *(const size_t *)size);
}

/* The result is the last worker's. */
static int
keep_last(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned last = dsm_worker_count(self) - 1;
    unsigned char values[3 * 2048];

    (void)arg, (void)arg_size;
    for (size_t size = 1; size <= 2048; size = size * 2 + 1) {
        dsm_op op = {.size = size, .combine = keep_right, .arg = &size};

        memset(values, (int)dsm_worker_id(self), sizeof values);
        if (dsm_worker_reduce(self, values, 3, DSM_STRUCT((unsigned)size),
                              &op) < 0)
            return 1;
        for (size_t k = 0; k < sizeof values; k++)
            if (values[k] != (k < 3 * size ? last : dsm_worker_id(self)))
                return 2;
    }
    return 0;
}

START_TEST(items_of_any_size)
{
    dsm_cluster *cluster = cluster_of(_i);

    ck_dsm(dsm_cluster_run(cluster, keep_last, NULL, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Each mistake is told to all, and none is the end of the region. */
static int
misuse(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct affine value = {1, 1};
    dsm_op op = composition;
    int32_t sum = 1;

    (void)arg, (void)arg_size;
    if (dsm_worker_reduce(self, &value, 1, DSM_INT32, &op) != -EINVAL ||
        !strstr(dsm_last_error(), "size"))
        return 1;
    op.size = 4;
    if (dsm_worker_reduce(self, &value, 1, DSM_STRUCT(8), &op) != -EINVAL)
        return 2;
    op.size = 8;
    op.combine = NULL;
    if (dsm_worker_reduce(self, &value, 1, DSM_STRUCT(8), &op) != -EINVAL)
        return 3;
    if (dsm_worker_reduce(self, &value, 1, DSM_STRUCT(8), &DSM_SUM) != -EINVAL)
        return 4;
    if (dsm_worker_reduce(self, &value, 1, DSM_ANY, &DSM_SUM) != -EINVAL)
        return 5;
    if (dsm_worker_reduce(self, NULL, 1, DSM_INT32, &DSM_SUM) != -EINVAL)
        return 6;
    if (dsm_worker_reduce(self, NULL, 0, DSM_INT32, &DSM_SUM) != 0)
        return 7;
    op.combine = compose;
    op.size = 2049;
    if (dsm_worker_reduce(self, &value, 1, DSM_STRUCT(2049), &op) != -EINVAL ||
        !strstr(dsm_last_error(), "2049"))
        return 8;
    if (value.a != 1 || value.b != 1)
        return 9;
    if (dsm_worker_reduce(self, &sum, 1, DSM_INT32, &DSM_SUM) != 0)
        return 10;
    return sum != (int32_t)dsm_worker_count(self);
}

START_TEST(mistakes_are_told)
{
    dsm_cluster *cluster = cluster_of(_i);

    ck_dsm(dsm_cluster_run(cluster, misuse, NULL, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- One does not come, or dies on its way. */

static int
lose_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned id = dsm_worker_id(self);
    double values[1000] = {0};

    (void)arg_size;
    if (id == 1 && *(const int *)arg)
        die();
    if (id == 1)
        return 0;
    meeting()->result[id] =
        dsm_worker_reduce(self, values, 1000, DSM_FLOAT64, &DSM_SUM);
    return 0;
}

START_TEST(it_breaks_as_the_barrier_does)
{
    dsm_cluster *cluster = cluster_of(3);
    int dies = _i;

    for (int k = 0; k < 5; k++) {
        memset(meeting()->result, 0, sizeof meeting()->result);
        ck_dsm_error(dsm_cluster_run(cluster, lose_one, &dies, sizeof dies),
                     dies ? DSM_EWORKER : DSM_EBROKEN, "");
        for (unsigned w = 0; w < 4; w++)
            /* Who had not begun yet does not begin. */
            if (w != 1 && meeting()->result[w])
                ck_result(w, DSM_EBROKEN);
        test_whole(cluster);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("worker, reduce");
    TCase *results = test_case(suite, "results");
    TCase *errors = test_case(suite, "errors");

    tcase_add_loop_test(results, all_types_and_operators, 0, 16);
    tcase_add_loop_test(results, in_the_order_of_the_workers, 0, 16);
    tcase_add_loop_test(results, many_in_a_row, 0, 16);
    tcase_add_loop_test(results, items_of_any_size, 0, 16);
    tcase_add_loop_test(errors, mistakes_are_told, 0, 4);
    tcase_add_loop_test(errors, it_breaks_as_the_barrier_does, 0, 2);
    return test_main(suite);
}
