/* Reserving one range of addresses for all processes; see space.h. */
#include "shm/space.h"

#include "base/error.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Far from where the kernel puts mappings by itself, so that an attaching
 * program finds the same place free: above the low ones, and below programs and
 * their heaps, which begin anywhere from 0x550000000000 on. */
#define FIRST_BASE UINT64_C(0x200000000000)
#define STEP (UINT64_C(1) << 40)
#define STEPS 48
#define SMALLEST ((size_t)64 << 20)

static char *
reserve(char *at, size_t size)
{
    /* A hint, which the kernel follows where it can. */
    void *got = mmap(at, size, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (got == MAP_FAILED)
        return NULL;
    if (at && got != at) {
        munmap(got, size);
        errno = EADDRNOTAVAIL;
        return NULL;
    }
    return got;
}

static char *
find_place(size_t size, uint64_t seed)
{
    uint64_t steps = (size + STEP - 1) / STEP;
    char *base;

    if (sizeof(void *) >= 8 && steps <= STEPS)
        for (uint64_t k = 0; k < STEPS; k++) {
            uint64_t slot = (seed + k) % STEPS;

            if (slot + steps > STEPS)
                continue;
            base = reserve((char *)(uintptr_t)(FIRST_BASE + slot * STEP), size);
            if (base)
                return base;
            if (errno == ENOMEM)
                break; /* too large, here as elsewhere */
        }
    return reserve(NULL, size);
}

/* Leaves the process half of what RLIMIT_AS grants it. */
static size_t
limit_of(size_t size)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        while (size > SMALLEST && size > limit.rlim_cur / 2)
            size /= 2;
    return size;
}

int
dsm__space_reserve(struct dsm__space *space, size_t size, uint64_t seed)
{
    size = limit_of(size < SMALLEST ? SMALLEST : size);
    for (; size >= SMALLEST; size /= 2) {
        space->base = find_place(size, seed);
        if (space->base) {
            space->size = size;
            return 0;
        }
    }
    return dsm__fail(-ENOMEM,
                     "cannot reserve even %s of addresses (see ulimit -v)",
                     dsm__bytes_text(SMALLEST));
}

int
dsm__space_reserve_at(struct dsm__space *space, char *base, size_t size)
{
    space->base = reserve(base, size);
    space->size = size;
    if (space->base)
        return 0;
    if (errno == ENOMEM)
        return dsm__fail(-ENOMEM,
                         "cannot reserve the cluster's %s of addresses (see "
                         "ulimit -v)",
                         dsm__bytes_text(size));
    return dsm__fail(-EADDRNOTAVAIL,
                     "the cluster's addresses %p to %p are taken in this "
                     "process",
                     (void *)base, (void *)(base + size));
}

/* ---- Populating.  The bits are a memory of this process alone, and only a
 * hint: a thread that misses another's does the work twice. */

#define PIECE ((size_t)64 << 10) /* that one bit stands for */
#define WORD (64 * PIECE)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

static _Atomic uint64_t *
bits_of(struct dsm__space *space)
{
    size_t bytes = (space->size + WORD - 1) / WORD * sizeof(uint64_t);
    void *bits;

    if (space->populated)
        return space->populated;
    bits = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return space->populated = bits == MAP_FAILED ? NULL : bits;
}

/* Whether the bit of a piece was set before it is set now. */
static bool
piece_done(struct dsm__space *space, size_t piece)
{
    uint64_t bit = UINT64_C(1) << piece % 64;

    if (atomic_load_explicit(&space->populated[piece / 64],
                             memory_order_relaxed) &
        bit)
        return true;
    return atomic_fetch_or_explicit(&space->populated[piece / 64], bit,
                                    memory_order_relaxed) &
           bit;
}

void
dsm__space_populate(struct dsm__space *space, const void *from, size_t bytes)
{
    size_t first = (size_t)((const char *)from - space->base) / PIECE;
    size_t end, run;

    if (bytes == 0 || !bits_of(space))
        return;
    end = ((size_t)((const char *)from - space->base) + bytes - 1) / PIECE + 1;
    for (size_t piece = first; piece < end; piece = run + 1) {
        for (run = piece; run < end && !piece_done(space, run);)
            run++;
        /* Kernels that know it ignore what is mapped already. */
        if (run > piece)
            (void)madvise(space->base + piece * PIECE, (run - piece) * PIECE,
                          MADV_POPULATE_READ);
    }
}

/* What was populated in a range is to be done again. */
static void
forget(const struct dsm__space *space, size_t offset, size_t bytes)
{
    if (space->populated)
        for (size_t piece = offset / PIECE; piece * PIECE < offset + bytes;
             piece++)
            atomic_fetch_and_explicit(&space->populated[piece / 64],
                                      ~(UINT64_C(1) << piece % 64),
                                      memory_order_relaxed);
}

int
dsm__space_map(const struct dsm__space *space, size_t offset, size_t bytes,
               int fd)
{
    void *at = space->base + offset;

    forget(space, offset, bytes);
    if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             0) == MAP_FAILED)
        return dsm__fail_errno("cannot map a segment of %s",
                               dsm__bytes_text(bytes));
    return 0;
}

int
dsm__space_hide(const struct dsm__space *space, size_t offset, size_t bytes)
{
    void *at = space->base + offset;

    if (mmap(at, bytes, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED)
        return dsm__fail_errno("cannot hide a segment of %s",
                               dsm__bytes_text(bytes));
    return 0;
}

void
dsm__space_release(struct dsm__space *space)
{
    if (space->base)
        munmap(space->base, space->size);
    if (space->populated)
        munmap((void *)space->populated,
               (space->size + WORD - 1) / WORD * sizeof(uint64_t));
    space->base = NULL;
    space->populated = NULL;
}
