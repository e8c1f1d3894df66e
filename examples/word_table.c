/* Words are read in batches and then looked up in uthash's table, whose memory
 * is fetched while the batch is read: in a large text most of the time goes by
 * waiting for that.
 */
#include "word_table.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* What uthash takes from its user: how keys differ, and that it may go on when
 * there is no memory. */
#define HASH_KEYCMP(a, b, pieces) (!same_text(a, b, pieces))
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
/* Chains of ten, uthash's own choice, are too long for a table that is mainly
 * searched. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 7U

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* uthash counts a key's pieces with 32 bits. */
#define PIECES_MAX (UINT32_C(1) << 31)

enum {
    BLOCK = 1 << 20, /* bytes of memory, unless a word needs more */
    BATCH = 64,      /* words */
    RECENT = 1 << 17
};

typedef struct entry {
    UT_hash_handle hh; /* has the hash, the text and its pieces */
    uint64_t count;
    word_piece text[]; /* if it was read here */
} entry;

typedef struct block {
    struct block *next;
    max_align_t data[];
} block;

struct word_table {
    entry *entries; /* uthash's head */
    block *blocks;
    char *free, *end; /* of the first block */

    /* The batch: words and, one after the other, their texts. */
    struct {
        uint32_t pieces, hash;
    } batch[BATCH];
    unsigned words;
    word_piece *texts;
    size_t used, room;

    /* The last entry that was found in each class of hashes.  In uthash's
     * chains the frequent words, which came early, lie behind rare ones. */
    entry *recent[RECENT];
};

static inline bool
same_text(const word_piece *a, const word_piece *b, size_t pieces)
{
    for (size_t k = 0; k < pieces; k++)
        if (a[k].bits != b[k].bits)
            return false;
    return true;
}

/* The top bit of each of eight bytes that is no letter. */
static inline uint64_t
others(uint64_t bytes)
{
    uint64_t low = (bytes | EACH_BYTE(0x20)) & EACH_BYTE(0x7f);
    uint64_t from_a = low + EACH_BYTE(0x80 - 'a');
    uint64_t beyond_z = low + EACH_BYTE(0x7f - 'z');

    return (~from_a | beyond_z | bytes) & EACH_BYTE(0x80);
}

/* Eight bytes, the first one lowest; zeros for those behind the end. */
static inline uint64_t
load(const char *p, const char *end)
{
    uint64_t bytes = 0;

    if (end - p >= 8)
        memcpy(&bytes, p, 8);
    else
        memcpy(&bytes, p, (size_t)(end - p));
    return le64toh(bytes);
}

/* Multiplies to 128 bits and folds them (as wyhash does, by Wang Yi). */
static inline uint64_t
mix(uint64_t hash, uint64_t piece)
{
    unsigned __int128 product =
        (unsigned __int128)(hash ^ piece ^ UINT64_C(0x2d358dccaa6c78a5)) *
        UINT64_C(0x8bb84b93962eacc9);

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void *
allocate(word_table *table, size_t size)
{
    size_t bytes = sizeof(block) + (size > BLOCK ? size : BLOCK);
    block *b;
    char *memory;

    if ((size_t)(table->end - table->free) < size) {
        b = malloc(bytes);
        if (!b)
            return NULL;
        b->next = table->blocks;
        table->blocks = b;
        table->free = (char *)b->data;
        table->end = (char *)b + bytes;
    }
    memory = table->free;
    table->free += size;
    return memory;
}

static inline entry **
recent(word_table *table, uint32_t hash)
{
    return &table->recent[hash / (UINT32_MAX / RECENT + 1)];
}

static inline entry *
find(word_table *table, const word_piece *text, uint32_t pieces, uint32_t hash)
{
    entry **last = recent(table, hash), *e = *last;

    if (e && e->hh.hashv == hash && e->hh.keylen == pieces &&
        same_text(e->hh.key, text, pieces))
        return e;
    HASH_FIND_BYHASHVALUE(hh, table->entries, text, pieces, hash, e);
    if (e)
        *last = e;
    return e;
}

static bool
insert(word_table *table, const word *w, bool copy)
{
    size_t size = w->pieces * sizeof(word_piece);
    entry *e = allocate(table, sizeof *e + (copy ? size : 0));
    const word_piece *text = w->text;

    if (!e)
        return false;
    e->count = w->count;
    if (copy)
        text = memcpy(e->text, text, size);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, table->entries, text, w->pieces, w->hash,
                                e);
    return e->hh.tbl != NULL;
}

static bool
count_batch(word_table *table)
{
    const word_piece *text = table->texts;

    for (unsigned k = 0; k < table->words; k++) {
        const entry *e = *recent(table, table->batch[k].hash);

        if (e) {
            __builtin_prefetch(&e->hh.key);
            __builtin_prefetch(e->text);
        }
    }
    for (unsigned k = 0; k < table->words; k++) {
        uint32_t pieces = table->batch[k].pieces, hash = table->batch[k].hash;
        entry *e = find(table, text, pieces, hash);

        if (e)
            e->count++;
        else if (!insert(table, &(word){text, pieces, hash, 1}, true))
            return false;
        text += pieces;
    }
    table->words = 0;
    table->used = 0;
    return true;
}

