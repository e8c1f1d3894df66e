/* Bringing a process's mappings up to date with the table of objects; see
 * object.h. */
#include "base/error.h"
#include "registry/object.h"
#include "shm/segment.h"

#include <errno.h>
#include <unistd.h>

static int
map_array(struct dsm__member *member, const struct dsm__object *object)
{
    struct dsm__control *control = member->control;
    char path[DSM__PATH_SIZE];
    struct stat status;
    int fd, error;

    dsm__path(path, control->directory, control->name, object->name);
    error = dsm__segment_open(&fd, path, true, &status);
    if (error)
        return dsm__control_missing(control, error);
    if ((uint64_t)status.st_size != object->extent)
        error = dsm__fail(DSM_EFORMAT, "%s was cut or replaced", path);
    else
        error =
            dsm__space_map(&member->space, object->place, object->extent, fd);
    close(fd);
    return error;
}

static int
sync_object(struct dsm__member *member, const struct dsm__object *object,
            uint64_t seen)
{
    uint32_t state = atomic_load_explicit(&object->state, memory_order_acquire);
    bool comes = state == DSM__LIVE && object->born > seen;
    bool goes =
        state == DSM__GONE && object->born <= seen && object->died > seen;

    if (object->kind != DSM_OBJECT_ARRAY || (!comes && !goes))
        return 0;
    if (!dsm__object_sound(member, object))
        return dsm__object_damaged(member, object);
    return comes
               ? map_array(member, object)
               : dsm__space_hide(&member->space, object->place, object->extent);
}

int
dsm__maps_sync_locked(struct dsm__member *member)
{
    struct dsm__control *control = member->control;
    uint64_t seen = *member->seen;
    int error = 0;

    /* First what goes, then what comes: it may have the same place. */
    for (int live = 0; live <= 1; live++)
        for (uint64_t k = 0; !error && k < control->objects; k++) {
            struct dsm__object *object = &dsm__slot(control, k)->object;

            if ((object->state == DSM__LIVE) == live)
                error = sync_object(member, object, seen);
        }
    if (!error)
        atomic_store_explicit(member->seen, control->generation,
                              memory_order_release);
    return error;
}

int
dsm__maps_sync(struct dsm__member *member)
{
    int error;

    if (dsm__maps_current(member))
        return 0;
    error = dsm__registry_lock(member);
    if (error)
        return error;
    error = dsm__maps_sync_locked(member);
    dsm__registry_unlock(member);
    return error;
}
