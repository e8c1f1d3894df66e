/* The table of named objects: finding, making and removing; see object.h.
 * Where things are placed is placement.c, what is mapped maps.c. */
#include "registry/object.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "registry/mutex.h"
#include "registry/placement.h"
#include "shm/segment.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static enum dsm__object_state
state_of(const struct dsm__object *object)
{
    return atomic_load_explicit(&object->state, memory_order_acquire);
}

static void
set_state(struct dsm__object *object, enum dsm__object_state state)
{
    atomic_store_explicit(&object->state, state, memory_order_release);
}

static uint64_t
next_generation(struct dsm__control *control)
{
    return 1 + atomic_fetch_add_explicit(&control->generation, 1,
                                         memory_order_acq_rel);
}

const char *
dsm__kind_name(dsm_object_kind kind)
{
    static const char *const name[] = {"object", "array", "lock", "barrier",
                                       "queue"};

    return name[kind <= DSM_OBJECT_QUEUE ? kind : 0];
}

/* Also one of the library's own, which begins with a dot. */
static bool
is_name(const char name[DSM_NAME_MAX + 1])
{
    return memchr(name, '\0', DSM_NAME_MAX + 1) && !strchr(name, '/');
}

static bool
lies_within(const struct dsm__object *object, uint64_t begin, uint64_t end)
{
    return object->place >= begin && object->place <= end &&
           object->extent <= end - object->place;
}

bool
dsm__object_sound(const struct dsm__member *member,
                  const struct dsm__object *object)
{
    const struct dsm__control *control = member->control;

    if ((uint64_t)((const char *)object - (const char *)control) !=
            object->self ||
        !is_name(object->name))
        return false;
    /* One of generation 0, or of a later one, nobody would map. */
    if (object->kind == DSM_OBJECT_ARRAY)
        return object->born > 0 && object->born <= control->generation &&
               lies_within(object, control->control_size, member->space.size);
    return object->kind != DSM_OBJECT_QUEUE ||
           (lies_within(object, control->arena_offset, control->arena_end) &&
            object->place % DSM__LINE == 0);
}

int
dsm__object_damaged(const struct dsm__member *member,
                    const struct dsm__object *object)
{
    return dsm__fail(DSM_EFORMAT, "%s '%.*s' of cluster '%s' is damaged",
                     dsm__kind_name(object->kind), DSM_NAME_MAX, object->name,
                     member->control->name);
}

static void
unlink_segment(const struct dsm__control *control,
               const struct dsm__object *object)
{
    char path[DSM__PATH_SIZE];

    if (!is_name(object->name))
        return;
    dsm__path(path, control->directory, control->name, object->name);
    dsm__segment_remove(path);
}

/* The second half of a removal, which is also what recovery does. */
static void
finish_removal(struct dsm__control *control, struct dsm__object *object)
{
    if (object->kind != DSM_OBJECT_ARRAY) {
        set_state(object, DSM__FREE);
        return;
    }
    unlink_segment(control, object);
    DSM__POINT("object.unlinked");
    object->died = next_generation(control);
    set_state(object, DSM__GONE);
}

void
dsm__object_remove(struct dsm__member *member, struct dsm__object *object)
{
    struct dsm__control *control = member->control;

    for (uint64_t k = 0; k < control->objects; k++) {
        struct dsm__object *view = &dsm__slot(control, k)->object;

        /* A view's place is its array's slot. */
        if (view->kind == DSM__VIEW && state_of(view) == DSM__LIVE &&
            view->place == object->self)
            set_state(view, DSM__FREE);
    }
    set_state(object, DSM__DYING);
    DSM__POINT("object.remove");
    finish_removal(control, object);
}

/* A holder of the lock died: takes back what it built, finishes what it
 * removed. */
static void
recover(struct dsm__control *control)
{
    for (uint64_t k = 0; k < control->objects; k++) {
        struct dsm__object *object = &dsm__slot(control, k)->object;

        DSM__POINT("object.recover");
        if (state_of(object) == DSM__BUILDING) {
            if (object->kind == DSM_OBJECT_ARRAY)
                unlink_segment(control, object);
            set_state(object, DSM__FREE);
        } else if (state_of(object) == DSM__DYING) {
            finish_removal(control, object);
        }
    }
}

int
dsm__registry_lock(struct dsm__member *member)
{
    int result = dsm__mutex_lock(member->control, &member->control->registry,
                                 DSM__NO_DEADLINE);

    DSM__POINT("object.lock");
    if (result == 1)
        recover(member->control);
    if (result >= 0)
        return 0;
    if (result == DSM_ESTALE)
        return dsm__supervisor_gone(member->control);
    return dsm__fail(result, "cannot lock the registry of cluster '%s': %s",
                     member->control->name, dsm_strerror(result));
}

void
dsm__registry_unlock(struct dsm__member *member)
{
    pthread_mutex_unlock(&member->control->registry);
}

int
dsm__object_begin(struct dsm__member **member, const dsm_cluster *cluster,
                  const char *call)
{
    *member = dsm__member(cluster);
    if (!dsm__identity_ok() || !(*member)->control)
        return dsm__identity_fail(call);
    if (geteuid() != (*member)->control->uid)
        return dsm__fail(-EPERM,
                         "%s: this process is another user than when cluster "
                         "'%s' was created",
                         call, (*member)->control->name);
    /* Nobody would take away what is made now. */
    if (dsm__supervisor_dead((*member)->control))
        return dsm__supervisor_gone((*member)->control);
    return dsm__registry_lock(*member);
}

