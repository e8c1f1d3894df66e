/* Which process this is, as far as the library is concerned.
 *
 * A page that the kernel wipes at fork (MADV_WIPEONFORK) holds one armed word.
 * The library's own children arm it again; a child that the host program forked
 * reads zero, and every call there gives -EPERM before it touches a handle,
 * whose page is not even mapped there (MADV_DONTFORK). */
#ifndef DSM_OS_IDENTITY_H
#define DSM_OS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

extern const volatile uint32_t *dsm__armed;

/* Makes this process one that may call the library.  0 or -errno. */
int dsm__identity_arm(void);

/* Whether this process may: not so in a host's child, nor before the first
 * cluster. */
static inline bool
dsm__identity_ok(void)
{
    return __builtin_expect(*dsm__armed != 0, 1);
}

#endif
