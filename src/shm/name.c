/* Checking names and building paths from them; see name.h. */
#include "shm/name.h"

#include "base/error.h"

#include <dsm/cluster.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool
dsm__name_legal(const char *name, size_t length)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789_-";

    return length > 0 && length <= DSM_NAME_MAX &&
           strspn(name, legal) >= length;
}

int
dsm__name_check(const char *what, const char *name)
{
    if (dsm__name_legal(name, strnlen(name, DSM_NAME_MAX + 1)))
        return 0;
    return dsm__fail(-EINVAL,
                     "'%.60s' is no name for %s: use 1 to %d of the characters "
                     "A-Z a-z 0-9 _ and -",
                     name, what, DSM_NAME_MAX);
}

size_t
dsm__name_prefix(char *prefix)
{
    return (size_t)snprintf(prefix, 32, "dsm.%lu.", (unsigned long)geteuid());
}

void
dsm__path(char *path, const char *directory, const char *cluster,
          const char *object)
{
    char prefix[32];

    dsm__name_prefix(prefix);
    snprintf(path, DSM__PATH_SIZE, "%s/%s%s%s%s",
             directory ? directory : DSM__SHM_DIRECTORY, prefix, cluster,
             object ? "." : "", object ? object : "");
}
