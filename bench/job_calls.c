/* See job_calls.h. */
#include "job_calls.h"
#include "job_peers.h"
#include "kernels.h"

#include <dsm.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    dsm_cluster *cluster;
    dsm_job **jobs;     /* JOBS_MAX handles */
    struct line *lines; /* as many arguments */
    uint64_t *seeds;    /* and other ones */
    /* Made when a figure first needs them. */
    size_t large;          /* bytes of each */
    char *source, *target; /* of the controller */
    dsm_array *array;
} pool;

static volatile uint64_t sink;

static int
complain(const char *what)
{
    fprintf(stderr, "bench_jobs: %s: %s\n", what, dsm_last_error());
    return SAMPLE_FAILED;
}

int
sample_job_call(const struct figure *figure, long count, double *ns)
{
    const struct job_call *call = figure->detail;
    size_t size = figure->size;
    int error = call->idle_ms > 0 ? measure_singly(call->once, &size, count,
                                                   call->idle_ms, ns)
                                  : measure_loop(call->once, &size, count, ns);
    return error < 0 ? complain(figure->name) : SAMPLE_TAKEN;
}

/* ---- What workers do. */

static int
do_nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

static int
do_echo(dsm_worker *self, const void *arg, size_t arg_size)
{
    return dsm_worker_return(self, arg, arg_size);
}

static int
do_read_pages(dsm_worker *self, const void *arg, size_t arg_size)
{
    uint64_t sum = kernel_read_pages(arg, arg_size);
    return dsm_worker_return(self, &sum, sizeof sum);
}

static int
do_sum(dsm_worker *self, const void *arg, size_t arg_size)
{
    double sum = kernel_sum(arg, arg_size / sizeof sum);
    return dsm_worker_return(self, &sum, sizeof sum);
}

/* Bytes of an array. */
struct piece {
    const void *data;
    size_t size;
};

static int
do_return_piece(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct piece *piece = arg;
    (void)arg_size;
    return dsm_worker_return(self, piece->data, piece->size);
}

/* A region that has each worker map the array. */
static int
do_touch_piece(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct piece *piece = arg;
    (void)self, (void)arg_size;
    sink = kernel_read_pages(piece->data, piece->size);
    return 0;
}

static int
do_histogram(dsm_worker *self, const void *arg, size_t arg_size)
{
    uint32_t bins[KERNEL_BINS] = {0};
    (void)arg_size;
    kernel_histogram(bins, *(const uint64_t *)arg);
    return dsm_worker_return(self, bins, sizeof bins);
}

/* The same work as a region: each worker has an equal share of the jobs. */
static int
do_histograms(dsm_worker *self, const void *arg, size_t arg_size)
{
    uint32_t bins[KERNEL_BINS] = {0};
    dsm_range mine = dsm_worker_range(self, *(const size_t *)arg);
    (void)arg_size;
    for (size_t i = mine.begin; i < mine.end; i++)
        kernel_histogram(bins, i);
    sink = bins[0];
    return 0;
}

struct publishing {
    size_t count;
    int timeout_ms;
};

static int
do_publish(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct publishing *publishing = arg;
    (void)arg_size;
    for (uint64_t i = 0; i < publishing->count; i++) {
        int error =
            dsm_worker_publish(self, &i, sizeof i, publishing->timeout_ms);
        if (error < 0)
            dsm_worker_fail(self, error, "%s", dsm_last_error());
    }
    return 0;
}

/* ---- Small jobs. */

/* Waits for the job, looks at its result and releases it. */
static int
finish(dsm_job *job)
{
    const void *result;
    size_t size;
    int error = dsm_job_result(job, &result, &size, DSM_FOREVER);
    if (error == 0 && size > 0)
        sink += *(const unsigned char *)result;
    dsm_job_release(job);
    return error;
}

static int
finish_all(size_t n)
{
    int error = dsm_cluster_drain(pool.cluster, DSM_FOREVER);
    for (size_t i = 0; i < n && error == 0; i++)
        error = finish(pool.jobs[i]);
    return error;
}

