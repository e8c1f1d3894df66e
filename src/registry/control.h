/* The control segment: everything that the processes of a cluster share besides
 * the arrays' data.  It lies at the start of the reserved addresses:
 *
 *     dsm__control              header, region words
 *     dsm__worker_slot[]        a few cache lines for each worker
 *     scratch                   for collective calls, two halves each
 *     dsm__object slots         the table of named objects, grows
 *     arena                     rings of queues, grows
 *     pool                      jobs, a part for each program, which grow
 *
 * The file has its full size from the start but only its used part is
 * allocated; the table and the arena grow under the registry's lock (object.h),
 * each part of the pool (pool/pool.h) by its program.
 * Handles are pointers into it; inside it there are only offsets.
 *
 * Who writes what: the controller the region words, a worker its own slot, the
 * supervisor what it knows of deaths.  The supervisor takes no lock. */
#ifndef DSM_REGISTRY_CONTROL_H
#define DSM_REGISTRY_CONTROL_H

#include "shm/name.h"

#include <dsm/cluster.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define DSM__LINE 64
#define DSM__MAGIC UINT64_C(0x314c5443204d5344) /* "DSM CTL1" */
#define DSM__LAYOUT 1
#define DSM__CONTROL_MAX ((size_t)256 << 20) /* bytes, without the pool */
#define DSM__CLIENTS_MAX 64
#define DSM__STOPPED 2 /* no process of the cluster is left */
#define DSM__PROGRAMS_MAX                                                      \
    (1 + DSM__CLIENTS_MAX) /* the controller is number 0 */
#define DSM__BLOCK_MAX 16  /* jobs that a worker takes */
#define DSM__ARG_INLINE 1024
#define DSM__TURNS_MAX 1000
#define DSM__SCRATCH ((size_t)4096) /* per worker: two halves */
#define DSM__RELAYED_MAX (DSM__LINE - sizeof(struct dsm__event))
#define DSM__RELAY_BROKEN (UINT32_C(1) << 31) /* in a relay's word */

/* A word to sleep on, and how many may be asleep, so that nobody pays for a
 * wake-up call that is not needed. */
struct dsm__event {
    _Atomic uint32_t word;
    _Atomic uint32_t sleeping;
};

/* A barrier that can break; see sync/gate.h. */
struct dsm__gate {
    _Alignas(DSM__LINE) _Atomic uint64_t word;
    uint32_t parties;
    _Alignas(DSM__LINE) _Atomic uint32_t sleeping;
};

/* Why a region is to end before its time: bits of region.interrupt. */
enum {
    DSM__LOST = 1,     /* a worker died or failed in it */
    DSM__CANCELLED = 2 /* the controller asked */
};

/* Where things are in a program's part of the pool; see pool/pool.h. */
struct dsm__pool_layout {
    uint64_t offset;   /* of the first part, in the control segment */
    uint64_t jobs_max; /* of each program */
    uint64_t ring;     /* entries of a ring: a power of two */
    uint64_t again, ended, rings, jobs, bodies,
        size; /* within a part; its size */
};

/* How one worker's part of a region ended; see cluster/outcome.h. */
struct dsm__outcome {
    _Atomic uint32_t order; /* 0: well; else the how-manieth failure it was */
    int32_t code;           /* for dsm_cluster_run to return */
    /* Atomic, as statistics read them at any time. */
    _Atomic int32_t value, signal, exit_code, dead_pid;
    char message[256];
};

