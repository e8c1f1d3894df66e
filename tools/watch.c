/* Reading what the workers of clusters do, for dsmctl top.
 *
 * Busy and idle seconds are counted when a region or job ends or begins, not
 * within: of a worker that runs the time since then is taken as busy.  So a
 * figure is wrong in at most one interval at each end of a long function.
 *
 * Clusters of different programs lie at the same addresses: one that is watched
 * alone stays attached, several take turns. */
#include "top.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double
watch_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- One worker. */

/* Resident pages that are not shared: the arrays' are the cluster's. */
static uint64_t
own_memory(pid_t pid)
{
    unsigned long resident = 0, shared = 0;
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (!file)
        return 0;
    if (fscanf(file, "%*u %lu %lu", &resident, &shared) != 2 ||
        shared > resident)
        resident = shared = 0;
    fclose(file);
    return (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What was counted at its end, at once, may be of more than this interval. */
static double
part_of(double seconds, double interval)
{
    double part = seconds / interval;

    return part < 0 ? 0 : part > 1 ? 1 : part;
}

static void
measure(struct row *row, const dsm_worker_info *now,
        const dsm_worker_info *before, double interval)
{
    row->measured = true;
    row->busy = now->state == DSM_WORKER_RUNNING
                    ? 1 - part_of(now->idle - before->idle, interval)
                    : part_of(now->busy - before->busy, interval);
    row->barrier = part_of(now->barrier_wait - before->barrier_wait, interval);
    row->rate = (double)(now->jobs - before->jobs) / interval;
}

static void
fill_row(struct row *row, const dsm_worker_info *info)
{
    row->id = info->id;
    row->pid = info->pid;
    row->state = info->state;
    row->jobs = info->jobs;
    row->deaths = info->deaths;
    row->memory = own_memory(info->pid);
    row->mean = info->job_mean;
    row->worst = info->job_worst;
    memcpy(row->work, info->work, sizeof row->work);
}

static void
add_up(struct row *sum, const struct row *rows, unsigned count)
{
    double seconds = 0;

    for (const struct row *row = rows; row < rows + count; row++) {
        sum->measured = row->measured;
        sum->busy += row->busy / count;
        sum->barrier += row->barrier / count;
        sum->rate += row->rate;
        sum->jobs += row->jobs;
        sum->deaths += row->deaths;
        sum->memory += row->memory;
        seconds += row->mean * (double)row->jobs;
        if (row->worst > sum->worst)
            sum->worst = row->worst;
    }
    if (sum->jobs > 0)
        sum->mean = seconds / (double)sum->jobs;
}

/* ---- One cluster. */

static void
let_go(struct watch *watch)
{
    dsm_cluster_destroy(watch->handle);
    watch->handle = NULL;
}

static void
forget(struct watch *watch)
{
    let_go(watch);
    free(watch->rows);
    free(watch->last_read);
}

static void
read_workers(struct watch *watch)
{
    double now = watch_clock(), interval = now - watch->when;
    unsigned workers = watch->info.workers;

    for (unsigned id = 0; id < workers; id++) {
        dsm_worker_info info = DSM_WORKER_INFO_INIT;
        struct row *row = &watch->rows[id];

        if (dsm_cluster_worker(watch->handle, id, &info) < 0)
            continue;
        *row = (struct row){.cluster = watch->info.name};
        fill_row(row, &info);
        if (watch->when > 0 && interval > 0)
            measure(row, &info, &watch->last_read[id], interval);
        watch->last_read[id] = info;
    }
    watch->rows[workers] =
        (struct row){.cluster = watch->info.name, .sum = true};
    add_up(&watch->rows[workers], watch->rows, workers);
    watch->when = now;
}

static void
read_cluster(struct watch *watch, bool alone)
{
    *watch->trouble = '\0';
    if (!watch->handle &&
        dsm_cluster_attach(&watch->handle, watch->info.name) < 0)
        snprintf(watch->trouble, sizeof watch->trouble, "%s", dsm_last_error());
    if (watch->handle)
        read_workers(watch);
    if (!alone)
        let_go(watch);
}

/* ---- All of them. */

struct update {
    const struct watch_list *before;
    struct watch_list after;
};

/* The one of before, which is then no longer there, or a new one.  That of
 * another cluster with the same name is of no use: it is younger. */
static struct watch
take_watch(const struct watch_list *before, const dsm_cluster_info *info)
{
    struct watch taken = {0};

    for (size_t k = 0; k < before->count; k++) {
        struct watch *watch = &before->watches[k];
        if (!watch->rows || strcmp(watch->info.name, info->name) != 0 ||
            watch->info.owner != info->owner || watch->info.age > info->age)
            continue;
        taken = *watch;
        watch->handle = NULL;
        watch->rows = NULL;
        watch->last_read = NULL;
    }
    taken.info = *info;
    return taken;
}

static int
visit(const dsm_cluster_info *info, void *arg)
{
    struct update *update = arg;
    struct watch_list *after = &update->after;
    struct watch *grown, *watch;

    if (info->state != DSM_CLUSTER_LIVE || info->workers > DSM_WORKERS_MAX ||
        (after->name && strcmp(info->name, after->name) != 0))
        return 0;
    grown = realloc(after->watches, (after->count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    after->watches = grown;
    watch = &grown[after->count++];
    *watch = take_watch(update->before, info);
    if (!watch->rows)
        watch->rows = calloc(info->workers + 1, sizeof *watch->rows);
    if (!watch->last_read)
        watch->last_read = calloc(info->workers, sizeof *watch->last_read);
    return watch->rows && watch->last_read ? 0 : -ENOMEM;
}

int
watch_update(struct watch_list *list)
{
    struct update update = {.before = list, .after = {.name = list->name}};
    int error = dsm_cluster_list(visit, &update);

    watch_free(list);
    list->watches = update.after.watches;
    list->count = update.after.count;
    for (size_t k = 0; error == 0 && k < list->count; k++)
        read_cluster(&list->watches[k], list->count == 1);
    return error;
}

void
watch_free(struct watch_list *list)
{
    for (size_t k = 0; k < list->count; k++)
        forget(&list->watches[k]);
    free(list->watches);
    list->watches = NULL;
    list->count = 0;
}
