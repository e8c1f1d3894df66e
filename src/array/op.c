/* The built-in operators, and how any operator runs on a row of items.
 *
 * A built-in operator has no type of its own: its combine does nothing, and its
 * arg says which operator it is, so that a copy of it is still built in.  The
 * kernels, one for each operator and type that go together, are plain loops
 * that compilers turn into vector code; the table below finds them. */
#include "array/op.h"
#include "base/error.h"
#include "base/type.h"

#include <errno.h>
#include <stdbool.h>

enum builtin { SUM, PROD, MIN, MAX, AND, OR, XOR, BUILTINS };

typedef void kernel(void *acc, const void *right, size_t n,
                    const struct dsm__combiner *combiner);

/* What a built-in operator's arg points to; the index is the enum's. */
static const char *const builtin_names[BUILTINS] = {"SUM", "PROD", "MIN", "MAX",
                                                    "AND", "OR",   "XOR"};

static void
combine_untyped(void *acc, const void *right, const void *arg)
{
    (void)acc;
    (void)right;
    (void)arg;
}

#define BUILTIN(NAME)                                                          \
    const dsm_op DSM_##NAME = {.combine = combine_untyped,                     \
                               .arg = &builtin_names[NAME]};
BUILTIN(SUM)
BUILTIN(PROD)
BUILTIN(MIN)
BUILTIN(MAX)
BUILTIN(AND)
BUILTIN(OR)
BUILTIN(XOR)

/* A kernel that makes `combined` of x, from acc, and y, from right. */
#define KERNEL(function, item, combined)                                       \
    static void function(void *acc, const void *right, size_t n,               \
                         const struct dsm__combiner *combiner)                 \
    {                                                                          \
        item *restrict to = acc;                                               \
        const item *restrict from = right;                                     \
                                                                               \
        (void)combiner;                                                        \
        for (size_t i = 0; i < n; i++) {                                       \
            item x = to[i], y = from[i];                                       \
                                                                               \
            to[i] = (item)(combined);                                          \
        }                                                                      \
    }

/* Sums and products wrap: they are made in uint64_t, also because narrower
 * items would be promoted to int, which overflows. */
