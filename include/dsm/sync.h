/* Named locks, barriers and queues between processes.
 *
 * Handles lie in shared memory and may be passed in `arg` and stored in arrays.
 * They live until they are destroyed or their cluster ends.  All calls are
 * thread-safe; controller, workers and attached programs may make them.
 * Timeouts are milliseconds, DSM_FOREVER or 0 (try once).  Every wait ends:
 * when the cluster's supervisor is gone, with DSM_ESTALE.
 *
 * create: 0; -EINVAL, -EEXIST, -ENOSPC.  open: 0; -ENOENT, or -EINVAL when the
 * name is another kind of object.  destroy: 0, also for NULL; -EBUSY while a
 * region runs, or someone holds or waits on it.
 */
#ifndef DSM_SYNC_H
#define DSM_SYNC_H

#include <dsm/attributes.h>

#include <stddef.h>

DSM_BEGIN_DECLS

typedef struct dsm_cluster dsm_cluster;
typedef struct dsm_lock dsm_lock;
typedef struct dsm_barrier dsm_barrier;
typedef struct dsm_queue dsm_queue;

/* ---- Locks: robust, not recursive, one holder (a thread) at a time. */

DSM_API DSM_CHECKED int dsm_lock_create(dsm_lock **lock, dsm_cluster *cluster,
                                        const char *name) DSM_NONNULL(1, 2, 3);
DSM_API DSM_CHECKED int dsm_lock_open(dsm_lock **lock, dsm_cluster *cluster,
                                      const char *name) DSM_NONNULL(1, 2, 3);
DSM_API int dsm_lock_destroy(dsm_lock *lock);

/* 0: held.  1: held, but its last holder died inside: check the data.
 * -ETIMEDOUT; -EDEADLK: this thread holds it already. */
DSM_API DSM_CHECKED int dsm_lock_acquire(dsm_lock *lock, int timeout_ms)
    DSM_NONNULL(1);

/* 0; -EPERM: this thread does not hold it. */
DSM_API int dsm_lock_release(dsm_lock *lock) DSM_NONNULL(1);

/* ---- Barriers. */

typedef enum dsm_barrier_kind {
    /* Breaks when any worker, or an attached program that has waited on it,
     * dies: all who wait or arrive until the region ends get DSM_EBROKEN; then
     * it is whole again. */
    DSM_BARRIER_ROBUST = 0,
    /* A process-shared pthread_barrier_t, for worker processes only.  POSIX
     * gives its waiters no way out, so when a party dies or fails those
     * who wait are ended after the grace, and the barrier is made anew. */
    DSM_BARRIER_PTHREAD
} dsm_barrier_kind;

/* `parties` is how many must arrive, 1 .. 65535. */
DSM_API DSM_CHECKED int
dsm_barrier_create(dsm_barrier **barrier, dsm_cluster *cluster,
                   const char *name, unsigned parties, dsm_barrier_kind kind)
    DSM_NONNULL(1, 2, 3);
DSM_API DSM_CHECKED int dsm_barrier_open(dsm_barrier **barrier,
                                         dsm_cluster *cluster, const char *name)
    DSM_NONNULL(1, 2, 3);
DSM_API int dsm_barrier_destroy(dsm_barrier *barrier);

/* 0; 1 for exactly one of the parties; DSM_EBROKEN.  -EPERM: a pthread barrier,
 * called elsewhere than in a worker process. */
DSM_API int dsm_barrier_wait(dsm_barrier *barrier) DSM_NONNULL(1);

/* ---- Queues: bounded, first in first out, any number of producers and
 * consumers.  A message is pushed or popped whole or not at all, also when its
 * producer or consumer dies in the middle. */

/* Room for `capacity` messages of `message_size` bytes, both at least 1. */
DSM_API DSM_CHECKED int dsm_queue_create(dsm_queue **queue,
                                         dsm_cluster *cluster, const char *name,
                                         size_t capacity, size_t message_size)
    DSM_NONNULL(1, 2, 3);
DSM_API DSM_CHECKED int dsm_queue_open(dsm_queue **queue, dsm_cluster *cluster,
                                       const char *name) DSM_NONNULL(1, 2, 3);
DSM_API int dsm_queue_destroy(dsm_queue *queue);

/* Copies message_size bytes in, waiting for room, or out, waiting for a
 * message.  0; -ETIMEDOUT; -EPIPE: closed (and for pop: drained);
 * DSM_ECANCELED, in a worker and in the controller: the region under way lost a
 * worker or was cancelled. */
DSM_API DSM_CHECKED int dsm_queue_push(dsm_queue *queue, const void *message,
                                       int timeout_ms) DSM_NONNULL(1, 2);
DSM_API DSM_CHECKED int dsm_queue_pop(dsm_queue *queue, void *message,
                                      int timeout_ms) DSM_NONNULL(1, 2);

/* No more pushes: they fail with -EPIPE; pops drain it and then return -EPIPE.
 */
DSM_API int dsm_queue_close(dsm_queue *queue) DSM_NONNULL(1);

DSM_END_DECLS

#endif
