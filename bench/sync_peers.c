/* The peers of bench_sync.  Each runs in a process of its own (measure_peer),
 * which forks or starts its parties itself. */
#include "sync_peers.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAP_SIZE ((size_t)256 << 20)

/* What the forked parties share. */
struct meeting {
    atomic_uint arrived;
    _Alignas(64) pthread_barrier_t barrier;
    _Alignas(64) pthread_mutex_t mutex;
    int pipe[2];
    unsigned parties;
    struct measure_span spans[PEER_PARTIES_MAX];
};

struct peer {
    const char *name;
    int (*measure)(const struct peer *peer, unsigned parties, long count,
                   double *ns);
    /* For forked parties: one operation of party `id`, 0 or negative. */
    int (*step)(struct meeting *meeting, unsigned id);
    bool each;   /* an operation is one party's, not one of all together */
    bool spread; /* party k is bound to the k-th CPU */
};

/* ---- Parties in forked processes. */

static int
init_meeting(struct meeting *meeting, unsigned parties)
{
    pthread_barrierattr_t barrier;
    pthread_mutexattr_t mutex;
    pthread_barrierattr_init(&barrier);
    pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    meeting->parties = parties;
    if (pthread_barrier_init(&meeting->barrier, &barrier, parties) != 0 ||
        pthread_mutex_init(&meeting->mutex, &mutex) != 0)
        return -1;
    return pipe(meeting->pipe);
}

/* Waits until all parties are here: they spin, to begin together. */
static void
meet(struct meeting *meeting)
{
    atomic_fetch_add_explicit(&meeting->arrived, 1, memory_order_acq_rel);
    while (atomic_load_explicit(&meeting->arrived, memory_order_acquire) <
           meeting->parties)
        if (meeting->parties > measure_cpus())
            sched_yield();
}

static int
take_part(const struct peer *peer, struct meeting *meeting, unsigned id,
          long count)
{
    int error = 0;
    if (peer->spread)
        measure_pin(id);
    for (long i = 0; i < count / 10 + 1; i++)
        error |= peer->step(meeting, id);
    meet(meeting);
    meeting->spans[id].begin = measure_now();
    for (long i = 0; i < count; i++)
        error |= peer->step(meeting, id);
    meeting->spans[id].end = measure_now();
    return error;
}

static int
measure_forked(const struct peer *peer, unsigned parties, long count,
               double *ns)
{
    struct meeting *meeting =
        mmap(NULL, sizeof *meeting, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (meeting == MAP_FAILED || init_meeting(meeting, parties) != 0)
        return -1;
    for (unsigned id = 1; id < parties; id++) {
        pid_t pid = fork();
        if (pid < 0)
            return -1;
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(take_part(peer, meeting, id, count) != 0);
        }
    }
    int error = take_part(peer, meeting, 0, count), status;
    while (wait(&status) > 0)
        error |= status != 0;
    double operations = (double)count * (peer->each ? parties : 1);
    *ns = measure_overall(meeting->spans, parties) / operations * 1e9;
    return error;
}

static int
barrier_step(struct meeting *meeting, unsigned id)
{
    (void)id;
    int arrived = pthread_barrier_wait(&meeting->barrier);
    return arrived == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : -arrived;
}

static int
mutex_step(struct meeting *meeting, unsigned id)
{
    (void)id;
    int error = pthread_mutex_lock(&meeting->mutex);
    return -(error | pthread_mutex_unlock(&meeting->mutex));
}

static int
pipe_step(struct meeting *meeting, unsigned id)
{
    char message[MESSAGE_SIZE] = {0};
    const ssize_t size = MESSAGE_SIZE;
    bool alone = meeting->parties == 1;
    if ((alone || id == 0) && write(meeting->pipe[1], message, size) != size)
        return -1;
    if ((alone || id == 1) && read(meeting->pipe[0], message, size) != size)
        return -1;
    return 0;
}

/* ---- A mutex of one process. */

