/* A trace's file; see file.h.
 *
 * Its first line is whatever opened it, and every other one is an event,
 * ",{...}}".  The end of a line is written in front of the next: so an event
 * whose writer was killed in the midst of writing it stays a line of its own,
 * and can be told, because "}}" is nowhere but at an event's end.  Whoever ends
 * the file makes such lines blank.
 *
 * A process that may write holds a read lock of fcntl's, which no fork inherits
 * and every death gives back; whoever ends the file waits for the write lock.
 * So does, in vain, another cluster that is to have the same file. */
#include "trace/file.h"

#include "base/clock.h"
#include "base/error.h"
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define END "\n]}\n"
#define END_SIZE (sizeof END - 1)

/* How long the end waits for writers that were killed and are not yet dead.
 * There is a limit, as a stranger may have locked the file. */
#define PATIENCE_MS 1000
#define STEP_MS 5

/* Whether others hold a lock that excludes this one.  On a file system that has
 * no locks nobody does. */
static bool
excluded(int fd, short type)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};

    return fcntl(fd, F_SETLK, &whole) < 0 &&
           (errno == EAGAIN || errno == EACCES);
}

/* A descriptor; -EBUSY: a live cluster has the file. */
static int
open_one(const char *path)
{
    int fd = dsm__open(path, O_RDWR | O_CREAT | O_APPEND, 0666);
    struct stat status;
    int error = 0;

    if (fd < 0)
        return dsm__fail_errno("DSM_TRACE: %s", path);
    if (fstat(fd, &status) < 0)
        error = dsm__fail_errno("DSM_TRACE: %s", path);
    else if (!S_ISREG(status.st_mode))
        error = dsm__fail(-EINVAL, "DSM_TRACE: %s is no regular file", path);
    else if (excluded(fd, F_WRLCK))
        error = -EBUSY;
    else if (ftruncate(fd, 0) < 0)
        error = dsm__fail_errno("DSM_TRACE: %s", path);
    else
        (void)excluded(fd, F_RDLCK);
    if (!error)
        return fd;
    close(fd);
    return error;
}

int
dsm__trace_file_open(const char *name)
{
    /* A cluster that has ended may have had the name: by its number, the next
     * one does not write over that. */
    static _Atomic unsigned last;
    char path[PATH_MAX];
    int fd, length;

    do {
        unsigned n = atomic_fetch_add(&last, 1) + 1;

        length = snprintf(path, sizeof path, n > 1 ? "%s.%u" : "%s", name, n);
        if (length >= (int)sizeof path)
            return dsm__fail(-ENAMETOOLONG, "DSM_TRACE: the name is too long");
        fd = open_one(path);
    } while (fd == -EBUSY);
    return fd;
}

bool
dsm__trace_file_enter(int fd)
{
    return !excluded(fd, F_RDLCK);
}

void
dsm__trace_file_leave(int fd)
{
    (void)excluded(fd, F_UNLCK);
}

bool
dsm__trace_file_append(int fd, const char *lines, size_t size)
{
    ssize_t written;

    do
        written = write(fd, lines, size);
    while (written < 0 && errno == EINTR);
    return written == (ssize_t)size;
}

static void
wait_for_writers(int fd)
{
    struct timespec step = dsm__timespec(STEP_MS * DSM__NS_PER_MS);

    for (int ms = 0; excluded(fd, F_WRLCK) && ms < PATIENCE_MS; ms += STEP_MS)
        nanosleep(&step, NULL);
}

static bool
has_ended(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char last[END_SIZE];

    return pread(fd, last, END_SIZE, size - (off_t)END_SIZE) ==
               (ssize_t)END_SIZE &&
           memcmp(last, END, END_SIZE) == 0;
}

/* Without its end. */
static bool
is_event(const char *line, size_t length)
{
    return length == 0 || (length > 4 && memcmp(line, ",{", 2) == 0 &&
                           memcmp(line + length - 2, "}}", 2) == 0);
}

/* Makes lines blank that are not whole; the size of the file. */
static off_t
mend(FILE *file)
{
    char *line = NULL;
    size_t room = 0, length;
    off_t at = 0;
    ssize_t n;

    while ((n = getline(&line, &room, file)) > 0) {
        length = (size_t)n - (line[n - 1] == '\n');
        if (at > 0 && !is_event(line, length)) {
            memset(line, ' ', length);
            (void)!pwrite(fileno(file), line, length, at);
        }
        at += n;
    }
    free(line);
    return at;
}

void
dsm__trace_file_end(int fd)
{
    FILE *file;

    wait_for_writers(fd);
    /* Else pwrite, too, would append. */
    file = has_ended(fd) || fcntl(fd, F_SETFL, 0) < 0 ? NULL : fdopen(fd, "r+");
    if (!file) {
        close(fd);
        return;
    }
    rewind(file);
    (void)!pwrite(fd, END, END_SIZE, mend(file));
    fclose(file);
}
