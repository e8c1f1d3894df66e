/* What a job's function may call. */
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/cluster.h"
#include "cluster/perform.h"
#include "pool/ended.h"
#include "pool/provisional.h"
#include "sync/wait.h"

#include <dsm/job.h>

#include <errno.h>
#include <string.h>

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

/* ---- The result. */

/* Whether the program has left a crate for it that is large enough. */
static bool
fill_spare(dsm_worker *self, struct dsm__body *body, const void *result,
           size_t size)
{
    char sentence[DSM__SENTENCE];
    struct dsm__crate *crate;
    bool fits = false;

    if (!(self->job->given & DSM__JOB_SPARE))
        return false;
    dsm__error_keep(sentence);
    if (dsm__crate_borrow(&self->crates, &crate, self->control,
                          self->taker.program, body->spare_crate) == 0)
        fits = crate->size >= size;
    dsm__error_restore(sentence);
    if (!fits)
        return false;
    memcpy(crate->at, result, size);
    body->result_crate = body->spare_crate;
    self->job->flags |= DSM__JOB_LARGE_RESULT;
    return true;
}

static int
fill_new(dsm_worker *self, struct dsm__body *body, const void *result,
         size_t size)
{
    unsigned program = self->taker.program;
    int error;

    /* First: whoever sees to a dead worker's job removes what there may be. */
    body->result_crate = dsm__crate_number(self->control, program);
    self->job->flags |= DSM__JOB_LARGE_RESULT;
    error = dsm__crate_make(self->control, program, body->result_crate, result,
                            size);
    if (error)
        self->job->flags &= ~(uint32_t)DSM__JOB_LARGE_RESULT;
    return error;
}

/* Takes the last one back. */
static void
forget_result(dsm_worker *self, struct dsm__body *body)
{
    struct dsm__job *job = self->job;

    job->result_size = 0;
    if (job->flags & DSM__JOB_LARGE_RESULT &&
        !(job->given & DSM__JOB_SPARE &&
          body->result_crate == body->spare_crate))
        dsm__crate_remove(self->control, self->taker.program,
                          body->result_crate);
    job->flags &= ~(uint32_t)DSM__JOB_LARGE_RESULT;
}

int
dsm_worker_return(dsm_worker *self, const void *result, size_t size)
{
    int error = check(self, __func__, result, size);
    struct dsm__body *body;

    if (error)
        return error;
    body = dsm__own_body(self);
    forget_result(self, body);
    if (size > sizeof body->result) {
        if (!fill_spare(self, body, result, size))
            error = fill_new(self, body, result, size);
    } else if (size) {
        memcpy(body->result, result, size);
    }
    DSM__POINT("job.return");
    if (!error)
        self->job->result_size = size;
    return error;
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

    return !dsm__provisional_fresh(dsm__own_body(self)) || nobody_takes(self) ||
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
    struct dsm__body *body = dsm__own_body(self);
    unsigned back = dsm__provisional_back(body);
    struct dsm__parcel parcel =
        dsm__own_parcel(self, DSM__PARCEL_PROVISIONAL + (int)back);

    self->job->flags |= DSM__JOB_PUBLISHED;
    body->provisional_size[back] = size;
    if (size > DSM__JOB_PROVISIONAL) {
        self->job->flags |= DSM__JOB_LARGE_PUBLISHED;
        return dsm__parcel_write(&parcel, data, size);
    }
    if (size)
        memcpy(body->provisional[back], data, size);
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
    if (dsm__provisional_give(dsm__own_body(self)) &&
        job->given & DSM__JOB_CALLBACK)
        dsm__ended_push(self->control, self->taker.program, self->slot,
                        &self->job_entry, 1, false);
    return 0;
}
