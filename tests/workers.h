/* What the tests of clusters share: who the workers are, and whether a cluster
 * is whole. */
#ifndef TESTS_WORKERS_H
#define TESTS_WORKERS_H

#include "support.h"

#include <stdio.h>
#include <string.h>

/* What is known of a worker. */
static inline dsm_worker_info
test_info(const dsm_cluster *cluster, unsigned id)
{
    dsm_worker_info info = DSM_WORKER_INFO_INIT;

    ck_dsm(dsm_cluster_worker(cluster, id, &info));
    return info;
}

static inline pid_t
test_pid(const dsm_cluster *cluster, unsigned id)
{
    return test_info(cluster, id).pid;
}

/* Conditions: the process sleeps in the kernel; it is stopped. */
static inline char
test_process_state(pid_t pid)
{
    char path[64], state = '?';
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (!file)
        return '?';
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    fclose(file);
    return state;
}

static inline bool
test_asleep(const void *pid)
{
    return test_process_state(*(const pid_t *)pid) == 'S';
}

static inline bool
test_stopped(const void *pid)
{
    return test_process_state(*(const pid_t *)pid) == 'T';
}

/* All workers of the region, and only they, add to the same sum. */
static inline int
test_whole_part(dsm_worker *self, const void *arg, size_t arg_size)
{
    uint32_t sum = 1;

    (void)arg, (void)arg_size;
    if (dsm_worker_reduce(self, &sum, 1, DSM_UINT32, &DSM_SUM) < 0)
        return 1;
    return sum != dsm_worker_count(self);
}

/* Asserts that a region runs on all workers, who meet in it. */
static inline void
test_whole(dsm_cluster *cluster)
{
    uint64_t before[DSM_WORKERS_MAX];

    for (unsigned w = 0; w < dsm_cluster_workers(cluster); w++)
        before[w] = test_info(cluster, w).regions;
    ck_dsm(dsm_cluster_run(cluster, test_whole_part, NULL, 0));
    for (unsigned w = 0; w < dsm_cluster_workers(cluster); w++) {
        ck_assert_uint_eq(test_info(cluster, w).regions, before[w] + 1);
        ck_assert_int_gt(test_pid(cluster, w), 0);
    }
}

/* How long a region may last after a death: the grace and a second; more where
 * everything is slow. */
static inline double
test_grace(int grace_ms)
{
    return grace_ms / 1000.0 + (test_sanitized() ? 10 : 1);
}

/* Asserts that the worker, which was process `pid`, is said to have died in the
 * last region of that signal, or with that exit code. */
static inline void
test_died(const dsm_cluster *cluster, unsigned id, pid_t pid, int signal,
          int exit_code)
{
    dsm_worker_info info = test_info(cluster, id);
    char text[128], how[64];

    ck_assert_int_eq(info.dead_pid, pid);
    ck_assert_int_eq(info.signal, signal);
    ck_assert_int_eq(info.exit_code, exit_code);
    if (signal)
        snprintf(how, sizeof how, "died of SIG%s", sigabbrev_np(signal));
    else
        snprintf(how, sizeof how, "called exit(%d)", exit_code);
    snprintf(text, sizeof text, "worker %u (pid %ld) %s in region", id,
             (long)pid, how);
    ck_assert_msg(strstr(info.message, text), "'%s' has no '%s'", info.message,
                  text);
}

#endif
