/* Taking jobs; see take.h.
 *
 * A worker takes several short jobs at once, a block, so that the ring's head
 * is not passed around for each.  It first writes their entries into its slot
 * and then moves the head: so at any moment every queued job can be found, by
 * other workers and, if it dies, by the supervisor.  Only the compare-and-swap
 * on a job's word makes the job its own. */
#include "pool/take.h"

#include "base/clock.h"
#include "base/point.h"
#include "os/cpu.h"
#include "sync/wait.h"

#define BLOCK_TICKS 10000    /* of work in a block: some microseconds */
#define STALLED_TICKS 200000 /* a block that old has a long job in it */
#define MISSES 50 /* looks, before a worker says that there are no jobs */

void
dsm__taker_init(struct dsm__taker *taker, struct dsm__control *control,
                unsigned worker)
{
    *taker = (struct dsm__taker){
        .control = control,
        .slot = dsm__worker_slot(control, worker),
        .worker = worker,
        .size = 1,
        .victim = worker,
    };
}

/* Whether its jobs are so short that it is about to look for more. */
static bool
is_quick(const struct dsm__taker *taker)
{
    return taker->size == DSM__BLOCK_MAX;
}

void
dsm__job_took(struct dsm__taker *taker, uint64_t ticks)
{
    taker->pace = ticks > taker->pace ? ticks : (3 * taker->pace + ticks) / 4;
    taker->size = (uint32_t)(BLOCK_TICKS / (taker->pace + 1));
    if (taker->size < 1)
        taker->size = 1;
    if (taker->size > DSM__BLOCK_MAX)
        taker->size = DSM__BLOCK_MAX;
    if (!is_quick(taker))
        dsm__look(taker, false);
}

/* ---- A worker's block. */

/* While the count is 0 the entries change. */
static void
block_open(struct dsm__taker *taker, unsigned program)
{
    atomic_store_explicit(&taker->slot->block_count, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&taker->slot->block_program, program,
                          memory_order_relaxed);
    taker->program = program;
}

static void
block_put(struct dsm__taker *taker, uint32_t k, uint64_t entry)
{
    atomic_store_explicit(&taker->slot->block[k], entry, memory_order_relaxed);
}

static void
block_close(struct dsm__taker *taker, uint32_t count)
{
    /* seq_cst: before the head moves, or the bit goes. */
    atomic_store_explicit(&taker->slot->block_count, count,
                          memory_order_seq_cst);
    taker->next = 0;
    taker->count = count;
}

static void
block_of_one(struct dsm__taker *taker, unsigned program, uint64_t entry)
{
    block_open(taker, program);
    block_put(taker, 0, entry);
    block_close(taker, 1);
}

/* The job of an entry, if this worker could make it its own. */
static struct dsm__job *
claim(struct dsm__taker *taker, uint64_t entry)
{
    uint32_t index = dsm__entry_index(entry), turn = dsm__entry_turn(entry);
    struct dsm__job *job;
    uint64_t word = dsm__job_word(turn, 0, DSM__JOB_QUEUED);

    if (index >= taker->control->pool.jobs_max)
        return NULL;
    job = dsm__job(taker->control, taker->program, index);
    /* Acquire: what the program wrote before it queued the job. */
    if (!atomic_compare_exchange_strong_explicit(
            &job->word, &word,
            dsm__job_word(turn, taker->worker, DSM__JOB_RUNNING),
            memory_order_acq_rel, memory_order_relaxed))
        return NULL;
    DSM__POINT("job.claimed");
    return job;
}

struct dsm__job *
dsm__block_next(struct dsm__taker *taker, uint64_t *entry)
{
    struct dsm__job *job = NULL;

    while (!job && taker->next < taker->count) {
        *entry = atomic_load_explicit(&taker->slot->block[taker->next++],
                                      memory_order_relaxed);
        job = claim(taker, *entry);
    }
    return job;
}

/* ---- Where jobs come from. */

