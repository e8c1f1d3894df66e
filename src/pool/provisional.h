/* Provisional results: handed over without either side ever waiting.
 *
 * There are three places for one.  `front` is the program's, `back` the
 * worker's, and `middle` is exchanged for the one or the other (triple
 * buffering).  Which is which is in one word, that changes by compare-and-swap,
 * so that nobody's death leaves a doubt about it.  As a word of 0 is to be a
 * valid one, it holds what makes them differ from 0, 1 and 2. */
#ifndef DSM_POOL_PROVISIONAL_H
#define DSM_POOL_PROVISIONAL_H

#include "pool/pool.h"

#define DSM__FRESH UINT32_C(64) /* the middle one was not taken yet */

struct dsm__exchange {
    unsigned front, middle, back;
};

static inline struct dsm__exchange
dsm__exchange_of(uint32_t word)
{
    /* Of a word that was damaged, too, they are places that there are. */
    return (struct dsm__exchange){(word & 3) % 3, ((word >> 2 & 3) ^ 1) % 3,
                                  ((word >> 4 & 3) ^ 2) % 3};
}

static inline uint32_t
dsm__exchange_word(struct dsm__exchange e)
{
    return e.front | (e.middle ^ 1) << 2 | (e.back ^ 2) << 4;
}

static inline bool
dsm__provisional_fresh(const struct dsm__body *body)
{
    return (atomic_load_explicit(&body->exchange, memory_order_seq_cst) &
            DSM__FRESH) != 0;
}

/* The worker's place. */
static inline unsigned
dsm__provisional_back(const struct dsm__body *body)
{
    return dsm__exchange_of(
               atomic_load_explicit(&body->exchange, memory_order_relaxed))
        .back;
}

/* The worker has filled it.  Whether nothing lay in the middle: then the
 * program is to be told. */
static inline bool
dsm__provisional_give(struct dsm__body *body)
{
    uint32_t old = atomic_load_explicit(&body->exchange, memory_order_relaxed);
    struct dsm__exchange e;

    do {
        struct dsm__exchange now = dsm__exchange_of(old);

        e = (struct dsm__exchange){now.front, now.back, now.middle};
    } while (!atomic_compare_exchange_weak_explicit(
        &body->exchange, &old, dsm__exchange_word(e) | DSM__FRESH,
        memory_order_seq_cst, memory_order_relaxed));
    return !(old & DSM__FRESH);
}

/* The program's place, into which it takes the newest one; -1: there is none.
 */
static inline int
dsm__provisional_take(struct dsm__body *body)
{
    uint32_t old = atomic_load_explicit(&body->exchange, memory_order_relaxed);
    struct dsm__exchange e;

    do {
        struct dsm__exchange now = dsm__exchange_of(old);

        if (!(old & DSM__FRESH))
            return -1;
        e = (struct dsm__exchange){now.middle, now.front, now.back};
    } while (!atomic_compare_exchange_weak_explicit(
        &body->exchange, &old, dsm__exchange_word(e), memory_order_seq_cst,
        memory_order_relaxed));
    return (int)e.front;
}

#endif
