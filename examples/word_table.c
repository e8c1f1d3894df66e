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
    RECENT = 1 << 15
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
     * chains frequent words, which came early, lie behind rare ones. */
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

static inline size_t
letters_before(uint64_t other)
{
    return other ? (size_t)__builtin_ctzll(other) / 8 : 8;
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

static bool
grow(word_table *table)
{
    size_t room = 2 * table->room + BATCH;
    word_piece *texts = realloc(table->texts, room * sizeof *texts);

    if (!texts || room > UINT32_MAX)
        return false;
    table->texts = texts;
    table->room = room;
    return true;
}

/* Counts the word that begins at p; returns where it ends, or NULL. */
static const char *
read_word(word_table *table, const char *p, const char *end)
{
    size_t first = table->used, length;
    uint64_t hash = 0;

    do {
        uint64_t bytes = load(p, end), other = others(bytes);
        /* Ones below the first other byte; all if there is none. */
        uint64_t mask = ((other & -other) >> 7) - 1;
        uint64_t piece = (bytes | EACH_BYTE(0x20)) & mask;

        if (!mask)
            break;
        if (table->used == table->room && !grow(table))
            return NULL;
        table->texts[table->used++].bits = htole64(piece);
        hash = mix(hash, piece);
        length = letters_before(other);
        p += length;
    } while (length == 8);
    table->batch[table->words].pieces = (uint32_t)(table->used - first);
    table->batch[table->words].hash = (uint32_t)hash;
    __builtin_prefetch(recent(table, (uint32_t)hash));
    if (++table->words == BATCH && !count_batch(table))
        return NULL;
    return p;
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

bool
word_table_read(word_table *table, const char *text, size_t size, size_t begin,
                size_t end)
{
    const char *p = text + begin, *stop = text + end;

    if (begin > 0 && letters_before(others((unsigned char)p[-1])) > 0)
        while (p < stop && letters_before(others((unsigned char)*p)) > 0)
            p++;
    while (p < stop) {
        if (letters_before(others((unsigned char)*p)) == 0)
            p++;
        else if (!(p = read_word(table, p, text + size)))
            return false;
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
