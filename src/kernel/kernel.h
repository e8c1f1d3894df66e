/* Kernels: the inner loops of the primitives, one for each item type, compiled
 * once for each instruction set and chosen when the program runs.
 *
 * The result of a kernel is a matter of its definition, never of the width of
 * the vectors: integers may be combined in any order, and floating-point
 * numbers have a fixed number of lanes and fixed groups (see fold.c, scan.c).
 * No kernel needs its arguments aligned beyond their type, unless it says so.
 */
#ifndef DSM_KERNEL_KERNEL_H
#define DSM_KERNEL_KERNEL_H

#include "base/type.h"

#include <stddef.h>
#include <stdint.h>

enum dsm__builtin {
    DSM__SUM,
    DSM__PROD,
    DSM__MIN,
    DSM__MAX,
    DSM__AND,
    DSM__OR,
    DSM__XOR,
    DSM__BUILTINS
};

enum { DSM__NUMBER_TYPES = DSM_COMPLEX128 + 1 };

/* A fold under way: item i of a block is in lane i modulo their number. */
struct dsm__lanes {
    _Alignas(64) char bytes[256];
};

/* Reduction of a block: open, fold pieces of whole multiples of 64 items (the
 * last may be any), close into an accumulator. */
struct dsm__fold {
    dsm_type accumulator; /* DSM_ANY: the operator has no meaning */
    void (*open)(struct dsm__lanes *lanes);
    void (*fold)(struct dsm__lanes *lanes, const void *items, size_t n);
    void (*close)(void *accumulator, const struct dsm__lanes *lanes);
};

/* out[i] = *carry ∘ in[0] ∘ … ∘ in[i], or in[i-1] in the exclusive one; *carry
 * moves on behind in[n-1].  A block may be scanned in pieces of whole multiples
 * of 64 items.  out may be in. */
struct dsm__scan {
    void (*inclusive)(void *out, const void *in, size_t n, void *carry);
    void (*exclusive)(void *out, const void *in, size_t n, void *carry);
};

/* Random numbers: of a uniform distribution from a to below b, or of a normal
 * one of mean a and deviation b. */
struct dsm__random {
    uint64_t seed;
    double a, b;
    double least, greatest; /* of the uniform ones, as numbers of their type */
};

/* Makes the items of `pairs` pairs, the first of which has the number `pair`.
 * A pair is two neighbours, and depends on its number alone. */
typedef void dsm__draw(void *out, const struct dsm__random *random,
                       uint64_t pair, size_t pairs);

struct dsm__kernels {
    const char *name;
    const struct dsm__fold (*folds)[DSM__BUILTINS];
    const struct dsm__scan (*scans)[DSM__BUILTINS];

    /* Adds x[i] * y[i] to lanes that the type's SUM opens and closes. */
    void (*const *dots)(struct dsm__lanes *lanes, const void *x, const void *y,
                        size_t n);

    /* Sets bit i of bits to keep[i] != 0 for n items, the rest of the last word
     * to 0; returns how many are set. */
    size_t (*mark)(uint64_t *bits, const uint8_t *keep, size_t n);

    /* Packs the items whose bit is set; returns how many.  Index: the logarithm
     * of the item's size, 0 to 4.  Up to 64 bytes behind the last item that is
     * written may be overwritten, too. */
    size_t (*const *packs)(void *out, const void *in, const uint64_t *bits,
                           size_t n);

    /* Copies whole lines past the caches; `to` is a multiple of 64.  The stores
     * are ordered with others only after dsm__stream_end. */
    void (*stream)(void *to, const void *from, size_t lines);

    /* sums[r] = the inner product of x and row r, which begins r * stride items
     * behind `rows`, for `count` rows.  NULL for a type that has none. */
    void (*const *row_dots)(void *sums, const void *rows, size_t stride,
                            const void *x, size_t n, size_t count);

    /* NULL for types other than float32 and float64. */
    dsm__draw *const *uniforms, *const *normals;
};

/* The best ones that this CPU runs; the same at each call. */
const struct dsm__kernels *dsm__kernels(void);

/* Each set that was built and runs here, the best first; NULL from the last
 * on. */
const struct dsm__kernels *dsm__kernels_at(unsigned index);

/* Ends a run of streaming stores: what follows is seen after them. */
static inline void
dsm__stream_end(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_sfence();
#endif
}

#endif
