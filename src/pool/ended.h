/* Telling a program that jobs of its have ended. */
#ifndef DSM_POOL_ENDED_H
#define DSM_POOL_ENDED_H

#include "pool/pool.h"

/* An entry that has been read out of turn, or that nobody will fill. */
#define DSM__ENTRY_VOID UINT64_MAX

/* What is in the place of entry number `at` until somebody fills it: no entry,
 * and another each time round the ring.  A writer that is late, whose place was
 * made void and read meanwhile, does not take it for empty.  At first it is 0,
 * as new memory is. */
static inline uint64_t
dsm__ended_empty(const struct dsm__control *control, uint64_t at)
{
    /* Its length is a power of 2; a damaged one may be 0. */
    uint64_t length = 2 * control->pool.ring | UINT64_C(1) << 63;
    uint32_t round = (uint32_t)(at >> __builtin_ctzll(length));

    return (uint64_t)round << 32 | (round ? UINT64_C(1) << 31 : 0);
}

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
 * seq_cst: behind the word of a job that has ended; it sets these and then
 * looks at such words (dsm__ledger_look). */
static inline bool
dsm__ended_awaited(const struct dsm__board *board, uint32_t more)
{
    uint64_t wake_at =
        atomic_load_explicit(&board->wake_at, memory_order_seq_cst);

    if (atomic_load_explicit(&board->armed, memory_order_seq_cst))
        return true;
    return wake_at != UINT64_MAX &&
           atomic_load_explicit(&board->ended_tail, memory_order_relaxed) +
                   more >=
               wake_at;
}

/* Rings the program's bell if it is armed (bell.h). */
void dsm__board_ring(struct dsm__control *control, unsigned program);

#endif
