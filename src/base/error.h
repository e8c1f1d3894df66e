/* Failures: every error leaves through dsm__fail, which keeps the sentence. */
#ifndef DSM_BASE_ERROR_H
#define DSM_BASE_ERROR_H

#include <dsm/error.h>

/* Notes the sentence for dsm_last_error() and returns `error`, so that a caller
 * can write `return dsm__fail(-EINVAL, …)`.  Keeps errno.  DSM_API here and on
 * other private functions: libdsm_blas calls them. */
DSM_API int dsm__fail(int error, const char *format, ...) DSM_PRINTF(2, 3);

/* The same for a failed system call: appends ": " and errno's text, and returns
 * -errno. */
int dsm__fail_errno(const char *format, ...) DSM_PRINTF(1, 2);

/* Static analysers look at one file at a time, and would follow callers beyond
 * a failure for which they take 0 to be possible. */
#ifdef DSM__ANALYSIS
static inline int
dsm__failed(int error)
{
    return error;
}

#define dsm__fail(error, ...)                                                  \
    (dsm__fail(error, __VA_ARGS__), dsm__failed(error))
#define dsm__fail_errno(...) (dsm__fail_errno(__VA_ARGS__), dsm__failed(-1))
#endif

#define DSM__SENTENCE 512

/* Keep and restore the last sentence around what may fail without the call
 * failing: a call that succeeds leaves dsm_last_error() alone. */
void dsm__error_keep(char sentence[DSM__SENTENCE]);
void dsm__error_restore(const char sentence[DSM__SENTENCE]);

#endif
