/* What a job's function may call. */
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/cluster.h"
#include "cluster/perform.h"
#include "pool/ended.h"
#include "pool/parcel.h"
#include "pool/provisional.h"
#include "sync/wait.h"

#include <dsm/job.h>

#include <errno.h>
#include <string.h>

static struct dsm__parcel
parcel_of(const dsm_worker *self, int kind)
{
    return (struct dsm__parcel){self->control, self->taker.program,
                                dsm__entry_index(self->job_entry), kind};
}

static int
check(const dsm_worker *self, const char *call, const void *data, size_t size)
{
    if (!dsm__identity_ok())
        return dsm__identity_fail(call);
    if (!self->job)
        return dsm__fail(-EPERM, "%s: only in a job's function", call);
    if (size && !data)
        return dsm__fail(-EINVAL, "%s: no data, but their size is %zu", call,
                         size);
    return 0;
}

int
dsm_worker_return(dsm_worker *self, const void *result, size_t size)
{
    struct dsm__parcel parcel = parcel_of(self, DSM__PARCEL_RESULT);
    int error = check(self, __func__, result, size);
    struct dsm__job *job = self->job;

    if (error)
        return error;
    job->result_size = 0;
    if (job->flags & DSM__JOB_LARGE_RESULT)
        dsm__parcel_remove(&parcel);
    job->flags &= ~(uint32_t)DSM__JOB_LARGE_RESULT;
    if (size > sizeof job->result) {
        /* First: whoever recycles the slot is to remove what there may be. */
        job->flags |= DSM__JOB_LARGE_RESULT;
        error = dsm__parcel_write(&parcel, result, size);
        if (error)
            return error;
    } else if (size) {
        memcpy(job->result, result, size);
    }
    job->result_size = size;
    return 0;
}

/* ---- Provisional results. */

/* Whether a provisional result may replace the last one: nobody will take that.
 */
static bool
nobody_takes(const dsm_worker *self)
{
    const struct dsm__board *board =
        dsm__board(self->control, self->taker.program);

    return atomic_load(&board->waits) || atomic_load(&self->job->dropped) ||
           dsm__region_active(self->control);
}

static bool
may_go_on(const void *context)
{
    const dsm_worker *self = context;

    return !dsm__provisional_fresh(self->job) || nobody_takes(self) ||
           dsm__job_cancelled(self);
}

/* Until the last one was taken.  0; -ETIMEDOUT, DSM_ECANCELED, DSM_ESTALE. */
static int
wait_for_taker(const dsm_worker *self, int timeout_ms)
{
    struct dsm__board *board = dsm__board(self->control, self->taker.program);
    int64_t deadline = dsm__deadline(timeout_ms);
    int error = 0;

    while (!error && !may_go_on(self))
        if (!dsm__spin_until(self->control, may_go_on, self,
                             self->control->spins))
            error = dsm__sleep_until(self->control, &board->taken, may_go_on,
                                     self, deadline);
    if (error == -ETIMEDOUT)
        return dsm__fail(error, "the last provisional result was not taken");
    return error;
}

static int
fill_back(const dsm_worker *self, const void *data, size_t size)
{
    struct dsm__job *job = self->job;
    unsigned back = dsm__provisional_back(job);
    struct dsm__parcel parcel =
        parcel_of(self, DSM__PARCEL_PROVISIONAL + (int)back);

    job->flags |= DSM__JOB_PUBLISHED;
    job->provisional_size[back] = size;
    if (size > DSM__JOB_PROVISIONAL)
        return dsm__parcel_write(&parcel, data, size);
    if (size)
        memcpy(job->provisional[back], data, size);
    return 0;
}

int
dsm_worker_publish(dsm_worker *self, const void *data, size_t size,
                   int timeout_ms)
{
    int error = check(self, __func__, data, size);
    struct dsm__job *job = self->job;

    if (error)
        return error;
    if (timeout_ms != 0)
        error = wait_for_taker(self, timeout_ms);
    if (!error && dsm__job_cancelled(self))
        error = dsm__fail(DSM_ECANCELED, "the job was cancelled");
    if (!error)
        error = fill_back(self, data, size);
    if (error)
        return error;
    DSM__POINT("job.publish");
    if (dsm__provisional_give(job) && job->given & DSM__JOB_CALLBACK)
        dsm__ended_push(self->control, self->taker.program, self->slot,
                        &self->job_entry, 1, false);
    return 0;
}
