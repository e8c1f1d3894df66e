/* What the parts of dsmctl share: the request, its messages, and the table in
 * which listings are printed. */
#ifndef DSMCTL_H
#define DSMCTL_H

#include <dsm.h>

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_STALE = 3, /* list --check and clean --dry-run found stale clusters */
    EXIT_LIVE = 4   /* refused, because the cluster is live */
};

/* ---- dsmctl.c: the command line. */

/* In the order of --help. */
enum request_option {
    OPTION_JSON,
    OPTION_OUTPUT,
    OPTION_NOHEADINGS,
    OPTION_BYTES,
    OPTION_CHECK,
    OPTION_DRY_RUN,
    OPTION_FORCE,
    OPTION_WORKERS,
    OPTION_LOG,
    OPTION_MAX_JOBS,
    OPTION_DELAY,
    OPTION_ONCE,
    OPTION_NAME,
    OPTION_RETRIES,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_COUNT
};

struct request {
    /* For each option NULL, or its argument, "" where it takes none. */
    const char *options[OPTION_COUNT];
    char **operands; /* what follows the command */
    int operand_count;
};

static inline bool
has(const struct request *request, enum request_option option)
{
    return request->options[option] != NULL;
}

/* Stores the number that an option has as its argument, if it was given. False:
 * it is none from `least` to `most`, and a message says so. */
bool parse_number(const struct request *request, enum request_option option,
                  unsigned least, unsigned most, unsigned *number);

/* One line on stderr, "dsmctl: " before it. */
void complain(const char *format, ...) DSM_PRINTF(1, 2);

/* The sentence about a libdsm call that returned `error`; `name` is the cluster
 * that it was about, or NULL. */
void complain_of(const char *name, int error);

/* Adds a name to a list for a message: "a, b". */
void append_name(char *list, size_t size, const char *name);

/* ---- The commands; each returns an exit code. */

int command_list(const struct request *request);
int command_delete(const struct request *request);
int command_clean(const struct request *request);
int command_export(const struct request *request);
int command_start(const struct request *request);
int command_stop(const struct request *request);
int command_refresh(const struct request *request);
int command_submit(const struct request *request);
int command_top(const struct request *request);

/* Their columns, for --help. */
void list_print_columns(void);
void top_print_columns(void);

/* ---- signals.c: signals that would end the program are held back. */

struct signals {
    int fd;     /* readable when one has come */
    int caught; /* the last one that was taken, or 0 */
    sigset_t old_mask;
};

void signals_hold(struct signals *signals);
/* Takes one that has come; false: there is none. */
bool signals_take(struct signals *signals);
/* The program then ends of the one that was caught. */
void signals_let_go(struct signals *signals);

/* ---- format.c: text for people.  What returns a char * allocates it; without
 * memory the program ends. */

char *format_text(const char *format, ...) DSM_PRINTF(1, 2);
char *format_size(uint64_t bytes);   /* "8.0M", as du -h */
char *format_age(double seconds);    /* "45s", "12m", "5h", "3d" */
char *format_time(double time_unix); /* ISO 8601, local time */

/* ---- table.c: libsmartcols. */

struct libscols_table;

struct column {
    const char *name;
    int flags; /* SCOLS_FL_... */
    int json;  /* SCOLS_JSON_... */
    const char *help;
};

#define TABLE_COLUMNS_MAX 32

/* A kind of listing. */
struct listing {
    const char *name; /* of the JSON array */
    const struct column *columns;
    size_t column_count;
    size_t default_count; /* so many, the first ones, without --output */
    /* The text of a cell, allocated, or NULL where there is none. */
    char *(*cell)(const struct request *request, size_t column,
                  const void *item);
};

struct table {
    const struct listing *listing;
    const struct request *request;
    struct libscols_table *scols;
    size_t column_count;
    size_t columns[TABLE_COLUMNS_MAX]; /* indices into listing->columns */
};

/* EXIT_OK, or EXIT_USAGE when --output names a column that there is not.  Each
 * table is to be freed, in either case. */
int table_init(struct table *table, const struct listing *listing,
               const struct request *request);
void table_add(struct table *table, const void *item);
int table_print(struct table *table);
/* What table_print would print, allocated; NULL after a message. */
char *table_text(struct table *table);
void table_free(struct table *table);

/* A cell's size: for people, or in JSON and with --bytes a plain number. */
char *table_size(const struct request *request, uint64_t bytes);

/* For --help. */
void table_print_columns(const struct listing *listing);

#endif
