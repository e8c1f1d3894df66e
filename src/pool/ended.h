/* Telling a program that jobs of its have ended. */
#ifndef DSM_POOL_ENDED_H
#define DSM_POOL_ENDED_H

#include "pool/pool.h"

/* An entry that has been read out of turn, or that nobody will fill. */
#define DSM__ENTRY_VOID UINT64_MAX

/* Puts entries of jobs into the program's ring `ended`: jobs that have ended,
 * or have a provisional result.  `slot` is the worker's that does so; NULL: the
 * supervisor's.  `wake`: the program waits for one of just these. */
void dsm__ended_push(struct dsm__control *control, unsigned program,
                     struct dsm__worker_slot *slot, const uint64_t *entries,
                     uint32_t n, bool wake);

/* What a dead worker had begun to fill, nobody will (supervisor). */
void dsm__ended_mend(struct dsm__control *control, unsigned program,
                     struct dsm__worker_slot *slot);

/* Whether the program waits for `more` entries, which are to be put there now.
 */
static inline bool
dsm__ended_awaited(const struct dsm__board *board, uint32_t more)
{
    if (atomic_load_explicit(&board->armed, memory_order_relaxed))
        return true;
    return atomic_load_explicit(&board->ended.sleeping, memory_order_seq_cst) !=
               0 &&
           atomic_load_explicit(&board->ended_tail, memory_order_relaxed) +
                   more >=
               atomic_load_explicit(&board->wake_at, memory_order_seq_cst);
}

/* Rings the program's bell if it is armed (bell.h). */
void dsm__board_ring(struct dsm__control *control, unsigned program);

#endif
