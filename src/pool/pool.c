/* Where things are in the pool; see pool.h. */
#include "pool/pool.h"

#define PAGE 4096

static uint64_t
pages(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

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
    pool->again = pages(sizeof(struct dsm__board));
    pool->ended = pool->again + pages(pool->ring / 8);
    pool->rings = pool->ended + pages(2 * pool->ring * entry);
    pool->jobs = pool->rings + pages(DSM__PRIORITIES * pool->ring * entry);
    pool->bodies = pool->jobs + pages(jobs_max * sizeof(struct dsm__job));
    pool->size = pool->bodies + pages(jobs_max * sizeof(struct dsm__body));
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
