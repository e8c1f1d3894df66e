/* The reserved address space of a cluster: the same addresses in every process.
 *
 * Reserved with PROT_NONE before the first fork; segments are mapped into it
 * with MAP_FIXED.  Nothing inside is ever unmapped while the cluster lives, or
 * a stranger's mapping would land there: what goes is overlaid. */
#ifndef DSM_SHM_SPACE_H
#define DSM_SHM_SPACE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct dsm__space {
    char *base;
    size_t size;
    _Atomic uint64_t *populated; /* a bit for each 64 KiB; NULL: none yet */
};

/* Reserves `size` bytes, or half as often as it takes to fit.  `seed` chooses
 * where to try first, so that clusters of different names seldom want the same
 * place. */
int dsm__space_reserve(struct dsm__space *space, size_t size, uint64_t seed);

/* Reserves exactly these addresses.  -EADDRNOTAVAIL when they are taken. */
int dsm__space_reserve_at(struct dsm__space *space, char *base, size_t size);

/* Maps a segment's first `bytes` at base + offset. */
int dsm__space_map(const struct dsm__space *space, size_t offset, size_t bytes,
                   int fd);

/* Takes a mapping away, keeping its addresses. */
int dsm__space_hide(const struct dsm__space *space, size_t offset,
                    size_t bytes);

/* Fills this process's page table for a range of a mapped segment, where that
 * was not done before: one call for a long range costs a quarter of the page
 * faults.  It does not matter whether it works. */
void dsm__space_populate(struct dsm__space *space, const void *from,
                         size_t bytes);

/* Gives all of it back. */
void dsm__space_release(struct dsm__space *space);

#endif
