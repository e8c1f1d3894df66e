/* The jobs of a chaos run.  The controller's are functions of this program; the
 * guest's, which must come from a shared object, are the same in errand.so. */
#ifndef CHAOS_ERRAND_H
#define CHAOS_ERRAND_H

#include <dsm.h>

#include <stdint.h>

struct errand {
    /* The library's, at the same address in every process of a run, so that
     * errand.so needs no library. */
    int (*give)(dsm_worker *self, const void *result, size_t size);
    int (*publish)(dsm_worker *self, const void *data, size_t size,
                   int timeout_ms);
    bool (*cancelled)(const dsm_worker *self);
    uint64_t number;
    size_t words; /* of its result */
    unsigned spins, publishes;
};

/* The k-th word of what number's errand returns. */
static inline uint64_t
errand_word(uint64_t number, size_t k)
{
    return (number + k) * UINT64_C(0x9e3779b97f4a7c15);
}

#define ERRAND_API __attribute__((visibility("default")))

/* Computes its words; until it is cancelled; dies. */
ERRAND_API int errand_run(dsm_worker *self, const void *arg, size_t arg_size);
ERRAND_API int errand_stay(dsm_worker *self, const void *arg, size_t arg_size);
ERRAND_API int errand_die(dsm_worker *self, const void *arg, size_t arg_size);

/* Waits for the job and looks at its result; `may`: codes beside 0 that are
 * right (calls.h).  Returns its code. */
int errand_check(dsm_job *job, const struct errand *errand, unsigned may);

#endif
