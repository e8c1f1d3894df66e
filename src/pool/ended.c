/* The rings of ended jobs; see ended.h.
 *
 * Many write and one reads.  A writer first moves the tail and then fills its
 * places, which are empty until then.  Should it die or be stopped in between,
 * the reader passes the gap over and comes back to it; a dead one's gap is made
 * void by the supervisor, who knows from `filling` where it may be.  It may
 * take another's place for it, who then finds it void, or read and empty for
 * the next time round, and takes a new one: nothing but the place is lost.
 * tests/model/ended.pml is its model. */
#include "pool/ended.h"

#include "base/point.h"
#include "pool/bell.h"
#include "sync/wait.h"

/* Fills places from `at` on; leaves in entries[] those whose place was not
 * empty any more, and returns how many. */
static uint32_t
fill(struct dsm__control *control, unsigned program, uint64_t at,
     uint64_t *entries, uint32_t n)
{
    uint32_t left = 0;

    for (uint32_t k = 0; k < n; k++) {
        uint64_t empty = dsm__ended_empty(control, at + k);

        /* Release: the job's result. */
        if (!atomic_compare_exchange_strong_explicit(
                dsm__ended_entry(control, program, at + k), &empty, entries[k],
                memory_order_release, memory_order_relaxed))
            entries[left++] = entries[k];
    }
    return left;
}

void
dsm__board_ring(struct dsm__control *control, unsigned program)
{
    struct dsm__board *board = dsm__board(control, program);
    uint32_t armed = atomic_load_explicit(&board->armed, memory_order_seq_cst);

    if (!armed)
        return;
    DSM__POINT("bell.ring");
    /* Who dies before it has rung, or cannot, leaves that to the next.  If it
     * is armed again meanwhile it stays so. */
    if (dsm__bell_ring(control->name, program))
        (void)atomic_compare_exchange_strong(&board->armed, &armed, 0);
}

static void
tell(struct dsm__control *control, unsigned program, uint64_t end, bool wake)
{
    struct dsm__board *board = dsm__board(control, program);

    if (wake ||
        end >= atomic_load_explicit(&board->wake_at, memory_order_seq_cst))
        dsm__signal(&board->ended, INT_MAX);
    dsm__board_ring(control, program);
}

/* Whether there is no place before `end`; not so for a tail that was read long
 * ago and is behind the head by now.  With a head that was damaged it is never
 * so: then the ring is full when all its places have been tried. */
static bool
is_full(const struct dsm__control *control, const struct dsm__board *board,
        uint64_t end, uint64_t tried)
{
    uint64_t head =
        atomic_load_explicit(&board->ended_head, memory_order_acquire);

    return (int64_t)(end - head) > (int64_t)(2 * control->pool.ring) ||
           tried > 2 * control->pool.ring;
}

void
dsm__ended_push(struct dsm__control *control, unsigned program,
                struct dsm__worker_slot *slot, const uint64_t *given,
                uint32_t n, bool wake)
{
    struct dsm__board *board = dsm__board(control, program);
    uint64_t entries[DSM__BLOCK_MAX], tail, end = 0, tried = 0;

    for (uint32_t k = 0; k < n; k++)
        entries[k] = given[k];
    tail = atomic_load_explicit(&board->ended_tail, memory_order_relaxed);
    while (n > 0) {
        if (is_full(control, board, tail + n, tried)) {
            atomic_store_explicit(&board->overflow, 1, memory_order_seq_cst);
            wake = true;
            break;
        }
        if (slot)
            atomic_store_explicit(&slot->filling, tail + 1,
                                  memory_order_relaxed);
        DSM__POINT("job.tell");
        if (!atomic_compare_exchange_weak_explicit(
                &board->ended_tail, &tail, tail + n, memory_order_seq_cst,
                memory_order_relaxed))
            continue;
        DSM__POINT("job.telling");
        end = tail + n;
        tried += n;
        n = fill(control, program, tail, entries, n);
        tail = end;
    }
    if (slot)
        atomic_store_explicit(&slot->filling, 0, memory_order_release);
    /* seq_cst: the entries, before it is seen whether somebody sleeps. */
    atomic_thread_fence(memory_order_seq_cst);
    tell(control, program, end, wake);
}

void
dsm__ended_mend(struct dsm__control *control, unsigned program,
                struct dsm__worker_slot *slot)
{
    struct dsm__board *board = dsm__board(control, program);
    uint64_t at = atomic_load(&slot->filling);
    uint64_t head = atomic_load(&board->ended_head);

    if (at == 0)
        return;
    for (uint64_t k = at - 1; k < at - 1 + DSM__BLOCK_MAX; k++) {
        uint64_t empty = dsm__ended_empty(control, k);

        if (k >= head && k - head < 2 * control->pool.ring)
            atomic_compare_exchange_strong(
                dsm__ended_entry(control, program, k), &empty, DSM__ENTRY_VOID);
    }
    atomic_store(&slot->filling, 0);
    /* Whoever waits for the gap to be filled is to look. */
    dsm__signal(&board->ended, INT_MAX);
}
