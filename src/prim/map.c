/* Maps: each worker its share, a piece at a time.  A piece fits into the
 * first-level cache, so that an output that is streamed is made there. */
#include "base/error.h"
#include "prim/collective.h"
#include "prim/writer.h"

#include <dsm/primitives.h>

#include <errno.h>

#define PIECE ((size_t)4096) /* bytes */

/* While it is streamed pieces are shorter, and inputs are fetched ahead of
 * them, so that reading and writing overlap. */
#define PIECE_STREAMED ((size_t)1024)
#define AHEAD ((size_t)2048)

_Static_assert(PIECE <= DSM__WRITER_STEP, "a piece fits into a writer");

struct map_task {
    struct dsm__task task;
    dsm_map_fn fn;
    size_t n, in_size, out_size; /* of an item */
    const char *in;
    char *out;
};

static int
map_part(dsm_worker *self, const struct dsm__task *task)
{
    const struct map_task *t = (const struct map_task *)task;
    const void *arg = dsm__given(task, &task->argument);
    dsm_range share = dsm_worker_range(self, t->n);
    size_t larger = t->in_size > t->out_size ? t->in_size : t->out_size;
    bool stream = t->out != t->in && t->out_size <= PIECE &&
                  dsm__writer_streams(t->n * t->out_size);
    size_t bytes = stream ? PIECE_STREAMED : PIECE;
    size_t piece = bytes > larger ? bytes / larger : 1;
    struct dsm__writer writer;

    dsm__populate(self, t->in + share.begin * t->in_size,
                  (share.end - share.begin) * t->in_size);
    dsm__populate(self, t->out + share.begin * t->out_size,
                  (share.end - share.begin) * t->out_size);
    dsm__writer_begin(&writer, t->out + share.begin * t->out_size, stream);
    for (size_t i = share.begin; i < share.end; i += piece) {
        size_t n = share.end - i < piece ? share.end - i : piece;

        if (stream)
            for (size_t k = 0; k < n * t->in_size; k += 64)
                __builtin_prefetch(t->in + i * t->in_size + AHEAD + k, 0, 2);
        t->fn(stream ? dsm__writer_room(&writer) : t->out + i * t->out_size,
              t->in + i * t->in_size, n, arg);
        if (stream)
            dsm__writer_wrote(&writer, n * t->out_size);
    }
    dsm__writer_end(&writer);
    return 0;
}

static const struct dsm__primitive primitive = {"dsm_map", map_part, NULL};

int
dsm_map(dsm_cluster *cluster, dsm_array *out, const dsm_array *in,
        dsm_map_fn fn, const void *arg, size_t arg_size)
{
    struct map_task t = {.fn = fn};
    int error = dsm__primitive_check(cluster, __func__, out, in, NULL);

    if (!error)
        error = dsm__check_counts(__func__, out, in);
    if (!error)
        error = dsm__check_apart(__func__, out, in, true);
    if (!error)
        error = dsm__give_argument(cluster, &t.task, arg, arg_size);
    if (error)
        return error;
    t.n = dsm_array_count(in);
    t.in = dsm_array_data(in);
    t.out = dsm_array_data(out);
    t.in_size = dsm_array_item_size(in);
    t.out_size = dsm_array_item_size(out);
    return dsm__collective(cluster, &primitive, &t.task, sizeof t, 0, NULL);
}
