/* Names of clusters, objects and their files:
 *
 *     control segment   /dev/shm/dsm.UID.CLUSTER
 *     array             DIRECTORY/dsm.UID.CLUSTER.ARRAY
 *     internal          /dev/shm/dsm.UID.CLUSTER..X
 *
 * UID is the effective one.  A name has no dot, so the prefix
 * "dsm.UID.CLUSTER." belongs to one cluster alone. */
#ifndef DSM_SHM_NAME_H
#define DSM_SHM_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define DSM__SHM_DIRECTORY "/dev/shm"
#define DSM__DIRECTORY_MAX 255
/* Room for a directory, a slash and the longest file name. */
#define DSM__PATH_SIZE (DSM__DIRECTORY_MAX + 1 + 128)

/* Whether it is a legal name.  If not, dsm__fail with a sentence that calls it
 * `what`: returns 0 or -EINVAL. */
int dsm__name_check(const char *what, const char *name);

/* The same without the sentence. */
bool dsm__name_legal(const char *name, size_t length);

/* Writes "dsm.UID." + cluster (+ "." + object, if not NULL) with its directory
 * to path[DSM__PATH_SIZE]. */
void dsm__path(char *path, const char *directory, const char *cluster,
               const char *object);

/* The file name prefix of this user's clusters, "dsm.UID.", in prefix[32];
 * returns its length. */
size_t dsm__name_prefix(char *prefix);

#endif
