/* Submitting jobs. */
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "base/versioned.h"
#include "code/function.h"
#include "job/ledger.h"
#include "pool/crate.h"
#include "pool/take.h"
#include "shm/segment.h"

#include <errno.h>
#include <string.h>

#define EARLY 64      /* jobs of many after which workers may begin */
#define READ_EACH 256 /* submitted jobs, it is read what has ended */

/* A call of submit or map. */
struct order {
    struct dsm__ledger *ledger;
    dsm_fn fn;
    const char *args;
    size_t arg_size, n;
    dsm_job_options options;
    uint64_t ticks;
    char *text; /* how workers find the function */
    size_t text_size;
    uint32_t given; /* flags of all */
    unsigned ring;  /* of its priority */
    bool handles;
};

/* ---- Checks. */

static int
check_options(struct order *order, const dsm_job_options *given)
{
    dsm_job_options *options = &order->options;
    int error = 0;

    *options = (dsm_job_options){.size = sizeof *options};
    if (given)
        error = dsm__versioned_copy(options, sizeof *options, given,
                                    "DSM_JOB_OPTIONS_INIT");
    if (error)
        return error;
    if (options->priority < DSM_PRIORITY_LEAST ||
        options->priority > DSM_PRIORITY_MOST)
        return dsm__fail(-EINVAL, "options.priority %d: it is %d to %d",
                         options->priority, DSM_PRIORITY_LEAST,
                         DSM_PRIORITY_MOST);
    if (options->timeout_ms < DSM_FOREVER)
        return dsm__fail(-EINVAL, "options.timeout_ms is %d",
                         options->timeout_ms);
    order->ring = (unsigned)(DSM_PRIORITY_MOST - options->priority);
    if (options->callback)
        order->given |= DSM__JOB_CALLBACK;
    if (options->capture_output)
        order->given |= DSM__JOB_CAPTURE;
    if (options->name && options->name[0])
        order->given |= DSM__JOB_NAMED;
    if (order->arg_size > DSM__JOB_ARG)
        order->given |= DSM__JOB_LARGE_ARG;
    return 0;
}

static int
check_arguments(const struct order *order)
{
    const struct dsm__control *control = order->ledger->control;

    if (order->n > order->ledger->jobs_max)
        return dsm__fail(-EINVAL,
                         "%zu jobs at once: cluster '%s' takes %u unreleased "
                         "jobs of a program at most (options.max_jobs)",
                         order->n, control->name, order->ledger->jobs_max);
    if (order->arg_size && order->n > SIZE_MAX / order->arg_size)
        return dsm__fail(-EINVAL, "%zu arguments of %zu bytes", order->n,
                         order->arg_size);
    return dsm__argument_check(order->ledger->cluster, order->args,
                               order->arg_size);
}

/* How workers find the function. */
static int
find_function(struct order *order)
{
    const struct dsm__ledger *ledger = order->ledger;
    int error = dsm__function_describe(
        order->text, &order->text_size, order->fn,
        ledger->program == 0 ? ledger->cluster->objects : NULL);

    if (!error && order->text_size)
        order->given |= DSM__JOB_BY_NAME;
    return error;
}

/* Memory for the ring of this priority, with the first job that needs it. */
static int
ready_ring(const struct order *order)
{
    struct dsm__ledger *ledger = order->ledger;
    const struct dsm__control *control = ledger->control;
    uint64_t bytes = control->pool.ring * sizeof(uint64_t);
    uint32_t bit = UINT32_C(1) << order->ring;
    uint64_t at;
    int error;

    if (ledger->board->ready & bit)
        return 0;
    at = control->pool.offset + ledger->program * control->pool.size +
         control->pool.rings + order->ring * bytes;
    error = dsm__segment_allocate(ledger->cluster->member.fd,
                                  DSM__SHM_DIRECTORY "/", at, bytes,
                                  "the queue of jobs");
    if (!error)
        ledger->board->ready |= bit;
    return error;
}

/* ---- One job. */

/* Without the ledger's lock: into a crate.  When there is no memory the idle
 * ones give theirs. */
static int
fill_crate(const struct order *order, struct dsm_job *job, const char *arg)
{
    struct dsm__ledger *ledger = order->ledger;
    const struct dsm__control *control = ledger->control;
    int error = dsm__crate_fill(job->arg_crate, control, arg, order->arg_size);
    bool any;

    if (error != -ENOSPC && error != -ENOMEM)
        return error;
    pthread_mutex_lock(&ledger->lock);
    any = dsm__crates_trim(&ledger->crates, control);
    pthread_mutex_unlock(&ledger->lock);
    return any ? dsm__crate_fill(job->arg_crate, control, arg, order->arg_size)
               : error;
}

