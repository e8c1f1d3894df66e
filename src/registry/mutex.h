/* Robust process-shared mutexes: spin, then sleep in slices, and look between
 * them whether the cluster is still alive. */
#ifndef DSM_REGISTRY_MUTEX_H
#define DSM_REGISTRY_MUTEX_H

#include "registry/control.h"

/* No wait in the library sleeps longer than this without looking whether those
 * it waits for are alive. */
#define DSM__SLICE_NS (100 * INT64_C(1000000))

/* Initialises a mutex that survives its holder. */
int dsm__mutex_init(pthread_mutex_t *mutex);

/* Whether a mutex that was found is of the kind that dsm__mutex_init makes: of
 * another, calls might do anything. */
bool dsm__mutex_sound(const pthread_mutex_t *mutex);

/* The part of dsm__mutex_lock that waits, after a trylock that gave `error`. */
int dsm__mutex_lock_slow(const struct dsm__control *control,
                         pthread_mutex_t *mutex, int error, int64_t deadline);

/* 0: held.  1: held, the last holder died inside (and the mutex is consistent
 * again).  -ETIMEDOUT, -EDEADLK, DSM_ESTALE; no sentence. */
static inline int
dsm__mutex_lock(const struct dsm__control *control, pthread_mutex_t *mutex,
                int64_t deadline)
{
    int error = pthread_mutex_trylock(mutex);

    if (__builtin_expect(error == 0, 1))
        return 0;
    return dsm__mutex_lock_slow(control, mutex, error, deadline);
}

#endif
