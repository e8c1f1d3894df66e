/* Splitting 0 .. n-1 among parts: by blocks, cyclically, or along a seeded
 * permutation.
 *
 * The permutation is a cipher on 0 .. n-1, so that any element of it costs O(1)
 * time and no memory: a Feistel network permutes 0 .. 2^(2h)-1, the smallest
 * such range that holds n, and what lands at n or above is enciphered again
 * until it lands below.  That walk stays on one cycle of the network and began
 * below n, so it ends, after less than 4 steps on average. */
#include <dsm/split.h>

/* 4 rounds make a good permutation of a large range (Luby and Rackoff 1988);
 * small ranges, where a round has few functions to choose from, need more. */
#define ROUNDS 8

struct permutation {
    uint64_t n;
    unsigned half; /* h, the bits of half a block */
    uint64_t key[ROUNDS];
};

dsm_range
dsm_split(size_t n, unsigned parts, unsigned index)
{
    size_t size, larger;
    dsm_range range = {0, 0};

    if (index >= parts)
        return range;
    size = n / parts;
    larger = n % parts; /* so many parts have one more */
    range.begin = index * size + (index < larger ? index : larger);
    range.end = range.begin + size + (index < larger);
    return range;
}

/* The finalizer of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
 * pseudorandom number generators"). */
static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static unsigned
bit_length(uint64_t x)
{
    unsigned bits = 0;

    for (; x > 0; x >>= 1)
        bits++;
    return bits;
}

static void
permutation_init(struct permutation *p, uint64_t n, uint64_t seed)
{
    /* Mixed once more, so that no two seeds share a run of keys. */
    uint64_t state = mix(seed);

    p->n = n;
    p->half = n > 2 ? (bit_length(n - 1) + 1) / 2 : 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        p->key[round] = mix(state);
    }
}

static uint64_t
encipher(const struct permutation *p, uint64_t x)
{
    uint64_t mask = (UINT64_C(1) << p->half) - 1;
    uint64_t left = x >> p->half, right = x & mask;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t mixed = left ^ (mix(p->key[round] ^ right) & mask);

        left = right;
        right = mixed;
    }
    return left << p->half | right;
}

static size_t
permute(const struct permutation *p, size_t i)
{
    uint64_t x = i;

    do
        x = encipher(p, x);
    while (x >= p->n);
    return (size_t)x;
}

size_t
dsm_split_random(size_t i, size_t n, uint64_t seed)
{
    struct permutation p;

    if (i >= n)
        return n;
    permutation_init(&p, n, seed);
    return permute(&p, i);
}

size_t
dsm_split_indices(size_t *indices, size_t n, unsigned parts, unsigned index,
                  dsm_split_kind kind, uint64_t seed)
{
    dsm_range range = dsm_split(n, parts, index);
    size_t length = range.end - range.begin;
    struct permutation p;

    switch (kind) {
    case DSM_SPLIT_BLOCK:
        for (size_t i = 0; i < length; i++)
            indices[i] = range.begin + i;
        return length;
    case DSM_SPLIT_CYCLIC:
        for (size_t i = 0; i < length; i++)
            indices[i] = index + i * parts;
        return length;
    case DSM_SPLIT_RANDOM:
        permutation_init(&p, n, seed);
        for (size_t i = 0; i < length; i++)
            indices[i] = permute(&p, range.begin + i);
        return length;
    }
    return 0;
}
