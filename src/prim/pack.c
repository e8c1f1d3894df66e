/* Compaction: pack, and filter, which makes the mask on the way.
 *
 * As a scan (scan.c) of how many items stay: while a worker packs a block it
 * marks and counts its next one, in turns, and the sum passes from block to
 * block by the relay.  The marks of both blocks stay in its cache, as bits. */
#include "base/error.h"
#include "prim/collective.h"
#include "prim/relay.h"
#include "prim/writer.h"

#include <dsm/primitives.h>

#include <errno.h>
#include <string.h>

/* Items of a turn; large items are packed in smaller pieces. */
#define TURN ((size_t)1024)
#define BITS_WORDS ((((size_t)128 << 10) + 63) / 64) /* of items of a byte */

struct pack_task {
    struct dsm__task task;
    dsm_predicate predicate;
    size_t n, size, block, blocks, room;
    const char *in;
    const uint8_t *mask; /* if there is no predicate */
    char *out;           /* NULL: only count */
};

typedef size_t pack_kernel(void *out, const void *in, const uint64_t *bits,
                           size_t n);

/* A worker's compaction. */
struct packing {
    const struct pack_task *task;
    const void *arg; /* the predicate's */
    size_t (*mark)(uint64_t *bits, const uint8_t *keep, size_t n);
    pack_kernel *kernel; /* NULL: none for items of that size */
    size_t turn;         /* items */
    struct dsm__relay relay;
    struct dsm__writer writer;
    bool stream;
    size_t count; /* of items that stay in the next block */
    int half;     /* the bits of the block that is packed next */
    uint64_t bits[2][BITS_WORDS];
};

static size_t
length(const struct pack_task *t, size_t block)
{
    return dsm__block_length(t->n, t->block, block);
}

static void
mark_turn(struct packing *p, uint64_t *bits, size_t first, size_t n)
{
    const struct pack_task *t = p->task;
    uint8_t made[TURN];
    const uint8_t *keep = made;

    if (t->predicate)
        t->predicate(made, t->in + first * t->size, n, p->arg);
    else
        keep = t->mask + first;
    p->count += p->mark(bits, keep, n);
}

/* One by one, and no more than there is room for. */
static void
pack_carefully(const struct pack_task *t, size_t to, const char *from,
               const uint64_t *bits, size_t n)
{
    for (size_t i = 0; i < n && to < t->room; i++) {
        if (!(bits[i / 64] >> i % 64 & 1))
            continue;
        memcpy(t->out + to * t->size, from + i * t->size, t->size);
        to++;
    }
}

/* Packs a block to item `to` of the output while it marks another; turn by
 * turn.  Without `pack` it only marks. */
static void
pack_block(struct packing *p, size_t block, size_t next, size_t to, bool pack)
{
    const struct pack_task *t = p->task;
    size_t here = pack ? length(t, block) : 0, there = length(t, next);
    size_t most = here > there ? here : there;
    const uint64_t *bits = p->bits[p->half];
    uint64_t *marks = p->bits[!p->half];

    if (here)
        dsm__writer_begin(&p->writer, t->out + to * t->size, p->stream);
    for (size_t at = 0; at < most; at += p->turn) {
        size_t some = here - at < p->turn ? here - at : p->turn;

        if (at < there)
            mark_turn(p, marks + at / 64, next * t->block + at,
                      there - at < p->turn ? there - at : p->turn);
        if (at < here)
            dsm__writer_wrote(
                &p->writer,
                t->size * p->kernel(dsm__writer_room(&p->writer),
                                    t->in + (block * t->block + at) * t->size,
                                    bits + at / 64, some));
    }
    if (here)
        dsm__writer_end(&p->writer);
    p->half = !p->half;
}

/* The kernel for items of that size, if there is one. */
static pack_kernel *
find_kernel(const struct dsm__kernels *kernels, size_t size)
{
    for (unsigned k = 0; k < 5; k++)
        if (size == (size_t)1 << k)
            return kernels->packs[k];
    return NULL;
}

static void
populate(const struct packing *p, size_t next, size_t to, size_t count)
{
    const struct pack_task *t = p->task;
    dsm_worker *self = p->relay.self;

    dsm__populate(self, t->in + next * t->block * t->size,
                  length(t, next) * t->size);
    if (t->mask)
        dsm__populate(self, t->mask + next * t->block, length(t, next));
    if (count > 0)
        dsm__populate(self, t->out + to * t->size, count * t->size);
}

