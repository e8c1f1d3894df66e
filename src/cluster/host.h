/* What the library does in the host's process beside its calls: at its exit and
 * at its forks. */
#ifndef DSM_CLUSTER_HOST_H
#define DSM_CLUSTER_HOST_H

/* Registers the handlers, once; arms this process. */
int dsm__host_prepare(void);

#endif
