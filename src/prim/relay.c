/* Passing prefixes on; see relay.h.
 *
 * A place's word is the number of its block and one, 0 while it is empty.  It
 * is written with release order behind the prefix, and read with acquire order
 * before it.  Whoever interrupts a region sets the highest bit in all words, so
 * that those who wait look up; perhaps too late, in the next region, where it
 * means nothing. */
#include "prim/relay.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/outcome.h"
#include "sync/wait.h"

#include <dsm/error.h>

#include <string.h>

static void *
place_of(const struct dsm__relay *relay, unsigned worker)
{
    return relay->size <= DSM__RELAYED_MAX
               ? dsm__worker_slot(relay->self->control, worker)->relayed
               : relay->large + worker * relay->stride;
}

int
dsm__relay_open(struct dsm__relay *relay, dsm_worker *self, size_t size,
                char *large, size_t stride)
{
    *relay = (struct dsm__relay){self, size, large, stride};
    /* The barrier orders both.  Who was killed asleep is forgotten. */
    atomic_store_explicit(&self->slot->relay.word, 0, memory_order_relaxed);
    atomic_store_explicit(&self->slot->relay.sleeping, 0, memory_order_relaxed);
    return dsm_worker_barrier(self);
}

int
dsm__relay_take(const struct dsm__relay *relay, size_t block, void *prefix)
{
    struct dsm__control *control = relay->self->control;
    unsigned from = (unsigned)((block - 1) % relay->self->count);
    struct dsm__event *event = &dsm__worker_slot(control, from)->relay;
    uint32_t wanted = (uint32_t)block, seen;
    int error;

    DSM__POINT("relay.take");
    while (((seen = atomic_load_explicit(&event->word, memory_order_acquire)) &
            ~DSM__RELAY_BROKEN) != wanted) {
        if (dsm__region_interrupted(control))
            return dsm__fail(DSM_EBROKEN, "the block before block %zu was lost",
                             block);
        error = dsm__wait(control, &event->word, seen, &event->sleeping,
                          DSM__NO_DEADLINE);
        if (error < 0)
            return error;
    }
    memcpy(prefix, place_of(relay, from), relay->size);
    return 0;
}

void
dsm__relay_give(const struct dsm__relay *relay, size_t block,
                const void *prefix)
{
    struct dsm__event *event = &relay->self->slot->relay;

    DSM__POINT("relay.give");
    memcpy(place_of(relay, relay->self->id), prefix, relay->size);
    /* seq_cst: see dsm__wake. */
    atomic_store_explicit(&event->word, (uint32_t)(block + 1),
                          memory_order_seq_cst);
    dsm__wake(&event->word, &event->sleeping);
}
