/* Listing and removing clusters, for programs that need take no part in them.
 */
#include "array/array.h"
#include "base/error.h"
#include "cluster/command.h"
#include "cluster/remains.h"
#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* Whether nobody keeps an unreadable or half-made segment alive. */
static bool
unlocked(int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return false;
    /* Given back at once by the close that follows. */
    return true;
}

static uint64_t
file_bytes(int fd)
{
    struct stat status;

    return fstat(fd, &status) < 0 ? 0 : (uint64_t)status.st_blocks * 512;
}

/* A named object of the user's, copied from a control segment that need not be
 * sound.  1; 0: slot k holds none; -errno. */
static int
read_object(union dsm__slot *slot, const struct dsm__control *control, int fd,
            uint64_t k)
{
    uint64_t at = control->objects_offset + k * sizeof *slot;

    ssize_t n = dsm__segment_read(fd, slot, sizeof *slot, at);

    if (n < 0)
        return dsm__fail_errno("cannot read the objects of cluster '%s'",
                               control->name);
    return n == sizeof *slot && slot->object.state == DSM__LIVE &&
           slot->object.kind >= DSM_OBJECT_ARRAY &&
           slot->object.kind <= DSM_OBJECT_QUEUE &&
           memchr(slot->object.name, '\0', sizeof slot->object.name) &&
           dsm__name_legal(slot->object.name, strlen(slot->object.name));
}

static void
read_array(dsm_object_info *info, const union dsm__slot *slot,
           const struct dsm__control *control)
{
    const struct dsm_array *array = (const struct dsm_array *)slot;
    struct stat status;

    info->type = array->type;
    info->ndim = array->ndim <= DSM_NDIM_MAX ? array->ndim : 0;
    memcpy(info->shape, array->shape, sizeof info->shape);
    dsm__path(info->path, control->directory, control->name, slot->object.name);
    info->bytes =
        stat(info->path, &status) < 0 ? 0 : (uint64_t)status.st_blocks * 512;
}

static void
read_info(dsm_object_info *info, const union dsm__slot *slot,
          const struct dsm__control *control)
{
    *info = (dsm_object_info){.size = sizeof *info};
    strcpy(info->name, slot->object.name);
    info->kind = (dsm_object_kind)slot->object.kind;
    info->bytes = sizeof *slot + slot->object.extent;
    if (info->kind == DSM_OBJECT_ARRAY)
        read_array(info, slot, control);
}

/* What the segments of a cluster take, its own included. */
static void
count_objects(dsm_cluster_info *info, const struct dsm__control *control,
              int fd)
{
    union dsm__slot slot;
    dsm_object_info object;

    info->bytes = file_bytes(fd);
    for (uint64_t k = 0; k < control->objects; k++) {
        if (read_object(&slot, control, fd, k) <= 0)
            continue;
        info->objects++;
        read_info(&object, &slot, control);
        if (object.kind == DSM_OBJECT_ARRAY)
            info->bytes += object.bytes;
    }
}

static void
describe(dsm_cluster_info *info, const struct dsm__control *control, int fd)
{
    info->owner = control->owner;
    info->workers = control->workers;
    info->age = (double)time(NULL) - (double)control->created;
    strcpy(info->program, control->program);
    strcpy(info->directory, control->directory);
    info->state = dsm__supervisor_dead(control) || unlocked(fd)
                      ? DSM_CLUSTER_STALE
                      : DSM_CLUSTER_LIVE;
    count_objects(info, control, fd);
}

/* Opens a control segment and reads its header.  *fd is open when 0 or
 * DSM_EFORMAT is returned. */
static int
open_control(int *fd, struct dsm__control *copy, const char *cluster)
{
    char path[DSM__PATH_SIZE];
    struct stat status;
    int error;

    dsm__path(path, NULL, cluster, NULL);
    error = dsm__segment_open(fd, path, false, &status);
    return error ? error : dsm__remains_read(copy, *fd, path);
}

struct listing {
    int (*visit)(const dsm_cluster_info *, void *);
    void *arg;
};

