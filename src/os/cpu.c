/* Counting and choosing processors.  hwloc is loaded with the topology only
 * where there is something to choose, and once for a cluster: that takes
 * milliseconds. */
#include "os/cpu.h"

#include "os/cgroup.h"

#include <hwloc.h>
#include <hwloc/glibc-sched.h>
#include <linux/mempolicy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t
cache_size(int name)
{
    long size = sysconf(name);

    return size > 0 ? (size_t)size : 0;
}

size_t
dsm__cpu_cache(void)
{
    /* Asked for once: under a hypervisor it takes many microseconds. */
    static _Atomic size_t known;
    size_t bytes = atomic_load_explicit(&known, memory_order_relaxed);
    size_t second, share;

    if (bytes)
        return bytes;
    second = cache_size(_SC_LEVEL2_CACHE_SIZE);
    bytes = cache_size(_SC_LEVEL3_CACHE_SIZE);
    bytes = bytes > second ? bytes : second;
    /* A virtual machine is told the whole of a cache that it shares with
     * others.  Real processors have up to four times as much on the third level
     * as on the second. */
    share = 4 * second * (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (share > 0 && bytes > share)
        bytes = share;
    bytes = bytes ? bytes : (size_t)8 << 20;
    atomic_store_explicit(&known, bytes, memory_order_relaxed);
    return bytes;
}

void
dsm__cpu_leave(const cpu_set_t *busy)
{
    cpu_set_t mine, others;

    if (sched_getaffinity(0, sizeof mine, &mine) < 0)
        return;
    CPU_XOR(&others, &mine, busy);
    CPU_AND(&others, &others, &mine);
    if (CPU_COUNT(&others) == 0)
        return;
    /* The first moves it, the second lets the scheduler choose again. */
    if (sched_setaffinity(0, sizeof others, &others) == 0)
        (void)sched_setaffinity(0, sizeof mine, &mine);
}

unsigned
dsm__cpu_count(void)
{
    cpu_set_t mask;
    /* What holds where the mask is too small for the machine. */
    unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
             quota = dsm__cgroup_cpus("");

    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
        cpus = (unsigned)CPU_COUNT(&mask);
    if (quota && quota < cpus)
        cpus = quota;
    return cpus ? cpus : 1;
}

bool
dsm__cpu_numa(void)
{
    FILE *file = fopen("/sys/devices/system/node/has_memory", "re");
    char nodes[256] = "0";

    if (!file)
        return false;
    if (!fgets(nodes, sizeof nodes, file))
        nodes[0] = '\0';
    fclose(file);
    return strpbrk(nodes, ",-") != NULL;
}

/* The object of `type` that is worker index's share of those this process may
 * use. */
static hwloc_obj_t
share(hwloc_topology_t topology, hwloc_obj_type_t type, unsigned index,
      unsigned count)
{
    int objects = hwloc_get_nbobjs_by_type(topology, type);

    if (objects <= 0)
        return NULL;
    /* Cores are dealt out one by one, nodes in blocks of neighbours. */
    if (type == HWLOC_OBJ_CORE)
        return hwloc_get_obj_by_type(topology, type, index % (unsigned)objects);
    return hwloc_get_obj_by_type(
        topology, type,
        (unsigned)((unsigned long)index * (unsigned)objects / count));
}

static bool
load(hwloc_topology_t *topology)
{
    if (hwloc_topology_init(topology) < 0)
        return false;
    if (hwloc_topology_load(*topology) == 0) {
        /* Leave out what this process may not use. */
        hwloc_bitmap_t allowed = hwloc_bitmap_alloc();

        if (allowed &&
            hwloc_get_cpubind(*topology, allowed, HWLOC_CPUBIND_PROCESS) == 0)
            hwloc_topology_restrict(*topology, allowed, 0);
        hwloc_bitmap_free(allowed);
        return true;
    }
    hwloc_topology_destroy(*topology);
    return false;
}

/* One share; false where nothing is known of it. */
static bool
find_place(struct dsm__cpu_place *place, hwloc_topology_t topology,
           unsigned index, unsigned count, bool numa)
{
    bool nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE) > 1;
    hwloc_obj_t object = share(
        topology, numa ? HWLOC_OBJ_NUMANODE : HWLOC_OBJ_CORE, index, count);

    if (!object || !object->cpuset)
        return false;
    place->node = nodes ? hwloc_bitmap_first(object->nodeset) : -1;
    return hwloc_cpuset_to_glibc_sched_affinity(
               topology, object->cpuset, &place->cpus, sizeof place->cpus) == 0;
}

bool
dsm__cpu_places(struct dsm__cpu_place *places, unsigned count, bool numa)
{
    hwloc_topology_t topology;
    bool found = true;

    if (!load(&topology))
        return false;
    for (unsigned k = 0; found && k < count; k++)
        found = find_place(&places[k], topology, k, count, numa);
    hwloc_topology_destroy(topology);
    return found;
}

void
dsm__cpu_put_pages(void *address, size_t bytes, int node)
{
    unsigned long mask[16] = {0};
    const int bits = 8 * sizeof *mask;

    if (bytes == 0 || node < 0 || node >= bits * 16)
        return;
    mask[node / bits] = 1UL << node % bits;
    /* The kernel reads one bit less than it is told. */
    syscall(SYS_mbind, address, bytes, MPOL_BIND, mask, bits * 16 + 1, 0);
}
