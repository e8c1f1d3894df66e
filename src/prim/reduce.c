/* Reductions, and inner products, which are reductions of products.
 *
 * The blocks' results are combined along a binary tree over all blocks: a node
 * of height h has 2^h blocks from a multiple of 2^h on.  Each worker has a
 * contiguous share of the blocks and computes the largest nodes that lie within
 * it, from left to right; at most two of each height.  Whoever finishes
 * descends the same tree to these nodes, so the order of combination does not
 * depend on the shares. */
#include "array/op.h"
#include "base/error.h"
#include "prim/collective.h"

#include <dsm/primitives.h>

#include <errno.h>
#include <string.h>

struct reduce_task {
    struct dsm__task task;
    dsm_op op;
    dsm_type type; /* of the items */
    size_t n, block, blocks;
    unsigned heights;       /* of nodes: 0 to heights - 1 */
    const char *in, *other; /* `other` is dsm_dot's second vector, or NULL */
};

/* A worker's workspace holds the nodes, and then one spare accumulator for each
 * height and one more. */
#define NODES(heights) (2 * (size_t)(heights))
#define PLACES(heights) (3 * (size_t)(heights) + 1)

/* The reduction as one process sees it. */
struct view {
    const struct reduce_task *task;
    dsm_op op;
    struct dsm__monoid monoid;
    char *nodes, *spare; /* the process's own workspace */
    /* Finishing: the worker whose node comes next, and which one. */
    unsigned worker, workers;
    size_t node;
};

static void
look(struct view *view, const struct dsm__task *task, unsigned here,
     unsigned workers)
{
    const struct reduce_task *t = (const struct reduce_task *)task;

    *view = (struct view){.task = t, .workers = workers};
    view->op = dsm__given_op(task, &t->op);
    /* It could be bound before. */
    (void)dsm__op_bind(&view->op, t->type, &view->monoid);
    view->nodes = dsm__work(task, here);
    view->spare = view->nodes + NODES(t->heights) * view->monoid.size;
}

/* The height of the largest node that begins at `first` and ends by `end`. */
static unsigned
largest(size_t first, size_t end)
{
    unsigned height = 0;

    while (first % ((size_t)2 << height) == 0 && (end - first) >> height >= 2)
        height++;
    return height;
}

static void
fold_block(struct view *view, size_t block, void *acc)
{
    const struct reduce_task *t = view->task;
    const struct dsm__monoid *monoid = &view->monoid;
    size_t first = block * t->block, at = first * monoid->item_size;
    size_t n = dsm__block_length(t->n, t->block, block);
    struct dsm__folding folding;

    dsm__fold_open(monoid, &folding, acc);
    if (t->other)
        dsm__kernels()->dots[t->type](&folding.lanes, t->in + at, t->other + at,
                                      n);
    else
        dsm__fold_add(monoid, &folding, t->in + at, first, n);
    dsm__fold_close(monoid, &folding);
}

static void
fold_node(struct view *view, size_t first, unsigned height, void *acc)
{
    char *right = view->spare + height * view->monoid.size;

    if (height == 0) {
        fold_block(view, first, acc);
        return;
    }
    fold_node(view, first, height - 1, acc);
    fold_node(view, first + ((size_t)1 << (height - 1)), height - 1, right);
    dsm__monoid_combine(&view->monoid, acc, right);
}

static int
reduce_part(dsm_worker *self, const struct dsm__task *task)
{
    const struct reduce_task *t = (const struct reduce_task *)task;
    dsm_range share = dsm_worker_range(self, t->blocks);
    struct view view;
    size_t item, begin, end;
    char *node;

    if (share.begin == share.end)
        return 0;
    look(&view, task, self->id, self->count);
    item = view.monoid.item_size;
    begin = share.begin * t->block * item;
    end = (share.end == t->blocks ? t->n : share.end * t->block) * item;
    dsm__populate(self, t->in + begin, end - begin);
    if (t->other)
        dsm__populate(self, t->other + begin, end - begin);
    node = view.nodes;
    for (size_t b = share.begin; b < share.end; node += view.monoid.size) {
        unsigned height = largest(b, share.end);

        fold_node(&view, b, height, node);
        b += (size_t)1 << height;
    }
    return 0;
}

