/* All primes as text, made by the workers and written in order. */
#ifndef EXAMPLES_PRIMES_LIST_H
#define EXAMPLES_PRIMES_LIST_H

#include "sieve.h"

#include <dsm.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of a segment, for a sieve that makes a list. */
#define PRIMES_LIST_SEGMENT (64 << 10)

/* Writes the primes up to `limit`, one in a line.  `s` was there before the
 * cluster.  `show`, if not NULL, is called after each of `all` equal parts.  0;
 * -errno, with ferror(out), when it cannot be written; the library's codes,
 * then a region may still run. */
DSM_CHECKED int primes_list(FILE *out, dsm_cluster *cluster, sieve *s,
                            uint64_t limit,
                            void (*show)(size_t done, size_t all));

#endif
