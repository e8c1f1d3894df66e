/* Where the processes of a test of locks, barriers and queues meet: workers,
 * the test itself, its threads, and programs that attach. */
#ifndef TESTS_MEETING_H
#define TESTS_MEETING_H

#include "hosts.h"
#include "workers.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEETING_PLACES 64

/* Lies in test_shared. */
struct meeting {
    char name[DSM_NAME_MAX + 1]; /* of the cluster */
    _Atomic int step;            /* of what is to happen */
    _Atomic int32_t waiter[MEETING_PLACES];
    _Atomic int result[MEETING_PLACES]; /* of a call */
    _Atomic int count[MEETING_PLACES];  /* whatever a test counts */
};

_Static_assert(sizeof(struct meeting) <= 4096, "a meeting fits");

#define NO_RESULT 12345

static inline struct meeting *
meeting(void)
{
    return test_shared;
}

/* A cluster for programs to attach to, which were forked before and wait for
 * step 1. */
static inline dsm_cluster *
meeting_cluster(unsigned workers)
{
    dsm_cluster *cluster = test_cluster(workers);

    for (unsigned k = 0; k < MEETING_PLACES; k++)
        meeting()->result[k] = NO_RESULT;
    strcpy(meeting()->name, dsm_cluster_name(cluster));
    return cluster;
}

static inline void
next_step(void)
{
    atomic_fetch_add(&meeting()->step, 1);
}

static inline bool
step_reached(const void *step)
{
    return meeting()->step >= *(const int *)step;
}

/* In a worker or a program: false when the others were too late. */
static inline bool
await_step(int step)
{
    return test_poll(step_reached, &step);
}

/* To be said right before a call that waits. */
static inline void
now_waits(unsigned place)
{
    meeting()->waiter[place] = (int32_t)syscall(SYS_gettid);
}

/* Condition: whoever said so sleeps. */
static inline bool
is_waiting(const void *place)
{
    pid_t thread = meeting()->waiter[*(const unsigned *)place];

    return thread && test_asleep(&thread);
}

static inline bool
await_waiting(unsigned place)
{
    return test_poll(is_waiting, &place);
}

/* Condition: the call's result is there. */
static inline bool
has_result(const void *place)
{
    return meeting()->result[*(const unsigned *)place] != NO_RESULT;
}

static inline void
ck_result(unsigned place, int result)
{
    test_await(has_result, &place);
    ck_assert_msg(meeting()->result[place] == result,
                  "the call at place %u gave %s, not %s", place,
                  dsm_errname(meeting()->result[place]), dsm_errname(result));
}

/* A program that waits for step 1 and then attaches; NULL if it cannot. */
static inline dsm_cluster *
attach_to_meeting(void)
{
    dsm_cluster *cluster;

    host_begin();
    if (!await_step(1) || dsm_cluster_attach(&cluster, meeting()->name) < 0)
        return NULL;
    return cluster;
}

/* This process ends, and nothing that it had begun. */
static inline _Noreturn void
die(void)
{
    kill(getpid(), SIGKILL);
    pause_for_ever();
}

/* Asserts that the process was killed and not lost otherwise. */
static inline void
ck_killed(pid_t pid)
{
    int status = test_reap(pid);

    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}

#endif
