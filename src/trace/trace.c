/* Recording, and what an event looks like; see trace.h.
 *
 * The format is the Trace Event Format of Chromium: "X" is a span, "M" a name
 * for what is shown.  A cluster is one process there and each of its workers a
 * thread, with the worker's number, so that its replacement after a death goes
 * on in the same row. */
#include "trace/trace.h"

#include "base/error.h"
#include "os/process.h"
#include "trace/file.h"

#include <dsm/cluster.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_SIZE 16384
#define LINE_MOST 1024 /* two names of which every byte is written as six */

struct span {
    int64_t begin, end;
    uint64_t first, second;
    enum dsm__trace_kind kind;
    char name[DSM_NAME_MAX + 1];
};

#define SPANS (65536 / sizeof(struct span))

struct dsm__trace {
    int fd;      /* or -1: this process has no part in it (any more) */
    bool failed; /* to write: there will be no more */
    pid_t pid;   /* of the controller: stands for the cluster */
    unsigned worker;
    int64_t created;
    size_t spans, length;
    struct span span[SPANS];
    char text[TEXT_SIZE];
};

static const struct {
    const char *name, *first, *second;
} kinds[] = {
    [DSM__TRACE_REGION] = {"region", "number", NULL},
    [DSM__TRACE_CHUNK] = {"chunk", "begin", "end"},
    [DSM__TRACE_JOB] = {"job", "number", NULL},
    [DSM__TRACE_BARRIER] = {"barrier", NULL, NULL},
    [DSM__TRACE_LOCK] = {"lock", NULL, NULL},
};

_Thread_local struct dsm__trace *dsm__trace_here;

/* ---- Text. */

static void __attribute__((format(printf, 2, 3)))
add(struct dsm__trace *trace, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    trace->length +=
        (size_t)vsnprintf(trace->text + trace->length,
                          TEXT_SIZE - trace->length, format, arguments);
    va_end(arguments);
}

