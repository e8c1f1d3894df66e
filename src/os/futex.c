/* The futex calls that the library needs, process-shared.  A sleeper leaves a
 * bit that tells on which CPU it fell asleep. */
#include "os/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint32_t
bit_of_cpu(void)
{
    int cpu = sched_getcpu();

    return UINT32_C(1) << (cpu < 0 ? 0 : cpu % 32);
}

bool
dsm__futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t timeout_ns)
{
    int saved = errno;
    struct timespec end;
    long result;

    clock_gettime(CLOCK_MONOTONIC, &end);
    timeout_ns += end.tv_nsec;
    end.tv_sec += (time_t)(timeout_ns / 1000000000);
    end.tv_nsec = (long)(timeout_ns % 1000000000);
    result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, &end, NULL,
                     bit_of_cpu());
    errno = saved;
    return result == 0;
}

static int
wake(_Atomic uint32_t *word, int most, uint32_t bits)
{
    int saved = errno;
    long woken =
        syscall(SYS_futex, word, FUTEX_WAKE_BITSET, most, NULL, NULL, bits);

    errno = saved;
    return woken > 0 ? (int)woken : 0;
}

int
dsm__futex_wake(_Atomic uint32_t *word, int most)
{
    return wake(word, most, FUTEX_BITSET_MATCH_ANY);
}

int
dsm__futex_wake_one(_Atomic uint32_t *word)
{
    int woken = wake(word, 1, bit_of_cpu());

    return woken ? woken : wake(word, 1, FUTEX_BITSET_MATCH_ANY);
}
