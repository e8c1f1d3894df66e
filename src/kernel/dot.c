/* Kernels of inner products: of two vectors, and of rows with a vector.
 *
 * A product of floating-point numbers is rounded before it is added: with fused
 * multiply-add the result would depend on the CPU. */
#include "kernel/kernel.h"

#include "kernel/isa.h"

#include <string.h>

#define REAL_KERNELS "kernel/dot_real.h"
#include "kernel/each_real.h"

/* Sums of 64 bits that wrap, as those of a fold. */
#define INTEGER_DOT(NAME, name, item, kind)                                    \
    static void dot_##name(struct dsm__lanes *lanes, const void *left,         \
                           const void *right, size_t n)                        \
    {                                                                          \
        const item *x = left, *y = right;                                      \
        uint64_t sum = *(uint64_t *)lanes->bytes;                              \
                                                                               \
        for (size_t i = 0; i < n; i++)                                         \
            sum += (uint64_t)x[i] * (uint64_t)y[i];                            \
        *(uint64_t *)lanes->bytes = sum;                                       \
    }
DSM__INTEGER_MAP(INTEGER_DOT)

static void
dot_bool(struct dsm__lanes *lanes, const void *left, const void *right,
         size_t n)
{
    const uint8_t *x = left, *y = right;
    uint64_t sum = *(uint64_t *)lanes->bytes;

    for (size_t i = 0; i < n; i++)
        sum += (x[i] != 0) & (y[i] != 0);
    *(uint64_t *)lanes->bytes = sum;
}

/* In the items' own width, unsigned, so that they wrap. */
#define INTEGER_ROW_DOTS(name, item)                                           \
    static void row_dots_##name(void *sums, const void *rows, size_t stride,   \
                                const void *right, size_t n, size_t count)     \
    {                                                                          \
        const item *x = right;                                                 \
                                                                               \
        for (size_t r = 0; r < count; r++) {                                   \
            const item *row = (const item *)rows + r * stride;                 \
            item sum = 0;                                                      \
                                                                               \
            for (size_t i = 0; i < n; i++)                                     \
                sum += row[i] * x[i];                                          \
            ((item *)sums)[r] = sum;                                           \
        }                                                                      \
    }
INTEGER_ROW_DOTS(int32, uint32_t)
INTEGER_ROW_DOTS(int64, uint64_t)

#define ENTRY(NAME, name, item, kind) [DSM_##NAME] = dot_##name,
void (*const DSM__FOR_ISA(dsm__dots)[DSM__NUMBER_TYPES])(
    struct dsm__lanes *, const void *, const void *,
    size_t) = {[DSM_BOOL] = dot_bool,
               [DSM_COMPLEX64] = dot_complex_float32,
               [DSM_COMPLEX128] = dot_complex_float64,
               DSM__INTEGER_MAP(ENTRY) DSM__FLOAT_MAP(ENTRY)};

void (*const DSM__FOR_ISA(dsm__row_dots)[DSM__NUMBER_TYPES])(
    void *, const void *, size_t, const void *, size_t,
    size_t) = {[DSM_INT32] = row_dots_int32,
               [DSM_INT64] = row_dots_int64,
               [DSM_FLOAT32] = row_dots_float32,
               [DSM_FLOAT64] = row_dots_float64};
