/* What bench_sync measures libdsm against: OpenMP, pthreads, pipes and fork. */
#ifndef SYNC_PEERS_H
#define SYNC_PEERS_H

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

/* The sleep before each region of those that are measured after an idle
 * time. */
enum { IDLE_MS = 2 };

/* Runs `--peer NAME PARTIES COUNT`, prints the time of one operation in
 * nanoseconds and returns the exit status: 0, SAMPLE_NOT_AVAILABLE, or another
 * one with a sentence on stderr. */
int peer_main(int argc, char **argv);

#endif
