/* Seeing what has ended, and waiting for it: the ring, next and result. */
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "job/ledger.h"
#include "pool/ended.h"
#include "pool/provisional.h"
#include "pool/take.h"
#include "sync/wait.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Pauses before a program sleeps while all workers are busy: a microsecond or
 * so, as it takes a CPU that a worker could have. */
#define SPINS 20

/* ---- The ring. */

/* Its callback is to be called. */
static void
call_for(struct dsm_job *job)
{
    if (job->calling)
        job->called_for = true;
    else if (job->list == DSM__NO_LIST)
        dsm__list_append(&job->ledger->due, job, DSM__IN_DUE);
}

void
dsm__job_over(struct dsm_job *job)
{
    struct dsm__ledger *ledger = job->ledger;

    job->over = true;
    ledger->unfinished--;
    if (job->released) {
        ledger->unfinished_released--;
        if (!job->calling)
            dsm__job_recycle(job);
    } else if (job->callback) {
        ledger->unfinished_due--;
        call_for(job);
    } else {
        ledger->unfinished_next--;
        dsm__list_append(&ledger->ended, job, DSM__IN_ENDED);
    }
}

/* What an entry points at may be long past. */
static void
follow(struct dsm__ledger *ledger, uint64_t entry)
{
    uint32_t index = dsm__entry_index(entry);
    enum dsm__job_phase phase;
    struct dsm_job *job;
    uint64_t word;

    if (index >= ledger->slots || !ledger->jobs[index].ledger)
        return;
    job = &ledger->jobs[index];
    word = dsm__job_load(job->slot);
    if (dsm__word_turn(word) != dsm__entry_turn(entry))
        return;
    phase = dsm__word_phase(word);
    if (phase == DSM__JOB_ENDED && !job->over)
        dsm__job_over(job);
    /* Queued: to be run again, and it is of the try that died. */
    else if ((phase == DSM__JOB_RUNNING || phase == DSM__JOB_QUEUED) &&
             job->callback && !job->released &&
             dsm__provisional_fresh(dsm__job_body(job)))
        call_for(job);
}

static void
prefetch(const struct dsm__ledger *ledger, uint64_t at)
{
    uint64_t entry = atomic_load_explicit(
        dsm__ended_entry(ledger->control, ledger->program, at),
        memory_order_relaxed);
    uint32_t index = dsm__entry_index(entry);

    if (index < ledger->jobs_max)
        __builtin_prefetch(
            &dsm__job(ledger->control, ledger->program, index)->word);
}

/* Entries were lost, as the ring was full: the words tell, too. */
static void
look_at_all(struct dsm__ledger *ledger)
{
    atomic_store(&ledger->board->overflow, 0);
    for (uint32_t k = 0; k < ledger->slots; k++) {
        uint64_t word =
            dsm__job_load(dsm__job(ledger->control, ledger->program, k));

        follow(ledger, dsm__job_entry(dsm__word_turn(word), k));
    }
}

/* No more than the ring holds, whatever the tail says. */
static bool
is_tail(const struct dsm__ledger *ledger, uint64_t tail)
{
    return tail - ledger->head <= 2 * ledger->control->pool.ring;
}

