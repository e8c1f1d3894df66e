/* Jobs: functions that a program submits and any free worker runs.
 *
 * A dsm_job belongs to the process that submitted it.  All calls may come from
 * any thread of it.  Any program that created or attached a cluster submits
 * jobs of its own and sees no others; workers are shared fairly between
 * programs, and a program's jobs run in the order of their priority, then
 * first come, first served.  Jobs run while no region does: a region waits for
 * running jobs to end and keeps new ones queued meanwhile.
 *
 * A job whose worker dies fails, or runs again up to `retries` times; no other
 * job is touched.  Results arrive exactly once; with retries the function may
 * have run more than once.
 *
 * In a worker's function all calls but dsm_worker_return and dsm_worker_publish
 * give -EPERM; in a child that the host program forked, all do.
 */
#ifndef DSM_JOB_H
#define DSM_JOB_H

#include <dsm/attributes.h>
#include <dsm/cluster.h>
#include <dsm/worker.h>

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

DSM_BEGIN_DECLS

typedef struct dsm_job dsm_job;

/* Called for each provisional result of a job and at its end; only within
 * dsm_cluster_poll and dsm_cluster_drain, in the thread that called them, and
 * never while another callback of this thread runs.  It may submit, cancel and
 * release jobs, this one too. */
typedef void (*dsm_job_callback)(dsm_job *job, void *arg);

/* Priorities are whole numbers from the one to the other; higher runs first. */
#define DSM_PRIORITY_LEAST (-3)
#define DSM_PRIORITY_MOST 3

/* Options of dsm_job_submit and dsm_job_map.  Zero means default. */
typedef struct dsm_job_options {
    size_t size; /* set by DSM_JOB_OPTIONS_INIT */
    dsm_job_callback callback;
    void *callback_arg;
    unsigned retries;    /* so often it is run again when its worker dies */
    int priority;        /* among this program's jobs */
    const char *name;    /* for listings; cut at DSM_NAME_MAX, copied */
    bool capture_output; /* stdout and stderr go to dsm_job_status */
    bool nowait;         /* -EAGAIN in place of waiting for room */
    int timeout_ms;      /* of waiting for room; 0: no limit */
} dsm_job_options;

#ifdef __cplusplus
#define DSM_JOB_OPTIONS_INIT dsm__job_options_init()
#else
#define DSM_JOB_OPTIONS_INIT                                                   \
    ((dsm_job_options){.size = sizeof(dsm_job_options)})
#endif

typedef enum dsm_job_state {
    DSM_JOB_QUEUED = 0,
    DSM_JOB_RUNNING,
    DSM_JOB_FINISHED, /* its function returned 0 */
    DSM_JOB_FAILED,
    DSM_JOB_CANCELLED
} dsm_job_state;

/* What dsm_job_status tells.  Times are seconds since the Epoch, 0 for what has
 * not happened; of a job that was run again, those of its last try. */
typedef struct dsm_job_info {
    size_t size; /* set by DSM_JOB_INFO_INIT */
    dsm_job_state state;
    int code;       /* what dsm_job_result returns: DSM_EPENDING till the end */
    unsigned tries; /* how often it was begun */
    unsigned worker; /* of the last try */
    pid_t pid;       /* of that worker then; 0 before the first try */
    int value;       /* what the function returned */
    int signal;      /* that killed its worker, or 0 */
    int exit_code;   /* with which the worker left, or 0 */
    double submitted, started, ended;
    char name[DSM_NAME_MAX + 1];
    char host[64];
    char message[256]; /* why it failed */
    /* With options.capture_output, once it has ended: what the last try
     * printed, with a zero behind it; valid until the job is released.  All of
     * a function's stderr up to its death, but at most the last 4096 bytes of
     * one that died. */
    const char *out, *err;
    size_t out_size, err_size;
} dsm_job_info;

#ifdef __cplusplus
#define DSM_JOB_INFO_INIT dsm__job_info_init()
#else
#define DSM_JOB_INFO_INIT ((dsm_job_info){.size = sizeof(dsm_job_info)})
#endif

/* ---- Submitting. */

/* Has some worker run fn once, soon.  `arg`, arg_size bytes of it (any number),
 * is copied before the call returns; the function sees the copy, 64-byte
 * aligned.  With arg_size 0 the pointer itself is passed: NULL, or into an
 * array or object of the cluster, else -EINVAL.  `options` may be NULL.  `job`
 * may be NULL, if no handle is wanted: the job is then released after its last
 * callback, or by whoever gets it from dsm_job_next.
 * When options.max_jobs of this program's jobs are unreleased, it waits for
 * room.  fn may be of any shared object that this program has loaded, of the
 * program itself only if it created the cluster.
 * 0; -EINVAL: a bad argument or option; -EAGAIN, -ETIMEDOUT: no room
 * (options.nowait, options.timeout_ms); -EDEADLK: no room, and this program has
 * no other thread that could make some; -ENOSPC, -ENOMEM: no memory for a large
 * argument; -ENOEXEC: workers cannot find the function; -EPERM: in a worker;
 * DSM_ESTALE: the supervisor is gone; or why workers cannot be started, as from
 * dsm_cluster_run. */
DSM_API DSM_CHECKED int
dsm_job_submit(dsm_job **job, dsm_cluster *cluster, dsm_fn fn, const void *arg,
               size_t arg_size, const dsm_job_options *options)
    DSM_NONNULL(2, 3);

