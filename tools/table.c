/* Listings, printed by libsmartcols as lsblk and lsipc print theirs: as a table
 * or as JSON, with the columns that --output names. */
#include "dsmctl.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int
unknown_column(const struct listing *listing, const char *name, size_t length)
{
    char known[256] = "";

    for (size_t i = 0; i < listing->column_count; i++)
        append_name(known, sizeof known, listing->columns[i].name);
    complain("unknown column '%.*s'; the columns of %s are %s", (int)length,
             name, listing->name, known);
    return EXIT_USAGE;
}

static int
choose_column(struct table *table, const char *name, size_t length)
{
    const struct listing *listing = table->listing;

    for (size_t i = 0; i < listing->column_count; i++) {
        const char *known = listing->columns[i].name;
        if (strlen(known) != length || strncasecmp(known, name, length) != 0)
            continue;
        if (table->column_count == TABLE_COLUMNS_MAX) {
            complain("more than %d columns", TABLE_COLUMNS_MAX);
            return EXIT_USAGE;
        }
        table->columns[table->column_count++] = i;
        return EXIT_OK;
    }
    return unknown_column(listing, name, length);
}

/* Understands NAME,NAME and +NAME,NAME, which adds to the usual ones. */
static int
choose_columns(struct table *table)
{
    const char *text = table->request->options[OPTION_OUTPUT];

    if (!text || *text == '+')
        for (size_t i = 0; i < table->listing->default_count; i++)
            table->columns[table->column_count++] = i;
    if (!text)
        return EXIT_OK;
    if (*text == '+')
        text++;
    for (;;) {
        size_t length = strcspn(text, ",");
        int code = choose_column(table, text, length);
        if (code != EXIT_OK)
            return code;
        if (text[length] == '\0')
            return EXIT_OK;
        text += length + 1;
    }
}

static void
out_of_memory(void)
{
    complain("out of memory");
    exit(EXIT_FAILED);
}

static void
make_column(struct table *table, const struct column *column)
{
    struct libscols_column *made =
        scols_table_new_column(table->scols, column->name, 0, column->flags);

    if (!made || scols_column_set_json_type(made, column->json) < 0)
        out_of_memory();
}

int
table_init(struct table *table, const struct listing *listing,
           const struct request *request)
{
    int code;

    *table = (struct table){.listing = listing, .request = request};
    code = choose_columns(table);
    if (code != EXIT_OK)
        return code;
    table->scols = scols_new_table();
    if (!table->scols || scols_table_set_name(table->scols, listing->name) < 0)
        out_of_memory();
    scols_table_enable_json(table->scols, has(request, OPTION_JSON));
    scols_table_enable_noheadings(table->scols,
                                  has(request, OPTION_NOHEADINGS));
    for (size_t i = 0; i < table->column_count; i++)
        make_column(table, &listing->columns[table->columns[i]]);
    return EXIT_OK;
}

void
table_add(struct table *table, const void *item)
{
    struct libscols_line *line = scols_table_new_line(table->scols, NULL);

    if (!line)
        out_of_memory();
    for (size_t i = 0; i < table->column_count; i++) {
        char *text =
            table->listing->cell(table->request, table->columns[i], item);
        /* The line frees the text. */
        if (text && scols_line_refer_data(line, i, text) < 0)
            out_of_memory();
    }
}

int
table_print(struct table *table)
{
    int error = scols_print_table(table->scols);

    if (error == 0)
        return EXIT_OK;
    complain("cannot print the table: %s", strerror(-error));
    return EXIT_FAILED;
}

char *
table_text(struct table *table)
{
    char *text = NULL, *lines;
    int error = scols_print_table_to_string(table->scols, &text);

    if (error < 0) {
        complain("cannot make the table: %s", strerror(-error));
        return NULL;
    }
    /* The last line comes without its end. */
    lines = format_text("%s%s", text ? text : "", text && *text ? "\n" : "");
    free(text);
    return lines;
}

void
table_free(struct table *table)
{
    scols_unref_table(table->scols);
}

char *
table_size(const struct request *request, uint64_t bytes)
{
    if (has(request, OPTION_JSON) || has(request, OPTION_BYTES))
        return format_text("%" PRIu64, bytes);
    return format_size(bytes);
}

void
table_print_columns(const struct listing *listing)
{
    printf("\nColumns of %s (the first %zu are usual):\n", listing->name,
           listing->default_count);
    for (size_t i = 0; i < listing->column_count; i++)
        printf(" %-10s  %s\n", listing->columns[i].name,
               listing->columns[i].help);
}
