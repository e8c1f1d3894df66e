/* Crates: segments for arguments and results that do not fit into a job, used
 * again for one job after the other.
 *
 * A mapping of new pages costs as much as several copies of them, in the
 * program and in each worker.  So a program keeps crates that its released jobs
 * have left, and workers keep what they have mapped.  A crate has a number of
 * its own among its program's, which is never another's; its segment is
 * "..jPROGRAM-cNUMBER". */
#ifndef DSM_POOL_CRATE_H
#define DSM_POOL_CRATE_H

#include "pool/pool.h"

#include <stddef.h>

struct dsm__crate {
    struct dsm__crate *next;
    unsigned program;
    uint32_t number;
    char *at;      /* or NULL: not mapped yet */
    size_t size;   /* 0: not known, or there is no segment yet */
    uint64_t used; /* when, by the count of uses */
};

/* In a program: those that no job has.  In a worker: those that it has mapped.
 * The caller sees to it that one thread at a time uses it. */
struct dsm__crates {
    struct dsm__crate *first;
    unsigned count;
    size_t bytes;
    uint64_t uses;
};

/* A number for a new crate. */
uint32_t dsm__crate_number(const struct dsm__control *control,
                           unsigned program);

/* Makes a segment for `size` bytes and puts a copy of them into it.  0,
 * -ENOSPC, -ENOMEM, …; then there is none. */
int dsm__crate_make(const struct dsm__control *control, unsigned program,
                    uint32_t number, const void *data, size_t size);

void dsm__crate_remove(const struct dsm__control *control, unsigned program,
                       uint32_t number);

/* Maps it, if it is not. */
int dsm__crate_map(struct dsm__crate *crate,
                   const struct dsm__control *control);

/* Forgets it, leaving the segment; NULL is legal. */
void dsm__crate_free(struct dsm__crate *crate);

/* In a worker: the crate of that number, mapped, till the next but one. */
int dsm__crate_borrow(struct dsm__crates *crates, struct dsm__crate **crate,
                      const struct dsm__control *control, unsigned program,
                      uint32_t number);

/* In a program: a crate that is there already for so many bytes, or NULL. */
struct dsm__crate *dsm__crate_spare(struct dsm__crates *crates, size_t size);

/* A crate of that number; NULL: no memory. */
struct dsm__crate *dsm__crate_of(unsigned program, uint32_t number);

/* Puts data into a crate, making its segment if there is none; outside of any
 * lock. */
int dsm__crate_fill(struct dsm__crate *crate,
                    const struct dsm__control *control, const void *data,
                    size_t size);

/* No job has it any more.  It is kept, or given up where there are too many. */
void dsm__crate_return(struct dsm__crates *crates, struct dsm__crate *crate,
                       const struct dsm__control *control);

/* Gives up all; whether there were any. */
bool dsm__crates_trim(struct dsm__crates *crates,
                      const struct dsm__control *control);

/* Forgets all, leaving the segments. */
void dsm__crates_free(struct dsm__crates *crates);

#endif
