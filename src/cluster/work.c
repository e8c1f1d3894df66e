/* What a worker process does; see work.h.
 *
 * A worker waits for the number of the region to differ from the one that it
 * began last, which is in its slot and so outlives it: its replacement joins a
 * region that the dead one had not begun, and no other. */
#include "cluster/work.h"

#include "array/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/outcome.h"
#include "cluster/perform.h"
#include "os/process.h"
#include "sync/barrier.h"
#include "sync/gate.h"
#include "sync/lock.h"
#include "sync/wait.h"
#include "trace/trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Who waits longer than that has gone to sleep: some tens of microseconds. */
#define REST_TICKS 50000

#define NAP_MS 2 /* of a worker whom perhaps nobody wakes */

/* The worker that this process is, for the exit handler. */
static dsm_worker *process_self;

void
dsm__output_flush(void)
{
    if (__fpending(stdout))
        fflush(stdout);
    if (__fpending(stderr))
        fflush(stderr);
}

/* Runs before the host's own handlers, as it was registered last; they must not
 * run in a worker. */
static void
on_worker_exit(int status, void *argument)
{
    (void)argument;
    if (!process_self)
        return;
    dsm__output_flush();
    dsm__trace_flush();
    _exit(status);
}

void
dsm__worker_init(dsm_worker *self, dsm_cluster *cluster, unsigned id)
{
    struct dsm__control *control = cluster->member.control;

    *self = (dsm_worker){
        .cluster = cluster,
        .control = control,
        .slot = dsm__worker_slot(control, id),
        .id = id,
        .count = control->workers,
        .saved_output = {-1, -1},
    };
    dsm__taker_init(&self->taker, control, id);
}

/* A worker's memory goes first when memory is short: it can be replaced. */
static void
offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)!write(fd, "500", 3);
    close(fd);
}

/* One thread of OpenBLAS in each worker, if the program has it.  The function
 * for that would first start all the threads anew that the fork took away, so
 * the number itself is set, which the library exports.  Where OpenMP has the
 * threads (2), the function starts none. */
static void
limit_blas_threads(void)
{
    int *number = dlsym(RTLD_DEFAULT, "blas_cpu_number");
    void *set_symbol = dlsym(RTLD_DEFAULT, "openblas_set_num_threads");
    void *kind_symbol = dlsym(RTLD_DEFAULT, "openblas_get_parallel");
    void (*set_threads)(int);
    int (*kind)(void);

    if (!set_symbol || !kind_symbol)
        return;
    memcpy(&set_threads, &set_symbol, sizeof set_symbol);
    memcpy(&kind, &kind_symbol, sizeof kind_symbol);
    if (number && kind() != 2)
        *number = 1;
    else
        set_threads(1);
}

static void
become_worker(dsm_cluster *cluster, unsigned id, pid_t parent)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM};
    char name[16];

    DSM__POINT("worker.born");
    /* The parent may have died before the kernel was asked to tell of it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dsm__identity_arm() < 0)
        _exit(1);
    snprintf(name, sizeof name, "dsm-worker-%u", id);
    prctl(PR_SET_NAME, name);
    for (size_t k = 0; k < sizeof ignored / sizeof *ignored; k++)
        signal(ignored[k], SIG_IGN);
    pthread_sigmask(SIG_SETMASK, &cluster->host_mask, NULL);
    on_exit(on_worker_exit, NULL);
    dsm__locks_reset();
    offer_to_oom_killer();
    limit_blas_threads();
    if (cluster->places && cluster->options.bind != DSM_BIND_NONE)
        sched_setaffinity(0, sizeof cluster->places[id].cpus,
                          &cluster->places[id].cpus);
    cluster->member.role = DSM__WORKER;
    cluster->member.index = id;
    /* Closed by the supervisor's fork; a number may soon be another's. */
    cluster->member.command = cluster->member.other_end = -1;
    cluster->member.seen = &dsm__worker_slot(cluster->member.control, id)->seen;
    /* As the supervisor will: but nobody is to find a worker without a pid. */
    dsm__worker_slot(cluster->member.control, id)->pid = getpid();
    dsm__member_add(&cluster->member);
}

_Noreturn void
dsm__start_fail(dsm_worker *self, int code, const char *message)
{
    snprintf(self->slot->start_message, sizeof self->slot->start_message,
             "worker %u: %s", self->id, message);
    self->slot->start_code = code;
    dsm__output_flush();
    dsm__trace_flush();
    _exit(1);
}

