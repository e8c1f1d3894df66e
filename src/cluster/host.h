/* What the library does in the host's process beside its calls: at its exit and
 * at its forks. */
#ifndef DSM_CLUSTER_HOST_H
#define DSM_CLUSTER_HOST_H

#include "registry/member.h"

/* Registers the handlers, once; arms this process. */
int dsm__host_prepare(void);

/* Forks the supervisor, as dsm__fork_detached does; it keeps the descriptors of
 * this member. */
int dsm__host_fork(struct dsm__member *member);

/* Keeps other threads of the host from forking between the opening of a
 * descriptor and its entry in a member, which tells a fork's child to close
 * it. */
void dsm__host_hold_forks(void);
void dsm__host_let_fork(void);

#endif
