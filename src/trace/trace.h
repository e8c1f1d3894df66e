/* Traces: what every worker does when, in a file that Perfetto and
 * chrome://tracing show.
 *
 * A thread that is a worker notes spans of time in its process's memory, and
 * writes them to the file when that is full and when it has nothing to do.  The
 * processes of a cluster share the file (file.h).  Without one, all that a span
 * costs is a look at a pointer of the thread's.
 *
 * The spans of a worker are disjoint or within each other: they are noted by
 * one thread, and begin and end in one function. */
#ifndef DSM_TRACE_TRACE_H
#define DSM_TRACE_TRACE_H

#include "base/clock.h"

#include <stddef.h>

struct dsm__trace;

/* What a span is about, and what its two numbers are. */
enum dsm__trace_kind {
    DSM__TRACE_REGION,  /* its number */
    DSM__TRACE_CHUNK,   /* of a loop: begin and end */
    DSM__TRACE_JOB,     /* its number */
    DSM__TRACE_BARRIER, /* waiting at it */
    DSM__TRACE_LOCK     /* waiting for it */
};

/* The trace that this thread takes part in, or NULL. */
extern _Thread_local struct dsm__trace *dsm__trace_here
    __attribute__((tls_model("initial-exec")));

/* Makes the trace of a cluster if $DSM_TRACE names a file, else it is NULL; the
 * other functions take that, too.  Before the cluster's first fork. */
int dsm__trace_create(struct dsm__trace **trace, const char *cluster,
                      unsigned workers);

/* This thread is that worker from now on, for the rest of its process. */
void dsm__trace_become(struct dsm__trace *trace, unsigned worker);

/* Writes what this thread has noted. */
void dsm__trace_flush(void);

/* In the controller, before whoever ends the file is asked to: writes what was
 * noted and promises to write no more. */
void dsm__trace_leave(struct dsm__trace *trace);

/* Ends the file, unless that was done; all other processes that write are gone,
 * or about to. */
void dsm__trace_end(struct dsm__trace *trace);

/* In a child that the program forked: has no part in the file. */
void dsm__trace_drop(struct dsm__trace *trace);

void dsm__trace_free(struct dsm__trace *trace);

void dsm__trace_add(enum dsm__trace_kind kind, int64_t begin, const char *name,
                    uint64_t first, uint64_t second);

/* The beginning of a span; 0: this thread has no part in a trace. */
static inline int64_t
dsm__trace_begin(void)
{
    return __builtin_expect(dsm__trace_here != NULL, 0) ? dsm__now() : 0;
}

/* The span ends now.  The name, or NULL, is copied. */
static inline void
dsm__trace_span(enum dsm__trace_kind kind, int64_t begin, const char *name,
                uint64_t first, uint64_t second)
{
    if (__builtin_expect(begin != 0, 0))
        dsm__trace_add(kind, begin, name, first, second);
}

#endif
