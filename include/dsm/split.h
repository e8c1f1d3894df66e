/* Splitting 0 .. n-1 among parts.
 *
 * Pure functions: thread-safe, fork-safe, no cluster needed.
 */
#ifndef DSM_SPLIT_H
#define DSM_SPLIT_H

#include <dsm/attributes.h>

#include <stddef.h>
#include <stdint.h>

DSM_BEGIN_DECLS

/* The half-open range begin .. end-1. */
typedef struct dsm_range {
    size_t begin, end;
} dsm_range;

typedef enum dsm_split_kind {
    DSM_SPLIT_BLOCK = 0, /* contiguous, as dsm_split() */
    DSM_SPLIT_CYCLIC,    /* index, index + parts, index + 2 parts, … */
    DSM_SPLIT_RANDOM     /* a seeded permutation, cut as dsm_split() does */
} dsm_split_kind;

/* Part `index` of 0 .. n-1 cut into `parts` contiguous ranges whose sizes
 * differ by at most one, the larger ones first.  Empty ({0, 0}) when parts is
 * 0 or index >= parts. */
DSM_API dsm_range dsm_split(size_t n, unsigned parts, unsigned index);

/* Writes the indices of part `index`, cut in the way of `kind`, to `indices`,
 * which has room for the length of dsm_split(n, parts, index); returns how
 * many it wrote.  The parts are disjoint and together cover 0 .. n-1.  `seed`
 * matters to DSM_SPLIT_RANDOM alone: the same seed gives the same split on
 * every machine. */
DSM_API size_t dsm_split_indices(size_t *indices, size_t n, unsigned parts,
                                 unsigned index, dsm_split_kind kind,
                                 uint64_t seed);

/* Element i of a seeded permutation of 0 .. n-1, computed in O(1) time and
 * memory, i < n; returns n when i >= n.  A Feistel network over the next power
 * of two, walked until it lands below n (Black and Rogaway 2002, "Ciphers with
 * arbitrary finite domains").  For many elements in turn dsm_split_indices() is
 * several times as fast. */
DSM_API size_t dsm_split_random(size_t i, size_t n, uint64_t seed);

DSM_END_DECLS

#endif
