/* The pool: what the programs of a cluster and its workers share of jobs.
 *
 * Each program (the controller is number 0, attached program k is number k + 1)
 * has a part of the pool: a board, rings, and slots for its jobs.  One word of
 * a slot says what the job's state is, in which turn (one for each time that it
 * was queued), and with which worker.  It changes by compare-and-swap, and that
 * alone decides who runs a job and what its result is.  All else only points at
 * jobs, as "turn and slot", and may do so too often, too late or wrongly:
 * whoever follows a pointer finds by the word whether it still holds.
 *
 * - Queued jobs: in a ring of their priority, from `head` on; or in the block
 *   of a worker that took them from there, which any other that has nothing to
 *   do may empty; or, after a worker died, by a bit in the map `again`.
 * - Ended jobs: in the ring `ended`, written by workers and read by the
 *   program.
 *
 * Nothing here takes a lock that processes share, so that whoever dies or is
 * stopped halts nobody.  What a dead worker left is put right by the supervisor
 * (recover.h). */
#ifndef DSM_POOL_POOL_H
#define DSM_POOL_POOL_H

#include "code/function.h"
#include "registry/control.h"

#include <dsm/cluster.h>

#define DSM__PRIORITIES 7
#define DSM__JOB_RESULT 1024 /* bytes that need no segment of their own */
#define DSM__JOB_ARG 512
#define DSM__JOB_MESSAGE 256
#define DSM__JOB_PROVISIONAL 64

enum dsm__job_phase {
    DSM__JOB_FREE = 0,
    DSM__JOB_QUEUED,
    DSM__JOB_RUNNING,
    DSM__JOB_DOOMED, /* it runs, and its worker is being killed for it */
    DSM__JOB_ENDED
};

enum dsm__job_flag {
    DSM__JOB_CAPTURE = 1,
    DSM__JOB_CALLBACK = 2, /* its program is to hear of provisional results */
    DSM__JOB_BY_NAME = 4,  /* text names the function */
    DSM__JOB_LARGE_ARG = 8,
    DSM__JOB_LARGE_RESULT = 16,
    DSM__JOB_PUBLISHED = 32, /* something, in this or an earlier try */
    DSM__JOB_LARGE_PUBLISHED = 64,
    DSM__JOB_NAMED = 128,
    DSM__JOB_SPARE = 256 /* a crate waits for its result */
};

struct dsm__job {
    /* Written by the program before the job is queued, but for the last two. */
    _Alignas(DSM__LINE) dsm_fn fn;
    uint64_t arg; /* an address, if nothing was copied */
    uint64_t arg_size;
    uint64_t submitted; /* ticks */
    uint32_t retries;
    uint32_t text_size;
    uint32_t given;          /* flags */
    _Atomic uint32_t cancel; /* the program asks the job to end */
    /* The program sleeps till this one ends. */
    _Atomic uint32_t watched;
    _Atomic uint32_t dropped; /* nobody takes provisional results */
    /* Written by whoever has it: the worker, or for a dead one the supervisor.
     */
    _Alignas(DSM__LINE) _Atomic uint64_t word;
    uint64_t ended; /* ticks */
    uint64_t result_size;
    int32_t code, value, signal, exit_code;
    /* Atomic, as the program looks at any time. */
    _Atomic uint64_t started; /* ticks */
    _Atomic uint32_t tries;
    _Atomic int32_t pid;
    uint32_t flags; /* LARGE_RESULT, PUBLISHED, LARGE_PUBLISHED */
};

_Static_assert(sizeof(struct dsm__job) == 2 * DSM__LINE,
               "each side of a job writes to its own line");

/* What not every job needs; apart, so that the words of many short jobs lie
 * close together. */
struct dsm__body {
    _Alignas(DSM__LINE) char result[DSM__JOB_RESULT];
    char arg_copy[DSM__JOB_ARG];
    _Alignas(DSM__LINE) _Atomic uint32_t exchange; /* see provisional.h */
    uint64_t provisional_size[3];
    _Alignas(DSM__LINE) char provisional[3][DSM__JOB_PROVISIONAL];
    char text[DSM__FUNCTION_TEXT]; /* the function's name */
    char name[DSM_NAME_MAX + 1];
    char message[DSM__JOB_MESSAGE];  /* why it failed */
    uint32_t arg_crate, spare_crate; /* their numbers; by the program */
    uint32_t result_crate; /* by the worker; it may be the spare one */
};

struct dsm__board {
    /* Written by the program: jobs put into each ring so far. */
    _Alignas(DSM__LINE) _Atomic uint64_t tails[DSM__PRIORITIES];
    /* Written by workers: those taken out. */
    _Alignas(DSM__LINE) _Atomic uint64_t heads[DSM__PRIORITIES];
    _Atomic uint32_t again; /* the map may have bits */
    /* Written by workers: entries of the ring `ended` so far. */
    _Alignas(DSM__LINE) _Atomic uint64_t ended_tail;
    _Atomic uint32_t overflow; /* entries were lost: look at all slots */
    /* Written by the program: those it has read. */
    _Alignas(DSM__LINE) _Atomic uint64_t ended_head;
    /* Written by the program when it has nothing else to do; workers look at
     * this line after each job. */
    _Alignas(DSM__LINE) struct dsm__event ended;
    _Atomic uint64_t wake_at; /* the number of entries it sleeps for */
    _Atomic uint32_t armed;   /* ring its bell, once; numbered, 0: do not */
    _Atomic uint32_t waits;   /* it waits and takes no provisional results */
    struct dsm__event taken;  /* for workers that wait until it took one */
    _Atomic uint32_t gone;   /* it ended; what runs of its jobs is to end too */
    _Atomic uint32_t crates; /* so many numbers were given to crates */
    _Atomic uint32_t slots;  /* that have memory */
    _Atomic uint32_t ready;  /* the rings have */
};

