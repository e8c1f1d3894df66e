/* Processors: how many, the pause instruction, where workers run. */
#ifndef DSM_OS_CPU_H
#define DSM_OS_CPU_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

/* Tells the processor that this is a spin loop. */
static inline void
dsm__pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Bytes of the largest cache, as far as this machine has it for itself: what is
 * larger does not stay there. */
size_t dsm__cpu_cache(void);

/* CPUs that this process may use: its affinity mask, cut by the CPU quota of
 * its cgroup; at least 1. */
unsigned dsm__cpu_count(void);

/* Moves this thread away from CPUs that others need, if it may use another; the
 * set of those that it may use stays. */
void dsm__cpu_leave(const cpu_set_t *busy);

/* Whether there is more than one NUMA node. */
bool dsm__cpu_numa(void);

/* Where a worker belongs. */
struct dsm__cpu_place {
    cpu_set_t cpus; /* one core, or all of a NUMA node */
    int node;       /* of its memory; -1 where there is one node only */
};

/* The places of `count` workers, on cores or with `numa` on nodes.  False where
 * nothing is known of them. */
bool dsm__cpu_places(struct dsm__cpu_place *places, unsigned count, bool numa);

/* Has pages come from a NUMA node (-1: from any) when they are allocated. */
void dsm__cpu_put_pages(void *address, size_t bytes, int node);

#endif
