/* dsmctl top: what the workers of clusters do, as a live view or once. */
#include "top.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum worker_column {
    WORKER_CLUSTER,
    WORKER_ID,
    WORKER_PID,
    WORKER_STATE,
    WORKER_BUSY,
    WORKER_BARRIER,
    WORKER_JOBS,
    WORKER_RATE,
    WORKER_DEATHS,
    WORKER_MEMORY,
    WORKER_WORK,
    WORKER_MEAN,
    WORKER_WORST
};

static const struct column worker_columns[] = {
    [WORKER_CLUSTER] = {"CLUSTER", 0, SCOLS_JSON_STRING, "name of the cluster"},
    [WORKER_ID] = {"WORKER", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                   "number of the worker"},
    [WORKER_PID] = {"PID", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER, "its process"},
    [WORKER_STATE] = {"STATE", 0, SCOLS_JSON_STRING,
                      "starting, idle, running or dead"},
    [WORKER_BUSY] = {"BUSY", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                     "per cent of the time in regions and jobs"},
    [WORKER_BARRIER] = {"BARRIER", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                        "per cent of the time waiting at barriers"},
    [WORKER_JOBS] = {"JOBS", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                     "jobs that it has run"},
    [WORKER_RATE] = {"RATE", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                     "jobs a second"},
    [WORKER_DEATHS] = {"DEATHS", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                       "how often it died"},
    [WORKER_MEMORY] = {"MEMORY", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                       "resident memory of its own, without arrays"},
    [WORKER_WORK] = {"WORK", 0, SCOLS_JSON_STRING,
                     "the region or job that it runs"},
    [WORKER_MEAN] = {"MEAN", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                     "average seconds of its jobs"},
    [WORKER_WORST] = {"WORST", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                      "seconds of its longest job"},
};

static const char *
state_name(dsm_worker_state state)
{
    switch (state) {
    case DSM_WORKER_STARTING:
        return "starting";
    case DSM_WORKER_IDLE:
        return "idle";
    case DSM_WORKER_RUNNING:
        return "running";
    case DSM_WORKER_DEAD:
        return "dead";
    }
    return "?";
}

/* For programs 12.5, for people 12%. */
static char *
percent_cell(const struct request *request, const struct row *row, double part)
{
    if (!row->measured)
        return NULL;
    if (has(request, OPTION_JSON))
        return format_text("%.1f", 100 * part);
    return format_text("%.0f%%", 100 * part);
}

static char *
rate_cell(const struct row *row)
{
    if (!row->measured)
        return NULL;
    return format_text("%.*f", row->rate < 1000 ? 1 : 0, row->rate);
}

/* What a worker has and a sum has not. */
static char *
single_cell(size_t column, const struct row *row)
{
    if (row->sum)
        return column == WORKER_ID ? format_text("all") : NULL;
    if (column == WORKER_ID)
        return format_text("%u", row->id);
    if (column == WORKER_PID)
        return row->pid > 0 ? format_text("%ld", (long)row->pid) : NULL;
    if (column == WORKER_STATE)
        return format_text("%s", state_name(row->state));
    return *row->work ? format_text("%s", row->work) : NULL;
}

static char *
worker_cell(const struct request *request, size_t column, const void *item)
{
    const struct row *row = item;

    switch ((enum worker_column)column) {
    case WORKER_CLUSTER:
        return format_text("%s", row->cluster);
    case WORKER_ID:
    case WORKER_PID:
    case WORKER_STATE:
    case WORKER_WORK:
        return single_cell(column, row);
    case WORKER_BUSY:
        return percent_cell(request, row, row->busy);
    case WORKER_BARRIER:
        return percent_cell(request, row, row->barrier);
    case WORKER_JOBS:
        return format_text("%" PRIu64, row->jobs);
    case WORKER_RATE:
        return rate_cell(row);
    case WORKER_DEATHS:
        return format_text("%" PRIu64, row->deaths);
    case WORKER_MEMORY:
        return table_size(request, row->memory);
    case WORKER_MEAN:
        return format_text("%.6f", row->mean);
    case WORKER_WORST:
        return format_text("%.6f", row->worst);
    }
    return NULL;
}

