/* Making ledgers, and the slots in them; see ledger.h. */
#include "job/ledger.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "os/cpu.h"
#include "pool/bell.h"
#include "pool/ended.h"
#include "pool/parcel.h"
#include "shm/segment.h"
#include "sync/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#define SLOTS_FIRST 64
#define SLOTS_MOST 4096 /* taken at once */

/* ---- Memory of the program's part of the pool. */

static int
allocate(struct dsm__ledger *ledger, uint64_t from, uint64_t bytes)
{
    const struct dsm__member *member = &ledger->cluster->member;
    uint64_t at = ledger->control->pool.offset +
                  ledger->program * ledger->control->pool.size + from;

    return dsm__segment_allocate(member->fd, DSM__SHM_DIRECTORY "/", at, bytes,
                                 "the table of jobs");
}

/* More slots.  0; -ENOSPC; 1: there are no more. */
static int
grow(struct dsm__ledger *ledger)
{
    const struct dsm__pool_layout *pool = &ledger->control->pool;
    uint32_t have = ledger->slots, more = have ? have : SLOTS_FIRST;
    uint64_t size = sizeof(struct dsm__job), body = sizeof(struct dsm__body);
    int error;

    if (more > SLOTS_MOST)
        more = SLOTS_MOST;
    if (more > ledger->jobs_max - have)
        more = ledger->jobs_max - have;
    if (more == 0)
        return 1;
    error = allocate(ledger, pool->jobs + have * size, more * size);
    if (!error)
        error = allocate(ledger, pool->bodies + have * body, more * body);
    if (error)
        return error;
    dsm__space_populate(&ledger->cluster->member.space,
                        dsm__job(ledger->control, ledger->program, have),
                        more * size);
    for (uint32_t k = 0; k < more; k++)
        ledger->free[ledger->free_count++] = have + more - 1 - k;
    /* Released: whoever walks the slots finds memory. */
    ledger->slots = have + more;
    atomic_store(&ledger->board->slots, ledger->slots);
    return 0;
}

/* The board is new, or that of a program that is gone.  Then its rings may have
 * entries, which mean nothing any more. */
static int
open_board(struct dsm__ledger *ledger)
{
    struct dsm__control *control = ledger->control;
    struct dsm__board *board = dsm__board(control, ledger->program);
    uint64_t bit = UINT64_C(1) << ledger->program % 64, tail, head;
    uint64_t length = 2 * control->pool.ring;

    ledger->board = board;
    ledger->slots = board->slots;
    if (ledger->slots > ledger->jobs_max)
        return dsm__fail(DSM_EFORMAT, "the table of jobs is damaged");
    if (!dsm__board_exists(control, ledger->program)) {
        int error = allocate(ledger, 0, control->pool.rings);

        if (error)
            return error;
    }
    tail = board->ended_tail;
    head = board->ended_head;
    for (uint64_t k = 0; k < tail - head && k < length; k++)
        atomic_store(dsm__ended_entry(control, ledger->program, head + k),
                     dsm__ended_empty(control, head + k + length));
    board->ended_head = ledger->head = ledger->tail = tail;
    board->wake_at = UINT64_MAX;
    board->armed = board->overflow = board->waits = 0;
    board->ended.sleeping = board->taken.sleeping = 0;
    DSM__POINT("job.board");
    atomic_fetch_or(&control->work.boards[ledger->program / 64], bit);
    for (uint32_t k = ledger->slots; k > 0; k--)
        ledger->free[ledger->free_count++] = k - 1;
    return 0;
}

static void
free_parts(struct dsm_job *job)
{
    dsm__kept_free(job);
    dsm__crate_free(job->arg_crate);
    dsm__crate_free(job->result_crate);
    dsm__crate_free(job->spare);
}

static void
free_ledger(struct dsm__ledger *ledger)
{
    if (!ledger)
        return;
    /* Its name is the supervisor's to remove: another may have it by now. */
    if (ledger->bell >= 0)
        close(ledger->bell);
    for (uint32_t k = 0; ledger->jobs && k < ledger->jobs_max; k++)
        free_parts(&ledger->jobs[k]);
    dsm__crates_free(&ledger->crates);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger->jobs);
    free(ledger->free);
    free(ledger);
}

