/* Operators: what each built-in one gives for each type, at the edges and on
 * long rows, which pairs have no meaning, and operators of the user's own. */
#include "items.h"

#include "array/op.h"

#include <dsm/error.h>

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int
combine(const dsm_op *op, dsm_type type, void *acc, const void *right, size_t n)
{
    struct dsm__combiner combiner;
    int error = dsm__op_combine_for(op, type, &combiner);

    if (error < 0)
        return error;
    ck_assert_uint_eq(combiner.item_size, dsm_type_size(type));
    ck_assert_ptr_eq(combiner.op, op);
    combiner.run(acc, right, n, &combiner);
    return error;
}

/* That x ∘ y is z, in the second of three items; the third stays. */
static void
expect(const dsm_op *op, dsm_type type, const void *x, const void *y,
       const void *z)
{
    size_t size = dsm_type_size(type);
    char *acc = calloc(3, size), *right = calloc(3, size);

    memcpy(acc + size, x, size);
    memcpy(acc + 2 * size, x, size);
    memcpy(right + size, y, size);
    memcpy(right + 2 * size, y, size);
    ck_assert_int_eq(combine(op, type, acc, right, 2), 0);
    ck_assert_mem_eq(acc + size, z, size);
    ck_assert_mem_eq(acc + 2 * size, x, size);
    ck_assert_mem_eq(right + size, y, size);
    free(acc);
    free(right);
}

#define EXPECT(op, type, item, x, y, z)                                        \
    expect(&op, type, &(item){x}, &(item){y}, &(item){z})

START_TEST(integers_wrap)
{
    EXPECT(DSM_SUM, DSM_INT8, int8_t, INT8_MAX, 1, INT8_MIN);
    EXPECT(DSM_SUM, DSM_INT16, int16_t, INT16_MIN, -1, INT16_MAX);
    EXPECT(DSM_SUM, DSM_INT32, int32_t, INT32_MAX, 1, INT32_MIN);
    EXPECT(DSM_SUM, DSM_INT64, int64_t, INT64_MIN, -1, INT64_MAX);
    EXPECT(DSM_SUM, DSM_UINT8, uint8_t, UINT8_MAX, 3, 2);
    EXPECT(DSM_SUM, DSM_UINT16, uint16_t, UINT16_MAX, 3, 2);
    EXPECT(DSM_SUM, DSM_UINT32, uint32_t, UINT32_MAX, 3, 2);
    EXPECT(DSM_SUM, DSM_UINT64, uint64_t, UINT64_MAX, 3, 2);
    EXPECT(DSM_PROD, DSM_INT8, int8_t, -100, 3, -44);
    EXPECT(DSM_PROD, DSM_INT32, int32_t, INT32_MIN, -1, INT32_MIN);
    EXPECT(DSM_PROD, DSM_INT64, int64_t, INT64_MIN, -1, INT64_MIN);
    EXPECT(DSM_PROD, DSM_UINT16, uint16_t, UINT16_MAX, UINT16_MAX, 1);
    EXPECT(DSM_PROD, DSM_UINT64, uint64_t, UINT64_MAX, UINT64_MAX, 1);
}
END_TEST

START_TEST(extremes_respect_the_sign)
{
    EXPECT(DSM_MIN, DSM_INT8, int8_t, -1, 1, -1);
    EXPECT(DSM_MAX, DSM_INT8, int8_t, -1, 1, 1);
    EXPECT(DSM_MIN, DSM_UINT8, uint8_t, 255, 1, 1);
    EXPECT(DSM_MAX, DSM_UINT8, uint8_t, 255, 1, 255);
    EXPECT(DSM_MIN, DSM_INT64, int64_t, INT64_MAX, INT64_MIN, INT64_MIN);
    EXPECT(DSM_MAX, DSM_UINT64, uint64_t, 1, UINT64_MAX, UINT64_MAX);
    EXPECT(DSM_MIN, DSM_FLOAT32, float, 2, -INFINITY, -INFINITY);
    EXPECT(DSM_MAX, DSM_FLOAT64, double, 2, 3, 3);
}
END_TEST

