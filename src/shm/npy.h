/* The header of NumPy's .npy files (NEP 1), which is also the head of every
 * array's segment.  Pure functions on buffers. */
#ifndef DSM_SHM_NPY_H
#define DSM_SHM_NPY_H

#include <dsm/cluster.h> /* DSM_NDIM_MAX */
#include <dsm/type.h>

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the headers that the library writes, whatever the size of a page. */
#define DSM__NPY_HEADER 4096

struct dsm__npy {
    dsm_type type;
    unsigned ndim;
    size_t shape[DSM_NDIM_MAX];
    size_t count;       /* items */
    size_t bytes;       /* of the items; at most SIZE_MAX / 2 */
    size_t header_size; /* bytes before the first item */
    bool fortran; /* as the file says; with one dimension or none both orders
                     are the same, so the items are always in C order */
};

/* Describes an array with a header of DSM__NPY_HEADER bytes.  `shape` may be
 * NULL when ndim is 0.  0; -EINVAL: no item type, too many dimensions, or too
 * large; *npy is then undefined. */
int dsm__npy_set(struct dsm__npy *npy, dsm_type type, unsigned ndim,
                 const size_t *shape);

/* Writes the header, version 1.0, of the array that dsm__npy_set described. */
void dsm__npy_write(char header[DSM__NPY_HEADER], const struct dsm__npy *npy);

/* Reads the header, version 1.0 to 3.0, of any array that the library can hold
 * as it is; `buffer` is the beginning of a file.  Nothing in it is trusted, and
 * whether the file also has all items is for the caller to check.
 * 0; DSM_EFORMAT, with *npy all zero, except when the header goes on beyond
 * `length`: then header_size says how many bytes it needs, if that is known. */
int dsm__npy_parse(struct dsm__npy *npy, const void *buffer, size_t length);

#endif
