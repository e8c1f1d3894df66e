/* Whether a job gave what it should; of controller and guest. */
#include "chaos.h"
#include "errand.h"

int
errand_check(dsm_job *job, const struct errand *errand, unsigned may)
{
    const void *result;
    size_t size;
    int code =
        note(CALL_RESULT, dsm_job_result(job, &result, &size, 10000), may);
    const uint64_t *words = result;

    if (code != 0)
        return code;
    if (size != errand->words * sizeof *words) {
        wrong("a job's result has %zu bytes, not %zu", size,
              errand->words * sizeof *words);
        return code;
    }
    for (size_t k = 0; k < errand->words; k++)
        if (words[k] != errand_word(errand->number, k)) {
            wrong("word %zu of a job's result is wrong", k);
            break;
        }
    return code;
}