/* Bytes of the well-formed character of UTF-8 at `s`; 0: there is none. */
static size_t
character(const char *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)*s;
    size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code = n == 1 ? lead : lead & (0x7fU >> n);

    if ((lead & 0xc0) == 0x80 || lead >= 0xf8)
        return 0;
    for (size_t k = 1; k < n; k++) {
        if ((s[k] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((uint32_t)s[k] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff)
        return 0;
    return code >= 0xd800 && code < 0xe000 ? 0 : n;
}

/* A name inside of quotes, cut.  Braces are told by number: see file.c. */
static void
add_name(struct dsm__trace *trace, const char *name)
{
    for (size_t k = 0, n; k < DSM_NAME_MAX && name[k]; k += n) {
        n = character(name + k);
        if (n > 0 && (unsigned char)name[k] >= ' ' &&
            !strchr("\"\\{}\x7f", name[k])) {
            add(trace, "%.*s", (int)n, name + k);
            continue;
        }
        add(trace, "\\u%04x", (unsigned char)name[k]);
        n = 1;
    }
}

static void
write_out(struct dsm__trace *trace)
{
    int saved = errno;

    if (!trace->failed && trace->length)
        trace->failed =
            !dsm__trace_file_append(trace->fd, trace->text, trace->length);
    trace->length = 0;
    errno = saved;
}

/* Begins a line, for which there is room. */
static void
add_line(struct dsm__trace *trace)
{
    if (trace->length + LINE_MOST > TEXT_SIZE)
        write_out(trace);
    add(trace, "\n,");
}

static void
add_time(struct dsm__trace *trace, const char *key, int64_t ns)
{
    add(trace, ",\"%s\":%lld.%03d", key, (long long)(ns / 1000),
        (int)(ns % 1000));
}

/* The arguments come last, with braces of their own: see file.c. */
static void
add_span(struct dsm__trace *trace, const struct span *span)
{
    const char *kind = kinds[span->kind].name;
    const char *first = kinds[span->kind].first;
    const char *second = kinds[span->kind].second;

    add_line(trace);
    add(trace, "{\"ph\":\"X\",\"pid\":%ld,\"tid\":%u", (long)trace->pid,
        trace->worker);
    add_time(trace, "ts", span->begin - trace->created);
    add_time(trace, "dur", span->end - span->begin);
    add(trace, ",\"cat\":\"%s\",\"name\":\"%s%s", kind, kind,
        *span->name ? " " : "");
    add_name(trace, span->name);
    add(trace, "\",\"args\":{");
    if (first)
        add(trace, "\"%s\":%llu", first, (unsigned long long)span->first);
    if (second)
        add(trace, ",\"%s\":%llu", second, (unsigned long long)span->second);
    add(trace, "}}");
}

/* The first lines: who the cluster and its workers are. */
static void
add_head(struct dsm__trace *trace, const char *cluster, unsigned workers)
{
    long pid = (long)trace->pid;

    add(trace,
        "{\"traceEvents\":[{\"ph\":\"M\",\"pid\":%ld,"
        "\"name\":\"process_name\",\"args\":{\"name\":\"",
        pid);
    add_name(trace, dsm__program_name());
    add(trace, ", cluster ");
    add_name(trace, cluster);
    add(trace, "\"}}");
    for (unsigned w = 0; w < workers; w++) {
        add_line(trace);
        add(trace,
            "{\"ph\":\"M\",\"pid\":%ld,\"tid\":%u,\"name\":\"thread_name\","
            "\"args\":{\"name\":\"worker %u\"}}",
            pid, w, w);
        add_line(trace);
        add(trace,
            "{\"ph\":\"M\",\"pid\":%ld,\"tid\":%u,\"name\":"
            "\"thread_sort_index\",\"args\":{\"sort_index\":%u}}",
            pid, w, w);
    }
}

/* ---- Recording. */

static void
flush(struct dsm__trace *trace)
{
    for (size_t k = 0; k < trace->spans; k++)
        add_span(trace, &trace->span[k]);
    trace->spans = 0;
    write_out(trace);
}

void
dsm__trace_flush(void)
{
    if (dsm__trace_here)
        flush(dsm__trace_here);
}

void
dsm__trace_add(enum dsm__trace_kind kind, int64_t begin, const char *name,
               uint64_t first, uint64_t second)
{
    struct dsm__trace *trace = dsm__trace_here;
    struct span *span = &trace->span[trace->spans];

    *span = (struct span){.begin = begin,
                          .end = dsm__now(),
                          .first = first,
                          .second = second,
                          .kind = kind};
    if (name)
        strncpy(span->name, name, DSM_NAME_MAX);
    if (++trace->spans == SPANS)
        flush(trace);
}

/* ---- From a cluster's beginning to its end. */

int
dsm__trace_create(struct dsm__trace **trace, const char *cluster,
                  unsigned workers)
{
    const char *name = secure_getenv("DSM_TRACE");
    struct dsm__trace *made;
    int error = 0;

    *trace = NULL;
    if (!name || !*name)
        return 0;
    made = calloc(1, sizeof *made);
    if (!made)
        return dsm__fail_errno("no memory for a trace");
    made->pid = getpid();
    made->created = dsm__now();
    made->fd = dsm__trace_file_open(name);
    if (made->fd >= 0) {
        add_head(made, cluster, workers);
        write_out(made);
    }
    if (made->fd < 0)
        error = made->fd;
    else if (made->failed)
        error = dsm__fail(-EIO, "DSM_TRACE: cannot write to %s", name);
    if (error)
        dsm__trace_free(made);
    else
        *trace = made;
    return error;
}

void
dsm__trace_become(struct dsm__trace *trace, unsigned worker)
{
    /* Its creator's thread may have had a part in the trace of another. */
    dsm__trace_here = NULL;
    if (!trace || !dsm__trace_file_enter(trace->fd))
        return;
    trace->worker = worker;
    dsm__trace_here = trace;
}

void
dsm__trace_leave(struct dsm__trace *trace)
{
    if (!trace || trace->fd < 0)
        return;
    flush(trace);
    trace->failed = true;
    dsm__trace_file_leave(trace->fd);
}

/* The descriptor, which is to be closed.  A child of another thread's closes
 * what the trace says, and the number may soon be another descriptor's. */
static int
take_fd(struct dsm__trace *trace)
{
    int fd = trace ? trace->fd : -1;

    if (trace)
        trace->fd = -1;
    return fd;
}

void
dsm__trace_end(struct dsm__trace *trace)
{
    int fd = take_fd(trace);

    if (fd >= 0)
        dsm__trace_file_end(fd);
}

void
dsm__trace_drop(struct dsm__trace *trace)
{
    int fd = take_fd(trace);

    if (fd >= 0)
        close(fd);
    if (dsm__trace_here == trace)
        dsm__trace_here = NULL;
}

void
dsm__trace_free(struct dsm__trace *trace)
{
    dsm__trace_drop(trace);
    free(trace);
}