void
dsm__ledger_read(struct dsm__ledger *ledger)
{
    const struct dsm__control *control = ledger->control;
    struct dsm__board *board = ledger->board;
    uint64_t tail =
        atomic_load_explicit(&board->ended_tail, memory_order_acquire);
    uint64_t head = ledger->head, length = 2 * control->pool.ring;
    bool gaps = false;

    if (!is_tail(ledger, tail))
        return;
    for (uint64_t at = head; at < tail; at++) {
        _Atomic uint64_t *place =
            dsm__ended_entry(control, ledger->program, at);
        uint64_t entry = atomic_load_explicit(place, memory_order_acquire);

        prefetch(ledger, at + 4);
        if (entry == dsm__ended_empty(control, at)) {
            gaps = true;
            continue;
        }
        if (entry != DSM__ENTRY_VOID)
            follow(ledger, entry);
        DSM__POINT("job.read");
        /* What is behind a gap is not to be read again. */
        atomic_store_explicit(place,
                              gaps ? DSM__ENTRY_VOID
                                   : dsm__ended_empty(control, at + length),
                              memory_order_relaxed);
        if (!gaps)
            ledger->head = at + 1;
    }
    ledger->tail = tail;
    if (ledger->head != head)
        atomic_store_explicit(&board->ended_head, ledger->head,
                              memory_order_release);
    if (atomic_load_explicit(&board->overflow, memory_order_relaxed))
        look_at_all(ledger);
}

bool
dsm__ledger_look(struct dsm__ledger *ledger)
{
    const struct dsm__control *control = ledger->control;
    unsigned before = ledger->unfinished;

    /* Pairs with dsm__ended_awaited: what ends from now on is told at once. */
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned w = control->first; w < control->workers; w++) {
        struct dsm__worker_slot *slot = dsm__worker_slot(control, w);
        uint32_t n =
            atomic_load_explicit(&slot->block_count, memory_order_acquire);

        /* What is alone in its block is told at once. */
        if (n < 2 || n > DSM__BLOCK_MAX ||
            atomic_load_explicit(&slot->block_program, memory_order_relaxed) !=
                ledger->program)
            continue;
        for (uint32_t k = 0; k < n; k++)
            follow(ledger,
                   atomic_load_explicit(&slot->block[k], memory_order_relaxed));
    }
    return ledger->unfinished != before;
}

/* ---- Waiting. */

void
dsm__ledger_changed(struct dsm__ledger *ledger)
{
    atomic_fetch_add(&ledger->changes, 1);
    dsm__signal(&ledger->board->ended, INT_MAX);
}

/* What is waited for. */
struct moment {
    const struct dsm__ledger *ledger;
    const struct dsm__job *job;  /* the end of this, or NULL */
    const _Atomic uint64_t *gap; /* that this place is filled, or NULL */
    uint64_t empty;              /* what it holds until then */
    uint64_t tail;               /* so many entries in all */
    uint32_t changes;
    uint32_t spins;
};

static bool
has_come(const void *context)
{
    const struct moment *moment = context;
    const struct dsm__ledger *ledger = moment->ledger;

    /* seq_cst: behind `watched` and `sleeping`, which the worker that commits
     * its end looks at afterwards. */
    if (moment->job &&
        dsm__word_phase(atomic_load_explicit(
            &moment->job->word, memory_order_seq_cst)) == DSM__JOB_ENDED)
        return true;
    if (moment->gap && atomic_load_explicit(
                           moment->gap, memory_order_seq_cst) != moment->empty)
        return true;
    return atomic_load_explicit(&ledger->board->ended_tail,
                                memory_order_seq_cst) >= moment->tail ||
           atomic_load_explicit(&ledger->changes, memory_order_seq_cst) !=
               moment->changes ||
           atomic_load_explicit(&ledger->board->overflow, memory_order_relaxed);
}

/* While a program waits without taking provisional results nobody waits for it
 * to do so. */
static void
be_patient(struct dsm__board *board)
{
    atomic_fetch_add(&board->waits, 1);
    dsm__signal(&board->taken, INT_MAX);
}

/* A worker that is awake is on a CPU of its own.  One that was just woken may
 * wait for this one. */
static bool
spin_for(const struct dsm__control *control, const struct moment *moment)
{
    return dsm__someone_looks(control)
               ? dsm__spin_until(control, has_come, moment, moment->spins)
               : dsm__spin_politely(control, has_come, moment, moment->spins);
}

