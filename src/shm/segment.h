/* Segments: files in shared memory (or a directory of the user's choice) that
 * several processes map.  Mode 0600, never followed through a link, opened so
 * that a planted FIFO cannot block, and owned by this user or not used at all.
 *
 * /dev/shm is opened by path, which is what shm_open does; so one code serves
 * POSIX shared memory and options.directory. */
#ifndef DSM_SHM_SEGMENT_H
#define DSM_SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Creates an empty segment of `bytes`, nothing of it allocated.  -EEXIST when
 * the name is taken. */
int dsm__segment_create(int *fd, const char *path, size_t bytes);

/* The same beside `path`, without a name: it goes with its last descriptor. */
int dsm__segment_create_unnamed(int *fd, const char *path, size_t bytes);

/* Gives it the name.  -EEXIST when that is taken. */
int dsm__segment_link(int fd, const char *path);

/* Fails with errno: what could not be done with the path, and whose it is where
 * another user has taken the name. */
int dsm__segment_refused(const char *what, const char *path);

/* Whether RLIMIT_FSIZE lets a file of that size be: beyond it ftruncate, write
 * and fallocate would send SIGXFSZ.  0, -EFBIG. */
int dsm__segment_limit(const char *path, size_t bytes);

/* Opens one and checks type and owner; *status as fstat gives it. */
int dsm__segment_open(int *fd, const char *path, bool writable,
                      struct stat *status);

/* Allocates a range, so that touching it can never be a SIGBUS.  -ENOSPC with
 * both figures; `what` names the object in the sentence. */
int dsm__segment_allocate(int fd, const char *path, size_t begin, size_t bytes,
                          const char *what);

/* Writes the segment's first bytes, allocating them: into new pages that costs
 * half of what an allocation and a copy do.  Errors as above. */
int dsm__segment_write(int fd, const char *path, const void *data, size_t bytes,
                       const char *what);

/* Reads from `at` on, up to the file's end: the bytes that there were; -1 with
 * errno. */
ssize_t dsm__segment_read(int fd, void *data, size_t bytes, size_t at);

/* Unlinks a segment and gives its memory back at once, which otherwise would
 * wait for the last process that has it mapped; those then read zeros. */
void dsm__segment_remove(const char *path);

/* Whether the open file is still the one of that name. */
bool dsm__segment_is(int fd, const char *path);

/* The unit in which a directory's file system hands out memory: the page, or
 * the huge page on hugetlbfs. */
size_t dsm__segment_page(const char *directory);

/* "8.0 GB", in a thread-local buffer that the fourth call from now reuses. */
const char *dsm__bytes_text(unsigned long long bytes);

/* Calls visit with the file name of everything in a directory that begins with
 * `prefix`; non-zero stops, and is returned. */
int dsm__segment_scan(const char *directory, const char *prefix,
                      int (*visit)(const char *name, void *arg), void *arg);

#endif
