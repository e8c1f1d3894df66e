/* Reading the workers' counters. */
#ifndef DSM_STATS_STATS_H
#define DSM_STATS_STATS_H

#include "registry/control.h"

/* Seconds that so many ticks take, by what passed since the create. */
double dsm__seconds(const struct dsm__control *control, uint64_t ticks);

#endif
