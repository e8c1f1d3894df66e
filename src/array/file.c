/* Arrays to and from .npy files. */
#include "array/array.h"
#include "base/error.h"
#include "base/point.h"
#include "os/process.h"
#include "shm/npy.h"
#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Largest header that is read: NumPy writes 128 bytes, and version 2 may have
 * more only for structures, which are refused. */
#define HEADER_MAX ((size_t)65536)

/* read() and write() in full; 0, or -1 with errno (0 at end of file). */
static int
read_all(int fd, void *buffer, size_t bytes, size_t *got)
{
    for (*got = 0; *got < bytes;) {
        ssize_t n = read(fd, (char *)buffer + *got, bytes - *got);

        if (n == 0)
            return 0;
        if (n > 0)
            *got += (size_t)n;
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

static int
write_all(int fd, const void *buffer, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, (const char *)buffer + done, bytes - done);

        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

static int
read_header(struct dsm__npy *npy, int fd, const char *path)
{
    char *buffer = malloc(HEADER_MAX);
    size_t got;
    int error = 0;

    if (!buffer)
        return dsm__fail_errno("cannot read %s", path);
    if (read_all(fd, buffer, HEADER_MAX, &got) < 0)
        error = dsm__fail_errno("cannot read %s", path);
    else if ((error = dsm__npy_parse(npy, buffer, got)))
        error = dsm__fail(error, "%s: %s", path, dsm_last_error());
    else if (lseek(fd, (off_t)npy->header_size, SEEK_SET) < 0)
        error = dsm__fail_errno("cannot read %s", path);
    free(buffer);
    return error;
}

static int
too_short(const char *path, size_t got, const struct dsm__npy *npy)
{
    return dsm__fail(DSM_EFORMAT, "%s ends after %zu of its %zu bytes of data",
                     path, got, npy->bytes);
}

/* Before memory is taken for it. */
static int
check_length(const struct dsm__npy *npy, int fd, const char *path)
{
    struct stat status;
    size_t got;

    if (fstat(fd, &status) < 0)
        return dsm__fail_errno("cannot look at %s", path);
    if (!S_ISREG(status.st_mode))
        return 0;
    got = (size_t)status.st_size > npy->header_size
              ? (size_t)status.st_size - npy->header_size
              : 0;
    return got < npy->bytes ? too_short(path, got, npy) : 0;
}

static int
read_data(const struct dsm__draft *draft, const struct dsm__npy *npy, int fd,
          const char *path)
{
    size_t got;

    if (read_all(fd, dsm__draft_data(draft), npy->bytes, &got) < 0)
        return dsm__fail_errno("cannot read %s", path);
    return got < npy->bytes ? too_short(path, got, npy) : 0;
}

int
dsm_array_load(dsm_array **array, dsm_cluster *cluster, const char *name,
               const char *npy_path)
{
    int fd = dsm__open(npy_path, O_RDONLY, 0), error;
    struct dsm__draft draft;
    struct dsm__npy npy;

    *array = NULL;
    if (fd < 0)
        return dsm__fail_errno("cannot open %s", npy_path);
    error = read_header(&npy, fd, npy_path);
    if (!error)
        error = check_length(&npy, fd, npy_path);
    /* In a draft, so that nobody finds the array before its content is there.
     */
    if (!error)
        error = dsm__draft_create(&draft, cluster, name, &npy);
    if (!error) {
        error = read_data(&draft, &npy, fd, npy_path);
        DSM__POINT("array.load");
        if (!error)
            error = dsm__array_create(array, cluster, name, &npy, &draft);
        dsm__draft_close(&draft);
    }
    close(fd);
    return error;
}

/* The directory of `path` is synced, so that the new name survives too. */
static void
sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory =
        slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = directory ? dsm__open(directory, O_RDONLY | O_DIRECTORY, 0) : -1;

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(directory);
}

static int
write_beside(const dsm_array *array, int fd, const char *path)
{
    struct dsm__npy npy;
    char header[DSM__NPY_HEADER];
    int error = dsm__npy_set(&npy, array->type, array->ndim, array->shape);

    if (!error)
        error = dsm__segment_limit(path, sizeof header + npy.bytes);
    if (error)
        return error;
    dsm__npy_write(header, &npy);
    if (write_all(fd, header, sizeof header) < 0 ||
        write_all(fd, dsm_array_data(array), npy.bytes) < 0 || fsync(fd) < 0)
        return dsm__fail_errno("cannot write %s", path);
    return 0;
}

/* A rename would put a file in the place of a device or a pipe. */
static int
check_target(const char *path)
{
    struct stat status;

    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode) &&
        !S_ISDIR(status.st_mode))
        return dsm__fail(-EINVAL, "%s is not a regular file", path);
    return 0;
}

/* Creates a file beside the path, under a name that nothing has yet: also not
 * what a program of the same pid, in a container, left when it was killed. */
static int
create_beside(char **beside, int *fd, const char *path)
{
    static _Atomic unsigned serial;

    for (int tries = 0; tries < 1000; tries++) {
        if (asprintf(beside, "%s.%ld-%u", path, (long)getpid(), serial++) < 0)
            return dsm__fail(-ENOMEM, "no memory to save '%s'", path);
        *fd = dsm__open(*beside, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (*fd >= 0)
            return 0;
        free(*beside);
        if (errno != EEXIST)
            break;
    }
    return dsm__fail_errno("cannot write beside '%s'", path);
}

int
dsm_array_save(const dsm_array *array, const char *npy_path)
{
    char *beside;
    int fd = -1, error;

    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    if ((error = check_target(npy_path)))
        return error;
    if ((error = create_beside(&beside, &fd, npy_path)))
        return error;
    error = write_beside(array, fd, npy_path);
    if (close(fd) < 0 && !error)
        error = dsm__fail_errno("cannot write %s", npy_path);
    if (!error && rename(beside, npy_path) < 0)
        error = dsm__fail_errno("cannot rename '%s' to '%s'", beside, npy_path);
    if (error)
        unlink(beside);
    else
        sync_directory(npy_path);
    free(beside);
    return error;
}
