/* How the multiples of a prime p = 30 q + r are crossed out:
 *
 * Only the multiples p (30 t + w) count where w is one of the wheel's eight
 * numbers.  Eight make a cycle, the p bytes from byte p t on: they lie at the
 * offsets q w + r w / 30, in bits that depend on r and w alone.  So each r has
 * a loop of its own, with constants for the bits, and nothing is decided inside
 * a cycle.  All that is kept of a prime is where its next cycle begins.
 *
 * A cycle that begins in a segment may end behind it, in a margin that nobody
 * reads.  The next segment does that cycle again, from the margin before it.
 *
 * By their size primes are treated in four ways:
 *   - patterns, made once, are joined to make the segment's first state;
 *   - cycles within a block that fits into the L1 cache, block by block;
 *   - cycles along the whole segment, which fits into L2;
 *   - multiple by multiple, when a cycle is not much shorter than a segment.
 *
 * See T. Oliveira e Silva, "Fast implementation of the segmented sieve of
 * Eratosthenes" (2002), and Walisch's primesieve for the last but one idea.
 */
#include "sieve.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK = 32 << 10,
    BLOCK_PRIME = 64 << 10, /* up to this, by blocks; measured */
    PATTERNS = 16,          /* of two primes each: 7 and 149, 11 and 139, ... */
    PATTERN_PRIME = 149,
    STRIP = 1024 /* bytes that are joined at a time */
};

const uint8_t SIEVE_WHEEL[8] = {1, 7, 11, 13, 17, 19, 23, 29};

typedef struct pattern {
    size_t period;
    uint8_t *bytes; /* a period and a strip */
} pattern;

/* A prime that goes by cycles; its r is its list's. */
typedef struct cycler {
    uint32_t q;
    int32_t next; /* where its next cycle begins, from the segment's begin */
} cycler;

/* Those of one r, in order. */
typedef struct cyclers {
    cycler *primes;
    size_t in_blocks, count;
    size_t active; /* those whose squares have been reached */
} cyclers;

/* A prime that goes by steps: the byte of its next multiple, and a row of
 * `steps`. */
typedef struct stepper {
    uint32_t q;
    uint32_t next : 26, row : 6;
} stepper;

/* From p (30 t + w) to the next multiple: q * gap + more bytes and another row.
 * Row 8 j + k is for r = SIEVE_WHEEL[j], w = SIEVE_WHEEL[k]. */
typedef struct step {
    uint8_t mask, gap, more, row;
} step;

struct sieve {
    uint64_t limit;
    uint64_t begin, end; /* bytes: of the next segment, of all */
    size_t size;         /* bytes of a segment */
    uint8_t *memory;     /* margin, segment, margin */
    uint8_t *segment;
    pattern patterns[PATTERNS];
    cyclers cyclers[8];
    stepper *steppers;
    size_t stepper_count, stepper_active;
    step steps[64];
};

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Which of the wheel's numbers it is, modulo 30. */
static inline unsigned
wheel_index(uint64_t number)
{
    static const uint8_t INDEX[30] = {[1] = 0,  [7] = 1,  [11] = 2, [13] = 3,
                                      [17] = 4, [19] = 5, [23] = 6, [29] = 7};

    return INDEX[number % 30];
}

/* All bits but that number's. */
static inline uint8_t
mask(uint64_t number)
{
    return (uint8_t) ~(1u << wheel_index(number));
}

/* ---- Crossing out. */

/* The cycles that begin before `end`. */
static inline __attribute__((always_inline)) void
cross_cycles(uint8_t *segment, size_t end, cycler *first, const cycler *last,
             const unsigned r)
{
    for (cycler *c = first; c < last; c++) {
        ptrdiff_t q = c->q, p = 30 * q + r, next = c->next;

        for (; next < (ptrdiff_t)end; next += p) {
            uint8_t *cycle = segment + next;

            cycle[q] &= mask(r);
            cycle[q * 7 + r * 7 / 30] &= mask(r * 7);
            cycle[q * 11 + r * 11 / 30] &= mask(r * 11);
            cycle[q * 13 + r * 13 / 30] &= mask(r * 13);
            cycle[q * 17 + r * 17 / 30] &= mask(r * 17);
            cycle[q * 19 + r * 19 / 30] &= mask(r * 19);
            cycle[q * 23 + r * 23 / 30] &= mask(r * 23);
            cycle[q * 29 + r * 29 / 30] &= mask(r * 29);
        }
        c->next = (int32_t)next;
    }
}

