/* dsm_reduce and dsm_dot: every type and operator against a plain loop and, bit
 * by bit, against the order of combination that is documented, for every number
 * of workers, whoever calls. */
#include "calls.h"

#include "array/op.h"

static int
reduce(dsm_cluster *cluster, const struct call *call, void *result)
{
    return dsm_reduce(cluster, result, call->result_size, call->in, call->op);
}

static int
dot(dsm_cluster *cluster, const struct call *call, void *result)
{
    return dsm_dot(cluster, result, call->result_size, call->in, call->other);
}

/* ---- The order: a block from left to right, blocks by a balanced tree, whose
 * nodes of a height begin at multiples of their length. */

static void
fold_block(const struct call *call, const struct dsm__monoid *monoid,
           size_t first, size_t n, void *acc)
{
    size_t at = first * monoid->item_size;
    const char *in = (char *)dsm_array_data(call->in) + at;
    struct dsm__folding folding;

    dsm__fold_open(monoid, &folding, acc);
    if (call->other)
        dsm__kernels()->dots[dsm_array_type(call->in)](
            &folding.lanes, in, (char *)dsm_array_data(call->other) + at, n);
    else
        dsm__fold_add(monoid, &folding, in, first, n);
    dsm__fold_close(monoid, &folding);
}

static void
reduce_in_order(const struct call *call, void *result)
{
    struct dsm__monoid monoid;
    size_t n = dsm_array_count(call->in), block, depth = 0, size;
    char *stack;

    ck_dsm(dsm__op_bind(call->op, dsm_array_type(call->in), &monoid));
    block = dsm__block_items(monoid.item_size);
    size = monoid.size;
    stack = malloc(64 * size);
    for (size_t b = 0; b * block < n; b++) {
        size_t left = n - b * block;

        fold_block(call, &monoid, b * block, left < block ? left : block,
                   stack + depth++ * size);
        /* As often as the count of blocks ends in zeros. */
        for (size_t blocks = b + 1; blocks % 2 == 0; blocks /= 2) {
            depth--;
            dsm__monoid_combine(&monoid, stack + (depth - 1) * size,
                                stack + depth * size);
        }
    }
    dsm__monoid_identity(&monoid, stack + depth * size);
    memcpy(result, stack, size);
    for (size_t k = 1; k < depth; k++)
        dsm__monoid_combine(&monoid, result, stack + k * size);
    free(stack);
}

/* By the controller and in a region. */
static void
ck_call(dsm_cluster *cluster, const struct call *call, const char *what)
{
    char *wanted = malloc(call->result_size);
    char *result = malloc(call->result_size);

    reduce_in_order(call, wanted);
    for (int in_region = 0; in_region < 2; in_region++) {
        memset(result, 0x77, call->result_size);
        ck_dsm(make_call(cluster, call, in_region, result));
        ck_assert_msg(memcmp(result, wanted, call->result_size) == 0,
                      "%s of %zu %s, %s", what, dsm_array_count(call->in),
                      dsm_type_name(dsm_array_type(call->in)),
                      in_region ? "in a region" : "by the controller");
    }
    free(wanted);
    free(result);
}

static void
ck_plain(const struct call *call, const struct builtin *builtin)
{
    dsm_type type = dsm_array_type(call->in);
    dsm_type wide = accumulator_of(builtin->sign, type);
    int64_t x = identity_exact(builtin->sign, wide), result = 0, wanted = 0;

    for (size_t i = 0; i < dsm_array_count(call->in); i++)
        x = combine_exact(builtin->sign, type, x,
                          load_item(type, dsm_array_data(call->in), i));
    store_item(wide, &wanted, 0, x);
    reduce_in_order(call, &result);
    ck_assert_msg(result == wanted, "%c of %zu %s", builtin->sign,
                  dsm_array_count(call->in), dsm_type_name(type));
}

/* ---- Built-in operators. */

static void
reduce_type(dsm_cluster *cluster, dsm_array *array, bool plain)
{
    dsm_type type = dsm_array_type(array);

    for (int op = 0; op < BUILTINS; op++) {
        dsm_type wide = accumulator_of(builtins[op].sign, type);
        struct call call = {.fn = reduce,
                            .op = builtins[op].op,
                            .result_size = dsm_type_size(wide)};

        if (builtins[op].wide[type - DSM_BOOL] == '-')
            continue;
        for (int k = op % 2; k < TRIED_LENGTHS; k += 2) {
            size_t n = tried_length(k, dsm_type_size(type));
            dsm_array *view = view_of(array, (size_t)(op + k) % 8, n);

            call.in = view;
            ck_call(cluster, &call, "a reduction");
            if (plain && is_exact(type))
                ck_plain(&call, &builtins[op]);
            ck_dsm(dsm_array_destroy(view));
        }
    }
}