START_TEST(integers_combine_bitwise_and_bools_logically)
{
    EXPECT(DSM_AND, DSM_UINT8, uint8_t, 12, 10, 8);
    EXPECT(DSM_OR, DSM_INT32, int32_t, 12, 10, 14);
    EXPECT(DSM_XOR, DSM_INT64, int64_t, 12, -1, -13);
    /* A byte that is not 0 is true, even where no bits are common. */
    EXPECT(DSM_AND, DSM_BOOL, uint8_t, 1, 2, 1);
    EXPECT(DSM_AND, DSM_BOOL, uint8_t, 1, 0, 0);
    EXPECT(DSM_OR, DSM_BOOL, uint8_t, 4, 2, 1);
    EXPECT(DSM_OR, DSM_BOOL, uint8_t, 0, 0, 0);
    EXPECT(DSM_XOR, DSM_BOOL, uint8_t, 1, 2, 0);
    EXPECT(DSM_XOR, DSM_BOOL, uint8_t, 0, 2, 1);
    EXPECT(DSM_MIN, DSM_BOOL, uint8_t, 1, 0, 0);
    EXPECT(DSM_MIN, DSM_BOOL, uint8_t, 1, 1, 1);
    EXPECT(DSM_MAX, DSM_BOOL, uint8_t, 1, 0, 1);
    EXPECT(DSM_MAX, DSM_BOOL, uint8_t, 0, 0, 0);
}
END_TEST

/* Either side, and at any place of a row long enough for vectors. */
START_TEST(a_nan_wins)
{
    const dsm_op *op = _i ? &DSM_MAX : &DSM_MIN;

    for (size_t place = 0; place < 19; place++) {
        double a[19] = {0}, b[19] = {0};
        float c[19] = {0}, d[19] = {0};

        a[place] = NAN;
        d[place] = NAN;
        b[18 - place] = NAN;
        ck_assert_int_eq(combine(op, DSM_FLOAT64, a, b, 19), 0);
        ck_assert_int_eq(combine(op, DSM_FLOAT32, c, d, 19), 0);
        for (size_t i = 0; i < 19; i++) {
            ck_assert_int_eq(isnan(a[i]) != 0, i == place || i == 18 - place);
            ck_assert_int_eq(isnan(c[i]) != 0, i == place);
        }
    }
}
END_TEST

START_TEST(complex_numbers_add_and_multiply)
{
    float a[6] = {1, 2, 3, 4, 5, 6};
    const float b[6] = {1, -1, 0, 2, 7, 7};
    double c[4] = {1, 2, INFINITY, 0};
    const double d[4] = {3, 4, 1, 0};

    ck_assert_int_eq(combine(&DSM_SUM, DSM_COMPLEX64, a, b, 2), 0);
    ck_assert_mem_eq(a, ((float[]){2, 1, 3, 6, 5, 6}), sizeof a);
    ck_assert_int_eq(combine(&DSM_PROD, DSM_COMPLEX64, a, b, 2), 0);
    ck_assert_mem_eq(a, ((float[]){3, -1, -12, 6, 5, 6}), sizeof a);
    ck_assert_int_eq(combine(&DSM_PROD, DSM_COMPLEX128, c, d, 2), 0);
    ck_assert_mem_eq(c, ((double[]){-5, 10}), 2 * sizeof *c);
    /* As NumPy has it: inf * 0 is a NaN, and no one mends it. */
    ck_assert_double_infinite(c[2]);
    ck_assert_double_nan(c[3]);
    ck_assert_int_eq(combine(&DSM_SUM, DSM_COMPLEX128, c, d, 1), 0);
    ck_assert_mem_eq(c, ((double[]){-2, 14}), 2 * sizeof *c);
}
END_TEST

enum { LONG_ROW = 1003 };

/* What is left of a number in an item: its low bits. */
static uint64_t
cut(dsm_type type, int64_t x)
{
    return (uint64_t)x & UINT64_MAX >> (64 - 8 * dsm_type_size(type));
}