/* The same, with an r that is a constant for the compiler. */
static void
cross_class(uint8_t *segment, size_t end, cycler *first, const cycler *last,
            unsigned class)
{
    switch (class) {
    case 0:
        cross_cycles(segment, end, first, last, 1);
        break;
    case 1:
        cross_cycles(segment, end, first, last, 7);
        break;
    case 2:
        cross_cycles(segment, end, first, last, 11);
        break;
    case 3:
        cross_cycles(segment, end, first, last, 13);
        break;
    case 4:
        cross_cycles(segment, end, first, last, 17);
        break;
    case 5:
        cross_cycles(segment, end, first, last, 19);
        break;
    case 6:
        cross_cycles(segment, end, first, last, 23);
        break;
    case 7:
        cross_cycles(segment, end, first, last, 29);
        break;
    }
}

static void
cross_steps(sieve *s, uint32_t end)
{
    uint8_t *segment = s->segment;

    for (stepper *p = s->steppers; p < s->steppers + s->stepper_active; p++) {
        uint32_t q = p->q, next = p->next;
        unsigned row = p->row;

        while (next < end) {
            const step *at = &s->steps[row];

            segment[next] &= at->mask;
            next += q * at->gap + at->more;
            row = at->row;
        }
        p->next = (next - end) & 0x3ffffff;
        p->row = row & 63;
    }
}

static void
cross_out(sieve *s, size_t size)
{
    for (size_t block = 0; block < size; block += BLOCK)
        for (unsigned k = 0; k < 8; k++) {
            cyclers *c = &s->cyclers[k];

            cross_class(s->segment, least(block + BLOCK, size), c->primes,
                        c->primes + least(c->in_blocks, c->active), k);
        }
    for (unsigned k = 0; k < 8; k++) {
        cyclers *c = &s->cyclers[k];

        cross_class(s->segment, size, c->primes + c->in_blocks,
                    c->primes + c->active, k);
    }
    cross_steps(s, (uint32_t)size);
}

/* ---- The state that a segment begins and ends with. */

static void
join_four(uint8_t *restrict to, uint64_t begin, size_t strips,
          const pattern *patterns, bool first)
{
    size_t at[4];

    for (int k = 0; k < 4; k++)
        at[k] = begin % patterns[k].period;
    for (; strips > 0; strips--, to += STRIP) {
        const uint8_t *a = patterns[0].bytes + at[0],
                      *b = patterns[1].bytes + at[1],
                      *c = patterns[2].bytes + at[2],
                      *d = patterns[3].bytes + at[3];

        if (first)
            for (size_t i = 0; i < STRIP; i++)
                to[i] = a[i] & b[i] & c[i] & d[i];
        else
            for (size_t i = 0; i < STRIP; i++)
                to[i] &= a[i] & b[i] & c[i] & d[i];
        for (int k = 0; k < 4; k++)
            at[k] = (at[k] + STRIP) % patterns[k].period;
    }
}

static void
join_patterns(sieve *s, size_t size)
{
    for (int k = 0; k < PATTERNS; k += 4)
        join_four(s->segment, s->begin, (size + STRIP - 1) / STRIP,
                  s->patterns + k, k == 0);
}

/* What the patterns get wrong at the very beginning: 1 is no prime, and their
 * own primes are. */
static void
repair_first(sieve *s)
{
    static const uint8_t FIRST[] = {0xfe, 0xdf, 0xef, 0x7e, 0xb6};

    memcpy(s->segment, FIRST, sizeof FIRST);
}

/* Forgets what is above the limit; returns the size rounded up to words. */
static size_t
cut_off(sieve *s, size_t size)
{
    for (unsigned k = 0; k < 8; k++)
        if (SIEVE_WHEEL[k] > s->limit % 30)
            s->segment[size - 1] &= (uint8_t) ~(1u << k);
    for (; size % 8 > 0; size++)
        s->segment[size] = 0;
    return size;
}

/* ---- From segment to segment. */

/* Begins with the square, or where the segment does. */
static void
start_cycler(cycler *c, uint64_t p, uint64_t begin)
{
    c->next = (int32_t)(most(p / 30, begin / p) * p - begin);
}

static void
start_stepper(stepper *s, uint64_t p, uint64_t begin)
{
    uint64_t times = most(p, (30 * begin + p - 1) / p);
    unsigned k = 0;

    while (SIEVE_WHEEL[k] < times % 30)
        k++;
    times += SIEVE_WHEEL[k] - times % 30;
    s->next = (p * times / 30 - begin) & 0x3ffffff;
    s->row = (wheel_index(p) * 8 + k) & 63;
}

