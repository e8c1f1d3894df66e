/* System calls that fail on demand; see faults.h. */
#include "faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shared {
    _Atomic int counting;
    _Atomic int fault, kind, n, error; /* fault: -1: none */
    _Atomic int fired;
    _Atomic int count[FAULTS][FAULT_KINDS];
    _Atomic int failed[FAULTS];
} * shared;

const char *
fault_name(enum fault fault)
{
    static const char *const names[] = {
#define NAME(name) #name,
        FAULT_MAP(NAME)
#undef NAME
    };

    return names[fault];
}

void
faults_begin(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    shared->fault = -1;
}

void
faults_count(void)
{
    memset((void *)shared->count, 0, sizeof shared->count);
    shared->fault = -1;
    shared->counting = 1;
}

int
faults_counted(enum fault fault, enum fault_kind kind)
{
    return shared->count[fault][kind];
}

void
fault_at(enum fault fault, enum fault_kind kind, int n, int error)
{
    memset((void *)shared->count, 0, sizeof shared->count);
    shared->kind = (int)kind;
    shared->n = n;
    shared->error = error;
    shared->fired = 0;
    shared->fault = (int)fault;
    shared->counting = 1;
}

bool
faults_end(void)
{
    shared->counting = 0;
    shared->fault = -1;
    return shared->fired;
}

int
faults_failed(enum fault fault)
{
    return shared->failed[fault];
}

static enum fault_kind
kind_here(void)
{
    char name[16] = "";

    prctl(PR_GET_NAME, name);
    if (strncmp(name, "dsm-worker", 10) == 0)
        return WORKER;
    return strcmp(name, "dsm-supervisor") == 0 ? SUPERVISOR : PROGRAM;
}

/* 0: it is to be called; else how it fails, with errno set. */
static int
fails(enum fault fault)
{
    int saved = errno, error = 0;
    enum fault_kind kind;

    if (!shared || !shared->counting ||
        (shared->fault >= 0 && shared->fault != (int)fault))
        return 0;
    kind = kind_here();
    if (atomic_fetch_add(&shared->count[fault][kind], 1) + 1 == shared->n &&
        shared->fault == (int)fault && shared->kind == (int)kind) {
        shared->fired = 1;
        atomic_fetch_add(&shared->failed[fault], 1);
        error = shared->error;
    }
    errno = error > 0 ? error : saved;
    return error;
}

#define WRAP(type, name, parameters, arguments, failure)                       \
    type __real_##name parameters;                                             \
    type __wrap_##name parameters;                                             \
    type __wrap_##name parameters                                              \
    {                                                                          \
        if (fails(FAULT_##name))                                               \
            return failure;                                                    \
        return __real_##name arguments;                                        \
    }

/* Half of the bytes may be passed on. */
#define WRAP_BYTES(name, parameters, arguments)                                \
    ssize_t __real_##name parameters;                                          \
    ssize_t __wrap_##name parameters;                                          \
    ssize_t __wrap_##name parameters                                           \
    {                                                                          \
        int error = fails(FAULT_##name);                                       \
                                                                               \
        if (error > 0)                                                         \
            return -1;                                                         \
        if (error == FAULT_SHORT && size > 1)                                  \
            size /= 2;                                                         \
        return __real_##name arguments;                                        \
    }

/* A pthread function gives its error. */
#define WRAP_PTHREAD(name, parameters, arguments)                              \
    WRAP(int, name, parameters, arguments, errno)

WRAP(int, accept4,
     (int fd, struct sockaddr *address, socklen_t *size, int flags),
     (fd, address, size, flags), -1)
WRAP(int, bind, (int fd, const struct sockaddr *address, socklen_t size),
     (fd, address, size), -1)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL)
WRAP(int, chmod, (const char *path, mode_t mode), (path, mode), -1)
WRAP(int, connect, (int fd, const struct sockaddr *address, socklen_t size),
     (fd, address, size), -1)
WRAP(int, epoll_create1, (int flags), (flags), -1)
WRAP(int, epoll_ctl, (int set, int what, int fd, struct epoll_event *event),
     (set, what, fd, event), -1)
WRAP(int, epoll_wait, (int set, struct epoll_event *event, int n, int ms),
     (set, event, n, ms), -1)
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t size),
     (fd, mode, at, size), -1)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
WRAP(FILE *, fdopen, (int fd, const char *mode), (fd, mode), NULL)
WRAP(int, flock, (int fd, int how), (fd, how), -1)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL)
WRAP(pid_t, fork, (void), (), -1)
WRAP(int, fstat, (int fd, struct stat *status), (fd, status), -1)
WRAP(int, fstatfs, (int fd, struct statfs *status), (fd, status), -1)
WRAP(int, fstatvfs, (int fd, struct statvfs *status), (fd, status), -1)
WRAP(int, fsync, (int fd), (fd), -1)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), -1)
WRAP(int, getsockopt,
     (int fd, int level, int name, void *value, socklen_t *size),
     (fd, level, name, value, size), -1)
WRAP(int, linkat,
     (int old_fd, const char *old_path, int new_fd, const char *new_path,
      int flags),
     (old_fd, old_path, new_fd, new_path, flags), -1)
