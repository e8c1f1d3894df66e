/* Taking jobs: a worker's side of the pool. */
#ifndef DSM_POOL_TAKE_H
#define DSM_POOL_TAKE_H

#include "pool/pool.h"

/* What a worker process knows of the block that it has taken. */
struct dsm__taker {
    struct dsm__control *control;
    struct dsm__worker_slot *slot;
    unsigned worker;
    unsigned program; /* whose jobs the block has; next time another's turn */
    uint32_t next, count;
    uint32_t size;   /* of the next block: more than one if jobs are short */
    uint64_t pace;   /* ticks of a job, the longer of late */
    unsigned victim; /* whose block to look into next */
    unsigned misses; /* looks in vain since the last block */
    bool looks;      /* as work.looking says */
};

void dsm__taker_init(struct dsm__taker *taker, struct dsm__control *control,
                     unsigned worker);

/* The next job of the block that no other took: it is now this worker's to run.
 * With its entry; NULL: the block is done. */
struct dsm__job *dsm__block_next(struct dsm__taker *taker, uint64_t *entry);

/* Takes another block.  What ended of the last one has been told: from now on
 * it is nowhere else to be found.  False: there are no queued jobs. */
bool dsm__block_take(struct dsm__taker *taker);

/* Tells how many ticks the last job took. */
void dsm__job_took(struct dsm__taker *taker, uint64_t ticks);

/* Says that a program has queued jobs, and wakes a worker if none looks.  With
 * DSM__PROGRAMS_MAX: only the latter. */
void dsm__queued_tell(struct dsm__control *control, unsigned program);

/* Looks at all programs' rings, and says so of those that have queued jobs but
 * do not seem to: who was about to say it may be stopped. */
void dsm__queued_check(struct dsm__control *control);

/* Whether some program may have queued jobs. */
static inline bool
dsm__queued_any(const struct dsm__control *control)
{
    for (unsigned w = 0; w < (DSM__PROGRAMS_MAX + 63) / 64; w++)
        if (atomic_load_explicit(&control->work.queued[w],
                                 memory_order_seq_cst))
            return true;
    return false;
}

/* Says that this worker looks for work, or does so no more.  One that runs very
 * short jobs goes on saying so: it will look within a microsecond. */
void dsm__look(struct dsm__taker *taker, bool looks);

/* Whether a worker looks. */
bool dsm__someone_looks(const struct dsm__control *control);

/* Whether another worker looks. */
bool dsm__others_look(const struct dsm__taker *taker);

#endif
