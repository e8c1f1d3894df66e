/* What the user asked for, checked, with its defaults. */
#ifndef DSM_CLUSTER_OPTIONS_H
#define DSM_CLUSTER_OPTIONS_H

#include "cluster/cluster.h"

/* How many workers: *workers if not 0, else $DSM_WORKERS, else the CPUs that
 * this process may use. */
int dsm__options_workers(unsigned *workers);

/* Fills in the cluster's options from the caller's, copying what they point to;
 * name and directory are used once and stay the caller's. */
int dsm__options_take(dsm_cluster *cluster, const dsm_cluster_options *given);

/* The real path of options.directory, so that other programs find it from
 * anywhere, in directory[DSM__DIRECTORY_MAX + 1]. */
int dsm__options_directory(char *directory, const char *given);

/* Finds where each worker belongs, if that matters. */
void dsm__options_place(dsm_cluster *cluster, unsigned workers);

#endif