static int
list_one(const char *cluster, void *argument)
{
    const struct listing *listing = argument;
    dsm_cluster_info info = {.size = sizeof info};
    struct dsm__control *copy = malloc(sizeof *copy);
    int fd = -1, error;
    bool gone = false;

    if (!copy)
        return dsm__fail_errno("no memory to list clusters");
    strcpy(info.name, cluster);
    error = open_control(&fd, copy, cluster);
    if (!error)
        describe(&info, copy, fd);
    else if (error == -ENOENT && !dsm__remains_arrays(cluster))
        gone = true;           /* it ended this very moment */
    else if (error == -ENOENT) /* arrays without a control segment */
        info.state = DSM_CLUSTER_STALE;
    else if (error == DSM_EFORMAT && fd >= 0 && unlocked(fd))
        info.state = DSM_CLUSTER_STALE; /* its author died half-way */
    else
        info.state = DSM_CLUSTER_FOREIGN;
    if (fd >= 0)
        close(fd);
    free(copy);
    return gone ? 0 : listing->visit(&info, listing->arg);
}

int
dsm_cluster_list(int (*visit)(const dsm_cluster_info *info, void *arg),
                 void *arg)
{
    struct listing listing = {visit, arg};

    return dsm__remains_each(list_one, &listing);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const dsm_object_info *)a)->name,
                  ((const dsm_object_info *)b)->name);
}

/* All objects, sorted by name; *n of them. */
static int
read_objects(dsm_object_info **objects, size_t *n,
             const struct dsm__control *control, int fd)
{
    union dsm__slot slot;
    int found = 0;

    *n = 0;
    *objects = malloc((control->objects + 1) * sizeof **objects);
    if (!*objects)
        return dsm__fail_errno("no memory to list objects");
    for (uint64_t k = 0; k < control->objects && found >= 0; k++) {
        found = read_object(&slot, control, fd, k);
        if (found > 0)
            read_info(&(*objects)[(*n)++], &slot, control);
    }
    qsort(*objects, *n, sizeof **objects, by_name);
    return found < 0 ? found : 0;
}

int
dsm_cluster_objects(const char *name,
                    int (*visit)(const dsm_object_info *info, void *arg),
                    void *arg)
{
    struct dsm__control *copy;
    dsm_object_info *objects = NULL;
    size_t n = 0;
    int fd = -1, result = dsm__name_check("a cluster", name);

    if (result)
        return result;
    copy = malloc(sizeof *copy);
    result = copy ? open_control(&fd, copy, name)
                  : dsm__fail_errno("no memory to list objects");
    if (result == -ENOENT)
        result = dsm__fail(result, "there is no cluster '%s'", name);
    if (!result)
        result = read_objects(&objects, &n, copy, fd);
    if (fd >= 0)
        close(fd);
    for (size_t k = 0; !result && k < n; k++)
        result = visit(&objects[k], arg);
    free(objects);
    free(copy);
    return result;
}

/* Ends a live cluster and waits until its supervisor is gone. */
static int
stop(const char *name)
{
    struct dsm__request request = {.verb = DSM__STOP};
    int fd = dsm__command_connect(name), error;

    if (fd < 0)
        return fd;
    error = dsm__command(fd, NULL, &request, NULL, DSM__ANSWER_MS);
    if (error >= 0)
        error = dsm__command_wait_closed(fd, NULL, 60000);
    close(fd);
    return error;
}

int
dsm_cluster_remove(const char *name, bool force)
{
    int error = dsm__name_check("a cluster", name);

    if (error)
        return error;
    error = dsm__remains_sweep(name);
    if (error == -EBUSY && force) {
        error = stop(name);
        if (error)
            return error;
        /* Its supervisor has unlinked everything; what a client or the
         * controller still holds open has no name any more. */
        error = dsm__remains_sweep(name);
        if (error == -ENOENT)
            return 0;
    }
    if (error == -ENOENT)
        return dsm__fail(error, "there is no cluster '%s'", name);
    if (error == -EBUSY)
        return dsm__fail(
            error, "cluster '%s' is live: a process holds on to it", name);
    return error;
}