/* So many that other workers find enough, too. */
static uint32_t
block_size(const struct dsm__taker *taker, uint64_t queued)
{
    uint64_t share = queued / (2 * (uint64_t)taker->control->workers) + 1;

    return share < taker->size ? (uint32_t)share : taker->size;
}

static void
prefetch(const struct dsm__taker *taker, unsigned program, uint64_t entry)
{
    uint32_t index = dsm__entry_index(entry);
    struct dsm__job *job;

    if (index >= taker->control->pool.jobs_max)
        return;
    job = dsm__job(taker->control, program, index);
    __builtin_prefetch(job);
    __builtin_prefetch(&job->word, 1);
}

static bool
take_from_ring(struct dsm__taker *taker, unsigned program, unsigned priority)
{
    struct dsm__control *control = taker->control;
    struct dsm__board *board = dsm__board(control, program);
    _Atomic uint64_t *at = &board->heads[priority];
    uint64_t head = atomic_load_explicit(at, memory_order_acquire), tail;
    uint32_t n;

    for (;;) {
        tail =
            atomic_load_explicit(&board->tails[priority], memory_order_seq_cst);
        if (head >= tail)
            return false;
        /* More than there can be: it is damaged, and leads nowhere. */
        if (tail - head > control->pool.ring) {
            if (atomic_compare_exchange_strong(at, &head, tail))
                return false;
            continue;
        }
        n = block_size(taker, tail - head);
        block_open(taker, program);
        for (uint32_t k = 0; k < n; k++) {
            uint64_t entry = atomic_load_explicit(
                dsm__queued_entry(control, program, priority, head + k),
                memory_order_relaxed);
            prefetch(taker, program, entry);
            block_put(taker, k, entry);
        }
        block_close(taker, n);
        DSM__POINT("job.take");
        if (atomic_compare_exchange_strong_explicit(at, &head, head + n,
                                                    memory_order_seq_cst,
                                                    memory_order_acquire))
            return true;
    }
}

/* The number of a job that is to be run again, or -1. */
static int64_t
find_again(const struct dsm__control *control, unsigned program)
{
    _Atomic uint64_t *map = dsm__pool_at(control, program, control->pool.again);

    for (uint64_t w = 0; w < control->pool.ring / 64; w++) {
        uint64_t bits = atomic_load_explicit(&map[w], memory_order_seq_cst);

        if (bits)
            return (int64_t)(64 * w) + __builtin_ctzll(bits);
    }
    return -1;
}

/* Takes one whose worker died.  It is in the block before its bit goes, and
 * looked at again afterwards: the supervisor sets the bit behind the word. */
static bool
take_again(struct dsm__taker *taker, unsigned program)
{
    struct dsm__control *control = taker->control;
    struct dsm__board *board = dsm__board(control, program);
    _Atomic uint64_t *map = dsm__pool_at(control, program, control->pool.again);
    struct dsm__job *job;
    int64_t found;
    uint32_t index;

    if (!atomic_load_explicit(&board->again, memory_order_seq_cst))
        return false;
    found = find_again(control, program);
    if (found < 0) {
        atomic_store_explicit(&board->again, 0, memory_order_seq_cst);
        found = find_again(control, program);
        if (found < 0)
            return false;
        atomic_store_explicit(&board->again, 1, memory_order_seq_cst);
    }
    index = (uint32_t)found;
    if (index >= control->pool.jobs_max) {
        atomic_fetch_and(&map[index / 64], ~(UINT64_C(1) << index % 64));
        return false;
    }
    job = dsm__job(control, program, index);
    block_of_one(taker, program,
                 dsm__job_entry(dsm__word_turn(dsm__job_load(job)), index));
    atomic_fetch_and_explicit(&map[index / 64], ~(UINT64_C(1) << index % 64),
                              memory_order_seq_cst);
    DSM__POINT("job.again");
    /* In place: an empty block would lose the job, if this worker dies now. */
    block_put(taker, 0,
              dsm__job_entry(dsm__word_turn(dsm__job_load(job)), index));
    return true;
}

