/* Error codes and their sentences.
 *
 * System errors travel as -errno; the library's own codes lie far outside of
 * errno's range.  All functions here are thread-safe and fork-safe.
 */
#ifndef DSM_ERROR_H
#define DSM_ERROR_H

#include <dsm/attributes.h>

DSM_BEGIN_DECLS

/* One table makes the enum, the names and the texts: X(name, value, text). */
#define DSM_ERROR_MAP(X)                                                       \
    X(DSM_EWORKER, -10001, "a worker process died while it had work")          \
    X(DSM_EFAILED, -10002, "a worker's function returned non-zero")            \
    X(DSM_EBROKEN, -10003, "a barrier lost a participant")                     \
    X(DSM_EFORMAT, -10004,                                                     \
      "not a libdsm segment, or not a .npy file that it can hold")             \
    X(DSM_ESTALE, -10005, "the cluster's owner is gone")                       \
    X(DSM_EPENDING, -10006, "the result has not been computed yet")            \
    X(DSM_ECANCELED, -10007, "the work was cancelled")

enum {
#define DSM_ERROR_ENUM(name, value, text) name = value,
    DSM_ERROR_MAP(DSM_ERROR_ENUM)
#undef DSM_ERROR_ENUM
};

/* The text of any code that a libdsm call returned, errno's included.  Never
 * NULL; the string is static or thread-local and not to be freed. */
DSM_API const char *dsm_strerror(int error);

/* The name of a code: "DSM_EWORKER", "ENOSPC".  Never NULL, static. */
DSM_API const char *dsm_errname(int error);

/* One sentence about the last failure of a libdsm call in this thread: what
 * was tried, on which object, with which figures, and what to do.  A call that
 * succeeds leaves it alone; "" before the first failure.  Never NULL; valid
 * until the next failing call of this thread. */
DSM_API const char *dsm_last_error(void);

DSM_END_DECLS

#endif
