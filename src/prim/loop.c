/* Loops.
 *
 * DYNAMIC and GUIDED loops have one counter that all workers take from.  In
 * those that are stolen from each worker has a share of its own, packed in one
 * word (begin and end, in units), and takes chunks from its front; one that has
 * nothing left takes the back half of another's.  Both change the word by
 * compare and swap; an item that was taken is never in a share again, so a word
 * that looks as it did has not been changed. */
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "os/cpu.h"
#include "prim/collective.h"
#include "trace/trace.h"

#include <dsm/error.h>
#include <dsm/primitives.h>

#include <errno.h>

/* What a worker takes at a time is to cost a few microseconds, in which nobody
 * else can have it; taking it costs some ten nanoseconds, and from a counter
 * that others use a hundred. */
#define TAKE_TICKS 8000

/* The most: a counter that each worker moves on behind the end once does not
 * wrap, whatever the chunk. */
#define ITEMS_MAX (UINT64_MAX / (DSM_WORKERS_MAX + 1))

struct loop_task {
    struct dsm__task task;
    dsm_body body;
    size_t n, chunk, unit; /* a unit of a share, in items: whole chunks, so
                              many that 32 bits count the units */
    dsm_schedule schedule;
};

/* A loop as one worker sees it. */
struct loop {
    const struct loop_task *task;
    dsm_worker *self;
    dsm_body body;
    const void *arg;
    size_t chunks;      /* that were run */
    size_t take, least; /* items to take at a time, and the fewest */
};

/* The body of a loop that is traced, and its argument: any other loop knows
 * nothing of it. */
struct traced {
    dsm_body body;
    const void *arg;
};

static void
traced_body(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const struct traced *traced = arg;
    int64_t began = dsm__trace_begin();

    traced->body(self, begin, end, traced->arg);
    dsm__trace_span(DSM__TRACE_CHUNK, began, NULL, begin, end);
}

/* Runs items in pieces of a chunk. */
static void
run(struct loop *loop, size_t begin, size_t end, size_t chunk)
{
    dsm_body body = loop->body;
    dsm_worker *self = loop->self;
    const void *arg = loop->arg;
    size_t chunks = 1;

    for (; end - begin > chunk; begin += chunk, chunks++) {
        DSM__POINT("loop.chunk");
        body(self, begin, begin + chunk, arg);
    }
    DSM__POINT("loop.chunk");
    body(self, begin, end, arg);
    loop->chunks += chunks;
}

/* Nobody takes more of a region that is to end. */
static bool
goes_on(const struct loop *loop)
{
    return !dsm__region_interrupted(loop->self->control);
}

static void
run_static(struct loop *loop)
{
    const struct loop_task *t = loop->task;
    dsm_range share = dsm_worker_range(loop->self, t->n);
    size_t chunk = t->chunk;

    if (chunk == 0) {
        loop->take = share.end - share.begin;
        if (loop->take > 0)
            run(loop, share.begin, share.end, loop->take);
        return;
    }
    for (size_t k = loop->self->id; k <= (t->n - 1) / chunk && goes_on(loop);
         k += loop->self->count)
        run(loop, k * chunk, t->n - k * chunk < chunk ? t->n : (k + 1) * chunk,
            chunk);
}

/* Runs what was taken, in chunks, or by AUTO as one; and learns from what that
 * cost how much to take next. */
static void
run_taken(struct loop *loop, size_t begin, size_t end)
{
    bool whole = loop->task->schedule == DSM_SCHEDULE_AUTO;
    uint64_t ticks = dsm__ticks();

    run(loop, begin, end, whole ? end - begin : loop->least);
    ticks = dsm__ticks() - ticks;
    if (ticks < TAKE_TICKS / 2 && end - begin >= loop->take)
        loop->take *= 2;
    else if (ticks > TAKE_TICKS * 2 && loop->take > loop->least)
        loop->take /= 2;
}

/* Items to take of those that are left: whole chunks, and no more than a part
 * of them, so that others have something to do meanwhile. */
