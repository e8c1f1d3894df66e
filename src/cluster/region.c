/* Regions: the controller's side. */
#include "array/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/cluster.h"
#include "cluster/command.h"
#include "cluster/outcome.h"
#include "cluster/work.h"
#include "pool/ended.h"
#include "sync/barrier.h"
#include "sync/gate.h"
#include "sync/wait.h"
#include "trace/trace.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* The shared copy of a large argument, made larger when it is too small. */
static int
large_arg(dsm_cluster *cluster, size_t size)
{
    size_t room = cluster->large_arg ? dsm_array_count(cluster->large_arg) : 0;
    int error = 0;

    if (size <= room)
        return 0;
    error = dsm_array_destroy(cluster->large_arg);
    cluster->large_arg = NULL;
    if (!error)
        error =
            dsm__array_create_bytes(&cluster->large_arg, cluster, ".arg", size);
    return error;
}

int
dsm__argument_check(const dsm_cluster *cluster, const void *arg, size_t size)
{
    const struct dsm__space *space = &cluster->member.space;
    const char *at = arg;

    if (size > 0)
        return arg ? 0
                   : dsm__fail(-EINVAL, "the argument is NULL but its size %zu",
                               size);
    if (!arg || (at >= space->base && at < space->base + space->size))
        return 0;
    return dsm__fail(-EINVAL,
                     "the argument %p points to memory that the workers do "
                     "not share; give its size to have it copied",
                     arg);
}

/* Places the argument where workers see it. */
static int
place_arg(dsm_cluster *cluster, const void *arg, size_t size)
{
    struct dsm__region *region = &cluster->member.control->region;
    void *copy = region->inline_arg;
    int error = dsm__argument_check(cluster, arg, size);

    region->arg_size = size;
    region->arg = (uint64_t)(uintptr_t)arg;
    if (error || size == 0)
        return error;
    if (size > sizeof region->inline_arg) {
        error = large_arg(cluster, size);
        if (error)
            return error;
        copy = dsm_array_data(cluster->large_arg);
    }
    memcpy(copy, arg, size);
    region->arg = (uint64_t)(uintptr_t)copy;
    return 0;
}

dsm_worker *
dsm__cluster_worker_here(dsm_cluster *cluster)
{
    dsm_worker *self = &cluster->self;

    return self->cluster && dsm__worker_here(self->control) ? self : NULL;
}

int
dsm__cluster_check(const struct dsm__control *control)
{
    if (atomic_load_explicit(&control->broken, memory_order_relaxed))
        return dsm__fail(control->broken, "%s", control->broken_message);
    if (dsm__supervisor_dead(control))
        return dsm__supervisor_gone(control);
    return 0;
}

static int
check_usable(const dsm_cluster *cluster, const char *call)
{
    struct dsm__control *control = cluster->member.control;

    if (!dsm__identity_ok() || !control)
        return dsm__identity_fail(call);
    if (cluster->member.role != DSM__CONTROLLER)
        return dsm__fail(-EPERM,
                         "%s: only the program that created cluster '%s' runs "
                         "regions, and not from within one",
                         call, control->name);
    return dsm__cluster_check(control);
}

/* With the lock `regions` held. */
static int
start(dsm_cluster *cluster, dsm_fn fn, const void *arg, size_t arg_size)
{
    struct dsm__control *control = cluster->member.control;
    uint32_t next = dsm__region_now(control) + 1;
    int error = place_arg(cluster, arg, arg_size);

    if (error)
        return error;
    next += next == 0; /* 0 is no region */
    control->region.fn = fn;
    dsm__parts_reset(control, next);
    /* A worker that is woken here may push this very thread aside. */
    if (control->first > 0)
        atomic_store_explicit(&dsm__worker_slot(control, 0)->cpu,
                              sched_getcpu(), memory_order_relaxed);
    DSM__POINT("region.start");
    /* Publishes all of the above; seq_cst: see dsm__signal. */
    atomic_store_explicit(&control->region.epoch, next, memory_order_seq_cst);
    DSM__POINT("region.started");
    dsm__signal(&control->work.event, INT_MAX);
    return 0;
}