static void
start(dsm_worker *self)
{
    const dsm_cluster_options *options = &self->cluster->options;
    struct dsm__event *ready = &self->control->ready;
    char message[40];
    int value = 0;

    DSM__POINT("worker.start");
    if (dsm__maps_sync(&self->cluster->member) < 0)
        dsm__start_fail(self, DSM_EFAILED, dsm_last_error());
    if (options->setup)
        value = options->setup(self, self->cluster->setup_arg,
                               options->setup_arg_size);
    if (value) {
        snprintf(message, sizeof message, "setup returned %d", value);
        dsm__start_fail(self, DSM_EFAILED, message);
    }
    dsm__output_flush();
    DSM__POINT("worker.ready");
    atomic_store(&self->slot->state, DSM_WORKER_IDLE);
    atomic_fetch_add(&ready->word, 1);
    dsm__wake(&ready->word, &ready->sleeping);
}

static bool
is_cancelled(const dsm_worker *self)
{
    const struct dsm__region *region = &self->control->region;

    return region->interrupt == self->region && region->reason & DSM__CANCELLED;
}

/* A region that was interrupted before it began here. */
static void
skip(dsm_worker *self)
{
    if (is_cancelled(self))
        dsm__outcome_fail(self->control, self->slot, DSM_ECANCELED,
                          "region %u was cancelled before worker %u began it",
                          self->region, self->id);
}

/* What is wrong with how the function ended, if anything. */
static void
judge(dsm_worker *self, int value, bool locked)
{
    struct dsm__control *control = self->control;
    bool cancelled = is_cancelled(self);

    self->slot->outcome.value = value;
    if (value) {
        bool obeyed =
            cancelled && (value == DSM_EBROKEN || value == DSM_ECANCELED);
        dsm__outcome_fail(control, self->slot,
                          obeyed ? DSM_ECANCELED
                                 : dsm__code_of_return(control, value),
                          "worker %u's function returned %d%s%s in region %u",
                          self->id, value, value < 0 ? ", " : "",
                          value < 0 ? dsm_errname(value) : "", self->region);
    } else if (locked) {
        dsm__outcome_fail(control, self->slot, DSM_EFAILED,
                          "worker %u left region %u holding a lock", self->id,
                          self->region);
    } else if (!cancelled && dsm__gate_waited_at(&control->region.gate)) {
        dsm__outcome_fail(control, self->slot, DSM_EBROKEN,
                          "worker %u left region %u while others waited for it "
                          "at the worker barrier",
                          self->id, self->region);
    } else if (dsm__gate_waited_at(&control->region.gate)) {
        dsm__gate_break(&control->region.gate);
    }
    if (self->slot->outcome.order)
        dsm__region_interrupt(control, self->region, DSM__LOST);
}

/* A worker that was asleep may have been woken on a CPU on which another one
 * computes: the scheduler would part them after some milliseconds only. */
static void
leave_crowd(const dsm_worker *self, uint32_t region)
{
    int here = sched_getcpu();
    bool crowded = false;
    cpu_set_t busy;

    CPU_ZERO(&busy);
    for (unsigned w = 0; w < self->count; w++) {
        struct dsm__worker_slot *slot = dsm__worker_slot(self->control, w);
        int cpu = atomic_load_explicit(&slot->cpu, memory_order_relaxed);

        /* The controller is where it started the region. */
        if (w >= self->control->first && slot->began != region)
            continue;
        if (w == self->id || cpu < 0 || cpu >= CPU_SETSIZE)
            continue;
        CPU_SET((size_t)cpu, &busy);
        crowded = crowded || cpu == here;
    }
    if (crowded)
        dsm__cpu_leave(&busy);
}

