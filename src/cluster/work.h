/* A worker's life: its start, its regions, its end. */
#ifndef DSM_CLUSTER_WORK_H
#define DSM_CLUSTER_WORK_H

#include "cluster/cluster.h"

/* The main function of worker process `id`, forked by the supervisor
 * `parent`. */
_Noreturn void dsm__worker_main(dsm_cluster *cluster, unsigned id,
                                pid_t parent);

/* Notes why this worker cannot start, and ends it. */
_Noreturn void dsm__start_fail(dsm_worker *self, int code, const char *message);

/* Flushes stdout and stderr, at no cost when there is nothing to flush. */
void dsm__output_flush(void);

/* Fills in a handle for worker `id` in this process. */
void dsm__worker_init(dsm_worker *self, dsm_cluster *cluster, unsigned id);

/* Runs this worker's part of the region that has begun, without ending it.
 * False: it left its function holding a lock, or failed while others wait at a
 * pthread barrier; a worker process must end, so that the next to acquire the
 * lock is told, and the supervisor ends those others after the grace. */
bool dsm__part_run(dsm_worker *self);

#endif
