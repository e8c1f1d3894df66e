/* Error codes, names, texts and the last failure of each thread. */
#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef dsm__fail /* see error.h */
#undef dsm__fail_errno

static _Thread_local char last_error[DSM__SENTENCE];
static _Thread_local char unknown[160];

/* errno's number of a code, whichever its sign.  INT_MIN has no opposite, and
 * is as unknown as INT_MAX. */
static int
errno_of(int error)
{
    if (error == INT_MIN)
        return INT_MAX;
    return error < 0 ? -error : error;
}

const char *
dsm_strerror(int error)
{
    switch (error) {
    case 0:
        return "success";
#define TEXT(name, value, text)                                                \
    case name:                                                                 \
        return text;
        DSM_ERROR_MAP(TEXT)
#undef TEXT
    }
    /* GNU's strerror_r may or may not use the buffer; both are fine here. */
    return strerror_r(errno_of(error), unknown, sizeof unknown);
}

const char *
dsm_errname(int error)
{
    const char *name;

    switch (error) {
#define NAME(name, value, text)                                                \
    case name:                                                                 \
        return #name;
        DSM_ERROR_MAP(NAME)
#undef NAME
    }
    name = strerrorname_np(errno_of(error));
    return name ? name : "?";
}

const char *
dsm_last_error(void)
{
    return last_error;
}

static void
note(const char *format, va_list arguments)
{
    /* Written aside first: an argument may point into the last sentence. */
    char sentence[sizeof last_error];

    vsnprintf(sentence, sizeof sentence, format, arguments);
    memcpy(last_error, sentence, sizeof sentence);
}

int
dsm__fail(int error, const char *format, ...)
{
    int saved = errno;
    va_list arguments;

    va_start(arguments, format);
    note(format, arguments);
    va_end(arguments);
    errno = saved;
    return error;
}

int
dsm__fail_errno(const char *format, ...)
{
    int error = errno;
    va_list arguments;
    size_t length;

    va_start(arguments, format);
    note(format, arguments);
    va_end(arguments);
    length = strlen(last_error);
    snprintf(last_error + length, sizeof last_error - length, ": %s",
             dsm_strerror(-error));
    errno = error;
    return -error;
}

void
dsm__error_keep(char sentence[DSM__SENTENCE])
{
    memcpy(sentence, last_error, DSM__SENTENCE);
}

void
dsm__error_restore(const char sentence[DSM__SENTENCE])
{
    memcpy(last_error, sentence, DSM__SENTENCE);
}
