/* A segmented sieve of Eratosthenes on the wheel of 30: a byte has one bit for
 * each of the eight numbers among 30 that 2, 3 and 5 do not divide.
 *
 * A sieve is for one process at a time.  Made before a cluster, it is inherited
 * by the workers, and each goes on with a copy of its own.
 */
#ifndef EXAMPLES_SIEVE_H
#define EXAMPLES_SIEVE_H

#include <stddef.h>
#include <stdint.h>

/* The largest limit. */
#define SIEVE_MAX 1000000000000000

typedef struct sieve sieve;

/* For the numbers 0 .. limit, in segments of `bytes` bytes, a multiple of 1024;
 * 0: what is fastest.  NULL: no memory. */
sieve *sieve_create(uint64_t limit, size_t bytes);
void sieve_destroy(sieve *s);

/* How many segments there are, and how many numbers a whole one holds. */
size_t sieve_segments(const sieve *s);
uint64_t sieve_span(const sieve *s);

/* How many primes above 5 there are in segments begin .. end-1.  Long runs cost
 * less, as what begins a run is some nanoseconds for each prime up to the
 * square root of its end. */
uint64_t sieve_count(sieve *s, size_t begin, size_t end);

/* The primes above 5 in one segment: bit k of byte b stands for the number
 * segment * span + 30 b + SIEVE_WHEEL[k].  Valid until the next call.  *size:
 * bytes that there are, a multiple of 8. */
const uint8_t *sieve_segment(sieve *s, size_t segment, size_t *size);

extern const uint8_t SIEVE_WHEEL[8];

#endif
