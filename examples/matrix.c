/* Matrix Market files, their older plain form, and generators.
 *
 * A file is read line by line into a list of entries that know their line, so
 * that what shows only at the end (a zero diagonal, a sum that overflows) can
 * still name one.  Two counting sorts, by column and then, stably, by row, turn
 * the list into compressed rows.  Nothing is allocated by what a size line
 * promises, only by what the file really holds.
 */
#include "matrix.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct entry {
    size_t line;
    uint32_t row, column;
    double value;
} entry;

typedef struct reader {
    const char *path;
    FILE *file;
    char *line; /* of getline; its number, from 1 */
    size_t line_size, number;
    bool plain, integer, symmetric;
    size_t n, announced; /* the size line */
    entry *list;
    size_t count, room;
    size_t read; /* entries of the file; the list has the mirrored ones too */
    char *message;
} reader;

static int say(char *message, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int complain(reader *r, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int
say(char *message, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, MATRIX_MESSAGE_MAX, format, arguments);
    va_end(arguments);
    return -1;
}

static int
complain(reader *r, size_t line, const char *format, ...)
{
    char text[MATRIX_MESSAGE_MAX / 2];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return say(r->message, "%.400s:%zu: %s", r->path, line, text);
}

/* The line as a message can quote it: short, one line, printable. */
static const char *
quoted(reader *r)
{
    enum { LONGEST = 40 };
    char *c = r->line;

    for (; *c && *c != '\n' && *c != '\r' && c - r->line < LONGEST; c++)
        if (!isprint((unsigned char)*c))
            *c = '?';
    *c = '\0';
    return r->line;
}

/* 1: a line is there; 0: the file has ended. */
static int
read_line(reader *r)
{
    ssize_t length;

    errno = 0;
    length = getline(&r->line, &r->line_size, r->file);
    if (length < 0 && !feof(r->file))
        return say(r->message, "%.400s: %s", r->path, strerror(errno));
    if (length < 0)
        return 0;
    r->number++;
    if (strlen(r->line) != (size_t)length)
        return complain(r, r->number, "a zero byte: this is no text file");
    return 1;
}

static bool
is_blank_or_comment(const char *line)
{
    line += strspn(line, " \t\r\n\f\v");
    return !*line || *line == '%';
}

/* The next line with something on it. */
static int
next_line(reader *r)
{
    int status;

    do
        status = read_line(r);
    while (status > 0 && is_blank_or_comment(r->line));
    return status;
}

static bool
ends_token(const char *end)
{
    return !*end || isspace((unsigned char)*end);
}

/* A whole number; one too large to hold comes out as the largest. */
static bool
scan_whole(char **cursor, long long *value)
{
    char *begin = *cursor;

    *value = strtoll(begin, cursor, 10);
    return *cursor != begin && ends_token(*cursor);
}

static bool
scan_value(char **cursor, bool integer, double *value)
{
    char *begin = *cursor;
    long long whole;

    if (integer) {
        errno = 0;
        if (!scan_whole(cursor, &whole) || errno)
            return false;
        *value = (double)whole;
        return true;
    }
    *value = strtod(begin, cursor);
    return *cursor != begin && ends_token(*cursor);
}

static bool
at_end(const char *cursor)
{
    return !cursor[strspn(cursor, " \t\r\n\f\v")];
}

static bool
is_banner(const char *line)
{
    return !strncasecmp(line + strspn(line, "% \t"), "MatrixMarket", 12);
}

/* The banner: four words, of which only some of the standard's are read. */
static int
read_banner(reader *r)
{
    char word[4][20];
    int end = 0;

    if (strncasecmp(r->line, "%%MatrixMarket ", 15) ||
        sscanf(r->line + 15, "%19s %19s %19s %19s %n", word[0], word[1],
               word[2], word[3], &end) != 4 ||
        r->line[15 + end])
        return complain(r, r->number,
                        "expected '%%%%MatrixMarket matrix coordinate "
                        "real|integer general|symmetric', found '%s'",
                        quoted(r));
    if (strcasecmp(word[0], "matrix"))
        return complain(r, r->number, "the file holds a '%s', not a matrix",
                        word[0]);
    if (strcasecmp(word[1], "coordinate"))
        return complain(r, r->number,
                        "only the coordinate format can be read, not '%s'",
                        word[1]);
    r->integer = !strcasecmp(word[2], "integer");
    if (!r->integer && strcasecmp(word[2], "real"))
        return complain(r, r->number,
                        "values must be real or integer, not '%s'", word[2]);
    r->symmetric = !strcasecmp(word[3], "symmetric");
    if (!r->symmetric && strcasecmp(word[3], "general"))
        return complain(r, r->number,
                        "a matrix must be general or symmetric, not '%s'",
                        word[3]);
    return 0;
}

/* Leaves the reader at the size line. */
static int
read_header(reader *r)
{
    int status = read_line(r);

    if (status > 0 && *r->line == '%' && is_banner(r->line)) {
        if (read_banner(r) < 0)
            return -1;
        r->plain = false;
        status = next_line(r);
    } else if (status > 0 && is_blank_or_comment(r->line)) {
        status = next_line(r);
    }
    if (!status)
        return complain(r, r->number + !r->number,
                        "the file ends before its size line");
    return status < 0 ? -1 : 0;
}

static int
read_sizes(reader *r, unsigned flags)
{
    char *cursor = r->line;
    long long rows, columns, entries;

    if (!scan_whole(&cursor, &rows) || !scan_whole(&cursor, &columns) ||
        !scan_whole(&cursor, &entries) || !at_end(cursor))
        return complain(r, r->number,
                        "expected the size line 'rows columns entries', "
                        "found '%s'",
                        quoted(r));
    if (rows != columns)
        return complain(r, r->number,
                        "the matrix has %lld rows and %lld columns, "
                        "but must be square",
                        rows, columns);
    if (rows < 1 || (unsigned long long)rows >= UINT32_MAX || entries < 0 ||
        (unsigned long long)entries > SIZE_MAX / sizeof(entry) / 4)
        return complain(r, r->number, "cannot hold %lld rows with %lld entries",
                        rows, entries);
    if ((flags & MATRIX_DIAGONAL) && entries < rows)
        return complain(r, r->number,
                        "%lld entries are too few for a diagonal of %lld",
                        entries, rows);
    r->n = (size_t)rows;
    r->announced = (size_t)entries;
    return 0;
}

static int
append(reader *r, size_t row, size_t column, double value)
{
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 1024;
        entry *list = realloc(r->list, room * sizeof *list);

        if (!list)
            return complain(r, r->number, "no memory for %zu entries", room);
        r->list = list;
        r->room = room;
    }
    r->list[r->count++] = (entry){.line = r->number,
                                  .row = (uint32_t)row,
                                  .column = (uint32_t)column,
                                  .value = value};
    return 0;
}

