/* Processes: forking out of the host's sight, signals, descendants. */
#ifndef DSM_OS_PROCESS_H
#define DSM_OS_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Forks a child that is not this process's child: its end sends no SIGCHLD here
 * and no wait() sees it.  Returns 1 in the child, 0 here, or -errno.  The
 * caller has blocked all signals. */
int dsm__fork_detached(void);

/* Blocks all signals of this thread; *old has the mask before. */
void dsm__signals_block(sigset_t *old);

/* Sets every signal's disposition to its default. */
void dsm__signals_default(void);

/* A file descriptor that becomes readable when the process ends, or -errno
 * (-ENOSYS on kernels before 5.3 and under some seccomp filters). */
int dsm__pidfd_open(pid_t pid);

/* Waits for its end, for at most so long, if the kernel has pidfd_open. */
void dsm__process_await(pid_t pid, int timeout_ms);

/* A descriptor that open() or socket() gave, or -1: moved away from 0 to 2,
 * into which a host that has closed them may still print. */
int dsm__fd_off_stdio(int fd);

/* open(), again when a signal came, close-on-exec and off the standard streams.
 */
int dsm__open(const char *path, int flags, unsigned mode);

/* Kills and reaps every child of this process but keep[0..n-1], and whoever
 * becomes one because its own parent was killed (the caller is a subreaper). */
void dsm__kill_children(const pid_t *keep, unsigned n);

/* An id of the pid namespace; 0 where /proc does not tell. */
uint64_t dsm__pid_namespace(void);

/* Flushes stdout and stderr before a fork, so that nothing is printed twice;
 * never blocks on a stream that another thread uses. */
void dsm__stdio_flush(void);

/* In the child: forgets what could not be flushed. */
void dsm__stdio_purge(void);

/* The name of the running program, without its directory; never NULL. */
const char *dsm__program_name(void);

/* Makes the calling function the outermost for whoever unwinds the stack.  A
 * worker runs on a copy of its host's: a C++ exception that left its function
 * would find the handlers around dsm_cluster_create, and the program go on
 * twice.  So it finds none, which is std::terminate; and pthread_exit runs no
 * destructors of the host's frames. */
#if defined __x86_64__
#define DSM__OUTERMOST() __asm__ volatile(".cfi_undefined rip")
#elif defined __aarch64__
#define DSM__OUTERMOST() __asm__ volatile(".cfi_undefined x30")
#elif defined __riscv
#define DSM__OUTERMOST() __asm__ volatile(".cfi_undefined ra")
#else
#define DSM__OUTERMOST() ((void)0)
#endif

/* "SIGSEGV", "SIGKILL"; "signal 42" is written to a thread-local buffer. */
const char *dsm__signal_name(int signal);

#endif
