/* Waiting: the one place where the library waits for another process.
 *
 * First spin, which costs nobody anything while every participant has a CPU of
 * its own (some 50 ns for a barrier, against 6 to 37 µs through the kernel);
 * where there are more processes than CPUs spin little and yield.  Then sleep
 * on the word as a futex, in slices, and look after each whether the
 * supervisor, which would tell of every other death, is alive itself. */
#ifndef DSM_SYNC_WAIT_H
#define DSM_SYNC_WAIT_H

#include "os/cpu.h"
#include "os/futex.h"
#include "registry/control.h"

#include <limits.h>

/* Half of a 64-bit word, as futexes are 32 bits wide. */
static inline _Atomic uint32_t *
dsm__upper(_Atomic uint64_t *word)
{
    return (_Atomic uint32_t *)word +
           (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 1 : 0);
}

/* Who sleeps, or is about to, is counted in the lower half of `sleeping`. Above
 * it is an epoch, which ends when sleepers are forgotten, so that one who
 * leaves late takes off nobody who came later; and a flag which says that there
 * may still be some asleep who were counted in an epoch before. */
#define DSM__SLEEPERS UINT32_C(0xffff)
#define DSM__SLEEP_UNSETTLED (UINT32_C(1) << 16)
#define DSM__SLEEP_EPOCH (UINT32_C(1) << 17)

static inline uint32_t
dsm__sleepers(const _Atomic uint32_t *sleeping)
{
    return atomic_load_explicit(sleeping, memory_order_seq_cst) & DSM__SLEEPERS;
}

/* Chooses control->spins and yields for `processes` that want to run. */
void dsm__wait_tune(struct dsm__control *control, unsigned processes);

/* Waits while *word == seen: yields, then sleeps once.  0: look again; the word
 * may have changed or something else have happened.  -ETIMEDOUT: the deadline
 * has passed.  DSM_ESTALE: the supervisor is gone. */
int dsm__wait_slow(const struct dsm__control *control, _Atomic uint32_t *word,
                   uint32_t seen, _Atomic uint32_t *sleeping, int64_t deadline);

/* The same without yielding first: for a controller that only waits and would
 * take a worker's CPU. */
int dsm__sleep(const struct dsm__control *control, _Atomic uint32_t *word,
               uint32_t seen, _Atomic uint32_t *sleeping, int64_t deadline);

/* dsm__wait_slow after spinning. */
static inline int
dsm__wait(const struct dsm__control *control, _Atomic uint32_t *word,
          uint32_t seen, _Atomic uint32_t *sleeping, int64_t deadline)
{
    for (uint32_t k = control->spins; k > 0; k--) {
        if (atomic_load_explicit(word, memory_order_acquire) != seen)
            return 0;
        dsm__pause();
    }
    return dsm__wait_slow(control, word, seen, sleeping, deadline);
}

/* Forgets those who were killed asleep, and all others.  To be called before
 * the word changes; afterwards all who sleep on it are woken
 * (dsm__futex_wake), seen or not. */
void dsm__sleepers_forget(_Atomic uint32_t *sleeping);

/* After a sequentially consistent change of the word: wakes whoever sleeps on
 * it.  A sleeper is counted before its last look at the word, so either it sees
 * the change or it is seen here. */
static inline void
dsm__wake(_Atomic uint32_t *word, _Atomic uint32_t *sleeping)
{
    if (__builtin_expect(dsm__sleepers(sleeping) != 0, 0))
        dsm__futex_wake(word, INT_MAX);
}

/* For what no single word tells.  Spins, and yields where there are more
 * processes than CPUs, until it is `ready`; whether it is. */
bool dsm__spin_until(const struct dsm__control *control,
                     bool (*ready)(const void *context), const void *context,
                     uint32_t spins);

/* The same for who can wait: gives the CPU to others every microsecond, if
 * there are any.  One of them may be whom it waits for. */
bool dsm__spin_politely(const struct dsm__control *control,
                        bool (*ready)(const void *context), const void *context,
                        uint32_t spins);

/* Sleeps once on the event, unless `ready`, which is asked when this process
 * has been counted as a sleeper.  Whoever makes it so calls dsm__signal
 * afterwards. Returns as dsm__sleep: 0 means look again. */
int dsm__sleep_until(const struct dsm__control *control,
                     struct dsm__event *event,
                     bool (*ready)(const void *context), const void *context,
                     int64_t deadline);

void dsm__signal_slow(struct dsm__event *event, int most, uint32_t sleeping);

/* Wakes all who sleep on an event, or are about to, and forgets those who were
 * killed asleep; how many slept.  For when processes die; it costs a system
 * call. */
int dsm__event_reset(struct dsm__event *event);

/* After a sequentially consistent change that somebody may wait for: wakes
 * `most` of those who sleep on the event.  The word changes, so that who is
 * about to sleep looks again. */
static inline void
dsm__signal(struct dsm__event *event, int most)
{
    uint32_t sleeping =
        atomic_load_explicit(&event->sleeping, memory_order_seq_cst);

    if (__builtin_expect((sleeping & DSM__SLEEPERS) != 0, 0))
        dsm__signal_slow(event, most, sleeping);
}

#endif
