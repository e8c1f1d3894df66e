/* Futexes between processes: sleep while a word holds a value. */
#ifndef DSM_OS_FUTEX_H
#define DSM_OS_FUTEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Sleeps while *word == seen, at most timeout_ns.  Returns for any reason; the
 * caller looks again.  Whether it was woken by dsm__futex_wake. */
bool dsm__futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t timeout_ns);

/* Wakes those who sleep on the word, at most so many; how many there were. */
int dsm__futex_wake(_Atomic uint32_t *word, int most);

/* Wakes one, if possible one that fell asleep on this CPU: to wake an idle CPU
 * can cost more than a job, above all on a virtual machine. */
int dsm__futex_wake_one(_Atomic uint32_t *word);

#endif