/* Submits n jobs at once, the k-th with the argument at args + k * arg_size;
 * with arg_size 0 each gets the pointer `args`.  Fills jobs[n], or none if
 * `jobs` is NULL.  All or none: waits until there is room for all.  Errors as
 * above; -EINVAL also when n is more than options.max_jobs of the cluster. */
DSM_API DSM_CHECKED int
dsm_job_map(dsm_job **jobs, dsm_cluster *cluster, dsm_fn fn, const void *args,
            size_t arg_size, size_t n, const dsm_job_options *options)
    DSM_NONNULL(2, 3);

/* ---- Results. */

/* The next of this program's jobs without a callback that has ended, each once,
 * in the order of their ends; a released one is not given.  0; -ETIMEDOUT;
 * -ECHILD: there is none left to wait for. */
DSM_API DSM_CHECKED int dsm_job_next(dsm_job **job, dsm_cluster *cluster,
                                     int timeout_ms) DSM_NONNULL(1, 2);

/* Waits for the job's end and gives what its function returned by
 * dsm_worker_return, 16-byte aligned, valid until the job is released; NULL and
 * 0 if nothing.  `result` and `size` may be NULL.
 * 0: the function returned 0; DSM_EPENDING: it has not ended within timeout_ms;
 * DSM_EFAILED: it returned something else, or ended holding a lock;
 * DSM_EWORKER: its worker died, more often than options.retries allowed;
 * DSM_ECANCELED, also if the cluster ended meanwhile; or the code given to
 * dsm_worker_fail.  dsm_last_error then says which job, and how. */
DSM_API DSM_CHECKED int dsm_job_result(dsm_job *job, const void **result,
                                       size_t *size, int timeout_ms)
    DSM_NONNULL(1);

/* Takes the newest provisional result (dsm_worker_publish), valid until the
 * next call on this job or its release.  0; DSM_EPENDING: there is none that
 * was not taken before. */
DSM_API DSM_CHECKED int dsm_job_provisional(dsm_job *job, const void **data,
                                            size_t *size) DSM_NONNULL(1, 2, 3);

/* Tells about a job; *info was set to DSM_JOB_INFO_INIT.  -EINVAL: it was not.
 */
DSM_API int dsm_job_status(dsm_job *job, dsm_job_info *info) DSM_NONNULL(1, 2);

/* A queued job never runs.  A running one is asked to end: in its function
 * dsm_worker_cancelled turns true; if it has not ended after grace_ms its
 * worker is killed and replaced (DSM_GRACE: the cluster's grace; DSM_FOREVER:
 * only ask; 0: at once).  A function that returns 0 all the same has finished.
 * Returns at once; 0 also when the job has ended already. */
DSM_API int dsm_job_cancel(dsm_job *job, int grace_ms) DSM_NONNULL(1);

/* Gives the job's memory back, or keeps it for this program's next jobs; the
 * handle is gone.  One that has not ended runs on, without callbacks, and its
 * result is dropped.  NULL is legal. */
DSM_API void dsm_job_release(dsm_job *job);

/* ---- Callbacks and event loops. */

/* Runs the callbacks that are due, in this thread, waiting for the first one
 * for timeout_ms at most.  How many it ran; 0 at once when no job with a
 * callback is outstanding, or when called in a callback; DSM_ESTALE, or the
 * error for which the cluster cannot go on. */
DSM_API int dsm_cluster_poll(dsm_cluster *cluster, int timeout_ms)
    DSM_NONNULL(1);

/* Waits until all of this program's jobs have ended, running callbacks.  0,
 * however they ended; -ETIMEDOUT; -EDEADLK: called in a callback; DSM_ESTALE.
 */
DSM_API int dsm_cluster_drain(dsm_cluster *cluster, int timeout_ms)
    DSM_NONNULL(1);

/* A descriptor for poll(2) and its like, the library's: readable when
 * dsm_cluster_poll has callbacks to run, dsm_job_next has a job to give, or a
 * region that dsm_cluster_start began has ended; also when the cluster ended or
 * cannot go on, of which dsm_cluster_poll then tells, but not when its
 * supervisor was killed.  Level-triggered; it may be readable once without
 * cause.  Never read it, nor close it.  Or a negative error. */
DSM_API int dsm_cluster_fd(dsm_cluster *cluster) DSM_NONNULL(1);

/* ---- In a job's function. */

/* Keeps a copy of the job's result, any size; the last call counts.  0; -EPERM:
 * not in a job; -ENOSPC, -ENOMEM: no memory. */
DSM_API DSM_CHECKED int dsm_worker_return(dsm_worker *self, const void *result,
                                          size_t size) DSM_NONNULL(1);

/* Publishes a provisional result, any size, in a copy.  Waits until the last
 * one was taken; with timeout_ms 0 replaces it.  So the program is never
 * flooded: at most one is kept.  While the program waits in submit, result or
 * drain it takes none by itself, and the last one is replaced, too. 0;
 * -ETIMEDOUT: the last one was not taken, and this one is dropped;
 * DSM_ECANCELED: the job is to end; -EPERM; -ENOSPC, -ENOMEM. */
DSM_API DSM_CHECKED int dsm_worker_publish(dsm_worker *self, const void *data,
                                           size_t size, int timeout_ms)
    DSM_NONNULL(1);

#ifdef __cplusplus
static inline dsm_job_options
dsm__job_options_init(void)
{
    dsm_job_options options = dsm_job_options();
    options.size = sizeof options;
    return options;
}

static inline dsm_job_info
dsm__job_info_init(void)
{
    dsm_job_info info = dsm_job_info();
    info.size = sizeof info;
    return info;
}
#endif

DSM_END_DECLS

#endif
