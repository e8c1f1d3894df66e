/* Control groups of both versions.  A container may see the host's path of its
 * group but only its own group mounted, as the root: what is not there on the
 * way up is passed over. */
#include "os/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Calls `visit` with the directory of this process's group, in each hierarchy,
 * and of those above it. */
static void
visit_groups(const char *root,
             void (*visit)(const char *directory, void *found), void *found)
{
    char line[1024], path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    file = fopen(path, "re");
    if (!file)
        return;
    /* NUMBER:CONTROLLERS:PATH; version 2 has no controllers. */
    while (fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;

        if (!group)
            continue;
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        for (char *end = group + strlen(group); end;
             end = strrchr(group, '/')) {
            *end = '\0';
            snprintf(path, sizeof path, "%s/sys/fs/cgroup/%s%s", root,
                     controllers + 1, group);
            visit(path, found);
        }
    }
    fclose(file);
}

static FILE *
open_file(const char *directory, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/%s", directory, name) >=
        (int)sizeof path)
        return NULL;
    return fopen(path, "re");
}

/* Whether the file begins with a number, 0 or more ("max" is none). */
static bool
read_number(const char *directory, const char *name, long long *value)
{
    FILE *file = open_file(directory, name);
    bool found = file && fscanf(file, "%lld", value) == 1 && *value >= 0;

    if (file)
        fclose(file);
    return found;
}

/* Bytes of file pages in memory.stat, whose lines begin with `prefix`.  What
 * is in a tmpfs does not count there. */
static long long
file_pages(const char *directory, const char *prefix)
{
    char line[128], key[64];
    FILE *file = open_file(directory, "memory.stat");
    long long value, sum = 0;

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, prefix, strlen(prefix)) == 0 &&
            sscanf(line + strlen(prefix), "%63s %lld", key, &value) == 2 &&
            (strcmp(key, "inactive_file") == 0 ||
             strcmp(key, "active_file") == 0) &&
            value >= 0 && value <= LLONG_MAX - sum)
            sum += value;
    if (file)
        fclose(file);
    return sum;
}

static void
see_memory(const char *directory, void *found)
{
    long long *least = found, limit, used, room;

    if (read_number(directory, "memory.max", &limit) &&
        read_number(directory, "memory.current", &used))
        used -= file_pages(directory, "");
    else if (read_number(directory, "memory.limit_in_bytes", &limit) &&
             read_number(directory, "memory.usage_in_bytes", &used))
        used -= file_pages(directory, "total_");
    else
        return;
    room = limit > used ? limit - (used > 0 ? used : 0) : 0;
    if (*least < 0 || room < *least)
        *least = room;
}

long long
dsm__cgroup_memory(const char *root)
{
    long long least = -1;

    visit_groups(root, see_memory, &least);
    return least;
}

/* cpu.max is "MAX PERIOD". */
static void
see_cpus(const char *directory, void *found)
{
    FILE *file = open_file(directory, "cpu.max");
    unsigned *least = found;
    long long max, period;

    if (!file)
        return;
    if (fscanf(file, "%lld %lld", &max, &period) == 2 && max > 0 &&
        period > 0) {
        long long cpus = max / period + (max % period > 0);

        if (cpus <= INT_MAX && (*least == 0 || cpus < *least))
            *least = (unsigned)cpus;
    }
    fclose(file);
}

unsigned
dsm__cgroup_cpus(const char *root)
{
    unsigned least = 0;

    visit_groups(root, see_cpus, &least);
    return least;
}
