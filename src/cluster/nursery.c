/* The supervisor's workers: forking, burying and replacing them.
 *
 * A dead worker's part of a region is ended for it, so that the region ends;
 * the others are told, and whoever has not left it after the grace is killed
 * too. Its replacement starts at once. */
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/outcome.h"
#include "cluster/watch.h"
#include "cluster/work.h"
#include "os/futex.h"
#include "os/process.h"
#include "pool/recover.h"
#include "sync/wait.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STARTS_MAX 3

/* What a worker must not inherit: above all the ends of the sockets, whose
 * closing tells of a death. */
static void
close_supervisor_fds(const struct dsm__watch *watch)
{
    const int fds[] = {watch->events, watch->signals, watch->listener,
                       watch->spare,  watch->command, watch->controller};

    for (size_t k = 0; k < sizeof fds / sizeof *fds; k++)
        if (fds[k] >= 0)
            close(fds[k]);
    for (unsigned k = 0; k < DSM__CLIENTS_MAX; k++)
        if (watch->clients[k] >= 0)
            close(watch->clients[k]);
}

static void
start_failed(struct dsm__watch *watch, int error, const char *message)
{
    if (++watch->failed_starts >= STARTS_MAX)
        dsm__watch_give_up(watch, error, message);
    else
        watch->retry = true;
}

static void
start_one(struct dsm__watch *watch, unsigned id)
{
    struct dsm__worker_slot *slot = dsm__worker_slot(watch->control, id);
    pid_t pid;

    slot->seen = 0;
    slot->start_code = 0;
    slot->state = DSM_WORKER_STARTING;
    DSM__POINT("supervisor.fork");
    pid = fork();
    if (pid == 0) {
        close_supervisor_fds(watch);
        dsm__worker_main(watch->cluster, id, watch->self);
    }
    watch->pids[id] = pid > 0 ? pid : 0;
    watch->killed[id] = false;
    slot->pid = watch->pids[id];
    if (pid < 0) {
        slot->state = DSM_WORKER_DEAD;
        start_failed(watch, -errno, "no process could be forked");
    }
}

void
dsm__workers_start(struct dsm__watch *watch)
{
    watch->retry = false;
    for (unsigned id = watch->control->first; id < watch->control->workers;
         id++)
        if (!watch->pids[id] && !watch->stopping && !watch->control->broken)
            start_one(watch, id);
}

unsigned
dsm__workers_alive(const struct dsm__watch *watch)
{
    unsigned n = 0;

    for (unsigned id = 0; id < watch->control->workers; id++)
        n += watch->pids[id] != 0;
    return n;
}

/* "died of SIGSEGV", "called exit(3)" */
static const char *
manner(int status, char *buffer, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(buffer, size, "died of %s",
                 dsm__signal_name(WTERMSIG(status)));
    else
        snprintf(buffer, size, "called exit(%d)", WEXITSTATUS(status));
    return buffer;
}

static void
end_part(struct dsm__watch *watch, unsigned id, pid_t pid, int status)
{
    struct dsm__control *control = watch->control;
    struct dsm__worker_slot *slot = dsm__worker_slot(control, id);
    uint32_t region = dsm__region_now(control);
    bool killed = slot->killed == region;
    bool cancelled = killed && !(control->region.reason & DSM__LOST);
    char how[64];

    if (!slot->outcome.order) {
        slot->outcome.dead_pid = pid;
        slot->outcome.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        slot->outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    }
    dsm__outcome_fail(control, slot, cancelled ? DSM_ECANCELED : DSM_EWORKER,
                      "worker %u (pid %ld) %s in region %u%s", id, (long)pid,
                      manner(status, how, sizeof how), region,
                      killed ? ", as it had not left after the grace" : "");
    DSM__POINT("supervisor.end_part");
    dsm__region_interrupt(control, region,
                          cancelled ? DSM__CANCELLED : DSM__LOST);
    if (!killed)
        dsm__workers_grace(watch, region, watch->cluster->options.grace_ms);
    dsm__part_end(control, id, region);
}

