/* Putting right what the dead left; see recover.h.
 *
 * All that a worker may have had a hand in is in its slot: the entries of its
 * block, one of which it may have run, and the places in the ring `ended` that
 * it was filling. */
#include "pool/recover.h"

#include "base/clock.h"
#include "base/point.h"
#include "pool/bell.h"
#include "pool/crate.h"
#include "pool/ended.h"
#include "pool/parcel.h"
#include "pool/provisional.h"
#include "pool/take.h"
#include "sync/wait.h"

#include <dsm/error.h>

#include <stdio.h>
#include <string.h>

static void
queue_again(struct dsm__control *control, unsigned program, uint32_t index)
{
    _Atomic uint64_t *map = dsm__pool_at(control, program, control->pool.again);

    /* In this order: whoever clears the bit looks at the word afterwards. */
    atomic_fetch_or(&map[index / 64], UINT64_C(1) << index % 64);
    atomic_store(&dsm__board(control, program)->again, 1);
    dsm__queued_tell(control, program);
}

static void
tell(struct dsm__control *control, unsigned program, uint32_t index,
     uint32_t turn)
{
    uint64_t entry = dsm__job_entry(turn, index);

    dsm__ended_push(control, program, NULL, &entry, 1, true);
}

static void
fail(struct dsm__body *body, struct dsm__job *job, unsigned worker,
     uint64_t word, const struct dsm__death *death)
{
    bool cancelled = dsm__word_phase(word) == DSM__JOB_DOOMED || job->cancel;
    char which[DSM__JOB_DESCRIPTION];

    dsm__job_describe(which, job, body);
    snprintf(body->message, sizeof body->message,
             "worker %u (pid %ld) %s in %s%s", worker, (long)death->pid,
             death->manner, which, cancelled ? ", which was cancelled" : "");
    job->code = cancelled ? DSM_ECANCELED : DSM_EWORKER;
    job->value = 0;
    job->signal = death->signal;
    job->exit_code = death->exit_code;
    job->pid = death->pid;
    job->result_size = 0;
    job->ended = dsm__ticks();
}

/* A crate that the dead worker had made for a result. */
static void
drop_result(struct dsm__control *control, unsigned program,
            struct dsm__job *job, const struct dsm__body *body)
{
    if (!(job->flags & DSM__JOB_LARGE_RESULT))
        return;
    if (!(job->given & DSM__JOB_SPARE) ||
        body->result_crate != body->spare_crate)
        dsm__crate_remove(control, program, body->result_crate);
    job->flags &= ~(uint32_t)DSM__JOB_LARGE_RESULT;
}

/* The dead worker ran it. */
static bool
end_try(struct dsm__control *control, unsigned program, uint32_t index,
        unsigned worker, uint64_t word, const struct dsm__death *death)
{
    struct dsm__job *job = dsm__job(control, program, index);
    struct dsm__body *body = dsm__body(control, program, index);
    bool again = dsm__word_phase(word) == DSM__JOB_RUNNING && !job->cancel &&
                 job->tries <= job->retries &&
                 !dsm__board(control, program)->gone;
    /* Before the job is queued, and may be another's soon. */
    bool published =
        job->given & DSM__JOB_CALLBACK && dsm__provisional_fresh(body);
    uint32_t turn = dsm__word_turn(word);

    drop_result(control, program, job, body);
    if (again) {
        if (job->given & DSM__JOB_CAPTURE)
            dsm__parcels_remove_try(control, program, index);
        DSM__POINT("job.requeue");
        turn = dsm__next_turn(turn);
        atomic_store(&job->word, dsm__job_word(turn, 0, DSM__JOB_QUEUED));
        queue_again(control, program, index);
        /* What has told of it in the last turn, if it got so far, means nothing
         * any more, and the next try tells of none while this is not taken. */
        if (published)
            tell(control, program, index, turn);
        return false;
    }
    fail(body, job, worker, word, death);
    atomic_store(&job->word, dsm__job_word(turn, worker, DSM__JOB_ENDED));
    DSM__POINT("job.failed");
    tell(control, program, index, turn);
    return true;
}

static bool
bury_entry(struct dsm__control *control, unsigned program, uint32_t index,
           unsigned worker, const struct dsm__death *death)
{
    uint64_t word = dsm__job_load(dsm__job(control, program, index));

    switch (dsm__word_phase(word)) {
    case DSM__JOB_RUNNING:
    case DSM__JOB_DOOMED:
        return dsm__word_worker(word) == worker &&
               end_try(control, program, index, worker, word, death);
    case DSM__JOB_QUEUED: /* perhaps only here */
        queue_again(control, program, index);
        break;
    case DSM__JOB_ENDED: /* perhaps not told yet */
        tell(control, program, index, dsm__word_turn(word));
        break;
    case DSM__JOB_FREE:
        break;
    }
    return false;
}

/* It may have died when it had said that a program has no queued jobs, or none
 * to be run again, and was to look once more whether that is so. */