START_TEST(long_rows_of_integers)
{
    int64_t acc[LONG_ROW], before[LONG_ROW], right[LONG_ROW];

    for (dsm_type type = DSM_INT8; type <= DSM_UINT64; type++) {
        bool right_everywhere = true;

        random_bytes(acc, sizeof acc);
        random_bytes(right, sizeof right);
        memcpy(before, acc, sizeof acc);
        ck_assert_int_eq(combine(builtins[_i].op, type, acc, right, LONG_ROW),
                         0);
        for (size_t i = 0; i < LONG_ROW; i++)
            right_everywhere &=
                cut(type, load_item(type, acc, i)) ==
                cut(type, combine_exact(builtins[_i].sign, type,
                                        load_item(type, before, i),
                                        load_item(type, right, i)));
        ck_assert_msg(right_everywhere, "%c of %s", builtins[_i].sign,
                      dsm_type_name(type));
    }
}
END_TEST

START_TEST(long_rows_of_reals)
{
    double acc[LONG_ROW], right[LONG_ROW], expected[LONG_ROW];
    float facc[LONG_ROW], fright[LONG_ROW], fexpected[LONG_ROW];

    for (size_t i = 0; i < LONG_ROW; i++) {
        facc[i] = (float)rand() / 1e6f - 1e3f;
        fright[i] = (float)rand() / 1e6f - 1e3f;
        acc[i] = facc[i] / 3.0;
        right[i] = fright[i] / 3.0;
        expected[i] = combine_float64(builtins[_i].sign, acc[i], right[i]);
        fexpected[i] = combine_float32(builtins[_i].sign, facc[i], fright[i]);
    }
    ck_assert_int_eq(
        combine(builtins[_i].op, DSM_FLOAT64, acc, right, LONG_ROW), 0);
    ck_assert_int_eq(
        combine(builtins[_i].op, DSM_FLOAT32, facc, fright, LONG_ROW), 0);
    ck_assert_mem_eq(acc, expected, sizeof acc);
    ck_assert_mem_eq(facc, fexpected, sizeof facc);
}
END_TEST

START_TEST(pairs_have_a_meaning_or_none)
{
    struct dsm__combiner combiner;

    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++) {
        bool meaning = builtins[_i].row[type - DSM_BOOL] == '+';

        ck_assert_int_eq(dsm__op_combine_for(builtins[_i].op, type, &combiner),
                         meaning ? 0 : -EINVAL);
        if (!meaning)
            ck_assert_ptr_nonnull(
                strstr(dsm_last_error(), dsm_type_name(type)));
    }
    ck_assert_int_eq(
        dsm__op_combine_for(builtins[_i].op, DSM_STRUCT(8), &combiner),
        -EINVAL);
    ck_assert_int_eq(dsm__op_combine_for(builtins[_i].op, DSM_ANY, &combiner),
                     -EINVAL);
    ck_assert_int_eq(dsm__op_combine_for(builtins[_i].op, 99, &combiner),
                     -EINVAL);
    ck_assert_int_eq(
        dsm__op_combine_for(builtins[_i].op, DSM_STRUCT(0), &combiner),
        -EINVAL);
}
END_TEST

START_TEST(sums_of_bools_need_wider_values)
{
    struct dsm__combiner combiner;

    ck_assert_int_eq(dsm__op_combine_for(&DSM_SUM, DSM_BOOL, &combiner),
                     -EINVAL);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), "use int64 values"));
}
END_TEST

START_TEST(a_copy_is_built_in)
{
    dsm_op copy = DSM_MAX;

    EXPECT(copy, DSM_INT32, int32_t, 3, 4, 4);
    copy = DSM_MIN;
    EXPECT(copy, DSM_INT32, int32_t, 3, 4, 3);
}
END_TEST

START_TEST(a_built_in_combine_does_no_harm)
{
    int x = 3, y = 4;

    DSM_SUM.combine(&x, &y, DSM_SUM.arg);
    ck_assert_int_eq(x, 3);
    ck_assert_uint_eq(DSM_SUM.size, 0);
}
END_TEST

START_TEST(no_items_are_no_work)
{
    int32_t x = 5;

    ck_assert_int_eq(combine(&DSM_SUM, DSM_INT32, &x, NULL, 0), 0);
    ck_assert_int_eq(x, 5);
}
END_TEST

