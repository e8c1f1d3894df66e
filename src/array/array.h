/* The inside of an array's handle, and arrays of the library's own. */
#ifndef DSM_ARRAY_ARRAY_H
#define DSM_ARRAY_ARRAY_H

#include "registry/object.h"
#include "shm/npy.h"
#include "sync/lock.h"

#include <dsm/array.h>

struct dsm_array {
    struct dsm__object object; /* a view's place: the slot of its array */
    dsm_type type;
    uint32_t ndim;
    size_t shape[DSM_NDIM_MAX];
    size_t count, item_size;
    uint64_t data; /* offset from the control segment's start */
    struct dsm_lock lock;
};

/* The file of an array: to be, complete before anybody can find it, or of one
 * that is being made. */
struct dsm__draft {
    int fd;
    size_t extent;
    char *base; /* where it is mapped */
};

/* The draft of an array that could have that name, all zeros, and the place of
 * its data.  It costs no name, no address and no lock, and leaves nothing when
 * its author dies. */
int dsm__draft_create(struct dsm__draft *draft, dsm_cluster *cluster,
                      const char *name, const struct dsm__npy *npy);
void *dsm__draft_data(const struct dsm__draft *draft);
void dsm__draft_close(struct dsm__draft *draft);

/* Creates an array without checking the name, which may begin with a dot: of
 * the draft, or of zeros (NULL). */
int dsm__array_create(dsm_array **array, dsm_cluster *cluster, const char *name,
                      const struct dsm__npy *npy,
                      const struct dsm__draft *draft);

/* An array of so many bytes, for the library's own use. */
int dsm__array_create_bytes(dsm_array **array, dsm_cluster *cluster,
                            const char *name, size_t bytes);

#endif
