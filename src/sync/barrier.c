/* Named barriers of both kinds. */
#include "sync/barrier.h"

#include "base/error.h"
#include "base/point.h"
#include "sync/gate.h"
#include "trace/trace.h"

#include <dsm/sync.h>

#include <errno.h>
#include <string.h>

#define PARTIES_MAX 65535

struct dsm_barrier {
    struct dsm__object object;
    struct dsm__gate gate;
    _Atomic uint64_t clients;    /* bit k: client k has waited on it */
    _Atomic uint32_t controller; /* it has */
    uint32_t type;               /* dsm_barrier_kind */
    /* Of the pthread kind: how many are inside of its wait. */
    _Atomic uint32_t inside;
    pthread_barrier_t pthread;
};

_Static_assert(sizeof(struct dsm_barrier) <= sizeof(union dsm__slot),
               "a barrier fits into a slot");

static int
pthread_kind_init(struct dsm_barrier *barrier)
{
    pthread_barrierattr_t attributes;
    int error = pthread_barrierattr_init(&attributes);

    if (!error) {
        pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        /* Never destroyed: that hangs after a waiter was killed. */
        memset(&barrier->pthread, 0, sizeof barrier->pthread);
        error = pthread_barrier_init(&barrier->pthread, &attributes,
                                     barrier->gate.parties);
        pthread_barrierattr_destroy(&attributes);
    }
    atomic_store(&barrier->inside, 0);
    if (error)
        return dsm__fail(-error, "cannot make a pthread barrier");
    return 0;
}

static int
check(const char *name, unsigned parties, dsm_barrier_kind kind)
{
    if (parties < 1 || parties > PARTIES_MAX)
        return dsm__fail(-EINVAL,
                         "barrier '%s' for %u parties: 1 to %d are possible",
                         name, parties, PARTIES_MAX);
    if (kind != DSM_BARRIER_ROBUST && kind != DSM_BARRIER_PTHREAD)
        return dsm__fail(-EINVAL, "barrier '%s': there is no kind %d", name,
                         (int)kind);
    return dsm__name_check("a barrier", name);
}

int
dsm_barrier_create(dsm_barrier **barrier, dsm_cluster *cluster,
                   const char *name, unsigned parties, dsm_barrier_kind kind)
{
    struct dsm__member *member;
    struct dsm__object *object;
    struct dsm_barrier *made;
    int error = check(name, parties, kind);

    *barrier = NULL;
    if (error || (error = dsm__object_begin(&member, cluster, __func__)))
        return error;
    error = dsm__object_new(&object, member, DSM_OBJECT_BARRIER, name, 0, 0);
    made = (struct dsm_barrier *)object;
    if (!error) {
        dsm__gate_init(&made->gate, parties);
        made->type = kind;
        if (kind == DSM_BARRIER_PTHREAD)
            error = pthread_kind_init(made);
    }
    error = dsm__object_finish(member, object, error);
    if (!error)
        *barrier = made;
    return error;
}

static bool
is_sound(const struct dsm_barrier *barrier)
{
    return barrier->gate.parties >= 1 && barrier->gate.parties <= PARTIES_MAX &&
           (barrier->type == DSM_BARRIER_ROBUST ||
            barrier->type == DSM_BARRIER_PTHREAD);
}

int
dsm_barrier_open(dsm_barrier **barrier, dsm_cluster *cluster, const char *name)
{
    struct dsm__object *object;
    int error = dsm__object_open(&object, cluster, name, DSM_OBJECT_BARRIER);

    *barrier = (struct dsm_barrier *)object;
    if (!error && !is_sound(*barrier)) {
        *barrier = NULL;
        error = dsm__object_damaged(dsm__member(cluster), object);
    }
    return error;
}

int
dsm_barrier_destroy(dsm_barrier *barrier)
{
    struct dsm__member *member;
    int error;

    if (!barrier)
        return 0;
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    error = dsm__object_begin_destroy(&member, &barrier->object);
    if (error)
        return error;
    if (dsm__gate_waited_at(&barrier->gate))
        error = dsm__fail(-EBUSY, "someone waits at barrier '%s'",
                          barrier->object.name);
    else
        dsm__object_remove(member, &barrier->object);
    dsm__registry_unlock(member);
    return error;
}

static int
pthread_kind_wait(struct dsm_barrier *barrier, struct dsm__control *control)
{
    struct dsm__member *member = dsm__member_of(control);
    int64_t begin;
    int result;

    if (!member || member->role != DSM__WORKER)
        return dsm__fail(-EPERM,
                         "barrier '%s' is a pthread barrier, which only worker "
                         "processes may wait at",
                         barrier->object.name);
    atomic_fetch_add(&barrier->inside, 1);
    DSM__POINT("barrier.pthread");
    /* Looked at after the addition, both seq_cst: so it is told here, or seen
     * by dsm__barriers_stuck, which is asked after the interruption. */
    if (atomic_load(&control->region.interrupt) &&
        dsm__region_interrupted(control)) {
        atomic_fetch_sub(&barrier->inside, 1);
        return dsm__fail(DSM_EBROKEN, "barrier '%s' lost a participant",
                         barrier->object.name);
    }
    begin = dsm__trace_begin();
    result = pthread_barrier_wait(&barrier->pthread);
    DSM__POINT("barrier.passed");
    atomic_fetch_sub(&barrier->inside, 1);
    dsm__trace_span(DSM__TRACE_BARRIER, begin, barrier->object.name, 0, 0);
    return result == PTHREAD_BARRIER_SERIAL_THREAD ? 1 : 0;
}

