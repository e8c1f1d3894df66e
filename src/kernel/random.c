/* Kernels of random numbers.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011) enciphers the number of a
 * pair of items under the seed: ten rounds on four words of 32 bits.  They are
 * written out here on vectors, since compilers that are to make them of
 * Random123's do not find the instruction that multiplies 32 bits by 32 to 64.
 */
#include "kernel/kernel.h"

#include "kernel/elementary.h"
#include "kernel/isa.h"

#include <Random123/philox.h>
#include <string.h>
#if defined __SSE2__
#include <immintrin.h>
#endif

enum {
    STEP = 128, /* pairs that are made at a time */
    WIDTH = DSM__VECTOR / sizeof(uint64_t)
};

/* Each lane has one word, in its lower half; the upper one may be anything. */
typedef uint64_t words __attribute__((vector_size(DSM__VECTOR)));
typedef double reals __attribute__((vector_size(DSM__VECTOR)));

#define LOWER UINT64_C(0xffffffff)

/* ---- The generator. */

/* The products, of 64 bits. */
static inline words
multiply(words x, words y)
{
#if DSM__VECTOR == 64
    return (words)_mm512_mul_epu32((__m512i)x, (__m512i)y);
#elif DSM__VECTOR == 32
    return (words)_mm256_mul_epu32((__m256i)x, (__m256i)y);
#elif defined __SSE2__
    return (words)_mm_mul_epu32((__m128i)x, (__m128i)y);
#else
    return (x & LOWER) * (y & LOWER);
#endif
}

static inline words
splat(uint64_t x)
{
    return x - (words){0};
}

static inline void
encipher(words x[4], uint64_t seed)
{
    uint32_t left = (uint32_t)seed, right = (uint32_t)(seed >> 32);

    for (int round = 0; round < philox4x32_rounds; round++) {
        words p = multiply(x[0], splat(PHILOX_M4x32_0));
        words q = multiply(x[2], splat(PHILOX_M4x32_1));

        x[0] = q >> 32 ^ x[1] ^ splat(left);
        x[1] = q;
        x[2] = p >> 32 ^ x[3] ^ splat(right);
        x[3] = p;
        left += PHILOX_W32_0;
        right += PHILOX_W32_1;
    }
}

/* The upper 53 of 64 bits, as a number in [0, 1): from 2^20 + high / 2^32 and
 * 1/2 + low / 2^64, cut off, whose bits are at hand.  Nothing is rounded. */
static inline reals
unit(words low, words high)
{
    reals upper = (reals)((high & LOWER) | UINT64_C(0x4130000000000000));
    reals lower = (reals)((low & LOWER) >> 11 | UINT64_C(0x3fe0000000000000));

    return upper - (0x1p20 + 0.5) + lower;
}

/* Two numbers for each pair. */
static void
draw(double u[STEP], double v[STEP], uint64_t pair, size_t pairs, uint64_t seed)
{
    static const uint64_t lanes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    words number;

    memcpy(&number, lanes, sizeof number);
    number += splat(pair);
    for (size_t k = 0; k < pairs; k += WIDTH, number += splat(WIDTH)) {
        words x[4] = {number, number >> 32};
        reals drawn;

        encipher(x, seed);
        drawn = unit(x[0], x[1]);
        memcpy(u + k, &drawn, sizeof drawn);
        drawn = unit(x[2], x[3]);
        memcpy(v + k, &drawn, sizeof drawn);
    }
}

/* ---- Distributions, of numbers in [0, 1). */

/* Rounding may reach beyond the ends. */
static inline double
between(const struct dsm__random *r, double u)
{
    double x = r->a * (1 - u) + r->b * u;

    x = x < r->least ? r->least : x;
    return x > r->greatest ? r->greatest : x;
}

static inline void
uniform(const struct dsm__random *r, double *u, double *v, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        u[k] = between(r, u[k]);
        v[k] = between(r, v[k]);
    }
}

/* By Box and Muller: a random direction, at a random distance. */
static inline void
normal(const struct dsm__random *r, double *u, double *v, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        /* In (0, 1], so that its logarithm is finite. */
        double radius = r->b * __builtin_sqrt(-2 * dsm__log(1 - u[k]));
        double sine, cosine;

        dsm__sincos(v[k], &sine, &cosine);
        u[k] = r->a + radius * cosine;
        v[k] = r->a + radius * sine;
    }
}

/* ---- Kernels. */

#define KERNEL(distribution, name, real)                                       \
    static void distribution##_##name(void *out, const struct dsm__random *r,  \
                                      uint64_t pair, size_t pairs)             \
    {                                                                          \
        real *x = out;                                                         \
        double u[STEP], v[STEP];                                               \
                                                                               \
        for (size_t n; pairs > 0; pair += n, pairs -= n, x += 2 * n) {         \
            n = pairs < STEP ? pairs : STEP;                                   \
            draw(u, v, pair, n, r->seed);                                      \
            distribution(r, u, v, n);                                          \
            for (size_t k = 0; k < n; k++) {                                   \
                x[2 * k] = (real)u[k];                                         \
                x[2 * k + 1] = (real)v[k];                                     \
            }                                                                  \
        }                                                                      \
    }
KERNEL(uniform, float32, float)
KERNEL(uniform, float64, double)
KERNEL(normal, float32, float)
KERNEL(normal, float64, double)

dsm__draw *const DSM__FOR_ISA(dsm__uniforms)[DSM__NUMBER_TYPES] = {
    [DSM_FLOAT32] = uniform_float32, [DSM_FLOAT64] = uniform_float64};

dsm__draw *const DSM__FOR_ISA(dsm__normals)[DSM__NUMBER_TYPES] = {
    [DSM_FLOAT32] = normal_float32, [DSM_FLOAT64] = normal_float64};
