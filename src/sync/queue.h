/* What the cluster does with all its queues when a region is interrupted. */
#ifndef DSM_SYNC_QUEUE_H
#define DSM_SYNC_QUEUE_H

#include "registry/object.h"

/* Wakes all who wait at queues, to see why.  Takes no lock (supervisor). */
void dsm__queues_wake(struct dsm__control *control);

#endif