static size_t
portion(const struct loop *loop, size_t left, size_t parts)
{
    size_t items = loop->take < left / parts ? loop->take : left / parts;

    if (loop->least > 1)
        items -= items % loop->least;
    return items > loop->least ? items : loop->least;
}

static void
run_dynamic(struct loop *loop)
{
    _Atomic uint64_t *next = &loop->self->control->region.next;
    size_t n = loop->task->n, parts = 4 * (size_t)loop->self->count;
    size_t some, at = 0;

    while (goes_on(loop)) {
        some = portion(loop, n - at, parts);
        at = atomic_fetch_add_explicit(next, some, memory_order_relaxed);
        if (at >= n)
            return;
        run_taken(loop, at, n - at < some ? n : at + some);
    }
}

static void
run_guided(struct loop *loop)
{
    _Atomic uint64_t *next = &loop->self->control->region.next;
    size_t n = loop->task->n, parts = 2 * (size_t)loop->self->count;
    uint64_t i = atomic_load_explicit(next, memory_order_relaxed);

    while (i < n && goes_on(loop)) {
        size_t some = (n - i) / parts;

        some = some > loop->least ? some : loop->least;
        some = some < n - i ? some : n - i;
        if (!atomic_compare_exchange_weak_explicit(
                next, &i, i + some, memory_order_relaxed, memory_order_relaxed))
            continue;
        run(loop, i, i + some, some);
        i = atomic_load_explicit(next, memory_order_relaxed);
    }
}

/* ---- Shares: 32 bits of begin below 32 bits of end. */

static uint64_t
share_of(uint64_t begin, uint64_t end)
{
    return end << 32 | begin;
}

static uint32_t
begin_of(uint64_t share)
{
    return (uint32_t)share;
}

static uint32_t
end_of(uint64_t share)
{
    return (uint32_t)(share >> 32);
}

/* The back half of a share; all of it if it is one unit. */
static bool
steal_from(_Atomic uint64_t *victim, uint64_t *stolen)
{
    uint64_t share = atomic_load_explicit(victim, memory_order_relaxed);

    while (begin_of(share) < end_of(share)) {
        uint32_t middle =
            begin_of(share) + (end_of(share) - begin_of(share)) / 2;

        if (atomic_compare_exchange_weak_explicit(
                victim, &share, share_of(begin_of(share), middle),
                memory_order_relaxed, memory_order_relaxed)) {
            *stolen = share_of(middle, end_of(share));
            return true;
        }
    }
    return false;
}

/* Fills this worker's share from another's.  Looks more than once, as for a
 * moment what was stolen is in nobody's share. */
static bool
steal(struct loop *loop)
{
    dsm_worker *self = loop->self;
    uint64_t stolen;

    for (int look = 0; look < 16; look++) {
        for (unsigned d = 1; d < self->count; d++) {
            unsigned w = (self->id + d) % self->count;

            if (!steal_from(&dsm__worker_slot(self->control, w)->share,
                            &stolen))
                continue;
            atomic_store_explicit(&self->slot->share, stolen,
                                  memory_order_relaxed);
            return true;
        }
        dsm__pause();
    }
    return false;
}

static void
run_shares(struct loop *loop)
{
    _Atomic uint64_t *mine = &loop->self->slot->share;
    size_t n = loop->task->n, unit = loop->task->unit;
    uint64_t share = atomic_load_explicit(mine, memory_order_relaxed);

    while (goes_on(loop)) {
        uint32_t begin = begin_of(share), end = end_of(share);
        size_t next, some;

        if (begin >= end) {
            if (!steal(loop))
                return;
            share = atomic_load_explicit(mine, memory_order_relaxed);
            continue;
        }
        some = (portion(loop, (end - begin) * unit, 4) + unit - 1) / unit;
        next = some < end - begin ? begin + some : end;
        if (!atomic_compare_exchange_weak_explicit(
                mine, &share, share_of(next, end), memory_order_relaxed,
                memory_order_relaxed))
            continue;
        run_taken(loop, begin * unit, next * unit < n ? next * unit : n);
        share = atomic_load_explicit(mine, memory_order_relaxed);
    }
}

