/* Clusters and the arrays that their primitives work on.  Arrays are touched
 * when they are made; smaller ones are views of their beginning. */
#ifndef TEAM_H
#define TEAM_H

#include "measure.h"

#include <dsm.h>

/* What calls work on.  It is passed on to workers by value. */
struct operands {
    size_t n;
    dsm_array *x, *y,
        *mask;           /* n items: kernel_fill's, the output, kernel_mask's */
    dsm_array *partials; /* of the tree of pairs */
    dsm_array *matrix, *factor, *product;
};

enum { TEAM_SIZES_MAX = 16 };

struct team {
    unsigned workers; /* 0: as many as there are CPUs */
    bool controller_works;
    bool has_matrix;
    dsm_cluster *cluster;
    struct operands whole; /* arrays of all items */
    struct operands parts[TEAM_SIZES_MAX];
    unsigned part_count;
    struct measure_span *spans; /* in shared memory: one of each worker */
};

/* Makes the cluster with arrays of n items and, if it has a matrix, one of
 * order by order.  0, or SAMPLE_FAILED after a sentence on stderr. */
int team_make(struct team *team, size_t n, size_t order);

/* The first n items of the arrays; NULL after a sentence on stderr. */
const struct operands *team_operands(struct team *team, size_t n);

/* Says what failed and why. */
int team_complain(const char *what);

#endif
