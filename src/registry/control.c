/* Laying out and checking the control segment; see control.h. */
#include "registry/control.h"

#include "base/error.h"
#include "registry/mutex.h"
#include "registry/object.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define PAGE_MAX (UINT64_C(1) << 40)
#define TABLE_FIRST ((size_t)64 * sizeof(union dsm__slot))

static size_t
round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

bool
dsm__supervisor_dead(const struct dsm__control *control)
{
    const _Atomic uint32_t *word = (const void *)&control->alive;

    return (atomic_load_explicit(word, memory_order_acquire) &
            FUTEX_OWNER_DIED) != 0;
}

size_t
dsm__control_layout(struct dsm__control *control, unsigned workers, size_t size)
{
    size_t slots = round_up(sizeof *control, DSM__LINE);
    size_t scratch =
        round_up(slots + workers * sizeof(struct dsm__worker_slot), DSM__LINE);
    size_t objects = round_up(scratch + workers * DSM__SCRATCH, 4096);
    size_t first = objects + TABLE_FIRST;

    if (!control)
        return first;
    control->layout = DSM__LAYOUT;
    control->control_size = size;
    control->slots_offset = slots;
    control->scratch_offset = scratch;
    control->objects_offset = objects;
    control->pool.offset = size;
    control->objects_max = size / 8 / sizeof(union dsm__slot);
    control->arena_offset = round_up(
        objects + control->objects_max * sizeof(union dsm__slot), 4096);
    control->table_end = first;
    control->arena_end = control->arena_offset;
    control->arena_top = control->arena_offset;
    control->space_top = size;
    control->workers = workers;
    return first;
}

static bool
text_ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

/* So that nothing in it is misaligned, and no part reaches into the next. */
static bool
parts_are_apart(const struct dsm__control *c)
{
    return c->slots_offset % DSM__LINE == 0 &&
           c->scratch_offset % DSM__LINE == 0 &&
           c->objects_offset % DSM__LINE == 0 &&
           c->arena_offset % DSM__LINE == 0 &&
           c->arena_offset >=
               c->objects_offset + c->objects_max * sizeof(union dsm__slot) &&
           c->table_end <= c->arena_offset && c->arena_offset <= c->arena_end &&
           c->arena_offset <= c->arena_top && c->arena_top <= c->arena_end &&
           c->control_size <= c->space_top;
}

static bool
offsets_fit(const struct dsm__control *c)
{
    uint64_t table = c->pool.offset / 8;

    return c->pool.offset <= DSM__CONTROL_MAX &&
           c->control_size <= c->space_size && c->control_size > sizeof *c &&
           c->pool.offset <= c->control_size && c->workers >= 1 &&
           c->workers <= DSM_WORKERS_MAX && c->first <= 1 &&
           c->first <= c->workers && c->slots_offset >= sizeof *c &&
           c->slots_offset <= c->control_size &&
           c->scratch_offset >=
               c->slots_offset + c->workers * sizeof(struct dsm__worker_slot) &&
           c->scratch_offset <= c->control_size &&
           c->objects_offset >= c->scratch_offset + c->workers * DSM__SCRATCH &&
           c->objects_offset <= c->pool.offset - table &&
           c->objects_max <= table / sizeof(union dsm__slot) &&
           c->objects <= c->objects_max && c->table_end >= c->objects_offset &&
           c->table_end <= c->pool.offset &&
           c->table_end >=
               c->objects_offset + c->objects * sizeof(union dsm__slot) &&
           c->arena_offset <= c->pool.offset &&
           c->arena_end <= c->pool.offset && c->arena_top <= c->pool.offset &&
           c->space_top <= c->space_size && c->array_page >= 4096 &&
           c->array_page <= PAGE_MAX &&
           (c->array_page & (c->array_page - 1)) == 0;
}

int
dsm__control_check(const struct dsm__control *copy, size_t file_size,
                   const char *path)
{
    if (copy->magic != DSM__MAGIC)
        return dsm__fail(DSM_EFORMAT, "%s is not a libdsm control segment",
                         path);
    if (copy->layout != DSM__LAYOUT)
        return dsm__fail(DSM_EFORMAT,
                         "%s has layout %u, this library reads layout %u", path,
                         copy->layout, DSM__LAYOUT);
    if (copy->control_size != file_size || !offsets_fit(copy) ||
        !parts_are_apart(copy) || !dsm__mutex_sound(&copy->alive) ||
        !dsm__mutex_sound(&copy->registry) || copy->spins > DSM__TURNS_MAX ||
        copy->yields > DSM__TURNS_MAX || !copy->base ||
        copy->base % 4096 != 0 || copy->base + copy->space_size < copy->base ||
        !text_ends(copy->name, sizeof copy->name) ||
        !dsm__name_legal(copy->name, strlen(copy->name)) ||
        !text_ends(copy->program, sizeof copy->program) ||
        !text_ends(copy->directory, sizeof copy->directory))
        return dsm__fail(DSM_EFORMAT, "%s is damaged", path);
    return 0;
}

int
dsm__supervisor_gone(const struct dsm__control *control)
{
    return dsm__fail(DSM_ESTALE, "the supervisor of cluster '%s' is gone",
                     control->name);
}

int
dsm__control_ended(const struct dsm__control *control)
{
    return atomic_load_explicit(&control->stopping, memory_order_acquire) ||
                   dsm__supervisor_dead(control)
               ? dsm__fail(DSM_ESTALE, "cluster '%s' has ended", control->name)
               : 0;
}

int
dsm__control_missing(const struct dsm__control *control, int error)
{
    int ended = error == -ENOENT ? dsm__control_ended(control) : 0;

    return ended ? ended : error;
}
