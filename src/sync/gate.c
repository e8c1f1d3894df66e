/* Barriers that break; see gate.h for the word's layout. */
#include "sync/gate.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "os/futex.h"
#include "sync/wait.h"
#include "trace/trace.h"

#define GENERATION (UINT64_C(1) << 33)
#define GENERATIONS (~UINT64_C(0) << 33)
#define BROKEN (UINT64_C(1) << 32)
#define MEND (UINT64_C(1) << 16)
#define COUNT_MASK UINT64_C(0xffff)
#define MENDS_MASK UINT64_C(0xffff0000)

static uint64_t
load(const struct dsm__gate *gate)
{
    return atomic_load_explicit(&gate->word, memory_order_acquire);
}

void
dsm__gate_init(struct dsm__gate *gate, uint32_t parties)
{
    atomic_store(&gate->word, 0);
    atomic_store(&gate->sleeping, 0);
    gate->parties = parties;
}

/* Whether a round is over in the word `now`, and how; `round` is the word as it
 * is when that round begins. */
static bool
over(uint64_t now, uint64_t round, int *result)
{
    if ((now ^ round) & MENDS_MASK) {
        *result = DSM_EBROKEN;
        return true;
    }
    /* Later, not only another: an arrival may be ahead of its round. */
    if ((int64_t)((now & GENERATIONS) - (round & GENERATIONS)) > 0) {
        *result = 0;
        return true;
    }
    *result = DSM_EBROKEN;
    return (now & BROKEN) != 0;
}

/* The waiting that did not end within the first spins. */
static int
wait_long(struct dsm__control *control, struct dsm__gate *gate,
          const char *name, uint64_t round, uint64_t *waited_ticks,
          bool (*hopeless)(const struct dsm__control *control))
{
    int64_t begin = dsm__trace_begin();
    uint64_t start = dsm__ticks(), now;
    int result = 0, error = 0;

    while (!over(now = load(gate), round, &result) && !error) {
        /* Looked at again in between: whoever left may have come first. */
        if (hopeless && hopeless(control) &&
            !over(load(gate), round, &result)) {
            dsm__gate_break(gate);
            continue;
        }
        error =
            dsm__wait(control, dsm__upper(&gate->word), (uint32_t)(now >> 32),
                      &gate->sleeping, DSM__NO_DEADLINE);
    }
    *waited_ticks += dsm__ticks() - start;
    dsm__trace_span(DSM__TRACE_BARRIER, begin, name, 0, 0);
    return error ? error : result;
}

/* Lets those through whose round this arrival completed, when the word was
 * `then`: all or, if the gate broke meanwhile, none.  Nothing may be taken from
 * the count of a word that was mended, which counts none.  `parties` comes
 * along, as to read it here again costs 40 ns: others look at its line now. */
static inline int
let_through(struct dsm__gate *gate, uint64_t parties, uint64_t then)
{
    uint64_t now = then + 1;

    DSM__POINT("gate.complete");
    do {
        if ((now & BROKEN) || ((now ^ then) & MENDS_MASK))
            return DSM_EBROKEN;
        /* seq_cst: pairs with the sleeper's flag, see dsm__wake. */
    } while (!atomic_compare_exchange_weak_explicit(
        &gate->word, &now, now + GENERATION - parties, memory_order_seq_cst,
        memory_order_acquire));
    dsm__wake(dsm__upper(&gate->word), &gate->sleeping);
    return 1;
}

/* An arrival at a broken gate, which made the word `now`.  To look first would
 * cost everybody a cache miss; so it was counted, and who hammers at a broken
 * gate must not make the count run over. */
static int
refused(struct dsm__gate *gate, uint64_t now)
{
    if ((now & COUNT_MASK) > COUNT_MASK / 2)
        atomic_compare_exchange_strong(&gate->word, &now, now & ~COUNT_MASK);
    return DSM_EBROKEN;
}

int
dsm__gate_wait(struct dsm__control *control, struct dsm__gate *gate,
               const char *name, uint64_t *waited_ticks,
               bool (*hopeless)(const struct dsm__control *control))
{
    uint64_t parties = gate->parties, then, count;
    int result;

    DSM__POINT("gate.wait");
    /* Release: what this party wrote; acquire: what the others did.  Pairs with
     * itself and with the loads of the word by those who wait. */
    then = atomic_fetch_add_explicit(&gate->word, 1, memory_order_acq_rel);
    if (then & BROKEN)
        return refused(gate, then + 1);
    count = (then & COUNT_MASK) + 1;
    if (count == parties || (count > parties && count % parties == 0))
        return let_through(gate, parties, then);
    /* Whole rounds may have arrived that were not let through yet. */
    if (count > parties)
        then += (count - 1) / parties * GENERATION;
    DSM__POINT("gate.arrived");
    /* Two pauses a look: whoever looks all the time takes the line away from
     * the one who is just about to open the gate and to arrive again. */
    for (int k = 0; k < 50; k++) {
        if (over(load(gate), then, &result))
            return result;
        dsm__pause();
        dsm__pause();
    }
    return wait_long(control, gate, name, then, waited_ticks, hopeless);
}

void
dsm__gate_break(struct dsm__gate *gate)
{
    dsm__sleepers_forget(&gate->sleeping);
    atomic_fetch_or_explicit(&gate->word, BROKEN, memory_order_seq_cst);
    dsm__futex_wake(dsm__upper(&gate->word), INT_MAX);
}

void
dsm__gate_mend(struct dsm__gate *gate, bool even_whole)
{
    uint64_t old = load(gate), mended;

    do {
        if (!(old & BROKEN) && !even_whole)
            return;
        mended = ((old >> 33 << 33) + GENERATION) | ((old + MEND) & MENDS_MASK);
    } while (!atomic_compare_exchange_weak_explicit(
        &gate->word, &old, mended, memory_order_seq_cst, memory_order_acquire));
    dsm__futex_wake(dsm__upper(&gate->word), INT_MAX);
}

bool
dsm__gate_at_rest(const struct dsm__gate *gate)
{
    return (load(gate) & (COUNT_MASK | BROKEN)) == 0;
}

bool
dsm__gate_waited_at(const struct dsm__gate *gate)
{
    uint64_t word = load(gate);

    return (word & COUNT_MASK) != 0 && !(word & BROKEN);
}
