/* What bench_sync measures libdsm against: OpenMP, pthreads, pipes and fork. */
#ifndef SYNC_PEERS_H
#define SYNC_PEERS_H

#include "peer.h"

/* The OpenMP that this bench was built with. */
#if !defined(_OPENMP)
#define OPENMP "OpenMP"
#elif defined(__clang__)
#define OPENMP "libomp"
#else
#define OPENMP "libgomp"
#endif

/* Bytes of a message, the same for dsm_queue and its peer. */
enum { MESSAGE_SIZE = 64 };

/* The measure function of peer_main. */
int measure_sync_peer(const struct peer_work *work, double *ns);

#endif
