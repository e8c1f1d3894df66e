/* The arrays that peers of one process work on: private memory in large pages,
 * touched by as many threads as will use it before anything is measured. */
#ifndef PEER_ARRAYS_H
#define PEER_ARRAYS_H

#include <stddef.h>
#include <stdint.h>

struct peer_arrays {
    size_t n;
    unsigned parties;
    double *x;     /* kernel_fill's */
    double *y;     /* the output, or a second input: ones */
    uint8_t *mask; /* what kernel_keeps of x */
};

/* Which of them are made, beside x. */
enum { PEER_Y = 1, PEER_MASK = 2 };

/* 0 or negative.  The memory ends with the process. */
int peer_arrays_make(struct peer_arrays *arrays, size_t n, unsigned parties,
                     unsigned which);

/* Where party `id`'s share begins; the last one's ends where that of id
 * `parties` begins. */
static inline size_t
peer_share(const struct peer_arrays *arrays, unsigned id)
{
    return arrays->n / arrays->parties * id +
           arrays->n % arrays->parties * id / arrays->parties;
}

#endif
