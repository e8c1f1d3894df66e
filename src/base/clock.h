/* Clocks: monotonic nanoseconds for deadlines, cheap ticks for statistics. */
#ifndef DSM_BASE_CLOCK_H
#define DSM_BASE_CLOCK_H

#include <dsm/attributes.h>

#include <stdint.h>
#include <time.h>

#define DSM__NO_DEADLINE INT64_MAX
#define DSM__NS_PER_MS INT64_C(1000000)
#define DSM__NS_PER_S INT64_C(1000000000)

/* CLOCK_MONOTONIC, which is the same in all processes of the machine. */
static inline int64_t
dsm__now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * DSM__NS_PER_S + now.tv_nsec;
}

/* When a call with this timeout gives up. */
static inline int64_t
dsm__deadline(int timeout_ms)
{
    if (timeout_ms < 0)
        return DSM__NO_DEADLINE;
    return dsm__now() + timeout_ms * DSM__NS_PER_MS;
}

static inline struct timespec
dsm__timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / DSM__NS_PER_S),
                             .tv_nsec = (long)(ns % DSM__NS_PER_S)};
}

/* Ticks of the processor's constant-rate counter: some 10 ns a reading, where
 * the clock takes 30.  Whoever reads statistics finds the rate by comparing
 * both with a moment in the past. */
static inline uint64_t
dsm__ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)dsm__now();
#endif
}

#endif
