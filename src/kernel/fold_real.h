/* Folds of floating-point numbers, for fold.c; see each_real.h. */
#include "kernel/vector.h"

enum {
    NAME(lanes) = sizeof(struct dsm__lanes) / sizeof(REAL),
    NAME(registers) = sizeof(struct dsm__lanes) / DSM__VECTOR
};

/* Leaves the `width` first lanes: 2 for a complex number. */
#define CLOSE(function, OF, width)                                             \
    static void NAME(function)(void *accumulator,                              \
                               const struct dsm__lanes *lanes)                 \
    {                                                                          \
        REAL s[NAME(lanes)];                                                   \
                                                                               \
        memcpy(s, lanes, sizeof s);                                            \
        for (size_t half = NAME(lanes) / 2; half >= (width); half /= 2)        \
            for (size_t k = 0; k < half; k++)                                  \
                s[k] = OF(s[k], s[k + half]);                                  \
        memcpy(accumulator, s, (width) * sizeof *s);                           \
    }

#define FOLD(op, OF, OF_VECTORS, identity)                                     \
    static void NAME(open_##op)(struct dsm__lanes * lanes)                     \
    {                                                                          \
        REAL s[NAME(lanes)];                                                   \
                                                                               \
        for (size_t k = 0; k < NAME(lanes); k++)                               \
            s[k] = (identity);                                                 \
        memcpy(lanes, s, sizeof s);                                            \
    }                                                                          \
                                                                               \
    static void NAME(fold_##op)(struct dsm__lanes * lanes, const void *items,  \
                                size_t n)                                      \
    {                                                                          \
        const REAL *x = items;                                                 \
        REAL *tail = (REAL *)lanes->bytes;                                     \
        NAME(vector) s[NAME(registers)];                                       \
                                                                               \
        memcpy(s, lanes, sizeof s);                                            \
        for (; n >= NAME(lanes); n -= NAME(lanes), x += NAME(lanes)) {         \
            for (int k = 0; k < NAME(registers); k++) {                        \
                NAME(vector) y = NAME(load)(x + k * WIDTH);                    \
                                                                               \
                s[k] = OF_VECTORS(s[k], y);                                    \
            }                                                                  \
        }                                                                      \
        memcpy(lanes, s, sizeof s);                                            \
        for (size_t k = 0; k < n; k++)                                         \
            tail[k] = OF(tail[k], x[k]);                                       \
    }                                                                          \
                                                                               \
    CLOSE(close_##op, OF, 1)

FOLD(sum, SUM_OF, SUM_OF_VECTORS, 0)
FOLD(prod, PROD_OF, PROD_OF_VECTORS, 1)
FOLD(min, MIN_OF, MIN_OF_VECTORS, (REAL)INFINITY)
FOLD(max, MAX_OF, MAX_OF_VECTORS, (REAL)-INFINITY)

/* A complex sum is that of twice as many reals, down to two of them. */
static void
NAME(fold_complex_sum)(struct dsm__lanes *lanes, const void *items, size_t n)
{
    NAME(fold_sum)(lanes, items, 2 * n);
}

CLOSE(close_complex_sum, SUM_OF, 2)

/* Lanes of a complex product: all real parts, then all imaginary ones.  Where
 * they alternate gcc 12 makes fused operations (vfmaddsub), even if it is told
 * to keep roundings apart. */
typedef struct {
    REAL re[NAME(lanes) / 2], im[NAME(lanes) / 2];
} NAME(complex_lanes);

static inline void
NAME(multiply)(REAL *restrict re, REAL *restrict im, REAL x, REAL y)
{
    REAL product = *re * x - *im * y;

    *im = *re * y + *im * x;
    *re = product;
}

static void
NAME(open_complex_prod)(struct dsm__lanes *lanes)
{
    NAME(complex_lanes) s = {{0}, {0}};

    for (size_t k = 0; k < NAME(lanes) / 2; k++)
        s.re[k] = 1;
    memcpy(lanes, &s, sizeof s);
}

static void
NAME(fold_complex_prod)(struct dsm__lanes *lanes, const void *items, size_t n)
{
    NAME(complex_lanes) s;
    const REAL *x = items;

    memcpy(&s, lanes, sizeof s);
    for (; n >= NAME(lanes) / 2; n -= NAME(lanes) / 2, x += NAME(lanes))
        for (size_t k = 0; k < NAME(lanes) / 2; k++)
            NAME(multiply)(&s.re[k], &s.im[k], x[2 * k], x[2 * k + 1]);
    for (size_t k = 0; k < n; k++)
        NAME(multiply)(&s.re[k], &s.im[k], x[2 * k], x[2 * k + 1]);
    memcpy(lanes, &s, sizeof s);
}

static void
NAME(close_complex_prod)(void *accumulator, const struct dsm__lanes *lanes)
{
    NAME(complex_lanes) s;

    memcpy(&s, lanes, sizeof s);
    for (size_t half = NAME(lanes) / 4; half >= 1; half /= 2)
        for (size_t k = 0; k < half; k++)
            NAME(multiply)
    (&s.re[k], &s.im[k], s.re[k + half], s.im[k + half]);
    memcpy(accumulator, &s.re[0], sizeof(REAL));
    memcpy((char *)accumulator + sizeof(REAL), &s.im[0], sizeof(REAL));
}

#undef FOLD
#undef CLOSE
