/* What a function that runs in a worker is given, and what it may call.
 *
 * A dsm_worker belongs to one worker process and is valid while the function
 * runs.  Its calls come from the thread that runs the function, unless said
 * otherwise.
 */
#ifndef DSM_WORKER_H
#define DSM_WORKER_H

#include <dsm/array.h>
#include <dsm/attributes.h>
#include <dsm/op.h>
#include <dsm/split.h>
#include <dsm/sync.h>
#include <dsm/type.h>

#include <stdbool.h>
#include <stddef.h>

DSM_BEGIN_DECLS

typedef struct dsm_cluster dsm_cluster;
typedef struct dsm_worker dsm_worker;

/* A function for workers: regions, setup and cleanup.  `arg` is the worker's
 * view of the argument that was given (see dsm_cluster_run).  0 is success;
 * anything else makes the region fail with DSM_EFAILED, and the others'
 * barriers break, but they are not killed. */
typedef int (*dsm_fn)(dsm_worker *self, const void *arg, size_t arg_size);

/* This worker's number, 0 .. count-1, and how many there are. */
DSM_API unsigned dsm_worker_id(const dsm_worker *self) DSM_NONNULL(1);
DSM_API unsigned dsm_worker_count(const dsm_worker *self) DSM_NONNULL(1);

/* The cluster that the worker belongs to, for dsm_array_open and the like.
 * Regions and refresh are -EPERM through it. */
DSM_API dsm_cluster *dsm_worker_cluster(const dsm_worker *self) DSM_NONNULL(1);

/* This worker's share of 0 .. n-1: dsm_split(n, count, id). */
DSM_API dsm_range dsm_worker_range(const dsm_worker *self, size_t n)
    DSM_NONNULL(1);

/* Waits until every worker of the region is here.  0, or DSM_EBROKEN when one
 * died, failed, left its function or was cancelled, or DSM_ESTALE when the
 * supervisor did; then the region fails anyway, so a caller may ignore it. What
 * a worker wrote before the barrier, all see after it.  A centralized barrier
 * with a generation count (Mellor-Crummey and Scott 1991), on which only the
 * long waits cost a system call. */
DSM_API int dsm_worker_barrier(dsm_worker *self) DSM_NONNULL(1);

/* Combines values[0..n-1] of all workers element by element with `op`, in the
 * order of the workers' numbers; afterwards all workers hold the result in
 * `values`.  Collective: every worker of the region calls it with the same n,
 * type and op, and each has a buffer of its own.  `type` is what the values
 * are; it does not widen: a sum of int8 is an int8.  With an operator of the
 * user's own, op->size must be the size of `type`. 0; -EINVAL: the operator has
 * no meaning for the type, or the sizes differ; DSM_EBROKEN as the barrier (the
 * values are then undefined). */
DSM_API DSM_CHECKED int dsm_worker_reduce(dsm_worker *self, void *values,
                                          size_t n, dsm_type type,
                                          const dsm_op *op) DSM_NONNULL(1, 5);

/* Whether the controller asked this work to end (dsm_cluster_cancel), or the
 * region failed because a worker died.  Cheap enough for an inner loop; any
 * thread of the worker. */
DSM_API bool dsm_worker_cancelled(const dsm_worker *self) DSM_NONNULL(1);

/* The array or lock of that name.  Never NULL: a missing name ends the region
 * with -ENOENT, as by dsm_worker_fail. */
DSM_API dsm_array *dsm_worker_array(dsm_worker *self, const char *name)
    DSM_NONNULL(1, 2);
DSM_API dsm_lock *dsm_worker_lock(dsm_worker *self, const char *name)
    DSM_NONNULL(1, 2);

/* Ends this worker's part of the region with `code` and a message, which
 * dsm_last_error and dsm_cluster_worker then give.  dsm_cluster_run returns
 * `code` if it is negative, else DSM_EFAILED.  The worker process is replaced;
 * nothing unwinds, no exit handler runs.  In a controller that works
 * (options.controller_works) worker 0 is the controller itself, and its
 * function is left by longjmp. */
DSM_API DSM_NORETURN void dsm_worker_fail(dsm_worker *self, int code,
                                          const char *format, ...)
    DSM_NONNULL(1, 3) DSM_PRINTF(3, 4);

DSM_END_DECLS

#endif
