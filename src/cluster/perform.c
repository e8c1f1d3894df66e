/* Running jobs; see perform.h.
 *
 * A result counts from the moment that the job's word says it has ended.  Only
 * then is the program told, of several short jobs at once, unless it waits. */
#include "cluster/perform.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/outcome.h"
#include "cluster/work.h"
#include "code/function.h"
#include "pool/ended.h"
#include "registry/object.h"
#include "sync/lock.h"
#include "trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* So long an end may go untold while jobs are short. */
#define TELL_TICKS 5000

bool
dsm__job_cancelled(const dsm_worker *self)
{
    const struct dsm__board *board =
        dsm__board(self->control, self->taker.program);

    return atomic_load_explicit(&self->job->cancel, memory_order_relaxed) ||
           atomic_load_explicit(&board->gone, memory_order_relaxed) ||
           atomic_load_explicit(&self->control->stopping, memory_order_relaxed);
}

int
dsm__job_refuse(const dsm_worker *self, const char *call)
{
    if (!self->job)
        return 0;
    return dsm__fail(-EPERM,
                     "%s: jobs are not run together, so a job cannot wait for "
                     "other workers; use a region",
                     call);
}

/* ---- Telling. */

static void
tell(dsm_worker *self, bool wake)
{
    if (self->ended_count)
        dsm__ended_push(self->control, self->taker.program, self->slot,
                        self->ended, self->ended_count, wake);
    self->ended_count = 0;
    self->told = dsm__ticks();
}

static bool
is_to_tell(const dsm_worker *self, uint64_t now)
{
    return now - self->told > TELL_TICKS ||
           dsm__ended_awaited(dsm__board(self->control, self->taker.program),
                              self->ended_count);
}

/* ---- What a job prints, kept apart. */

/* In self->saved_output: nothing was saved; there was nothing open. */
enum { NOT_SAVED = -1, WAS_CLOSED = -2 };

static void
release_output(dsm_worker *self)
{
    dsm__output_flush();
    for (int k = 0; k < 2; k++) {
        int saved = self->saved_output[k];

        if (saved >= 0) {
            dup2(saved, STDOUT_FILENO + k);
            close(saved);
        } else if (saved == WAS_CLOSED) {
            close(STDOUT_FILENO + k);
        }
        self->saved_output[k] = NOT_SAVED;
    }
}

