/* Kernels of scans.
 *
 * Floating-point numbers are scanned in groups of 64 bytes, each by shifted
 * additions (Hillis and Steele 1986, "Data parallel algorithms"), four groups
 * at a time so that only two operations in a row wait for the carry.  What is
 * left at the end, and the exact types, go one by one: there an operation takes
 * one cycle. */
#include "kernel/kernel.h"

#include "kernel/isa.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define FROM_2(i) i, i + 1
#define FROM_4(i) FROM_2(i), FROM_2(i + 2)
#define FROM_8(i) FROM_4(i), FROM_4(i + 4)
#define FROM_16(i) FROM_8(i), FROM_8(i + 8)

#define REAL_KERNELS "kernel/scan_real.h"
#include "kernel/each_real.h"

/* An item, `v`, as an accumulator is `taken`; x and y are combined. */
#define SCAN(function, item, acc, taken, combined, given)                      \
    static void function(void *out, const void *in, size_t n, void *carry)     \
    {                                                                          \
        const item *from = in;                                                 \
        acc *to = out, x = *(acc *)carry;                                      \
                                                                               \
        for (size_t i = 0; i < n; i++) {                                       \
            item v = from[i];                                                  \
            acc before = x, y = (acc)(taken);                                  \
                                                                               \
            (void)before;                                                      \
            x = (acc)(combined);                                               \
            to[i] = given;                                                     \
        }                                                                      \
        *(acc *)carry = x;                                                     \
    }

#define SCANS(op, name, item, acc, taken, combined)                            \
    SCAN(inclusive_##op##_##name, item, acc, taken, combined, x)               \
    SCAN(exclusive_##op##_##name, item, acc, taken, combined, before)

#define INTEGER_SCANS(NAME, name, item, kind)                                  \
    SCANS(sum, name, item, uint64_t, v, x + y)                                 \
    SCANS(prod, name, item, uint64_t, v, x *y)                                 \
    SCANS(min, name, item, item, v, x <= y ? x : y)                            \
    SCANS(max, name, item, item, v, x >= y ? x : y)                            \
    SCANS(and, name, item, item, v, x &y)                                      \
    SCANS(or, name, item, item, v, x | y)                                      \
    SCANS(xor, name, item, item, v, x ^ y)
DSM__INTEGER_MAP(INTEGER_SCANS)

SCANS(sum, bool, uint8_t, uint64_t, v != 0, x + y)
SCANS(prod, bool, uint8_t, uint64_t, v != 0, x &y)
SCANS(and, bool, uint8_t, uint8_t, v != 0, x &y)
SCANS(or, bool, uint8_t, uint8_t, v != 0, x | y)
SCANS(xor, bool, uint8_t, uint8_t, v != 0, x ^ y)

typedef struct {
    float re, im;
} complex64;
typedef struct {
    double re, im;
} complex128;

#define COMPLEX_SCANS(name)                                                    \
    SCANS(sum, name, name, name, v, ((name){x.re + y.re, x.im + y.im}))        \
    SCANS(prod, name, name, name, v,                                           \
          ((name){x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re}))
COMPLEX_SCANS(complex64)
COMPLEX_SCANS(complex128)

#define ENTRY(op, name)                                                        \
    {                                                                          \
        inclusive_##op##_##name, exclusive_##op##_##name                       \
    }
#define INTEGER_ROW(NAME, name, item, kind)                                    \
    [DSM_##NAME] = {ENTRY(sum, name), ENTRY(prod, name), ENTRY(min, name),     \
                    ENTRY(max, name), ENTRY(and, name),  ENTRY(or, name),      \
                    ENTRY(xor, name)},
#define FLOAT_ROW(NAME, name, item, kind)                                      \
    [DSM_##NAME] = {ENTRY(sum, name), ENTRY(prod, name), ENTRY(min, name),     \
                    ENTRY(max, name)},
#define COMPLEX_ROW(NAME, name, item, kind)                                    \
    [DSM_##NAME] = {ENTRY(sum, name), ENTRY(prod, name)},

const struct dsm__scan
    DSM__FOR_ISA(dsm__scans)[DSM__NUMBER_TYPES][DSM__BUILTINS] = {
        [DSM_BOOL] = {ENTRY(sum, bool), ENTRY(prod, bool), ENTRY(and, bool),
                      ENTRY(or, bool), ENTRY(and, bool), ENTRY(or, bool),
                      ENTRY(xor, bool)},
        DSM__INTEGER_MAP(INTEGER_ROW) DSM__FLOAT_MAP(FLOAT_ROW)
            DSM__COMPLEX_MAP(COMPLEX_ROW)};