/* Notes that a program takes part: its death must break it, too. */
static void
note_program(struct dsm_barrier *barrier, const struct dsm__control *control)
{
    struct dsm__member *member = dsm__member_of(control);

    if (member && member->role == DSM__ATTACHED)
        atomic_fetch_or(&barrier->clients, UINT64_C(1) << member->index);
    else if (member && member->role == DSM__CONTROLLER)
        atomic_store(&barrier->controller, 1);
}

int
dsm_barrier_wait(dsm_barrier *barrier)
{
    struct dsm__control *control;
    struct dsm__worker_slot *account;
    uint64_t waited = 0;
    int result;

    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    control = dsm__control_of(barrier, barrier->object.self);
    if (dsm__in_job(control))
        return dsm__fail(-EPERM,
                         "barrier '%s': jobs are not run together, so a job "
                         "cannot wait for others; use a region",
                         barrier->object.name);
    if (barrier->type == DSM_BARRIER_PTHREAD)
        return pthread_kind_wait(barrier, control);
    account = dsm__worker_here(control);
    if (!account)
        note_program(barrier, control);
    result = dsm__gate_wait(control, &barrier->gate, barrier->object.name,
                            &waited, NULL);
    if (account && waited)
        atomic_fetch_add_explicit(&account->barrier_wait, waited,
                                  memory_order_relaxed);
    if (result == DSM_EBROKEN)
        return dsm__fail(result, "barrier '%s' lost a participant",
                         barrier->object.name);
    if (result == DSM_ESTALE)
        return dsm__fail(result,
                         "barrier '%s': the cluster's supervisor is gone",
                         barrier->object.name);
    return result;
}

/* The barrier in slot k, or NULL.  Without a lock: slots keep their kind, so
 * the worst is to break one that was made this very moment. */
static struct dsm_barrier *
barrier_at(struct dsm__control *control, uint64_t k)
{
    struct dsm__object *object = &dsm__slot(control, k)->object;

    if (atomic_load(&object->kind) != DSM_OBJECT_BARRIER ||
        atomic_load(&object->state) != DSM__LIVE)
        return NULL;
    return (struct dsm_barrier *)object;
}

/* Calls visit on each barrier in use. */
static void
each(struct dsm__control *control,
     void (*visit)(struct dsm_barrier *barrier, unsigned client),
     unsigned client)
{
    uint64_t n = atomic_load_explicit(&control->objects, memory_order_acquire);

    for (uint64_t k = 0; k < n; k++) {
        struct dsm_barrier *barrier = barrier_at(control, k);

        if (barrier)
            visit(barrier, client);
    }
}

static void
break_one(struct dsm_barrier *barrier, unsigned client)
{
    (void)client;
    dsm__gate_break(&barrier->gate);
}

static void
mend_one(struct dsm_barrier *barrier, unsigned client)
{
    (void)client;
    dsm__gate_mend(&barrier->gate, false);
    if (barrier->type == DSM_BARRIER_PTHREAD && barrier->inside)
        (void)pthread_kind_init(barrier);
}

/* Whether the client had a part in it, which it has no more. */
static bool
lost(struct dsm_barrier *barrier, unsigned client)
{
    uint64_t bit = UINT64_C(1) << client % DSM__CLIENTS_MAX;

    if (client == DSM__CONTROLLER_GONE)
        return atomic_exchange(&barrier->controller, 0);
    return atomic_fetch_and(&barrier->clients, ~bit) & bit;
}

static void
tear(struct dsm_barrier *barrier, unsigned client)
{
    if (lost(barrier, client))
        dsm__gate_break(&barrier->gate);
}

static void
let_go(struct dsm_barrier *barrier, unsigned client)
{
    /* When nobody waits, its last round is complete, though some may not yet
     * have seen that: they were not let down. */
    if (lost(barrier, client) && dsm__gate_waited_at(&barrier->gate))
        dsm__gate_mend(&barrier->gate, true);
}

void
dsm__barriers_break(struct dsm__control *control)
{
    each(control, break_one, 0);
}

void
dsm__barriers_mend(struct dsm__control *control)
{
    each(control, mend_one, 0);
}

bool
dsm__barriers_stuck(struct dsm__control *control)
{
    uint64_t n = atomic_load_explicit(&control->objects, memory_order_acquire);

    for (uint64_t k = 0; k < n; k++) {
        struct dsm_barrier *barrier = barrier_at(control, k);

        if (barrier && barrier->type == DSM_BARRIER_PTHREAD && barrier->inside)
            return true;
    }
    return false;
}

void
dsm__barriers_forget_client(struct dsm__control *control, unsigned client)
{
    if (!dsm__region_active(control)) {
        each(control, let_go, client);
        return;
    }
    /* Others of the region may still come, and would wait in vain: so they are
     * broken until it ends.  Said before, as it may end at any moment, and
     * after, as then the next one's end has to mend them. */
    atomic_store(&control->region.torn, 1);
    each(control, tear, client);
    atomic_store(&control->region.torn, 1);
}
