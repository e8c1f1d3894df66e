/* The inside of a cluster's and a worker's handle. */
#ifndef DSM_CLUSTER_CLUSTER_H
#define DSM_CLUSTER_CLUSTER_H

#include "os/cpu.h"
#include "pool/crate.h"
#include "pool/take.h"
#include "registry/member.h"

#include <dsm/cluster.h>

#include <setjmp.h>
#include <signal.h>

struct dsm_worker {
    dsm_cluster *cluster;
    struct dsm__control *control;
    struct dsm__worker_slot *slot;
    unsigned id, count;
    uint32_t region;
    unsigned half;          /* of the scratch, for the next collective call */
    bool in_region;         /* and not in setup or cleanup */
    bool rested;            /* before this region, so that it was woken */
    const char *collective; /* the primitive it is in, or NULL */
    jmp_buf *failed;        /* controller_works: where dsm_worker_fail goes */

    /* Jobs; see perform.h. */
    struct dsm__job *job; /* that it runs now, or NULL */
    uint64_t job_entry;
    struct dsm__taker taker;
    uint64_t ended[DSM__BLOCK_MAX]; /* jobs whose ends are still to be told */
    unsigned ended_count;
    uint64_t told;             /* when, in ticks, it last told */
    struct dsm__crates crates; /* that it has mapped */
    int saved_output[2]; /* stdout and stderr, while a job's are captured */
};

struct dsm_cluster {
    struct dsm__member member;   /* first: see dsm__member() */
    dsm_cluster_options options; /* checked; name and directory not kept */
    char name[DSM_NAME_MAX + 1]; /* here, as the host may fork and hand it on */
    void *setup_arg;
    int log; /* options.log, open, until the supervisor has it; or -1 */
    /* The controller's: its pid since the workers have started, as shared
     * memory may say anything later. */
    pid_t supervisor;

    /* Of the controller: one region at a time, one command at a time. */
    pthread_mutex_t regions, commands;
    _Atomic bool started; /* by dsm_cluster_start, and not waited for */
    dsm_array *large_arg; /* for arguments beyond DSM__ARG_INLINE */

    struct dsm__objects *objects; /* that workers have loaded, too */
    /* This program's jobs, made with the first one; see job/ledger.h. */
    _Atomic(struct dsm__ledger *) ledger;
    void (*ledger_free)(struct dsm__ledger *ledger);

    dsm_worker self; /* of this process, if it is a worker */

    /* What supervisor and workers inherit. */
    sigset_t host_mask;
    struct dsm__trace *trace;      /* or NULL */
    struct dsm__cpu_place *places; /* of the workers, or NULL */
};

/* The first worker that is a process. */
static inline unsigned
dsm__first_worker(const dsm_cluster *cluster)
{
    return cluster->options.controller_works ? 1 : 0;
}

/* An empty handle, to be given to dsm_cluster_destroy; NULL: no memory. */
dsm_cluster *dsm__cluster_new(void);

/* Ends the controller's cluster and unlinks everything.  The handle stays, and
 * calls through it, of other threads too, give DSM_ESTALE. */
void dsm__cluster_end(dsm_cluster *cluster);

/* The worker that the calling thread is in a region or in setup, or NULL. */
dsm_worker *dsm__cluster_worker_here(dsm_cluster *cluster);

/* A part of the scratch of worker `worker`: `half` is 0 or 1.  One barrier
 * between two uses of a half keeps them apart when the halves are used in
 * turn. */
static inline void *
dsm__scratch(const struct dsm__control *control, unsigned worker, unsigned half)
{
    return (char *)dsm__at(control, control->scratch_offset) +
           worker * DSM__SCRATCH + half * (DSM__SCRATCH / 2);
}

/* Whether workers can see an argument: copied, or with no size NULL or shared.
 * 0, -EINVAL. */
int dsm__argument_check(const dsm_cluster *cluster, const void *arg,
                        size_t size);

/* Why no work can be done: the cluster is broken, or its supervisor dead.  0 or
 * that error, with its sentence. */
int dsm__cluster_check(const struct dsm__control *control);

/* dsm_cluster_run, and after a region that went well `after`, before another
 * can begin. */
int dsm__cluster_run(dsm_cluster *cluster, dsm_fn fn, const void *arg,
                     size_t arg_size, void (*after)(void *context),
                     void *context);

/* Waits until all workers have run their setup. */
int dsm__cluster_wait_started(dsm_cluster *cluster);

#endif
