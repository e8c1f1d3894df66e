/* Segments for what is large; see parcel.h. */
#include "pool/parcel.h"

#include "base/error.h"
#include "base/point.h"
#include "os/process.h"
#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROVISIONALS 3

static const char *const what[] = {"a job's output", "a job's output",
                                   "a provisional result"};

const char *
dsm__parcel_directory(const struct dsm__control *control)
{
    return control->array_page > (uint64_t)sysconf(_SC_PAGESIZE)
               ? DSM__SHM_DIRECTORY
               : control->directory;
}

static void
path_of(char *path, const struct dsm__parcel *parcel)
{
    static const char letter[] = "oe012";
    char name[32];

    snprintf(name, sizeof name, ".j%u-%u%c", parcel->program, parcel->index,
             letter[parcel->kind]);
    dsm__path(path, dsm__parcel_directory(parcel->control),
              parcel->control->name, name);
}

static const char *
what_of(const struct dsm__parcel *parcel)
{
    return what[parcel->kind < DSM__PARCEL_PROVISIONAL
                    ? parcel->kind
                    : DSM__PARCEL_PROVISIONAL];
}

/* Opens one that may exist: a provisional one is written again and again. */
static int
open_or_create(int *fd, const char *path, size_t size)
{
    struct stat status;
    int error = dsm__segment_create(fd, path, 0);

    if (error == -EEXIST)
        error = dsm__segment_open(fd, path, true, &status);
    return error ? error : dsm__segment_limit(path, size);
}

int
dsm__parcel_write(const struct dsm__parcel *parcel, const void *data,
                  size_t size)
{
    char path[DSM__PATH_SIZE];
    int fd = -1, error;

    path_of(path, parcel);
    error = open_or_create(&fd, path, size);
    DSM__POINT("parcel.write");
    if (!error)
        error = dsm__segment_write(fd, path, data, size, what_of(parcel));
    if (fd >= 0)
        close(fd);
    if (error)
        unlink(path);
    return error;
}

int
dsm__parcel_map(const struct dsm__parcel *parcel, const void **data,
                size_t size)
{
    char path[DSM__PATH_SIZE];
    struct stat status;
    void *at;
    int fd, error;

    path_of(path, parcel);
    error = dsm__segment_open(&fd, path, false, &status);
    if (error)
        return dsm__control_missing(parcel->control, error);
    if ((uint64_t)status.st_size < size) {
        close(fd);
        return dsm__fail(DSM_EFORMAT, "%s was cut or replaced", path);
    }
    at = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return dsm__fail_errno("cannot map %s, %s", what_of(parcel),
                               dsm__bytes_text(size));
    *data = at;
    return 0;
}

void
dsm__parcel_unmap(const void *data, size_t size)
{
    if (data)
        munmap((void *)(uintptr_t)data, size);
}

int
dsm__parcel_open(const struct dsm__parcel *parcel)
{
    char path[DSM__PATH_SIZE];
    int fd, error;

    path_of(path, parcel);
    unlink(path);
    error = dsm__segment_create(&fd, path, 0);
    if (!error && fcntl(fd, F_SETFL, O_APPEND) < 0) {
        error = dsm__fail_errno("cannot append to %s", path);
        close(fd);
    }
    return error ? error : fd;
}

static char *
read_tail(int fd, off_t end, size_t *size, size_t most)
{
    size_t n = (size_t)end < most ? (size_t)end : most;
    char *text = malloc(n + 1);
    ssize_t got = text ? dsm__segment_read(fd, text, n, (size_t)end - n) : 0;

    if (!text)
        return NULL;
    *size = got > 0 ? (size_t)got : 0;
    text[*size] = '\0';
    return text;
}

char *
dsm__parcel_read(const struct dsm__parcel *parcel, size_t *size, size_t most)
{
    char path[DSM__PATH_SIZE], sentence[DSM__SENTENCE];
    struct stat status;
    char *text = NULL;
    int fd;

    path_of(path, parcel);
    dsm__error_keep(sentence);
    if (dsm__segment_open(&fd, path, false, &status) == 0) {
        text = read_tail(fd, status.st_size, size, most);
        close(fd);
    }
    dsm__error_restore(sentence);
    return text;
}

static void
remove_parcel(const struct dsm__parcel *parcel)
{
    char path[DSM__PATH_SIZE];

    path_of(path, parcel);
    unlink(path);
}

static void
remove_kinds(const struct dsm__control *control, unsigned program,
             uint32_t index, int first, int last)
{
    struct dsm__parcel parcel = {control, program, index, first};

    for (; parcel.kind <= last; parcel.kind++)
        remove_parcel(&parcel);
}

void
dsm__parcels_remove_try(const struct dsm__control *control, unsigned program,
                        uint32_t index)
{
    remove_kinds(control, program, index, DSM__PARCEL_OUT, DSM__PARCEL_ERR);
}

void
dsm__parcels_remove(const struct dsm__control *control, unsigned program,
                    uint32_t index)
{
    remove_kinds(control, program, index, DSM__PARCEL_OUT,
                 DSM__PARCEL_PROVISIONAL + PROVISIONALS - 1);
}

struct place {
    const char *directory;
};

static int
unlink_one(const char *name, void *argument)
{
    const struct place *place = argument;
    char path[DSM__PATH_SIZE + 256];

    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    /* Workers keep crates mapped: the memory is not to stay with them. */
    dsm__segment_remove(path);
    return 0;
}

void
dsm__parcels_remove_all(const struct dsm__control *control, unsigned program)
{
    struct place place = {dsm__parcel_directory(control)};
    char path[DSM__PATH_SIZE], name[32];

    snprintf(name, sizeof name, ".j%u-", program);
    dsm__path(path, "", control->name, name);
    /* Behind the slash. */
    (void)dsm__segment_scan(place.directory, path + 1, unlink_one, &place);
}