static int
wait_for(struct dsm__ledger *ledger, struct moment *moment, bool patient,
         int64_t deadline)
{
    struct dsm__board *board = ledger->board;
    int error;

    if (spin_for(ledger->control, moment))
        return 0;
    if (patient)
        be_patient(board);
    error = dsm__sleep_until(ledger->control, &board->ended, has_come, moment,
                             deadline);
    if (patient)
        atomic_fetch_sub(&board->waits, 1);
    return error;
}

/* With the lock held, of which it lets go meanwhile. */
static int
wait_unlocked(struct dsm__ledger *ledger, struct moment *moment, bool patient,
              int64_t deadline)
{
    struct dsm__board *board = ledger->board;
    /* Whoever fills a gap does not move the tail. */
    uint64_t wake_at = moment->gap ? 0 : moment->tail;
    int error = dsm__cluster_check(ledger->control);

    if (error)
        return error;
    if (!is_tail(ledger, atomic_load(&board->ended_tail)))
        return dsm__fail(DSM_EFORMAT, "the table of jobs is damaged");
    moment->changes = atomic_load(&ledger->changes);
    moment->spins = ledger->unfinished < ledger->control->workers
                        ? ledger->control->spins
                        : SPINS;
    if (wake_at < board->wake_at)
        atomic_store(&board->wake_at, wake_at);
    ledger->waiting++;
    if (wake_at == UINT64_MAX || !dsm__ledger_look(ledger)) {
        pthread_mutex_unlock(&ledger->lock);
        error = wait_for(ledger, moment, patient, deadline);
        pthread_mutex_lock(&ledger->lock);
    }
    if (--ledger->waiting == 0)
        atomic_store_explicit(&board->wake_at, UINT64_MAX,
                              memory_order_relaxed);
    return error == DSM_ESTALE ? dsm__cluster_check(ledger->control) : error;
}

int
dsm__ledger_wait(struct dsm__ledger *ledger, uint64_t more, bool patient,
                 int64_t deadline)
{
    struct moment moment = {.ledger = ledger, .tail = ledger->tail + more};

    if (ledger->head < ledger->tail) {
        moment.gap =
            dsm__ended_entry(ledger->control, ledger->program, ledger->head);
        moment.empty = dsm__ended_empty(ledger->control, ledger->head);
        moment.tail = ledger->tail + 1;
    }
    return wait_unlocked(ledger, &moment, patient, deadline);
}

/* ---- dsm_job_next. */

static int
next_locked(struct dsm__ledger *ledger, struct dsm_job **job, int64_t deadline)
{
    for (;;) {
        int error;

        dsm__ledger_read(ledger);
        *job = ledger->ended.first;
        if (*job) {
            dsm__list_remove(*job);
            (*job)->handle = true;
            return 0;
        }
        if (ledger->unfinished_next == 0)
            return dsm__fail(-ECHILD, "no job without a callback is left");
        error = dsm__ledger_wait(ledger, 1, true, deadline);
        if (error == -ETIMEDOUT)
            return dsm__fail(error, "no job ended until the timeout");
        if (error)
            return error;
    }
}

int
dsm_job_next(dsm_job **job, dsm_cluster *cluster, int timeout_ms)
{
    struct dsm__ledger *ledger;
    int error;

    *job = NULL;
    error = dsm__ledger_open(&ledger, cluster, __func__);
    if (error)
        return error;
    pthread_mutex_lock(&ledger->lock);
    error =
        next_locked(ledger, job, timeout_ms ? dsm__deadline(timeout_ms) : 0);
    dsm__ledger_settle_bell(ledger);
    pthread_mutex_unlock(&ledger->lock);
    return error;
}

/* ---- dsm_job_result. */

