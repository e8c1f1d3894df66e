/* System calls that fail on demand.
 *
 * The linker has the library call __wrap_NAME for each NAME below (--wrap in
 * Makefile.am), which counts and passes on, or fails the n-th call of a kind of
 * process.  All counts are shared by all processes. */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <stdbool.h>

#define FAULT_MAP(X)                                                           \
    X(accept4)                                                                 \
    X(asprintf)                                                                \
    X(bind)                                                                    \
    X(calloc)                                                                  \
    X(chmod)                                                                   \
    X(clone)                                                                   \
    X(close)                                                                   \
    X(connect)                                                                 \
    X(dlopen)                                                                  \
    X(epoll_create1)                                                           \
    X(epoll_ctl)                                                               \
    X(epoll_wait)                                                              \
    X(fallocate)                                                               \
    X(fchmod)                                                                  \
    X(fcntl)                                                                   \
    X(fdopen)                                                                  \
    X(flock)                                                                   \
    X(fopen)                                                                   \
    X(fork)                                                                    \
    X(fstat)                                                                   \
    X(fstatfs)                                                                 \
    X(fstatvfs)                                                                \
    X(fsync)                                                                   \
    X(ftruncate)                                                               \
    X(getsockopt)                                                              \
    X(linkat)                                                                  \
    X(listen)                                                                  \
    X(lseek)                                                                   \
    X(lstat)                                                                   \
    X(madvise)                                                                 \
    X(malloc)                                                                  \
    X(mmap)                                                                    \
    X(open)                                                                    \
    X(opendir)                                                                 \
    X(poll)                                                                    \
    X(pread)                                                                   \
    X(pthread_barrier_init)                                                    \
    X(pthread_barrierattr_init)                                                \
    X(pthread_mutex_init)                                                      \
    X(pthread_mutexattr_init)                                                  \
    X(pwrite)                                                                  \
    X(read)                                                                    \
    X(realloc)                                                                 \
    X(realpath)                                                                \
    X(recv)                                                                    \
    X(rename)                                                                  \
    X(send)                                                                    \
    X(sendto)                                                                  \
    X(signalfd)                                                                \
    X(socket)                                                                  \
    X(socketpair)                                                              \
    X(stat)                                                                    \
    X(statfs)                                                                  \
    X(statvfs)                                                                 \
    X(strdup)                                                                  \
    X(strndup)                                                                 \
    X(syscall)                                                                 \
    X(waitpid)                                                                 \
    X(write)

enum fault {
#define FAULT_ENUM(name) FAULT_##name,
    FAULT_MAP(FAULT_ENUM)
#undef FAULT_ENUM
        FAULTS
};

/* A process of the program's own, or of its cluster's. */
enum fault_kind { PROGRAM, SUPERVISOR, WORKER, FAULT_KINDS };

/* In place of an error number: of what is to be read or written, half is. */
#define FAULT_SHORT (-1)

const char *fault_name(enum fault fault);

/* Once, before any test. */
void faults_begin(void);

/* From now on calls are counted, and none fails. */
void faults_count(void);
int faults_counted(enum fault fault, enum fault_kind kind);

/* The n-th call from now on fails with this error number. */
void fault_at(enum fault fault, enum fault_kind kind, int n, int error);

/* Nothing fails or is counted any more; whether it did fail. */
bool faults_end(void);

/* How many failed in all. */
int faults_failed(enum fault fault);

#endif
