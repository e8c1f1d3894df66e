/* What the jobs do; see errand.h. */
#include "errand.h"

#include <signal.h>
#include <unistd.h>

#define WORDS_MOST 25000

int
errand_run(dsm_worker *self, const void *arg, size_t arg_size)
{
    static uint64_t words[WORDS_MOST];
    const struct errand *errand = arg;

    if (arg_size != sizeof *errand || errand->words > WORDS_MOST)
        return 2;
    for (volatile unsigned k = 0; k < errand->spins; k++)
        ;
    for (uint64_t k = 1; k <= errand->publishes; k++)
        if (errand->publish(self, &k, sizeof k, k % 3 ? 0 : 1) == DSM_ECANCELED)
            break;
    for (size_t k = 0; k < errand->words; k++)
        words[k] = errand_word(errand->number, k);
    return errand->give(self, words, errand->words * sizeof *words);
}

int
errand_stay(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct errand *errand = arg;

    (void)arg_size;
    while (!errand->cancelled(self))
        usleep(100);
    return DSM_ECANCELED;
}

int
errand_die(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return kill(getpid(), SIGKILL);
}
