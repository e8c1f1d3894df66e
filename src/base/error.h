/* Failures: every error leaves through dsm__fail, which keeps the sentence. */
#ifndef DSM_BASE_ERROR_H
#define DSM_BASE_ERROR_H

#include <dsm/error.h>

/* Notes the sentence for dsm_last_error() and returns `error`, so that a caller
 * can write `return dsm__fail(-EINVAL, …)`.  Keeps errno. */
int dsm__fail(int error, const char *format, ...) DSM_PRINTF(2, 3);

/* The same for a failed system call: appends ": " and errno's text, and returns
 * -errno. */
int dsm__fail_errno(const char *format, ...) DSM_PRINTF(1, 2);

#endif
