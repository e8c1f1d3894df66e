/* The work itself, as loops over a piece of an array in one thread: what
 * libdsm's callbacks, the machine's limits and the peers that bring no loop of
 * their own do alike. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Items first .. first+n-1 of the input that all share, in [-1, 1). */
void kernel_fill(double *x, size_t first, size_t n);

/* What is kept of it: about a half. */
static inline int
kernel_keeps(double x)
{
    return x > 0;
}

double kernel_sum(const double *x, size_t n);
double kernel_dot(const double *x, const double *y, size_t n);
void kernel_copy(double *out, const double *in, size_t n);

/* The same with stores that pass the caches by, where there are any. */
void kernel_copy_streaming(double *out, const double *in, size_t n);
void kernel_write_streaming(double *out, size_t n);

/* The trivial function of the maps. */
static inline double
kernel_map_item(double x)
{
    return 2 * x + 1;
}

void kernel_map(double *out, const double *in, size_t n);

/* An inclusive scan that begins with `prefix`; returns the last prefix. */
double kernel_scan(double *out, const double *in, size_t n, double prefix);

void kernel_mask(uint8_t *mask, const double *in, size_t n);
size_t kernel_count(const double *in, size_t n);

/* Copies what is kept, without branches; returns how many.  `out` has room for
 * `room` items, and is not written beyond. */
size_t kernel_filter(double *out, size_t room, const double *in, size_t n);
size_t kernel_pack(double *out, size_t room, const double *in,
                   const uint8_t *mask, size_t n);

/* Item i of the irregular loop: its cost grows with i. */
void kernel_irregular_item(size_t i);

/* Reads a word of each page of 4 KiB; returns their sum. */
uint64_t kernel_read_pages(const void *data, size_t size);

/* Counts pseudo-random numbers that follow from the seed, for 100 us or so. */
enum { KERNEL_BINS = 256 };
void kernel_histogram(uint32_t bins[KERNEL_BINS], uint64_t seed);
void kernel_add_bins(uint32_t total[KERNEL_BINS],
                     const uint32_t bins[KERNEL_BINS]);

/* An empty item, which the compiler does not leave out. */
static inline void
kernel_empty_item(void)
{
    __asm__ volatile("" ::: "memory");
}

#endif