/* Waits for all parts to end.  0; -ETIMEDOUT; or why they never will. */
static int
await(dsm_cluster *cluster, int64_t deadline)
{
    struct dsm__control *control = cluster->member.control;
    struct dsm__event *done = &control->region.done;
    uint32_t region = dsm__region_now(control), seen;
    bool works = cluster->options.controller_works;
    int error = 0;

    while ((seen = atomic_load_explicit(&done->word, memory_order_acquire)) !=
           region) {
        if (error)
            return error;
        if (control->broken)
            return dsm__fail(control->broken, "%s", control->broken_message);
        error = works ? dsm__wait(control, &done->word, seen, &done->sleeping,
                                  deadline)
                      : dsm__sleep(control, &done->word, seen, &done->sleeping,
                                   deadline);
    }
    return 0;
}

/* Takes back what interrupted a region, and makes barriers whole again. */
static void
mend_barriers(struct dsm__control *control)
{
    struct dsm__region *region = &control->region;

    region->reason = 0;
    region->interrupt = 0;
    region->torn = 0;
    dsm__barriers_mend(control);
    /* Also when it is not broken: it may have been left half full. */
    dsm__gate_mend(&region->gate, true);
}

/* Makes everything whole again after a region that was interrupted or in which
 * something failed, and tells why. */
static int
mend(struct dsm__control *control)
{
    struct dsm__region *region = &control->region;
    uint32_t reason = region->reason;
    struct dsm__outcome *outcome;
    int worker = region->failures ? dsm__first_failure(control) : -1;

    region->failures = 0;
    DSM__POINT("region.mend");
    mend_barriers(control);
    if (worker < 0)
        return 0;
    outcome = &dsm__worker_slot(control, (unsigned)worker)->outcome;
    /* Barriers break when a region is cancelled; that alone is no failure. */
    if (outcome->code == DSM_EBROKEN && reason & DSM__CANCELLED)
        return 0;
    return dsm__fail(outcome->code, "%s", outcome->message);
}

/* With the lock `regions` held: waits for the region, and gives its result. */
static int
collect(dsm_cluster *cluster, int64_t deadline)
{
    struct dsm__control *control = cluster->member.control;
    struct dsm__region *region = &control->region;
    int error = await(cluster, deadline), result = 0;

    if (error == -ETIMEDOUT)
        return dsm__fail(error, "region %u still runs",
                         dsm__region_now(control));
    if (error == DSM_ESTALE)
        return dsm__supervisor_gone(control);
    DSM__POINT("region.collect");
    pthread_mutex_lock(&cluster->commands);
    if (region->failures || region->interrupt || region->torn ||
        !dsm__gate_at_rest(&region->gate))
        result = mend(control);
    pthread_mutex_unlock(&cluster->commands);
    /* The cluster may be broken by now, but that failed first. */
    return result ? result : error;
}

/* Has those ended after the grace who wait at a pthread barrier for a
 * controller that failed. */
static void
free_stuck(dsm_cluster *cluster)
{
    struct dsm__control *control = cluster->member.control;
    struct dsm__request request = {.verb = DSM__CANCEL,
                                   .value = cluster->options.grace_ms,
                                   .region = cluster->self.region};

    if (!cluster->self.slot->outcome.order || !dsm__barriers_stuck(control))
        return;
    pthread_mutex_lock(&cluster->commands);
    (void)dsm__command(cluster->member.command, control, &request, NULL,
                       DSM__ANSWER_MS);
    pthread_mutex_unlock(&cluster->commands);
}

/* Worker 0's part, in the controller itself. */
static void
work(dsm_cluster *cluster)
{
    dsm_worker *self = &cluster->self;
    jmp_buf failed;

    dsm__worker_become(self->control, self->slot, false);
    dsm__trace_here = cluster->trace;
    self->failed = &failed;
    if (setjmp(failed) == 0)
        (void)dsm__part_run(self);
    dsm__trace_here = NULL;
    dsm__worker_become(self->control, NULL, false);
    free_stuck(cluster);
    dsm__part_end(self->control, 0, self->region);
}

static int
enter(dsm_cluster *cluster, const char *call)
{
    int error = check_usable(cluster, call);

    if (error)
        return error;
    if (pthread_mutex_trylock(&cluster->regions) != 0)
        return dsm__fail(
            -EBUSY,
            "a region runs on cluster '%s' already, or its workers "
            "are being refreshed",
            cluster->member.control->name);
    if (!cluster->started)
        return 0;
    pthread_mutex_unlock(&cluster->regions);
    return dsm__fail(-EBUSY,
                     "a region was started on cluster '%s'; call "
                     "dsm_cluster_wait first",
                     cluster->member.control->name);
}

