/* Waiting for a robust mutex; see mutex.h. */
#include "registry/mutex.h"

#include "base/clock.h"
#include "base/error.h"
#include "os/cpu.h"

#include <errno.h>

int
dsm__mutex_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);

    if (error)
        return dsm__fail(-error, "cannot make a robust mutex");
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    /* So that locking it twice is an error and not a wait without end. */
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    error = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    if (error)
        return dsm__fail(-error, "cannot make a robust mutex");
    return 0;
}

bool
dsm__mutex_sound(const pthread_mutex_t *mutex)
{
#ifdef __GLIBC__
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    bool sound;

    if (dsm__mutex_init(&fresh))
        return false;
    sound = mutex->__data.__kind == fresh.__data.__kind;
    pthread_mutex_destroy(&fresh);
    return sound;
#else
    (void)mutex;
    return true;
#endif
}

/* What a pthread call that tried to lock says, in this library's terms. */
static int
result_of(int error, pthread_mutex_t *mutex)
{
    if (error != EOWNERDEAD)
        return -error;
    pthread_mutex_consistent(mutex);
    return 1;
}

int
dsm__mutex_lock_slow(const struct dsm__control *control, pthread_mutex_t *mutex,
                     int error, int64_t deadline)
{
    /* A holder that runs on another CPU is soon done. */
    for (uint32_t k = 0; error == EBUSY && k < control->spins; k++) {
        dsm__pause();
        error = pthread_mutex_trylock(mutex);
    }
    while (error == EBUSY || error == ETIMEDOUT) {
        int64_t now = dsm__now();
        struct timespec until;

        if (now >= deadline)
            return -ETIMEDOUT;
        if (dsm__supervisor_dead(control))
            return DSM_ESTALE;
        until = dsm__timespec(
            deadline - now < DSM__SLICE_NS ? deadline : now + DSM__SLICE_NS);
        error = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
    }
    return result_of(error, mutex);
}
