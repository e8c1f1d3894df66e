/* Joining a cluster from another program.
 *
 * What is found in /dev/shm is not believed: owner, type, sizes and offsets are
 * checked on a copy of the header before anything is mapped. */
#include "base/error.h"
#include "base/point.h"
#include "cluster/cluster.h"
#include "cluster/command.h"
#include "cluster/host.h"
#include "cluster/remains.h"
#include "os/process.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

static int
check_header(const struct dsm__control *copy, const char *name)
{
    uint64_t mine = dsm__pid_namespace();

    if (strcmp(copy->name, name) != 0 || copy->uid != geteuid())
        return dsm__fail(DSM_EFORMAT,
                         "the control segment of cluster '%s' is "
                         "that of another",
                         name);
    if (!dsm__pool_sound(&copy->pool) ||
        copy->pool.offset + dsm__pool_bytes(&copy->pool) != copy->control_size)
        return dsm__fail(DSM_EFORMAT,
                         "the control segment of cluster '%s' is damaged",
                         name);
    if (!mine && copy->pid_namespace)
        return dsm__fail_errno("cannot tell this process's pid namespace from "
                               "/proc/self/ns/pid");
    if (copy->pid_namespace != mine)
        return dsm__fail(-EXDEV,
                         "cluster '%s' lives in another pid namespace (another "
                         "container), where its locks do not work",
                         name);
    if (dsm__supervisor_dead(copy))
        return dsm__fail(DSM_ESTALE, "the owner of cluster '%s' is gone", name);
    return 0;
}

/* Reads the header of a cluster that can be reached. */
static int
read_header(struct dsm__control *copy, int fd, const char *path,
            const char *name)
{
    int error = dsm__remains_read(copy, fd, path);

    /* The magic is written behind the rest, the supervisor's pid when it
     * listens. */
    if ((error == DSM_EFORMAT && !copy->magic) || (!error && !copy->supervisor))
        return dsm__fail(-ENOENT,
                         "cluster '%s' is only being created, or its creator "
                         "died then",
                         name);
    return error ? error : check_header(copy, name);
}

static int
map_control(dsm_cluster *cluster, const struct dsm__control *copy)
{
    struct dsm__member *member = &cluster->member;
    int error = dsm__space_reserve_at(
        &member->space, (char *)(uintptr_t)copy->base, copy->space_size);

    if (!error)
        error =
            dsm__space_map(&member->space, 0, copy->control_size, member->fd);
    if (error)
        return error;
    member->control = (struct dsm__control *)member->space.base;
    strcpy(cluster->name, copy->name);
    madvise(member->control, copy->control_size, MADV_DONTFORK);
    return 0;
}

/* Introduces this program to the supervisor, which watches the connection. */
static int
introduce(dsm_cluster *cluster, const char *name)
{
    struct dsm__request request = {.verb = DSM__HELLO, .value = getpid()};
    struct dsm__member *member = &cluster->member;
    int32_t client;
    int error;

    dsm__host_hold_forks();
    member->command = dsm__command_connect(name);
    dsm__host_let_fork();
    if (member->command < 0)
        return member->command;
    DSM__POINT("attach.hello");
    error = dsm__command(member->command, member->control, &request, &client,
                         DSM__ANSWER_MS);
    if (error < 0)
        return error;
    if (client < 0 || client >= DSM__CLIENTS_MAX)
        return dsm__fail(DSM_EFORMAT, "the supervisor's answer is damaged");
    DSM__POINT("attach.welcome");
    member->index = (unsigned)client;
    member->seen = &member->control->clients[client].seen;
    /* Whatever it says: no array is mapped yet. */
    atomic_store_explicit(member->seen, 0, memory_order_release);
    return 0;
}

static int
join(dsm_cluster *cluster, const char *name, struct dsm__control *copy)
{
    struct dsm__member *member = &cluster->member;
    char path[DSM__PATH_SIZE];
    struct stat status;
    int error;

    dsm__path(path, NULL, name, NULL);
    dsm__host_hold_forks();
    error = dsm__segment_open(&member->fd, path, true, &status);
    dsm__host_let_fork();
    if (error == -ENOENT)
        return dsm__fail(error, "there is no cluster '%s'", name);
    if (!error && !dsm__remains_lock(member->fd, path, LOCK_SH))
        error = errno == EWOULDBLOCK
                    ? dsm__fail(DSM_ESTALE,
                                "cluster '%s' has just been removed", name)
                    : dsm__fail_errno("cannot lock %s", path);
    DSM__POINT("attach.locked");
    if (!error)
        error = read_header(copy, member->fd, path, name);
    if (!error)
        error = map_control(cluster, copy);
    DSM__POINT("attach.mapped");
    return error ? error : introduce(cluster, name);
}

int
dsm_cluster_attach(dsm_cluster **cluster, const char *name)
{
    struct dsm__control *copy;
    dsm_cluster *made;
    int error;

    *cluster = NULL;
    error = dsm__name_check("a cluster", name);
    if (!error)
        error = dsm__host_prepare();
    if (error)
        return error;
    made = dsm__cluster_new();
    copy = malloc(sizeof *copy);
    if (!made || !copy) {
        error = dsm__fail_errno("no memory for a cluster");
    } else {
        made->member.role = DSM__ATTACHED;
        dsm__member_add(&made->member);
        error = join(made, name, copy);
    }
    free(copy);
    if (error) {
        dsm_cluster_destroy(made);
        return error;
    }
    *cluster = made;
    return 0;
}
