/* What becomes of jobs when somebody dies: the supervisor's side of the pool.
 */
#ifndef DSM_POOL_RECOVER_H
#define DSM_POOL_RECOVER_H

#include "pool/pool.h"

#include <sys/types.h>

/* How a worker ended. */
struct dsm__death {
    pid_t pid;
    int signal, exit_code;
    const char *manner; /* "died of SIGKILL" */
};

/* A worker has died and been reaped: its job fails or is queued again, and what
 * it had taken besides is queued still.  How many jobs failed so. */
unsigned dsm__pool_bury(struct dsm__control *control, unsigned worker,
                        const struct dsm__death *death);

/* The job, if it still runs in that turn, is to end with its worker: which is
 * then to be killed, and is returned; -1: it does not. */
int dsm__job_doom(struct dsm__control *control, unsigned program,
                  uint64_t entry);

/* The worker that runs the job in that turn, or -1. */
int dsm__job_runner(const struct dsm__control *control, unsigned program,
                    uint64_t entry);

/* A program is gone: its queued jobs never run, its running ones are asked to
 * end.  Calls visit for each of these with its entry. */
void dsm__program_gone(struct dsm__control *control, unsigned program,
                       void (*visit)(void *context, unsigned program,
                                     uint64_t entry),
                       void *context);

/* Whether nothing runs any more of a program that is gone; its part of the pool
 * is then another's to use. */
bool dsm__program_settled(struct dsm__control *control, unsigned program);

/* A new program has this number: whatever was asked of the last one's jobs does
 * not concern it. */
void dsm__program_welcome(struct dsm__control *control, unsigned program);

/* Wakes all programs that wait for jobs, to look what has become of the
 * cluster.
 */
void dsm__programs_wake(struct dsm__control *control);

#endif
