/* Sizes, ages and times as people read them. */
#include "dsmctl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

char *
format_text(const char *format, ...)
{
    char *text = NULL;
    va_list arguments, again;
    int length;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    if (length >= 0)
        text = malloc((size_t)length + 1);
    if (!text) {
        complain("out of memory");
        exit(EXIT_FAILED);
    }
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

char *
format_size(uint64_t bytes)
{
    static const char units[] = "BKMGTPE";
    double size = (double)bytes;
    size_t unit = 0;

    if (bytes < 1024)
        return format_text("%uB", (unsigned)bytes);
    /* What would round to 1024.0 is 1.0 of the next unit. */
    while (size >= 1023.95 && unit + 2 < sizeof units) {
        size /= 1024;
        unit++;
    }
    return format_text("%.1f%c", size, units[unit]);
}

char *
format_age(double seconds)
{
    /* The clock may have been set back since. */
    uint64_t age = seconds > 0 && seconds < 1e18 ? (uint64_t)seconds : 0;
    char unit = 's';

    if (age >= 24 * 60 * 60) {
        age /= 24 * 60 * 60;
        unit = 'd';
    } else if (age >= 60 * 60) {
        age /= 60 * 60;
        unit = 'h';
    } else if (age >= 60) {
        age /= 60;
        unit = 'm';
    }
    return format_text("%" PRIu64 "%c", age, unit);
}

char *
format_time(double time_unix)
{
    time_t when = (time_t)time_unix;
    struct tm local;
    char text[64];

    if (!localtime_r(&when, &local) ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &local) == 0)
        return NULL;
    return format_text("%s", text);
}
