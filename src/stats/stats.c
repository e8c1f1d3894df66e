/* Worker information and its table. */
#include "stats/stats.h"

#include "base/clock.h"
#include "base/error.h"
#include "registry/member.h"

#include <dsm/cluster.h>

#include <errno.h>
#include <string.h>

double
dsm__seconds_a_tick(const struct dsm__control *control)
{
    /* Unsigned, as `then` may be anything. */
    uint64_t ns = (uint64_t)dsm__now() - (uint64_t)control->ns_then;
    double ticks = (double)(dsm__ticks() - control->ticks_then);

    return ticks > 0 ? 1e-9 * (double)ns / ticks : 0;
}

/* A worker runs from the moment it begins a region until its bit is set, and
 * while it has a job. */
static dsm_worker_state
state_of(const struct dsm__control *control, unsigned id)
{
    const struct dsm__worker_slot *slot = dsm__worker_slot(control, id);
    uint32_t region = slot->began;
    uint64_t bit = UINT64_C(1) << id % 64;
    dsm_worker_state state = (dsm_worker_state)slot->state;

    if (state == DSM_WORKER_IDLE && slot->in_job)
        return DSM_WORKER_RUNNING;
    if (state == DSM_WORKER_IDLE && region &&
        region != control->region.done.word &&
        !(control->region.ended[id / 64][region & 1] & bit))
        return DSM_WORKER_RUNNING;
    return state <= DSM_WORKER_DEAD ? state : DSM_WORKER_DEAD;
}

/* What it works on now, as far as one look can tell. */
static void
describe_work(dsm_worker_info *info, const struct dsm__control *control)
{
    const struct dsm__worker_slot *slot = dsm__worker_slot(control, info->id);
    size_t size = sizeof info->work;

    if (info->state != DSM_WORKER_RUNNING)
        info->work[0] = '\0';
    else if (!slot->in_job)
        snprintf(info->work, size, "region %u", slot->began);
    else if (slot->job_name[0])
        snprintf(info->work, size, "job %.*s", (int)sizeof slot->job_name - 1,
                 slot->job_name);
    else
        snprintf(info->work, size, "job");
}

static void
fill(dsm_worker_info *info, const struct dsm__control *control, unsigned id)
{
    const struct dsm__worker_slot *slot = dsm__worker_slot(control, id);
    const struct dsm__outcome *outcome = &slot->outcome;
    double tick = dsm__seconds_a_tick(control);

    info->id = id;
    info->state = state_of(control, id);
    info->pid = slot->pid;
    info->value = outcome->value;
    info->signal = outcome->signal;
    info->exit_code = outcome->exit_code;
    info->dead_pid = outcome->dead_pid;
    /* Acquire: pairs with dsm__outcome_fail.  While a region fails at this very
     * moment the text may be mixed with an earlier one, but it ends. */
    if (atomic_load_explicit(&outcome->order, memory_order_acquire))
        memcpy(info->message, outcome->message, sizeof info->message);
    info->message[sizeof info->message - 1] = '\0';
    info->regions = slot->regions;
    info->jobs = slot->jobs;
    info->chunks = slot->chunks;
    info->chunk = slot->chunk;
    info->deaths = slot->deaths;
    info->busy = tick * (double)slot->busy;
    info->idle = tick * (double)slot->idle;
    info->barrier_wait = tick * (double)slot->barrier_wait;
    info->lock_wait = tick * (double)slot->lock_wait;
    info->job_busy = tick * (double)slot->job_busy;
    info->job_mean = info->jobs ? info->job_busy / (double)info->jobs : 0;
    info->job_worst = tick * (double)slot->job_worst;
    describe_work(info, control);
}

int
dsm_cluster_worker(const dsm_cluster *cluster, unsigned id,
                   dsm_worker_info *info)
{
    struct dsm__control *control = dsm__member(cluster)->control;
    dsm_worker_info all = DSM_WORKER_INFO_INIT;
    size_t size = info->size;

    if (!dsm__identity_ok() || !control)
        return dsm__identity_fail(__func__);
    if (size < sizeof info->size)
        return dsm__fail(-EINVAL, "set the info to DSM_WORKER_INFO_INIT first");
    if (id >= control->workers)
        return dsm__fail(-EINVAL,
                         "cluster '%s' has %u workers, and no worker %u",
                         control->name, control->workers, id);
    fill(&all, control, id);
    memcpy(info, &all, size < sizeof all ? size : sizeof all);
    info->size = size;
    return 0;
}

int
dsm_cluster_print_stats(const dsm_cluster *cluster, FILE *stream)
{
    static const char *const state[] = {"starting", "idle", "running", "dead"};
    struct dsm__control *control = dsm__member(cluster)->control;

    if (!dsm__identity_ok() || !control)
        return dsm__identity_fail(__func__);
    fprintf(stream,
            "%6s %8s %9s %9s %9s %9s %9s %9s %12s %10s %9s %11s %12s %6s\n",
            "WORKER", "PID", "STATE", "REGIONS", "CHUNKS", "CHUNK", "JOBS",
            "BUSY s", "BARRIER s", "LOCK s", "IDLE s", "JOB MEAN s",
            "JOB WORST s", "DEATHS");
    for (unsigned id = 0; id < control->workers; id++) {
        dsm_worker_info info = DSM_WORKER_INFO_INIT;

        fill(&info, control, id);
        fprintf(stream,
                "%6u %8ld %9s %9llu %9llu %9llu %9llu %9.3f %12.3f %10.3f "
                "%9.3f %11.6f %12.6f %6llu\n",
                id, (long)info.pid, state[info.state],
                (unsigned long long)info.regions,
                (unsigned long long)info.chunks, (unsigned long long)info.chunk,
                (unsigned long long)info.jobs, info.busy, info.barrier_wait,
                info.lock_wait, info.idle, info.job_mean, info.job_worst,
                (unsigned long long)info.deaths);
    }
    return ferror(stream) ? dsm__fail(-EIO, "cannot print the statistics") : 0;
}