struct dsm__worker_slot {
    /* Written by the worker. */
    _Alignas(DSM__LINE) _Atomic uint32_t began; /* the region it began last */
    _Atomic int32_t cpu;                        /* where it began it */
    _Atomic uint32_t state;                     /* dsm_worker_state */
    _Atomic uint64_t seen;                      /* map generation */
    _Atomic uint64_t regions, busy, idle;       /* ticks; dsm__count */
    _Atomic uint64_t barrier_wait, lock_wait;   /* of several threads */
    _Atomic uint64_t chunks, chunk;             /* of loops */
    _Atomic uint64_t jobs, job_busy, job_worst; /* ticks but for the first */
    int32_t start_code; /* why it could not start, or 0 */
    char start_message[128];
    /* Written by the worker: the jobs that it took, which it runs or will run
     * if no other does; see pool/take.c.  And the place in a program's ring of
     * ended jobs that it is filling, plus 1; see pool/ended.c. */
    _Alignas(DSM__LINE) _Atomic uint64_t block[DSM__BLOCK_MAX];
    _Alignas(DSM__LINE) _Atomic uint32_t block_program;
    _Atomic uint32_t block_count;
    _Atomic uint64_t block_since; /* ticks */
    _Atomic uint64_t filling;
    _Atomic uint64_t in_job; /* offset of its job's word `cancel`, or 0 */
    char job_name[DSM_NAME_MAX + 1];
    /* Written by the supervisor. */
    _Alignas(DSM__LINE) _Atomic int32_t pid;
    _Atomic uint32_t killed; /* the region for whose end it was killed */
    _Atomic uint64_t deaths;
    int32_t node; /* written at create: of its memory, or -1 */
    /* Written by the worker for its successor in a scan; see prim/relay.h. */
    _Alignas(DSM__LINE) struct dsm__event relay;
    char relayed[DSM__RELAYED_MAX];
    /* Its share of a loop that others may take from; see prim/loop.c. */
    _Alignas(DSM__LINE) _Atomic uint64_t share;
    /* Written by whoever ends the worker's part. */
    _Alignas(DSM__LINE) struct dsm__outcome outcome;
};

struct dsm__region {
    /* Bumped to start a region; workers wait for it to differ from theirs,
     * asleep on control->work. */
    _Alignas(DSM__LINE) _Atomic uint32_t epoch;
    dsm_fn fn;
    uint64_t arg; /* the address as workers see it */
    uint64_t arg_size;
    /* The last region that is complete; the controller waits for it.  A bit
     * for each worker whose part has ended, in one of two maps, for odd and
     * even regions: so a look at the map of a region that just ended still
     * finds it (supervisor).  On one line, as who sets the last bit of a
     * small cluster also writes `done`. */
    _Alignas(DSM__LINE) struct dsm__event done;
    _Atomic uint64_t ended[DSM_WORKERS_MAX / 64][2];
    _Atomic uint64_t full[2]; /* bit w: ended[w] is complete */
    /* interrupt holds a region's number while it is to end, reason says why. */
    _Alignas(DSM__LINE) _Atomic uint32_t interrupt;
    _Atomic uint32_t reason;
    _Atomic uint32_t failures; /* outcomes that are not well */
    _Atomic uint32_t torn;     /* a dead client broke barriers meanwhile */
    struct dsm__gate gate;     /* dsm_worker_barrier */
    _Alignas(DSM__LINE) _Atomic uint64_t next; /* of a loop's shared counter */
    _Alignas(DSM__LINE) char inline_arg[DSM__ARG_INLINE];
};

/* What workers look at for work. */
struct dsm__work {
    /* Bumped when there is something to do and somebody sleeps. */
    _Alignas(DSM__LINE) struct dsm__event event;
    /* A bit for each program that may have queued jobs: set by it behind the
     * job, cleared by a worker that finds none, which then looks again. */
    _Alignas(DSM__LINE) _Atomic uint64_t queued[(DSM__PROGRAMS_MAX + 63) / 64];
    /* A bit for each program whose board has memory: nobody looks at others. */
    _Atomic uint64_t boards[(DSM__PROGRAMS_MAX + 63) / 64];
    /* A bit for each worker that is awake and looks for work: nobody need be
     * woken for a single job then. */
    _Alignas(DSM__LINE) _Atomic uint64_t looking[DSM_WORKERS_MAX / 64];
};

struct dsm__client_slot {
    _Atomic uint32_t used;
    _Atomic int32_t pid;
    _Atomic uint64_t seen; /* map generation */
};

struct dsm__control {
    _Atomic uint64_t magic; /* written last, with release order */
    uint32_t layout;
    uint32_t uid;
    uint64_t base; /* the address of this very struct in every process */
    uint64_t space_size, control_size;
    uint64_t slots_offset, scratch_offset, objects_offset, arena_offset;
    uint64_t objects_max;
    struct dsm__pool_layout pool;
    uint64_t pid_namespace;
    uint64_t array_page;
    int64_t created;     /* CLOCK_REALTIME, seconds */
    uint64_t ticks_then; /* for the rate of ticks … */
    int64_t ns_then;     /* … which were these at create */
    int32_t owner;       /* the controller's pid */
    uint32_t workers;    /* worker 0 may be the controller itself */
    uint32_t first;      /* the first worker that is a process */
    uint32_t detached;
    uint32_t spins, yields; /* see sync/wait.h; at most DSM__TURNS_MAX */
    int32_t grace_ms;       /* options.grace_ms */
    char name[DSM_NAME_MAX + 1];
    char program[64];
    char directory[DSM__DIRECTORY_MAX + 1];