int
dsm__cluster_run(dsm_cluster *cluster, dsm_fn fn, const void *arg,
                 size_t arg_size, void (*after)(void *context), void *context)
{
    int error = enter(cluster, "dsm_cluster_run");

    if (error)
        return error;
    error = start(cluster, fn, arg, arg_size);
    if (!error) {
        if (cluster->options.controller_works)
            work(cluster);
        error = collect(cluster, DSM__NO_DEADLINE);
    }
    if (!error && after)
        after(context);
    pthread_mutex_unlock(&cluster->regions);
    return error;
}

int
dsm_cluster_run(dsm_cluster *cluster, dsm_fn fn, const void *arg,
                size_t arg_size)
{
    return dsm__cluster_run(cluster, fn, arg, arg_size, NULL, NULL);
}

int
dsm_cluster_start(dsm_cluster *cluster, dsm_fn fn, const void *arg,
                  size_t arg_size)
{
    struct dsm__control *control = cluster->member.control;
    int error;

    if (cluster->options.controller_works)
        return dsm__fail(-EINVAL,
                         "with options.controller_works the controller is a "
                         "worker: use dsm_cluster_run");
    error = enter(cluster, __func__);
    if (error)
        return error;
    error = start(cluster, fn, arg, arg_size);
    cluster->started = !error;
    /* If it ended before another thread, in its event loop, could see that it
     * had started. */
    if (!error && !dsm__region_active(control) && dsm__board_exists(control, 0))
        dsm__board_ring(control, 0);
    pthread_mutex_unlock(&cluster->regions);
    return error;
}

int
dsm_cluster_wait(dsm_cluster *cluster, int timeout_ms)
{
    int error;

    if (!dsm__identity_ok() || !cluster->member.control)
        return dsm__identity_fail(__func__);
    if (pthread_mutex_trylock(&cluster->regions) != 0)
        return dsm__fail(-EBUSY, "another thread waits for the region");
    if (!cluster->started)
        error = dsm__fail(-EINVAL, "no region was started");
    else
        error = collect(cluster, dsm__deadline(timeout_ms));
    if (error != -ETIMEDOUT)
        cluster->started = false;
    pthread_mutex_unlock(&cluster->regions);
    return error;
}

int
dsm_cluster_cancel(dsm_cluster *cluster, int grace_ms)
{
    struct dsm__request request = {.verb = DSM__CANCEL, .value = grace_ms};
    struct dsm__control *control = cluster->member.control;
    int error = check_usable(cluster, __func__);

    if (error)
        return error;
    if (grace_ms < DSM_GRACE)
        return dsm__fail(-EINVAL, "a grace of %d ms", grace_ms);
    if (grace_ms == DSM_GRACE)
        request.value = cluster->options.grace_ms;
    /* The lock also keeps the region from being collected meanwhile. */
    pthread_mutex_lock(&cluster->commands);
    request.region = dsm__region_now(control);
    if (dsm__region_active(control)) {
        dsm__region_interrupt(control, request.region, DSM__CANCELLED);
        if (grace_ms != DSM_FOREVER)
            error = dsm__command(cluster->member.command, control, &request,
                                 NULL, DSM__ANSWER_MS);
    }
    pthread_mutex_unlock(&cluster->commands);
    return error < 0 ? error : 0;
}

int
dsm_cluster_refresh(dsm_cluster *cluster)
{
    struct dsm__request request = {.verb = DSM__REFRESH};
    bool broken;
    int error;

    if (!dsm__identity_ok() || !cluster->member.control)
        return dsm__identity_fail(__func__);
    if (cluster->member.role == DSM__WORKER)
        return dsm__fail(-EPERM, "a worker cannot refresh its own cluster");
    /* No region is to start between the supervisor's look and its kills. */
    if (pthread_mutex_trylock(&cluster->regions) != 0)
        return dsm__fail(-EBUSY,
                         "workers cannot be refreshed while a region runs");
    pthread_mutex_lock(&cluster->commands);
    broken = cluster->member.control->broken;
    error = dsm__command(cluster->member.command, cluster->member.control,
                         &request, NULL, DSM__REFRESH_MS);
    /* Nobody else will, as the region under way was given up. */
    if (broken && error >= 0)
        mend_barriers(cluster->member.control);
    pthread_mutex_unlock(&cluster->commands);
    pthread_mutex_unlock(&cluster->regions);
    return error < 0 ? error : dsm__cluster_wait_started(cluster);
}
