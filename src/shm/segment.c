/* Making, opening and allocating segments; see segment.h. */
#include "shm/segment.h"

#include "base/error.h"
#include "base/point.h"
#include "os/cgroup.h"
#include "os/process.h"
#include "shm/name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/* One fallocate of many gigabytes cannot be interrupted and, on EINTR, starts
 * again from nothing; in pieces it makes progress. */
#define ALLOCATE_STEP ((size_t)64 << 20)

/* What is smaller is not worth a look at the control groups. */
#define LARGE ((size_t)64 << 20)

static int
open_segment(const char *path, int flags)
{
    return dsm__open(path, flags | O_NOFOLLOW | O_NONBLOCK, 0600);
}

int
dsm__segment_refused(const char *what, const char *path)
{
    struct stat status;
    int error = errno;
    bool other = lstat(path, &status) == 0 && status.st_uid != geteuid();

    /* A new file takes no bytes yet. */
    if (error == ENOSPC)
        return dsm__fail(-ENOSPC,
                         "cannot %s %s: there is no room for more files (of a "
                         "tmpfs, raise nr_inodes)",
                         what, path);
    errno = error;
    if (!other)
        return dsm__fail_errno("cannot %s %s", what, path);
    return dsm__fail_errno("cannot %s %s, which belongs to user %lu", what,
                           path, (unsigned long)status.st_uid);
}

int
dsm__segment_limit(const char *path, size_t bytes)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur)
        return dsm__fail(-EFBIG,
                         "%s needs %s but files may have %s at most (ulimit "
                         "-f)",
                         path, dsm__bytes_text(bytes),
                         dsm__bytes_text(limit.rlim_cur));
    return 0;
}

static int
set_size(int fd, const char *path, size_t bytes)
{
    int error = dsm__segment_limit(path, bytes);

    if (error)
        return error;
    if (ftruncate(fd, (off_t)bytes) < 0)
        return dsm__fail_errno("cannot make segment %s %s large", path,
                               dsm__bytes_text(bytes));
    return 0;
}

/* Takes away a segment that could not be completed, unless the name is
 * another's by now: a sweeper may have found it, and whoever unlinks a segment
 * that is not his own has it locked. */
static void
drop(int fd, const char *path)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && dsm__segment_is(fd, path))
        unlink(path);
    close(fd);
}

int
dsm__segment_create(int *fd, const char *path, size_t bytes)
{
    int error;

    *fd = open_segment(path, O_RDWR | O_CREAT | O_EXCL);
    if (*fd < 0)
        return dsm__segment_refused("create segment", path);
    DSM__POINT("segment.create");
    /* The umask may have taken bits away from 0600. */
    if (fchmod(*fd, 0600) < 0)
        error = dsm__fail_errno("cannot set the mode of segment %s", path);
    else
        error = set_size(*fd, path, bytes);
    if (error) {
        drop(*fd, path);
        *fd = -1;
    }
    return error;
}

int
dsm__segment_create_unnamed(int *fd, const char *path, size_t bytes)
{
    char directory[DSM__PATH_SIZE];
    int error;

    snprintf(directory, sizeof directory, "%.*s",
             (int)(strrchr(path, '/') - path), path);
    *fd = open_segment(directory, O_RDWR | O_TMPFILE);
    if (*fd < 0)
        return dsm__fail_errno("cannot create a segment in %s", directory);
    error = set_size(*fd, path, bytes);
    if (error) {
        close(*fd);
        *fd = -1;
    }
    return error;
}

