/* What the tests of operators and primitives share: the built-in operators, and
 * what they give for items of each type by the plainest of means. */
#ifndef TESTS_ITEMS_H
#define TESTS_ITEMS_H

#include <dsm/op.h>
#include <dsm/type.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* In the order of enum dsm__builtin.  `row` has a '+' for each type that has a
 * meaning in a dsm_worker_reduce, from DSM_BOOL on; `wide` in a dsm_reduce or a
 * dsm_scan, whose accumulators may be wider. */
static const struct builtin {
    const dsm_op *op;
    char sign;
    const char *row, *wide;
} builtins[] = {
    {&DSM_SUM, '+', "-++++++++++++", "+++++++++++++"},
    {&DSM_PROD, '*', "-++++++++++++", "+++++++++++++"},
    {&DSM_MIN, '<', "+++++++++++--", "+++++++++++--"},
    {&DSM_MAX, '>', "+++++++++++--", "+++++++++++--"},
    {&DSM_AND, '&', "+++++++++----", "+++++++++----"},
    {&DSM_OR, '|', "+++++++++----", "+++++++++----"},
    {&DSM_XOR, '^', "+++++++++----", "+++++++++----"},
};
#define BUILTINS (int)(sizeof builtins / sizeof *builtins)

static inline bool
is_real(dsm_type type)
{
    return type == DSM_FLOAT32 || type == DSM_FLOAT64;
}

static inline bool
is_complex(dsm_type type)
{
    return type == DSM_COMPLEX64 || type == DSM_COMPLEX128;
}

static inline bool
is_exact(dsm_type type)
{
    return type >= DSM_BOOL && type <= DSM_UINT64;
}

static inline bool
is_unsigned(dsm_type type)
{
    return type >= DSM_UINT8 && type <= DSM_UINT64;
}

/* The type of an accumulator. */
static inline dsm_type
accumulator_of(char sign, dsm_type type)
{
    if ((sign != '+' && sign != '*') || !is_exact(type))
        return type;
    return is_unsigned(type) ? DSM_UINT64 : DSM_INT64;
}

/* ---- Exact types: a number that is the item's value in 64 bits. */

static inline int64_t
load_item(dsm_type type, const void *items, size_t i)
{
    switch (type) {
    case DSM_BOOL:
        return ((const uint8_t *)items)[i] != 0;
    case DSM_INT8:
        return ((const int8_t *)items)[i];
    case DSM_INT16:
        return ((const int16_t *)items)[i];
    case DSM_INT32:
        return ((const int32_t *)items)[i];
    case DSM_UINT8:
        return ((const uint8_t *)items)[i];
    case DSM_UINT16:
        return ((const uint16_t *)items)[i];
    case DSM_UINT32:
        return ((const uint32_t *)items)[i];
    }
    return ((const int64_t *)items)[i];
}

static inline void
store_item(dsm_type type, void *items, size_t i, int64_t value)
{
    size_t size = dsm_type_size(type);

    /* Little-endian machines only, where the low bytes come first. */
    memcpy((char *)items + i * size, &value, size);
}

static inline int64_t
combine_exact(char sign, dsm_type type, int64_t x, int64_t y)
{
    bool less = type == DSM_UINT64 ? (uint64_t)x < (uint64_t)y : x < y;

    switch (sign) {
    case '+':
        return (int64_t)((uint64_t)x + (uint64_t)y);
    case '*':
        return (int64_t)((uint64_t)x * (uint64_t)y);
    case '<':
        return less ? x : y;
    case '>':
        return less ? y : x;
    case '&':
        return x & y;
    case '|':
        return x | y;
    }
    return x ^ y;
}

static inline int64_t
identity_exact(char sign, dsm_type type)
{
    size_t bits = 8 * dsm_type_size(type);
    /* Complex numbers, which have more, have no identity but 0 and 1. */
    uint64_t ones = UINT64_MAX >> (bits < 64 ? 64 - bits : 0);

    switch (sign) {
    case '*':
        return 1;
    case '<':
        if (type == DSM_BOOL)
            return 1;
        return (int64_t)(is_unsigned(type) ? ones : ones >> 1);
    case '>':
        if (type == DSM_BOOL || is_unsigned(type))
            return 0;
        return (int64_t)(~(ones >> 1));
    case '&':
        return type == DSM_BOOL ? 1 : -1;
    }
    return 0;
}

/* ---- Reals. */

static inline double
identity_real(char sign)
{
    return sign == '+'   ? 0
           : sign == '*' ? 1
           : sign == '<' ? (double)INFINITY
                         : -(double)INFINITY;
}

/* The first NaN stays, and of equal ones the first. */
#define COMBINE_REAL(name, real)                                               \
    static inline real combine_##name(char sign, real x, real y)               \
    {                                                                          \
        if (sign == '+')                                                       \
            return x + y;                                                      \
        if (sign == '*')                                                       \
            return x * y;                                                      \
        if (x != x)                                                            \
            return x;                                                          \
        if (sign == '<')                                                       \
            return x <= y ? x : y;                                             \
        return x >= y ? x : y;                                                 \
    }
COMBINE_REAL(float32, float)
COMBINE_REAL(float64, double)

/* ---- Items to try. */

/* SplitMix64; the same numbers in each run. */
static inline uint64_t
random_bits(void)
{
    static uint64_t state;
    uint64_t x = state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline void
random_bytes(void *bytes, size_t n)
{
    char *to = bytes;

    for (; n > 0; n -= n < 8 ? n : 8, to += 8) {
        uint64_t some = random_bits();

        memcpy(to, &some, n < 8 ? n : 8);
    }
}

/* Reals are close to 1 or -1, so that their products stay finite; a bool that
 * is true need not be 1. */
static inline void
random_items(dsm_type type, void *items, size_t n)
{
    size_t reals = is_complex(type) ? 2 * n : n;

    random_bytes(items, n * dsm_type_size(type));
    if (type == DSM_BOOL)
        for (size_t i = 0; i < n; i++)
            ((uint8_t *)items)[i] &= 3;
    if (type < DSM_FLOAT32 || type > DSM_COMPLEX128)
        return;
    for (size_t i = 0; i < reals; i++) {
        uint64_t bits = random_bits();
        double x = 0.999 + 0.002 * 0x1p-53 * (double)(bits >> 11);

        if (is_complex(type))
            x *= 0.7071;
        if (bits & 1)
            x = -x;
        if (type == DSM_FLOAT32 || type == DSM_COMPLEX64)
            ((float *)items)[i] = (float)x;
        else
            ((double *)items)[i] = x;
    }
}

#endif
