/* Bounded queues: a ring in the control segment under a robust lock.
 *
 * A message is in the queue as soon as, and not before, `tail` counts it: the
 * copy comes first and one store commits it, likewise `head` for a pop.  So
 * when a process dies under the lock, the queue is consistent as it is, and at
 * worst nobody was woken, which those who sleep find out at the end of their
 * slice. */
#include "sync/queue.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "registry/mutex.h"
#include "sync/wait.h"

#include <dsm/sync.h>

#include <errno.h>
#include <string.h>

struct dsm_queue {
    struct dsm__object object; /* its place: the ring */
    uint64_t capacity, message_size, stride;
    _Atomic uint32_t closed;
    _Alignas(DSM__LINE) pthread_mutex_t mutex;
    _Alignas(DSM__LINE) _Atomic uint64_t head; /* messages popped so far */
    struct dsm__event room;                    /* pushers sleep on it */
    _Alignas(DSM__LINE) _Atomic uint64_t tail; /* messages pushed so far */
    struct dsm__event message;                 /* poppers do */
};

_Static_assert(sizeof(struct dsm_queue) <= sizeof(union dsm__slot),
               "a queue fits into a slot");

static int
check(const char *name, size_t capacity, size_t message_size)
{
    int error = dsm__name_check("a queue", name);

    if (error)
        return error;
    if (capacity < 1 || capacity > INT32_MAX || message_size < 1 ||
        message_size > SIZE_MAX / 2 / capacity)
        return dsm__fail(-EINVAL,
                         "queue '%s' of %zu messages of %zu bytes: both must "
                         "be at least 1, and the messages at most 2147483647",
                         name, capacity, message_size);
    return 0;
}

int
dsm_queue_create(dsm_queue **queue, dsm_cluster *cluster, const char *name,
                 size_t capacity, size_t message_size)
{
    struct dsm__member *member;
    struct dsm__object *object;
    struct dsm_queue *made;
    size_t stride = (message_size + 7) / 8 * 8;
    int error = check(name, capacity, message_size);

    *queue = NULL;
    if (error || (error = dsm__object_begin(&member, cluster, __func__)))
        return error;
    error = dsm__object_new(&object, member, DSM_OBJECT_QUEUE, name,
                            capacity * stride, DSM__LINE);
    made = (struct dsm_queue *)object;
    if (!error) {
        made->capacity = capacity;
        made->message_size = message_size;
        made->stride = stride;
        error = dsm__mutex_init(&made->mutex);
    }
    error = dsm__object_finish(member, object, error);
    if (!error)
        *queue = made;
    return error;
}

/* Whether each message of a queue that was found lies in its ring. */
static bool
is_sound(const struct dsm_queue *queue)
{
    return queue->capacity && queue->message_size &&
           queue->message_size <= queue->stride && queue->stride % 8 == 0 &&
           queue->capacity <= queue->object.extent / queue->stride &&
           dsm__mutex_sound(&queue->mutex);
}

int
dsm_queue_open(dsm_queue **queue, dsm_cluster *cluster, const char *name)
{
    struct dsm__object *object;
    int error = dsm__object_open(&object, cluster, name, DSM_OBJECT_QUEUE);

    *queue = (struct dsm_queue *)object;
    if (!error && !is_sound(*queue)) {
        *queue = NULL;
        error = dsm__object_damaged(dsm__member(cluster), object);
    }
    return error;
}

/* Wakes all who wait at it, to look again; how many there were. */
static int
wake_both(struct dsm_queue *queue)
{
    return dsm__event_reset(&queue->room) + dsm__event_reset(&queue->message);
}

int
dsm_queue_destroy(dsm_queue *queue)
{
    struct dsm__member *member;
    int error;

    if (!queue)
        return 0;
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    error = dsm__object_begin_destroy(&member, &queue->object);
    if (error)
        return error;
    /* A flag alone may be that of one who gave up, or was killed. */
    if ((dsm__sleepers(&queue->room.sleeping) ||
         dsm__sleepers(&queue->message.sleeping)) &&
        wake_both(queue))
        error = dsm__fail(-EBUSY, "someone waits at queue '%s'",
                          queue->object.name);
    else
        dsm__object_remove(member, &queue->object);
    dsm__registry_unlock(member);
    return error;
}

/* The two sides of a queue differ in these: what a side counts, what it waits
 * for, and where each side sleeps. */
struct side {
    bool push;
    _Atomic uint64_t *mine, *theirs;
    struct dsm__event *my_event, *their_event;
};

static struct side
side_of(dsm_queue *queue, bool push)
{
    struct side pusher = {true, &queue->tail, &queue->head, &queue->room,
                          &queue->message};
    struct side popper = {false, &queue->head, &queue->tail, &queue->message,
                          &queue->room};

    return push ? pusher : popper;
}

/* Under the lock: copies a message and commits it.  -EAGAIN: there is no room,
 * or no message; *seen is then what to wait for a change of. */
