/* The list of clusters that this process takes part in; see member.h. */
#include "registry/member.h"

#include "base/error.h"

#include <errno.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dsm__member *list;

struct here {
    const struct dsm__control *control;
    struct dsm__worker_slot *slot;
};

static struct here process;
static _Thread_local struct here thread
    __attribute__((tls_model("initial-exec")));

struct dsm__member *
dsm__member_of(const struct dsm__control *control)
{
    struct dsm__member *member;

    pthread_mutex_lock(&list_lock);
    for (member = list; member && member->control != control;)
        member = member->next;
    pthread_mutex_unlock(&list_lock);
    return member;
}

void
dsm__member_add(struct dsm__member *member)
{
    pthread_mutex_lock(&list_lock);
    member->next = list;
    list = member;
    pthread_mutex_unlock(&list_lock);
}

void
dsm__member_remove(struct dsm__member *member)
{
    struct dsm__member **link = &list;

    pthread_mutex_lock(&list_lock);
    while (*link && *link != member)
        link = &(*link)->next;
    if (*link)
        *link = member->next;
    pthread_mutex_unlock(&list_lock);
}

void
dsm__member_forget_all(void)
{
    /* Another thread of the parent may have held it. */
    pthread_mutex_init(&list_lock, NULL);
    list = NULL;
}

void
dsm__member_each(void (*visit)(struct dsm__member *member, void *arg),
                 void *arg)
{
    struct dsm__member *next;

    /* No lock: called where no other thread can be inside, in a fork's child
     * and at exit, when a lock might be held by a thread that is gone. */
    for (struct dsm__member *member = list; member; member = next) {
        next = member->next;
        visit(member, arg);
    }
}

struct dsm__worker_slot *
dsm__worker_here(const struct dsm__control *control)
{
    if (process.control == control)
        return process.slot;
    return thread.control == control ? thread.slot : NULL;
}

bool
dsm__in_cancelled_job(const struct dsm__control *control)
{
    struct dsm__worker_slot *slot = dsm__worker_here(control);
    uint64_t at =
        slot ? atomic_load_explicit(&slot->in_job, memory_order_relaxed) : 0;
    const _Atomic uint32_t *cancel = dsm__at(control, at);

    return at && atomic_load_explicit(cancel, memory_order_relaxed);
}

void
dsm__worker_become(const struct dsm__control *control,
                   struct dsm__worker_slot *slot, bool whole_process)
{
    struct here *here = whole_process ? &process : &thread;

    here->control = slot ? control : NULL;
    here->slot = slot;
}

bool
dsm__worker_process(void)
{
    return process.slot != NULL;
}

int
dsm__identity_fail(const char *call)
{
    return dsm__fail(-EPERM,
                     "%s: this process was forked from the cluster's by the "
                     "program itself and has no part in it",
                     call);
}