static int
make(struct dsm__ledger **made, dsm_cluster *cluster)
{
    struct dsm__member *member = &cluster->member;
    struct dsm__ledger *ledger = calloc(1, sizeof *ledger);
    uint32_t n = (uint32_t)member->control->pool.jobs_max;
    int error;

    if (!ledger)
        return dsm__fail_errno("no memory for jobs");
    ledger->cluster = cluster;
    ledger->control = member->control;
    ledger->program = member->role == DSM__ATTACHED ? member->index + 1 : 0;
    ledger->bell = -1;
    ledger->jobs_max = n;
    pthread_mutex_init(&ledger->lock, NULL);
    ledger->jobs = calloc(n, sizeof *ledger->jobs);
    ledger->free = calloc(n, sizeof *ledger->free);
    error = ledger->jobs && ledger->free
                ? open_board(ledger)
                : dsm__fail(-ENOMEM, "no memory for jobs");
    if (error)
        free_ledger(ledger);
    else
        *made = ledger;
    return error;
}

static int
check_caller(const dsm_cluster *cluster, const char *call)
{
    const struct dsm__control *control = cluster->member.control;

    if (!dsm__identity_ok() || !control)
        return dsm__identity_fail(call);
    if (dsm__worker_process() || dsm__worker_here(control))
        return dsm__fail(-EPERM, "%s: a worker has no jobs of its own", call);
    if (control->first >= control->workers)
        return dsm__fail(-EINVAL,
                         "%s: the controller is the only worker of cluster "
                         "'%s', which leaves no process to run jobs",
                         call, control->name);
    if (control->pool.jobs_max == 0)
        return dsm__fail(-ENOSPC,
                         "%s: cluster '%s' has no room for jobs, as address "
                         "space or files were limited (ulimit -v, -f) when it "
                         "was created",
                         call, control->name);
    return 0;
}

int
dsm__job_check(const struct dsm_job *job, const char *call)
{
    if (!dsm__identity_ok())
        return dsm__identity_fail(call);
    /* In this order: what is a handle elsewhere is nothing in a process that is
     * a worker. */
    if (dsm__worker_process() || dsm__worker_here(job->ledger->control))
        return dsm__fail(-EPERM, "%s: a worker has no jobs of its own", call);
    return 0;
}

int
dsm__ledger_open(struct dsm__ledger **ledger, dsm_cluster *cluster,
                 const char *call)
{
    int error = check_caller(cluster, call);

    if (error)
        return error;
    *ledger = atomic_load_explicit(&cluster->ledger, memory_order_acquire);
    if (*ledger)
        return 0;
    pthread_mutex_lock(&cluster->commands);
    *ledger = atomic_load_explicit(&cluster->ledger, memory_order_acquire);
    if (!*ledger) {
        error = make(ledger, cluster);
        if (!error) {
            cluster->ledger_free = free_ledger;
            atomic_store_explicit(&cluster->ledger, *ledger,
                                  memory_order_release);
        }
    }
    pthread_mutex_unlock(&cluster->commands);
    return error;
}

/* ---- Slots. */

/* Nothing can make room if this thread is alone and nothing will be released by
 * its end. */
static bool
is_deadlock(const struct dsm__ledger *ledger)
{
    return __libc_single_threaded && ledger->unfinished_released == 0;
}

static int
wait_for_room(struct dsm__ledger *ledger, const dsm_job_options *options,
              int64_t deadline)
{
    unsigned most = ledger->jobs_max;
    int error;

    if (options->nowait)
        return dsm__fail(-EAGAIN, "%u jobs of this program are unreleased",
                         most);
    if (is_deadlock(ledger))
        return dsm__fail(
            -EDEADLK,
            "%u jobs of this program are unreleased, and only this "
            "thread could release some: take them by "
            "dsm_job_next or dsm_cluster_poll in between, or "
            "raise options.max_jobs of the cluster",
            most);
    error = dsm__ledger_wait(ledger, 1, true, deadline);
    if (error == -ETIMEDOUT)
        return dsm__fail(error,
                         "%u jobs of this program stayed unreleased until the "
                         "timeout",
                         most);
    if (!error)
        dsm__ledger_read(ledger);
    return error;
}

static int
make_room(struct dsm__ledger *ledger, uint32_t n,
          const dsm_job_options *options)
{
    int64_t deadline = DSM__NO_DEADLINE;
    int error;

    if (options->timeout_ms > 0)
        deadline = dsm__deadline(options->timeout_ms);
    while (ledger->free_count < n) {
        error = grow(ledger);
        if (error == -ENOSPC &&
            dsm__crates_trim(&ledger->crates, ledger->control))
            error = grow(ledger);
        if (error == 1) {
            dsm__ledger_read(ledger);
            if (ledger->free_count >= n)
                break;
            error = wait_for_room(ledger, options, deadline);
        }
        if (error)
            return error;
    }
    return 0;
}

