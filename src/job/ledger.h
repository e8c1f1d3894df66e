/* A program's own record of its jobs.
 *
 * It has a handle for each slot of the program's part of the pool.  The slots
 * that are free are this process's secret; so is how far a job has got on its
 * way from its end to the user: whether the end was seen, the callback called,
 * the handle given by dsm_job_next or released.  One lock, of this process
 * alone, guards it all; it is let go of during callbacks, waits, and copies of
 * large arguments. */
#ifndef DSM_JOB_LEDGER_H
#define DSM_JOB_LEDGER_H

#include "cluster/cluster.h"
#include "pool/pool.h"

#include <dsm/job.h>

#include <pthread.h>

enum { DSM__NO_LIST, DSM__IN_ENDED, DSM__IN_DUE };

struct dsm_job {
    struct dsm__ledger *ledger;
    struct dsm__job *slot;
    uint32_t index;
    unsigned char list; /* in which it is */
    bool handle;        /* the user has one, or got one from next */
    bool over;          /* its end was seen */
    bool released;      /* by the user; it is recycled at its end */
    bool calling;       /* its callback runs */
    bool called_for;    /* there is more to call it for */
    bool unwanted;      /* the provisional result that it runs for, so far */
    dsm_job_callback callback;
    void *callback_arg;
    struct dsm_job *previous, *next;
    /* Of a large argument and result, and what was left for the latter. */
    struct dsm__crate *arg_crate, *result_crate, *spare;
    struct dsm__kept *kept; /* what was mapped and read for the user, or NULL */
};

struct dsm__kept {
    const void *provisional;
    size_t provisional_size;
    char *out, *err;
    size_t out_size, err_size;
};

struct dsm__list {
    struct dsm_job *first, *last;
};

struct dsm__ledger {
    pthread_mutex_t lock;
    dsm_cluster *cluster;
    struct dsm__control *control;
    struct dsm__board *board;
    unsigned program;

    /* As they were found to be, since others could change what says so. */
    uint32_t jobs_max, slots;
    struct dsm_job *jobs; /* jobs_max of them */
    uint32_t *free;       /* a stack of slots' numbers */
    uint32_t free_count;

    /* Of the ring `ended`: read before, and seen up to.  In between is what
     * some worker is still to fill, and behind that what was read out of turn.
     */
    uint64_t head, tail;
    struct dsm__list ended, due; /* for next; for callbacks */
    struct dsm__crates crates;   /* that no job has */
    size_t large_result;         /* the last one's size */
    /* Jobs not over: all; of these released ones; and for whom to wait in next
     * and in poll. */
    unsigned unfinished, unfinished_released, unfinished_next, unfinished_due;
    unsigned waiting;         /* threads that wait */
    _Atomic uint32_t changes; /* that concern them, made in this process */
    int bell;                 /* dsm_cluster_fd's, or -1 */
    uint32_t armings;         /* of it so far */
    bool rung;                /* by the program itself */
    size_t submitted;         /* jobs since the ring was read for that */
};

/* The ledger of the cluster's jobs of this program, made if need be.  Checks
 * who calls, too: -EPERM in a worker and a host's child. */
int dsm__ledger_open(struct dsm__ledger **ledger, dsm_cluster *cluster,
                     const char *call);

/* The same check for what is done with a job's handle: 0 or -EPERM. */
int dsm__job_check(const struct dsm_job *job, const char *call);

/* All below with the lock held. */

/* Takes n slots off the stack, chained by `next`.  Waits for room, by the
 * options. */
int dsm__ledger_take(struct dsm__ledger *ledger, struct dsm_job **chain,
                     uint32_t n, const dsm_job_options *options);

/* Gives back a job that has ended, or never began; forgets all that it had. */
void dsm__job_recycle(struct dsm_job *job);

/* Forgets what was mapped and read for the user. */
void dsm__kept_free(struct dsm_job *job);

/* Reads the ring: sees what has ended, and puts it into the lists. */
void dsm__ledger_read(struct dsm__ledger *ledger);

/* A worker that has run several short jobs and then begun a long one has not
 * told of them yet: sees what has ended so, when workers have been asked to
 * tell at once from now on.  Whether there was such. */
bool dsm__ledger_look(struct dsm__ledger *ledger);

/* The job has ended: that was seen. */
void dsm__job_over(struct dsm_job *job);

/* A change that threads of this process may wait for. */
void dsm__ledger_changed(struct dsm__ledger *ledger);

/* Waits until `more` entries have come into the ring, or something else has
 * changed.
 * `patient`: it takes no provisional results meanwhile, for which workers then
 * do not wait.  0: look again; -ETIMEDOUT, DSM_ESTALE or why the cluster is
 * broken, with a sentence but for the first. */
int dsm__ledger_wait(struct dsm__ledger *ledger, uint64_t more, bool patient,
                     int64_t deadline);

/* Makes the bell's descriptor readable or not, at the end of a call. */
void dsm__ledger_settle_bell(struct dsm__ledger *ledger);

void dsm__list_append(struct dsm__list *list, struct dsm_job *job, int which);
void dsm__list_remove(struct dsm_job *job);

/* Whether this thread runs the job's callback for a provisional result: the
 * job's end, which may come meanwhile, is for the next call. */
bool dsm__job_called_early(const struct dsm_job *job);

/* The crate of a large result; NULL: no memory. */
struct dsm__crate *dsm__job_result_crate(struct dsm_job *job);

/* What keeps things for the user; NULL: no memory. */
struct dsm__kept *dsm__job_keep(struct dsm_job *job);

static inline struct dsm__body *
dsm__job_body(const struct dsm_job *job)
{
    return dsm__body(job->ledger->control, job->ledger->program, job->index);
}

/* ---- What the word of a job says. */

/* What dsm_job_result returns of it, and why. */
int dsm__job_code(const struct dsm_job *job);
const char *dsm__job_message(const struct dsm_job *job);

static inline bool
dsm__job_ended(const struct dsm_job *job)
{
    return dsm__word_phase(dsm__job_load(job->slot)) == DSM__JOB_ENDED;
}

#endif
