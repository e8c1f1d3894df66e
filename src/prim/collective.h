/* Primitives: what they have in common.
 *
 * A primitive is a function that every worker runs, its part, over a task that
 * says what is to be done.  Called by the controller it is a region of its own;
 * called in a region, by every worker, each runs its part of its own copy of
 * the task, and all meet at the worker barrier.  Then `finish` makes the result
 * of what the parts left in their workspaces: in the controller, or in each
 * worker. */
#ifndef DSM_PRIM_COLLECTIVE_H
#define DSM_PRIM_COLLECTIVE_H

#include "array/array.h"
#include "cluster/cluster.h"

/* A piece of the caller's memory that parts read.  With a size it is copied
 * behind the task for the workers of a region, and `at` then is its distance
 * from the task; dsm__given() finds it in both cases. */
struct dsm__given {
    uintptr_t at;
    size_t size;
};

struct dsm__task {
    const struct dsm__primitive *primitive;
    struct dsm__given argument, identity; /* the latter of an operator */
    /* Where the first worker's workspace is, and how far apart they are. */
    char *work;
    size_t stride;
};

struct dsm__primitive {
    const char *name;
    /* The part of a worker: 0, or a code that makes the call fail. */
    int (*part)(dsm_worker *self, const struct dsm__task *task);
    /* NULL: there is no result.  `here` is the worker whose workspace the
     * caller may write: its own, or in the controller any. */
    void (*finish)(const struct dsm__task *task, unsigned workers,
                   unsigned here, void *result);
};

/* The first thing that a primitive calls, with its arrays, and NULL behind
 * them: they are not to be followed before.  0, or with a sentence -EPERM:
 * it may not be called here; -EINVAL: an array is another cluster's; -ENOENT:
 * it was destroyed. */
DSM_API int dsm__primitive_check(dsm_cluster *cluster, const char *call, ...)
    __attribute__((sentinel));

/* Runs a primitive whose task, of `size` bytes, begins with *task; each worker
 * has at least `work` bytes of workspace.  *result is made by finish. */
int dsm__collective(dsm_cluster *cluster,
                    const struct dsm__primitive *primitive,
                    struct dsm__task *task, size_t size, size_t work,
                    void *result);

/* Notes the caller's argument in the task.  -EINVAL: with no size it must be
 * NULL or shared. */
int dsm__give_argument(dsm_cluster *cluster, struct dsm__task *task,
                       const void *arg, size_t arg_size);

/* The same for an operator's identity and argument; and the operator as parts
 * are to use it. */
int dsm__give_op(dsm_cluster *cluster, struct dsm__task *task,
                 const dsm_op *op);
dsm_op dsm__given_op(const struct dsm__task *task, const dsm_op *op);

static inline const void *
dsm__given(const struct dsm__task *task, const struct dsm__given *given)
{
    return (const void *)((given->size ? (uintptr_t)task : 0) + given->at);
}

/* The workspace of a worker. */
static inline void *
dsm__work(const struct dsm__task *task, unsigned worker)
{
    return task->work + worker * task->stride;
}

/* Items of a block: how arrays are cut.  A matter of the item's size alone, so
 * that results do not depend on the workers.  At most half of a core's cache of
 * the second level, and not so little that passing on a prefix costs anything.
 */
static inline size_t
dsm__block_items(size_t item_size)
{
    size_t items = ((size_t)128 << 10) / item_size;

    return items > 0 ? items : 1;
}

/* Items of block `block` of n items; 0 behind the last. */
static inline size_t
dsm__block_length(size_t n, size_t block_items, size_t block)
{
    size_t first = block * block_items;

    if (first >= n)
        return 0;
    return n - first < block_items ? n - first : block_items;
}

/* Fills this worker's page table for a range of an array's data. */
static inline void
dsm__populate(const dsm_worker *self, const void *from, size_t bytes)
{
    dsm__space_populate(&self->cluster->member.space, from, bytes);
}

/* 0; -EINVAL with a sentence: the arrays overlap, unless they are the same
 * items and `same` allows it. */
DSM_API int dsm__check_apart(const char *call, const dsm_array *out,
                             const dsm_array *in, bool same);

/* 0; -EINVAL with a sentence: they have not equally many items. */
int dsm__check_counts(const char *call, const dsm_array *a, const dsm_array *b);

/* 0; -EINVAL with a sentence: the products' factors are no integers, which
 * items of int32 and int64 need. */
DSM_API int dsm__check_factors(const char *call, dsm_type type, double alpha,
                               double beta);

#endif