static void *
idle_thread(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

static int
private_mutex_step(void *context)
{
    int error = pthread_mutex_lock(context);
    return -(error | pthread_mutex_unlock(context));
}

static int
measure_private_mutex(const struct peer *peer, unsigned parties, long count,
                      double *ns)
{
    (void)peer, (void)parties;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread;
    /* glibc leaves out the atomic operation while there is one thread. */
    if (pthread_create(&thread, NULL, idle_thread, NULL) != 0)
        return -1;
    return measure_loop(private_mutex_step, &mutex, count, ns);
}

/* ---- fork and waitpid, instead of a region. */

static int
fork_region(void *context)
{
    unsigned parties = *(unsigned *)context;
    pid_t children[PEER_PARTIES_MAX];
    int error = 0;
    for (unsigned id = 0; id < parties; id++) {
        children[id] = fork();
        if (children[id] == 0)
            _exit(0);
    }
    for (unsigned id = 0; id < parties; id++)
        if (waitpid(children[id], NULL, 0) < 0)
            error = -1;
    return error;
}

static int
measure_fork(const struct peer *peer, unsigned parties, long count, double *ns)
{
    (void)peer;
    return measure_singly(fork_region, &parties, count, 0, ns);
}

/* The same in a process that has some memory in use: a fork copies the page
 * table of all of it. */
static int
measure_fork_heap(const struct peer *peer, unsigned parties, long count,
                  double *ns)
{
    char *heap = mmap(NULL, HEAP_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (heap == MAP_FAILED)
        return -1;
    madvise(heap, HEAP_SIZE, MADV_NOHUGEPAGE);
    memset(heap, 1, HEAP_SIZE);
    return measure_fork(peer, parties, count, ns);
}

/* ---- OpenMP. */

#ifdef _OPENMP
static int
measure_omp_barrier(const struct peer *peer, unsigned parties, long count,
                    double *ns)
{
    (void)peer;
    double seconds = 0;
#pragma omp parallel num_threads((int)parties)
    {
        for (long i = 0; i < count / 10 + 1; i++) {
#pragma omp barrier
        }
        double start = measure_now();
        for (long i = 0; i < count; i++) {
#pragma omp barrier
        }
#pragma omp master
        seconds = measure_now() - start;
    }
    *ns = seconds / (double)count * 1e9;
    return 0;
}

static int
omp_region(void *context)
{
    unsigned parties = *(unsigned *)context;
#pragma omp parallel num_threads((int)parties)
    {
        /* Keeps the region from being left out. */
        atomic_signal_fence(memory_order_seq_cst);
    }
    return 0;
}

static int
measure_omp_region(const struct peer *peer, unsigned parties, long count,
                   double *ns)
{
    (void)peer;
    return measure_loop(omp_region, &parties, count, ns);
}

static int
measure_omp_region_idle(const struct peer *peer, unsigned parties, long count,
                        double *ns)
{
    (void)peer;
    omp_region(&parties);
    return measure_singly(omp_region, &parties, count, IDLE_MS, ns);
}
#endif

static const struct peer peers[] = {
    {.name = "pthread-barrier",
     .measure = measure_forked,
     .step = barrier_step},
    {.name = "pthread-barrier-spread",
     .measure = measure_forked,
     .step = barrier_step,
     .spread = true},
    {.name = "mutex", .measure = measure_private_mutex},
    {.name = "robust-mutex",
     .measure = measure_forked,
     .step = mutex_step,
     .each = true},
    {.name = "pipe", .measure = measure_forked, .step = pipe_step},
    {.name = "fork", .measure = measure_fork},
    {.name = "fork-heap", .measure = measure_fork_heap},
#ifdef _OPENMP
    {.name = "omp-barrier", .measure = measure_omp_barrier},
    {.name = "omp-region", .measure = measure_omp_region},
    {.name = "omp-region-idle", .measure = measure_omp_region_idle},
#endif
};

int
measure_sync_peer(const struct peer_work *work, double *ns)
{
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
        if (strcmp(peers[i].name, work->name) == 0)
            return peers[i].measure(&peers[i], work->parties, work->count, ns);
    return SAMPLE_NOT_AVAILABLE;
}
