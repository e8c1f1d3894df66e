/* Finding room for objects; see placement.h.  There is no list of free places:
 * they follow from the live objects, so nothing can be lost when a process dies
 * in the middle.  Only when all room beyond the highest place was used up, the
 * gaps are looked for. */
#include "registry/placement.h"

#include "base/error.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdlib.h>

#define TABLE_STEP ((uint64_t)64 * sizeof(union dsm__slot))
#define ARENA_STEP ((uint64_t)256 << 10)

/* Allocates memory of the control segment up to `end`, in steps, but nothing
 * beyond `limit`. */
static int
grow(struct dsm__member *member, uint64_t *have, uint64_t end, uint64_t step,
     uint64_t limit, const char *what)
{
    uint64_t bytes;
    int error;

    if (end <= *have)
        return 0;
    bytes = (end - *have + step - 1) / step * step;
    if (bytes > limit - *have)
        bytes = limit - *have;
    error = dsm__segment_allocate(member->fd, DSM__SHM_DIRECTORY "/", *have,
                                  bytes, what);
    if (!error)
        *have += bytes;
    return error;
}

int
dsm__table_grow(struct dsm__member *member, uint64_t slots)
{
    struct dsm__control *control = member->control;

    if (slots > control->objects_max)
        return dsm__fail(-ENOSPC, "cluster '%s' has its %llu objects already",
                         control->name,
                         (unsigned long long)control->objects_max);
    return grow(member, &control->table_end,
                control->objects_offset + slots * sizeof(union dsm__slot),
                TABLE_STEP, control->arena_offset, "the table of objects");
}

/* Whether a process that has seen `seen` cannot have the object mapped. */
static bool
unmapped_at(uint64_t seen, const struct dsm__object *object)
{
    return seen >= object->died || seen < object->born;
}

bool
dsm__reclaim(struct dsm__control *control, struct dsm__object *object)
{
    bool passed = unmapped_at(control->controller_seen, object);

    if (object->state == DSM__FREE)
        return true;
    if (object->state != DSM__GONE)
        return false;
    for (unsigned w = control->first; passed && w < control->workers; w++)
        passed = unmapped_at(dsm__worker_slot(control, w)->seen, object);
    for (unsigned k = 0; passed && k < DSM__CLIENTS_MAX; k++)
        passed = !control->clients[k].used ||
                 unmapped_at(control->clients[k].seen, object);
    if (passed)
        object->state = DSM__FREE;
    return passed;
}

struct extent {
    uint64_t begin, end;
};

static int
by_begin(const void *a, const void *b)
{
    uint64_t x = ((const struct extent *)a)->begin;
    uint64_t y = ((const struct extent *)b)->begin;

    return (x > y) - (x < y);
}

/* The lowest gap between begin and end that holds `extent`; 0 if none does. */
static uint64_t
find_gap(struct dsm__control *control, dsm_object_kind kind, uint64_t begin,
         uint64_t end, uint64_t extent, uint64_t alignment)
{
    uint64_t n = 0, at, objects = control->objects;
    struct extent *taken = malloc((objects + 1) * sizeof *taken);

    if (!taken)
        return 0;
    for (uint64_t k = 0; k < objects; k++) {
        struct dsm__object *object = &dsm__slot(control, k)->object;

        if (object->kind == kind && object->extent && object->place <= end &&
            object->extent <= end - object->place &&
            !dsm__reclaim(control, object)) {
            taken[n].begin = object->place;
            taken[n++].end = object->place + object->extent;
        }
    }
    qsort(taken, n, sizeof *taken, by_begin);
    taken[n].begin = taken[n].end = end;
    at = begin;
    for (uint64_t k = 0; k <= n; k++) {
        at = (at + alignment - 1) / alignment * alignment;
        if (at + extent <= taken[k].begin)
            break;
        at = taken[k].end > at ? taken[k].end : at;
    }
    free(taken);
    return at + extent <= end ? at : 0;
}

int
dsm__place(uint64_t *place, struct dsm__member *member, dsm_object_kind kind,
           uint64_t extent, uint64_t alignment)
{
    struct dsm__control *control = member->control;
    bool array = kind == DSM_OBJECT_ARRAY;
    uint64_t begin = array ? control->control_size : control->arena_offset;
    uint64_t end = array ? control->space_size : control->pool.offset;
    uint64_t *top = array ? &control->space_top : &control->arena_top;
    uint64_t at = (*top + alignment - 1) / alignment * alignment;

    if (extent > end - begin || at > end - extent)
        at = extent > end - begin
                 ? 0
                 : find_gap(control, kind, begin, end, extent, alignment);
    if (!at)
        return dsm__fail(array ? -ENOMEM : -ENOSPC,
                         "no room for %s of %s in the %s that cluster '%s' "
                         "reserved; raise options.address_space, or run a "
                         "region, in which workers let go of what was "
                         "destroyed",
                         dsm__kind_name(kind), dsm__bytes_text(extent),
                         dsm__bytes_text(end - begin), control->name);
    if (!array) {
        int error = grow(member, &control->arena_end, at + extent, ARENA_STEP,
                         end, dsm__kind_name(kind));

        if (error)
            return error;
    }
    if (at + extent > *top)
        *top = at + extent;
    *place = at;
    return 0;
}
