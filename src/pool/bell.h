/* A program's bell: a descriptor that is readable when it was rung.
 *
 * A datagram socket /dev/shm/dsm.UID.CLUSTER..wPROGRAM, so that any process of
 * the cluster can ring it without being given a descriptor.  It is rung for a
 * program that waits in poll(2) alone. */
#ifndef DSM_POOL_BELL_H
#define DSM_POOL_BELL_H

#include <stdbool.h>

/* Makes a program's bell: its descriptor or an error. */
int dsm__bell_make(const char *cluster, unsigned program);

/* Rings it, if there is one; false: this process could not. */
bool dsm__bell_ring(const char *cluster, unsigned program);

/* Makes its descriptor unreadable. */
void dsm__bell_silence(int fd);

/* Removes its name. */
void dsm__bell_remove(const char *cluster, unsigned program);

#endif
