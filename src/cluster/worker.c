/* What a function that runs in a worker may call. */
#include "array/op.h"
#include "base/error.h"
#include "base/type.h"
#include "cluster/cluster.h"
#include "cluster/outcome.h"
#include "cluster/perform.h"
#include "cluster/work.h"
#include "registry/object.h"
#include "sync/gate.h"
#include "sync/lock.h"
#include "trace/trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

unsigned
dsm_worker_id(const dsm_worker *self)
{
    return self->id;
}

unsigned
dsm_worker_count(const dsm_worker *self)
{
    return self->count;
}

dsm_cluster *
dsm_worker_cluster(const dsm_worker *self)
{
    return self->cluster;
}

dsm_range
dsm_worker_range(const dsm_worker *self, size_t n)
{
    return dsm_split(n, self->count, self->id);
}

bool
dsm_worker_cancelled(const dsm_worker *self)
{
    if (self->job)
        return dsm__job_cancelled(self);
    return atomic_load_explicit(&self->control->region.interrupt,
                                memory_order_relaxed) == self->region;
}

int
dsm_worker_barrier(dsm_worker *self)
{
    struct dsm__control *control = self->control;
    uint64_t waited = 0;
    int result;

    /* A child that a worker's function forked is not the worker. */
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    result = dsm__job_refuse(self, __func__);
    if (result)
        return result;
    result = dsm__gate_wait(control, &control->region.gate, NULL, &waited,
                            dsm__any_part_ended);
    if (waited)
        atomic_fetch_add_explicit(&self->slot->barrier_wait, waited,
                                  memory_order_relaxed);
    if (result >= 0)
        return 0;
    if (!dsm__region_interrupted(control)) {
        if (result == DSM_ESTALE)
            dsm__outcome_fail(control, self->slot, DSM_ESTALE,
                              "the supervisor of cluster '%s' is gone",
                              control->name);
        else /* nobody died: one has left and will never come */
            dsm__outcome_fail(control, self->slot, DSM_EBROKEN,
                              "worker %u waited at the worker barrier of "
                              "region %u, which another had left already",
                              self->id, self->region);
        dsm__region_interrupt(control, self->region, DSM__LOST);
    }
    if (result == DSM_ESTALE)
        return dsm__supervisor_gone(control);
    return dsm__fail(DSM_EBROKEN,
                     "the worker barrier of region %u lost a participant",
                     self->region);
}

void
dsm_worker_fail(dsm_worker *self, int code, const char *format, ...)
{
    char message[sizeof self->slot->outcome.message];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!dsm__identity_ok())
        _exit(1);
    if (self->slot->state == DSM_WORKER_STARTING && !self->failed)
        dsm__start_fail(self, code < 0 ? code : DSM_EFAILED, message);
    if (self->job) {
        dsm__job_fail(self, code < 0 ? code : DSM_EFAILED, code, message);
        fflush(stdout);
        fflush(stderr);
        dsm__trace_flush();
        _exit(1);
    }
    self->slot->outcome.value = code;
    dsm__outcome_fail(self->control, self->slot, code < 0 ? code : DSM_EFAILED,
                      "%s", message);
    dsm__region_interrupt(self->control, self->region, DSM__LOST);
    if (self->failed)
        longjmp(*self->failed, 1);
    fflush(stdout);
    fflush(stderr);
    dsm__trace_flush();
    _exit(1);
}

dsm_array *
dsm_worker_array(dsm_worker *self, const char *name)
{
    dsm_array *array;
    int error = dsm_array_open(&array, self->cluster, name, DSM_ANY);

    if (error)
        dsm_worker_fail(self, error, "worker %u: %s", self->id,
                        dsm_last_error());
    return array;
}

dsm_lock *
dsm_worker_lock(dsm_worker *self, const char *name)
{
    dsm_lock *lock;
    int error = dsm_lock_open(&lock, self->cluster, name);

    if (error)
        dsm_worker_fail(self, error, "worker %u: %s", self->id,
                        dsm_last_error());
    return lock;
}

/* Combines up to half a scratch of values over all workers. */
static int
reduce_part(dsm_worker *self, char *values, size_t n,
            const struct dsm__combiner *combiner)
{
    size_t bytes = n * combiner->item_size;
    int error;

    memcpy(dsm__scratch(self->control, self->id, self->half), values, bytes);
    error = dsm_worker_barrier(self);
    if (error)
        return error;
    memcpy(values, dsm__scratch(self->control, 0, self->half), bytes);
    for (unsigned w = 1; w < self->count; w++)
        combiner->run(values, dsm__scratch(self->control, w, self->half), n,
                      combiner);
    self->half ^= 1;
    return 0;
}

int
dsm_worker_reduce(dsm_worker *self, void *values, size_t n, dsm_type type,
                  const dsm_op *op)
{
    struct dsm__combiner combiner;
    size_t step;
    int error = dsm__op_combine_for(op, type, &combiner);

    if (error)
        return error;
    if (n && !values)
        return dsm__fail(-EINVAL, "dsm_worker_reduce: no values");
    step = DSM__SCRATCH / 2 / combiner.item_size;
    if (step == 0)
        return dsm__fail(-EINVAL,
                         "dsm_worker_reduce combines items of %zu bytes at "
                         "most, not of %zu",
                         DSM__SCRATCH / 2, combiner.item_size);
    for (size_t done = 0; !error && done < n; done += step)
        error = reduce_part(self, (char *)values + done * combiner.item_size,
                            n - done < step ? n - done : step, &combiner);
    return error;
}