/* Makes room for the text of another word of the batch. */
static bool
grow(word_table *table, size_t pieces)
{
    size_t room = 2 * table->room + pieces;
    word_piece *texts = realloc(table->texts, room * sizeof *texts);

    if (!texts)
        return false;
    table->texts = texts;
    table->room = room;
    return true;
}

static inline bool
count_word(word_table *table, const char *p, size_t length, const char *end)
{
    size_t pieces = (length + 7) / 8;
    uint64_t hash = 0;
    word_piece *text;

    if (pieces > PIECES_MAX ||
        (pieces > table->room - table->used && !grow(table, pieces)))
        return false;
    text = &table->texts[table->used];
    table->used += pieces;
    for (size_t k = 0; k < pieces; k++, p += 8) {
        uint64_t piece = load(p, end) | EACH_BYTE(0x20);

        if (k == pieces - 1)
            piece &= UINT64_MAX >> -length % 8 * 8;
        text[k].bits = htole64(piece);
        hash = mix(hash, piece);
    }
    table->batch[table->words].pieces = (uint32_t)pieces;
    table->batch[table->words].hash = (uint32_t)hash;
    __builtin_prefetch(recent(table, (uint32_t)hash));
    return ++table->words < BATCH || count_batch(table);
}

word_table *
word_table_create(void)
{
    return calloc(1, sizeof(word_table));
}

void
word_table_free(word_table *table)
{
    if (!table)
        return;
    HASH_CLEAR(hh, table->entries);
    for (block *b = table->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(table->texts);
    free(table);
}

/* Bit k: whether p[k] is a letter, for 64 bytes. */
static inline uint64_t
letters(const char *p, const char *end)
{
    char last[64] = {0};
    uint64_t bits = 0;

    if (end - p < 64)
        p = memcpy(last, p, (size_t)(end - p));
    for (unsigned k = 0; k < 64; k += 8) {
        uint64_t bytes = load(p + k, p + 64);
        uint64_t ones = (others(bytes) ^ EACH_BYTE(0x80)) >> 7;

        /* The product has the eight in its top byte. */
        bits |= ones * UINT64_C(0x0102040810204080) >> 56 << k;
    }
    return bits;
}

/* How many letters there are from p on. */
static size_t
count_letters(const char *p, const char *end)
{
    for (const char *begin = p;; p += 64) {
        uint64_t bits = p < end ? letters(p, end) : 0;

        if (~bits)
            return (size_t)(p - begin) + (size_t)__builtin_ctzll(~bits);
    }
}

bool
word_table_read(word_table *table, const char *text, size_t size, size_t begin,
                size_t end)
{
    const char *p = text + begin, *stop = text + end, *last = text + size;

    if (begin > 0 && count_letters(p - 1, p))
        p += count_letters(p, stop);
    while (p < stop) {
        const char *next = p + 64;

        /* A sum clears the lowest run of bits, a word. */
        for (uint64_t bits = letters(p, last); bits;
             bits &= bits + (bits & -bits)) {
            int skip = __builtin_ctzll(bits);
            uint64_t other = ~(bits >> skip);
            size_t length = other ? (size_t)__builtin_ctzll(other) : 64;
            const char *w = p + skip;

            if (w >= stop)
                break;
            if (w + length == p + 64) {
                length += count_letters(p + 64, last);
                next = w + length;
            }
            if (!count_word(table, w, length, last))
                return false;
        }
        p = next;
    }
    return count_batch(table);
}

bool
word_table_add(word_table *table, const word *w)
{
    entry *e = find(table, w->text, w->pieces, w->hash);

    if (e) {
        e->count += w->count;
        return true;
    }
    return insert(table, w, false);
}

size_t
word_table_size(const word_table *table)
{
    return HASH_COUNT(table->entries);
}

void
word_table_list(const word_table *table, word *words)
{
    for (const entry *e = table->entries; e; e = e->hh.next)
        *words++ = (word){.text = e->hh.key,
                          .pieces = e->hh.keylen,
                          .hash = e->hh.hashv,
                          .count = e->count};
}

int
word_compare(const word *a, const word *b)
{
    uint32_t common = a->pieces < b->pieces ? a->pieces : b->pieces;

    for (uint32_t k = 0; k < common; k++) {
        uint64_t x = be64toh(a->text[k].bits), y = be64toh(b->text[k].bits);

        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a->pieces > b->pieces) - (a->pieces < b->pieces);
}

size_t
word_length(const word *w)
{
    const word_piece *last = &w->text[w->pieces - 1];

    return (size_t)(w->pieces - 1) * sizeof *last +
           strnlen(last->letters, sizeof *last);
}