/* Starts all primes whose squares lie before byte `end`. */
static void
activate(sieve *s, uint64_t end)
{
    for (unsigned k = 0; k < 8; k++) {
        cyclers *list = &s->cyclers[k];

        for (; list->active < list->count; list->active++) {
            cycler *c = &list->primes[list->active];
            uint64_t p = 30 * (uint64_t)c->q + SIEVE_WHEEL[k];

            if (p * p / 30 >= end)
                break;
            start_cycler(c, p, s->begin);
        }
    }
    for (; s->stepper_active < s->stepper_count; s->stepper_active++) {
        stepper *c = &s->steppers[s->stepper_active];
        uint64_t p = 30 * (uint64_t)c->q + SIEVE_WHEEL[c->row / 8];

        if (p * p / 30 >= end)
            break;
        start_stepper(c, p, s->begin);
    }
}

static void
go_to(sieve *s, size_t segment)
{
    s->begin = (uint64_t)segment * s->size;
    for (unsigned k = 0; k < 8; k++)
        s->cyclers[k].active = 0;
    s->stepper_active = 0;
}

/* So that the cycle that went over the end is done again. */
static void
step_back(cyclers *list, size_t size, unsigned r)
{
    for (cycler *c = list->primes; c < list->primes + list->active; c++)
        c->next -= (int32_t)(size + 30 * c->q + r);
}

/* Sieves the segment that begins at s->begin, and moves on; returns its size.
 */
static size_t
sieve_next(sieve *s)
{
    size_t size = least(s->size, s->end - s->begin);

    join_patterns(s, size);
    activate(s, s->begin + size);
    cross_out(s, size);
    if (s->begin == 0)
        repair_first(s);
    for (unsigned k = 0; k < 8; k++)
        step_back(&s->cyclers[k], size, SIEVE_WHEEL[k]);
    s->begin += size;
    return s->begin == s->end ? cut_off(s, size) : size;
}

/* Of a whole number of words.  In plain C, which compilers turn into vector
 * instructions: not every CPU has one for this. */
static uint64_t
count_bits(const uint8_t *bytes, size_t size)
{
    enum { RUN = 16 };
    const uint64_t ones = UINT64_MAX / 3, pairs = UINT64_MAX / 5,
                   nibbles = UINT64_MAX / 17, halves = UINT64_MAX / 257;
    uint64_t count = 0, words[RUN] = {0};

    for (size_t part; size > 0; bytes += part, size -= part) {
        uint64_t sums = 0; /* of 8 bits each, at most 128 */

        part = least(size, sizeof words);
        if (part < sizeof words)
            memset(words, 0, sizeof words);
        memcpy(words, bytes, part);
        for (int k = 0; k < RUN; k++) {
            uint64_t x = words[k];

            x -= x >> 1 & ones;
            x = (x & pairs) + (x >> 2 & pairs);
            sums += (x + (x >> 4)) & nibbles;
        }
        sums = (sums & halves) + (sums >> 8 & halves);
        count += sums * (UINT64_MAX / 65535) >> 48;
    }
    return count;
}

uint64_t
sieve_count(sieve *s, size_t begin, size_t end)
{
    uint64_t count = 0;

    go_to(s, begin);
    for (size_t k = begin; k < end; k++) {
        size_t size = sieve_next(s);

        count += count_bits(s->segment, size);
    }
    return count;
}

const uint8_t *
sieve_segment(sieve *s, size_t segment, size_t *size)
{
    go_to(s, segment);
    *size = sieve_next(s);
    return s->segment;
}

size_t
sieve_segments(const sieve *s)
{
    return (s->end + s->size - 1) / s->size;
}

uint64_t
sieve_span(const sieve *s)
{
    return 30 * s->size;
}

/* ---- Making one. */

/* Half of the L2 cache, as the margins and the lists want some, too. */
static size_t
best_size(void)
{
    long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);

    return cache >= 2 << 20 ? 1 << 20 : 512 << 10;
}

static size_t
square_root(uint64_t limit)
{
    uint64_t root = (uint64_t)sqrt((double)limit);

    while (root * root > limit)
        root--;
    while ((root + 1) * (root + 1) <= limit)
        root++;
    return root;
}

