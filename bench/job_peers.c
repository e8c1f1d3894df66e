/* The peers of bench_jobs in C: see job_peers.h. */
#include "job_peers.h"
#include "kernels.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* What a peer works on: its arguments and results, n of each. */
struct batch {
    size_t n;
    struct line *in, *out;
    uint32_t (*bins)[KERNEL_BINS];
    int to[2], from[2]; /* pipes */
};

struct peer {
    const char *name;
    int (*once)(void *batch);
    bool idle;        /* measured singly, after an idle time */
    bool has_process; /* at the other ends of the pipes */
};

static volatile uint64_t sink;

/* ---- One thread. */

static int
serial_histograms(void *context)
{
    const struct batch *batch = context;
    uint32_t bins[KERNEL_BINS] = {0};
    for (size_t i = 0; i < batch->n; i++)
        kernel_histogram(bins, i);
    sink = bins[0];
    return 0;
}

/* ---- A process at the other ends of two pipes. */

static void
answer(const struct batch *batch)
{
    char c;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(batch->to[1]);
    while (read(batch->to[0], &c, 1) == 1 && write(batch->from[1], &c, 1) == 1)
        continue;
    _exit(0);
}

static int
ask(void *context)
{
    const struct batch *batch = context;
    char c = 0;
    return write(batch->to[1], &c, 1) == 1 && read(batch->from[0], &c, 1) == 1
               ? 0
               : -1;
}

/* 0 or negative. */
static int
start_process(struct batch *batch, pid_t *pid)
{
    if (pipe(batch->to) != 0 || pipe(batch->from) != 0)
        return -1;
    *pid = fork();
    if (*pid == 0)
        answer(batch);
    return *pid < 0 ? -1 : 0;
}

static void
end_process(const struct batch *batch, pid_t pid)
{
    close(batch->to[1]);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* ---- OpenMP. */

#ifdef _OPENMP
static int
omp_tasks(void *context)
{
    const struct batch *batch = context;
#pragma omp parallel
#pragma omp single
    {
        for (size_t i = 0; i < batch->n; i++) {
#pragma omp task
            kernel_empty_item();
        }
#pragma omp taskwait
    }
    return 0;
}

static int
omp_taskloop(void *context)
{
    const struct batch *batch = context;
#pragma omp parallel
#pragma omp single
#pragma omp taskloop
    for (size_t i = 0; i < batch->n; i++)
        kernel_empty_item();
    return 0;
}

static int
omp_echo(void *context)
{
    const struct batch *batch = context;
#pragma omp parallel
#pragma omp single
#pragma omp taskloop
    for (size_t i = 0; i < batch->n; i++)
        batch->out[i] = batch->in[i];
    for (size_t i = 0; i < batch->n; i++)
        sink += (uint64_t)batch->out[i].bytes[0];
    return 0;
}

static int
omp_histograms(void *context)
{
    const struct batch *batch = context;
    uint32_t total[KERNEL_BINS] = {0};
    memset(batch->bins, 0, batch->n * sizeof *batch->bins);
#pragma omp parallel
#pragma omp single
    {
        for (size_t i = 0; i < batch->n; i++) {
#pragma omp task
            kernel_histogram(batch->bins[i], i);
        }
#pragma omp taskwait
    }
    for (size_t i = 0; i < batch->n; i++)
        kernel_add_bins(total, batch->bins[i]);
    sink = total[0];
    return 0;
}
#endif

static const struct peer peers[] = {
    {.name = "serial-histograms", .once = serial_histograms},
    {.name = "pipes", .once = ask, .has_process = true},
    {.name = "pipes-idle", .once = ask, .has_process = true, .idle = true},
#ifdef _OPENMP
    {.name = "omp-tasks", .once = omp_tasks},
    {.name = "omp-taskloop", .once = omp_taskloop},
    {.name = "omp-echo", .once = omp_echo},
    {.name = "omp-histograms", .once = omp_histograms},
    {.name = "omp-task", .once = omp_tasks},
    {.name = "omp-task-idle", .once = omp_tasks, .idle = true},
#endif
};

static const struct peer *
peer_of(const char *name)
{
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
        if (strcmp(peers[i].name, name) == 0)
            return &peers[i];
    return NULL;
}

/* The memory ends with the process. */
static int
make_batch(struct batch *batch, size_t n)
{
    batch->n = n;
    batch->in = calloc(n, sizeof *batch->in);
    batch->out = calloc(n, sizeof *batch->out);
    batch->bins = calloc(n, sizeof *batch->bins);
    if (batch->in == NULL || batch->out == NULL || batch->bins == NULL)
        return -1;
    memset(batch->in, 1, n * sizeof *batch->in);
    return 0;
}

int
measure_job_peer(const struct peer_work *work, double *ns)
{
    const struct peer *peer = peer_of(work->name);
    struct batch batch;
    pid_t pid = 0;
    if (peer == NULL)
        return SAMPLE_NOT_AVAILABLE;
#ifdef _OPENMP
    omp_set_num_threads((int)work->parties);
#endif
    if (make_batch(&batch, work->size) < 0 ||
        (peer->has_process && start_process(&batch, &pid) < 0))
        return -1;
    int error = peer->idle ? measure_singly(peer->once, &batch, work->count,
                                            IDLE_MS, ns)
                           : measure_loop(peer->once, &batch, work->count, ns);
    if (peer->has_process)
        end_process(&batch, pid);
    return error;
}
