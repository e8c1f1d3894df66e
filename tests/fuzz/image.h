/* The files of a cluster that is no more: what a target puts into /dev/shm,
 * damaged, for the library to find.
 *
 * /dev/shm is the target's own (a mount namespace), as much of what is tried
 * goes through all clusters of the user.  There is no supervisor: a program
 * that attaches finds one that welcomes it and is gone, and no wait sleeps.
 * After some waits the segment says that the supervisor has died, upon which
 * every wait is to end.  Whoever kills a process, or opens for writing or
 * unlinks a file of another cluster, is a finding. */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "fuzz.h"
#include "registry/object.h"

#define IMAGE_MESSAGE 24 /* bytes of its queue's messages */

/* Set before: the target may name all clusters of the user, not only this. */
extern bool image_any_cluster;

/* Makes it; where that is not possible the process exits with 77.  Then there
 * are image_name, and objects A (an array), L (a lock), B (a barrier), Q (a
 * queue), and jobs of program 1, which has ended. */
void image_make(void);
extern const char *image_name;

/* Writes the files as they were; whatever else there was is removed. */
void image_restore(void);

/* Damages the control segment's file: each 12 bytes of data are a place among
 * what is in use, how, and a value; a bit says whether it happens later,
 * and then only to what the program's jobs have. */
void image_damage(const uint8_t *data, size_t size, bool later);

/* Makes the file so many bytes longer, or shorter; the smallest: empty. */
void image_cut(int bytes);

/* Makes the array's file so long; false: it was so. */
bool image_array_length(uint32_t length);

/* Maps the control segment where the cluster's processes have it, with nothing
 * on either side; what is written there stays in this process. */
struct dsm__control *image_map(void);

/* Removes the files that there are besides, and with `all` makes the mapping
 * what it was. */
void image_renew(struct dsm__control *control, bool all);

/* An input was tried: asserts that the bystanders' files are there. */
void image_end(void);

/* The reply that the supervisor gives to whoever connects. */
extern int32_t image_client;

#endif
