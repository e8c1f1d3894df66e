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
#include <string.h>

typedef void kernel(void *acc, const void *right, size_t n,
                    const struct dsm__combiner *combiner);

/* What a built-in operator's arg points to; the index is the enum's. */
static const char *const builtin_names[DSM__BUILTINS] = {
    "SUM", "PROD", "MIN", "MAX", "AND", "OR", "XOR"};

static void
combine_untyped(void *acc, const void *right, const void *arg)
{
    (void)acc;
    (void)right;
    (void)arg;
}

#define BUILTIN(NAME)                                                          \
    const dsm_op DSM_##NAME = {.combine = combine_untyped,                     \
                               .arg = &builtin_names[DSM__##NAME]};
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
 * infinities right afterwards, NumPy's is this one.  The real part is made out
 * of line: gcc 12 takes both parts for one fused operation (vfmaddsub) where it
 * may use those, even if it is told to keep roundings apart. */
#define COMPLEX_KERNELS(name, real, real_name)                                 \
    static void sum_##name(void *acc, const void *right, size_t n,             \
                           const struct dsm__combiner *combiner)               \
    {                                                                          \
        sum_##real_name(acc, right, 2 * n, combiner);                          \
    }                                                                          \
                                                                               \
    static __attribute__((noinline))                                           \
    real real_part_##name(const real *x, const real *y)                        \
    {                                                                          \
        return x[0] * y[0] - x[1] * y[1];                                      \
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
            real re = real_part_##name(x + i, y + i);                          \
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
static kernel *const kernels[][DSM__BUILTINS] = {
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

/* DSM__BUILTINS for an operator of the user's own. */
static enum dsm__builtin
find_builtin(const dsm_op *op)
{
    enum dsm__builtin which = DSM__SUM;

    if (op->combine != combine_untyped)
        return DSM__BUILTINS;
    while (which < DSM__BUILTINS && op->arg != &builtin_names[which])
        which++;
    return which;
}

static kernel *
find_kernel(enum dsm__builtin which, dsm_type type)
{
    return type < sizeof kernels / sizeof *kernels ? kernels[type][which]
                                                   : NULL;
}

static int
no_meaning(enum dsm__builtin which, dsm_type type)
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
    enum dsm__builtin which = find_builtin(op);
    kernel *run = combine_each;

    if (!dsm__type_valid(type))
        return dsm__fail(-EINVAL, "%#x is no item type", type);
    if (which < DSM__BUILTINS) {
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

/* ---- Monoids. */

static int
bind_builtin(enum dsm__builtin which, const dsm_op *op, dsm_type items,
             struct dsm__monoid *out)
{
    const struct dsm__kernels *k = dsm__kernels();

    if (items < DSM__NUMBER_TYPES)
        out->fold = &k->folds[items][which];
    if (!out->fold || out->fold->accumulator == DSM_ANY)
        return no_meaning(which, items);
    out->scan = &k->scans[items][which];
    out->type = out->fold->accumulator;
    out->size = dsm_type_size(out->type);
    return dsm__op_combine_for(op, out->type, &out->combiner);
}

static int
bind_own(const dsm_op *op, struct dsm__monoid *out)
{
    if (!op->combine || op->combine == combine_untyped)
        return dsm__fail(-EINVAL, "the operator has no combine function");
    if (op->size == 0 || !op->identity)
        return dsm__fail(-EINVAL, "the operator has no %s",
                         op->size ? "identity" : "size");
    if (!op->fold && op->size != out->item_size)
        return dsm__fail(-EINVAL,
                         "the operator's size is %zu, but the items have %zu "
                         "bytes, and it has no fold function",
                         op->size, out->item_size);
    out->size = op->size;
    out->combiner = (struct dsm__combiner){combine_each, op->size, op};
    return 0;
}

int
dsm__op_bind(const dsm_op *op, dsm_type items, struct dsm__monoid *out)
{
    enum dsm__builtin which = find_builtin(op);

    *out = (struct dsm__monoid){.item_size = dsm_type_size(items), .op = op};
    return which < DSM__BUILTINS ? bind_builtin(which, op, items, out)
                                 : bind_own(op, out);
}

void
dsm__fold_open(const struct dsm__monoid *monoid, struct dsm__folding *folding,
               void *acc)
{
    folding->acc = acc;
    if (monoid->fold)
        monoid->fold->open(&folding->lanes);
    else
        memcpy(acc, monoid->op->identity, monoid->size);
}

void
dsm__fold_add(const struct dsm__monoid *monoid, struct dsm__folding *folding,
              const void *items, size_t first, size_t n)
{
    const dsm_op *op = monoid->op;

    if (monoid->fold)
        monoid->fold->fold(&folding->lanes, items, n);
    else if (op->fold)
        op->fold(folding->acc, items, first, n, op->arg);
    else
        for (size_t i = 0; i < n; i++)
            op->combine(folding->acc,
                        (const char *)items + i * monoid->item_size, op->arg);
}

void
dsm__fold_close(const struct dsm__monoid *monoid, struct dsm__folding *folding)
{
    if (monoid->fold)
        monoid->fold->close(folding->acc, &folding->lanes);
}

void
dsm__monoid_identity(const struct dsm__monoid *monoid, void *acc)
{
    struct dsm__folding folding;

    dsm__fold_open(monoid, &folding, acc);
    dsm__fold_close(monoid, &folding);
}

void
dsm__monoid_combine(const struct dsm__monoid *monoid, void *acc,
                    const void *right)
{
    monoid->combiner.run(acc, right, 1, &monoid->combiner);
}

static void
scan_each(const struct dsm__monoid *monoid, char *out, const char *in,
          size_t first, size_t n, struct dsm__folding *carry, bool exclusive,
          void *spare)
{
    for (size_t i = 0; i < n; i++, out += monoid->size) {
        /* Aside, as out may be in. */
        memcpy(spare, carry->acc, monoid->size);
        dsm__fold_add(monoid, carry, in + i * monoid->item_size, first + i, 1);
        memcpy(out, exclusive ? spare : carry->acc, monoid->size);
    }
}

void
dsm__monoid_scan(const struct dsm__monoid *monoid, void *out, const void *in,
                 size_t first, size_t n, void *carry, bool exclusive,
                 void *spare)
{
    struct dsm__folding folding = {.acc = carry};

    if (!monoid->scan)
        scan_each(monoid, out, in, first, n, &folding, exclusive, spare);
    else if (exclusive)
        monoid->scan->exclusive(out, in, n, carry);
    else
        monoid->scan->inclusive(out, in, n, carry);
}
