/* What the examples share: a clock, a median, numbers of the command line, a
 * line that shows progress, and the one way to give up.
 */
#ifndef EXAMPLES_SUPPORT_H
#define EXAMPLES_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

/* The name that messages begin with; main sets it first. */
extern const char *program;

/* Seconds of a clock that never goes back. */
double seconds_now(void);

/* Sleeps that long, or less when a signal comes. */
void sleep_seconds(double seconds);

/* Of n >= 1 values; sorts them. */
double median(double *values, size_t n);

/* Whole decimal numbers from `least` on, and finite real ones; false, with
 * *value untouched, for anything else. */
bool parse_count(const char *text, size_t least, size_t *value);
bool parse_real(const char *text, double *value);
/* The text's whole number, if it is from `least` to `most`; else misuse. */
size_t whole_number(const char *text, size_t least, size_t most);

/* Shows a line on a terminal, in the place of the one before, and ten times a
 * second at most. */
void show_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* From a second after the first call on, how much of the work is done (0 to 1).
 */
void show_progress(double part);
/* Takes the line away; fail and misuse do so first. */
void clear_progress(void);

/* Prints "PROGRAM: ..." as one line to stderr and ends the program: with 1
 * (fail), which also ends its clusters, or with 2 (misuse). */
_Noreturn void fail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
_Noreturn void misuse(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