WRAP(int, listen, (int fd, int n), (fd, n), -1)
WRAP(off_t, lseek, (int fd, off_t at, int from), (fd, at, from), -1)
WRAP(int, lstat, (const char *path, struct stat *status), (path, status), -1)
WRAP(int, madvise, (void *at, size_t size, int advice), (at, size, advice), -1)
WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(void *, mmap,
     (void *at, size_t size, int protection, int flags, int fd, off_t from),
     (at, size, protection, flags, fd, from), MAP_FAILED)
WRAP(DIR *, opendir, (const char *path), (path), NULL)
WRAP(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms), -1)
WRAP_BYTES(pread, (int fd, void *data, size_t size, off_t at),
           (fd, data, size, at))
WRAP_PTHREAD(pthread_barrier_init,
             (pthread_barrier_t * barrier,
              const pthread_barrierattr_t *attributes, unsigned n),
             (barrier, attributes, n))
WRAP_PTHREAD(pthread_barrierattr_init, (pthread_barrierattr_t * attributes),
             (attributes))
WRAP_PTHREAD(pthread_mutexattr_init, (pthread_mutexattr_t * attributes),
             (attributes))
WRAP_BYTES(pwrite, (int fd, const void *data, size_t size, off_t at),
           (fd, data, size, at))
WRAP_BYTES(read, (int fd, void *data, size_t size), (fd, data, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size), NULL)
WRAP(char *, realpath, (const char *path, char *resolved), (path, resolved),
     NULL)
WRAP(ssize_t, recv, (int fd, void *data, size_t size, int flags),
     (fd, data, size, flags), -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), -1)
WRAP(ssize_t, send, (int fd, const void *data, size_t size, int flags),
     (fd, data, size, flags), -1)
WRAP(ssize_t, sendto,
     (int fd, const void *data, size_t size, int flags,
      const struct sockaddr *address, socklen_t length),
     (fd, data, size, flags, address, length), -1)
WRAP(int, signalfd, (int fd, const sigset_t *signals, int flags),
     (fd, signals, flags), -1)
WRAP(int, socket, (int domain, int type, int protocol),
     (domain, type, protocol), -1)
WRAP(int, socketpair, (int domain, int type, int protocol, int ends[2]),
     (domain, type, protocol, ends), -1)
WRAP(int, stat, (const char *path, struct stat *status), (path, status), -1)
WRAP(int, statfs, (const char *path, struct statfs *status), (path, status), -1)
WRAP(int, statvfs, (const char *path, struct statvfs *status), (path, status),
     -1)
WRAP(char *, strdup, (const char *text), (text), NULL)
WRAP(char *, strndup, (const char *text, size_t size), (text, size), NULL)
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options),
     (pid, status, options), -1)
WRAP_BYTES(write, (int fd, const void *data, size_t size), (fd, data, size))

/* ---- Those that need something more. */

int __real_pthread_mutex_init(pthread_mutex_t *mutex,
                              const pthread_mutexattr_t *attributes);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex,
                              const pthread_mutexattr_t *attributes);

/* An ordinary mutex can always be made. */
int
__wrap_pthread_mutex_init(pthread_mutex_t *mutex,
                          const pthread_mutexattr_t *attributes)
{
    if (attributes && fails(FAULT_pthread_mutex_init))
        return errno;
    return __real_pthread_mutex_init(mutex, attributes);
}

int __real_close(int fd);
int __wrap_close(int fd);

/* It is closed all the same. */
int
__wrap_close(int fd)
{
    int error = fails(FAULT_close), result = __real_close(fd);

    if (!error)
        return result;
    errno = error;
    return -1;
}

void *__real_dlopen(const char *path, int flags);
void *__wrap_dlopen(const char *path, int flags);

/* Its error is dlerror's. */
void *
__wrap_dlopen(const char *path, int flags)
{
    if (fails(FAULT_dlopen))
        path = "/dev/null/injected.so";
    return __real_dlopen(path, flags);
}

int __real_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);

int
__wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    if (fails(FAULT_clone))
        return -1;
    return __real_clone(fn, stack, flags, arg);
}

int __wrap_asprintf(char **text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

int
__wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    int length;

    if (fails(FAULT_asprintf))
        return -1;
    va_start(arguments, format);
    length = vasprintf(text, format, arguments);
    va_end(arguments);
    return length;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int
__wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    if (fails(FAULT_open))
        return -1;
    va_start(arguments, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);

int
__wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    void *argument;

    if (fails(FAULT_fcntl))
        return -1;
    va_start(arguments, command);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return __real_fcntl(fd, command, argument);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* Only that one is failed: a futex may always wake for nothing. */
long
__wrap_syscall(long number, ...)
{
    va_list arguments;
    long argument[6];

    if (number == SYS_pidfd_open && fails(FAULT_syscall))
        return -1;
    va_start(arguments, number);
    for (int k = 0; k < 6; k++)
        argument[k] = va_arg(arguments, long);
    va_end(arguments);
    return __real_syscall(number, argument[0], argument[1], argument[2],
                          argument[3], argument[4], argument[5]);
}
