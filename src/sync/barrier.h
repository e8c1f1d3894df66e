/* What the cluster does with all its barriers when a worker or a client dies.
 */
#ifndef DSM_SYNC_BARRIER_H
#define DSM_SYNC_BARRIER_H

#include "registry/object.h"

/* Breaks every robust barrier.  Takes no lock (supervisor). */
void dsm__barriers_break(struct dsm__control *control);

/* At the end of a region that broke, all its workers ended or dead: makes every
 * barrier whole; a pthread one that a killed worker waits at is made anew. */
void dsm__barriers_mend(struct dsm__control *control);

/* After a region was interrupted: whether somebody waits at a pthread barrier,
 * and can only be ended. */
bool dsm__barriers_stuck(struct dsm__control *control);

#define DSM__CONTROLLER_GONE DSM__CLIENTS_MAX /* as a client's number */

/* A client died, or a detached cluster's controller: those who wait at a
 * barrier that it has waited on, and those who come until the region under way
 * ends, get DSM_EBROKEN; takes no lock (supervisor). */
void dsm__barriers_forget_client(struct dsm__control *control, unsigned client);

#endif
