/* Scans of floating-point numbers, for scan.c; see each_real.h. */
#include "kernel/vector.h"

#undef INDICES
#if WIDTH == 2
#define INDICES(first) FROM_2(first)
#elif WIDTH == 4
#define INDICES(first) FROM_4(first)
#elif WIDTH == 8
#define INDICES(first) FROM_8(first)
#else
#define INDICES(first) FROM_16(first)
#endif

typedef struct {
    NAME(vector) r[REGISTERS];
} NAME(group);

/* The lanes of g, each `by` lanes further; the last lanes of `before` move
 * in. */
#define SHIFT(by)                                                              \
    static inline NAME(group)                                                  \
        NAME(shift_##by)(NAME(group) g, NAME(vector) before)                   \
    {                                                                          \
        NAME(group) to;                                                        \
                                                                               \
        for (int k = 0; k < REGISTERS; k++) {                                  \
            int from = k - (by) / WIDTH;                                       \
            NAME(vector) here = from >= 0 ? g.r[from] : before;                \
            NAME(vector) left = from >= 1 ? g.r[from - 1] : before;            \
                                                                               \
            to.r[k] =                                                          \
                (by) % WIDTH == 0                                              \
                    ? here                                                     \
                    : SHUFFLE(left, here, INDICES(WIDTH - (by) % WIDTH));      \
        }                                                                      \
        return to;                                                             \
    }

SHIFT(1)
SHIFT(2)
SHIFT(4)
#if REAL_BYTES == 4
SHIFT(8)
#endif

static inline NAME(group) NAME(load_group)(const REAL *from)
{
    NAME(group) g;

    for (int k = 0; k < REGISTERS; k++)
        g.r[k] = NAME(load)(from + k * WIDTH);
    return g;
}

static inline void
NAME(store_group)(REAL *to, NAME(group) g)
{
    for (int k = 0; k < REGISTERS; k++)
        NAME(store)(to + k * WIDTH, g.r[k]);
}

/* Its last lane, in all lanes. */
static inline NAME(vector) NAME(last)(NAME(group) g)
{
    return NAME(splat)(g.r[REGISTERS - 1][WIDTH - 1]);
}

#define SCAN(op, OF, OF_VECTORS, identity)                                     \
    static inline NAME(group) NAME(each_##op)(NAME(group) x, NAME(group) y)    \
    {                                                                          \
        for (int k = 0; k < REGISTERS; k++)                                    \
            y.r[k] = OF_VECTORS(x.r[k], y.r[k]);                               \
        return y;                                                              \
    }                                                                          \
                                                                               \
    static inline NAME(group) NAME(behind_##op)(NAME(vector) c, NAME(group) g) \
    {                                                                          \
        for (int k = 0; k < REGISTERS; k++)                                    \
            g.r[k] = OF_VECTORS(c, g.r[k]);                                    \
        return g;                                                              \
    }                                                                          \
                                                                               \
    static inline NAME(group) NAME(within_##op)(NAME(group) g)                 \
    {                                                                          \
        NAME(vector) none = NAME(splat)(identity);                             \
                                                                               \
        g = NAME(each_##op)(NAME(shift_1)(g, none), g);                        \
        g = NAME(each_##op)(NAME(shift_2)(g, none), g);                        \
        g = NAME(each_##op)(NAME(shift_4)(g, none), g);                        \
        LAST_SHIFT(op)                                                         \
        return g;                                                              \
    }                                                                          \
                                                                               \
    static inline __attribute__((always_inline)) void NAME(scan_##op)(         \
        REAL * to, const REAL *x, size_t n, REAL *carry, bool exclusive)       \
    {                                                                          \
        NAME(vector) c = NAME(splat)(*carry);                                  \
        REAL at;                                                               \
                                                                               \
        for (; n >= 4 * GROUP; n -= 4 * GROUP, x += 4 * GROUP) {               \
            NAME(group) x0 = NAME(within_##op)(NAME(load_group)(x));           \
            NAME(group) x1 = NAME(within_##op)(NAME(load_group)(x + GROUP));   \
            NAME(group)                                                        \
            x2 = NAME(within_##op)(NAME(load_group)(x + 2 * GROUP));           \
            NAME(group)                                                        \
            x3 = NAME(within_##op)(NAME(load_group)(x + 3 * GROUP));           \
            NAME(vector) t0 = NAME(last)(x0), t2 = NAME(last)(x2);             \
            NAME(vector) t1 = OF_VECTORS(t0, NAME(last)(x1));                  \
            NAME(vector) t3 = OF_VECTORS(t2, NAME(last)(x3));                  \
            NAME(vector) c1 = OF_VECTORS(c, t0), c2 = OF_VECTORS(c, t1);       \
            NAME(vector) c3 = OF_VECTORS(c2, t2);                              \
                                                                               \
            x0 = NAME(behind_##op)(c, x0);                                     \
            x1 = NAME(behind_##op)(c1, x1);                                    \
            x2 = NAME(behind_##op)(c2, x2);                                    \
            x3 = NAME(behind_##op)(c3, x3);                                    \
            if (exclusive) {                                                   \
                x3 = NAME(shift_1)(x3, x2.r[REGISTERS - 1]);                   \
                x2 = NAME(shift_1)(x2, x1.r[REGISTERS - 1]);                   \
                x1 = NAME(shift_1)(x1, x0.r[REGISTERS - 1]);                   \
                x0 = NAME(shift_1)(x0, c);                                     \
            }                                                                  \
            NAME(store_group)(to, x0);                                         \
            NAME(store_group)(to + GROUP, x1);                                 \
            NAME(store_group)(to + 2 * GROUP, x2);                             \
            NAME(store_group)(to + 3 * GROUP, x3);                             \
            to += 4 * GROUP;                                                   \
            c = OF_VECTORS(c2, t3);                                            \
        }                                                                      \
        at = c[0];                                                             \
        for (size_t i = 0; i < n; i++) {                                       \
            REAL next = OF(at, x[i]);                                          \
                                                                               \
            to[i] = exclusive ? at : next;                                     \
            at = next;                                                         \
        }                                                                      \
        *carry = at;                                                           \
    }                                                                          \
                                                                               \
    static void NAME(inclusive_##op)(void *out, const void *in, size_t n,      \
                                     void *carry)                              \
    {                                                                          \
        NAME(scan_##op)(out, in, n, carry, false);                             \
    }                                                                          \
                                                                               \
    static void NAME(exclusive_##op)(void *out, const void *in, size_t n,      \
                                     void *carry)                              \
    {                                                                          \
        NAME(scan_##op)(out, in, n, carry, true);                              \
    }

#undef LAST_SHIFT
#if REAL_BYTES == 4
#define LAST_SHIFT(op) g = NAME(each_##op)(NAME(shift_8)(g, none), g);
#else
#define LAST_SHIFT(op)
#endif

SCAN(sum, SUM_OF, SUM_OF_VECTORS, 0)
SCAN(prod, PROD_OF, PROD_OF_VECTORS, 1)
SCAN(min, MIN_OF, MIN_OF_VECTORS, (REAL)INFINITY)
SCAN(max, MAX_OF, MAX_OF_VECTORS, (REAL)-INFINITY)

#undef SHIFT
#undef SCAN
