/* Callbacks and event loops: poll, drain and the bell. */
#include "base/clock.h"
#include "base/error.h"
#include "cluster/outcome.h"
#include "job/ledger.h"
#include "pool/bell.h"
#include "pool/ended.h"
#include "pool/provisional.h"
#include "sync/wait.h"

#include <errno.h>
#include <limits.h>

/* Whether this thread runs a callback; they are never nested. */
static _Thread_local bool calling;

/* The job that it was called for, if for a provisional result. */
static _Thread_local const struct dsm_job *called_early;

/* ---- The bell. */

/* Whether no job of its will end any more. */
static bool
is_over(const struct dsm__control *control)
{
    return control->broken || control->stopping == DSM__STOPPED;
}

/* Whether there is something for the program to do, or to be told. */
static bool
is_due(const struct dsm__ledger *ledger)
{
    const struct dsm__control *control = ledger->control;

    return ledger->due.first || ledger->ended.first ||
           (ledger->cluster->started && !dsm__region_active(control)) ||
           is_over(control);
}

void
dsm__ledger_settle_bell(struct dsm__ledger *ledger)
{
    struct dsm__board *board = ledger->board;

    if (ledger->bell < 0)
        return;
    if (!is_due(ledger)) {
        dsm__bell_silence(ledger->bell);
        ledger->rung = false;
        /* seq_cst: armed before it is looked once more; see tell(). */
        ledger->armings += ledger->armings + 1 ? 1 : 2; /* never 0 */
        atomic_store(&board->armed, ledger->armings);
        atomic_thread_fence(memory_order_seq_cst);
        dsm__ledger_read(ledger);
        (void)dsm__ledger_look(ledger);
    }
    if (!is_due(ledger) || ledger->rung)
        return;
    dsm__bell_ring(ledger->control->name, ledger->program);
    ledger->rung = true;
}

/* A bell, or an error.  When the supervisor is dead nobody would remove its
 * name. */
static int
make_bell(const struct dsm__ledger *ledger)
{
    const struct dsm__control *control = ledger->control;
    int fd = dsm__bell_make(control->name, ledger->program);

    if (fd < 0 || !dsm__supervisor_dead(control))
        return fd;
    dsm__bell_remove(control->name, ledger->program);
    close(fd);
    return dsm__supervisor_gone(control);
}

int
dsm_cluster_fd(dsm_cluster *cluster)
{
    struct dsm__ledger *ledger;
    int fd = dsm__ledger_open(&ledger, cluster, __func__);

    if (fd)
        return fd;
    pthread_mutex_lock(&ledger->lock);
    if (ledger->bell < 0) {
        fd = make_bell(ledger);
        ledger->bell = fd < 0 ? -1 : fd;
        dsm__ledger_read(ledger);
        dsm__ledger_settle_bell(ledger);
    }
    if (ledger->bell >= 0)
        fd = ledger->bell;
    pthread_mutex_unlock(&ledger->lock);
    return fd;
}

/* ---- Callbacks. */

/* A provisional result that the callback did not want would keep others from
 * being told.  One that came after the one it took is not meant. */
static void
drop_provisional(struct dsm__ledger *ledger, struct dsm_job *job)
{
    if (!job->over && job->unwanted &&
        dsm__provisional_take(dsm__job_body(job)) >= 0)
        dsm__signal(&ledger->board->taken, INT_MAX);
}

static void
after_callback(struct dsm__ledger *ledger, struct dsm_job *job, bool last)
{
    bool again = job->called_for && !job->released;

    job->calling = job->called_for = false;
    if (job->over && (job->released || (last && !job->handle)))
        dsm__job_recycle(job);
    else if (again)
        dsm__list_append(&ledger->due, job, DSM__IN_DUE);
    else if (!job->released)
        drop_provisional(ledger, job);
}

static void
call(struct dsm__ledger *ledger, struct dsm_job *job)
{
    bool last = job->over;

    dsm__list_remove(job);
    job->unwanted = dsm__provisional_fresh(dsm__job_body(job));
    job->calling = true;
    calling = true;
    called_early = last ? NULL : job;
    pthread_mutex_unlock(&ledger->lock);
    job->callback(job, job->callback_arg);
    pthread_mutex_lock(&ledger->lock);
    calling = false;
    called_early = NULL;
    after_callback(ledger, job, last);
}

bool
dsm__job_called_early(const struct dsm_job *job)
{
    return job == called_early;
}

/* Runs those that are due now, but not what they make due: how many. */
static int
run_due(struct dsm__ledger *ledger)
{
    struct dsm_job *last = ledger->due.last, *job;
    int n = 0;

    while ((job = ledger->due.first)) {
        bool end = job == last;

        call(ledger, job);
        n++;
        if (end)
            break;
    }
    return n;
}

static int
poll_locked(struct dsm__ledger *ledger, int64_t deadline)
{
    for (;;) {
        int error, n;

        dsm__ledger_read(ledger);
        n = run_due(ledger);
        if (n > 0)
            return n;
        if (ledger->unfinished_due == 0)
            return is_over(ledger->control)
                       ? dsm__cluster_check(ledger->control)
                       : 0;
        error = dsm__ledger_wait(ledger, 1, false, deadline);
        if (error)
            return error == -ETIMEDOUT ? 0 : error;
    }
}

int
dsm_cluster_poll(dsm_cluster *cluster, int timeout_ms)
{
    struct dsm__ledger *ledger;
    int result = dsm__ledger_open(&ledger, cluster, __func__);

    if (result || calling)
        return result;
    pthread_mutex_lock(&ledger->lock);
    result = poll_locked(ledger, timeout_ms ? dsm__deadline(timeout_ms) : 0);
    dsm__ledger_settle_bell(ledger);
    pthread_mutex_unlock(&ledger->lock);
    return result;
}

static int
drain_locked(struct dsm__ledger *ledger, int64_t deadline)
{
    int error = 0;

    while (!error) {
        dsm__ledger_read(ledger);
        if (run_due(ledger) > 0)
            continue;
        if (ledger->unfinished == 0)
            return 0;
        /* For callbacks as soon as possible, else when all are there. */
        error = dsm__ledger_wait(
            ledger, ledger->unfinished_due ? 1 : ledger->unfinished, true,
            deadline);
    }
    return error;
}

int
dsm_cluster_drain(dsm_cluster *cluster, int timeout_ms)
{
    struct dsm__ledger *ledger;
    int result = dsm__ledger_open(&ledger, cluster, __func__);

    if (result)
        return result;
    if (calling)
        return dsm__fail(-EDEADLK,
                         "dsm_cluster_drain: a callback cannot wait for all "
                         "callbacks to end");
    pthread_mutex_lock(&ledger->lock);
    result = drain_locked(ledger, timeout_ms ? dsm__deadline(timeout_ms) : 0);
    if (result == -ETIMEDOUT)
        dsm__fail(result, "%u jobs have not ended until the timeout",
                  ledger->unfinished);
    dsm__ledger_settle_bell(ledger);
    pthread_mutex_unlock(&ledger->lock);
    return result;
}
