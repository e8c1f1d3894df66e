/* What the examples of products share: the command line, square matrices in
 * shared memory, and the measuring of several ways to one result.
 */
#ifndef EXAMPLES_PRODUCT_H
#define EXAMPLES_PRODUCT_H

#include <dsm.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct product {
    size_t n;       /* rows and columns */
    bool n_given;   /* else it may be less, when memory lacks */
    size_t workers; /* 0: the library's choice */
    size_t rounds;
    unsigned ways; /* that are to be measured */

    dsm_cluster *cluster;
    size_t rounds_done;
} product;

/* Reads -p, -n, --rounds and --help; *p holds the defaults. */
void product_parse(product *p, int argc, char **argv, const char *help);

/* Creates the cluster and `count` matrices of random numbers from 0 to 1, named
 * a, b, ...  If n was not given it is halved until they fit. */
void product_create(product *p, dsm_array **matrices, unsigned count);

/* Median seconds of a round of one way, after an untimed one, which pays for
 * what happens once: the mapping of pages, the start of threads. */
double product_measure(product *p, void (*way)(void *context), void *context);

/* Prints a line: how long the way took, how much of `unit` it did in a second
 * when a round is `amount`, and the ratio to the workers' time. */
void product_report(const char *way, double seconds, double workers,
                    double amount, const char *unit);

/* Has OpenBLAS use so many threads; how many it has then. */
int product_blas_threads(unsigned threads);

#endif
