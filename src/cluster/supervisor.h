/* The supervisor: the process that forks the workers, watches them, the
 * controller and the clients, and cleans up after all of them. */
#ifndef DSM_CLUSTER_SUPERVISOR_H
#define DSM_CLUSTER_SUPERVISOR_H

#include "cluster/cluster.h"

/* The main function of a supervisor.  `command` is its end of the controller's
 * socket, `controller` a pidfd of the controller or -1, `controller_pid` its
 * pid. */
_Noreturn void dsm__supervisor_main(dsm_cluster *cluster, int command,
                                    int controller, pid_t controller_pid);

#endif
