/* The two futex calls that the library needs, process-shared. */
#include "os/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

bool
dsm__futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000)};
    int saved = errno;
    long result = syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);

    errno = saved;
    return result == 0;
}

int
dsm__futex_wake(_Atomic uint32_t *word, int most)
{
    int saved = errno;
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, most, NULL, NULL, 0);

    errno = saved;
    return woken > 0 ? (int)woken : 0;
}
