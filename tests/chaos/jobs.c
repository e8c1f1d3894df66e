/* Steps with jobs: each ends once, with the right result or a reason. */
#include "chaos.h"
#include "errand.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define JOBS_MOST 16

/* The worker's functions that an errand calls; see errand.h. */
static struct errand
errand_of(struct scene *scene, unsigned number)
{
    return (struct errand){
        .give = dsm_worker_return,
        .publish = dsm_worker_publish,
        .cancelled = dsm_worker_cancelled,
        .number = mixed(scene->plan->round, number),
        .words = random_percent(&scene->random, 20)
                     ? 25000
                     : 1 + random_below(&scene->random, 8),
        .spins = random_below(&scene->random, 20000),
    };
}

static dsm_job_options
some_options(struct scene *scene)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;

    options.retries = random_below(&scene->random, 4);
    options.priority = (int)random_below(&scene->random, 7) - 3;
    options.name = "errand";
    options.capture_output = random_percent(&scene->random, 10);
    return options;
}

/* Submits up to `n` of them one by one; how many it could. */
static unsigned
submit(struct scene *scene, dsm_job **job, struct errand *errand, unsigned n,
       dsm_fn fn, const dsm_job_options *options)
{
    unsigned made = 0;

    while (made < n) {
        errand[made] = errand_of(scene, made);
        if (note(CALL_SUBMIT,
                 dsm_job_submit(&job[made], scene->cluster, fn, &errand[made],
                                sizeof *errand, options),
                 MAY(OK)) < 0)
            break;
        made++;
    }
    return made;
}

static void
one_by_one(struct scene *scene)
{
    struct errand errand[JOBS_MOST];
    dsm_job *job[JOBS_MOST];
    dsm_job_options options = some_options(scene);
    unsigned n =
        submit(scene, job, errand, 1 + random_below(&scene->random, JOBS_MOST),
               errand_run, &options);
    /* Some programs go without looking. */
    bool look = random_percent(&scene->random, 85);

    for (unsigned k = 0; k < n; k++) {
        if (look)
            errand_check(job[k], &errand[k], MAY(OK));
        dsm_job_release(job[k]);
    }
}

/* Those that next gives, each once. */
static void
as_they_end(struct scene *scene)
{
    unsigned n = 1 + random_below(&scene->random, JOBS_MOST), given = 0;
    struct errand errand[JOBS_MOST];
    dsm_job *job[JOBS_MOST], *next;
    dsm_job_options options = some_options(scene);

    for (unsigned k = 0; k < n; k++)
        errand[k] = errand_of(scene, k);
    if (note(CALL_JOB_MAP,
             dsm_job_map(job, scene->cluster, errand_run, errand,
                         sizeof *errand, n, &options),
             MAY(OK)) < 0)
        return;
    while (note(CALL_NEXT, dsm_job_next(&next, scene->cluster, 10000),
                MAY(OK) | MAY(CHILD)) == 0) {
        unsigned k = 0;

        while (k < n && job[k] != next)
            k++;
        if (k == n) {
            wrong("dsm_job_next gave a job twice, or none of ours");
            break;
        }
        job[k] = NULL;
        given++;
        errand_check(next, &errand[k], MAY(OK));
        dsm_job_release(next);
    }
    if (given < n && !(board->harm & (1u << SUPERVISOR | 1u << CONTROLLER)))
        wrong("dsm_job_next gave %u of %u jobs", given, n);
    for (unsigned k = 0; k < n; k++)
        dsm_job_release(job[k]);
}

/* ---- Callbacks. */

static unsigned ends, provisional;

static void
count_end(dsm_job *job, void *arg)
{
    const void *data;
    size_t size;
    int code = dsm_job_result(job, NULL, NULL, 0);

    (void)arg;
    if (code == DSM_EPENDING) {
        if (note(CALL_PROVISIONAL, dsm_job_provisional(job, &data, &size),
                 MAY(OK) | MAY(EPENDING)) == 0)
            provisional++;
        return;
    }
    ends++;
    note(CALL_RESULT, code, MAY(OK));
}

static void
with_callbacks(struct scene *scene)
{
    unsigned n = 1 + random_below(&scene->random, JOBS_MOST), made = 0;
    dsm_job_options options = some_options(scene);
    int result;

    ends = provisional = 0;
    options.callback = count_end;
    while (made < n) {
        struct errand errand = errand_of(scene, made);

        errand.publishes = random_below(&scene->random, 4);
        if (note(CALL_SUBMIT,
                 dsm_job_submit(NULL, scene->cluster, errand_run, &errand,
                                sizeof errand, &options),
                 MAY(OK)) < 0)
            break;
        made++;
    }
    note(CALL_POLL, dsm_cluster_poll(scene->cluster, 2), MAY(OK) | MAY(NOTE));
    result =
        note(CALL_DRAIN, dsm_cluster_drain(scene->cluster, 10000), MAY(OK));
    /* Without a supervisor, the ends of an earlier step may come only now. */
    if (result == 0 && ends != made && !(board->harm & 1u << SUPERVISOR))
        wrong("%u ends of %u jobs were called for", ends, made);
}

