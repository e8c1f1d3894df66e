/* The body of a lock, which lies in a lock's slot and in every array's. */
#ifndef DSM_SYNC_LOCK_H
#define DSM_SYNC_LOCK_H

#include "registry/object.h"

#include <dsm/sync.h>

struct dsm_lock {
    uint64_t self;  /* offset in the control segment */
    uint64_t owner; /* offset of the object whose name it bears */
    pthread_mutex_t mutex;
};

/* Makes the lock at `lock`, part of `object`. */
int dsm__lock_init(dsm_lock *lock, const struct dsm__object *object);

/* Whether a lock that was found is one, of `object`. */
bool dsm__lock_sound(const dsm_lock *lock, const struct dsm__object *object);

/* -EBUSY, with a sentence, if somebody holds it. */
int dsm__lock_check_free(dsm_lock *lock, struct dsm__object *object);

/* How many locks this thread holds. */
unsigned dsm__locks_held(void);

/* In a new worker, which inherits the count of its creator's thread: none. */
void dsm__locks_reset(void);

#endif