/* Affine maps, the left one first, modulo arg: they do not commute. */
struct affine {
    uint32_t factor, offset;
    char spare[3];
};

static void
compose(void *acc, const void *right, const void *arg)
{
    struct affine x, y;
    uint32_t modulus = *(const uint32_t *)arg;

    memcpy(&x, acc, sizeof x);
    memcpy(&y, right, sizeof y);
    x.offset = (y.factor * x.offset + y.offset) % modulus;
    x.factor = x.factor * y.factor % modulus;
    memcpy(acc, &x, sizeof x);
}

START_TEST(own_operators_combine_each)
{
    const uint32_t modulus = 97;
    const struct affine identity = {.factor = 1};
    const dsm_op op = {.size = sizeof identity,
                       .identity = &identity,
                       .combine = compose,
                       .arg = &modulus,
                       .arg_size = sizeof modulus};
    struct affine acc[3] = {{2, 1, ""}, {3, 5, ""}, {4, 4, ""}};
    const struct affine right[2] = {{10, 7, ""}, {20, 50, ""}};

    ck_assert_int_eq(combine(&op, DSM_STRUCT(sizeof *acc), acc, right, 2), 0);
    ck_assert_uint_eq(acc[0].factor, 20);
    ck_assert_uint_eq(acc[0].offset, 17);
    ck_assert_uint_eq(acc[1].factor, 60);
    ck_assert_uint_eq(acc[1].offset, 150 % 97);
    ck_assert_uint_eq(acc[2].factor, 4);
}
END_TEST

START_TEST(own_operators_must_fit)
{
    const uint32_t modulus = 97;
    dsm_op op = {.size = 12, .combine = compose, .arg = &modulus};
    struct dsm__combiner combiner;

    ck_assert_int_eq(dsm__op_combine_for(&op, DSM_FLOAT64, &combiner), -EINVAL);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), "12"));
    ck_assert_int_eq(dsm__op_combine_for(&op, DSM_STRUCT(13), &combiner),
                     -EINVAL);
    ck_assert_int_eq(dsm__op_combine_for(&op, DSM_STRUCT(12), &combiner), 0);
    op.size = 0;
    ck_assert_int_eq(dsm__op_combine_for(&op, DSM_STRUCT(12), &combiner),
                     -EINVAL);
    op = (dsm_op){.size = 8};
    ck_assert_int_eq(dsm__op_combine_for(&op, DSM_FLOAT64, &combiner), -EINVAL);
    /* A built-in operator with another's argument is neither. */
    op = DSM_SUM;
    op.arg = &modulus;
    ck_assert_int_eq(dsm__op_combine_for(&op, DSM_FLOAT64, &combiner), -EINVAL);
    op.size = sizeof(double);
    ck_assert_int_eq(dsm__op_combine_for(&op, DSM_FLOAT64, &combiner), -EINVAL);
}
END_TEST

static Suite *
op_suite(void)
{
    Suite *suite = suite_create("op");
    TCase *tests = tcase_create("op");

    tcase_add_test(tests, integers_wrap);
    tcase_add_test(tests, extremes_respect_the_sign);
    tcase_add_test(tests, integers_combine_bitwise_and_bools_logically);
    tcase_add_loop_test(tests, a_nan_wins, 0, 2);
    tcase_add_test(tests, complex_numbers_add_and_multiply);
    tcase_add_loop_test(tests, long_rows_of_integers, 0, BUILTINS);
    tcase_add_loop_test(tests, long_rows_of_reals, 0, 4);
    tcase_add_loop_test(tests, pairs_have_a_meaning_or_none, 0, BUILTINS);
    tcase_add_test(tests, sums_of_bools_need_wider_values);
    tcase_add_test(tests, a_copy_is_built_in);
    tcase_add_test(tests, a_built_in_combine_does_no_harm);
    tcase_add_test(tests, no_items_are_no_work);
    tcase_add_test(tests, own_operators_combine_each);
    tcase_add_test(tests, own_operators_must_fit);
    suite_add_tcase(suite, tests);
    return suite;
}

int
main(void)
{
    SRunner *runner = srunner_create(op_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
