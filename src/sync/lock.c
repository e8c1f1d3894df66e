/* Named locks: robust process-shared mutexes that say when their last holder
 * died inside. */
#include "sync/lock.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "registry/mutex.h"
#include "trace/trace.h"

#include <errno.h>

struct lock_object {
    struct dsm__object object;
    struct dsm_lock lock;
};

_Static_assert(sizeof(struct lock_object) <= sizeof(union dsm__slot),
               "a lock fits into a slot");

/* Counted per thread: whoever leaves its function with one has forgotten it. */
static _Thread_local unsigned held __attribute__((tls_model("initial-exec")));

unsigned
dsm__locks_held(void)
{
    return held;
}

void
dsm__locks_reset(void)
{
    held = 0;
}

int
dsm__lock_init(dsm_lock *lock, const struct dsm__object *object)
{
    lock->self =
        object->self + (uint64_t)((const char *)lock - (const char *)object);
    lock->owner = object->self;
    return dsm__mutex_init(&lock->mutex);
}

bool
dsm__lock_sound(const dsm_lock *lock, const struct dsm__object *object)
{
    return lock->owner == object->self &&
           lock->self - object->self ==
               (uint64_t)((const char *)lock - (const char *)object) &&
           dsm__mutex_sound(&lock->mutex);
}

int
dsm__lock_check_free(dsm_lock *lock, struct dsm__object *object)
{
    int error = pthread_mutex_trylock(&lock->mutex);

    if (error == EOWNERDEAD)
        error = pthread_mutex_consistent(&lock->mutex);
    if (error)
        return dsm__fail(-EBUSY, "the lock of %s '%s' is held",
                         dsm__kind_name(object->kind), object->name);
    pthread_mutex_unlock(&lock->mutex);
    return 0;
}

int
dsm_lock_create(dsm_lock **lock, dsm_cluster *cluster, const char *name)
{
    struct dsm__member *member;
    struct dsm__object *object;
    struct lock_object *made;
    int error = dsm__name_check("a lock", name);

    *lock = NULL;
    if (error || (error = dsm__object_begin(&member, cluster, __func__)))
        return error;
    error = dsm__object_new(&object, member, DSM_OBJECT_LOCK, name, 0, 0);
    made = (struct lock_object *)object;
    if (!error)
        error = dsm__lock_init(&made->lock, object);
    error = dsm__object_finish(member, object, error);
    if (!error)
        *lock = &made->lock;
    return error;
}

int
dsm_lock_open(dsm_lock **lock, dsm_cluster *cluster, const char *name)
{
    struct dsm__object *object;
    int error = dsm__object_open(&object, cluster, name, DSM_OBJECT_LOCK);

    *lock = error ? NULL : &((struct lock_object *)object)->lock;
    if (!error && !dsm__lock_sound(*lock, object)) {
        *lock = NULL;
        error = dsm__object_damaged(dsm__member(cluster), object);
    }
    return error;
}

int
dsm_lock_destroy(dsm_lock *lock)
{
    struct dsm__member *member;
    struct dsm__object *object;
    int error;

    if (!lock)
        return 0;
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    object = dsm__at(dsm__control_of(lock, lock->self), lock->owner);
    if (object->kind != DSM_OBJECT_LOCK)
        return dsm__fail(-EINVAL, "the lock of array '%s' goes with the array",
                         object->name);
    error = dsm__object_begin_destroy(&member, object);
    if (error)
        return error;
    error = dsm__lock_check_free(lock, object);
    if (!error)
        dsm__object_remove(member, object);
    dsm__registry_unlock(member);
    return error;
}

static const char *
name_of(const dsm_lock *lock)
{
    const struct dsm__object *object =
        dsm__at(dsm__control_of(lock, lock->self), lock->owner);

    return object->name;
}

/* Says what went wrong. */
static int
acquire_fail(int error, const dsm_lock *lock)
{
    switch (error) {
    case -ETIMEDOUT:
        return dsm__fail(error, "lock '%s' stayed taken until the timeout",
                         name_of(lock));
    case -EDEADLK:
        return dsm__fail(error, "this thread holds lock '%s' already",
                         name_of(lock));
    case DSM_ESTALE:
        return dsm__fail(error, "lock '%s': the cluster's supervisor is gone",
                         name_of(lock));
    default:
        return dsm__fail(error, "cannot acquire lock '%s': %s", name_of(lock),
                         dsm_strerror(error));
    }
}

static int
acquire_slow(dsm_lock *lock, int error, int timeout_ms)
{
    struct dsm__control *control = dsm__control_of(lock, lock->self);
    struct dsm__worker_slot *account = dsm__worker_here(control);
    int64_t begin = dsm__trace_begin();
    uint64_t start = dsm__ticks();
    int result = dsm__mutex_lock_slow(control, &lock->mutex, error,
                                      dsm__deadline(timeout_ms));

    if (account)
        atomic_fetch_add_explicit(&account->lock_wait, dsm__ticks() - start,
                                  memory_order_relaxed);
    dsm__trace_span(DSM__TRACE_LOCK, begin, name_of(lock), 0, 0);
    if (result < 0)
        return acquire_fail(result, lock);
    DSM__POINT("lock.waited");
    held++;
    return result;
}

int
dsm_lock_acquire(dsm_lock *lock, int timeout_ms)
{
    int error;

    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    DSM__POINT("lock.acquire");
    error = pthread_mutex_trylock(&lock->mutex);
    if (error)
        return acquire_slow(lock, error, timeout_ms);
    DSM__POINT("lock.held");
    held++;
    return 0;
}

int
dsm_lock_release(dsm_lock *lock)
{
    int error;

    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    DSM__POINT("lock.release");
    error = pthread_mutex_unlock(&lock->mutex);
    if (error)
        return dsm__fail(-error, "this thread does not hold lock '%s'",
                         name_of(lock));
    DSM__POINT("lock.released");
    held--;
    return 0;
}
