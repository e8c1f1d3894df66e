/* Segments that serve many jobs; see crate.h. */
#include "pool/crate.h"

#include "base/error.h"
#include "base/point.h"
#include "pool/parcel.h"
#include "shm/segment.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CRATES_MOST 256
#define PART 8  /* idle crates take at most this part of the file system */
#define SLACK 8 /* a crate serves for this part of its size, too */
#define SMALL ((size_t)64 << 10) /* and if it is small, for any */

static void
path_of(char *path, const struct dsm__control *control, unsigned program,
        uint32_t number)
{
    char name[32];

    snprintf(name, sizeof name, ".j%u-c%x", program, number);
    dsm__path(path, dsm__parcel_directory(control), control->name, name);
}

uint32_t
dsm__crate_number(const struct dsm__control *control, unsigned program)
{
    return atomic_fetch_add(&dsm__board(control, program)->crates, 1) + 1;
}

int
dsm__crate_make(const struct dsm__control *control, unsigned program,
                uint32_t number, const void *data, size_t size)
{
    char path[DSM__PATH_SIZE];
    int fd, error;

    path_of(path, control, program, number);
    error = dsm__segment_create(&fd, path, dsm__whole_pages(size));
    if (error)
        return error;
    DSM__POINT("parcel.write");
    error = dsm__control_ended(control);
    if (!error)
        error = dsm__segment_write(fd, path, data, size, "a job's data");
    close(fd);
    if (error)
        unlink(path);
    return error;
}

void
dsm__crate_remove(const struct dsm__control *control, unsigned program,
                  uint32_t number)
{
    char path[DSM__PATH_SIZE];

    path_of(path, control, program, number);
    /* Also where workers have it mapped its memory is given back. */
    dsm__segment_remove(path);
}

struct dsm__crate *
dsm__crate_of(unsigned program, uint32_t number)
{
    struct dsm__crate *crate = calloc(1, sizeof *crate);

    if (!crate)
        return NULL;
    crate->program = program;
    crate->number = number;
    return crate;
}

void
dsm__crate_free(struct dsm__crate *crate)
{
    if (crate && crate->at)
        munmap(crate->at, crate->size);
    free(crate);
}

int
dsm__crate_map(struct dsm__crate *crate, const struct dsm__control *control)
{
    char path[DSM__PATH_SIZE];
    struct stat status;
    void *at = MAP_FAILED;
    int fd, error;

    if (crate->at)
        return 0;
    path_of(path, control, crate->program, crate->number);
    error = dsm__segment_open(&fd, path, true, &status);
    if (error)
        return dsm__control_missing(control, error);
    crate->size = (size_t)status.st_size;
    if (crate->size)
        at = mmap(NULL, crate->size, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED)
        error = dsm__fail_errno("cannot map %s", path);
    else
        crate->at = at;
    close(fd);
    return error;
}

int
dsm__crate_fill(struct dsm__crate *crate, const struct dsm__control *control,
                const void *data, size_t size)
{
    int error;

    if (crate->size == 0) {
        error =
            dsm__crate_make(control, crate->program, crate->number, data, size);
        if (!error)
            crate->size = dsm__whole_pages(size);
        return error;
    }
    error = dsm__crate_map(crate, control);
    if (!error)
        memcpy(crate->at, data, size);
    return error;
}

/* ---- Lists. */

static void
put(struct dsm__crates *crates, struct dsm__crate *crate)
{
    crate->next = crates->first;
    crates->first = crate;
    crates->count++;
    crates->bytes += crate->size;
}

static void
take_out(struct dsm__crates *crates, struct dsm__crate *crate)
{
    struct dsm__crate **link = &crates->first;

    while (*link != crate)
        link = &(*link)->next;
    *link = crate->next;
    crates->count--;
    crates->bytes -= crate->size;
}

static void
forget_oldest(struct dsm__crates *crates)
{
    struct dsm__crate *oldest = crates->first;

    for (struct dsm__crate *c = crates->first; c; c = c->next)
        if (c->used < oldest->used)
            oldest = c;
    assert(oldest); /* or none would be counted */
    take_out(crates, oldest);
    dsm__crate_free(oldest);
}

int
dsm__crate_borrow(struct dsm__crates *crates, struct dsm__crate **crate,
                  const struct dsm__control *control, unsigned program,
                  uint32_t number)
{
    struct dsm__crate *found = crates->first;
    int error;

    while (found && (found->number != number || found->program != program))
        found = found->next;
    if (!found) {
        if (crates->count >= CRATES_MOST)
            forget_oldest(crates);
        found = dsm__crate_of(program, number);
        if (!found)
            return dsm__fail(-ENOMEM, "no memory for a job's data");
        error = dsm__crate_map(found, control);
        if (error) {
            dsm__crate_free(found);
            return error;
        }
        put(crates, found);
    }
    found->used = ++crates->uses;
    *crate = found;
    return 0;
}

struct dsm__crate *
dsm__crate_spare(struct dsm__crates *crates, size_t size)
{
    struct dsm__crate *best = NULL;

    for (struct dsm__crate *c = crates->first; c; c = c->next)
        if (c->size >= size && (!best || c->size < best->size))
            best = c;
    if (!best || (best->size > SMALL && best->size / SLACK > size))
        return NULL;
    take_out(crates, best);
    return best;
}

static size_t
bytes_most(const struct dsm__control *control)
{
    struct statvfs room;
    uint64_t blocks;

    if (statvfs(dsm__parcel_directory(control), &room) < 0)
        return 0;
    /* Where memory is short by now others are to have it. */
    blocks = room.f_blocks / PART;
    if (blocks > room.f_bavail / 2)
        blocks = room.f_bavail / 2;
    return (size_t)blocks * room.f_frsize;
}

static void
give_up(struct dsm__crate *crate, const struct dsm__control *control)
{
    dsm__crate_remove(control, crate->program, crate->number);
    dsm__crate_free(crate);
}

void
dsm__crate_return(struct dsm__crates *crates, struct dsm__crate *crate,
                  const struct dsm__control *control)
{
    if (crate->size == 0 || crates->count >= CRATES_MOST ||
        crates->bytes + crate->size > bytes_most(control))
        give_up(crate, control);
    else
        put(crates, crate);
}

bool
dsm__crates_trim(struct dsm__crates *crates, const struct dsm__control *control)
{
    bool any = crates->first != NULL;

    while (crates->first) {
        struct dsm__crate *crate = crates->first;

        take_out(crates, crate);
        give_up(crate, control);
    }
    return any;
}

void
dsm__crates_free(struct dsm__crates *crates)
{
    while (crates->first) {
        struct dsm__crate *crate = crates->first;

        take_out(crates, crate);
        dsm__crate_free(crate);
    }
}