static int
add_entry(reader *r, long long row, long long column, double value)
{
    long long n = (long long)r->n;

    if (r->read == r->announced)
        return complain(r, r->number,
                        "more entries than the %zu of the size line",
                        r->announced);
    if (row < 1 || row > n || column < 1 || column > n)
        return complain(r, r->number,
                        "entry (%lld, %lld) lies outside of 1 .. %lld", row,
                        column, n);
    if (!isfinite(value))
        return complain(r, r->number,
                        "the value of entry (%lld, %lld) is not a finite "
                        "number",
                        row, column);
    if (r->symmetric && row < column)
        return complain(r, r->number,
                        "entry (%lld, %lld) lies above the diagonal, but a "
                        "symmetric file holds the lower triangle",
                        row, column);
    r->read++;
    if (append(r, (size_t)row - 1, (size_t)column - 1, value) < 0)
        return -1;
    if (r->symmetric && row != column)
        return append(r, (size_t)column - 1, (size_t)row - 1, value);
    return 0;
}

/* 1: an entry was read; 0: the plain form's closing line. */
static int
read_entry(reader *r)
{
    char *cursor = r->line;
    long long row, column;
    double value;

    if (!scan_whole(&cursor, &row) || !scan_whole(&cursor, &column) ||
        !scan_value(&cursor, r->integer, &value) || !at_end(cursor))
        return complain(r, r->number, "expected '%s', found '%s'",
                        r->integer ? "row column integer" : "row column value",
                        quoted(r));
    if (r->plain && row == 0 && column == 0 && value == 0)
        return 0;
    return add_entry(r, row, column, value) < 0 ? -1 : 1;
}