/* ---- Cancelled ones, and provisional results. */

static void
cancelled(struct scene *scene)
{
    static const int graces[] = {0, DSM_GRACE, DSM_FOREVER, 5};
    struct errand errand[JOBS_MOST];
    dsm_job *job[JOBS_MOST];
    dsm_job_options options = some_options(scene);
    unsigned n = submit(scene, job, errand, 1 + random_below(&scene->random, 6),
                        errand_stay, &options);

    for (unsigned k = 0; k < n; k++)
        note(CALL_JOB_CANCEL,
             dsm_job_cancel(job[k], graces[random_below(&scene->random, 4)]),
             MAY(OK));
    for (unsigned k = 0; k < n; k++) {
        note(CALL_RESULT, dsm_job_result(job[k], NULL, NULL, 10000),
             MAY(ECANCELED));
        dsm_job_release(job[k]);
    }
}

static void
published(struct scene *scene)
{
    struct errand errand = errand_of(scene, 0);
    dsm_job_options options = some_options(scene);
    dsm_job_info info = DSM_JOB_INFO_INIT;
    uint64_t last = 0;
    const void *data;
    size_t size;
    dsm_job *job;

    errand.publishes = 1 + random_below(&scene->random, 20);
    if (note(CALL_SUBMIT,
             dsm_job_submit(&job, scene->cluster, errand_run, &errand,
                            sizeof errand, &options),
             MAY(OK)) < 0)
        return;
    while (dsm_job_result(job, NULL, NULL, 0) == DSM_EPENDING) {
        if (dsm_job_provisional(job, &data, &size) == 0) {
            note(CALL_PROVISIONAL, 0, MAY(OK));
            /* A try that follows a death begins anew. */
            if (*(const uint64_t *)data <= last &&
                !(board->harm & 1u << WORKER))
                wrong("a provisional result came twice");
            last = *(const uint64_t *)data;
        }
    }
    errand_check(job, &errand, MAY(OK));
    note(CALL_JOB_STATUS, dsm_job_status(job, &info), MAY(OK));
    dsm_job_release(job);
}

/* A region among jobs that run. */
static int
nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

static void
among_jobs(struct scene *scene)
{
    struct errand errand[JOBS_MOST];
    dsm_job *job[JOBS_MOST];
    dsm_job_options options = some_options(scene);
    unsigned n = submit(scene, job, errand, 1 + random_below(&scene->random, 8),
                        errand_run, &options);
    int result = note(
        CALL_RUN, dsm_cluster_run(scene->cluster, nothing, NULL, 0), MAY(OK));

    if (result == DSM_EWORKER)
        board->lost++;
    for (unsigned k = 0; k < n; k++) {
        errand_check(job[k], &errand[k], MAY(OK));
        dsm_job_release(job[k]);
    }
}

/* Its worker dies of each, so often. */
static void
deadly(struct scene *scene)
{
    struct errand errand = errand_of(scene, 0);
    dsm_job_options options = some_options(scene);
    dsm_job *job;

    board->deaths += options.retries + 1;
    if (note(CALL_SUBMIT,
             dsm_job_submit(&job, scene->cluster, errand_die, &errand,
                            sizeof errand, &options),
             MAY(OK)) < 0)
        return;
    note(CALL_RESULT, dsm_job_result(job, NULL, NULL, 10000), MAY(EWORKER));
    dsm_job_release(job);
}

void
jobs_burst(struct scene *scene)
{
    enum { BURST = 64 };
    dsm_job *job[BURST];
    const void *result;
    unsigned n = 0;

    while (n < BURST) {
        struct errand errand = errand_of(scene, n);

        errand.words = 25000;
        if (note(CALL_SUBMIT,
                 dsm_job_submit(&job[n], scene->cluster, errand_run, &errand,
                                sizeof errand, NULL),
                 MAY(OK)) < 0)
            break;
        n++;
    }
    for (unsigned k = 0; k < n; k++)
        note(CALL_RESULT, dsm_job_result(job[k], &result, NULL, 60000),
             MAY(OK));
    while (n > 0)
        dsm_job_release(job[--n]);
}

const struct step job_steps[] = {
    {"jobs, one by one", one_by_one, 6, false},
    {"jobs, as they end", as_they_end, 5, false},
    {"jobs with callbacks", with_callbacks, 5, false},
    {"cancelled jobs", cancelled, 3, true},
    {"provisional results", published, 3, false},
    {"a region among jobs", among_jobs, 3, false},
    {"a deadly job", deadly, 2, true},
    {NULL, NULL, 0, false},
};
