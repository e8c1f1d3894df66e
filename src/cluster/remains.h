/* What clusters leave behind when controller and supervisor die together, and
 * how it is taken away.
 *
 * A cluster is stale when the mutex `alive` has lost its holder, or when nobody
 * holds the shared flock on its control segment: never by a pid.  Its files are
 * unlinked under the exclusive flock, the control segment last; and only after
 * the locked file was found to be still the one of that name, or a sweeper
 * would destroy a newborn cluster. */
#ifndef DSM_CLUSTER_REMAINS_H
#define DSM_CLUSTER_REMAINS_H

#include "registry/control.h"

/* Takes a lock on an open control segment: LOCK_SH, trying for a short while,
 * or LOCK_EX, trying once.  Whether it was got and the file still has its name.
 */
bool dsm__remains_lock(int fd, const char *path, int how);

/* Unlinks all files of a cluster of this process's own; `fd` is its control
 * segment.  -EBUSY: the name is another cluster's by now; -errno: some files
 * are left, among them the control segment. */
int dsm__remains_remove(const char *cluster, int fd);

/* Unlinks all files of a cluster's name but its control segment, here and in
 * its directory ("": it has none).  For who has just created the segment: no
 * such file can be another's.  0, or -errno: there may be some left. */
int dsm__remains_clear(const char *cluster, const char *directory);

/* Takes one cluster's files away if it is stale.  0; -ENOENT: there is no such
 * cluster; -EBUSY: it lives, or someone still holds on to it. */
int dsm__remains_sweep(const char *cluster);

/* The same for all clusters of this user. */
void dsm__remains_sweep_all(void);

/* Whether /dev/shm has any file of the cluster beside its control segment. */
bool dsm__remains_arrays(const char *cluster);

/* Copies a control segment's header, if it is a valid one.  `name` only is for
 * sentences.  0, DSM_EFORMAT, -errno. */
int dsm__remains_read(struct dsm__control *copy, int fd, const char *path);

/* Calls visit once for each name of a cluster of this user that /dev/shm has a
 * file of, in order. */
int dsm__remains_each(int (*visit)(const char *cluster, void *arg), void *arg);

#endif
