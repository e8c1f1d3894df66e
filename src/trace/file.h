/* The file of a trace: a JSON object, to which the processes of a cluster
 * append events, and which the last of them ends. */
#ifndef DSM_TRACE_FILE_H
#define DSM_TRACE_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Makes an empty file of that name; where another cluster has it, with ".2",
 * ".3" and so on behind.  A descriptor, or with a sentence -errno. */
int dsm__trace_file_open(const char *name);

/* Says that this process may write from now on.  False: the file is being
 * ended. */
bool dsm__trace_file_enter(int fd);

/* And that it does not any more, as its death does. */
void dsm__trace_file_leave(int fd);

/* Writes whole lines, each with its end in front of it.  False: it could not,
 * and there must be no further try. */
bool dsm__trace_file_append(int fd, const char *lines, size_t size);

/* Makes it valid JSON, when the others have left, and closes it. */
void dsm__trace_file_end(int fd);

#endif
