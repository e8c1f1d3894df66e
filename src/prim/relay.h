/* The relay: how a prefix passes from block to block, and with the blocks from
 * worker to worker.
 *
 * Blocks go round: worker w of P has blocks w, w + P, w + 2P and so on.  Each
 * worker has one place for what comes behind its latest block.  That is enough:
 * the owner of block i reads the place of block i - 1 before it can fill its
 * own, so by the time a place is filled again its reader is done with it. */
#ifndef DSM_PRIM_RELAY_H
#define DSM_PRIM_RELAY_H

#include "cluster/cluster.h"

/* One call's relay, in one worker. */
struct dsm__relay {
    dsm_worker *self;
    size_t size; /* of a prefix */
    char *large; /* places beyond DSM__RELAYED_MAX bytes, `stride` apart */
    size_t stride;
};

/* Makes all places empty.  Every worker calls it; 0 or DSM_EBROKEN. */
int dsm__relay_open(struct dsm__relay *relay, dsm_worker *self, size_t size,
                    char *large, size_t stride);

/* Waits for what comes before block `block`, which is not 0.  DSM_EBROKEN when
 * a worker was lost, DSM_ESTALE. */
int dsm__relay_take(const struct dsm__relay *relay, size_t block, void *prefix);

/* Passes on what comes behind this worker's block. */
void dsm__relay_give(const struct dsm__relay *relay, size_t block,
                     const void *prefix);

#endif