static void
look_again(struct dsm__control *control)
{
    for (unsigned p = 0; p < DSM__PROGRAMS_MAX; p++)
        if (dsm__board_exists(control, p)) {
            atomic_store(&dsm__board(control, p)->again, 1);
            dsm__queued_tell(control, p);
            /* It may have died asleep there, too. */
            dsm__event_reset(&dsm__board(control, p)->taken);
            /* Or before it rang, for a job or for the end of a region. */
            dsm__board_ring(control, p);
        }
}

unsigned
dsm__pool_bury(struct dsm__control *control, unsigned worker,
               const struct dsm__death *death)
{
    struct dsm__worker_slot *slot = dsm__worker_slot(control, worker);
    uint32_t n = atomic_load(&slot->block_count);
    unsigned program = atomic_load(&slot->block_program), failed = 0;

    atomic_fetch_and(&control->work.looking[worker / 64],
                     ~(UINT64_C(1) << worker % 64));
    if (n > DSM__BLOCK_MAX || program >= DSM__PROGRAMS_MAX ||
        !dsm__board_exists(control, program))
        n = 0;
    else
        dsm__ended_mend(control, program, slot);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t index = dsm__entry_index(atomic_load(&slot->block[k]));

        if (index < dsm__slots(control, program))
            failed += bury_entry(control, program, index, worker, death);
    }
    atomic_store(&slot->block_count, 0);
    atomic_store(&slot->in_job, 0);
    look_again(control);
    /* It may have died asleep, or called to wake another. */
    dsm__event_reset(&control->work.event);
    return failed;
}

int
dsm__job_runner(const struct dsm__control *control, unsigned program,
                uint64_t entry)
{
    uint32_t index = dsm__entry_index(entry);
    uint64_t word;

    if (index >= dsm__slots(control, program))
        return -1;
    word = dsm__job_load(dsm__job(control, program, index));
    return dsm__word_turn(word) == dsm__entry_turn(entry) &&
                   dsm__word_phase(word) == DSM__JOB_RUNNING &&
                   dsm__word_worker(word) < control->workers
               ? (int)dsm__word_worker(word)
               : -1;
}

int
dsm__job_doom(struct dsm__control *control, unsigned program, uint64_t entry)
{
    int worker = dsm__job_runner(control, program, entry);
    uint32_t turn = dsm__entry_turn(entry);
    uint64_t word;

    if (worker < 0)
        return -1;
    word = dsm__job_word(turn, (unsigned)worker, DSM__JOB_RUNNING);
    /* If it ends at this very moment, its worker is not to be killed for it. */
    return atomic_compare_exchange_strong(
               &dsm__job(control, program, dsm__entry_index(entry))->word,
               &word, dsm__job_word(turn, (unsigned)worker, DSM__JOB_DOOMED))
               ? worker
               : -1;
}

void
dsm__program_gone(struct dsm__control *control, unsigned program,
                  void (*visit)(void *context, unsigned program,
                                uint64_t entry),
                  void *context)
{
    struct dsm__board *board = dsm__board(control, program);
    uint32_t slots = dsm__slots(control, program);

    if (!dsm__board_exists(control, program))
        return;
    atomic_store(&board->gone, 1);
    /* Workers that wait for it to take a provisional result. */
    dsm__event_reset(&board->taken);
    for (uint32_t k = 0; k < slots; k++) {
        struct dsm__job *job = dsm__job(control, program, k);
        uint64_t word = dsm__job_load(job);
        uint32_t turn = dsm__word_turn(word);

        if (dsm__word_phase(word) == DSM__JOB_QUEUED &&
            atomic_compare_exchange_strong(
                &job->word, &word, dsm__job_word(turn, 0, DSM__JOB_FREE)))
            continue;
        if (dsm__word_phase(word) != DSM__JOB_RUNNING)
            continue;
        atomic_store(&job->cancel, 1);
        visit(context, program, dsm__job_entry(turn, k));
    }
}

bool
dsm__program_settled(struct dsm__control *control, unsigned program)
{
    uint32_t slots = dsm__slots(control, program);

    if (!dsm__board_exists(control, program))
        return true;
    for (uint32_t k = 0; k < slots; k++) {
        uint64_t word = dsm__job_load(dsm__job(control, program, k));

        if (dsm__word_phase(word) == DSM__JOB_RUNNING ||
            dsm__word_phase(word) == DSM__JOB_DOOMED)
            return false;
    }
    for (uint32_t k = 0; k < slots; k++) {
        struct dsm__job *job = dsm__job(control, program, k);
        uint32_t turn = dsm__word_turn(dsm__job_load(job));

        atomic_store(&job->word, dsm__job_word(turn, 0, DSM__JOB_FREE));
    }
    DSM__POINT("job.settle");
    if (slots)
        dsm__parcels_remove_all(control, program);
    dsm__bell_remove(control->name, program);
    return true;
}

void
dsm__program_welcome(struct dsm__control *control, unsigned program)
{
    if (dsm__board_exists(control, program))
        atomic_store(&dsm__board(control, program)->gone, 0);
}

void
dsm__programs_wake(struct dsm__control *control)
{
    for (unsigned p = 0; p < DSM__PROGRAMS_MAX; p++)
        if (dsm__board_exists(control, p)) {
            dsm__event_reset(&dsm__board(control, p)->ended);
            dsm__board_ring(control, p);
        }
}