START_TEST(all_types_and_operators)
{
    dsm_cluster *cluster = cluster_of(_i);

    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++) {
        dsm_array *array =
            random_array(cluster, "in", type, tried_room(dsm_type_size(type)));

        reduce_type(cluster, array, _i == 0);
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(inner_products)
{
    dsm_cluster *cluster = cluster_of(_i);

    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++) {
        size_t room = tried_room(dsm_type_size(type));
        dsm_array *x = random_array(cluster, "x", type, room);
        dsm_array *y = random_array(cluster, "y", type, room);

        for (int k = 0; k < TRIED_LENGTHS; k++) {
            size_t n = tried_length(k, dsm_type_size(type));
            dsm_array *left = view_of(x, 3, n), *right = view_of(y, 7, n);
            struct call call = {.fn = dot,
                                .in = left,
                                .other = k % 3 ? right : left,
                                .op = &DSM_SUM};

            call.result_size = dsm_type_size(accumulator_of('+', type));
            ck_call(cluster, &call, "an inner product");
            ck_dsm(dsm_array_destroy(left));
            ck_dsm(dsm_array_destroy(right));
        }
        ck_dsm(dsm_array_destroy(x));
        ck_dsm(dsm_array_destroy(y));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Whatever reduce_in_order takes from the library, a few by hand. */
START_TEST(what_everybody_knows)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t n = 1000003;
    dsm_array *a = make_array(cluster, "a", DSM_FLOAT32, n);
    dsm_array *b = make_array(cluster, "b", DSM_INT8, n);
    float *x = dsm_array_data(a), sum, product;
    int8_t *y = dsm_array_data(b), least;
    int64_t whole;

    for (size_t i = 0; i < n; i++) {
        x[i] = 0.1f;
        y[i] = (int8_t)(i % 100);
    }
    y[n / 2] = -128;
    ck_dsm(dsm_reduce(cluster, &sum, sizeof sum, a, &DSM_SUM));
    ck_assert_double_le(fabs((double)sum / ((double)n * 0.1f) - 1), 1e-5);
    ck_dsm(dsm_dot(cluster, &product, sizeof product, a, a));
    ck_assert_double_le(fabs((double)product / ((double)n * 0.1f * 0.1f) - 1),
                        1e-5);
    ck_dsm(dsm_reduce(cluster, &whole, sizeof whole, b, &DSM_SUM));
    /* Of ten thousand hundreds, of three more, and of the one that was set. */
    ck_assert_int_eq(whole, 10000 * 4950 + 3 - (int)(n / 2 % 100) - 128);
    ck_dsm(dsm_reduce(cluster, &least, sizeof least, b, &DSM_MIN));
    ck_assert_int_eq(least, -128);
    x[n - 7] = NAN;
    ck_dsm(dsm_reduce(cluster, &sum, sizeof sum, a, &DSM_MAX));
    ck_assert(isnan(sum));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Operators of the user's own. */

START_TEST(in_the_order_of_the_items)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t size = sizeof(struct affine), room = tried_room(size);
    dsm_array *array = random_array(cluster, "in", DSM_STRUCT(8), room);

    for (int k = 0; k < TRIED_LENGTHS; k++) {
        struct affine all = affine_identity, result;
        size_t n = tried_length(k, size);
        dsm_array *view = view_of(array, 1, n);
        struct affine *maps = dsm_array_data(view);
        struct call call = {
            .fn = reduce, .in = view, .op = &composition, .result_size = size};

        for (size_t i = 0; i < n; i++)
            compose(&all, &maps[i], NULL);
        for (int in_region = 0; in_region < 2; in_region++) {
            ck_dsm(make_call(cluster, &call, in_region, &result));
            ck_assert_mem_eq(&result, &all, size);
        }
        ck_dsm(dsm_array_destroy(view));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(the_place_of_the_largest)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *array = random_array(cluster, "in", DSM_INT16, tried_room(2));

    for (int k = 0; k < TRIED_LENGTHS; k++) {
        struct largest all = no_largest, result;
        size_t n = tried_length(k, 2);
        dsm_array *view = view_of(array, 5, n);
        struct call call = {.fn = reduce,
                            .in = view,
                            .op = &argmax,
                            .result_size = sizeof result};

        find_largest(&all, dsm_array_data(view), 0, n, NULL);
        for (int in_region = 0; in_region < 2; in_region++) {
            ck_dsm(make_call(cluster, &call, in_region, &result));
            ck_assert_uint_eq(result.index, all.index);
        }
        ck_dsm(dsm_array_destroy(view));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* The operator's argument and identity are copied: those of a region from this
 * stack, in a region from each worker's. */
static int
reduce_to_many(dsm_cluster *cluster, const struct call *call, void *result)
{
    char identity[RESULT_ROOM];
    struct many many;
    dsm_op op = op_of_many(&many, identity, call->result_size);

    return dsm_reduce(cluster, result, call->result_size, call->in, &op);
}

START_TEST(accumulators_of_any_size)
{
    static const size_t sizes[] = {8, 100, 700, 5000, 40000};
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *array = random_array(cluster, "in", DSM_UINT32, tried_room(4));
    char wanted[RESULT_ROOM], result[RESULT_ROOM];

    for (size_t s = 0; s < 5; s++)
        for (int k = s % 2; k < TRIED_LENGTHS; k += 2) {
            size_t size = sizes[s], n = tried_length(k, 4);
            dsm_array *view = view_of(array, 2, n);
            struct call call = {
                .fn = reduce_to_many, .in = view, .result_size = size};
            struct many many;

            op_of_many(&many, wanted, size);
            fold_many(wanted, dsm_array_data(view), 0, n, &many);
            for (int in_region = 0; in_region < 2; in_region++) {
                ck_dsm(make_call(cluster, &call, in_region, result));
                ck_assert_mem_eq(result, wanted, size);
            }
            ck_dsm(dsm_array_destroy(view));
        }
    dsm_cluster_destroy(cluster);
}
END_TEST

static void
mix_bytes(void *acc, const void *right, const void *arg)
{
    uint8_t *x = acc;
    const uint8_t *y = right;

    for (size_t k = 0; k < *(const size_t *)arg; k++)
        x[k] = (uint8_t)(x[k] + y[k]);
}

/* From one byte to more than a block. */
START_TEST(items_of_any_size)
{
    static const size_t sizes[] = {1, 3, 24, 2049, 30000, 200000};
    dsm_cluster *cluster = cluster_of(_i);

    for (size_t s = 0; s < 6; s++) {
        size_t size = sizes[s], n = 3 * dsm__block_items(size) + 5;
        dsm_array *array =
            random_array(cluster, "in", DSM_STRUCT((unsigned)size), n);
        uint8_t *zeros = calloc(1, size), *wanted = calloc(1, size);
        uint8_t *result = malloc(size), *items = dsm_array_data(array);
        dsm_op op = {.size = size,
                     .identity = zeros,
                     .combine = mix_bytes,
                     .arg = &size,
                     .arg_size = sizeof size};

        for (size_t i = 0; i < n; i++)
            mix_bytes(wanted, items + i * size, &size);
        ck_dsm(dsm_reduce(cluster, result, size, array, &op));
        ck_assert_mem_eq(result, wanted, size);
        free(zeros);
        free(wanted);
        free(result);
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Mistakes. */

START_TEST(mistakes_are_told)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *a = random_array(cluster, "a", DSM_INT32, 100);
    dsm_array *b = random_array(cluster, "b", DSM_FLOAT64, 100);
    dsm_array *c = random_array(cluster, "c", DSM_INT32, 99);
    dsm_array *s = random_array(cluster, "s", DSM_STRUCT(8), 100);
    dsm_op op = composition;
    char result[16];

    ck_dsm_error(dsm_reduce(cluster, result, 4, a, &DSM_SUM), -EINVAL,
                 "the result has 4 bytes, but an accumulator (int64) has 8");
    ck_dsm_error(dsm_reduce(cluster, result, 8, b, &DSM_XOR), -EINVAL,
                 "DSM_XOR has no meaning for float64");
    ck_dsm_error(dsm_reduce(cluster, result, 8, s, &DSM_SUM), -EINVAL,
                 "DSM_SUM has no meaning for struct");
    ck_dsm_error(dsm_reduce(cluster, result, 8, a, &op), -EINVAL, "no fold");
    op.identity = NULL;
    ck_dsm_error(dsm_reduce(cluster, result, 8, s, &op), -EINVAL, "identity");
    op.size = 0;
    ck_dsm_error(dsm_reduce(cluster, result, 8, s, &op), -EINVAL, "size");
    op.combine = NULL;
    ck_dsm_error(dsm_reduce(cluster, result, 8, s, &op), -EINVAL, "combine");
    ck_dsm_error(dsm_reduce(cluster, result, 16, s, &composition), -EINVAL,
                 "16 bytes");
    ck_dsm_error(dsm_dot(cluster, result, 8, a, c), -EINVAL, "99");
    ck_dsm_error(dsm_dot(cluster, result, 8, a, b), -EINVAL, "float64");
    ck_dsm_error(dsm_dot(cluster, result, 8, s, s), -EINVAL, "struct");
    ck_dsm_error(dsm_dot(cluster, result, 4, a, a), -EINVAL, "4 bytes");
    ck_dsm(dsm_dot(cluster, result, 8, a, a));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("reduce");
    TCase *tests = test_case(suite, "results");

    tcase_add_loop_test(tests, all_types_and_operators, 0, CLUSTERS);
    tcase_add_loop_test(tests, inner_products, 0, CLUSTERS);
    tcase_add_loop_test(tests, what_everybody_knows, 0, CLUSTERS);
    tests = test_case(suite, "own operators");
    tcase_add_loop_test(tests, in_the_order_of_the_items, 0, CLUSTERS);
    tcase_add_loop_test(tests, the_place_of_the_largest, 0, CLUSTERS);
    tcase_add_loop_test(tests, accumulators_of_any_size, 0, CLUSTERS);
    tcase_add_loop_test(tests, items_of_any_size, 0, CLUSTERS);
    tests = test_case(suite, "mistakes");
    tcase_add_loop_test(tests, mistakes_are_told, 4, 6);
    return test_main(suite);
}