/* What it ran of jobs, and what becomes of that. */
static void
bury_jobs(struct dsm__watch *watch, unsigned id, pid_t pid, int status,
          bool refreshed)
{
    char how[64];
    struct dsm__death death = {
        .pid = pid,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
        .manner = manner(status, how, sizeof how),
    };

    if (refreshed)
        death.manner = "was replaced by a refresh";
    watch->dooms[id].deadline = 0;
    DSM__POINT("supervisor.bury_jobs");
    dsm__pool_bury(watch->control, id, &death);
}

static void
bury(struct dsm__watch *watch, unsigned id, pid_t pid, int status)
{
    struct dsm__control *control = watch->control;
    struct dsm__worker_slot *slot = dsm__worker_slot(control, id);
    uint32_t began = slot->began;
    bool starting = slot->state == DSM_WORKER_STARTING && !watch->killed[id];
    char how[64], message[128];

    watch->pids[id] = 0;
    slot->pid = 0;
    slot->state = DSM_WORKER_DEAD;
    if (watch->stopping)
        return;
    dsm__count(&slot->deaths, 1);
    bury_jobs(watch, id, pid, status, watch->replaced > 0);
    if (watch->replaced)
        watch->replaced--;
    snprintf(message, sizeof message, "worker %u (pid %ld) %s", id, (long)pid,
             manner(status, how, sizeof how));
    dsm__watch_log(watch, "%s\n", message);
    /* In this order: a region may begin just now, which it had no part in. */
    if (dsm__region_active(control) && began == dsm__region_now(control)) {
        if (!dsm__part_ended(control, id, began))
            end_part(watch, id, pid, status);
        else /* it may have died before it could say that all had ended */
            dsm__part_end(control, id, began);
    }
    if (!starting)
        watch->failed_starts = 0;
    else if (slot->start_code)
        start_failed(watch, slot->start_code, slot->start_message);
    else
        start_failed(watch, DSM_EWORKER, message);
}

static int
find(const struct dsm__watch *watch, pid_t pid)
{
    for (unsigned id = 0; id < watch->control->workers; id++)
        if (watch->pids[id] == pid)
            return (int)id;
    return -1;
}

void
dsm__workers_reap(struct dsm__watch *watch)
{
    int status, id;
    bool any = false;
    pid_t pid;

    /* All children of the supervisor are its own: workers, and what workers
     * left behind. */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        id = find(watch, pid);
        if (id < 0)
            continue;
        any = true;
        bury(watch, (unsigned)id, pid, status);
    }
    if (!any)
        return;
    dsm__spare_let(watch);
    dsm__kill_children(watch->pids, watch->control->workers);
    dsm__spare_hold(watch);
    if (!watch->retry)
        dsm__workers_start(watch);
    if (watch->refresher >= 0 && !watch->replaced)
        dsm__clients_refreshed(watch);
}

void
dsm__workers_grace(struct dsm__watch *watch, uint32_t region, int grace_ms)
{
    int64_t deadline = dsm__deadline(grace_ms);

    if (watch->region == region && watch->deadline <= deadline)
        return;
    watch->region = region;
    watch->deadline = deadline;
}

bool
dsm__workers_kill(struct dsm__watch *watch, uint32_t region)
{
    struct dsm__control *control = watch->control;
    bool later = false;

    for (unsigned id = control->first; id < control->workers; id++) {
        struct dsm__worker_slot *slot = dsm__worker_slot(control, id);

        if (!watch->pids[id] ||
            (region && dsm__part_ended(control, id, region)))
            continue;
        /* Its replacement will leave the region at once. */
        if (region && slot->killed == region)
            continue;
        if (region && slot->in_job && slot->began != region) {
            later = true;
            continue;
        }
        if (region)
            slot->killed = region;
        watch->killed[id] = true;
        kill(watch->pids[id], SIGKILL);
    }
    return later;
}
