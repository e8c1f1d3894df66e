/* The table of named objects: arrays, locks, barriers, queues and views.
 *
 * A slot, once used for a kind, serves that kind for ever, so that the
 * supervisor may walk the table without a lock.  All else happens under the
 * registry's robust lock; a slot's state says how far a change had come when
 * its author died, and the next to lock takes it back or finishes it.
 *
 * A generation counts changes of what is mapped.  A process maps and hides what
 * changed since the generation that it has seen: at the start of each region,
 * and whenever it opens an array. */
#ifndef DSM_REGISTRY_OBJECT_H
#define DSM_REGISTRY_OBJECT_H

#include "registry/member.h"

enum dsm__object_state {
    DSM__FREE = 0,
    DSM__BUILDING, /* its author died: taken back */
    DSM__LIVE,
    DSM__DYING, /* its author died: finished */
    DSM__GONE   /* some process may still have it mapped */
};

enum { DSM__VIEW = DSM_OBJECT_QUEUE + 1 }; /* a kind of the library's own */

struct dsm__object {
    _Alignas(DSM__LINE) _Atomic uint32_t state;
    _Atomic uint32_t kind;  /* 0 in a slot that was never used */
    uint64_t self;          /* offset of this slot in the control segment */
    uint64_t born, died;    /* generations */
    uint64_t place, extent; /* arrays: in the reserved addresses; queues: in
                               the control segment */
    char name[DSM_NAME_MAX + 1];
};

/* Room for any object; each room asserts that its own fits. */
union dsm__slot {
    struct dsm__object object;
    char room[512];
};

static inline struct dsm__control *
dsm__control_of(const void *handle, uint64_t self)
{
    return (struct dsm__control *)((uintptr_t)handle - self);
}

static inline union dsm__slot *
dsm__slot(const struct dsm__control *control, uint64_t index)
{
    return (union dsm__slot *)dsm__at(control, control->objects_offset) + index;
}

/* Locks the registry, mending what a dead holder left.  0, DSM_ESTALE. */
int dsm__registry_lock(struct dsm__member *member);
void dsm__registry_unlock(struct dsm__member *member);

/* With the registry locked: a new object of `extent` bytes (arrays: addresses;
 * queues: arena; else 0), its slot zeroed, in state BUILDING.  name "" for one
 * without.  -EEXIST, -ENOSPC, -ENOMEM. */
int dsm__object_new(struct dsm__object **object, struct dsm__member *member,
                    dsm_object_kind kind, const char *name, uint64_t extent,
                    uint64_t alignment);

/* With the registry locked, which it unlocks: the object is complete, or with
 * an error is not to be after all (NULL: there never was one).  Returns the
 * error. The author of an array has brought its mappings up to date before, and
 * has mapped the array. */
int dsm__object_finish(struct dsm__member *member, struct dsm__object *object,
                       int error);

/* With the registry locked: the live object of that name, or NULL. */
struct dsm__object *dsm__object_find(const struct dsm__control *control,
                                     const char *name);

/* With the registry locked: whether a new object may have the name.  0,
 * -EEXIST. */
int dsm__object_name_free(const struct dsm__control *control, const char *name);

/* Whether what was found in a slot may be followed: it knows its place, its
 * name is one, and it lies where its kind does. */
bool dsm__object_sound(const struct dsm__member *member,
                       const struct dsm__object *object);

/* DSM_EFORMAT: it is not, or what its kind has besides is wrong. */
int dsm__object_damaged(const struct dsm__member *member,
                        const struct dsm__object *object);

/* Finds a live object and brings this process's mappings up to date.  `kind`'s
 * name is in the sentence.  -ENOENT, -EINVAL, DSM_EFORMAT. */
int dsm__object_open(struct dsm__object **object, dsm_cluster *cluster,
                     const char *name, dsm_object_kind kind);

/* With the registry locked: takes it away, views of it too. */
void dsm__object_remove(struct dsm__member *member, struct dsm__object *object);

/* Brings this process's mappings up to date.  0 or the error of what could not
 * be mapped. */
int dsm__maps_sync(struct dsm__member *member);

/* The same with the registry locked. */
int dsm__maps_sync_locked(struct dsm__member *member);

static inline bool
dsm__maps_current(const struct dsm__member *member)
{
    return atomic_load_explicit(member->seen, memory_order_relaxed) ==
           atomic_load_explicit(&member->control->generation,
                                memory_order_acquire);
}

/* Begins a create or destroy call: checks the process, then locks. */
int dsm__object_begin(struct dsm__member **member, const dsm_cluster *cluster,
                      const char *call);

/* Begins a destroy call on an object: as above, and -EBUSY while a region
 * runs. */
int dsm__object_begin_destroy(struct dsm__member **member,
                              const struct dsm__object *object);

const char *dsm__kind_name(dsm_object_kind kind);

#endif
