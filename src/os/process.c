/* How the library forks and ends processes without the host noticing.
 *
 * A plain fork would make the supervisor a child of the host, whose
 * `while (wait(NULL) > 0)` loop would then wait for it and whose SIGCHLD
 * handler would meet it.  So an intermediate forks it: a process made by clone
 * with exit signal 0, which wait() does not see either, and which shares the
 * host's memory for its short life (CLONE_VM | CLONE_VFORK, as posix_spawn
 * does), so that glibc's fork finds its locks and its atfork handlers in a
 * consistent state. The grandchild then continues on the caller's own stack by
 * setcontext. */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#include <ucontext.h>
#include <unistd.h>

#define INTERMEDIATE_STACK ((size_t)256 * 1024)

struct launch {
    ucontext_t home;
    volatile bool in_child;
};

static int
intermediate(void *argument)
{
    struct launch *launch = argument;
    pid_t child = fork();

    if (child < 0)
        return errno; /* becomes this process's exit status */
    if (child > 0)
        return 0;
    launch->in_child = true;
    setcontext(&launch->home);
    return ENOTSUP;
}

static int
reap(pid_t pid)
{
    int status;

    /* __WALL: without SIGCHLD it is a "clone" child. */
    while (waitpid(pid, &status, __WALL) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EAGAIN;
}

/* The intermediate shares memory and so has no restartable sequences (rseq(2));
 * without them sched_getcpu() and allocators' caches for each CPU would see a
 * CPU that never changes. */
static void
register_rseq(void)
{
#ifdef RSEQ_SIG
    unsigned size = __rseq_size > 32 ? __rseq_size : 32;

    if (__rseq_size)
        syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
                size, 0, RSEQ_SIG);
#endif
}

int
dsm__fork_detached(void)
{
    struct launch launch = {.in_child = false};
    void *stack = mmap(NULL, INTERMEDIATE_STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    int result;
    pid_t pid;

    if (stack == MAP_FAILED)
        return -errno;
    getcontext(&launch.home);
    if (launch.in_child) {
        munmap(stack, INTERMEDIATE_STACK);
        register_rseq();
        return 1;
    }
    pid = clone(intermediate, (char *)stack + INTERMEDIATE_STACK,
                CLONE_VM | CLONE_VFORK, &launch);
    result = pid < 0 ? -errno : reap(pid);
    munmap(stack, INTERMEDIATE_STACK);
    return result;
}

void
dsm__signals_block(sigset_t *old)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, old);
}

void
dsm__signals_default(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for KILL, STOP and glibc's own */
}

int
dsm__pidfd_open(pid_t pid)
{
    long fd = syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : (int)fd;
}

void
dsm__process_await(pid_t pid, int timeout_ms)
{
    struct pollfd end = {.fd = dsm__pidfd_open(pid), .events = POLLIN};

    if (end.fd < 0)
        return;
    while (poll(&end, 1, timeout_ms) < 0 && errno == EINTR)
        ;
    close(end.fd);
}

int
dsm__fd_off_stdio(int fd)
{
    int moved;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return moved;
}

int
dsm__open(const char *path, int flags, unsigned mode)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return dsm__fd_off_stdio(fd);
}

static bool
is_kept(pid_t pid, const pid_t *keep, unsigned n)
{
    for (unsigned k = 0; k < n; k++)
        if (keep[k] == pid)
            return true;
    return false;
}

/* Kills and reaps the children that the kernel lists now; false when there are
 * none but those to keep. */
static bool
kill_listed(const pid_t *keep, unsigned n)
{
    char path[64];
    FILE *list;
    int pid;
    bool any = false;

    snprintf(path, sizeof path, "/proc/self/task/%ld/children",
             (long)syscall(SYS_gettid));
    list = fopen(path, "re");
    if (!list)
        return false;
    while (fscanf(list, "%d", &pid) == 1)
        /* What is no process's would be a group, or all. */
        if (pid > 0 && !is_kept(pid, keep, n)) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            any = true;
        }
    fclose(list);
    return any;
}

void
dsm__kill_children(const pid_t *keep, unsigned n)
{
    /* A killed child hands its own children to us: look until none is left.
     * The bound is for children that fork faster than we kill. */
    for (int pass = 0; pass < 1000 && kill_listed(keep, n); pass++)
        ;
}

uint64_t
dsm__pid_namespace(void)
{
    struct stat status;

    return stat("/proc/self/ns/pid", &status) < 0 ? 0 : status.st_ino;
}

static void
flush(FILE *stream)
{
    if (ftrylockfile(stream) != 0)
        return;
    fflush_unlocked(stream);
    funlockfile(stream);
}

void
dsm__stdio_flush(void)
{
    flush(stdout);
    flush(stderr);
}

void
dsm__stdio_purge(void)
{
    __fpurge(stdout);
    __fpurge(stderr);
}

const char *
dsm__program_name(void)
{
    return program_invocation_short_name ? program_invocation_short_name : "";
}

const char *
dsm__signal_name(int number)
{
    static _Thread_local char name[24];
    const char *abbreviation = sigabbrev_np(number);

    if (abbreviation)
        snprintf(name, sizeof name, "SIG%s", abbreviation);
    else
        snprintf(name, sizeof name, "signal %d", number);
    return name;
}