bool
dsm__part_run(dsm_worker *self)
{
    struct dsm__region *region = &self->control->region;
    unsigned locks = dsm__locks_held();
    uint64_t begin, end;
    int64_t began;
    bool locked;
    int value = 0;

    DSM__POINT("part.begin");
    if (self->slot->outcome.order || self->slot->outcome.value)
        dsm__outcome_clear(self->slot);
    self->region = dsm__region_now(self->control);
    self->half = 0;
    self->collective = NULL;
    if (self->rested) {
        leave_crowd(self, self->region);
        self->rested = false;
    }
    atomic_store_explicit(&self->slot->cpu, sched_getcpu(),
                          memory_order_relaxed);
    atomic_store_explicit(&self->slot->began, self->region,
                          memory_order_release);
    if (dsm__region_interrupted(self->control)) {
        skip(self);
        return true;
    }
    if (!dsm__maps_current(&self->cluster->member) &&
        (value = dsm__maps_sync(&self->cluster->member)) < 0)
        dsm_worker_fail(self, value, "worker %u: %s", self->id,
                        dsm_last_error());
    self->in_region = true;
    began = dsm__trace_begin();
    begin = dsm__ticks();
    value = region->fn(self, (const void *)(uintptr_t)region->arg,
                       region->arg_size);
    end = dsm__ticks();
    self->in_region = false;
    dsm__count(&self->slot->busy, end - begin);
    dsm__count(&self->slot->regions, 1);
    dsm__trace_span(DSM__TRACE_REGION, began, NULL, self->region, 0);
    if (process_self)
        dsm__output_flush();
    locked = dsm__locks_held() > locks;
    if (value || locked || dsm__gate_waited_at(&region->gate))
        judge(self, value, locked);
    DSM__POINT("part.end");
    return !locked &&
           !(self->slot->outcome.order && dsm__barriers_stuck(self->control));
}

/* A region that this worker has not begun, the end of the cluster, or jobs
 * while no region runs. */
static bool
has_work(const void *context)
{
    const dsm_worker *self = context;
    const struct dsm__control *control = self->control;

    if (dsm__region_now(control) !=
        atomic_load_explicit(&self->slot->began, memory_order_relaxed))
        return true;
    return (self->taker.next < self->taker.count || dsm__queued_any(control)) &&
           !dsm__region_active(control);
}

/* Only who finds nothing at once says that it looks: the word is everybody's.
 */
static bool
spin_for_work(dsm_worker *self)
{
    struct dsm__control *control = self->control;

    if (dsm__spin_until(control, has_work, self, control->spins / 8))
        return true;
    dsm__look(&self->taker, true);
    return dsm__spin_politely(control, has_work, self, control->spins);
}

/* While another looks, nobody may wake this one.  Should that one's next job be
 * a long one, against what it expects, this one is to notice. */
static int
sleep_for_work(dsm_worker *self)
{
    int64_t deadline = DSM__NO_DEADLINE;
    int error;

    dsm__look(&self->taker, false);
    if (dsm__others_look(&self->taker))
        deadline = dsm__deadline(NAP_MS);
    error = dsm__sleep_until(self->control, &self->control->work.event,
                             has_work, self, deadline);
    return error == -ETIMEDOUT ? 0 : error;
}

static void
wait_for_work(dsm_worker *self)
{
    struct dsm__control *control = self->control;
    uint64_t start_ticks = dsm__ticks();
    int error = 0;

    while (!has_work(self) && !spin_for_work(self) && !error) {
        error = sleep_for_work(self);
        /* It has slept in vain, and nobody waits for it now. */
        if (!has_work(self)) {
            dsm__trace_flush();
            dsm__queued_check(control);
        }
    }
    if (error)
        _exit(1); /* the supervisor is gone */
    start_ticks = dsm__ticks() - start_ticks;
    self->rested = start_ticks > REST_TICKS && control->yields == 0;
    dsm__count(&self->slot->idle, start_ticks);
}

static _Noreturn void
finish(dsm_worker *self)
{
    const dsm_cluster_options *options = &self->cluster->options;

    DSM__POINT("worker.finish");
    if (options->cleanup)
        (void)options->cleanup(self, self->cluster->setup_arg,
                               options->setup_arg_size);
    dsm__output_flush();
    dsm__trace_flush();
    _exit(0);
}

_Noreturn void
dsm__worker_main(dsm_cluster *cluster, unsigned id, pid_t parent)
{
    dsm_worker *self = &cluster->self;

    DSM__OUTERMOST();
    become_worker(cluster, id, parent);
    dsm__worker_init(self, cluster, id);
    process_self = self;
    dsm__worker_become(self->control, self->slot, true);
    dsm__trace_become(cluster->trace, id);
    start(self);
    for (;;) {
        wait_for_work(self);
        if (self->control->stopping)
            finish(self);
        if (dsm__region_now(self->control) == self->slot->began) {
            dsm__perform(self);
            continue;
        }
        dsm__look(&self->taker, false);
        if (!dsm__part_run(self)) {
            dsm__trace_flush();
            _exit(1);
        }
        dsm__part_end(self->control, id, self->region);
    }
}