static int
fill_arg(const struct order *order, struct dsm_job *job, size_t k)
{
    struct dsm__job *slot = job->slot;
    const char *arg;

    slot->arg_size = order->arg_size;
    slot->arg = 0;
    if (order->arg_size == 0) {
        slot->arg = (uint64_t)(uintptr_t)order->args;
        return 0;
    }
    arg = order->args + k * order->arg_size;
    if (order->arg_size <= DSM__JOB_ARG)
        memcpy(dsm__job_body(job)->arg_copy, arg, order->arg_size);
    else
        return fill_crate(order, job, arg);
    return 0;
}

/* With the lock: a crate for the argument, and one that lies idle for the
 * result if the last was a large one. */
static int
give_crates(const struct order *order, struct dsm_job *job)
{
    struct dsm__ledger *ledger = order->ledger;
    struct dsm__body *body = dsm__job_body(job);

    if (order->given & DSM__JOB_LARGE_ARG) {
        job->arg_crate = dsm__crate_spare(&ledger->crates, order->arg_size);
        if (!job->arg_crate)
            job->arg_crate = dsm__crate_of(
                ledger->program,
                dsm__crate_number(ledger->control, ledger->program));
        if (!job->arg_crate)
            return dsm__fail(-ENOMEM, "no memory for a job's argument");
        body->arg_crate = job->arg_crate->number;
    }
    if (ledger->large_result)
        job->spare = dsm__crate_spare(&ledger->crates, ledger->large_result);
    if (job->spare)
        body->spare_crate = job->spare->number;
    return 0;
}

static void
fill_handle(const struct order *order, struct dsm_job *job)
{
    job->handle = order->handles;
    job->over = job->released = job->calling = job->called_for = false;
    job->callback = order->options.callback;
    job->callback_arg = order->options.callback_arg;
}

/* The parts that few jobs need. */
static void
fill_body(const struct order *order, struct dsm__body *body,
          struct dsm__job *slot)
{
    if (order->given & DSM__JOB_BY_NAME) {
        memcpy(body->text, order->text, order->text_size);
        slot->text_size = (uint32_t)order->text_size;
    }
    if (order->options.name) {
        strncpy(body->name, order->options.name, sizeof body->name - 1);
        body->name[sizeof body->name - 1] = '\0';
    }
    if (slot->flags & DSM__JOB_PUBLISHED)
        atomic_store_explicit(&body->exchange, 0, memory_order_relaxed);
}

static void
fill_slot(const struct order *order, struct dsm_job *job)
{
    struct dsm__job *slot = job->slot;

    if (order->given & (DSM__JOB_BY_NAME | DSM__JOB_NAMED) || slot->flags)
        fill_body(order, dsm__job_body(job), slot);
    slot->fn = order->fn;
    slot->given = order->given | (job->spare ? DSM__JOB_SPARE : 0);
    slot->submitted = order->ticks;
    slot->retries = order->options.retries;
    atomic_store_explicit(&slot->tries, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->pid, 0, memory_order_relaxed);
    slot->value = slot->signal = slot->exit_code = 0;
    slot->flags = 0;
    atomic_store_explicit(&slot->cancel, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->watched, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->dropped, 0, memory_order_relaxed);
}

static int
fill(struct order *order, struct dsm_job *chain)
{
    size_t k = 0;
    int error = 0;

    for (struct dsm_job *job = chain; job && !error; job = job->next) {
        fill_handle(order, job);
        fill_slot(order, job);
        error = fill_arg(order, job, k++);
    }
    return error;
}

/* ---- Queueing. */

static void
push(const struct order *order, struct dsm_job *job, uint64_t tail)
{
    struct dsm__ledger *ledger = order->ledger;
    uint32_t turn = dsm__next_turn(dsm__word_turn(dsm__job_load(job->slot)));

    job->list = DSM__NO_LIST;
    /* Release: what was filled in, for a worker that finds an entry of old. */
    atomic_store_explicit(&job->slot->word,
                          dsm__job_word(turn, 0, DSM__JOB_QUEUED),
                          memory_order_release);
    atomic_store_explicit(
        dsm__queued_entry(ledger->control, ledger->program, order->ring, tail),
        dsm__job_entry(turn, job->index), memory_order_relaxed);
    DSM__POINT("job.push");
}

/* With seq_cst, as then it is looked whether workers must be told. */
static void
show(const struct order *order, uint64_t tail)
{
    struct dsm__ledger *ledger = order->ledger;

    atomic_store_explicit(&ledger->board->tails[order->ring], tail,
                          memory_order_seq_cst);
    DSM__POINT("job.shown");
    dsm__queued_tell(ledger->control, ledger->program);
}

/* Makes a place in the ring, which has as many as there are jobs: if it is
 * full, some entries are of jobs that were cancelled while they were queued.
 * Those are dropped, and the others go to the end, all of them, so that they
 * keep their order.  Returns the tail. */
