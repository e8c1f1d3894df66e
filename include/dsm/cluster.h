/* Clusters: a controller and its worker processes.
 *
 * A dsm_cluster belongs to the process that created or attached it (and to its
 * workers).  Its calls may come from any thread; one region runs at a time.  In
 * a child that the host program forked, every call gives -EPERM and
 * dsm_cluster_destroy does nothing: the cluster stays its parent's.
 */
#ifndef DSM_CLUSTER_H
#define DSM_CLUSTER_H

#include <dsm/attributes.h>
#include <dsm/type.h>
#include <dsm/worker.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

DSM_BEGIN_DECLS

/* Longest name of a cluster or of an object in it, without the final zero.
 * Names are made of A-Z a-z 0-9 _ and -. */
#define DSM_NAME_MAX 48

/* Most dimensions of an array. */
#define DSM_NDIM_MAX 8

/* Most workers of a cluster. */
#define DSM_WORKERS_MAX 1024

/* Most jobs of a program, and what options.max_jobs is by default. */
#define DSM_JOBS_MAX (1 << 20)
#define DSM_JOBS_DEFAULT 65536

/* Where workers run. */
typedef enum dsm_bind {
    DSM_BIND_AUTO = 0, /* NUMA where there are several nodes, else NONE */
    DSM_BIND_NONE,     /* wherever the scheduler puts them */
    DSM_BIND_CORE,     /* worker k on the k-th core that may be used */
    DSM_BIND_NUMA      /* workers dealt out to NUMA nodes in blocks */
} dsm_bind;

/* Options of dsm_cluster_create.  Zero means default. */
typedef struct dsm_cluster_options {
    size_t size; /* set by DSM_CLUSTER_OPTIONS_INIT */
    /* NULL: PROGRAM-PID, with a suffix where that is taken. */
    const char *name;
    /* Run in each worker after its fork / before its orderly end.  A setup
     * that returns non-zero is a failed start. */
    dsm_fn setup, cleanup;
    const void *setup_arg; /* for both; copied, for re-forked workers too */
    size_t setup_arg_size;
    dsm_bind bind;
    int grace_ms;          /* between asking and killing; 0: 1000 */
    size_t address_space;  /* bytes reserved for arrays; default 1 TiB, halved
                              until it fits */
    bool controller_works; /* the controller is worker 0, without isolation
                              for that share */
    bool detached;         /* outlives its creator until it is removed */
    const char *directory; /* for the arrays' segments; NULL: /dev/shm */
    const char *log;       /* a file for what supervisor and workers print */
    unsigned max_jobs;     /* unreleased jobs of a program, fewer where address
                              space is short; 0: DSM_JOBS_DEFAULT */
} dsm_cluster_options;

#ifdef __cplusplus
#define DSM_CLUSTER_OPTIONS_INIT dsm__cluster_options_init()
#else
#define DSM_CLUSTER_OPTIONS_INIT                                               \
    ((dsm_cluster_options){.size = sizeof(dsm_cluster_options)})
#endif

typedef enum dsm_worker_state {
    DSM_WORKER_STARTING = 0, /* forked, setup not yet done */
    DSM_WORKER_IDLE,
    DSM_WORKER_RUNNING,
    DSM_WORKER_DEAD /* and about to be replaced */
} dsm_worker_state;

/* What dsm_cluster_worker tells.  Times are seconds since the cluster was
 * created and stay through re-forks. */
typedef struct dsm_worker_info {
    size_t size; /* set by DSM_WORKER_INFO_INIT */
    unsigned id;
    dsm_worker_state state;
    pid_t pid; /* of the process now in this place; 0 while there is none */
    /* How the last region ended for it; valid until the next one starts. */
    int value;      /* what the function returned */
    int signal;     /* that killed it, or 0 */
    int exit_code;  /* with which it left, or 0 */
    pid_t dead_pid; /* the pid it then had, or 0 */
    char message[256];
    /* Counters. */
    uint64_t regions, jobs, chunks, chunk, deaths;
    double busy, barrier_wait, lock_wait, idle;
    /* Of its jobs: seconds in all (busy counts them, too), on average, and of
     * the longest. */
    double job_busy, job_mean, job_worst;
    char work[64]; /* "region 17", "job NAME", or "" while it is idle */
} dsm_worker_info;

#ifdef __cplusplus
#define DSM_WORKER_INFO_INIT dsm__worker_info_init()
#else
#define DSM_WORKER_INFO_INIT                                                   \
    ((dsm_worker_info){.size = sizeof(dsm_worker_info)})
