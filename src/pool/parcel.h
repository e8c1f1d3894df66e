/* Parcels: what of a job does not fit into its slot, in segments of their own.
 *
 * They are named after the slot, "..jPROGRAM-SLOTKIND".  What was printed
 * belongs to one try: the supervisor removes it when that is run again.
 * Provisional results stay until the job is released.  Arguments and results
 * have crates (crate.h). */
#ifndef DSM_POOL_PARCEL_H
#define DSM_POOL_PARCEL_H

#include "pool/pool.h"
#include "shm/name.h"

#include <stddef.h>

enum dsm__parcel_kind {
    DSM__PARCEL_OUT, /* what was printed, captured */
    DSM__PARCEL_ERR,
    DSM__PARCEL_PROVISIONAL /* the first of three */
};

/* Which job's. */
struct dsm__parcel {
    const struct dsm__control *control;
    unsigned program;
    uint32_t index;
    int kind;
};

/* Where the arrays are, but not among huge pages, to which nothing can be
 * written. */
const char *dsm__parcel_directory(const struct dsm__control *control);

/* Puts a copy of `size` bytes into it, whether it exists or not.  0, -ENOSPC,
 * -ENOMEM, …; after a failure it does not exist. */
int dsm__parcel_write(const struct dsm__parcel *parcel, const void *data,
                      size_t size);

/* Maps its first `size` bytes to be read; they are all there from the start. */
int dsm__parcel_map(const struct dsm__parcel *parcel, const void **data,
                    size_t size);
void dsm__parcel_unmap(const void *data, size_t size);

/* Creates it empty and opens it to be appended to: a descriptor, or an error.
 */
int dsm__parcel_open(const struct dsm__parcel *parcel);

/* Its content in memory from malloc with a zero behind it, of which *size
 * bytes, the last `most`; NULL if there is none, or no memory. */
char *dsm__parcel_read(const struct dsm__parcel *parcel, size_t *size,
                       size_t most);

/* Removes what a try has printed.  What it published stays good: the program
 * may be about to take it. */
void dsm__parcels_remove_try(const struct dsm__control *control,
                             unsigned program, uint32_t index);

/* Removes all of a job's. */
void dsm__parcels_remove(const struct dsm__control *control, unsigned program,
                         uint32_t index);

/* Removes all of a program's. */
void dsm__parcels_remove_all(const struct dsm__control *control,
                             unsigned program);

#endif
