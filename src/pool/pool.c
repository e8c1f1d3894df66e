/* Where things are in the pool; see pool.h. */
#include "pool/pool.h"

#include <stdio.h>

#define PAGE 4096

static void
place(struct dsm__pool_layout *pool, uint64_t jobs_max)
{
    uint64_t entry = sizeof(uint64_t);

    pool->jobs_max = jobs_max;
    pool->size = 0;
    if (jobs_max == 0)
        return;
    for (pool->ring = 64; pool->ring < jobs_max;)
        pool->ring *= 2;
    pool->again = dsm__whole_pages(sizeof(struct dsm__board));
    pool->ended = pool->again + dsm__whole_pages(pool->ring / 8);
    pool->rings = pool->ended + dsm__whole_pages(2 * pool->ring * entry);
    pool->jobs =
        pool->rings + dsm__whole_pages(DSM__PRIORITIES * pool->ring * entry);
    pool->bodies =
        pool->jobs + dsm__whole_pages(jobs_max * sizeof(struct dsm__job));
    pool->size =
        pool->bodies + dsm__whole_pages(jobs_max * sizeof(struct dsm__body));
}

void
dsm__pool_layout(struct dsm__pool_layout *pool, uint64_t jobs_max,
                 uint64_t room)
{
    place(pool, jobs_max);
    while (dsm__pool_bytes(pool) > room) {
        jobs_max /= 2;
        place(pool, jobs_max);
    }
}

bool
dsm__pool_sound(const struct dsm__pool_layout *pool)
{
    struct dsm__pool_layout should = {.offset = pool->offset};

    if (pool->offset % PAGE || pool->jobs_max > DSM_JOBS_MAX)
        return false;
    place(&should, pool->jobs_max);
    if (pool->jobs_max == 0)
        return pool->size == 0;
    return should.ring == pool->ring && should.again == pool->again &&
           should.ended == pool->ended && should.rings == pool->rings &&
           should.jobs == pool->jobs && should.bodies == pool->bodies &&
           should.size == pool->size;
}

void
dsm__job_describe(char text[DSM__JOB_DESCRIPTION], const struct dsm__job *job,
                  const struct dsm__body *body)
{
    if (job->given & DSM__JOB_NAMED)
        snprintf(text, DSM__JOB_DESCRIPTION, "job '%.*s'", DSM_NAME_MAX,
                 body->name);
    else
        snprintf(text, DSM__JOB_DESCRIPTION, "a job");
}
