/* Kernels of reductions.
 *
 * Integers are combined exactly, so in whatever order the compiler likes; sums
 * and products are 64 bits wide and wrap.  Floating-point numbers go to as many
 * lanes as fill 256 bytes, which at the end are combined by halves: lane k with
 * lane k + half, until one is left. */
#include "kernel/kernel.h"

#include "kernel/isa.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define REAL_KERNELS "kernel/fold_real.h"
#include "kernel/each_real.h"

/* Of accumulators of type `acc`, which need lane 0 alone; an item is `v`. */
#define FOLD(op, name, item, acc, taken, combined, identity)                   \
    static void open_##op##_##name(struct dsm__lanes *lanes)                   \
    {                                                                          \
        *(acc *)lanes->bytes = (acc)(identity);                                \
    }                                                                          \
                                                                               \
    static void fold_##op##_##name(struct dsm__lanes *lanes,                   \
                                   const void *items, size_t n)                \
    {                                                                          \
        const item *from = items;                                              \
        acc x = *(acc *)lanes->bytes;                                          \
                                                                               \
        for (size_t i = 0; i < n; i++) {                                       \
            item v = from[i];                                                  \
            acc y = (acc)(taken);                                              \
                                                                               \
            x = (acc)(combined);                                               \
        }                                                                      \
        *(acc *)lanes->bytes = x;                                              \
    }                                                                          \
                                                                               \
    static void close_##op##_##name(void *accumulator,                         \
                                    const struct dsm__lanes *lanes)            \
    {                                                                          \
        memcpy(accumulator, lanes, sizeof(acc));                               \
    }

#define LARGEST(item, kind)                                                    \
    (~UINT64_C(0) >> ((kind) == 'i') >> (64 - 8 * sizeof(item)))
#define SMALLEST(item, kind)                                                   \
    ((kind) == 'i' ? UINT64_C(1) << (8 * sizeof(item) - 1) : 0)

#define INTEGER_FOLDS(NAME, name, item, kind)                                  \
    FOLD(sum, name, item, uint64_t, v, x + y, 0)                               \
    FOLD(prod, name, item, uint64_t, v, x *y, 1)                               \
    FOLD(min, name, item, item, v, x <= y ? x : y, LARGEST(item, kind))        \
    FOLD(max, name, item, item, v, x >= y ? x : y, SMALLEST(item, kind))       \
    FOLD(and, name, item, item, v, x &y, ~UINT64_C(0))                         \
    FOLD(or, name, item, item, v, x | y, 0)                                    \
    FOLD(xor, name, item, item, v, x ^ y, 0)
DSM__INTEGER_MAP(INTEGER_FOLDS)

/* A bool is true when it is not 0, whatever else wrote it. */
FOLD(sum, bool, uint8_t, uint64_t, v != 0, x + y, 0)
FOLD(prod, bool, uint8_t, uint64_t, v != 0, x &y, 1)
FOLD(and, bool, uint8_t, uint8_t, v != 0, x &y, 1)
FOLD(or, bool, uint8_t, uint8_t, v != 0, x | y, 0)
FOLD(xor, bool, uint8_t, uint8_t, v != 0, x ^ y, 0)

#define ENTRY(accumulator, op, name)                                           \
    {                                                                          \
        accumulator, open_##op##_##name, fold_##op##_##name,                   \
            close_##op##_##name                                                \
    }
#define WIDE(kind) ((kind) == 'i' ? DSM_INT64 : DSM_UINT64)
#define INTEGER_ROW(NAME, name, item, kind)                                    \
    [DSM_##                                                                    \
        NAME] = {ENTRY(WIDE(kind), sum, name), ENTRY(WIDE(kind), prod, name),  \
                 ENTRY(DSM_##NAME, min, name), ENTRY(DSM_##NAME, max, name),   \
                 ENTRY(DSM_##NAME, and, name), ENTRY(DSM_##NAME, or, name),    \
                 ENTRY(DSM_##NAME, xor, name)},
#define FLOAT_ROW(NAME, name, item, kind)                                      \
    [DSM_##                                                                    \
        NAME] = {ENTRY(DSM_##NAME, sum, name), ENTRY(DSM_##NAME, prod, name),  \
                 ENTRY(DSM_##NAME, min, name), ENTRY(DSM_##NAME, max, name)},
#define COMPLEX_ROW(NAME, real)                                                \
    [DSM_##NAME] = {{DSM_##NAME, open_sum_##real, fold_complex_sum_##real,     \
                     close_complex_sum_##real},                                \
                    {DSM_##NAME, open_complex_prod_##real,                     \
                     fold_complex_prod_##real, close_complex_prod_##real}},

const struct dsm__fold
    DSM__FOR_ISA(dsm__folds)[DSM__NUMBER_TYPES][DSM__BUILTINS] = {
        [DSM_BOOL] = {ENTRY(DSM_INT64, sum, bool), ENTRY(DSM_INT64, prod, bool),
                      ENTRY(DSM_BOOL, and, bool), ENTRY(DSM_BOOL, or, bool),
                      ENTRY(DSM_BOOL, and, bool), ENTRY(DSM_BOOL, or, bool),
                      ENTRY(DSM_BOOL, xor, bool)},
        DSM__INTEGER_MAP(INTEGER_ROW) DSM__FLOAT_MAP(FLOAT_ROW)
            COMPLEX_ROW(COMPLEX64, float32) COMPLEX_ROW(COMPLEX128, float64)};
