/* What bench_jobs measures libdsm against in its own program: C in one thread,
 * OpenMP, and pipes to a process. */
#ifndef JOB_PEERS_H
#define JOB_PEERS_H

#include "peer.h"

/* An argument or a result of the jobs that have both. */
struct line {
    char bytes[64];
};

/* The measure function of peer_main. */
int measure_job_peer(const struct peer_work *work, double *ns);

#endif
