/* Jobs in a worker: one after the other is taken, run, and told of. */
#ifndef DSM_CLUSTER_PERFORM_H
#define DSM_CLUSTER_PERFORM_H

#include "cluster/cluster.h"
#include "pool/parcel.h"

/* Runs jobs until there are none, or something else is to be done. */
void dsm__perform(dsm_worker *self);

/* Ends the job that runs now with this code and message, and tells of it; the
 * worker process is to end then. */
void dsm__job_fail(dsm_worker *self, int code, int value, const char *message);

/* Whether the job that runs now is to end. */
bool dsm__job_cancelled(const dsm_worker *self);

/* A parcel of the job that runs now. */
static inline struct dsm__parcel
dsm__own_parcel(const dsm_worker *self, int kind)
{
    return (struct dsm__parcel){self->control, self->taker.program,
                                dsm__entry_index(self->job_entry), kind};
}

/* The body of the job that runs now. */
static inline struct dsm__body *
dsm__own_body(const dsm_worker *self)
{
    return dsm__body(self->control, self->taker.program,
                     dsm__entry_index(self->job_entry));
}

/* -EPERM, with a sentence, for what cannot be called in a job: what waits for
 * other workers, as jobs are not scheduled together. */
int dsm__job_refuse(const dsm_worker *self, const char *call);

#endif
