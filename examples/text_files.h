/* Files taken as one text, one behind the other, of which each worker maps the
 * pieces that it reads.
 *
 * The list is made before the workers are forked, which thereby know it.
 */
#ifndef EXAMPLES_TEXT_FILES_H
#define EXAMPLES_TEXT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct text_file {
    const char *name; /* as it was given */
    bool copied;      /* lies in the list's copy, at `offset` */
    off_t offset;
    size_t begin, size; /* in the whole text */
} text_file;

typedef struct text_files {
    text_file *files;
    size_t count, size;
    int copy; /* a file without a name, or -1 */
} text_files;

/* A file in memory. */
typedef struct text_map {
    const char *text;
    void *memory;
    size_t length;
} text_map;

/* Takes the names, "-" for the standard input.  What cannot be mapped, such as
 * a pipe, is copied.  Ends the program if it cannot read one. */
void text_files_open(text_files *list, char *const *names, size_t count);

void text_files_close(text_files *list);

/* Maps a file of at least one byte.  NULL, or what is wrong with it. */
const char *text_map_open(text_map *map, const text_files *list,
                          const text_file *file);

void text_map_close(const text_map *map);

#endif
