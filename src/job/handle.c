/* What a program does with the handle of a job: status, provisional results,
 * cancel and release. */
#include "base/clock.h"
#include "base/error.h"
#include "cluster/command.h"
#include "job/ledger.h"
#include "pool/parcel.h"
#include "pool/provisional.h"
#include "stats/stats.h"
#include "sync/wait.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEAD_ERR_MOST 4096 /* bytes of stderr that are kept of a death */

/* ---- Status. */

/* A moment in ticks as seconds since the Epoch.  Not the same from call to
 * call: what is to be in order is told by the difference. */
static double
epoch_seconds(uint64_t moment, double tick)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec -
           tick * (double)(dsm__ticks() - moment);
}

static dsm_job_state
state_of(uint64_t word, int code)
{
    switch (dsm__word_phase(word)) {
    case DSM__JOB_ENDED:
        break;
    case DSM__JOB_RUNNING:
    case DSM__JOB_DOOMED:
        return DSM_JOB_RUNNING;
    default:
        return DSM_JOB_QUEUED;
    }
    if (code == 0)
        return DSM_JOB_FINISHED;
    return code == DSM_ECANCELED ? DSM_JOB_CANCELLED : DSM_JOB_FAILED;
}

static char *
read_output(struct dsm_job *job, int kind, size_t *size, size_t most)
{
    struct dsm__parcel parcel = {job->ledger->control, job->ledger->program,
                                 job->index, kind};

    return dsm__parcel_read(&parcel, size, most);
}

static void
fill_output(dsm_job_info *info, struct dsm_job *job)
{
    struct dsm__kept *kept = dsm__job_keep(job);
    bool died = info->code == DSM_EWORKER || info->signal;

    if (!kept)
        return;
    if (!kept->out)
        kept->out =
            read_output(job, DSM__PARCEL_OUT, &kept->out_size, SIZE_MAX / 2);
    if (!kept->err)
        kept->err = read_output(job, DSM__PARCEL_ERR, &kept->err_size,
                                died ? DEAD_ERR_MOST : SIZE_MAX / 2);
    info->out = kept->out;
    info->err = kept->err;
    info->out_size = kept->out ? kept->out_size : 0;
    info->err_size = kept->err ? kept->err_size : 0;
}

static void
fill_end(dsm_job_info *info, struct dsm_job *job)
{
    const struct dsm__job *slot = job->slot;

    info->value = slot->value;
    info->signal = slot->signal;
    info->exit_code = slot->exit_code;
    if (info->code)
        strncpy(info->message, dsm__job_message(job), sizeof info->message - 1);
    if (slot->given & DSM__JOB_CAPTURE)
        fill_output(info, job);
}

static void
fill(dsm_job_info *info, struct dsm_job *job)
{
    const struct dsm__job *slot = job->slot;
    double tick = dsm__seconds_a_tick(job->ledger->control);
    uint64_t word = dsm__job_load(slot);
    unsigned worker = dsm__word_worker(word);

    /* By the same look at the word: it may end at this moment. */
    info->code = dsm__word_phase(word) == DSM__JOB_ENDED ? dsm__job_code(job)
                                                         : DSM_EPENDING;
    info->state = state_of(word, info->code);
    info->tries = slot->tries;
    info->pid = slot->pid;
    info->worker = worker == DSM__NOBODY ? 0 : worker;
    info->submitted = epoch_seconds(slot->submitted, tick);
    if (slot->tries)
        info->started =
            info->submitted +
            tick * (double)(int64_t)(slot->started - slot->submitted);
    if (slot->given & DSM__JOB_NAMED)
        memcpy(info->name, dsm__job_body(job)->name, sizeof info->name - 1);
    (void)gethostname(info->host, sizeof info->host - 1);
    if (dsm__word_phase(word) != DSM__JOB_ENDED)
        return;
    info->ended = info->submitted +
                  tick * (double)(int64_t)(slot->ended - slot->submitted);
    if (worker != DSM__NOBODY)
        fill_end(info, job);
    else
        strncpy(info->message, dsm__job_message(job), sizeof info->message - 1);
}

int
dsm_job_status(dsm_job *job, dsm_job_info *info)
{
    dsm_job_info all = DSM_JOB_INFO_INIT;
    size_t size = info->size;
    int error = dsm__job_check(job, __func__);

    if (error)
        return error;
    if (size < sizeof info->size)
        return dsm__fail(-EINVAL, "set the info to DSM_JOB_INFO_INIT first");
    pthread_mutex_lock(&job->ledger->lock);
    fill(&all, job);
    pthread_mutex_unlock(&job->ledger->lock);
    memcpy(info, &all, size < sizeof all ? size : sizeof all);
    info->size = size;
    return 0;
}

/* ---- Provisional results. */

static int
map_provisional(struct dsm_job *job, int front, const void **data, size_t size)
{
    struct dsm__parcel parcel = {job->ledger->control, job->ledger->program,
                                 job->index, DSM__PARCEL_PROVISIONAL + front};
    struct dsm__kept *kept = dsm__job_keep(job);
    int error;

    if (!kept)
        return dsm__fail(-ENOMEM, "no memory for a provisional result");
    dsm__parcel_unmap(kept->provisional, kept->provisional_size);
    kept->provisional = NULL;
    error = dsm__parcel_map(&parcel, &kept->provisional, size);
    kept->provisional_size = size;
    *data = kept->provisional;
    return error;
}

