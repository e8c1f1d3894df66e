#include "support.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const char *program = "example";

double
seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void
sleep_seconds(double seconds)
{
    time_t whole = (time_t)seconds;
    struct timespec t = {.tv_sec = whole,
                         .tv_nsec = (long)(1e9 * (seconds - (double)whole))};

    nanosleep(&t, NULL);
}

static int
compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double
median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

bool
parse_count(const char *text, size_t least, size_t *value)
{
    char *end;
    unsigned long long parsed;

    /* strtoull would take " -1" for a very large number. */
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    parsed = strtoull(text, &end, 10);
    if (errno || *end || parsed > SIZE_MAX || parsed < least)
        return false;
    *value = (size_t)parsed;
    return true;
}

bool
parse_real(const char *text, double *value)
{
    char *end;
    double parsed = strtod(text, &end);

    if (end == text || *end || !isfinite(parsed))
        return false;
    *value = parsed;
    return true;
}

static bool line_shown;

void
show_line(const char *format, ...)
{
    static double next;
    double now = seconds_now();
    va_list arguments;

    if (now < next || !isatty(STDERR_FILENO))
        return;
    next = now + 0.1;
    fputc('\r', stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\033[K", stderr);
    line_shown = true;
}

void
show_progress(double part)
{
    static double began;
    double now = seconds_now();

    if (began == 0)
        began = now;
    if (now >= began + 1)
        show_line("%.1f %%, %.0f s left", 100 * part,
                  part > 0 ? (now - began) * (1 - part) / part : 0);
}

void
clear_progress(void)
{
    if (line_shown)
        fputs("\r\033[K", stderr);
    line_shown = false;
}

static void
print_line(const char *format, va_list arguments)
{
    fflush(stdout);
    clear_progress();
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void
fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

void
misuse(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
    exit(2);
}

size_t
whole_number(const char *text, size_t least, size_t most)
{
    size_t value;

    if (!parse_count(text, least, &value) || value > most)
        misuse("'%s' is no number from %zu to %zu", text, least, most);
    return value;
}