/* The n jobs in the order in which they end. */
static int
finish_next(size_t n)
{
    int error = 0;
    for (size_t i = 0; i < n && error == 0; i++) {
        dsm_job *job;
        error = dsm_job_next(&job, pool.cluster, DSM_FOREVER);
        if (error == 0)
            error = finish(job);
    }
    return error;
}

int
call_round_trip(void *size)
{
    dsm_job *job;
    (void)size;
    int error = dsm_job_submit(&job, pool.cluster, do_nothing, NULL, 0, NULL);
    return error < 0 ? error : finish(job);
}

static int
submit_each(size_t n)
{
    int error = 0;
    for (size_t i = 0; i < n && error == 0; i++)
        error = dsm_job_submit(&pool.jobs[i], pool.cluster, do_nothing, NULL, 0,
                               NULL);
    return error;
}

int
call_submit_and_next(void *size)
{
    size_t n = *(size_t *)size;
    int error = submit_each(n);
    return error < 0 ? error : finish_next(n);
}

int
call_submit_and_drain(void *size)
{
    size_t n = *(size_t *)size;
    int error = submit_each(n);
    return error < 0 ? error : finish_all(n);
}

int
call_map_and_drain(void *size)
{
    size_t n = *(size_t *)size;
    int error =
        dsm_job_map(pool.jobs, pool.cluster, do_nothing, NULL, 0, n, NULL);
    return error < 0 ? error : finish_all(n);
}

int
call_map_and_next(void *size)
{
    size_t n = *(size_t *)size;
    int error = dsm_job_map(NULL, pool.cluster, do_nothing, NULL, 0, n, NULL);
    return error < 0 ? error : finish_next(n);
}

int
call_map_lines(void *size)
{
    size_t n = *(size_t *)size;
    int error = dsm_job_map(pool.jobs, pool.cluster, do_echo, pool.lines,
                            sizeof *pool.lines, n, NULL);
    return error < 0 ? error : finish_all(n);
}

/* ---- Jobs of some length. */

int
call_map_histograms(void *size)
{
    size_t n = *(size_t *)size, result_size;
    uint32_t total[KERNEL_BINS] = {0};
    int error = dsm_job_map(pool.jobs, pool.cluster, do_histogram, pool.seeds,
                            sizeof *pool.seeds, n, NULL);
    for (size_t i = 0; i < n && error == 0; i++) {
        const void *bins;
        error = dsm_job_result(pool.jobs[i], &bins, &result_size, DSM_FOREVER);
        if (error == 0)
            kernel_add_bins(total, bins);
        dsm_job_release(pool.jobs[i]);
    }
    sink = total[0];
    return error;
}

int
limit_histograms(void *size)
{
    return dsm_cluster_run(pool.cluster, do_histograms, size, sizeof(size_t));
}

/* ---- Large arguments and results; `size` is in MiB. */

static int
need_buffers(void)
{
    if (pool.target != NULL)
        return 0;
    pool.source = malloc(pool.large);
    pool.target = malloc(pool.large);
    if (pool.source == NULL || pool.target == NULL) {
        fputs("bench_jobs: no memory (--quick needs less)\n", stderr);
        return -ENOMEM;
    }
    memset(pool.source, 1, pool.large);
    memset(pool.target, 2, pool.large);
    return 0;
}

static int
need_array(void)
{
    if (pool.array != NULL)
        return 0;
    int error = dsm_array_create(&pool.array, pool.cluster, "array", DSM_UINT8,
                                 DSM_SHAPE(pool.large));
    if (error < 0)
        return error;
    struct piece piece = {dsm_array_data(pool.array), pool.large};
    memset(dsm_array_data(pool.array), 1, pool.large);
    return dsm_cluster_run(pool.cluster, do_touch_piece, &piece, sizeof piece);
}

static size_t
bytes_of(const void *size)
{
    return *(const size_t *)size << 20;
}

