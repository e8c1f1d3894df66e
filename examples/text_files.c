#include "text_files.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that is gone when the program ends. */
static int
open_copy(void)
{
    static const char name[] = "/wordcount-XXXXXX";
    const char *folder = getenv("TMPDIR");
    size_t size;
    char *path;
    int fd;

    if (!folder || !*folder)
        folder = "/tmp";
    size = strlen(folder) + sizeof name;
    path = malloc(size);
    if (!path)
        fail("no memory for a name");
    snprintf(path, size, "%s%s", folder, name);
    fd = mkstemp(path);
    if (fd < 0)
        fail("%s: %s; set TMPDIR to where a file can be made", path,
             strerror(errno));
    unlink(path);
    free(path);
    return fd;
}

static void
write_all(int fd, const char *data, size_t size, const char *name)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            fail("%s: copying it to a file: %s; set TMPDIR to where there is "
                 "room",
                 name, strerror(errno));
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
}

/* Copies what fd gives until its end behind what is in the copy. */
static void
copy(text_files *list, text_file *file, int fd)
{
    enum { PIECE = 1 << 18 };
    char *piece = malloc(PIECE);
    ssize_t n;

    if (!piece)
        fail("no memory to read %s", file->name);
    while ((n = read(fd, piece, PIECE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail("%s: %s", file->name, strerror(errno));
        if (list->copy < 0)
            list->copy = open_copy();
        if (!file->copied)
            file->offset = lseek(list->copy, 0, SEEK_CUR);
        file->copied = true;
        write_all(list->copy, piece, (size_t)n, file->name);
        file->size += (size_t)n;
    }
    free(piece);
}

static void
add_file(text_files *list, text_file *file, const char *name)
{
    bool standard = strcmp(name, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    struct stat status;

    *file = (text_file){.name = standard ? "standard input" : name,
                        .begin = list->size};
    if (fd < 0 || fstat(fd, &status) < 0)
        fail("%s: %s", file->name, strerror(errno));
    /* Files in /proc tell a size of 0. */
    if (standard || !S_ISREG(status.st_mode) || status.st_size == 0)
        copy(list, file, fd);
    else
        file->size = (size_t)status.st_size;
    if (!standard)
        close(fd);
    if (file->size > SIZE_MAX / 2 - list->size)
        fail("%s: too large", file->name);
    list->size += file->size;
}

void
text_files_open(text_files *list, char *const *names, size_t count)
{
    *list = (text_files){.files = calloc(count, sizeof *list->files),
                         .count = count,
                         .copy = -1};
    if (!list->files)
        fail("no memory for %zu files", count);
    for (size_t k = 0; k < count; k++)
        add_file(list, &list->files[k], names[k]);
}

void
text_files_close(text_files *list)
{
    if (list->copy >= 0)
        close(list->copy);
    free(list->files);
}

const char *
text_map_open(text_map *map, const text_files *list, const text_file *file)
{
    int fd = file->copied ? list->copy : open(file->name, O_RDONLY | O_CLOEXEC);
    const char *wrong = NULL;
    struct stat status;

    map->length = (size_t)file->offset + file->size;
    if (fd < 0 || fstat(fd, &status) < 0) {
        wrong = strerror(errno);
    } else if ((size_t)status.st_size < map->length) {
        wrong = "it was cut short while it was counted";
    } else {
        map->memory = mmap(NULL, map->length, PROT_READ, MAP_SHARED, fd, 0);
        if (map->memory == MAP_FAILED)
            wrong = strerror(errno);
    }
    if (fd >= 0 && !file->copied)
        close(fd);
    if (wrong)
        return wrong;
    madvise(map->memory, map->length, MADV_SEQUENTIAL);
    map->text = (const char *)map->memory + file->offset;
    return NULL;
}

void
text_map_close(const text_map *map)
{
    munmap(map->memory, map->length);
}
