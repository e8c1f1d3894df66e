/* Kernels of compaction.
 *
 * A predicate's bytes become bits first, 64 items to a word: bits are what
 * AVX-512 compresses by, what indexes AVX2's tables of permutations, and an
 * eighth of what must stay in the cache while a block waits to be packed. */
#include "kernel/kernel.h"

#include "kernel/isa.h"

#include <string.h>
#if defined __SSE2__
#include <immintrin.h>
#endif

/* One word, of 64 items. */
static inline uint64_t
mark_word(const uint8_t *keep)
{
#if DSM__VECTOR == 64
    __m512i x = _mm512_loadu_si512(keep);

    return _mm512_test_epi8_mask(x, x);
#elif defined __SSE2__
    uint64_t zeros = 0;

    for (int k = 3; k >= 0; k--) {
        __m128i x = _mm_loadu_si128((const __m128i *)(keep + 16 * k));
        __m128i zero = _mm_cmpeq_epi8(x, _mm_setzero_si128());

        zeros = zeros << 16 | (uint64_t)_mm_movemask_epi8(zero);
    }
    return ~zeros;
#else
    uint64_t word = 0;

    for (int k = 0; k < 64; k++)
        word |= (uint64_t)(keep[k] != 0) << k;
    return word;
#endif
}

size_t
DSM__FOR_ISA(dsm__mark)(uint64_t *bits, const uint8_t *keep, size_t n)
{
    uint8_t rest[64] = {0};
    size_t count = 0;

    for (; n >= 64; n -= 64, keep += 64, bits++) {
        *bits = mark_word(keep);
        count += (size_t)__builtin_popcountll(*bits);
    }
    if (n > 0) {
        memcpy(rest, keep, n);
        *bits = mark_word(rest);
        count += (size_t)__builtin_popcountll(*bits);
    }
    return count;
}

typedef struct {
    uint64_t half[2];
} item16;

/* Without a branch: each item is written, and stays if the next is written
 * behind it. */
#define PACK_ONE_BY_ONE(bytes, item)                                           \
    static size_t pack_each_##bytes(void *out, const void *in,                 \
                                    const uint64_t *bits, size_t n)            \
    {                                                                          \
        const item *from = in;                                                 \
        item *to = out;                                                        \
                                                                               \
        for (size_t i = 0; i < n; i++) {                                       \
            *to = from[i];                                                     \
            to += bits[i / 64] >> i % 64 & 1;                                  \
        }                                                                      \
        return (size_t)(to - (item *)out);                                     \
    }
PACK_ONE_BY_ONE(1, uint8_t)
PACK_ONE_BY_ONE(2, uint16_t)
PACK_ONE_BY_ONE(4, uint32_t)
PACK_ONE_BY_ONE(8, uint64_t)
PACK_ONE_BY_ONE(16, item16)

/* Whole words by the function `pack_64`, which packs 64 items and returns where
 * the next goes; then the rest. */
#define PACK_BY_WORDS(bytes, item, pack_64)                                    \
    static size_t pack_##bytes(void *out, const void *in,                      \
                               const uint64_t *bits, size_t n)                 \
    {                                                                          \
        const item *from = in;                                                 \
        item *to = out;                                                        \
                                                                               \
        for (; n >= 64; n -= 64, from += 64, bits++)                           \
            to = pack_64(to, from, *bits);                                     \
        return (size_t)(to - (item *)out) +                                    \
               pack_each_##bytes(to, from, bits, n);                           \
    }

#if DSM__VECTOR == 64

static inline uint32_t *
pack_64_words(uint32_t *to, const uint32_t *from, uint64_t bits)
{
    for (int k = 0; k < 64; k += 16) {
        __mmask16 m = (__mmask16)(bits >> k);

        _mm512_storeu_si512(
            to, _mm512_maskz_compress_epi32(m, _mm512_loadu_si512(from + k)));
        to += __builtin_popcount(m);
    }
    return to;
}

static inline uint64_t *
pack_64_longs(uint64_t *to, const uint64_t *from, uint64_t bits)
{
    for (int k = 0; k < 64; k += 8) {
        __mmask8 m = (__mmask8)(bits >> k);

        _mm512_storeu_si512(
            to, _mm512_maskz_compress_epi64(m, _mm512_loadu_si512(from + k)));
        to += __builtin_popcount(m);
    }
    return to;
}

PACK_BY_WORDS(4, uint32_t, pack_64_words)
PACK_BY_WORDS(8, uint64_t, pack_64_longs)

#elif DSM__VECTOR == 32

/* For each set of 4 items the numbers of those that stay, in order, and then
 * anything: as bytes and as pairs of words. */
#define ITEM(i) 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3
#define PAIR(i) 2 * (i), 2 * (i) + 1
#define SETS(X)                                                                \
    {X(0), X(0), X(0), X(0)}, {X(0), X(0), X(0), X(0)},                        \
        {X(1), X(0), X(0), X(0)}, {X(0), X(1), X(0), X(0)},                    \
        {X(2), X(0), X(0), X(0)}, {X(0), X(2), X(0), X(0)},                    \
        {X(1), X(2), X(0), X(0)}, {X(0), X(1), X(2), X(0)},                    \
        {X(3), X(0), X(0), X(0)}, {X(0), X(3), X(0), X(0)},                    \
        {X(1), X(3), X(0), X(0)}, {X(0), X(1), X(3), X(0)},                    \
        {X(2), X(3), X(0), X(0)}, {X(0), X(2), X(3), X(0)},                    \
        {X(1), X(2), X(3), X(0)}, {X(0), X(1), X(2), X(3)},
static const uint8_t words_of[16][16] = {SETS(ITEM)};
static const uint32_t longs_of[16][8] = {SETS(PAIR)};

static inline uint32_t *
pack_64_words(uint32_t *to, const uint32_t *from, uint64_t bits)
{
    for (int k = 0; k < 64; k += 4, bits >>= 4) {
        __m128i x = _mm_loadu_si128((const __m128i *)(from + k));
        __m128i which = _mm_loadu_si128((const __m128i *)words_of[bits & 15]);

        _mm_storeu_si128((__m128i *)to, _mm_shuffle_epi8(x, which));
        to += __builtin_popcount(bits & 15);
    }
    return to;
}

static inline uint64_t *
pack_64_longs(uint64_t *to, const uint64_t *from, uint64_t bits)
{
    for (int k = 0; k < 64; k += 4, bits >>= 4) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(from + k));
        __m256i which =
            _mm256_loadu_si256((const __m256i *)longs_of[bits & 15]);

        _mm256_storeu_si256((__m256i *)to,
                            _mm256_permutevar8x32_epi32(x, which));
        to += __builtin_popcount(bits & 15);
    }
    return to;
}

PACK_BY_WORDS(4, uint32_t, pack_64_words)
PACK_BY_WORDS(8, uint64_t, pack_64_longs)

#else
#define pack_4 pack_each_4
#define pack_8 pack_each_8
#endif

size_t (*const DSM__FOR_ISA(dsm__packs)[5])(void *, const void *,
                                            const uint64_t *, size_t) = {
    pack_each_1, pack_each_2, pack_4, pack_8, pack_each_16};