int
dsm__object_begin_destroy(struct dsm__member **member,
                          const struct dsm__object *object)
{
    struct dsm__control *control = dsm__control_of(object, object->self);
    const char *kind = dsm__kind_name(object->kind);
    int error;

    *member = dsm__member_of(control);
    if (!*member)
        return dsm__identity_fail("destroy");
    error = dsm__registry_lock(*member);
    if (error)
        return error;
    /* A view maps nothing: a worker may drop its own within a region.  Nobody
     * is left to end one whose supervisor died. */
    if (object->kind != DSM__VIEW && dsm__region_active(control))
        error = dsm__supervisor_dead(control)
                    ? dsm__supervisor_gone(control)
                    : dsm__fail(-EBUSY, "%s '%s' cannot go while a region runs",
                                kind, object->name);
    else if (state_of(object) != DSM__LIVE)
        error = dsm__fail(-ENOENT, "%s '%s' was destroyed already", kind,
                          object->name);
    if (error)
        dsm__registry_unlock(*member);
    return error;
}

struct dsm__object *
dsm__object_find(const struct dsm__control *control, const char *name)
{
    for (uint64_t k = 0; k < control->objects; k++) {
        struct dsm__object *object = &dsm__slot(control, k)->object;

        if (state_of(object) == DSM__LIVE && strcmp(object->name, name) == 0)
            return object;
    }
    return NULL;
}

int
dsm__object_name_free(const struct dsm__control *control, const char *name)
{
    struct dsm__object *taken = dsm__object_find(control, name);

    return *name && taken
               ? dsm__fail(-EEXIST, "cluster '%s' has %s '%s' already",
                           control->name, dsm__kind_name(taken->kind), name)
               : 0;
}

/* A slot that may be used for `kind`; -ENOSPC. */
static int
take_slot(struct dsm__object **object, struct dsm__member *member,
          dsm_object_kind kind)
{
    struct dsm__control *control = member->control;
    uint64_t used = control->objects;
    int error;

    for (uint64_t k = 0; k < used; k++) {
        *object = &dsm__slot(control, k)->object;
        if ((*object)->kind == kind && dsm__reclaim(control, *object))
            return 0;
    }
    error = dsm__table_grow(member, used + 1);
    if (error)
        return error;
    *object = &dsm__slot(control, used)->object;
    /* Released so that whoever walks the table meets a slot with a kind. */
    atomic_store_explicit(&(*object)->kind, kind, memory_order_relaxed);
    atomic_store_explicit(&control->objects, used + 1, memory_order_release);
    return 0;
}

int
dsm__object_new(struct dsm__object **object, struct dsm__member *member,
                dsm_object_kind kind, const char *name, uint64_t extent,
                uint64_t alignment)
{
    struct dsm__object *taken;
    uint64_t place = 0;
    int error = dsm__object_name_free(member->control, name);

    *object = NULL;
    if (error)
        return error;
    if (extent) {
        error = dsm__place(&place, member, kind, extent, alignment);
        if (error)
            return error;
    }
    error = take_slot(&taken, member, kind);
    if (error)
        return error;
    /* The name before the state, so that recovery knows what to unlink. */
    memset((char *)taken + sizeof *taken, 0,
           sizeof(union dsm__slot) - sizeof *taken);
    strcpy(taken->name, name);
    taken->self = (uint64_t)((char *)taken - (char *)member->control);
    taken->place = place;
    taken->extent = extent;
    taken->born = taken->died = 0;
    set_state(taken, DSM__BUILDING);
    DSM__POINT("object.new");
    *object = taken;
    return 0;
}

static void
publish(struct dsm__member *member, struct dsm__object *object)
{
    if (object->kind == DSM_OBJECT_ARRAY) {
        object->born = next_generation(member->control);
        atomic_store_explicit(member->seen, object->born, memory_order_release);
    }
    DSM__POINT("object.publish");
    set_state(object, DSM__LIVE);
}

int
dsm__object_finish(struct dsm__member *member, struct dsm__object *object,
                   int error)
{
    if (object && !error)
        publish(member, object);
    else if (object)
        set_state(object, DSM__FREE);
    dsm__registry_unlock(member);
    return error;
}

int
dsm__object_open(struct dsm__object **object, dsm_cluster *cluster,
                 const char *name, dsm_object_kind kind)
{
    struct dsm__member *member = NULL;
    struct dsm__object *found;
    int error;

    *object = NULL;
    error = dsm__object_begin(&member, cluster, "open");
    if (error)
        return error;
    found = dsm__object_find(member->control, name);
    if (!found || !*name)
        error = dsm__fail(-ENOENT, "cluster '%s' has no %s '%s'",
                          member->control->name, dsm__kind_name(kind), name);
    else if (found->kind != kind)
        error = dsm__fail(-EINVAL, "'%s' in cluster '%s' is of kind %s, not %s",
                          name, member->control->name,
                          dsm__kind_name(found->kind), dsm__kind_name(kind));
    else if (!dsm__object_sound(member, found))
        error = dsm__object_damaged(member, found);
    dsm__registry_unlock(member);
    if (!error && kind == DSM_OBJECT_ARRAY)
        error = dsm__maps_sync(member);
    if (!error)
        *object = found;
    return error;
}
