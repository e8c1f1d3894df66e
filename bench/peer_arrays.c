/* See peer_arrays.h. */
#include "peer_arrays.h"
#include "kernels.h"
#include "peer.h"

#include <pthread.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 << 20)

static void *
allocate(size_t bytes)
{
    bytes = (bytes + LARGE_PAGE) & ~(LARGE_PAGE - 1);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

struct toucher {
    const struct peer_arrays *arrays;
    unsigned id;
    pthread_t thread;
};

static void *
touch(void *context)
{
    const struct toucher *toucher = context;
    const struct peer_arrays *arrays = toucher->arrays;
    size_t begin = peer_share(arrays, toucher->id);
    size_t n = peer_share(arrays, toucher->id + 1) - begin;
    kernel_fill(arrays->x + begin, begin, n);
    if (arrays->y != NULL)
        kernel_write_streaming(arrays->y + begin, n);
    if (arrays->mask != NULL)
        kernel_mask(arrays->mask + begin, arrays->x + begin, n);
    return NULL;
}

int
peer_arrays_make(struct peer_arrays *arrays, size_t n, unsigned parties,
                 unsigned which)
{
    struct toucher touchers[PEER_PARTIES_MAX];
    *arrays = (struct peer_arrays){.n = n, .parties = parties};
    arrays->x = allocate(n * sizeof *arrays->x);
    if (which & PEER_Y)
        arrays->y = allocate(n * sizeof *arrays->y);
    if (which & PEER_MASK)
        arrays->mask = allocate(n);
    if (arrays->x == NULL || (which & PEER_Y && arrays->y == NULL) ||
        (which & PEER_MASK && arrays->mask == NULL))
        return -1;
    for (unsigned id = 0; id < parties; id++) {
        touchers[id] = (struct toucher){.arrays = arrays, .id = id};
        if (pthread_create(&touchers[id].thread, NULL, touch, &touchers[id]))
            return -1;
    }
    for (unsigned id = 0; id < parties; id++)
        pthread_join(touchers[id].thread, NULL);
    return 0;
}
