/* Vectors of floating-point numbers, for the kernels that are written once and
 * included for float and for double.  Before it is included,
 *
 *     REAL         is float or double
 *     REAL_BYTES   4 or 8
 *     MASK         the signed integer of that size
 *     NAME(x)      x with the type's name behind
 *
 * A group is 64 bytes: one register of AVX-512, two of AVX2, four of SSE2 or
 * NEON.  Kernels are defined by groups, so their results do not depend on the
 * registers. */
#undef WIDTH
#undef GROUP
#undef REGISTERS
#define WIDTH (DSM__VECTOR / REAL_BYTES) /* lanes of a register */
#define GROUP (64 / REAL_BYTES)          /* lanes of a group */
#define REGISTERS (64 / DSM__VECTOR)     /* of a group */

typedef REAL NAME(vector) __attribute__((vector_size(DSM__VECTOR)));
typedef MASK NAME(mask) __attribute__((vector_size(DSM__VECTOR)));

static inline NAME(vector) NAME(load)(const REAL *from)
{
    NAME(vector) v;

    memcpy(&v, from, sizeof v);
    return v;
}

static inline void
NAME(store)(REAL *to, NAME(vector) v)
{
    memcpy(to, &v, sizeof v);
}

static inline NAME(vector) NAME(splat)(REAL x)
{
    return x - (NAME(vector)){0};
}

/* m ? x : y, where a lane of m is all ones or all zeros. */
static inline NAME(vector)
    NAME(select)(NAME(mask) m, NAME(vector) x, NAME(vector) y)
{
    return (NAME(vector))(((NAME(mask))x & m) | ((NAME(mask))y & ~m));
}

/* Lanes of x and then of y, by constant numbers.  gcc before 12 has no
 * __builtin_shufflevector. */
#ifndef SHUFFLE
#ifdef __clang__
#define SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define SHUFFLE(x, y, ...) __builtin_shuffle(x, y, (NAME(mask)){__VA_ARGS__})
#endif
#endif

#ifndef SUM_OF
/* The operators, on numbers and on vectors.  The first NaN stays, as in
 * array/op.c. */
#define SUM_OF(x, y) ((x) + (y))
#define PROD_OF(x, y) ((x) * (y))
#define MIN_OF(x, y) ((((x) <= (y)) | ((x) != (x))) ? (x) : (y))
#define MAX_OF(x, y) ((((x) >= (y)) | ((x) != (x))) ? (x) : (y))
#define SUM_OF_VECTORS(x, y) ((x) + (y))
#define PROD_OF_VECTORS(x, y) ((x) * (y))
#define MIN_OF_VECTORS(x, y) NAME(select)(((x) <= (y)) | ((x) != (x)), x, y)
#define MAX_OF_VECTORS(x, y) NAME(select)(((x) >= (y)) | ((x) != (x)), x, y)
#endif
