/* Reading the workers' counters. */
#ifndef DSM_STATS_STATS_H
#define DSM_STATS_STATS_H

#include "registry/control.h"

/* Seconds that a tick takes, by what passed since the create.  Not the same
 * from call to call: times to be compared are told by one call. */
double dsm__seconds_a_tick(const struct dsm__control *control);

#endif
