/* Kernels of random numbers: the generator as Random123 has it, distributions
 * bit by bit by their definition, and the functions under them beside those of
 * the C library. */
#include "kernels.h"

#include "kernel/elementary.h"

#include <Random123/philox.h>
#include <math.h>

static const uint64_t seeds[] = {0, 1, UINT64_C(0x123456789abcdef0),
                                 UINT64_MAX};
static const uint64_t firsts[] = {0, 77, UINT64_C(0xfffffff0),
                                  UINT64_C(0x7fffffffffffff00)};

/* ---- By definition. */

/* In [0, 1): the upper 53 bits of half `i` of what a pair's number gives. */
static double
unit(uint64_t pair, int i, uint64_t seed)
{
    philox4x32_ctr_t c = {{(uint32_t)pair, (uint32_t)(pair >> 32), 0, 0}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    uint64_t bits;

    c = philox4x32(c, key);
    bits = (uint64_t)c.v[2 * i + 1] << 32 | c.v[2 * i];
    return (double)(bits >> 11) * 0x1p-53;
}

static double
uniform_item(const struct dsm__random *r, uint64_t pair, int i)
{
    double u = unit(pair, i, r->seed), x = r->a * (1 - u) + r->b * u;

    return x < r->least ? r->least : x > r->greatest ? r->greatest : x;
}

static double
normal_item(const struct dsm__random *r, uint64_t pair, int i)
{
    double u = 1 - unit(pair, 0, r->seed), sine, cosine;

    dsm__sincos(unit(pair, 1, r->seed), &sine, &cosine);
    return r->a + r->b * sqrt(-2 * dsm__log(u)) * (i ? sine : cosine);
}

static dsm__draw *
draw_of(int s, bool normal, dsm_type type)
{
    return (normal ? set(s)->normals : set(s)->uniforms)[type];
}

static void
ck_draw(int s, bool normal, dsm_type type, const struct dsm__random *r,
        uint64_t first, size_t pairs)
{
    size_t bytes = 2 * pairs * dsm_type_size(type);
    struct island out = island(bytes, pairs % 16 * dsm_type_size(type));
    bool right = true;

    draw_of(s, normal, type)(out.bytes, r, first, pairs);
    for (size_t k = 0; k < 2 * pairs; k++) {
        double x = normal ? normal_item(r, first + k / 2, k % 2)
                          : uniform_item(r, first + k / 2, k % 2);
        float y = (float)x;

        right &= type == DSM_FLOAT64
                     ? memcmp((double *)out.bytes + k, &x, sizeof x) == 0
                     : memcmp((float *)out.bytes + k, &y, sizeof y) == 0;
    }
    ck_assert_msg(right && kept(&out, bytes), "%s: %s %s, %zu pairs",
                  set(s)->name, normal ? "normal" : "uniform",
                  dsm_type_name(type), pairs);
    drop(&out);
}

START_TEST(items)
{
    /* Of the latter, rounding reaches both ends. */
    static const struct dsm__random cases[] = {
        {0, -3, 7, -3, 0x1.bfffep2},
        {0, 1, 1 + 0x1p-22, 1, 1 + 0x1p-23},
    };

    for (int k = 0; k < 2 * 2 * 2 * 4; k++)
        for (size_t n = 0; n < LENGTHS; n++) {
            struct dsm__random r = cases[k & 1];

            r.seed = seeds[k >> 3];
            ck_draw(_i, k & 2, k & 4 ? DSM_FLOAT32 : DSM_FLOAT64, &r,
                    firsts[(k >> 3 ^ k) & 3], lengths[n]);
        }
}
END_TEST

/* Of seed 0 and pair 0: Philox gives 6627e8d5 e169c58d bc57ac4c 9b00dbd8; and
 * normal numbers, which are to stay the same, whoever compiles the kernels. */
START_TEST(known_answers)
{
    static const double normals[] = {
        -0x1.9ffd9aa3bc9b5p+0, -0x1.44b28888d8c95p+0, 0x1.d85c966f9a5f4p-1,
        0x1.c085bbe7cc121p-3,  -0x1.e97e1a57636ccp-4, 0x1.bd00a70b7399p-1,
        -0x1.db2282deb1517p-1, 0x1.d6e61a8c8c447p-2};
    struct dsm__random r = {0, 0, 1, 0, 0x1.fffffffffffffp-1};
    double x[8];

    draw_of(_i, false, DSM_FLOAT64)(x, &r, 0, 1);
    ck_assert(x[0] == (double)(UINT64_C(0xe169c58d6627e8d5) >> 11) * 0x1p-53);
    ck_assert(x[1] == (double)(UINT64_C(0x9b00dbd8bc57ac4c) >> 11) * 0x1p-53);
    draw_of(_i, true, DSM_FLOAT64)(x, &r, 0, 4);
    ck_assert_mem_eq(x, normals, sizeof normals);
}
END_TEST

/* ---- Elementary functions, beside those of the C library for long double. */

/* The distance to the right value, in units of a double's last place there. */
static double
ulps(double x, long double right)
{
    double size = fabs((double)right);

    return (double)fabsl(x - right) / (nextafter(size, INFINITY) - size);
}

/* Of 2^53 numbers, the lesser ones more often. */
static uint64_t
any_number(void)
{
    uint64_t bits = (uint64_t)rand() << 31 ^ (uint64_t)rand();

    return (bits & ((UINT64_C(1) << 53) - 1)) >> (rand() % 2 ? rand() % 53 : 0);
}

START_TEST(logarithms)
{
    double worst = 0;

    ck_assert(dsm__log(1) == 0);
    for (int k = 0; k < 53; k++)
        worst = fmax(worst,
                     ulps(dsm__log(ldexp(1, -k - 1)), logl(ldexpl(1, -k - 1))));
    for (int k = 0; k < 500000; k++) {
        double u = (double)any_number() * 0x1p-53, x = k % 2 ? u : 1 - u;

        if (x > 0 && x < 1)
            worst = fmax(worst, ulps(dsm__log(x), logl(x)));
    }
    ck_assert_double_lt(worst, 1);
}
END_TEST

START_TEST(sines_and_cosines)
{
    const long double pi = 3.141592653589793238462643383279502884L;
    double worst = 0, sine, cosine;

    for (int k = 0; k <= 4; k++) {
        dsm__sincos(k * 0.25, &sine, &cosine);
        ck_assert(sine == (k == 1) - (k == 3));
        ck_assert(cosine == (k % 4 == 0) - (k == 2));
    }
    for (int k = 0; k < 500000; k++) {
        /* In units of 2^-53: from a multiple of an eighth on, or up to it. */
        uint64_t eighth = UINT64_C(1) << 50, offset = any_number() % eighth;
        uint64_t turns = (uint64_t)(rand() % 8) * eighth +
                         (k % 2 ? offset : eighth - 1 - offset);
        uint64_t quarter = (turns + eighth) / (2 * eighth);
        long double x =
            2 * pi * 0x1p-53L *
            ((long double)turns - (long double)(quarter * 2 * eighth));

        dsm__sincos((double)turns * 0x1p-53, &sine, &cosine);
        for (; quarter % 4; quarter--) {
            double before = sine;

            sine = -cosine;
            cosine = before;
        }
        if (x != 0)
            worst = fmax(worst, ulps(sine, sinl(x)));
        worst = fmax(worst, ulps(cosine, cosl(x)));
    }
    ck_assert_double_lt(worst, 2);
}
END_TEST

/* ---- What normal numbers are like. */

/* Within six standard errors. */
#define CK_NEAR(x, wanted, error)                                              \
    ck_assert_double_le(fabs((x) - (wanted)), 6 * (error))

START_TEST(moments)
{
    enum { N = 400000 };
    double *x = malloc(N * sizeof *x), root = sqrt(N);

    for (int k = 0; k < 4; k++) {
        struct dsm__random r = {seeds[k], 0, 1, 0, 0};
        double sums[5] = {0}, within[4] = {0}, products = 0;

        draw_of(_i, true, DSM_FLOAT64)(x, &r, 0, N / 2);
        for (int i = 0; i < N; i++) {
            for (int power = 1; power < 5; power++)
                sums[power] += pow(x[i], power);
            for (int d = 1; d < 4; d++)
                within[d] += fabs(x[i]) < d;
            products += x[i] * x[i ^ 1];
        }
        CK_NEAR(sums[1] / N, 0, 1 / root);
        CK_NEAR(sums[2] / N, 1, sqrt(2) / root);
        CK_NEAR(sums[3] / N, 0, sqrt(15) / root);
        CK_NEAR(sums[4] / N, 3, sqrt(96) / root);
        CK_NEAR(products / N, 0, sqrt(2) / root);
        for (int d = 1; d < 4; d++) {
            double p = erf(d / sqrt(2));

            CK_NEAR(within[d] / N, p, sqrt(p * (1 - p)) / root);
        }
    }
    free(x);
}
END_TEST

int
main(void)
{
    const TTest *const tests[] = {items, known_answers, logarithms,
                                  sines_and_cosines, moments};

    return kernel_main("kernel, random", tests, sizeof tests / sizeof *tests);
}
