/* Writing runs of bytes; see writer.h. */
#include "prim/writer.h"

#include "os/cpu.h"

#include <stdint.h>
#include <string.h>

#ifdef DSM_TESTING
size_t dsm__writer_limit;
#endif

bool
dsm__writer_streams(size_t bytes)
{
#ifdef DSM_TESTING
    if (dsm__writer_limit)
        return bytes > dsm__writer_limit;
#endif
    return bytes > dsm__cpu_cache();
}

void
dsm__writer_begin(struct dsm__writer *writer, void *to, bool stream)
{
    writer->skip = (uintptr_t)to % 64;
    writer->to = (char *)to - writer->skip;
    writer->used = writer->skip;
    writer->stream = stream;
    writer->stream_lines = dsm__kernels()->stream;
}

void
dsm__writer_wrote(struct dsm__writer *writer, size_t bytes)
{
    size_t whole, from = writer->skip;

    writer->used += bytes;
    whole = writer->used / 64 * 64;
    if (whole == 0)
        return;
    if (from > 0) {
        memcpy(writer->to + from, writer->buffer + from, 64 - from);
        from = 64;
        writer->skip = 0;
    }
    if (writer->stream)
        writer->stream_lines(writer->to + from, writer->buffer + from,
                             (whole - from) / 64);
    else
        memcpy(writer->to + from, writer->buffer + from, whole - from);
    writer->to += whole;
    writer->used -= whole;
    if (writer->used > 0)
        memcpy(writer->buffer, writer->buffer + whole, writer->used);
}

void
dsm__writer_end(struct dsm__writer *writer)
{
    memcpy(writer->to + writer->skip, writer->buffer + writer->skip,
           writer->used - writer->skip);
    if (writer->stream)
        dsm__stream_end();
    writer->used = writer->skip = 0;
}
