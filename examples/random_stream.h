/* Streams of random numbers, each determined by a seed and the stream's number
 * alone: so whoever makes one, and in whatever order, it is the same.
 *
 * The generator is xoshiro256++ (Blackman and Vigna 2021), its state is filled
 * by splitmix64 (Steele, Lea and Flood 2014), as its authors advise.
 */
#ifndef EXAMPLES_RANDOM_STREAM_H
#define EXAMPLES_RANDOM_STREAM_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct random_stream {
    uint64_t state[4];
    double spare; /* the second of a pair of normal numbers */
    bool has_spare;
} random_stream;

static inline uint64_t
random_split(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static inline void
random_begin(random_stream *r, uint64_t seed, uint64_t number)
{
    /* Mixed before they are added: else seed 1 would have the streams of seed
     * 0, but for the first. */
    uint64_t state = random_split(&seed) + number;

    *r = (random_stream){0};
    for (int k = 0; k < 4; k++)
        r->state[k] = random_split(&state);
}

static inline uint64_t
random_rotate(uint64_t bits, unsigned by)
{
    return bits << by | bits >> (64 - by);
}

static inline uint64_t
random_bits(random_stream *r)
{
    uint64_t *s = r->state, bits = random_rotate(s[0] + s[3], 23) + s[0];
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = random_rotate(s[3], 45);
    return bits;
}

/* 0 < u <= 1, with equal probability. */
static inline double
random_uniform(random_stream *r)
{
    return (double)((random_bits(r) >> 11) + 1) * 0x1p-53;
}

/* Of mean 0 and deviation 1, by the method of Box and Muller (1958), which
 * makes two at a time. */
static inline double
random_normal(random_stream *r)
{
    double radius, angle;

    r->has_spare = !r->has_spare;
    if (!r->has_spare)
        return r->spare;
    radius = sqrt(-2 * log(random_uniform(r)));
    angle = 2 * M_PI * random_uniform(r);
    r->spare = radius * sin(angle);
    return radius * cos(angle);
}

#endif
