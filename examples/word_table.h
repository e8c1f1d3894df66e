/* Counts words in a hash table.
 *
 * A word is a run of the letters A-Z and a-z, of any length, and is counted in
 * lower case.  Its text is kept as pieces of eight letters, the last one filled
 * up with zeros, so that a word is read, hashed and compared by eight letters
 * at a time.
 */
#ifndef EXAMPLES_WORD_TABLE_H
#define EXAMPLES_WORD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef union word_piece {
    uint64_t bits;
    char letters[8];
} word_piece;

typedef struct word {
    const word_piece *text;
    uint32_t pieces;
    uint32_t hash;
    uint64_t count;
} word;

typedef struct word_table word_table;

/* NULL: no memory. */
word_table *word_table_create(void);
void word_table_free(word_table *table);

/* Counts the words of text[0..size-1] that begin in begin .. end-1; one that
 * began before that is not counted.  False: no memory, or a word of more than
 * 2^34 letters. */
bool word_table_read(word_table *table, const char *text, size_t size,
                     size_t begin, size_t end);

/* Adds w->count to the word's; its text stays where it is.  False: no
 * memory. */
bool word_table_add(word_table *table, const word *w);

/* How many different words there are. */
size_t word_table_size(const word_table *table);

/* Writes the words to `words`, which has room for them, in no order. */
void word_table_list(const word_table *table, word *words);

/* By the alphabet; <, = or > 0. */
int word_compare(const word *a, const word *b);

/* How many letters it has. */
size_t word_length(const word *w);

#endif