static int
read_entries(reader *r)
{
    int status;

    while ((status = next_line(r)) > 0 && (status = read_entry(r)) > 0)
        continue;
    if (status < 0)
        return -1;
    if (r->read < r->announced)
        return complain(r, r->number, "the entries end after %zu of %zu",
                        r->read, r->announced);
    if (feof(r->file))
        return 0;
    status = next_line(r);
    if (status > 0)
        return complain(r, r->number, "'%s' after the closing line", quoted(r));
    return status;
}

/* Sorts `from` into `to` by row, or by column, keeping the order of equals.
 * `place` has room for n + 1. */
static void
sort_entries(entry *to, const entry *from, size_t count, bool by_row,
             size_t *place, size_t n)
{
    memset(place, 0, (n + 1) * sizeof *place);
    for (size_t k = 0; k < count; k++)
        place[(by_row ? from[k].row : from[k].column) + 1]++;
    for (size_t i = 0; i < n; i++)
        place[i + 1] += place[i];
    for (size_t k = 0; k < count; k++)
        to[place[by_row ? from[k].row : from[k].column]++] = from[k];
}

/* Adds up entries of the same place; the last one's line stays. */
static int
merge_entries(reader *r)
{
    size_t kept = 0;

    for (size_t k = 0; k < r->count; k++) {
        entry *last = kept ? &r->list[kept - 1] : NULL, e = r->list[k];

        if (last && last->row == e.row && last->column == e.column) {
            e.value += last->value;
            kept--;
        }
        if (!isfinite(e.value))
            return complain(r, e.line,
                            "the values of entry (%zu, %zu) add up to more "
                            "than a double holds",
                            (size_t)e.row + 1, (size_t)e.column + 1);
        r->list[kept++] = e;
    }
    r->count = kept;
    return 0;
}

static int
check_diagonal(reader *r)
{
    size_t next = 0; /* the first row whose diagonal has not been met */

    for (size_t k = 0; k < r->count; k++) {
        const entry *e = &r->list[k];

        if (e->row != e->column)
            continue;
        if (e->row != next)
            break;
        if (e->value == 0)
            return complain(r, e->line, "the diagonal of row %zu is zero",
                            next + 1);
        next++;
    }
    if (next < r->n)
        return complain(r, r->number,
                        "the entries end and row %zu has none on the diagonal",
                        next + 1);
    return 0;
}

static int
allocate(matrix *m, size_t n, size_t entries, char *message)
{
    *m = (matrix){.n = n,
                  .entries = entries,
                  .start = calloc(n + 1, sizeof *m->start),
                  .column = calloc(entries + 1, sizeof *m->column),
                  .value = calloc(entries + 1, sizeof *m->value)};
    if (m->start && m->column && m->value)
        return 0;
    matrix_free(m);
    return say(message, "no memory for a matrix of %zu rows and %zu entries", n,
               entries);
}

/* Brings the list into the order of compressed rows. */
static int
order_entries(reader *r)
{
    size_t *place = malloc((r->n + 1) * sizeof *place);
    entry *other = malloc((r->count + 1) * sizeof *other);
    int status = -1;

    if (place && other) {
        sort_entries(other, r->list, r->count, false, place, r->n);
        sort_entries(r->list, other, r->count, true, place, r->n);
        status = 0;
    } else {
        say(r->message, "no memory to sort %zu entries", r->count);
    }
    free(place);
    free(other);
    return status;
}

static int
compress(reader *r, unsigned flags, matrix *m)
{
    if (order_entries(r) < 0 || merge_entries(r) < 0)
        return -1;
    if ((flags & MATRIX_DIAGONAL) && check_diagonal(r) < 0)
        return -1;
    if (allocate(m, r->n, r->count, r->message) < 0)
        return -1;
    for (size_t k = 0; k < r->count; k++) {
        m->start[r->list[k].row + 1]++;
        m->column[k] = r->list[k].column;
        m->value[k] = r->list[k].value;
    }
    for (size_t i = 0; i < m->n; i++)
        m->start[i + 1] += m->start[i];
    return 0;
}

