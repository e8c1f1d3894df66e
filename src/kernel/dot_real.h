/* Inner products of floating-point numbers, for dot.c; see each_real.h. */
#include "kernel/vector.h"

enum {
    NAME(lanes) = sizeof(struct dsm__lanes) / sizeof(REAL),
    NAME(registers) = sizeof(struct dsm__lanes) / DSM__VECTOR
};

static void
NAME(dot)(struct dsm__lanes *lanes, const void *left, const void *right,
          size_t n)
{
    const REAL *x = left, *y = right;
    REAL *tail = (REAL *)lanes->bytes;
    NAME(vector) s[NAME(registers)];

    memcpy(s, lanes, sizeof s);
    for (; n >= NAME(lanes); n -= NAME(lanes)) {
        for (int k = 0; k < NAME(registers); k++)
            s[k] += NAME(load)(x + k * WIDTH) * NAME(load)(y + k * WIDTH);
        x += NAME(lanes);
        y += NAME(lanes);
    }
    memcpy(lanes, s, sizeof s);
    for (size_t k = 0; k < n; k++)
        tail[k] += x[k] * y[k];
}

/* A lane of complex numbers is two lanes of reals. */
static void
NAME(dot_complex)(struct dsm__lanes *lanes, const void *left, const void *right,
                  size_t n)
{
    const REAL *x = left, *y = right;
    REAL *s = (REAL *)lanes->bytes;

    while (n > 0) {
        size_t some = n < NAME(lanes) / 2 ? n : NAME(lanes) / 2;

        for (size_t k = 0; k < 2 * some; k += 2) {
            s[k] += x[k] * y[k] - x[k + 1] * y[k + 1];
            s[k + 1] += x[k] * y[k + 1] + x[k + 1] * y[k];
        }
        x += 2 * some;
        y += 2 * some;
        n -= some;
    }
}

/* The sum of a row's lanes, by halves; then what was left of the row. */
static REAL
NAME(row_end)(const NAME(vector) * s, const REAL *row, const REAL *x, size_t n)
{
    REAL lane[GROUP];

    memcpy(lane, s, sizeof lane);
    for (size_t half = GROUP / 2; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            lane[k] += lane[k + half];
    for (size_t k = 0; k < n; k++)
        lane[0] += row[k] * x[k];
    return lane[0];
}

/* `rows` rows at a time, so that x is loaded once for all; each has a group of
 * lanes of its own, whatever their number. */
static inline __attribute__((always_inline)) void
NAME(some_rows)(REAL *sums, const REAL *row, size_t stride, const REAL *x,
                size_t n, const int rows)
{
    NAME(vector) s[4][REGISTERS] = {{{0}}};
    size_t i = 0;

    for (; n - i >= GROUP; i += GROUP)
        for (int k = 0; k < REGISTERS; k++) {
            NAME(vector) y = NAME(load)(x + i + k * WIDTH);

            for (int r = 0; r < rows; r++)
                s[r][k] +=
                    NAME(load)(row + (size_t)r * stride + i + k * WIDTH) * y;
        }
    for (int r = 0; r < rows; r++)
        sums[r] =
            NAME(row_end)(s[r], row + (size_t)r * stride + i, x + i, n - i);
}

static void
NAME(row_dots)(void *sums, const void *rows, size_t stride, const void *x,
               size_t n, size_t count)
{
    const REAL *row = rows;
    REAL *to = sums;

    for (; count >= 4; count -= 4, row += 4 * stride, to += 4)
        NAME(some_rows)(to, row, stride, x, n, 4);
    for (; count > 0; count--, row += stride, to++)
        NAME(some_rows)(to, row, stride, x, n, 1);
}