static int
take_provisional(struct dsm_job *job, const void **data, size_t *size)
{
    struct dsm__body *body = dsm__job_body(job);
    int front = dsm__provisional_take(body), error = 0;
    size_t bytes;

    if (front < 0)
        return dsm__fail(DSM_EPENDING,
                         "the job has published nothing new so far");
    job->unwanted = false;
    bytes = body->provisional_size[front];
    *data = body->provisional[front];
    if (bytes > DSM__JOB_PROVISIONAL)
        error = map_provisional(job, front, data, bytes);
    dsm__signal(&job->ledger->board->taken, INT_MAX);
    if (error)
        *data = NULL;
    else
        *size = bytes;
    return error;
}

int
dsm_job_provisional(dsm_job *job, const void **data, size_t *size)
{
    int error = dsm__job_check(job, __func__);

    *data = NULL;
    *size = 0;
    if (error)
        return error;
    pthread_mutex_lock(&job->ledger->lock);
    error = take_provisional(job, data, size);
    pthread_mutex_unlock(&job->ledger->lock);
    return error;
}

/* ---- Cancel. */

static int
ask_supervisor(struct dsm_job *job, uint64_t word, int grace_ms)
{
    dsm_cluster *cluster = job->ledger->cluster;
    struct dsm__request request = {
        .verb = DSM__CANCEL_JOB,
        .value = grace_ms,
        .entry = dsm__job_entry(dsm__word_turn(word), job->index)};
    int error;

    pthread_mutex_lock(&cluster->commands);
    error = dsm__command(cluster->member.command, cluster->member.control,
                         &request, NULL, DSM__ANSWER_MS);
    pthread_mutex_unlock(&cluster->commands);
    return error < 0 ? error : 0;
}

/* A queued one ends here; -1: it is not queued. */
static int
cancel_queued(struct dsm_job *job)
{
    struct dsm__ledger *ledger = job->ledger;
    uint64_t word = dsm__job_load(job->slot);

    /* What ended before comes before it. */
    if (dsm__word_phase(word) == DSM__JOB_QUEUED)
        dsm__ledger_read(ledger);
    while (dsm__word_phase(word) == DSM__JOB_QUEUED) {
        uint64_t ended =
            dsm__job_word(dsm__word_turn(word), DSM__NOBODY, DSM__JOB_ENDED);

        if (!atomic_compare_exchange_strong(&job->slot->word, &word, ended))
            continue;
        job->slot->ended = dsm__ticks();
        if (!job->over)
            dsm__job_over(job);
        dsm__ledger_changed(ledger);
        dsm__ledger_settle_bell(ledger);
        return 0;
    }
    return -1;
}

int
dsm_job_cancel(dsm_job *job, int grace_ms)
{
    struct dsm__ledger *ledger;
    uint64_t word;
    int result = dsm__job_check(job, __func__);

    if (result)
        return result;
    if (grace_ms < DSM_GRACE)
        return dsm__fail(-EINVAL, "a grace of %d ms", grace_ms);
    ledger = job->ledger;
    if (grace_ms == DSM_GRACE)
        grace_ms = ledger->control->grace_ms;
    pthread_mutex_lock(&ledger->lock);
    /* Before the look at the word: a job that is queued again after a death
     * would be looked at again, and is not queued when this is set. */
    atomic_store(&job->slot->cancel, 1);
    result = cancel_queued(job);
    word = dsm__job_load(job->slot);
    pthread_mutex_unlock(&ledger->lock);
    dsm__signal(&ledger->board->taken, INT_MAX);
    if (result == 0 || grace_ms == DSM_FOREVER ||
        dsm__word_phase(word) != DSM__JOB_RUNNING)
        return 0;
    return ask_supervisor(job, word, grace_ms);
}

/* ---- Release. */

/* It runs on, and nobody will hear of it. */
static void
release_running(struct dsm_job *job)
{
    struct dsm__ledger *ledger = job->ledger;

    job->released = true;
    ledger->unfinished_released++;
    if (job->callback)
        ledger->unfinished_due--;
    else
        ledger->unfinished_next--;
    if (job->list != DSM__NO_LIST)
        dsm__list_remove(job);
    atomic_store(&job->slot->dropped, 1);
    dsm__signal(&ledger->board->taken, INT_MAX);
}

void
dsm_job_release(dsm_job *job)
{
    struct dsm__ledger *ledger;

    if (!job || dsm__job_check(job, __func__))
        return;
    ledger = job->ledger;
    pthread_mutex_lock(&ledger->lock);
    if (!job->over)
        release_running(job);
    if (!job->over && dsm__job_ended(job))
        dsm__job_over(job); /* and recycled, unless its callback runs */
    else if (job->over && job->calling)
        job->released = true;
    else if (job->over)
        dsm__job_recycle(job);
    if (ledger->waiting)
        dsm__ledger_changed(ledger);
    pthread_mutex_unlock(&ledger->lock);
}
