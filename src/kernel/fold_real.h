/* Folds of floating-point numbers: see fold.c, which includes this for float
 * and for double. */
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

static inline void
NAME(multiply)(REAL *restrict x, const REAL *restrict y)
{
    REAL re = x[0] * y[0] - x[1] * y[1];

    x[1] = x[0] * y[1] + x[1] * y[0];
    x[0] = re;
}

static void
NAME(open_complex_prod)(struct dsm__lanes *lanes)
{
    REAL s[NAME(lanes)];

    for (size_t k = 0; k < NAME(lanes); k += 2) {
        s[k] = 1;
        s[k + 1] = 0;
    }
    memcpy(lanes, s, sizeof s);
}

static void
NAME(fold_complex_prod)(struct dsm__lanes *lanes, const void *items, size_t n)
{
    const REAL *x = items;
    REAL *s = (REAL *)lanes->bytes;

    for (; n > 0; x += NAME(lanes)) {
        size_t some = n < NAME(lanes) / 2 ? n : NAME(lanes) / 2;

        for (size_t k = 0; k < some; k++)
            NAME(multiply)(s + 2 * k, x + 2 * k);
        n -= some;
    }
}

static void
NAME(close_complex_prod)(void *accumulator, const struct dsm__lanes *lanes)
{
    REAL s[NAME(lanes)];

    memcpy(s, lanes, sizeof s);
    for (size_t half = NAME(lanes) / 2; half >= 2; half /= 2)
        for (size_t k = 0; k < half; k += 2)
            NAME(multiply)(s + k, s + half + k);
    memcpy(accumulator, s, 2 * sizeof *s);
}

#undef FOLD
#undef CLOSE
