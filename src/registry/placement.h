/* Where objects lie: slots in the table, rings in the arena, arrays in the
 * reserved addresses.  All under the registry's lock. */
#ifndef DSM_REGISTRY_PLACEMENT_H
#define DSM_REGISTRY_PLACEMENT_H

#include "registry/object.h"

/* Makes the table have memory for `slots` slots.  -ENOSPC. */
int dsm__table_grow(struct dsm__member *member, uint64_t slots);

/* Frees the slot if it was destroyed and no process can have it mapped any
 * more; whether it is free now. */
bool dsm__reclaim(struct dsm__control *control, struct dsm__object *object);

/* Finds room for `extent` bytes of `kind`: arrays in the reserved addresses
 * (-ENOMEM), others in the arena, with memory for it (-ENOSPC). */
int dsm__place(uint64_t *place, struct dsm__member *member,
               dsm_object_kind kind, uint64_t extent, uint64_t alignment);

#endif