static const struct listing workers = {
    .name = "workers",
    .columns = worker_columns,
    .column_count = sizeof worker_columns / sizeof *worker_columns,
    .default_count = WORKER_WORK + 1,
    .cell = worker_cell,
};

void
top_print_columns(void)
{
    table_print_columns(&workers);
}

/* ---- The table. */

static void
add_rows(struct table *table, const struct watch_list *list)
{
    const struct request *request = table->request;
    bool sum = !has(request, OPTION_JSON) && !has(request, OPTION_NOHEADINGS);

    for (size_t k = 0; k < list->count; k++) {
        const struct watch *watch = &list->watches[k];
        for (unsigned id = 0; id < watch->info.workers; id++)
            if (!*watch->trouble)
                table_add(table, &watch->rows[id]);
        if (sum && !*watch->trouble)
            table_add(table, &watch->rows[watch->info.workers]);
    }
}

char *
top_text(const struct request *request, const struct watch_list *list)
{
    struct table table;
    char *text = NULL, *more;

    if (table_init(&table, &workers, request) == EXIT_OK) {
        add_rows(&table, list);
        text = table_text(&table);
    }
    table_free(&table);
    for (size_t k = 0; text && k < list->count; k++) {
        if (!*list->watches[k].trouble)
            continue;
        more = format_text("%s%s\n", text, list->watches[k].trouble);
        free(text);
        text = more;
    }
    return text;
}

/* ---- Once. */

/* Rates come of two readings. */
static int
read_twice(struct watch_list *list, double delay)
{
    struct timespec rest = {.tv_sec = (time_t)delay};
    int error;

    rest.tv_nsec = (long)(1e9 * (delay - (double)rest.tv_sec));
    nanosleep(&rest, NULL);
    error = watch_update(list);
    if (error == 0)
        return EXIT_OK;
    complain_of(list->name, error);
    return EXIT_FAILED;
}

static int
complain_of_trouble(const struct watch_list *list)
{
    int code = EXIT_OK;

    for (size_t k = 0; k < list->count; k++)
        if (*list->watches[k].trouble) {
            complain("%s", list->watches[k].trouble);
            code = EXIT_FAILED;
        }
    return code;
}

static int
print_once(const struct request *request, struct watch_list *list, double delay)
{
    struct table table;
    int code = table_init(&table, &workers, request);

    if (code == EXIT_OK)
        code = read_twice(list, delay);
    if (code == EXIT_OK) {
        add_rows(&table, list);
        code = table_print(&table);
    }
    table_free(&table);
    if (code == EXIT_OK)
        code = complain_of_trouble(list);
    if (code == EXIT_OK && list->name && list->count == 0)
        complain("cluster '%s' has ended", list->name);
    return code;
}

/* ---- The command. */

static int
parse_delay(const char *text, double *delay)
{
    char *end;

    if (!text)
        return EXIT_OK;
    *delay = strtod(text, &end);
    if (end != text && *end == '\0' && *delay >= 0.1 && *delay <= 86400)
        return EXIT_OK;
    complain("option --delay needs seconds from 0.1 to 86400, not '%s'", text);
    return EXIT_USAGE;
}

static int
show(const struct request *request, struct watch_list *list, double delay)
{
    int error = watch_update(list);

    if (error < 0) {
        complain_of(list->name, error);
        return EXIT_FAILED;
    }
    if (list->name && list->count == 0) {
        complain("there is no live cluster '%s'", list->name);
        return EXIT_FAILED;
    }
    if (list->name && *list->watches[0].trouble) {
        complain("%s", list->watches[0].trouble);
        return EXIT_FAILED;
    }
    if (has(request, OPTION_ONCE) || has(request, OPTION_JSON))
        return print_once(request, list, delay);
    return screen_run(request, list, delay);
}

int
command_top(const struct request *request)
{
    struct watch_list list = {
        .name = request->operand_count > 0 ? request->operands[0] : NULL};
    double delay = 1;
    int code = parse_delay(request->options[OPTION_DELAY], &delay);

    if (code == EXIT_OK)
        code = show(request, &list, delay);
    watch_free(&list);
    return code;
}
