/* Splitting 0 .. n-1 among parts: by blocks, cyclically, or along a seeded
 * permutation.
 *
 * The permutation is a cipher on 0 .. n-1, so that any element of it costs O(1)
 * time and no memory: a Feistel network permutes 0 .. 2^b-1, the smallest such
 * range that holds n, and what lands at n or above is enciphered again until it
 * lands below.  That walk stays on one cycle of the network and began below n,
 * so it ends, after less than 2 steps on average. */
#include <dsm/split.h>

/* With 4 rounds (Luby and Rackoff 1988, for round functions better than ours)
 * elements sqrt(n) apart still tell of each other at n = 10^6, by chi-square;
 * with 6 they do not.  A small range, where a round has few functions to choose
 * from, takes more until all its orders are equally likely: 32 for n = 8. */
#define MANY_ROUNDS 32
static const unsigned FEW_ROUNDS = 6;
static const uint64_t SMALL_RANGE = 4096; /* has many rounds */

/* Elements that are enciphered in step, for vector instructions. */
#define LANES 32
/* Elements whose walks are taken together: enough to fill the lanes with the
 * few that walk on. */
#define BLOCK 512

/* An element is its left and its right bits, the left ones one more when they
 * are odd. */
struct permutation {
    uint64_t n;
    unsigned right_bits, rounds;
    uint32_t left_mask, right_mask;
    uint32_t key[MANY_ROUNDS];
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

static uint32_t
mask_of(unsigned bits)
{
    return (uint32_t)((UINT64_C(1) << bits) - 1);
}

static void
permutation_init(struct permutation *p, uint64_t n, uint64_t seed)
{
    unsigned bits = n > 0 ? bit_length(n - 1) : 0;
    /* Mixed once more, so that no two seeds share a run of keys. */
    uint64_t state = mix(seed);

    p->n = n;
    p->right_bits = bits / 2;
    p->right_mask = mask_of(bits / 2);
    p->left_mask = mask_of(bits - bits / 2);
    p->rounds = n > SMALL_RANGE ? FEW_ROUNDS : MANY_ROUNDS;
    for (unsigned round = 0; round < p->rounds; round++) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        p->key[round] = (uint32_t)(mix(state) >> 32);
    }
}

/* A round: changes one half of the elements by a hash of the other.  32 bits
 * hold any half, and vectors of them multiply on every processor.  The hash is
 * a finalizer of github.com/skeeto/hash-prospector, without its first shift,
 * which would bring nothing down from above a half that is short. */
static inline void
change(uint32_t *half, const uint32_t *other, unsigned lanes, uint32_t key,
       uint32_t mask)
{
    for (unsigned lane = 0; lane < lanes; lane++) {
        uint32_t x = (other[lane] ^ key) * UINT32_C(0x21f0aaad);

        x = (x ^ x >> 15) * UINT32_C(0x735a2d97);
        half[lane] ^= (x ^ x >> 15) & mask;
    }
}

static inline void
encipher(const struct permutation *p, uint32_t *left, uint32_t *right,
         unsigned lanes)
{
    for (unsigned round = 0; round < p->rounds; round += 2) {
        change(left, right, lanes, p->key[round], p->left_mask);
        change(right, left, lanes, p->key[round + 1], p->right_mask);
    }
}

static size_t
permute(const struct permutation *p, uint64_t x)
{
    do {
        uint32_t left = (uint32_t)(x >> p->right_bits);
        uint32_t right = (uint32_t)x & p->right_mask;

        encipher(p, &left, &right, 1);
        x = (uint64_t)left << p->right_bits | right;
    } while (x >= p->n);
    return (size_t)x;
}

/* Elements first, first + 1, ..., count of them and at most BLOCK. */
static void
permute_block(const struct permutation *p, uint64_t first, size_t count,
              size_t *elements)
{
    uint32_t left[BLOCK], right[BLOCK];
    uint16_t place[BLOCK]; /* in `elements` */

    for (unsigned i = 0; i < BLOCK; i++) {
        left[i] = (uint32_t)((first + i) >> p->right_bits);
        right[i] = (uint32_t)(first + i) & p->right_mask;
        place[i] = (uint16_t)i;
    }
    while (count > 0) {
        size_t walking = 0;

        for (size_t i = 0; i < count; i += LANES)
            encipher(p, left + i, right + i, LANES);
        for (size_t i = 0; i < count; i++) {
            uint64_t x = (uint64_t)left[i] << p->right_bits | right[i];

            elements[place[i]] = (size_t)x;
            left[walking] = left[i];
            right[walking] = right[i];
            place[walking] = place[i];
            walking += x >= p->n;
        }
        count = walking;
    }
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
        for (size_t i = 0; i < length; i += BLOCK)
            permute_block(&p, range.begin + i,
                          length - i < BLOCK ? length - i : BLOCK, indices + i);
        return length;
    }
    return 0;
}
