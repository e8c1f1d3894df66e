/* What tests of jobs share: jobs that hold workers up until the test lets them
 * go, and a record of which ran.  It lies in test_shared. */
#ifndef TESTS_HELD_H
#define TESTS_HELD_H

#include "support.h"

#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define HELD_RECORD 900

struct held {
    _Atomic int inside;    /* jobs that have begun to wait */
    _Atomic int go;        /* those with this number or a lower one end */
    _Atomic int count;     /* jobs that were recorded */
    _Atomic int value[16]; /* whatever a test needs */
    _Atomic int record[HELD_RECORD]; /* their numbers, as they ran */
};

_Static_assert(sizeof(struct held) <= 4096, "it fits");

static inline struct held *
held(void)
{
    return test_shared;
}

static inline void
wait_a_moment(void)
{
    struct timespec ms = {.tv_nsec = 1000000};

    nanosleep(&ms, NULL);
}

/* A job: waits until its number, by default 1, may go. */
static inline int
hold(dsm_worker *self, const void *arg, size_t arg_size)
{
    int number = arg_size ? *(const int *)arg : 1;

    (void)self;
    atomic_fetch_add(&held()->inside, 1);
    while (held()->go < number)
        wait_a_moment();
    return 0;
}

/* A job: waits until it is to end. */
static inline int
obey(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    atomic_fetch_add(&held()->inside, 1);
    while (!dsm_worker_cancelled(self))
        wait_a_moment();
    return 9;
}

/* A job: does not end by itself. */
static inline int
hang(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    atomic_fetch_add(&held()->inside, 1);
    while (held()->go >= 0)
        wait_a_moment();
    return 0;
}

/* A job: says that it ran. */
static inline int
record(dsm_worker *self, const void *arg, size_t arg_size)
{
    int at = atomic_fetch_add(&held()->count, 1);

    (void)self;
    if (at < HELD_RECORD)
        held()->record[at] = arg_size ? *(const int *)arg : 0;
    return 0;
}

/* Conditions: so many jobs hold workers up; were recorded; a job has ended. */
static inline bool
inside_reached(const void *count)
{
    return held()->inside >= *(const int *)count;
}

static inline bool
count_reached(const void *count)
{
    return held()->count >= *(const int *)count;
}

static inline bool
has_ended(const void *job)
{
    return dsm_job_result((dsm_job *)(uintptr_t)job, NULL, NULL, 0) !=
           DSM_EPENDING;
}

static inline dsm_job *
submit(dsm_cluster *cluster, dsm_fn fn, const void *arg, size_t arg_size)
{
    dsm_job *job;

    ck_dsm(dsm_job_submit(&job, cluster, fn, arg, arg_size, NULL));
    return job;
}

static inline dsm_job *
submit_number(dsm_cluster *cluster, dsm_fn fn, int number)
{
    return submit(cluster, fn, &number, sizeof number);
}

static inline dsm_job *
submit_with(dsm_cluster *cluster, dsm_fn fn, int number,
            dsm_job_callback callback, void *arg)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job;

    options.callback = callback;
    options.callback_arg = arg;
    ck_dsm(dsm_job_submit(&job, cluster, fn, &number, sizeof number, &options));
    return job;
}

/* Has `n` workers held up by jobs that wait for go >= 1, and are released. */
static inline void
hold_workers(dsm_cluster *cluster, int n)
{
    int inside = held()->inside + n;

    for (int k = 0; k < n; k++)
        dsm_job_release(submit(cluster, hold, NULL, 0));
    test_await(inside_reached, &inside);
}

static inline void
let_go(int number)
{
    held()->go = number;
}

static inline dsm_job_info
job_info(dsm_job *job)
{
    dsm_job_info info = DSM_JOB_INFO_INIT;

    ck_dsm(dsm_job_status(job, &info));
    return info;
}

/* Asserts that the job finished, and releases it. */
static inline void
ck_finished(dsm_job *job)
{
    ck_dsm(dsm_job_result(job, NULL, NULL, DSM_FOREVER));
    ck_assert_int_eq(job_info(job).state, DSM_JOB_FINISHED);
    dsm_job_release(job);
}

/* Whether the descriptor is so within that time. */
static inline bool
is_readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int n = poll(&one, 1, timeout_ms);

    ck_assert_int_ge(n, 0);
    return n == 1 && one.revents & POLLIN;
}

/* A cluster with so many unreleased jobs of a program. */
static inline dsm_cluster *
small_cluster(unsigned workers, unsigned max_jobs)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    options.max_jobs = max_jobs;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

#endif