/* 0 or what dsm__parcel_open said. */
static int
capture_output(dsm_worker *self)
{
    dsm__output_flush();
    for (int k = 0; k < 2; k++) {
        struct dsm__parcel parcel = dsm__own_parcel(self, DSM__PARCEL_OUT + k);
        int fd = dsm__parcel_open(&parcel);

        if (fd < 0) {
            release_output(self);
            return fd;
        }
        self->saved_output[k] =
            fcntl(STDOUT_FILENO + k, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (self->saved_output[k] < 0)
            self->saved_output[k] = WAS_CLOSED;
        dup2(fd, STDOUT_FILENO + k);
        close(fd);
    }
    return 0;
}

/* ---- One job. */

/* Or NULL. */
static const char *
name_of(const dsm_worker *self)
{
    return self->job->given & DSM__JOB_NAMED ? dsm__own_body(self)->name : NULL;
}

/* Only the worker that it belongs to writes it: until the word changes, a dying
 * worker's half-written outcome counts for nothing. */
static void
set_outcome(dsm_worker *self, int code, int value, const char *message)
{
    struct dsm__body *body = dsm__own_body(self);

    self->job->code = code;
    self->job->value = value;
    if (message)
        snprintf(body->message, sizeof body->message, "%s", message);
}

/* The job's word is not this worker's any more.  Mostly it is doomed, and the
 * process about to be killed.  If the word was overwritten nobody comes: the
 * supervisor sees to what it says when this worker has died. */
static _Noreturn void
give_way(const dsm_worker *self, uint64_t word)
{
    uint32_t turn = dsm__entry_turn(self->job_entry);

    if (word != dsm__job_word(turn, self->id, DSM__JOB_DOOMED))
        _exit(1);
    for (;;)
        pause();
}

/* Makes the outcome count. */
static void
commit(dsm_worker *self, uint64_t ended)
{
    struct dsm__job *job = self->job;
    uint32_t turn = dsm__entry_turn(self->job_entry);
    uint64_t word = dsm__job_word(turn, self->id, DSM__JOB_RUNNING);

    job->ended = ended;
    DSM__POINT("job.commit");
    /* seq_cst: before it is seen whether the program watches. */
    if (!atomic_compare_exchange_strong_explicit(
            &job->word, &word, dsm__job_word(turn, self->id, DSM__JOB_ENDED),
            memory_order_seq_cst, memory_order_relaxed))
        give_way(self, word);
    DSM__POINT("job.committed");
    self->ended[self->ended_count++] = self->job_entry;
    atomic_store_explicit(&self->slot->in_job, 0, memory_order_relaxed);
}

static void
judge(dsm_worker *self, int value, bool locked)
{
    char which[DSM__JOB_DESCRIPTION], message[160];

    dsm__job_describe(which, self->job, dsm__own_body(self));
    if (locked) {
        snprintf(message, sizeof message, "worker %u left %s holding a lock",
                 self->id, which);
        set_outcome(self, DSM_EFAILED, value, message);
    } else if (value && dsm__job_cancelled(self)) {
        snprintf(message, sizeof message, "%s was cancelled", which);
        set_outcome(self, DSM_ECANCELED, value, message);
    } else {
        snprintf(message, sizeof message, "%s returned %d%s%s in worker %u",
                 which, value, value < 0 ? ", " : "",
                 value < 0 ? dsm_errname(value) : "", self->id);
        set_outcome(self, dsm__code_of_return(self->control, value), value,
                    message);
    }
}

/* What its function takes: 0, or an error with a sentence. */
static int
unpack(dsm_worker *self, dsm_fn *fn, const void **arg)
{
    struct dsm__job *job = self->job;
    struct dsm__crate *crate;
    int error = 0;

    *fn = job->fn;
    *arg = (const void *)(uintptr_t)job->arg;
    if (job->given & DSM__JOB_BY_NAME)
        error =
            dsm__function_find(fn, dsm__own_body(self)->text, job->text_size);
    if (error || job->arg_size == 0)
        return error;
    *arg = dsm__own_body(self)->arg_copy;
    if (!(job->given & DSM__JOB_LARGE_ARG))
        return job->arg_size <= DSM__JOB_ARG
                   ? 0
                   : dsm__fail(DSM_EFORMAT, "a job's argument is damaged");
    error =
        dsm__crate_borrow(&self->crates, &crate, self->control,
                          self->taker.program, dsm__own_body(self)->arg_crate);
    if (!error && crate->size < job->arg_size)
        error = dsm__fail(DSM_EFORMAT, "a job's argument was cut or replaced");
    if (!error)
        *arg = crate->at;
    return error;
}

static void
prepare(dsm_worker *self, uint64_t begin)
{
    struct dsm__job *job = self->job;

    atomic_store_explicit(&job->started, begin, memory_order_relaxed);
    atomic_store_explicit(&job->pid, self->slot->pid, memory_order_relaxed);
    atomic_store_explicit(
        &job->tries,
        atomic_load_explicit(&job->tries, memory_order_relaxed) + 1,
        memory_order_relaxed);
    job->result_size = 0;
    job->flags &= DSM__JOB_PUBLISHED | DSM__JOB_LARGE_PUBLISHED;
    if (job->given & DSM__JOB_NAMED)
        memcpy(self->slot->job_name, dsm__own_body(self)->name,
               sizeof self->slot->job_name);
    else
        self->slot->job_name[0] = '\0';
    atomic_store_explicit(
        &self->slot->in_job,
        (uint64_t)((char *)&job->cancel - (char *)self->control),
        memory_order_relaxed);
}

/* Runs the function.  False: it left holding a lock. */
static bool
call(dsm_worker *self)
{
    struct dsm__job *job = self->job;
    unsigned locks = dsm__locks_held();
    const void *arg = NULL;
    int64_t began;
    dsm_fn fn;
    bool captures = job->given & DSM__JOB_CAPTURE, locked;
    int value, error = 0;

    if (!dsm__maps_current(&self->cluster->member))
        error = dsm__maps_sync(&self->cluster->member);
    if (!error)
        error = unpack(self, &fn, &arg);
    if (!error && captures)
        error = capture_output(self);
    if (error) {
        set_outcome(self, error, 0, dsm_last_error());
        return true;
    }
    DSM__POINT("job.call");
    began = dsm__trace_begin();
    value = fn(self, arg, job->arg_size);
    dsm__trace_span(DSM__TRACE_JOB, began, name_of(self), self->slot->jobs, 0);
    locked = dsm__locks_held() > locks;
    if (captures)
        release_output(self);
    else
        dsm__output_flush();
    if (value || locked)
        judge(self, value, locked);
    else
        set_outcome(self, 0, 0, NULL);
    return !locked;
}

/* Runs the job that is taken, which began at that tick; returns when it ended.
 */
static uint64_t
perform_one(dsm_worker *self, struct dsm__job *job, uint64_t begin)
{
    struct dsm__worker_slot *slot = self->slot;
    uint64_t end, ticks;
    bool well = true;

    self->job = job;
    prepare(self, begin);
    if (job->cancel)
        set_outcome(self, DSM_ECANCELED, 0, "it was cancelled before it began");
    else
        well = call(self);
    end = dsm__ticks();
    ticks = end - begin;
    commit(self, end);
    self->job = NULL;
    dsm__count(&slot->jobs, 1);
    dsm__count(&slot->busy, ticks);
    dsm__count(&slot->job_busy, ticks);
    if (ticks > slot->job_worst)
        atomic_store_explicit(&slot->job_worst, ticks, memory_order_relaxed);
    dsm__job_took(&self->taker, ticks);
    if (!well) {
        tell(self, true);
        dsm__output_flush();
        dsm__trace_flush();
        _exit(1); /* so that the next to acquire the lock is told */
    }
    if (atomic_load_explicit(&job->watched, memory_order_seq_cst))
        tell(self, true);
    return end;
}

void
dsm__job_fail(dsm_worker *self, int code, int value, const char *message)
{
    if (self->job->given & DSM__JOB_CAPTURE)
        release_output(self);
    set_outcome(self, code, value, message);
    commit(self, dsm__ticks());
    self->job = NULL;
    dsm__count(&self->slot->jobs, 1);
    tell(self, true);
}

/* Whether a region begins, or the cluster ends. */
static bool
is_called_away(const dsm_worker *self)
{
    return dsm__region_now(self->control) !=
               atomic_load_explicit(&self->slot->began, memory_order_relaxed) ||
           dsm__region_active(self->control);
}

void
dsm__perform(dsm_worker *self)
{
    struct dsm__job *job;
    uint64_t now = dsm__ticks();

    while (!is_called_away(self)) {
        job = dsm__block_next(&self->taker, &self->job_entry);
        if (job) {
            now = perform_one(self, job, now);
            if (self->ended_count && is_to_tell(self, now))
                tell(self, false);
            continue;
        }
        tell(self, false);
        if (!dsm__block_take(&self->taker))
            return;
        now = dsm__ticks();
    }
    tell(self, false);
}
