/* dsm_random_uniform and dsm_random_normal: the generator by its known answers,
 * each item by its number alone, and numbers that are as they should be. */
#include "calls.h"

#include "kernel/elementary.h"

#include <float.h>

static int
fill(dsm_cluster *cluster, const struct call *call, void *result)
{
    (void)result;
    return call->kind ? dsm_random_normal(cluster, call->out, call->a, call->b,
                                          call->seed)
                      : dsm_random_uniform(cluster, call->out, call->a, call->b,
                                           call->seed);
}

/* ---- Philox4x32-10, as its authors' paper has it. */

static void
philox(uint32_t x[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t left = UINT64_C(0xD2511F53) * x[0];
        uint64_t right = UINT64_C(0xCD9E8D57) * x[2];
        uint32_t before[4];

        memcpy(before, x, sizeof before);
        x[0] = (uint32_t)(right >> 32) ^ before[1] ^ k0;
        x[1] = (uint32_t)right;
        x[2] = (uint32_t)(left >> 32) ^ before[3] ^ k1;
        x[3] = (uint32_t)left;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
}

/* The answers that Random123 gives for it, and so for the test's own. */
START_TEST(known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } known[] = {
        {{0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u},
         {~0u, ~0u},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t k = 0; k < 3; k++) {
        uint32_t x[4];

        memcpy(x, known[k].counter, sizeof x);
        philox(x, known[k].key[0], known[k].key[1]);
        ck_assert_mem_eq(x, known[k].answer, sizeof x);
    }
}
END_TEST

/* Item i of 0 <= x < 1: the upper 53 bits of half of what the number of its
 * pair gives under the seed. */
static double
unit(size_t i, uint64_t seed)
{
    uint64_t pair = i / 2;
    uint32_t x[4] = {(uint32_t)pair, (uint32_t)(pair >> 32)};

    philox(x, (uint32_t)seed, (uint32_t)(seed >> 32));
    return (double)(((uint64_t)x[i % 2 * 2 + 1] << 32 | x[i % 2 * 2]) >> 11) *
           0x1p-53;
}

static double
normal(size_t i, double mean, double deviation, uint64_t seed)
{
    double u = 1 - unit(i & ~(size_t)1, seed), sine, cosine;

    dsm__sincos(unit(i | 1, seed), &sine, &cosine);
    return mean + deviation * sqrt(-2 * dsm__log(u)) * (i % 2 ? sine : cosine);
}

/* ---- Each item by its number, whoever makes it and however many there are. */

static void
ck_items(const struct call *call, const dsm_array *view)
{
    size_t n = dsm_array_count(view);
    bool right = true;

    for (size_t i = 0; i < n; i++) {
        double x = call->kind ? normal(i, call->a, call->b, call->seed)
                              : call->a * (1 - unit(i, call->seed)) +
                                    call->b * unit(i, call->seed);

        if (dsm_array_type(view) == DSM_FLOAT64)
            right &= ((double *)dsm_array_data(view))[i] == x;
        else
            right &= ((float *)dsm_array_data(view))[i] == (float)x;
    }
    ck_assert_msg(right, "%zu %s of kind %d", n,
                  dsm_type_name(dsm_array_type(view)), call->kind);
}

START_TEST(each_item_by_its_number)
{
    static const size_t lengths[] = {0, 1, 2, 3, 16, 511, 1025, 30001, 60002};
    dsm_cluster *cluster = cluster_of(_i);

    for (int k = 0; k < 9 * 2 * 2; k++) {
        dsm_type type = k / 9 % 2 ? DSM_FLOAT64 : DSM_FLOAT32;
        size_t n = lengths[k % 9];
        dsm_array *array = make_array(cluster, "array", type, n + 9);
        dsm_array *view = view_of(array, 5, n);
        struct call call = {.fn = fill,
                            .out = view,
                            .kind = k / 18,
                            .a = -3,
                            .b = 7,
                            .seed = UINT64_C(0x123456789abcdef0)};

        for (int in_region = 0; in_region < 2; in_region++) {
            clear_array(array);
            ck_dsm(make_call(cluster, &call, in_region, NULL));
            ck_items(&call, view);
            ck_kept(array, view, n);
        }
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- What the numbers are like. */

/* Within six standard errors. */
#define CK_NEAR(x, wanted, error)                                              \
    ck_assert_double_le(fabs((x) - (wanted)), 6 * (error))

START_TEST(moments)
{
    dsm_cluster *cluster = cluster_of(1);
    size_t n = 200000, last = 0;
    double root = sqrt((double)n);
    dsm_array *array = make_array(cluster, "array", DSM_FLOAT64, n);
    const double *x = dsm_array_data(array);
    size_t in_bin[16] = {0};
    struct call call = {.fn = fill, .out = array, .kind = _i, .b = 1};

    for (call.seed = 0; call.seed < 3; call.seed++) {
        double sum = 0, squares = 0, cubes = 0, neighbours = 0;
        double mean = _i ? 0 : 0.5, variance = _i ? 1 : 1.0 / 12;

        ck_dsm(make_call(cluster, &call, false, NULL));
        for (size_t i = 0; i < n; i++) {
            double d = x[i] - mean;

            sum += d;
            squares += d * d;
            cubes += d * d * d;
            if (i > 0)
                neighbours += d * (x[i - 1] - mean);
            if (_i == 0)
                in_bin[(int)(16 * x[i])]++;
            last += _i && fabs(d) > 2;
        }
        CK_NEAR(sum / (double)n, 0, sqrt(variance) / root);
        CK_NEAR(squares / (double)n, variance, 1.5 * variance / root);
        CK_NEAR(cubes / (double)n, 0, 4 * variance / root);
        CK_NEAR(neighbours / (double)n, 0, variance / root);
    }
    for (int k = 0; k < 16 && _i == 0; k++)
        CK_NEAR((double)in_bin[k], 3 * (double)n / 16,
                sqrt(3 * (double)n / 16));
    if (_i)
        CK_NEAR((double)last, 3 * (double)n * 0.0455003,
                sqrt(3 * (double)n * 0.0455));
    dsm_cluster_destroy(cluster);
}
END_TEST

static const double ranges[][2] = {
    {0, 1},         {0.7, 0.7000001},     {-0.3, 0.3},
    {1, 1.0000002}, {16777216, 16777218}, {-1e-40, 1e-40},
    {5, 5},         {-0x1p60, 0x1p60},    {0.1, 0.2},
    {-0.2, -0.1},   {3e38, 3.4e38},       {-FLT_MAX, FLT_MAX}};

/* Not below low, and below high, though items are rounded. */
START_TEST(numbers_within_their_range)
{
    dsm_cluster *cluster = cluster_of(2);
    double low = ranges[_i][0], high = ranges[_i][1];
    size_t n = 50000;
    bool right = true;

    for (int wide = 0; wide < 2; wide++) {
        dsm_array *array =
            make_array(cluster, "array", wide ? DSM_FLOAT64 : DSM_FLOAT32, n);
        const void *items = dsm_array_data(array);

        ck_dsm(dsm_random_uniform(cluster, array, low, high, 9));
        for (size_t i = 0; i < n; i++) {
            double x = wide ? ((const double *)items)[i]
                            : (double)((const float *)items)[i];

            right &= x >= low && (x < high || low == high);
        }
        ck_assert_msg(right, "%s from %.17g to %.17g",
                      dsm_type_name(dsm_array_type(array)), low, high);
        ck_dsm(dsm_array_destroy(array));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(doubles_of_any_range)
{
    dsm_cluster *cluster = cluster_of(2);
    dsm_array *array = make_array(cluster, "array", DSM_FLOAT64, 1000);
    dsm_array *narrow = make_array(cluster, "narrow", DSM_FLOAT32, 1000);
    const double *x = dsm_array_data(array);

    ck_dsm(dsm_random_uniform(cluster, array, -DBL_MAX, DBL_MAX, 1));
    for (size_t i = 0; i < 1000; i++)
        ck_assert(isfinite(x[i]));
    ck_dsm(dsm_random_normal(cluster, array, 4, 0, 1));
    for (size_t i = 0; i < 1000; i++)
        ck_assert_double_eq(x[i], 4);
    ck_dsm_error(dsm_random_uniform(cluster, narrow, 0, 1e300, 1), -EINVAL,
                 "float32");
    ck_dsm_error(dsm_random_uniform(cluster, narrow, 1 + 1e-10, 1 + 2e-10, 1),
                 -EINVAL, "no float32 is from");
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(mistakes_are_told)
{
    dsm_cluster *cluster = cluster_of(2);
    dsm_array *a = make_array(cluster, "a", DSM_FLOAT64, 100);
    dsm_array *b = make_array(cluster, "b", DSM_INT32, 100);

    ck_dsm_error(dsm_random_uniform(cluster, b, 0, 1, 1), -EINVAL,
                 "'b' has items of int32");
    ck_dsm_error(dsm_random_normal(cluster, b, 0, 1, 1), -EINVAL, "int32");
    ck_dsm_error(dsm_random_uniform(cluster, a, 1, 0, 1), -EINVAL, "1 to 0");
    ck_dsm_error(dsm_random_uniform(cluster, a, 0, INFINITY, 1), -EINVAL,
                 "inf");
    ck_dsm_error(dsm_random_uniform(cluster, a, NAN, 1, 1), -EINVAL, "nan");
    ck_dsm_error(dsm_random_normal(cluster, a, 0, -1, 1), -EINVAL, "-1");
    ck_dsm_error(dsm_random_normal(cluster, a, NAN, 1, 1), -EINVAL, "nan");
    ck_dsm_error(dsm_random_normal(cluster, a, 0, INFINITY, 1), -EINVAL, "inf");
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("random");
    TCase *tests = test_case(suite, "items");
    const int count = sizeof ranges / sizeof *ranges;

    tcase_add_test(tests, known_answers);
    tcase_add_loop_test(tests, each_item_by_its_number, 0, CLUSTERS);
    tests = test_case(suite, "numbers");
    tcase_add_loop_test(tests, moments, 0, 2);
    tcase_add_loop_test(tests, numbers_within_their_range, 0, count);
    tcase_add_test(tests, doubles_of_any_range);
    tcase_add_test(tests, mistakes_are_told);
    return test_main(suite);
}
