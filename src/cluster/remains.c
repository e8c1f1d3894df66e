/* Finding and removing dead clusters; see remains.h. */
#include "cluster/remains.h"

#include "base/error.h"
#include "base/point.h"
#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 50

/* A look at a newborn segment holds its lock for some microseconds. */
static void
pause_briefly(void)
{
    struct timespec ms = {.tv_nsec = 1000000};

    nanosleep(&ms, NULL);
}

bool
dsm__remains_lock(int fd, const char *path, int how)
{
    int tries = how == LOCK_SH ? LOCK_TRIES : 1;

    while (flock(fd, how | LOCK_NB) < 0) {
        if (errno != EINTR && (errno != EWOULDBLOCK || --tries == 0))
            return false;
        if (errno != EINTR)
            pause_briefly();
    }
    DSM__POINT("remains.locked");
    if (dsm__segment_is(fd, path))
        return true;
    errno = EWOULDBLOCK;
    return false;
}

struct place {
    const char *directory;
    const char *prefix;
};

static int
unlink_one(const char *name, void *argument)
{
    const struct place *place = argument;
    char path[DSM__PATH_SIZE + 256];

    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    DSM__POINT("remains.unlink");
    unlink(path);
    return 0;
}

static int
unlink_prefix(const char *directory, const char *cluster)
{
    char path[DSM__PATH_SIZE];
    struct place place = {.directory = directory};

    dsm__path(path, "", cluster, "");
    place.prefix = path + 1; /* behind the slash: "dsm.UID.CLUSTER." */
    return dsm__segment_scan(directory, place.prefix, unlink_one, &place);
}

/* Whether it may be read the next time.  Else its files, if there is such a
 * directory at all, are out of reach. */