/* The value of a node, out of those that the workers left.  In the order in
 * which a descent meets them. */
static void
find_node(struct view *view, size_t first, unsigned height, void *acc)
{
    const struct reduce_task *t = view->task;
    size_t size = view->monoid.size, half = ((size_t)1 << height) / 2;
    char *right = view->spare + height * size;

    while (first >= dsm_split(t->blocks, view->workers, view->worker).end) {
        view->worker++;
        view->node = 0;
    }
    if (first + ((size_t)1 << height) <=
        dsm_split(t->blocks, view->workers, view->worker).end) {
        memcpy(acc,
               (char *)dsm__work(&t->task, view->worker) + view->node++ * size,
               size);
        return;
    }
    find_node(view, first, height - 1, acc);
    find_node(view, first + half, height - 1, right);
    dsm__monoid_combine(&view->monoid, acc, right);
}

static void
reduce_finish(const struct dsm__task *task, unsigned workers, unsigned here,
              void *result)
{
    const struct reduce_task *t = (const struct reduce_task *)task;
    struct view view;
    char *next;

    look(&view, task, here, workers);
    next = view.spare + t->heights * view.monoid.size;
    dsm__monoid_identity(&view.monoid, result);
    for (size_t b = 0; b < t->blocks;) {
        unsigned height = largest(b, t->blocks);

        find_node(&view, b, height, b ? next : result);
        if (b)
            dsm__monoid_combine(&view.monoid, result, next);
        b += (size_t)1 << height;
    }
}

static const struct dsm__primitive reduction = {"dsm_reduce", reduce_part,
                                                reduce_finish};
static const struct dsm__primitive product = {"dsm_dot", reduce_part,
                                              reduce_finish};

static int
reduce(dsm_cluster *cluster, const struct dsm__primitive *primitive,
       void *result, size_t result_size, const dsm_array *in,
       const dsm_array *other, const dsm_op *op)
{
    struct reduce_task t = {.op = *op, .type = dsm_array_type(in)};
    struct dsm__monoid monoid;
    int error = dsm__op_bind(op, t.type, &monoid);

    if (error)
        return error;
    if (result_size != monoid.size)
        return dsm__fail(-EINVAL,
                         "%s: the result has %zu bytes, but an accumulator "
                         "(%s) has %zu",
                         primitive->name, result_size,
                         monoid.type ? dsm_type_name(monoid.type)
                                     : "the operator's own",
                         monoid.size);
    t.n = dsm_array_count(in);
    t.block = dsm__block_items(monoid.item_size);
    t.blocks = (t.n + t.block - 1) / t.block;
    t.heights = largest(0, t.blocks) + 1;
    t.in = dsm_array_data(in);
    t.other = other ? dsm_array_data(other) : NULL;
    error = dsm__give_op(cluster, &t.task, op);
    if (error)
        return error;
    return dsm__collective(cluster, primitive, &t.task, sizeof t,
                           PLACES(t.heights) * monoid.size, result);
}

int
dsm_reduce(dsm_cluster *cluster, void *result, size_t result_size,
           const dsm_array *in, const dsm_op *op)
{
    int error = dsm__primitive_check(cluster, __func__, in, NULL);

    return error
               ? error
               : reduce(cluster, &reduction, result, result_size, in, NULL, op);
}

int
dsm_dot(dsm_cluster *cluster, void *result, size_t result_size,
        const dsm_array *x, const dsm_array *y)
{
    int error = dsm__primitive_check(cluster, __func__, x, y, NULL);

    if (!error)
        error = dsm__check_counts(__func__, x, y);
    if (error)
        return error;
    if (dsm_array_type(x) != dsm_array_type(y))
        return dsm__fail(-EINVAL, "dsm_dot: '%s' has items of %s, '%s' of %s",
                         dsm_array_name(x), dsm_type_name(dsm_array_type(x)),
                         dsm_array_name(y), dsm_type_name(dsm_array_type(y)));
    if (dsm_array_type(x) >= DSM__NUMBER_TYPES)
        return dsm__fail(-EINVAL, "dsm_dot: '%s' has items of %s, not numbers",
                         dsm_array_name(x), dsm_type_name(dsm_array_type(x)));
    return reduce(cluster, &product, result, result_size, x, y, &DSM_SUM);
}