#endif

typedef enum dsm_cluster_state {
    DSM_CLUSTER_LIVE = 0,
    DSM_CLUSTER_STALE, /* its owner is gone; dsm_cluster_remove takes it away */
    DSM_CLUSTER_FOREIGN /* a segment that this version cannot read */
} dsm_cluster_state;

/* What dsm_cluster_list tells. */
typedef struct dsm_cluster_info {
    size_t size;
    char name[DSM_NAME_MAX + 1];
    dsm_cluster_state state;
    pid_t owner; /* the controller's pid, in its pid namespace */
    unsigned workers;
    unsigned objects;
    uint64_t bytes; /* of memory, arrays and control segment together */
    double age;     /* seconds since it was created */
    char program[64];
    char directory[256]; /* where its arrays lie */
} dsm_cluster_info;

typedef enum dsm_object_kind {
    DSM_OBJECT_ARRAY = 1,
    DSM_OBJECT_LOCK,
    DSM_OBJECT_BARRIER,
    DSM_OBJECT_QUEUE
} dsm_object_kind;

/* What dsm_cluster_objects tells. */
typedef struct dsm_object_info {
    size_t size;
    char name[DSM_NAME_MAX + 1];
    dsm_object_kind kind;
    dsm_type type; /* arrays */
    unsigned ndim; /* arrays */
    size_t shape[DSM_NDIM_MAX];
    uint64_t bytes; /* of memory */
    char path[512]; /* arrays: the file that numpy.load opens */
} dsm_object_info;

/* Forks `workers` processes (0: $DSM_WORKERS, else the CPUs that this process
 * may use, by affinity mask and cgroup quota) and waits until each has run
 * options->setup.  Before that it takes away what dead clusters of this user
 * left in /dev/shm.  `options` may be NULL.
 * 0; -EINVAL: a bad name, option or number of workers; -EEXIST: a live cluster
 * has the name; -ENOSPC: /dev/shm is full; -ENOMEM: no memory, or no
 * addresses to reserve; -EAGAIN: no process could be forked; DSM_EFAILED,
 * DSM_EWORKER or the code given to dsm_worker_fail: setup failed or died three
 * times in a row; -EPERM: called in a worker.  Forks: see dsm(7), CAVEATS. */
DSM_API DSM_CHECKED int dsm_cluster_create(dsm_cluster **cluster,
                                           unsigned workers,
                                           const dsm_cluster_options *options)
    DSM_NONNULL(1);

/* Ends the workers and unlinks everything that the cluster made; waits until
 * that is done.  Of an attached handle, and of a detached cluster's: only lets
 * go of it.  NULL is legal.  At exit, live clusters are destroyed. */
DSM_API void dsm_cluster_destroy(dsm_cluster *cluster);

/* Runs fn once in every worker and waits for all: a region.
 * `arg`, arg_size bytes of it, is copied, and workers see the copy, 64-byte
 * aligned.  With arg_size 0 the pointer itself is passed: NULL, or into an
 * array or object of the cluster, else -EINVAL.
 * 0, or how the first worker that failed did: DSM_EFAILED: its function
 * returned non-zero, or while it held a lock (the worker is then replaced, and
 * the next to acquire the lock is told); DSM_EWORKER: it died (and has been
 * replaced); DSM_EBROKEN: it left its function while others waited for it at
 * the worker barrier; or the code given to dsm_worker_fail.  -EBUSY: a region
 * runs already; -EPERM: called in a worker or through an attached handle;
 * DSM_ESTALE: the supervisor is gone; when a worker could not be replaced three
 * times in a row, what dsm_cluster_create would have returned, until
 * dsm_cluster_refresh. */
DSM_API DSM_CHECKED int dsm_cluster_run(dsm_cluster *cluster, dsm_fn fn,
                                        const void *arg, size_t arg_size)
    DSM_NONNULL(1, 2);

/* The same, but returns at once; dsm_cluster_wait has the result.  -EINVAL with
 * options.controller_works. */
DSM_API DSM_CHECKED int dsm_cluster_start(dsm_cluster *cluster, dsm_fn fn,
                                          const void *arg, size_t arg_size)
    DSM_NONNULL(1, 2);

/* Waits for the region that dsm_cluster_start began and returns what
 * dsm_cluster_run would.  -ETIMEDOUT: it still runs; -EINVAL: none was
 * started; -EBUSY: another thread waits for it. */
