/* Counts the words of a text with a cluster: map and reduce.
 */
#ifndef EXAMPLES_WORD_COUNTER_H
#define EXAMPLES_WORD_COUNTER_H

#include "text_files.h"
#include "word_table.h"

#include <dsm.h>

/* Words in order, in shared memory. */
typedef struct word_list {
    const word *next, *end;
} word_list;

typedef struct word_counts {
    uint64_t words;   /* all */
    size_t different; /* of them */
    size_t top;       /* most frequent first; 0: by the alphabet */
    size_t left;      /* to be read */
    word_list *heap;  /* of lists by their next words, none empty */
    unsigned lists;
} word_counts;

typedef struct word_counter_options {
    size_t top; /* 0: all words */
    /* Called every tenth of a second with the bytes that were counted. */
    void (*show)(size_t done, size_t size);
} word_counter_options;

/* Counts.  0, or what dsm_cluster_run returns, and dsm_last_error tells.  The
 * counts last as long as the cluster, which can count once. */
int word_counter_run(word_counts *counts, dsm_cluster *cluster,
                     const text_files *files,
                     const word_counter_options *options);

/* The next word: by the alphabet, or with options.top the most frequent ones.
 * NULL: there is no more. */
const word *word_counts_next(word_counts *counts);

void word_counts_free(word_counts *counts);

#endif
