/* Put before every source by ./dev coverage: a process that leaves by _exit, as
 * the cluster's do, or that kills itself first writes what it ran. */
#ifndef TESTS_COVERAGE_H
#define TESTS_COVERAGE_H

#include <signal.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif
void __gcov_dump(void);
void __gcov_reset(void);
#ifdef __cplusplus
}
#endif

#define _exit(status) (__gcov_dump(), _exit(status))
/* The signal may be one that the process outlives. */
#define raise(number) (__gcov_dump(), __gcov_reset(), raise(number))

#endif
