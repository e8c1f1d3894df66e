/* Exit and fork handlers of the host's process.
 *
 * A child that the host forks inherits the descriptors that keep a cluster
 * alive; it must not, or a dead cluster would live on in it. */
#include "cluster/host.h"

#include "base/error.h"
#include "cluster/cluster.h"
#include "os/identity.h"
#include "os/process.h"
#include "trace/trace.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t forks = PTHREAD_MUTEX_INITIALIZER;

/* Whose supervisor this thread forks: other threads of the host may fork at the
 * same moment, and their children are to have nothing of it. */
static _Thread_local struct dsm__member *launching;

/* Other threads may still be inside of calls: nothing is unmapped. */
static void
end_member(struct dsm__member *member, void *argument)
{
    (void)argument;
    dsm__cluster_end((dsm_cluster *)member);
}

static void
at_exit(void)
{
    /* Not in a host's child, nor in a worker, which leaves by _exit. */
    if (dsm__identity_ok())
        dsm__member_each(end_member, NULL);
}

static void
drop_member(struct dsm__member *member, void *argument)
{
    const int fds[] = {member->fd, member->command, member->other_end};

    (void)argument;
    if (member == launching)
        return;
    for (size_t k = 0; k < sizeof fds / sizeof *fds; k++)
        if (fds[k] >= 0)
            close(fds[k]);
    member->fd = member->command = member->other_end = -1;
    dsm__trace_drop(((dsm_cluster *)member)->trace);
    member->control = NULL; /* which is not mapped here */
}

void
dsm__host_hold_forks(void)
{
    pthread_mutex_lock(&forks);
}

void
dsm__host_let_fork(void)
{
    pthread_mutex_unlock(&forks);
}

static void
in_fork_child(void)
{
    pthread_mutex_init(&forks, NULL);
    /* Also in the supervisor and, by its forks, in workers, but they are not in
     * the list of that moment, and arm themselves again. */
    dsm__member_each(drop_member, NULL);
    dsm__member_forget_all();
}

static void
install(void)
{
    atexit(at_exit);
    pthread_atfork(dsm__host_hold_forks, dsm__host_let_fork, in_fork_child);
}

int
dsm__host_prepare(void)
{
    int error = dsm__identity_arm();

    if (error)
        return dsm__fail(error,
                         "cannot tell this process from its children: "
                         "%s",
                         dsm_strerror(error));
    pthread_once(&once, install);
    return 0;
}

int
dsm__host_fork(struct dsm__member *member)
{
    int result;

    launching = member;
    result = dsm__fork_detached();
    launching = NULL;
    return result;
}
