/* Operators: associative operations with an identity (monoids), for reductions
 * and scans. */
#ifndef DSM_OP_H
#define DSM_OP_H

#include <dsm/attributes.h>

#include <stddef.h>

DSM_BEGIN_DECLS

/* An operator.  It is copied where it is used, its identity and argument
 * included.  It must be associative and need not commute: values are always
 * combined in index order. */
typedef struct dsm_op {
    /* Bytes of an accumulator; 0 in the built-in ones, which take the type of
     * the array. */
    size_t size;
    /* An accumulator that changes nothing: `size` bytes. */
    const void *identity;
    /* acc = acc ∘ right */
    void (*combine)(void *acc, const void *right, const void *arg);
    /* Adds items first .. first+n-1, which lie at `items`, to acc; they may
     * differ in type from acc (argmax).  NULL: combine on each. */
    void (*fold)(void *acc, const void *items, size_t first, size_t n,
                 const void *arg);
    const void *arg;
    size_t arg_size;
} dsm_op;

/* The built-in operators.  SUM and PROD: every number type.  MIN and MAX:
 * every real one and bool; a NaN wins, as in NumPy.  AND, OR and XOR: bitwise
 * on integers, logical on bool. */
DSM_API extern const dsm_op DSM_SUM;
DSM_API extern const dsm_op DSM_PROD;
DSM_API extern const dsm_op DSM_MIN;
DSM_API extern const dsm_op DSM_MAX;
DSM_API extern const dsm_op DSM_AND;
DSM_API extern const dsm_op DSM_OR;
DSM_API extern const dsm_op DSM_XOR;

DSM_END_DECLS

#endif
