/* Scans.
 *
 * Blocks go round among the workers, and prefixes from block to block by the
 * relay.  To know what its block adds a worker must fold it before it scans it;
 * so it folds its next block, which comes from memory, while it scans the
 * present one, which is in its cache, in turns of a kibibyte: short enough for
 * reading and writing to overlap in the core. */
#include "array/op.h"
#include "base/error.h"
#include "prim/collective.h"
#include "prim/relay.h"
#include "prim/writer.h"

#include <dsm/primitives.h>

#include <errno.h>
#include <string.h>

/* Bytes of a turn, and how far ahead of it the next block is fetched. */
#define TURN ((size_t)1024)
#define AHEAD ((size_t)2048)

struct scan_task {
    struct dsm__task task;
    dsm_op op;
    dsm_type type; /* of in's items */
    bool exclusive;
    size_t n, block, blocks;
    const char *in;
    char *out;
};

/* A worker's scan. */
struct scan {
    const struct scan_task *task;
    dsm_op op;
    struct dsm__monoid monoid;
    struct dsm__relay relay;
    struct dsm__writer writer;
    size_t turn;               /* items of a turn */
    bool stream;               /* past the caches */
    char *sum, *carry, *spare; /* accumulators: of the next block, and so on */
};

static const char *
items_at(const struct scan *scan, size_t first)
{
    return scan->task->in + first * scan->monoid.item_size;
}

static void
scan_turn(struct scan *scan, size_t first, size_t n)
{
    const struct scan_task *t = scan->task;
    size_t size = scan->monoid.size;
    void *to =
        scan->stream ? dsm__writer_room(&scan->writer) : t->out + first * size;

    dsm__monoid_scan(&scan->monoid, to, items_at(scan, first), first, n,
                     scan->carry, t->exclusive, scan->spare);
    if (scan->stream)
        dsm__writer_wrote(&scan->writer, n * size);
}

static void
fold_turn(struct scan *scan, struct dsm__folding *folding, size_t first,
          size_t n)
{
    const char *items = items_at(scan, first);

    for (size_t k = 0; k < n * scan->monoid.item_size; k += 64)
        __builtin_prefetch(items + AHEAD + k, 0, 2);
    dsm__fold_add(&scan->monoid, folding, items, first, n);
}

/* Items of a block; 0 behind the last. */
static size_t
length(const struct scan_task *t, size_t block)
{
    return dsm__block_length(t->n, t->block, block);
}

/* Scans a block and folds another meanwhile; both turn by turn. */
static void
scan_block(struct scan *scan, size_t block, size_t next)
{
    const struct scan_task *t = scan->task;
    size_t here = length(t, block), there = length(t, next);
    size_t most = here > there ? here : there;
    struct dsm__folding folding;

    dsm__populate(scan->relay.self, items_at(scan, next * t->block),
                  there * scan->monoid.item_size);
    dsm__populate(scan->relay.self,
                  t->out + block * t->block * scan->monoid.size,
                  here * scan->monoid.size);
    if (scan->stream)
        dsm__writer_begin(&scan->writer,
                          t->out + block * t->block * scan->monoid.size, true);
    dsm__fold_open(&scan->monoid, &folding, scan->sum);
    for (size_t at = 0; at < most; at += scan->turn) {
        if (at < there)
            fold_turn(scan, &folding, next * t->block + at,
                      there - at < scan->turn ? there - at : scan->turn);
        if (at < here)
            scan_turn(scan, block * t->block + at,
                      here - at < scan->turn ? here - at : scan->turn);
    }
    dsm__fold_close(&scan->monoid, &folding);
    if (scan->stream)
        dsm__writer_end(&scan->writer);
}

/* What comes behind a block goes to the next one before it is scanned. */
static int
relay_block(struct scan *scan, size_t block)
{
    size_t size = scan->monoid.size;
    int error = 0;

    if (block > 0)
        error = dsm__relay_take(&scan->relay, block, scan->carry);
    else
        dsm__monoid_identity(&scan->monoid, scan->carry);
    if (error)
        return error;
    memcpy(scan->spare, scan->carry, size);
    dsm__monoid_combine(&scan->monoid, scan->spare, scan->sum);
    dsm__relay_give(&scan->relay, block, scan->spare);
    return 0;
}

