/* Operators at work: what a reduction runs on rows of items. */
#ifndef DSM_ARRAY_OP_H
#define DSM_ARRAY_OP_H

#include "kernel/kernel.h"

#include <dsm/op.h>
#include <dsm/type.h>

#include <stdbool.h>

/* An operator bound to an item type.  run sets acc[i] = acc[i] ∘ right[i] for n
 * items; both are aligned for the type and do not overlap. */
struct dsm__combiner {
    void (*run)(void *acc, const void *right, size_t n,
                const struct dsm__combiner *combiner);
    size_t item_size;
    const dsm_op *op; /* the caller's, which must outlive the combiner */
};

/* Fills *out for values of `type`.  0; -EINVAL, *out untouched: the type is not
 * valid, the operator has no meaning for it, or a user's operator has another
 * size or nothing to combine with. */
int dsm__op_combine_for(const dsm_op *op, dsm_type type,
                        struct dsm__combiner *out);

/* An operator bound to arrays of items, whose accumulators may be of another
 * type: a sum of int8 is an int64. */
struct dsm__monoid {
    size_t item_size, size; /* bytes of an item, and of an accumulator */
    dsm_type type;          /* of accumulators; DSM_ANY: the operator's own */
    const struct dsm__fold *fold; /* the kernels; NULL: the operator's own */
    const struct dsm__scan *scan;
    struct dsm__combiner combiner; /* of accumulators */
    const dsm_op *op;              /* must outlive the monoid */
};

/* 0; -EINVAL: the operator has no meaning for such items, or lacks something.
 */
int dsm__op_bind(const dsm_op *op, dsm_type items, struct dsm__monoid *out);

/* A fold under way. */
struct dsm__folding {
    struct dsm__lanes lanes; /* of a kernel */
    void *acc;
};

/* Folds items into *acc, beginning with the identity: open it, add pieces of
 * whole kibibytes of accumulators (the last may be any), close it.  `first` is
 * the index of a piece's first item. */
void dsm__fold_open(const struct dsm__monoid *monoid,
                    struct dsm__folding *folding, void *acc);
void dsm__fold_add(const struct dsm__monoid *monoid,
                   struct dsm__folding *folding, const void *items,
                   size_t first, size_t n);
void dsm__fold_close(const struct dsm__monoid *monoid,
                     struct dsm__folding *folding);

void dsm__monoid_identity(const struct dsm__monoid *monoid, void *acc);

/* acc = acc ∘ right */
void dsm__monoid_combine(const struct dsm__monoid *monoid, void *acc,
                         const void *right);

/* Scans items first .. first+n-1; *carry is what comes before them, and moves
 * on.  `spare` has room for an accumulator. */
void dsm__monoid_scan(const struct dsm__monoid *monoid, void *out,
                      const void *in, size_t first, size_t n, void *carry,
                      bool exclusive, void *spare);

#endif