/* ---- All of them. */

/* What the others take from must be there before they do. */
static int
open_loop(dsm_worker *self, const struct loop_task *t)
{
    dsm_range share;

    if (t->schedule == DSM_SCHEDULE_STATIC || t->n == 0)
        return 0;
    share = dsm_worker_range(self, (t->n + t->unit - 1) / t->unit);
    if (self->id == 0)
        atomic_store_explicit(&self->control->region.next, 0,
                              memory_order_relaxed);
    atomic_store_explicit(&self->slot->share, share_of(share.begin, share.end),
                          memory_order_relaxed);
    return dsm_worker_barrier(self);
}

static int
loop_part(dsm_worker *self, const struct dsm__task *task)
{
    const struct loop_task *t = (const struct loop_task *)task;
    struct traced traced = {t->body, dsm__given(task, &task->argument)};
    struct loop loop = {
        .task = t,
        .self = self,
        .body = dsm__trace_here ? traced_body : traced.body,
        .arg = dsm__trace_here ? &traced : traced.arg,
        .take = t->chunk,
        .least = t->chunk,
    };
    int error = open_loop(self, t);

    if (error || t->n == 0)
        return error;
    switch (t->schedule) {
    case DSM_SCHEDULE_STATIC:
        run_static(&loop);
        break;
    case DSM_SCHEDULE_DYNAMIC:
        run_dynamic(&loop);
        break;
    case DSM_SCHEDULE_GUIDED:
        run_guided(&loop);
        break;
    case DSM_SCHEDULE_STEAL:
    case DSM_SCHEDULE_AUTO:
        run_shares(&loop);
        break;
    }
    dsm__count(&self->slot->chunks, loop.chunks);
    atomic_store_explicit(
        &self->slot->chunk,
        t->schedule == DSM_SCHEDULE_AUTO || !t->chunk ? loop.take : t->chunk,
        memory_order_relaxed);
    if (goes_on(&loop))
        return 0;
    return dsm__fail(DSM_EBROKEN, "the loop was left, as its region ended");
}

/* What a chunk of 0 stands for. */
static size_t
default_chunk(dsm_schedule schedule, size_t n, unsigned workers)
{
    size_t chunk = 1;

    if (schedule == DSM_SCHEDULE_STATIC)
        return 0;
    if (schedule == DSM_SCHEDULE_DYNAMIC)
        chunk = n / workers / 16;
    return chunk > 0 ? chunk : 1;
}

int
dsm_for(dsm_cluster *cluster, size_t n, dsm_schedule schedule, size_t chunk,
        dsm_body body, const void *arg, size_t arg_size)
{
    static const struct dsm__primitive primitive = {"dsm_for", loop_part, NULL};
    struct loop_task t = {.body = body, .n = n, .schedule = schedule};
    int error = dsm__primitive_check(cluster, __func__, NULL);

    if (!error)
        error = dsm__give_argument(cluster, &t.task, arg, arg_size);
    if (error)
        return error;
    if (schedule < DSM_SCHEDULE_AUTO || schedule > DSM_SCHEDULE_STEAL)
        return dsm__fail(-EINVAL, "dsm_for: there is no schedule %d",
                         (int)schedule);
    if (n > ITEMS_MAX)
        return dsm__fail(-EINVAL, "dsm_for: %zu items are too many", n);
    /* AUTO learns; who knows the chunk needs nothing else of it. */
    if (schedule == DSM_SCHEDULE_AUTO && chunk > 0)
        t.schedule = DSM_SCHEDULE_STEAL;
    t.chunk = chunk < n ? chunk : n;
    if (chunk == 0)
        t.chunk = default_chunk(schedule, n, cluster->member.control->workers);
    if (t.chunk > 0) /* else it has no units: see open_loop */
        t.unit = t.chunk * (n / t.chunk / ((size_t)1 << 31) + 1);
    return dsm__collective(cluster, &primitive, &t.task, sizeof t, 0, NULL);
}
