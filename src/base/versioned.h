/* Structures of the interface that begin with their own size, so that they may
 * grow. */
#ifndef DSM_BASE_VERSIONED_H
#define DSM_BASE_VERSIONED_H

#include <stddef.h>

/* Copies a caller's structure to one of `size` bytes, what it lacks being zero.
 * -EINVAL when it was not initialised, or has set what is unknown here; `what`
 * names its initialiser. */
int dsm__versioned_copy(void *copy, size_t size, const void *given,
                        const char *what);

#endif
