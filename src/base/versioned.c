/* Reading structures that may be older or newer; see versioned.h. */
#include "base/versioned.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

int
dsm__versioned_copy(void *copy, size_t size, const void *given,
                    const char *what)
{
    const char *bytes = given;
    size_t given_size;

    memcpy(&given_size, given, sizeof given_size);
    if (given_size < sizeof given_size || given_size > 65536)
        return dsm__fail(-EINVAL, "initialise the structure with %s", what);
    for (size_t k = size; k < given_size; k++)
        if (bytes[k])
            return dsm__fail(-EINVAL,
                             "the structure of %s has fields set that this "
                             "version of libdsm does not know",
                             what);
    memset(copy, 0, size);
    memcpy(copy, given, given_size < size ? given_size : size);
    return 0;
}