    /* Held by the supervisor for life: its robust list tells of its death. */
    _Alignas(DSM__LINE) pthread_mutex_t alive;
    _Atomic int32_t supervisor; /* its pid; 0 until it runs */
    _Atomic int32_t broken;     /* the error that makes the cluster useless */
    char broken_message[256];
    _Atomic uint32_t stopping; /* 1, and DSM__STOPPED in the end */
    _Alignas(DSM__LINE) struct dsm__event ready; /* bumped as workers start */

    /* The registry (object.h): all below is guarded by this robust lock. */
    _Alignas(DSM__LINE) pthread_mutex_t registry;
    _Atomic uint64_t generation; /* of the mappings; bumped by each change */
    _Atomic uint64_t objects;    /* slots that were ever in use */
    uint64_t table_end;          /* bytes of the table that are allocated */
    uint64_t arena_end;          /* the same of the arena */
    uint64_t arena_top;          /* nothing was ever placed beyond these */
    uint64_t space_top;
    _Atomic uint64_t controller_seen;
    struct dsm__client_slot clients[DSM__CLIENTS_MAX];

    struct dsm__work work;
    struct dsm__region region;
};

static inline void *
dsm__at(const struct dsm__control *control, uint64_t offset)
{
    return (char *)(uintptr_t)control + offset;
}

static inline struct dsm__worker_slot *
dsm__worker_slot(const struct dsm__control *control, unsigned worker)
{
    struct dsm__worker_slot *slots = dsm__at(control, control->slots_offset);

    return &slots[worker];
}

/* Adds to a counter that only the caller's thread writes, and that others read
 * at any time without an order to anything else. */
static inline void
dsm__count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(
        counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
        memory_order_relaxed);
}

/* Whether the supervisor is gone: the kernel sets the bit in its mutex's futex
 * word (the ABI's first int, futex(2)) when the holder dies. */
bool dsm__supervisor_dead(const struct dsm__control *control);

/* DSM_ESTALE, with a sentence: the supervisor is dead. */
int dsm__supervisor_gone(const struct dsm__control *control);

/* DSM_ESTALE, with a sentence, if the cluster ends or has ended, else 0.  Its
 * files go a little before its supervisor does.  Whoever has made one asks, and
 * takes it away again: the end is said before it is looked for files. */
int dsm__control_ended(const struct dsm__control *control);

/* What it means that a file of the cluster could not be opened: DSM_ESTALE,
 * with a sentence, when that is because the cluster ends; else `error` itself.
 */
int dsm__control_missing(const struct dsm__control *control, int error);

/* Whether a region is under way. */
static inline bool
dsm__region_active(const struct dsm__control *control)
{
    return atomic_load_explicit(&control->region.epoch, memory_order_acquire) !=
           atomic_load_explicit(&control->region.done.word,
                                memory_order_acquire);
}

/* Whether the region under way is to end before its time. */
static inline bool
dsm__region_interrupted(const struct dsm__control *control)
{
    uint32_t region =
        atomic_load_explicit(&control->region.interrupt, memory_order_acquire);

    /* At the end of the cluster the epoch moves on while the region still
     * runs. */
    return __builtin_expect(region != 0, 0) &&
           (region == atomic_load_explicit(&control->region.epoch,
                                           memory_order_acquire) ||
            atomic_load_explicit(&control->stopping, memory_order_acquire));
}

/* Lays out the control segment of a cluster of `workers` in a mapping that is
 * all zero, in its first `size` bytes; the pool is behind them.  Returns how
 * many bytes must be allocated for it first when `control` is NULL. */
size_t dsm__control_layout(struct dsm__control *control, unsigned workers,
                           size_t size);

/* Checks a header that was found, copied from shared memory first, against the
 * size of its file.  0, DSM_EFORMAT. */
int dsm__control_check(const struct dsm__control *copy, size_t file_size,
                       const char *path);

#endif