DSM_API DSM_CHECKED int dsm_cluster_wait(dsm_cluster *cluster, int timeout_ms)
    DSM_NONNULL(1);

/* Asks a started region to end: dsm_worker_cancelled turns true, barriers
 * break, queue calls give DSM_ECANCELED; whoever has not left after grace_ms is
 * killed and replaced.  DSM_GRACE: the option's; DSM_FOREVER: only ask; 0: kill
 * at once.  dsm_cluster_wait then returns 0 if every function returned 0 by
 * itself, DSM_ECANCELED if one had to be killed, or had not been called yet.
 * Returns at once; 0 also when no region runs; -EPERM: called in a worker or
 * through an attached handle; -ETIMEDOUT: the supervisor is stopped and does
 * not answer within 10 s. */
DSM_API int dsm_cluster_cancel(dsm_cluster *cluster, int grace_ms)
    DSM_NONNULL(1);

/* Kills and re-forks every worker: fresh memory, the same arrays, locks and
 * queues.  Running jobs are run again or fail, by their options.retries; queued
 * ones stay.  Waits until all have run setup.  0; -EBUSY: a region runs, or
 * another refresh; -EPERM: called in a worker; DSM_ESTALE: the supervisor is
 * gone; and what dsm_cluster_create returns when workers cannot start. */
DSM_API DSM_CHECKED int dsm_cluster_refresh(dsm_cluster *cluster)
    DSM_NONNULL(1);

/* Joins a live cluster of this user from another program: for objects, jobs and
 * refresh, not for regions.  Maps everything at the cluster's own addresses.
 * 0; -ENOENT: no such cluster, or it is only being created; DSM_ESTALE: its
 * owner is gone; -EADDRNOTAVAIL: the addresses are taken here; -EXDEV: it lives
 * in another pid namespace; -EAGAIN: 64 programs have joined already; -EMFILE:
 * no more open files, there or here; DSM_EFORMAT: not a control segment of this
 * version.  When the cluster ends, what was mapped stays readable, and waits
 * end with DSM_ESTALE. */
DSM_API DSM_CHECKED int dsm_cluster_attach(dsm_cluster **cluster,
                                           const char *name) DSM_NONNULL(1, 2);

DSM_API unsigned dsm_cluster_workers(const dsm_cluster *cluster) DSM_NONNULL(1);
DSM_API const char *dsm_cluster_name(const dsm_cluster *cluster) DSM_NONNULL(1);

/* Tells about worker `id`; *info was set to DSM_WORKER_INFO_INIT.  -EINVAL: it
 * was not, or there is no such worker. */
DSM_API int dsm_cluster_worker(const dsm_cluster *cluster, unsigned id,
                               dsm_worker_info *info) DSM_NONNULL(1, 3);

/* Prints a table of all workers' counters. */
DSM_API int dsm_cluster_print_stats(const dsm_cluster *cluster, FILE *stream)
    DSM_NONNULL(1, 2);

/* Calls visit for each cluster of this user, live and stale, in order of their
 * names.  A non-zero return stops, and is returned (a positive one is told from
 * the library's errors).  Needs no cluster. */
DSM_API int dsm_cluster_list(int (*visit)(const dsm_cluster_info *info,
                                          void *arg),
                             void *arg) DSM_NONNULL(1);

/* The same for the objects of one cluster, live or stale.  -ENOENT: there is
 * none of that name; DSM_EFORMAT: its control segment cannot be read. */
DSM_API int dsm_cluster_objects(const char *name,
                                int (*visit)(const dsm_object_info *info,
                                             void *arg),
                                void *arg) DSM_NONNULL(1, 2);

/* Removes a cluster of this user.  A stale one: unlinks its segments.  A live
 * one: -EBUSY; with `force` it is stopped first.  -ENOENT: there is none. */
DSM_API int dsm_cluster_remove(const char *name, bool force) DSM_NONNULL(1);

#ifdef __cplusplus
static inline dsm_cluster_options
dsm__cluster_options_init(void)
{
    dsm_cluster_options options = dsm_cluster_options();
    options.size = sizeof options;
    return options;
}

static inline dsm_worker_info
dsm__worker_info_init(void)
{
    dsm_worker_info info = dsm_worker_info();
    info.size = sizeof info;
    return info;
}
#endif

DSM_END_DECLS

#endif