/* Flags for 0 .. last: which are primes above 5. */
static bool *
find_primes(size_t last)
{
    bool *prime = malloc(last + 1);

    if (!prime)
        return NULL;
    for (size_t n = 0; n <= last; n++)
        prime[n] = n > 5 && n % 2 && n % 3 && n % 5;
    for (size_t p = 7; p * p <= last; p++)
        if (prime[p])
            for (size_t n = p * p; n <= last; n += 2 * p)
                prime[n] = false;
    return prime;
}

static bool
make_pattern(pattern *made, size_t p1, size_t p2)
{
    const size_t primes[] = {p1, p2};
    size_t length = p1 * p2 + STRIP;

    made->period = p1 * p2;
    made->bytes = malloc(length);
    if (!made->bytes)
        return false;
    memset(made->bytes, 0xff, length);
    for (int k = 0; k < 2; k++)
        for (size_t n = primes[k]; n < 30 * length; n += 2 * primes[k])
            if (n % 3 && n % 5)
                made->bytes[n / 30] &= mask(n);
    return true;
}

static bool
make_patterns(sieve *s, const bool *prime)
{
    size_t low = 6, high = PATTERN_PRIME + 1;

    for (int k = 0; k < PATTERNS; k++) {
        while (!prime[++low])
            continue;
        while (!prime[--high])
            continue;
        if (!make_pattern(&s->patterns[k], low, high))
            return false;
    }
    return true;
}

static void
make_steps(sieve *s)
{
    for (unsigned row = 0; row < 64; row++) {
        unsigned r = SIEVE_WHEEL[row / 8], k = row % 8, w = SIEVE_WHEEL[k];
        unsigned next = k < 7 ? SIEVE_WHEEL[k + 1] : 31;

        s->steps[row] = (step){.mask = mask(r * w),
                               .gap = (uint8_t)(next - w),
                               .more = (uint8_t)(r * next / 30 - r * w / 30),
                               .row = (uint8_t)(row - k + (k + 1) % 8)};
    }
}

/* Fills the lists with the primes up to `root`, or, where there is no memory
 * yet, counts what they will hold. */
static void
fill_lists(sieve *s, const bool *prime, size_t root, size_t margin)
{
    for (unsigned k = 0; k < 8; k++)
        s->cyclers[k].count = s->cyclers[k].in_blocks = 0;
    s->stepper_count = 0;
    for (size_t p = PATTERN_PRIME + 1; p <= root; p++) {
        unsigned class = wheel_index(p);
        cyclers *list = &s->cyclers[class];

        if (!prime[p])
            continue;
        if (p > margin) {
            if (s->steppers)
                s->steppers[s->stepper_count] =
                    (stepper){.q = (uint32_t)(p / 30), .row = (class * 8) & 63};
            s->stepper_count++;
        } else {
            if (list->primes)
                list->primes[list->count].q = (uint32_t)(p / 30);
            list->count++;
            list->in_blocks += p <= BLOCK_PRIME;
        }
    }
}

static bool
make_lists(sieve *s, const bool *prime, size_t root, size_t margin)
{
    fill_lists(s, prime, root, margin);
    for (unsigned k = 0; k < 8; k++) {
        cyclers *list = &s->cyclers[k];

        list->primes = calloc(list->count + 1, sizeof *list->primes);
        if (!list->primes)
            return false;
    }
    s->steppers = calloc(s->stepper_count + 1, sizeof *s->steppers);
    if (!s->steppers)
        return false;
    fill_lists(s, prime, root, margin);
    return true;
}

sieve *
sieve_create(uint64_t limit, size_t bytes)
{
    sieve *s = calloc(1, sizeof *s);
    size_t root = square_root(limit), margin;
    bool *prime = find_primes(most(root, PATTERN_PRIME)), made;

    if (!s || !prime) {
        free(s);
        free(prime);
        return NULL;
    }
    s->limit = limit;
    s->end = limit / 30 + 1;
    s->size = bytes > 0 ? bytes : best_size();
    margin = s->size / 4;
    s->memory = aligned_alloc(64, s->size + 2 * margin);
    s->segment = s->memory ? s->memory + margin : NULL;
    make_steps(s);
    made = s->memory && make_patterns(s, prime) &&
           make_lists(s, prime, root, margin);
    free(prime);
    if (made)
        return s;
    sieve_destroy(s);
    return NULL;
}

void
sieve_destroy(sieve *s)
{
    if (!s)
        return;
    for (unsigned k = 0; k < 8; k++)
        free(s->cyclers[k].primes);
    for (int k = 0; k < PATTERNS; k++)
        free(s->patterns[k].bytes);
    free(s->steppers);
    free(s->memory);
    free(s);
}
