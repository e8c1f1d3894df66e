/* This process's part in a cluster: where the control segment is mapped, and in
 * which role the process takes part. */
#ifndef DSM_REGISTRY_MEMBER_H
#define DSM_REGISTRY_MEMBER_H

#include "os/identity.h"
#include "registry/control.h"
#include "shm/space.h"

#include <dsm/worker.h>

enum dsm__role {
    DSM__CONTROLLER,
    DSM__WORKER,
    DSM__ATTACHED,
};

/* The first member of every dsm_cluster. */
struct dsm__member {
    struct dsm__space space;
    struct dsm__control *control; /* at space.base */
    enum dsm__role role;
    unsigned index;         /* the worker's number, or the client's */
    int fd;                 /* of the control segment: holds the shared flock */
    int command;            /* socket to the supervisor; -1 in a worker */
    int other_end;          /* of it, while the supervisor is forked; or -1 */
    _Atomic uint64_t *seen; /* this process's map generation */
    struct dsm__member *next;
};

static inline struct dsm__member *
dsm__member(const dsm_cluster *cluster)
{
    return (struct dsm__member *)(uintptr_t)cluster;
}

/* The member whose control segment this is; NULL in a process that is none. */
struct dsm__member *dsm__member_of(const struct dsm__control *control);

/* Members are found from handles and from the exit and fork handlers. */
void dsm__member_add(struct dsm__member *member);
void dsm__member_remove(struct dsm__member *member);

/* In a fork's child: forgets all of them. */
void dsm__member_forget_all(void);

/* Calls visit on each. */
void dsm__member_each(void (*visit)(struct dsm__member *member, void *arg),
                      void *arg);

/* The slot of the worker that this thread is in a region of that cluster, or
 * NULL; in a worker process all threads are that worker. */
struct dsm__worker_slot *dsm__worker_here(const struct dsm__control *control);

/* Whether this thread runs a job of that cluster. */
static inline bool
dsm__in_job(const struct dsm__control *control)
{
    struct dsm__worker_slot *slot = dsm__worker_here(control);

    return slot &&
           atomic_load_explicit(&slot->in_job, memory_order_relaxed) != 0;
}

/* The same, and the job is asked to end. */
bool dsm__in_cancelled_job(const struct dsm__control *control);

/* Says that this thread, or the whole process, is now worker `slot`; NULL: this
 * thread is none any more. */
void dsm__worker_become(const struct dsm__control *control,
                        struct dsm__worker_slot *slot, bool whole_process);

/* Whether this process is a worker. */
bool dsm__worker_process(void);

/* -EPERM with a sentence in a host's child. */
int dsm__identity_fail(const char *call);

#endif