static int
submit_source(dsm_fn fn, size_t bytes)
{
    dsm_job *job;
    int error = need_buffers();
    if (error == 0)
        error =
            dsm_job_submit(&job, pool.cluster, fn, pool.source, bytes, NULL);
    return error < 0 ? error : finish(job);
}

int
call_argument_read(void *size)
{
    return submit_source(do_read_pages, bytes_of(size));
}

int
call_argument_summed(void *size)
{
    return submit_source(do_sum, bytes_of(size));
}

int
call_result_read(void *size)
{
    const void *result;
    size_t result_size;
    dsm_job *job;
    int error = need_array();
    if (error < 0)
        return error;
    struct piece piece = {dsm_array_data(pool.array), bytes_of(size)};
    error = dsm_job_submit(&job, pool.cluster, do_return_piece, &piece,
                           sizeof piece, NULL);
    if (error < 0)
        return error;
    error = dsm_job_result(job, &result, &result_size, DSM_FOREVER);
    if (error == 0)
        sink = kernel_read_pages(result, result_size);
    dsm_job_release(job);
    return error;
}

int
limit_copy(void *size)
{
    int error = need_buffers();
    if (error == 0)
        memcpy(pool.target, pool.source, bytes_of(size));
    return error;
}

/* What a copy costs into memory that another process can map, and that nobody
 * has touched. */
int
call_copy_to_new(void *size)
{
    size_t bytes = bytes_of(size);
    int error = need_buffers();
    if (error < 0)
        return error;
    int fd = memfd_create("bench_jobs", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        return -errno;
    void *new = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (new == MAP_FAILED)
        return -errno;
    memcpy(new, pool.source, bytes);
    munmap(new, bytes);
    return 0;
}

/* ---- Provisional results. */

static void
take(dsm_job *job, void *arg)
{
    bool *ended = arg;
    const void *data;
    size_t size;
    if (dsm_job_provisional(job, &data, &size) == 0)
        sink = *(const uint64_t *)data;
    *ended = dsm_job_result(job, NULL, NULL, 0) != DSM_EPENDING;
}

/* A job publishes, the controller takes what it gets. */
static int
publish(size_t count, int timeout_ms)
{
    struct publishing publishing = {count, timeout_ms};
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job;
    bool ended = false;
    options.callback = take;
    options.callback_arg = &ended;
    int error = dsm_job_submit(&job, pool.cluster, do_publish, &publishing,
                               sizeof publishing, &options);
    if (error < 0)
        return error;
    while (!ended && error >= 0)
        error = dsm_cluster_poll(pool.cluster, DSM_FOREVER);
    return error < 0 ? error : finish(job);
}

int
call_publish_newest(void *size)
{
    return publish(*(size_t *)size, 0);
}

int
call_publish_every(void *size)
{
    return publish(*(size_t *)size, DSM_FOREVER);
}

/* ---- The pool. */

/* The cluster comes first: a fork copies the page table of all memory. */
int
job_pool_make(size_t mib)
{
    if (dsm_cluster_create(&pool.cluster, measure_cpus(), NULL) < 0)
        return complain("creating a cluster");
    pool.large = mib << 20;
    pool.jobs = calloc(JOBS_MAX, sizeof *pool.jobs);
    pool.lines = calloc(JOBS_MAX, sizeof *pool.lines);
    pool.seeds = calloc(JOBS_MAX, sizeof *pool.seeds);
    if (pool.jobs == NULL || pool.lines == NULL || pool.seeds == NULL) {
        fputs("bench_jobs: no memory\n", stderr);
        return SAMPLE_FAILED;
    }
    memset(pool.lines, 1, JOBS_MAX * sizeof *pool.lines);
    for (size_t i = 0; i < JOBS_MAX; i++)
        pool.seeds[i] = i;
    return 0;
}

void
job_pool_free(void)
{
    dsm_cluster_destroy(pool.cluster);
    free(pool.jobs);
    free(pool.lines);
    free(pool.seeds);
    free(pool.source);
    free(pool.target);
}