static int
await_end(struct dsm_job *job, int timeout_ms)
{
    struct dsm__ledger *ledger = job->ledger;
    struct moment moment = {
        .ledger = ledger, .job = job->slot, .tail = UINT64_MAX};
    int64_t deadline = timeout_ms ? dsm__deadline(timeout_ms) : 0;
    int error = 0;

    if (timeout_ms == 0) {
        error = dsm__cluster_check(ledger->control);
        return dsm__job_ended(job) ? 0 : error ? error : -ETIMEDOUT;
    }
    pthread_mutex_lock(&ledger->lock);
    /* seq_cst: pairs with the worker that commits its end. */
    atomic_store(&job->slot->watched, 1);
    while (!error && !dsm__job_ended(job))
        error = wait_unlocked(ledger, &moment, true, deadline);
    pthread_mutex_unlock(&ledger->lock);
    return dsm__job_ended(job) ? 0 : error;
}

static int
map_result(struct dsm_job *job, const void **result, size_t size)
{
    struct dsm__ledger *ledger = job->ledger;
    struct dsm__crate *crate;
    int error;

    pthread_mutex_lock(&ledger->lock);
    crate = dsm__job_result_crate(job);
    error = crate ? dsm__crate_map(crate, ledger->control)
                  : dsm__fail(-ENOMEM, "no memory for a job's result");
    if (!error && crate->size < size)
        error = dsm__fail(DSM_EFORMAT, "a job's result was cut or replaced");
    if (!error)
        *result = crate->at;
    ledger->large_result = size;
    pthread_mutex_unlock(&ledger->lock);
    return error;
}

int
dsm__job_code(const struct dsm_job *job)
{
    uint64_t word = dsm__job_load(job->slot);

    if (dsm__word_phase(word) != DSM__JOB_ENDED)
        return DSM_EPENDING;
    return dsm__word_worker(word) == DSM__NOBODY ? DSM_ECANCELED
                                                 : job->slot->code;
}

const char *
dsm__job_message(const struct dsm_job *job)
{
    if (dsm__word_worker(dsm__job_load(job->slot)) == DSM__NOBODY)
        return "the job was cancelled before it began";
    return dsm__job_body(job)->message;
}

struct dsm__kept *
dsm__job_keep(struct dsm_job *job)
{
    if (!job->kept)
        job->kept = calloc(1, sizeof *job->kept);
    return job->kept;
}

/* With the reason that is there, if there is one. */
static int
fail(const struct dsm_job *job, int code)
{
    const char *message = dsm__job_message(job);

    return *message ? dsm__fail(code, "%.*s", DSM__JOB_MESSAGE, message)
                    : dsm__fail(code, "a job ended with %s", dsm_errname(code));
}

/* The result of a job that has ended. */
static int
give_result(struct dsm_job *job, int code, const void **result, size_t *size)
{
    struct dsm__job *slot = job->slot;
    uint32_t flags = slot->flags;
    size_t bytes = dsm__word_worker(dsm__job_load(slot)) == DSM__NOBODY
                       ? 0
                       : slot->result_size;

    if (!(flags & DSM__JOB_LARGE_RESULT) && bytes > DSM__JOB_RESULT)
        return dsm__fail(DSM_EFORMAT, "a job's result is damaged");
    if (result && bytes && !(flags & DSM__JOB_LARGE_RESULT))
        *result = dsm__job_body(job)->result;
    else if (result && bytes) {
        int error = map_result(job, result, bytes);

        if (error)
            return error;
    }
    if (size)
        *size = bytes;
    return code < 0 ? fail(job, code) : code;
}

int
dsm_job_result(dsm_job *job, const void **result, size_t *size, int timeout_ms)
{
    int code, error = dsm__job_check(job, __func__);

    if (result)
        *result = NULL;
    if (size)
        *size = 0;
    if (!error && timeout_ms == 0 && dsm__job_called_early(job))
        error = -ETIMEDOUT;
    else if (!error && !dsm__job_ended(job))
        error = await_end(job, timeout_ms);
    if (error == -ETIMEDOUT)
        return dsm__fail(DSM_EPENDING, "the job has not ended yet");
    if (error)
        return error;
    code = dsm__job_code(job);
    return give_result(job, code, result, size);
}
