/* Programs that a test starts as other users, in other namespaces or under
 * limits, and which say what went wrong with them. */
#ifndef TESTS_ACTS_H
#define TESTS_ACTS_H

#include "hosts.h"

#include <errno.h>
#include <sys/wait.h>

/* Behind the scene. */
#define SENTENCE ((char *)test_shared + 2048)
#define SENTENCE_SIZE 1024

/* Ends the program, unless it is so. */
#define WANT(condition)                                                        \
    do {                                                                       \
        if (!(condition)) {                                                    \
            snprintf(SENTENCE, SENTENCE_SIZE, "line %d: %s; %s; %s", __LINE__, \
                     #condition, strerror(errno), dsm_last_error());           \
            return 1;                                                          \
        }                                                                      \
    } while (0)

#define LARGE ((size_t)300000)

/* A job: publishes so much if its argument is one byte, else returns it; fails
 * with the code and the sentence of what failed. */
static inline int
give_much(dsm_worker *self, const void *arg, size_t arg_size)
{
    static char large[LARGE];
    int error = arg_size == 1 ? dsm_worker_publish(self, large, sizeof large, 0)
                              : dsm_worker_return(self, large, sizeof large);

    (void)arg;
    if (error)
        dsm_worker_fail(self, error, "%s", dsm_last_error());
    return 0;
}

/* Asserts that it ends well. */
static inline void
ck_well(pid_t pid)
{
    int status = test_reap(pid);

    ck_assert_msg(status == 0, "status %#x: %s", (unsigned)status, SENTENCE);
}

/* Waits until the program's cluster is there. */
static inline void
await_ready(pid_t pid)
{
    while (!scene()->ready) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            ck_abort_msg("ended early: %s", SENTENCE);
        pause_briefly();
    }
}

/* Condition, in the program: it may go on. */
static inline bool
go_on(const void *arg)
{
    (void)arg;
    return scene()->go != 0;
}

#endif