#define INTEGER_KERNELS(NAME, name, item, kind)                                \
    KERNEL(sum_##name, item, ((uint64_t)x + (uint64_t)y))                      \
    KERNEL(prod_##name, item, ((uint64_t)x * (uint64_t)y))                     \
    KERNEL(min_##name, item, x <= y ? x : y)                                   \
    KERNEL(max_##name, item, x >= y ? x : y)                                   \
    KERNEL(and_##name, item, (x & y))                                          \
    KERNEL(or_##name, item, (x | y))                                           \
    KERNEL(xor_##name, item, (x ^ y))
DSM__INTEGER_MAP(INTEGER_KERNELS)

/* The first NaN stays.  | where || would be a branch in the loop. */
#define FLOAT_KERNELS(NAME, name, item, kind)                                  \
    KERNEL(sum_##name, item, (x + y))                                          \
    KERNEL(prod_##name, item, (x * y))                                         \
    KERNEL(min_##name, item, ((x <= y) | (x != x)) ? x : y)                    \
    KERNEL(max_##name, item, ((x >= y) | (x != x)) ? x : y)
DSM__FLOAT_MAP(FLOAT_KERNELS)

/* Of bool, MIN is AND and MAX is OR. */
KERNEL(and_bool, uint8_t, (x != 0) & (y != 0))
KERNEL(or_bool, uint8_t, (x != 0) | (y != 0))
KERNEL(xor_bool, uint8_t, (x != 0) ^ (y != 0))

/* Complex numbers are pairs of reals here: C's own product is a call that sets
 * infinities right afterwards, NumPy's is this one. */
#define COMPLEX_KERNELS(name, real, real_name)                                 \
    static void sum_##name(void *acc, const void *right, size_t n,             \
                           const struct dsm__combiner *combiner)               \
    {                                                                          \
        sum_##real_name(acc, right, 2 * n, combiner);                          \
    }                                                                          \
                                                                               \
    static void prod_##name(void *acc, const void *right, size_t n,            \
                            const struct dsm__combiner *combiner)              \
    {                                                                          \
        real *restrict x = acc;                                                \
        const real *restrict y = right;                                        \
                                                                               \
        (void)combiner;                                                        \
        for (size_t i = 0; i < 2 * n; i += 2) {                                \
            real re = x[i] * y[i] - x[i + 1] * y[i + 1];                       \
                                                                               \
            x[i + 1] = x[i] * y[i + 1] + x[i + 1] * y[i];                      \
            x[i] = re;                                                         \
        }                                                                      \
    }
COMPLEX_KERNELS(complex64, float, float32)
COMPLEX_KERNELS(complex128, double, float64)

static void
combine_each(void *acc, const void *right, size_t n,
             const struct dsm__combiner *combiner)
{
    const dsm_op *op = combiner->op;
    size_t size = combiner->item_size;

    for (size_t i = 0; i < n; i++)
        op->combine((char *)acc + i * size, (const char *)right + i * size,
                    op->arg);
}

/* NULL: the operator has no meaning for the type. */
static kernel *const kernels[][BUILTINS] = {
#define INTEGER_ROW(NAME, name, item, kind)                                    \
    [DSM_##NAME] = {sum_##name, prod_##name, min_##name, max_##name,           \
                    and_##name, or_##name,   xor_##name},
#define FLOAT_ROW(NAME, name, item, kind)                                      \
    [DSM_##NAME] = {sum_##name, prod_##name, min_##name, max_##name},
#define COMPLEX_ROW(NAME, name, item, kind)                                    \
    [DSM_##NAME] = {sum_##name, prod_##name},
    [DSM_BOOL] = {NULL, NULL, and_bool, or_bool, and_bool, or_bool, xor_bool},
    DSM__INTEGER_MAP(INTEGER_ROW) DSM__FLOAT_MAP(FLOAT_ROW)
        DSM__COMPLEX_MAP(COMPLEX_ROW)};

/* BUILTINS for an operator of the user's own. */
static enum builtin
find_builtin(const dsm_op *op)
{
    enum builtin which = SUM;

    if (op->combine != combine_untyped)
        return BUILTINS;
    while (which < BUILTINS && op->arg != &builtin_names[which])
        which++;
    return which;
}

static kernel *
find_kernel(enum builtin which, dsm_type type)
{
    return type < sizeof kernels / sizeof *kernels ? kernels[type][which]
                                                   : NULL;
}

static int
no_meaning(enum builtin which, dsm_type type)
{
    if (type == DSM_BOOL)
        return dsm__fail(-EINVAL,
                         "DSM_%s of bool values does not fit into a bool: use "
                         "int64 values",
                         builtin_names[which]);
    return dsm__fail(-EINVAL, "DSM_%s has no meaning for %s values",
                     builtin_names[which], dsm_type_name(type));
}

static int
check_own(const dsm_op *op, dsm_type type)
{
    if (!op->combine || op->combine == combine_untyped)
        return dsm__fail(-EINVAL, "the operator has no combine function");
    if (op->size != dsm_type_size(type))
        return dsm__fail(-EINVAL,
                         "the operator's size is %zu, but a %s value has %zu "
                         "bytes",
                         op->size, dsm_type_name(type), dsm_type_size(type));
    return 0;
}

int
dsm__op_combine_for(const dsm_op *op, dsm_type type, struct dsm__combiner *out)
{
    enum builtin which = find_builtin(op);
    kernel *run = combine_each;

    if (!dsm__type_valid(type))
        return dsm__fail(-EINVAL, "%#x is no item type", type);
    if (which < BUILTINS) {
        run = find_kernel(which, type);
        if (!run)
            return no_meaning(which, type);
    } else {
        int error = check_own(op, type);

        if (error < 0)
            return error;
    }
    *out = (struct dsm__combiner){run, dsm_type_size(type), op};
    return 0;
}