int
dsm__ledger_take(struct dsm__ledger *ledger, struct dsm_job **chain, uint32_t n,
                 const dsm_job_options *options)
{
    struct dsm_job **link = chain;
    int error = 0;

    if (ledger->free_count < n)
        error = make_room(ledger, n, options);
    for (uint32_t k = 0; !error && k < n; k++) {
        uint32_t index = ledger->free[--ledger->free_count];
        struct dsm_job *job = &ledger->jobs[index];

        job->ledger = ledger;
        job->index = index;
        job->slot = dsm__job(ledger->control, ledger->program, index);
        *link = job;
        link = &job->next;
    }
    if (!error)
        *link = NULL;
    return error;
}

void
dsm__kept_free(struct dsm_job *job)
{
    struct dsm__kept *kept = job->kept;

    if (!kept)
        return;
    dsm__parcel_unmap(kept->provisional, kept->provisional_size);
    free(kept->out);
    free(kept->err);
    free(kept);
    job->kept = NULL;
}

struct dsm__crate *
dsm__job_result_crate(struct dsm_job *job)
{
    const struct dsm__body *body = dsm__job_body(job);

    if (job->spare && body->result_crate == job->spare->number)
        return job->spare;
    if (!job->result_crate)
        job->result_crate =
            dsm__crate_of(job->ledger->program, body->result_crate);
    return job->result_crate;
}

/* What a job had is for another's use. */
static void
return_crates(struct dsm_job *job)
{
    struct dsm__ledger *ledger = job->ledger;
    struct dsm__crates *crates = &ledger->crates;
    struct dsm__crate *result = NULL;

    /* One that nobody looked at is not mapped, and is given up. */
    if (job->slot->flags & DSM__JOB_LARGE_RESULT)
        result = dsm__job_result_crate(job);
    if (result && result != job->spare)
        dsm__crate_return(crates, result, ledger->control);
    if (job->spare)
        dsm__crate_return(crates, job->spare, ledger->control);
    if (job->arg_crate)
        dsm__crate_return(crates, job->arg_crate, ledger->control);
    job->result_crate = job->spare = job->arg_crate = NULL;
}

void
dsm__job_recycle(struct dsm_job *job)
{
    struct dsm__ledger *ledger = job->ledger;
    struct dsm__job *slot = job->slot;
    uint32_t turn = dsm__word_turn(dsm__job_load(slot));

    if (job->list != DSM__NO_LIST)
        dsm__list_remove(job);
    if (job->kept)
        dsm__kept_free(job);
    if (slot->given & DSM__JOB_CAPTURE ||
        slot->flags & DSM__JOB_LARGE_PUBLISHED)
        dsm__parcels_remove(ledger->control, ledger->program, job->index);
    return_crates(job);
    DSM__POINT("job.recycle");
    if (slot->flags & DSM__JOB_PUBLISHED)
        atomic_store_explicit(&dsm__job_body(job)->exchange, 0,
                              memory_order_relaxed);
    slot->flags = slot->given = 0;
    job->over = true; /* whatever its word may come to say */
    atomic_store_explicit(&slot->word, dsm__job_word(turn, 0, DSM__JOB_FREE),
                          memory_order_relaxed);
    ledger->free[ledger->free_count++] = job->index;
    if (ledger->waiting)
        dsm__ledger_changed(ledger);
}

/* ---- Lists. */

static struct dsm__list *
list_of(struct dsm_job *job)
{
    return job->list == DSM__IN_ENDED ? &job->ledger->ended : &job->ledger->due;
}

void
dsm__list_append(struct dsm__list *list, struct dsm_job *job, int which)
{
    job->list = (unsigned char)which;
    job->next = NULL;
    job->previous = list->last;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
}

void
dsm__list_remove(struct dsm_job *job)
{
    struct dsm__list *list = list_of(job);

    if (job->previous)
        job->previous->next = job->next;
    else
        list->first = job->next;
    if (job->next)
        job->next->previous = job->previous;
    else
        list->last = job->previous;
    job->list = DSM__NO_LIST;
}