int
dsm__segment_link(int fd, const char *path)
{
    char itself[32];

    snprintf(itself, sizeof itself, "/proc/self/fd/%d", fd);
    /* The umask may have taken bits away from 0600. */
    if (fchmod(fd, 0600) < 0 ||
        linkat(AT_FDCWD, itself, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        return dsm__segment_refused("create segment", path);
    return 0;
}

static int
check(int fd, const char *path, struct stat *status)
{
    if (fstat(fd, status) < 0)
        return dsm__fail_errno("cannot look at segment %s", path);
    if (status->st_uid != geteuid())
        return dsm__fail(-EPERM, "%s belongs to user %lu, not to you", path,
                         (unsigned long)status->st_uid);
    if (!S_ISREG(status->st_mode))
        return dsm__fail(DSM_EFORMAT, "%s is not a regular file", path);
    return 0;
}

int
dsm__segment_open(int *fd, const char *path, bool writable, struct stat *status)
{
    int error;

    *fd = open_segment(path, writable ? O_RDWR : O_RDONLY);
    if (*fd < 0)
        return dsm__segment_refused("open segment", path);
    error = check(*fd, path, status);
    if (error) {
        close(*fd);
        *fd = -1;
    }
    return error;
}

/* Refuses what cannot fit before a single page is taken: a cgroup's limit would
 * kill the caller, and a full tmpfs starve everybody else meanwhile. */
static int
check_room(int fd, const char *path, size_t bytes, const char *what)
{
    struct statvfs room;
    struct statfs kind;
    unsigned long long available;
    long long headroom;

    if (fstatvfs(fd, &room) < 0 || fstatfs(fd, &kind) < 0)
        return dsm__fail_errno("cannot look at the file system of %s", path);
    available = (unsigned long long)room.f_bavail * room.f_frsize;
    /* f_blocks 0: a file system without a limit of its own. */
    if (room.f_blocks != 0 && bytes > available)
        return dsm__fail(-ENOSPC, "%s needs %s but %.*s has %s free%s", what,
                         dsm__bytes_text(bytes),
                         (int)(strrchr(path, '/') - path), path,
                         dsm__bytes_text(available),
                         strncmp(path, DSM__SHM_DIRECTORY "/", 9) == 0
                             ? " (in a container, raise --shm-size)"
                             : "");
    if (kind.f_type != TMPFS_MAGIC || bytes < LARGE)
        return 0;
    headroom = dsm__cgroup_memory("");
    if (headroom >= 0 && bytes > (unsigned long long)headroom)
        return dsm__fail(-ENOMEM,
                         "%s needs %s but this control group may take only %s "
                         "more (raise its memory limit)",
                         what, dsm__bytes_text(bytes),
                         dsm__bytes_text((unsigned long long)headroom));
    return 0;
}

static int
allocate_step(int fd, off_t begin, off_t bytes)
{
    int result;

    do {
        DSM__POINT("segment.allocate");
        result = fallocate(fd, 0, begin, bytes);
    } while (result < 0 && errno == EINTR);
    return result;
}

int
dsm__segment_allocate(int fd, const char *path, size_t begin, size_t bytes,
                      const char *what)
{
    int error = check_room(fd, path, bytes, what);

    for (size_t done = 0; !error && done < bytes; done += ALLOCATE_STEP) {
        size_t step =
            bytes - done < ALLOCATE_STEP ? bytes - done : ALLOCATE_STEP;
        if (allocate_step(fd, (off_t)(begin + done), (off_t)step) == 0)
            continue;
        if (errno == EOPNOTSUPP)
            error = dsm__fail(-EOPNOTSUPP,
                              "%s: the file system of %s cannot allocate "
                              "memory in advance; use a tmpfs",
                              what, path);
        else
            error =
                dsm__fail_errno("%s needs %s, of which %s could be taken", what,
                                dsm__bytes_text(bytes), dsm__bytes_text(done));
    }
    return error;
}

int
dsm__segment_write(int fd, const char *path, const void *data, size_t bytes,
                   const char *what)
{
    int error = check_room(fd, path, bytes, what);
    size_t done = 0;

    while (!error && done < bytes) {
        ssize_t n =
            pwrite(fd, (const char *)data + done, bytes - done, (off_t)done);

        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            error =
                dsm__fail_errno("%s needs %s, of which %s could be taken", what,
                                dsm__bytes_text(bytes), dsm__bytes_text(done));
    }
    return error;
}

ssize_t
dsm__segment_read(int fd, void *data, size_t bytes, size_t at)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t n =
            pread(fd, (char *)data + done, bytes - done, (off_t)(at + done));

        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)done;
}

void
dsm__segment_remove(const char *path)
{
    char sentence[DSM__SENTENCE];
    struct stat status;
    int fd;

    dsm__error_keep(sentence);
    if (dsm__segment_open(&fd, path, true, &status) == 0) {
        /* Whoever linked it under a name of his own wants to keep it.  Where it
         * is not supported the memory goes with the last mapping. */
        if (status.st_nlink == 1)
            (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                            status.st_size);
        DSM__POINT("segment.remove");
        close(fd);
    }
    unlink(path);
    dsm__error_restore(sentence);
}

bool
dsm__segment_is(int fd, const char *path)
{
    struct stat open_file, named_file;

    return fstat(fd, &open_file) == 0 && lstat(path, &named_file) == 0 &&
           open_file.st_dev == named_file.st_dev &&
           open_file.st_ino == named_file.st_ino;
}

size_t
dsm__segment_page(const char *directory)
{
    struct statfs kind;

    if (statfs(directory, &kind) == 0 && kind.f_type == HUGETLBFS_MAGIC)
        return (size_t)kind.f_bsize;
    return (size_t)sysconf(_SC_PAGESIZE);
}

const char *
dsm__bytes_text(unsigned long long bytes)
{
    static _Thread_local char text[4][24];
    static _Thread_local unsigned next;
    static const char *const unit[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    char *out = text[next++ % 4];
    double value = (double)bytes;
    size_t k = 0;

    while (value >= 1000 && k + 1 < sizeof unit / sizeof *unit) {
        value /= 1000;
        k++;
    }
    snprintf(out, sizeof *text, k && value < 10 ? "%.1f %s" : "%.0f %s", value,
             unit[k]);
    return out;
}

int
dsm__segment_scan(const char *directory, const char *prefix,
                  int (*visit)(const char *name, void *arg), void *arg)
{
    size_t length = strlen(prefix);
    DIR *files = opendir(directory);
    struct dirent *file;
    int result = 0;

    if (!files)
        return dsm__fail_errno("cannot read directory %s", directory);
    while (!result && (file = readdir(files)))
        if (strncmp(file->d_name, prefix, length) == 0)
            result = visit(file->d_name, arg);
    closedir(files);
    return result;
}