int
matrix_read(matrix *m, const char *path, unsigned flags,
            char message[MATRIX_MESSAGE_MAX])
{
    reader r = {.path = path, .plain = true, .message = message};
    int status = -1;

    *m = (matrix){0};
    r.file = fopen(path, "r");
    if (!r.file)
        return say(message, "%.400s: %s", path, strerror(errno));
    if (read_header(&r) == 0 && read_sizes(&r, flags) == 0 &&
        read_entries(&r) == 0)
        status = compress(&r, flags, m);
    fclose(r.file);
    free(r.line);
    free(r.list);
    return status;
}

/* "NXxNY" or "NXxNYxNZ" into three lengths, the third perhaps 1. */
static int
parse_grid(const char *grid, size_t length[3], unsigned *dimensions)
{
    size_t n = 1;
    char *end;

    length[2] = 1;
    for (*dimensions = 0; *dimensions < 3; grid = end + 1) {
        unsigned long long parsed;

        if (!isdigit((unsigned char)*grid))
            return -1;
        parsed = strtoull(grid, &end, 10);
        if (parsed < 1 || parsed >= UINT32_MAX / n)
            return -1;
        n *= (size_t)parsed;
        length[(*dimensions)++] = (size_t)parsed;
        if (!*end)
            break;
        if (*end != 'x')
            return -1;
    }
    return *dimensions < 2 || *end ? -1 : 0;
}

/* Writes the row of grid point (at[0], at[1], at[2]). */
static void
poisson_row(matrix *m, size_t i, const size_t at[3], const size_t length[3],
            unsigned dimensions)
{
    const size_t step[3] = {1, length[0], length[0] * length[1]};
    size_t k = m->start[i];

    for (unsigned d = dimensions; d-- > 0;)
        if (at[d] > 0) {
            m->column[k] = (uint32_t)(i - step[d]);
            m->value[k++] = -1;
        }
    m->column[k] = (uint32_t)i;
    m->value[k++] = 2.0 * dimensions;
    for (unsigned d = 0; d < dimensions; d++)
        if (at[d] + 1 < length[d]) {
            m->column[k] = (uint32_t)(i + step[d]);
            m->value[k++] = -1;
        }
    m->start[i + 1] = k;
}

int
matrix_poisson(matrix *m, const char *grid, char message[MATRIX_MESSAGE_MAX])
{
    size_t length[3], at[3], n, i = 0;
    unsigned dimensions;

    *m = (matrix){0};
    if (parse_grid(grid, length, &dimensions) < 0)
        return say(message,
                   "'%.60s' is no grid: NXxNY or NXxNYxNZ, below 2^32 points",
                   grid);
    n = length[0] * length[1] * length[2];
    if (allocate(m, n, n * (2 * dimensions + 1), message) < 0)
        return -1;
    for (at[2] = 0; at[2] < length[2]; at[2]++)
        for (at[1] = 0; at[1] < length[1]; at[1]++)
            for (at[0] = 0; at[0] < length[0]; at[0]++)
                poisson_row(m, i++, at, length, dimensions);
    m->entries = m->start[n];
    return 0;
}

void
matrix_free(matrix *m)
{
    free(m->start);
    free(m->column);
    free(m->value);
    *m = (matrix){0};
}

/* The finalizer of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t
mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* In [0, 1), from the unordered pair and the seed alone. */
static double
uniform(size_t i, size_t j, uint64_t seed)
{
    uint64_t low = i < j ? i : j, high = i < j ? j : i;

    return (double)(mix(mix(seed + low * UINT64_C(0x9e3779b97f4a7c15)) ^
                        high) >>
                    11) *
           0x1p-53;
}

void
matrix_random_row(double *row, size_t n, size_t i, uint64_t seed)
{
    double sum = 0;

    for (size_t j = 0; j < n; j++) {
        row[j] = j == i ? 0 : 2 * uniform(i, j, seed) - 1;
        sum += fabs(row[j]);
    }
    row[i] = sum > 0 ? 1.05 * sum : 1;
}
