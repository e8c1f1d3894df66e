/* Operators at work: what a reduction runs on rows of items. */
#ifndef DSM_ARRAY_OP_H
#define DSM_ARRAY_OP_H

#include <dsm/op.h>
#include <dsm/type.h>

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

#endif