static bool
take_from_board(struct dsm__taker *taker, unsigned program)
{
    if (take_again(taker, program))
        return true;
    for (unsigned p = 0; p < DSM__PRIORITIES; p++)
        if (take_from_ring(taker, program, p))
            return true;
    return false;
}

/* Also says that a program has no queued jobs, if it is so; but not at once, as
 * then each job of one that submits slowly would move that line twice. */
static bool
take_from_program(struct dsm__taker *taker, unsigned program)
{
    _Atomic uint64_t *queued = &taker->control->work.queued[program / 64];
    uint64_t bit = UINT64_C(1) << program % 64;

    if (!(atomic_load_explicit(queued, memory_order_relaxed) & bit))
        return false;
    if (take_from_board(taker, program))
        return true;
    if (taker->misses++ < MISSES) {
        dsm__look(taker, true);
        dsm__pause();
        return false;
    }
    DSM__POINT("job.empty");
    atomic_fetch_and_explicit(queued, ~bit, memory_order_seq_cst);
    DSM__POINT("job.emptied");
    if (!take_from_board(taker, program))
        return false;
    atomic_fetch_or_explicit(queued, bit, memory_order_seq_cst);
    return true;
}

/* Takes the last job of another's block that still is queued. */
static bool
take_from_worker(struct dsm__taker *taker, unsigned worker)
{
    struct dsm__control *control = taker->control;
    struct dsm__worker_slot *slot = dsm__worker_slot(control, worker);
    uint32_t n = atomic_load_explicit(&slot->block_count, memory_order_acquire);
    unsigned program =
        atomic_load_explicit(&slot->block_program, memory_order_relaxed);
    uint32_t slots;

    if (worker == taker->worker || n > DSM__BLOCK_MAX ||
        program >= DSM__PROGRAMS_MAX || !dsm__board_exists(control, program))
        return false;
    /* What is read may be of two blocks, but it leads to no slot that has no
     * memory. */
    slots = dsm__slots(control, program);
    while (n-- > 0) {
        uint64_t entry =
            atomic_load_explicit(&slot->block[n], memory_order_relaxed);
        uint32_t index = dsm__entry_index(entry);

        if (index >= slots || !entry)
            continue;
        if (dsm__job_load(dsm__job(control, program, index)) !=
            dsm__job_word(dsm__entry_turn(entry), 0, DSM__JOB_QUEUED))
            continue;
        block_of_one(taker, program, entry);
        return true;
    }
    return false;
}

/* Looks at one other worker at a time whether it is held up by a long job with
 * others behind it. */
static bool
take_stalled(struct dsm__taker *taker)
{
    struct dsm__control *control = taker->control;
    struct dsm__worker_slot *slot;

    if (++taker->victim >= control->workers)
        taker->victim = control->first;
    slot = dsm__worker_slot(control, taker->victim);
    if (atomic_load_explicit(&slot->block_count, memory_order_relaxed) < 2 ||
        dsm__ticks() -
                atomic_load_explicit(&slot->block_since, memory_order_relaxed) <
            STALLED_TICKS)
        return false;
    return take_from_worker(taker, taker->victim);
}

/* The next program from `first` on that says it has queued jobs, or
 * DSM__PROGRAMS_MAX. */
