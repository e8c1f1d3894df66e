/* What the control groups of this process leave it: its own and those above.
 *
 * `root` is "", or the directory in which a test has its own /proc and /sys. */
#ifndef DSM_OS_CGROUP_H
#define DSM_OS_CGROUP_H

/* The smallest CPU quota in whole CPUs, or 0 for none. */
unsigned dsm__cgroup_cpus(const char *root);

/* Bytes that may still be taken below the memory limits, or -1 for no limit.
 * Pages of files that the kernel can give up count as free. */
long long dsm__cgroup_memory(const char *root);

#endif
