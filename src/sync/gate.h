/* Gates: barriers that break when a party is lost, for regions and for named
 * barriers.
 *
 * One 64-bit word holds all, so that an arrival is one atomic addition:
 *
 *   - bits 33 to 63: the generation, which rises as a round completes or a
 *     broken gate is mended
 *   - bit 32: broken
 *   - bits 16 to 31: how often it was mended
 *   - bits 0 to 15: arrivals of this round
 *
 * The upper half is the futex word.  The arrival that makes the round complete
 * adds what takes the count back to zero and the generation up by one; further
 * arrivals in between count for the next round.  A waiter whose generation is
 * over was let through if the gate was not mended meanwhile, and else tells
 * that it broke: mending never swallows a break. */
#ifndef DSM_SYNC_GATE_H
#define DSM_SYNC_GATE_H

#include "registry/control.h"

void dsm__gate_init(struct dsm__gate *gate, uint32_t parties);

/* Arrives and waits for the others.  0; 1 for the one that came last;
 * DSM_EBROKEN; DSM_ESTALE.  *waited_ticks grows by the time of a long wait,
 * which a trace shows with the name, unless that is NULL.
 * `hopeless`, if not NULL, is asked before each sleep whether the round can
 * never complete; then the gate breaks. */
int dsm__gate_wait(struct dsm__control *control, struct dsm__gate *gate,
                   const char *name, uint64_t *waited_ticks,
                   bool (*hopeless)(const struct dsm__control *control));

/* Breaks it: all who wait or arrive until it is mended get DSM_EBROKEN. */
void dsm__gate_break(struct dsm__gate *gate);

/* Makes it whole again if it is broken; `even_whole`: whatever it is, those who
 * wait now get DSM_EBROKEN. */
void dsm__gate_mend(struct dsm__gate *gate, bool even_whole);

/* Whether it is whole and nobody waits at it. */
bool dsm__gate_at_rest(const struct dsm__gate *gate);

/* Whether it is whole and someone waits at it. */
bool dsm__gate_waited_at(const struct dsm__gate *gate);

#endif