static unsigned
next_queued(const struct dsm__control *control, unsigned first)
{
    for (unsigned w = first / 64; w * 64 < DSM__PROGRAMS_MAX; w++) {
        uint64_t bits = atomic_load_explicit(&control->work.queued[w],
                                             memory_order_seq_cst);

        if (w == first / 64)
            bits &= ~UINT64_C(0) << first % 64;
        if (bits)
            return w * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return DSM__PROGRAMS_MAX;
}

/* The programs have their turns one after the other. */
static bool
take_in_turn(struct dsm__taker *taker)
{
    unsigned first = taker->program + 1, program;

    for (program = next_queued(taker->control, first);
         program < DSM__PROGRAMS_MAX;
         program = next_queued(taker->control, program + 1))
        if (take_from_program(taker, program))
            return true;
    for (program = next_queued(taker->control, 0); program < first;
         program = next_queued(taker->control, program + 1))
        if (take_from_program(taker, program))
            return true;
    return false;
}

static bool
refill(struct dsm__taker *taker)
{
    struct dsm__control *control = taker->control;

    if (take_stalled(taker) || take_in_turn(taker))
        return true;
    for (unsigned w = control->first; w < control->workers; w++)
        if (take_from_worker(taker, w))
            return true;
    return false;
}

static bool
someone_looks(const struct dsm__control *control, unsigned but)
{
    for (unsigned w = 0; w * 64 < control->workers; w++) {
        uint64_t bits = atomic_load_explicit(&control->work.looking[w],
                                             memory_order_seq_cst);

        if (w == but / 64)
            bits &= ~(UINT64_C(1) << but % 64);
        if (bits)
            return true;
    }
    return false;
}

bool
dsm__someone_looks(const struct dsm__control *control)
{
    return someone_looks(control, DSM_WORKERS_MAX);
}

bool
dsm__others_look(const struct dsm__taker *taker)
{
    return someone_looks(taker->control, taker->worker);
}

/* Whoever found work while there may be more wakes the next, if nobody is
 * looking already. */
static void
share_work(const struct dsm__taker *taker)
{
    struct dsm__control *control = taker->control;

    if (dsm__sleepers(&control->work.event.sleeping) &&
        dsm__queued_any(control) && !dsm__others_look(taker))
        dsm__signal(&control->work.event, 1);
}

bool
dsm__block_take(struct dsm__taker *taker)
{
    if (!refill(taker))
        return false;
    atomic_store_explicit(&taker->slot->block_since, dsm__ticks(),
                          memory_order_relaxed);
    taker->misses = 0;
    if (!is_quick(taker))
        dsm__look(taker, false);
    share_work(taker);
    return true;
}

/* ---- Telling workers. */

void
dsm__queued_tell(struct dsm__control *control, unsigned program)
{
    if (program < DSM__PROGRAMS_MAX) {
        _Atomic uint64_t *queued = &control->work.queued[program / 64];
        uint64_t bit = UINT64_C(1) << program % 64;

        if (!(atomic_load_explicit(queued, memory_order_seq_cst) & bit))
            atomic_fetch_or_explicit(queued, bit, memory_order_seq_cst);
    }
    if (!dsm__someone_looks(control))
        dsm__signal(&control->work.event, 1);
}

/* Also what is hidden by one who was stopped when it had said that none is to
 * be run again, and was to look once more. */
static bool
has_queued(const struct dsm__control *control, unsigned program)
{
    struct dsm__board *board = dsm__board(control, program);
    bool any = atomic_load(&board->again) != 0;

    if (!any && find_again(control, program) >= 0) {
        atomic_store(&board->again, 1);
        return true;
    }
    for (unsigned p = 0; p < DSM__PRIORITIES; p++)
        any = any ||
              atomic_load(&board->heads[p]) < atomic_load(&board->tails[p]);
    return any;
}

void
dsm__queued_check(struct dsm__control *control)
{
    for (unsigned p = 0; p < DSM__PROGRAMS_MAX; p++)
        if (dsm__board_exists(control, p) && has_queued(control, p))
            dsm__queued_tell(control, p);
}

void
dsm__look(struct dsm__taker *taker, bool looks)
{
    _Atomic uint64_t *word = &taker->control->work.looking[taker->worker / 64];
    uint64_t bit = UINT64_C(1) << taker->worker % 64;

    if (taker->looks == looks)
        return;
    taker->looks = looks;
    if (looks)
        atomic_fetch_or_explicit(word, bit, memory_order_seq_cst);
    else
        atomic_fetch_and_explicit(word, ~bit, memory_order_seq_cst);
}
