/* The inside of an array's handle, and arrays of the library's own. */
#ifndef DSM_ARRAY_ARRAY_H
#define DSM_ARRAY_ARRAY_H

#include "registry/object.h"
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

/* Creates an array without checking the name, which may begin with a dot. */
int dsm__array_create(dsm_array **array, dsm_cluster *cluster, const char *name,
                      dsm_type type, unsigned ndim, const size_t *shape);

#endif