static uint64_t
make_way(const struct order *order, uint64_t tail)
{
    struct dsm__ledger *ledger = order->ledger;
    const struct dsm__control *control = ledger->control;
    _Atomic uint64_t *heads = &ledger->board->heads[order->ring];
    uint64_t head = atomic_load_explicit(heads, memory_order_acquire);
    uint64_t end = tail - head >= control->pool.ring ? tail : head;

    /* More than there can be: it is damaged, and leads nowhere. */
    if (tail - head > control->pool.ring) {
        atomic_store(heads, tail);
        return tail;
    }
    while (head < end) {
        uint64_t entry = atomic_load(
            dsm__queued_entry(control, ledger->program, order->ring, head));
        const struct dsm__job *slot =
            dsm__job(control, ledger->program, dsm__entry_index(entry));

        if (!atomic_compare_exchange_strong(heads, &head, head + 1))
            continue;
        head++;
        if (dsm__entry_index(entry) < ledger->slots &&
            dsm__job_load(slot) ==
                dsm__job_word(dsm__entry_turn(entry), 0, DSM__JOB_QUEUED))
            atomic_store(dsm__queued_entry(control, ledger->program,
                                           order->ring, tail++),
                         entry);
    }
    return tail;
}

static void
queue(const struct order *order, dsm_job **jobs, struct dsm_job *chain)
{
    struct dsm__ledger *ledger = order->ledger;
    uint64_t tail = atomic_load_explicit(&ledger->board->tails[order->ring],
                                         memory_order_relaxed);
    size_t k = 0;

    ledger->unfinished += (unsigned)order->n;
    if (order->options.callback)
        ledger->unfinished_due += (unsigned)order->n;
    else
        ledger->unfinished_next += (unsigned)order->n;
    while (chain) {
        struct dsm_job *job = chain;

        chain = job->next;
        if (jobs)
            jobs[k] = job;
        tail = make_way(order, tail);
        push(order, job, tail++);
        if (++k % EARLY == 0)
            show(order, tail);
    }
    if (k % EARLY != 0)
        show(order, tail);
}

static void
give_back(struct dsm_job *chain)
{
    while (chain) {
        struct dsm_job *next = chain->next;

        chain->list = DSM__NO_LIST;
        dsm__job_recycle(chain);
        chain = next;
    }
}

/* With the ledger's lock held. */
static int
place(struct order *order, dsm_job **jobs)
{
    pthread_mutex_t *lock = &order->ledger->lock;
    bool large = order->given & DSM__JOB_LARGE_ARG;
    struct dsm_job *chain;
    int error = ready_ring(order);

    if (!error)
        error = dsm__ledger_take(order->ledger, &chain, (uint32_t)order->n,
                                 &order->options);
    if (error)
        return error;
    if (large || order->ledger->large_result)
        for (struct dsm_job *job = chain; job && !error; job = job->next)
            error = give_crates(order, job);
    if (large)
        pthread_mutex_unlock(lock);
    if (!error)
        error = fill(order, chain);
    if (large)
        pthread_mutex_lock(lock);
    DSM__POINT("job.fill");
    if (error)
        give_back(chain);
    else
        queue(order, jobs, chain);
    return error;
}

static int
submit(struct order *order, dsm_job **jobs, dsm_cluster *cluster,
       const dsm_job_options *options, const char *call)
{
    int error = dsm__ledger_open(&order->ledger, cluster, call);

    if (!error)
        error = check_options(order, options);
    if (!error)
        error = check_arguments(order);
    if (!error)
        error = dsm__cluster_check(order->ledger->control);
    if (!error)
        error = find_function(order);
    if (error || order->n == 0)
        return error;
    order->ticks = dsm__ticks();
    order->handles = jobs != NULL;
    pthread_mutex_lock(&order->ledger->lock);
    error = place(order, jobs);
    /* Who never calls next or poll would let the ring run full. */
    order->ledger->submitted += order->n;
    if (order->ledger->submitted >= READ_EACH) {
        order->ledger->submitted = 0;
        dsm__ledger_read(order->ledger);
    }
    dsm__ledger_settle_bell(order->ledger);
    pthread_mutex_unlock(&order->ledger->lock);
    return error;
}

int
dsm_job_submit(dsm_job **job, dsm_cluster *cluster, dsm_fn fn, const void *arg,
               size_t arg_size, const dsm_job_options *options)
{
    char text[DSM__FUNCTION_TEXT];
    struct order order = {
        .fn = fn, .text = text, .args = arg, .arg_size = arg_size, .n = 1};

    if (job)
        *job = NULL;
    return submit(&order, job, cluster, options, __func__);
}

int
dsm_job_map(dsm_job **jobs, dsm_cluster *cluster, dsm_fn fn, const void *args,
            size_t arg_size, size_t n, const dsm_job_options *options)
{
    char text[DSM__FUNCTION_TEXT];
    struct order order = {
        .fn = fn, .text = text, .args = args, .arg_size = arg_size, .n = n};
    int error;

    error = submit(&order, jobs, cluster, options, __func__);
    if (error && jobs)
        memset(jobs, 0, n * sizeof *jobs);
    return error;
}
