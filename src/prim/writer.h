/* Writers: how a primitive writes a run of bytes, past the caches or not.
 *
 * An output that exceeds the largest cache is better streamed: a line that is
 * stored as a whole past the caches need not be read first.  So items are made
 * in a buffer in the first-level cache and its whole lines streamed.  Lines at
 * the ends of the run may be another worker's too, and are stored as bytes. */
#ifndef DSM_PRIM_WRITER_H
#define DSM_PRIM_WRITER_H

#include "kernel/kernel.h"

#include <stdbool.h>

enum {
    DSM__WRITER_STEP = 8192, /* bytes that may be made at a time … */
    DSM__WRITER_SLACK = 64   /* … and then overwritten by a kernel */
};

struct dsm__writer {
    char *to;    /* where the buffer's first byte goes: a line's begin */
    size_t skip; /* bytes of that line that lie before the run */
    size_t used; /* of the buffer */
    bool stream;
    void (*stream_lines)(void *to, const void *from, size_t lines);
    _Alignas(64) char buffer[64 + DSM__WRITER_STEP + DSM__WRITER_SLACK];
};

/* Begins a run at `to`. */
void dsm__writer_begin(struct dsm__writer *writer, void *to, bool stream);

/* Where to make the next bytes: room for DSM__WRITER_STEP, and the slack. */
static inline void *
dsm__writer_room(struct dsm__writer *writer)
{
    return writer->buffer + writer->used;
}

/* Writes so many bytes that were made there. */
void dsm__writer_wrote(struct dsm__writer *writer, size_t bytes);

/* Ends the run. */
void dsm__writer_end(struct dsm__writer *writer);

/* Whether an output of so many bytes is better streamed. */
bool dsm__writer_streams(size_t bytes);

#ifdef DSM_TESTING
/* A test's own limit instead of the largest cache, if it is not 0; set before
 * the cluster is created. */
extern size_t dsm__writer_limit;
#endif

#endif