_Static_assert(sizeof(struct dsm__board) <= 4096, "a board fits into a page");

/* Finds places for everything behind control->pool.offset, for jobs_max jobs of
 * each program or as many as `room` bytes allow, perhaps none. */
void dsm__pool_layout(struct dsm__pool_layout *pool, uint64_t jobs_max,
                      uint64_t room);

/* All programs' parts. */
static inline uint64_t
dsm__pool_bytes(const struct dsm__pool_layout *pool)
{
    return DSM__PROGRAMS_MAX * pool->size;
}

/* What sentences call a job: "job 'NAME'", or "a job". */
#define DSM__JOB_DESCRIPTION (DSM_NAME_MAX + 8)
void dsm__job_describe(char text[DSM__JOB_DESCRIPTION],
                       const struct dsm__job *job,
                       const struct dsm__body *body);

/* Bytes in whole pages. */
static inline uint64_t
dsm__whole_pages(uint64_t bytes)
{
    return (bytes + 4095) / 4096 * 4096;
}

/* Whether a layout that was found is sound; that it fits is to be checked, too.
 */
bool dsm__pool_sound(const struct dsm__pool_layout *pool);

static inline void *
dsm__pool_at(const struct dsm__control *control, unsigned program,
             uint64_t offset)
{
    return dsm__at(control, control->pool.offset +
                                program * control->pool.size + offset);
}

/* Whether a program has ever submitted, so that its board may be looked at. */
static inline bool
dsm__board_exists(const struct dsm__control *control, unsigned program)
{
    return atomic_load_explicit(&control->work.boards[program / 64],
                                memory_order_acquire) >>
               program % 64 &
           1;
}

static inline struct dsm__board *
dsm__board(const struct dsm__control *control, unsigned program)
{
    return dsm__pool_at(control, program, 0);
}

static inline struct dsm__job *
dsm__job(const struct dsm__control *control, unsigned program, uint32_t index)
{
    return dsm__pool_at(control, program,
                        control->pool.jobs + index * sizeof(struct dsm__job));
}

static inline struct dsm__body *
dsm__body(const struct dsm__control *control, unsigned program, uint32_t index)
{
    return dsm__pool_at(control, program,
                        control->pool.bodies +
                            index * sizeof(struct dsm__body));
}

/* The slots of a program that have memory: the program says so, and it may be
 * wrong. */
static inline uint32_t
dsm__slots(const struct dsm__control *control, unsigned program)
{
    uint64_t slots = dsm__board(control, program)->slots;

    return (uint32_t)(slots < control->pool.jobs_max ? slots
                                                     : control->pool.jobs_max);
}

static inline _Atomic uint64_t *
dsm__queued_entry(const struct dsm__control *control, unsigned program,
                  unsigned priority, uint64_t at)
{
    const struct dsm__pool_layout *pool = &control->pool;
    _Atomic uint64_t *rings = dsm__pool_at(control, program, pool->rings);

    return &rings[priority * pool->ring + (at & (pool->ring - 1))];
}

/* Twice as long as the others: a job can be there twice, for its end and for a
 * provisional result. */
static inline _Atomic uint64_t *
dsm__ended_entry(const struct dsm__control *control, unsigned program,
                 uint64_t at)
{
    const struct dsm__pool_layout *pool = &control->pool;
    _Atomic uint64_t *ring = dsm__pool_at(control, program, pool->ended);

    return &ring[at & (2 * pool->ring - 1)];
}

/* In place of a worker: the program cancelled the job before one took it. */
#define DSM__NOBODY 0xffff

/* ---- A job's word, and what points at a job. */

static inline uint64_t
dsm__job_word(uint32_t turn, unsigned worker, enum dsm__job_phase phase)
{
    return (uint64_t)turn << 32 | (uint64_t)worker << 8 | phase;
}

static inline enum dsm__job_phase
dsm__word_phase(uint64_t word)
{
    return (enum dsm__job_phase)(word & 0xff);
}

static inline unsigned
dsm__word_worker(uint64_t word)
{
    return (unsigned)(word >> 8 & 0xffff);
}

static inline uint32_t
dsm__word_turn(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* 0 is no turn, so that no entry is 0. */
static inline uint32_t
dsm__next_turn(uint32_t turn)
{
    return turn + 1 ? turn + 1 : 1;
}

static inline uint64_t
dsm__job_entry(uint32_t turn, uint32_t index)
{
    return (uint64_t)turn << 32 | index;
}

static inline uint32_t
dsm__entry_turn(uint64_t entry)
{
    return (uint32_t)(entry >> 32);
}

static inline uint32_t
dsm__entry_index(uint64_t entry)
{
    return (uint32_t)entry;
}

static inline uint64_t
dsm__job_load(const struct dsm__job *job)
{
    return atomic_load_explicit(&job->word, memory_order_acquire);
}

#endif