/* One by one, as an initializer would set all the bits and buffers, too. */
static void
begin(struct packing *p, const struct pack_task *t)
{
    const struct dsm__kernels *kernels = dsm__kernels();
    size_t most = t->room < t->n ? t->room : t->n;

    p->task = t;
    p->arg = dsm__given(&t->task, &t->task.argument);
    p->mark = kernels->mark;
    p->kernel = find_kernel(kernels, t->size);
    p->turn = t->size > 8 ? TURN / 2 : TURN;
    p->stream = dsm__writer_streams(most * t->size);
    p->count = 0;
    p->half = 0;
}

static int
pack_part(dsm_worker *self, const struct dsm__task *task)
{
    const struct pack_task *t = (const struct pack_task *)task;
    struct packing p;
    size_t *total = dsm__work(task, 0), to = 0;
    int error = dsm__relay_open(&p.relay, self, sizeof to, NULL, 0);

    begin(&p, t);
    if (!error)
        pack_block(&p, t->blocks, self->id, 0, false); /* marks the first */
    for (size_t b = self->id; !error && b < t->blocks; b += self->count) {
        size_t count = p.count, behind;
        bool fits;

        if (b > 0)
            error = dsm__relay_take(&p.relay, b, &to);
        if (error)
            return error;
        behind = to + count;
        dsm__relay_give(&p.relay, b, &behind);
        if (b == t->blocks - 1)
            *total = behind;
        fits = t->out && behind <= t->room;
        populate(&p, b + self->count, to, fits ? count : 0);
        if (t->out && (!fits || !p.kernel))
            pack_carefully(t, to, t->in + b * t->block * t->size,
                           p.bits[p.half], length(t, b));
        p.count = 0;
        pack_block(&p, b, b + self->count, to, fits && p.kernel);
    }
    return error;
}

static void
pack_finish(const struct dsm__task *task, unsigned workers, unsigned here,
            void *result)
{
    const struct pack_task *t = (const struct pack_task *)task;

    (void)workers, (void)here;
    *(size_t *)result = t->blocks ? *(size_t *)dsm__work(task, 0) : 0;
}

static int
pack(dsm_cluster *cluster, const struct dsm__primitive *primitive,
     struct pack_task *t, dsm_array *out, size_t *count, const dsm_array *in)
{
    const char *call = primitive->name;
    int error = out ? dsm__check_apart(call, out, in, false) : 0;

    if (error)
        return error;
    if (out && dsm_array_type(out) != dsm_array_type(in))
        return dsm__fail(-EINVAL, "%s: '%s' has items of %s, '%s' of %s", call,
                         dsm_array_name(out),
                         dsm_type_name(dsm_array_type(out)), dsm_array_name(in),
                         dsm_type_name(dsm_array_type(in)));
    t->n = dsm_array_count(in);
    t->size = dsm_array_item_size(in);
    t->block = dsm__block_items(t->size);
    t->blocks = (t->n + t->block - 1) / t->block;
    t->in = dsm_array_data(in);
    if (out) {
        t->out = dsm_array_data(out);
        t->room = dsm_array_count(out);
    }
    error = dsm__collective(cluster, primitive, &t->task, sizeof *t, 8, count);
    if (!error && out && *count > t->room)
        return dsm__fail(-ENOSPC, "%s: %zu items stay, but '%s' has %zu", call,
                         *count, dsm_array_name(out), t->room);
    return error;
}

int
dsm_pack(dsm_cluster *cluster, dsm_array *out, size_t *count,
         const dsm_array *in, const dsm_array *mask)
{
    static const struct dsm__primitive primitive = {"dsm_pack", pack_part,
                                                    pack_finish};
    struct pack_task t = {0};
    int error;

    *count = 0;
    error = dsm__primitive_check(cluster, __func__, out, in, mask, NULL);
    if (!error)
        error = dsm__check_counts(__func__, in, mask);
    if (!error)
        error = dsm__check_apart(__func__, out, mask, false);
    if (error)
        return error;
    if (dsm_array_type(mask) != DSM_BOOL)
        return dsm__fail(-EINVAL,
                         "dsm_pack: the mask '%s' has items of %s, "
                         "not of bool",
                         dsm_array_name(mask),
                         dsm_type_name(dsm_array_type(mask)));
    t.mask = dsm_array_data(mask);
    return pack(cluster, &primitive, &t, out, count, in);
}

int
dsm_filter(dsm_cluster *cluster, dsm_array *out, size_t *count,
           const dsm_array *in, dsm_predicate predicate, const void *arg,
           size_t arg_size)
{
    static const struct dsm__primitive primitive = {"dsm_filter", pack_part,
                                                    pack_finish};
    struct pack_task t = {.predicate = predicate};
    int error;

    *count = 0;
    error = dsm__primitive_check(cluster, __func__, in, out, NULL);
    if (!error)
        error = dsm__give_argument(cluster, &t.task, arg, arg_size);
    return error ? error : pack(cluster, &primitive, &t, out, count, in);
}
