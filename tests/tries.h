/* What the tests share in which a job's worker dies: jobs that die, wait or
 * compute as their argument says, and what is left of them. */
#ifndef TESTS_TRIES_H
#define TESTS_TRIES_H

#include "workers.h"

#include "job/ledger.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define LARGE ((size_t)200000)

/* In test_shared: what jobs and the test tell each other. */
struct tries {
    _Atomic int inside, go; /* jobs that wait, until it is set */
    _Atomic int count[8];   /* tries of a job, by its `k` */
    _Atomic int32_t pid;    /* of who was there last */
};

static inline struct tries *
tries(void)
{
    return test_shared;
}

enum what { COMPUTE, DIE, EXIT, LEAVE, WAIT, OBEY, IGNORE };

/* A job's argument. */
struct deed {
    int k;
    enum what what;
    int number; /* of the signal, or the exit code */
    int deaths; /* so many tries die before one computes */
    bool large; /* what it returns and publishes before it dies or ends */
};

/* The k-th job's result. */
static inline uint64_t
right_result(int k)
{
    return UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(k + 1);
}

static inline int
return_right(dsm_worker *self, int k, bool large)
{
    static uint64_t values[LARGE / sizeof(uint64_t)];
    size_t n = large ? LARGE / sizeof(uint64_t) : 1;

    for (size_t i = 0; i < n; i++)
        values[i] = right_result(k) + i;
    if (large && dsm_worker_publish(self, values, LARGE, 0) < 0)
        return 1;
    return dsm_worker_return(self, values, n * sizeof(uint64_t));
}

static inline void
be_inside(void)
{
    tries()->pid = getpid();
    atomic_fetch_add(&tries()->inside, 1);
}

/* Until the test lets it go, or cancels it, if it obeys. */
static inline void
wait_inside(const dsm_worker *self, const struct deed *deed)
{
    be_inside();
    while (!(deed->what == WAIT && tries()->go) &&
           !(deed->what == OBEY && dsm_worker_cancelled(self)))
        usleep(1000);
}

/* Dies, if this try is to; with something wrong returned. */
static inline void
die_inside(dsm_worker *self, const struct deed *deed)
{
    be_inside();
    if (atomic_fetch_add(&tries()->count[deed->k % 8], 1) >= deed->deaths)
        return;
    if (return_right(self, deed->k + 1000, deed->large) < 0)
        return;
    if (deed->what == EXIT)
        exit(deed->number);
    if (deed->what == LEAVE)
        _exit(deed->number);
    signal(deed->number, SIG_DFL);
    raise(deed->number);
}

static inline int
do_deed(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct deed *deed = arg;
    bool dies = deed->what == DIE || deed->what == EXIT || deed->what == LEAVE;

    (void)arg_size;
    if (dies)
        die_inside(self, deed);
    else if (deed->what != COMPUTE)
        wait_inside(self, deed);
    if (deed->what == OBEY)
        return DSM_ECANCELED;
    return return_right(self, deed->k, deed->large && !dies);
}

/* ---- In the test. */

/* A cluster whose workers leave no core files. */
static inline dsm_cluster *
tries_cluster(unsigned workers)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    return test_cluster(workers);
}

static inline dsm_job *
submit_deed(dsm_cluster *cluster, struct deed deed, unsigned retries)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job;

    options.retries = retries;
    ck_dsm(
        dsm_job_submit(&job, cluster, do_deed, &deed, sizeof deed, &options));
    return job;
}

static inline dsm_job_info
job_info(dsm_job *job)
{
    dsm_job_info info = DSM_JOB_INFO_INIT;

    ck_dsm(dsm_job_status(job, &info));
    return info;
}

static inline int
wait_ms(void)
{
    return test_sanitized() ? 60000 : 20000;
}

/* Asserts that it ended well, with the k-th result, in so many tries (0: in any
 * number). */
static inline void
ck_right(dsm_job *job, int k, bool large, unsigned in_tries)
{
    const void *result;
    const uint64_t *values;
    size_t size, n;

    ck_dsm(dsm_job_result(job, &result, &size, wait_ms()));
    ck_assert_uint_eq(size, large ? LARGE : sizeof(uint64_t));
    values = result;
    n = size / sizeof(uint64_t);
    for (size_t i = 0; i < n; i += i + 1 < n ? n - 1 : 1)
        ck_assert_uint_eq(values[i], right_result(k) + i);
    if (in_tries)
        ck_assert_uint_eq(job_info(job).tries, in_tries);
    ck_assert_int_eq(job_info(job).state, DSM_JOB_FINISHED);
    ck_assert_int_eq(job_info(job).signal, 0);
}

/* Condition: so many jobs are inside. */
static inline bool
jobs_inside(const void *n)
{
    return tries()->inside == *(const int *)n;
}

static inline void
await_inside(int n)
{
    test_await(jobs_inside, &n);
}

/* Condition: the worker has another process than that one, which is ready. */
struct replaced {
    dsm_cluster *cluster;
    unsigned worker;
    pid_t pid;
};

static inline bool
is_replaced(const void *context)
{
    const struct replaced *was = context;
    dsm_worker_info info = test_info(was->cluster, was->worker);

    return info.pid && info.pid != was->pid && info.state != DSM_WORKER_DEAD &&
           info.state != DSM_WORKER_STARTING;
}

/* Files in /dev/shm that jobs of the cluster have; not crates that this program
 * keeps for others. */
static inline int
parcels(const dsm_cluster *cluster)
{
    char prefix[96];
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    int n = 0;

    ck_assert_ptr_nonnull(files);
    snprintf(prefix, sizeof prefix, "dsm.%lu.%s..j", (unsigned long)geteuid(),
             dsm_cluster_name(cluster));
    while ((file = readdir(files)))
        n += strncmp(file->d_name, prefix, strlen(prefix)) == 0;
    closedir(files);
    if (cluster->ledger)
        n -= (int)((struct dsm__ledger *)cluster->ledger)->crates.count;
    return n;
}

/* Jobs still run, one on each worker and all together. */
static inline void
ck_jobs_run(dsm_cluster *cluster)
{
    dsm_job *job[8];

    for (int k = 0; k < 8; k++)
        job[k] = submit_deed(cluster, (struct deed){.k = k}, 0);
    for (int k = 0; k < 8; k++) {
        ck_right(job[k], k, false, 1);
        dsm_job_release(job[k]);
    }
    test_whole(cluster);
}

#endif