static bool
is_passing(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

int
dsm__remains_clear(const char *cluster, const char *directory)
{
    int error = unlink_prefix(DSM__SHM_DIRECTORY, cluster), elsewhere = 0;

    if (directory[0] && strcmp(directory, DSM__SHM_DIRECTORY) != 0)
        elsewhere = unlink_prefix(directory, cluster);
    return is_passing(elsewhere) ? elsewhere : error;
}

int
dsm__remains_read(struct dsm__control *copy, int fd, const char *path)
{
    struct stat status;

    memset(copy, 0, sizeof *copy);
    if (dsm__segment_read(fd, copy, sizeof *copy, 0) < 0 ||
        fstat(fd, &status) < 0)
        return dsm__fail_errno("cannot read %s", path);
    return dsm__control_check(copy, (size_t)status.st_size, path);
}

int
dsm__remains_remove(const char *cluster, int fd)
{
    char path[DSM__PATH_SIZE];
    struct dsm__control *copy;
    int error;

    dsm__path(path, NULL, cluster, NULL);
    if (!dsm__segment_is(fd, path))
        return -EBUSY;
    copy = malloc(sizeof *copy);
    if (!copy)
        return dsm__fail(-ENOMEM, "no memory to remove cluster '%s'", cluster);
    (void)dsm__remains_read(copy, fd, path);
    copy->directory[DSM__DIRECTORY_MAX] = '\0';
    error = dsm__remains_clear(cluster, copy->directory);
    free(copy);
    DSM__POINT("remains.arrays");
    /* Else it stays, so that the next one finds the rest by it. */
    if (!error)
        unlink(path);
    return error;
}

/* Arrays without a control segment.  Its name is taken first, as a tombstone,
 * so that no newborn cluster of that name can lose its arrays. */
static int
sweep_orphans(const char *cluster, const char *path)
{
    int fd, error = dsm__segment_create(&fd, path, 0);

    if (error)
        return error == -EEXIST ? -EBUSY : error;
    if (dsm__remains_lock(fd, path, LOCK_EX)) {
        DSM__POINT("remains.orphans");
        error = dsm__remains_clear(cluster, "");
        unlink(path);
    }
    close(fd);
    return error;
}

struct search {
    size_t length;
    bool found;
};

static int
found_one(const char *name, void *argument)
{
    struct search *search = argument;

    search->found = search->found || name[search->length] == '.';
    return 0;
}

bool
dsm__remains_arrays(const char *cluster)
{
    char path[DSM__PATH_SIZE];
    struct search search = {0};

    dsm__path(path, "", cluster, NULL);
    search.length = strlen(path + 1);
    (void)dsm__segment_scan(DSM__SHM_DIRECTORY, path + 1, found_one, &search);
    return search.found;
}

static int
sweep_once(const char *cluster)
{
    char path[DSM__PATH_SIZE];
    struct stat status;
    int fd, error;

    dsm__path(path, NULL, cluster, NULL);
    error = dsm__segment_open(&fd, path, true, &status);
    if (error == -ENOENT)
        return dsm__remains_arrays(cluster) ? sweep_orphans(cluster, path)
                                            : -ENOENT;
    if (error)
        return error;
    if (dsm__remains_lock(fd, path, LOCK_EX)) {
        DSM__POINT("remains.sweep");
        error = dsm__remains_remove(cluster, fd);
    } else {
        error = -EBUSY;
    }
    close(fd);
    return error;
}

/* Whether its supervisor runs. */
static bool
lives(const char *cluster)
{
    char path[DSM__PATH_SIZE];
    struct dsm__control *copy = malloc(sizeof *copy);
    struct stat status;
    bool alive = false;
    int fd;

    dsm__path(path, NULL, cluster, NULL);
    if (copy && dsm__segment_open(&fd, path, false, &status) == 0) {
        alive = dsm__remains_read(copy, fd, path) == 0 && copy->supervisor &&
                !dsm__supervisor_dead(copy);
        close(fd);
    }
    free(copy);
    return alive;
}

int
dsm__remains_sweep(const char *cluster)
{
    int error;

    /* Another sweeper has it, or looks at it: that is soon over. */
    for (int tries = LOCK_TRIES; (error = sweep_once(cluster)) == -EBUSY &&
                                 tries > 0 && !lives(cluster);
         tries--)
        pause_briefly();
    return error;
}

struct names {
    char (*name)[DSM_NAME_MAX + 1];
    size_t n, room, prefix;
    int error;
};

/* Whether a file of /dev/shm is this user's: others may plant what they like.
 */
static bool
is_ours(const char *file)
{
    char path[DSM__PATH_SIZE + 256];
    struct stat status;

    snprintf(path, sizeof path, "%s/%s", DSM__SHM_DIRECTORY, file);
    return lstat(path, &status) == 0 && status.st_uid == geteuid();
}

/* Takes "CLUSTER" out of "dsm.UID.CLUSTER" and "dsm.UID.CLUSTER.ARRAY". */
static int
collect(const char *file, void *argument)
{
    struct names *names = argument;
    const char *name = file + names->prefix;
    size_t length = strcspn(name, ".");

    if (!dsm__name_legal(name, length) || !is_ours(file))
        return 0;
    if (names->n == names->room) {
        size_t room = names->room ? 2 * names->room : 64;
        void *more = realloc(names->name, room * sizeof *names->name);

        if (!more)
            return dsm__fail(-ENOMEM, "no memory for the names of clusters");
        names->name = more;
        names->room = room;
    }
    memcpy(names->name[names->n], name, length);
    names->name[names->n++][length] = '\0';
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int
dsm__remains_each(int (*visit)(const char *cluster, void *arg), void *arg)
{
    struct names names = {0};
    char prefix[32];
    int result;

    names.prefix = dsm__name_prefix(prefix);
    result = dsm__segment_scan(DSM__SHM_DIRECTORY, prefix, collect, &names);
    if (!result && names.n)
        qsort(names.name, names.n, sizeof *names.name, by_name);
    for (size_t k = 0; !result && k < names.n; k++)
        if (k == 0 || strcmp(names.name[k], names.name[k - 1]) != 0)
            result = visit(names.name[k], arg);
    free(names.name);
    return result;
}

static int
sweep_visit(const char *cluster, void *argument)
{
    (void)argument;
    (void)sweep_once(cluster);
    return 0;
}

void
dsm__remains_sweep_all(void)
{
    char sentence[DSM__SENTENCE];

    dsm__error_keep(sentence);
    (void)dsm__remains_each(sweep_visit, NULL);
    dsm__error_restore(sentence);
}