static int
attempt(dsm_queue *queue, const struct side *side, void *message,
        uint64_t *seen)
{
    uint64_t mine = atomic_load_explicit(side->mine, memory_order_relaxed);
    uint64_t theirs = atomic_load_explicit(side->theirs, memory_order_relaxed);
    struct dsm__control *control = dsm__control_of(queue, queue->object.self);
    char *slot = dsm__at(control, queue->object.place +
                                      mine % queue->capacity * queue->stride);

    if (side->push && queue->closed)
        return -EPIPE;
    if (mine == (side->push ? theirs + queue->capacity : theirs)) {
        *seen = theirs;
        return queue->closed ? -EPIPE : -EAGAIN;
    }
    if (side->push)
        memcpy(slot, message, queue->message_size);
    else
        memcpy(message, slot, queue->message_size);
    DSM__POINT(side->push ? "queue.push" : "queue.pop");
    /* seq_cst: see dsm__signal. */
    atomic_store_explicit(side->mine, mine + 1, memory_order_seq_cst);
    DSM__POINT("queue.moved");
    return 0;
}

static int
locked_attempt(dsm_queue *queue, const struct side *side, void *message,
               int64_t deadline, uint64_t *seen)
{
    struct dsm__control *control = dsm__control_of(queue, queue->object.self);
    int result = dsm__mutex_lock(control, &queue->mutex, deadline);

    /* 1: a holder died inside; the queue is consistent all the same. */
    if (result < 0)
        return result;
    result = attempt(queue, side, message, seen);
    pthread_mutex_unlock(&queue->mutex);
    if (result < 0)
        return result;
    DSM__POINT("queue.wake");
    dsm__signal(side->their_event, INT_MAX);
    return 0;
}

static int
fail(int error, const dsm_queue *queue, bool push)
{
    const char *name = queue->object.name;

    switch (error) {
    case -ETIMEDOUT:
        return dsm__fail(error, "queue '%s' stayed %s until the timeout", name,
                         push ? "full" : "empty");
    case -EPIPE:
        return dsm__fail(error, "queue '%s' is closed%s", name,
                         push ? "" : " and drained");
    case DSM_ECANCELED:
        return dsm__fail(error,
                         "queue '%s': this region or job was cancelled, or a "
                         "worker of the region failed",
                         name);
    default:
        return dsm__fail(error, "queue '%s': %s", name, dsm_strerror(error));
    }
}

/* Whether this process is one of a region's: a worker, or the controller that
 * started it and would wait for workers that are gone. */
static bool
takes_part(const struct dsm__control *control)
{
    struct dsm__member *member = dsm__member_of(control);

    return member && member->role != DSM__ATTACHED && !dsm__in_job(control);
}

static bool
interrupted(const struct dsm__control *control)
{
    return (dsm__region_interrupted(control) && takes_part(control)) ||
           dsm__in_cancelled_job(control);
}

/* What one waits for who found no room, or no message. */
struct hope {
    const struct dsm__control *control;
    const dsm_queue *queue;
    const _Atomic uint64_t *theirs;
    uint64_t seen;
};

static bool
may_go_on(const void *context)
{
    const struct hope *hope = context;

    return atomic_load_explicit(hope->theirs, memory_order_seq_cst) !=
               hope->seen ||
           hope->queue->closed || interrupted(hope->control);
}

static int
transfer(dsm_queue *queue, void *message, int timeout_ms, bool push)
{
    struct dsm__control *control = dsm__control_of(queue, queue->object.self);
    struct side side = side_of(queue, push);
    int64_t deadline = dsm__deadline(timeout_ms == 0 ? -1 : timeout_ms);
    struct hope hope = {control, queue, side.theirs, 0};
    int result;

    do {
        if (interrupted(control))
            return fail(DSM_ECANCELED, queue, push);
        result = locked_attempt(queue, &side, message, deadline, &hope.seen);
        if (result == 0)
            return 0;
        if (result == -EAGAIN && timeout_ms == 0)
            result = -ETIMEDOUT;
        else if (result == -EAGAIN)
            result = dsm__spin_until(control, may_go_on, &hope, control->spins)
                         ? 0
                         : dsm__sleep_until(control, side.my_event, may_go_on,
                                            &hope, deadline);
    } while (result == 0);
    return fail(result, queue, push);
}

int
dsm_queue_push(dsm_queue *queue, const void *message, int timeout_ms)
{
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    return transfer(queue, (void *)(uintptr_t)message, timeout_ms, true);
}

int
dsm_queue_pop(dsm_queue *queue, void *message, int timeout_ms)
{
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    return transfer(queue, message, timeout_ms, false);
}

int
dsm_queue_close(dsm_queue *queue)
{
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    atomic_store(&queue->closed, 1);
    DSM__POINT("queue.close");
    wake_both(queue);
    return 0;
}

void
dsm__queues_wake(struct dsm__control *control)
{
    uint64_t n = atomic_load_explicit(&control->objects, memory_order_acquire);

    for (uint64_t k = 0; k < n; k++) {
        struct dsm__object *object = &dsm__slot(control, k)->object;

        if (atomic_load(&object->kind) == DSM_OBJECT_QUEUE &&
            atomic_load(&object->state) == DSM__LIVE)
            wake_both((struct dsm_queue *)object);
    }
}
