/* What bench_primitives measures libdsm against in its own program: C in one
 * thread, and OpenMP. */
#ifndef PRIMITIVE_PEERS_H
#define PRIMITIVE_PEERS_H

#include "peer.h"

/* The measure function of peer_main. */
int measure_primitive_peer(const struct peer_work *work, double *ns);

#endif