static void
begin(struct scan *scan, dsm_worker *self, const struct scan_task *t)
{
    size_t largest;

    scan->task = t;
    scan->op = dsm__given_op(&t->task, &t->op);
    /* It could be bound before. */
    (void)dsm__op_bind(&scan->op, t->type, &scan->monoid);
    largest = scan->monoid.size > scan->monoid.item_size
                  ? scan->monoid.size
                  : scan->monoid.item_size;
    scan->turn = TURN > largest ? TURN / largest : 1;
    scan->stream = t->out != t->in && scan->monoid.size <= TURN &&
                   dsm__writer_streams(t->n * scan->monoid.size);
    /* Behind the relay's place. */
    scan->sum = (char *)dsm__work(&t->task, self->id) + scan->monoid.size;
    scan->carry = scan->sum + scan->monoid.size;
    scan->spare = scan->carry + scan->monoid.size;
}

static int
scan_part(dsm_worker *self, const struct dsm__task *task)
{
    const struct scan_task *t = (const struct scan_task *)task;
    struct scan scan;
    size_t block = self->id;
    int error;

    begin(&scan, self, t);
    error = dsm__relay_open(&scan.relay, self, scan.monoid.size, task->work,
                            task->stride);
    if (error)
        return error;
    scan_block(&scan, t->blocks, block); /* folds the first */
    for (; block < t->blocks; block += self->count) {
        error = relay_block(&scan, block);
        if (error)
            return error;
        scan_block(&scan, block, block + self->count);
    }
    return 0;
}

static const struct dsm__primitive primitive = {"dsm_scan", scan_part, NULL};

static int
check(const dsm_array *out, const dsm_array *in,
      const struct dsm__monoid *monoid, dsm_scan_kind kind)
{
    int error = dsm__check_counts("dsm_scan", out, in);

    if (!error)
        error = dsm__check_apart("dsm_scan", out, in, true);
    if (error)
        return error;
    if (kind != DSM_SCAN_INCLUSIVE && kind != DSM_SCAN_EXCLUSIVE)
        return dsm__fail(-EINVAL, "dsm_scan: there is no scan of kind %d",
                         (int)kind);
    if (monoid->type ? dsm_array_type(out) != monoid->type
                     : dsm_array_item_size(out) != monoid->size)
        return dsm__fail(
            -EINVAL,
            "dsm_scan: '%s' has items of %s (%zu bytes), but the "
            "accumulators are %s of %zu bytes",
            dsm_array_name(out), dsm_type_name(dsm_array_type(out)),
            dsm_array_item_size(out),
            monoid->type ? dsm_type_name(monoid->type) : "the operator's own",
            monoid->size);
    return 0;
}

int
dsm_scan(dsm_cluster *cluster, dsm_array *out, const dsm_array *in,
         const dsm_op *op, dsm_scan_kind kind)
{
    struct scan_task t = {.op = *op, .exclusive = kind == DSM_SCAN_EXCLUSIVE};
    struct dsm__monoid monoid;
    int error = dsm__primitive_check(cluster, __func__, out, in, NULL);

    if (!error)
        error = dsm__op_bind(op, dsm_array_type(in), &monoid);
    if (!error)
        error = check(out, in, &monoid, kind);
    if (!error)
        error = dsm__give_op(cluster, &t.task, op);
    if (error)
        return error;
    t.type = dsm_array_type(in);
    t.n = dsm_array_count(in);
    t.block = dsm__block_items(monoid.item_size);
    t.blocks = (t.n + t.block - 1) / t.block;
    t.in = dsm_array_data(in);
    t.out = dsm_array_data(out);
    return dsm__collective(cluster, &primitive, &t.task, sizeof t,
                           4 * monoid.size, NULL);
}
