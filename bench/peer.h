/* Peers: programs executed anew for each sample, as
 *     PROGRAM --peer NAME PARTIES COUNT SIZE
 * so that no thread of theirs outlives the sample, none is there when libdsm
 * forks, and a runtime reads its environment for itself.  They print the time
 * of one operation in nanoseconds.  A program that was not built, or cannot be
 * started, is "not available"; so is one that fails, after a sentence about it.
 */
#ifndef PEER_H
#define PEER_H

#include "measure.h"

enum peer_program {
    PEER_SELF,   /* the bench itself */
    PEER_BLAS,   /* peer_blas, beside it */
    PEER_TBB,    /* peer_tbb, the same */
    PEER_MPI,    /* peer_mpi, by mpirun */
    PEER_PYTHON, /* peer_python.py */
    PEER_PROGRAMS
};

struct peer_call {
    const char *name;
    unsigned parties;        /* 0: as many as there are CPUs */
    const char *wait_policy; /* OMP_WAIT_POLICY; NULL: the runtime's default */
    enum peer_program program;
};

/* The sample function of a figure whose detail is a struct peer_call. */
int measure_peer(const struct figure *figure, long count, double *ns);

/* What a peer is asked to do. */
struct peer_work {
    const char *name;
    unsigned parties;
    long count;
    size_t size;
};

/* The most parties that a peer is asked for. */
enum { PEER_PARTIES_MAX = 64 };

/* The sleep before each operation of those that are measured after an idle
 * time, of libdsm and of peers. */
enum { IDLE_MS = 2 };

/* The main program of a peer: reads the arguments, ends it after a time limit
 * or with its parent, and prints what `measure` gives, which returns 0,
 * SAMPLE_NOT_AVAILABLE or negative.  Returns the exit status. */
int peer_main(int argc, char **argv,
              int (*measure)(const struct peer_work *work, double *ns));

#endif
