/* dsmctl list: this user's clusters, or the objects of one. */
#include "dsmctl.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- Clusters. */

enum cluster_column {
    CLUSTER_NAME,
    CLUSTER_STATE,
    CLUSTER_OWNER,
    CLUSTER_WORKERS,
    CLUSTER_OBJECTS,
    CLUSTER_SIZE,
    CLUSTER_AGE,
    CLUSTER_PROGRAM,
    CLUSTER_CREATED,
    CLUSTER_DIRECTORY
};

static const struct column cluster_columns[] = {
    [CLUSTER_NAME] = {"NAME", 0, SCOLS_JSON_STRING, "name of the cluster"},
    [CLUSTER_STATE] = {"STATE", 0, SCOLS_JSON_STRING,
                       "live, stale (its owner is gone), or foreign (of "
                       "another version)"},
    [CLUSTER_OWNER] = {"OWNER", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                       "process that created it"},
    [CLUSTER_WORKERS] = {"WORKERS", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                         "number of worker processes"},
    [CLUSTER_OBJECTS] = {"OBJECTS", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                         "number of named objects"},
    [CLUSTER_SIZE] = {"SIZE", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                      "memory of its arrays and its control segment"},
    [CLUSTER_AGE] = {"AGE", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                     "time since it was created"},
    [CLUSTER_PROGRAM] = {"PROGRAM", SCOLS_FL_TRUNC, SCOLS_JSON_STRING,
                         "program that created it"},
    [CLUSTER_CREATED] = {"CREATED", 0, SCOLS_JSON_STRING,
                         "when it was created"},
    [CLUSTER_DIRECTORY] = {"DIRECTORY", SCOLS_FL_TRUNC, SCOLS_JSON_STRING,
                           "where its arrays lie"},
};

static const char *
state_name(dsm_cluster_state state)
{
    switch (state) {
    case DSM_CLUSTER_LIVE:
        return "live";
    case DSM_CLUSTER_STALE:
        return "stale";
    case DSM_CLUSTER_FOREIGN:
        return "foreign";
    }
    return "?";
}

/* In JSON ages are for programs: seconds. */
static char *
age_cell(const struct request *request, double seconds)
{
    if (has(request, OPTION_JSON))
        return format_text("%.3f", seconds);
    return format_age(seconds);
}

static char *
cluster_cell(const struct request *request, size_t column, const void *item)
{
    const dsm_cluster_info *info = item;

    /* Of a foreign one only these three are known. */
    if (info->state == DSM_CLUSTER_FOREIGN && column != CLUSTER_NAME &&
        column != CLUSTER_STATE && column != CLUSTER_SIZE)
        return NULL;
    switch ((enum cluster_column)column) {
    case CLUSTER_NAME:
        return format_text("%s", info->name);
    case CLUSTER_STATE:
        return format_text("%s", state_name(info->state));
    case CLUSTER_OWNER:
        return format_text("%ld", (long)info->owner);
    case CLUSTER_WORKERS:
        return format_text("%u", info->workers);
    case CLUSTER_OBJECTS:
        return format_text("%u", info->objects);
    case CLUSTER_SIZE:
        return table_size(request, info->bytes);
    case CLUSTER_AGE:
        return age_cell(request, info->age);
    case CLUSTER_PROGRAM:
        return format_text("%s", info->program);
    case CLUSTER_CREATED:
        return format_time((double)time(NULL) - info->age);
    case CLUSTER_DIRECTORY:
        return format_text("%s", info->directory);
    }
    return NULL;
}

static const struct listing clusters = {
    .name = "clusters",
    .columns = cluster_columns,
    .column_count = sizeof cluster_columns / sizeof *cluster_columns,
    .default_count = CLUSTER_PROGRAM + 1,
    .cell = cluster_cell,
};

/* ---- Objects. */

enum object_column {
    OBJECT_NAME,
    OBJECT_KIND,
    OBJECT_TYPE,
    OBJECT_SHAPE,
    OBJECT_SIZE,
    OBJECT_PATH
};

/* An array of numbers goes through libsmartcols as a number does, unquoted: its
 * own type for arrays came only with 2.36. */
static const struct column object_columns[] = {
    [OBJECT_NAME] = {"NAME", 0, SCOLS_JSON_STRING, "name of the object"},
    [OBJECT_KIND] = {"KIND", 0, SCOLS_JSON_STRING,
                     "array, lock, barrier or queue"},
    [OBJECT_TYPE] = {"TYPE", 0, SCOLS_JSON_STRING, "type of an array's items"},
    [OBJECT_SHAPE] = {"SHAPE", 0, SCOLS_JSON_NUMBER,
                      "lengths of an array's dimensions; () for a scalar"},
    [OBJECT_SIZE] = {"SIZE", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER,
                     "memory that it takes"},
    [OBJECT_PATH] = {"PATH", 0, SCOLS_JSON_STRING,
                     "an array's file, which numpy.load opens"},
};

static const char *
kind_name(dsm_object_kind kind)
{
    switch (kind) {
    case DSM_OBJECT_ARRAY:
        return "array";
    case DSM_OBJECT_LOCK:
        return "lock";
    case DSM_OBJECT_BARRIER:
        return "barrier";
    case DSM_OBJECT_QUEUE:
        return "queue";
    }
    return "?";
}

/* "3x4", or in JSON "[3, 4]". */
static char *
shape_cell(const struct request *request, const dsm_object_info *info)
{
    bool json = has(request, OPTION_JSON);
    char text[DSM_NDIM_MAX * 24 + 4] = "";
    size_t used = 0;

    if (info->ndim == 0 && !json)
        return format_text("()");
    for (unsigned i = 0; i < info->ndim && i < DSM_NDIM_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu",
                                 i == 0 ? ""
                                 : json ? ", "
                                        : "x",
                                 info->shape[i]);
    return json ? format_text("[%s]", text) : format_text("%s", text);
}

static char *
object_cell(const struct request *request, size_t column, const void *item)
{
    const dsm_object_info *info = item;
    bool array = info->kind == DSM_OBJECT_ARRAY;

    switch ((enum object_column)column) {
    case OBJECT_NAME:
        return format_text("%s", info->name);
    case OBJECT_KIND:
        return format_text("%s", kind_name(info->kind));
    case OBJECT_TYPE:
        return array ? format_text("%s", dsm_type_name(info->type)) : NULL;
    case OBJECT_SHAPE:
        return array ? shape_cell(request, info) : NULL;
    case OBJECT_SIZE:
        return table_size(request, info->bytes);
    case OBJECT_PATH:
        return array ? format_text("%s", info->path) : NULL;
    }
    return NULL;
}

static const struct listing objects = {
    .name = "objects",
    .columns = object_columns,
    .column_count = sizeof object_columns / sizeof *object_columns,
    .default_count = OBJECT_SIZE + 1,
    .cell = object_cell,
};

/* ---- The command. */

struct cluster_walk {
    struct table *table; /* NULL: count only */
    const char *name;    /* look at this one alone, or NULL */
    size_t stale;
};

static int
visit_cluster(const dsm_cluster_info *info, void *arg)
{
    struct cluster_walk *walk = arg;

    if (walk->name && strcmp(walk->name, info->name) != 0)
        return 0;
    if (info->state == DSM_CLUSTER_STALE)
        walk->stale++;
    if (walk->table)
        table_add(walk->table, info);
    return 0;
}

static int
visit_object(const dsm_object_info *info, void *arg)
{
    table_add(arg, info);
    return 0;
}

static int
walk_clusters(struct cluster_walk *walk)
{
    int error = dsm_cluster_list(visit_cluster, walk);

    if (error >= 0)
        return EXIT_OK;
    complain_of(walk->name, error);
    return EXIT_FAILED;
}

static int
walk_objects(struct table *table, const char *name)
{
    int error = dsm_cluster_objects(name, visit_object, table);

    if (error >= 0)
        return EXIT_OK;
    complain_of(name, error);
    return EXIT_FAILED;
}

int
command_list(const struct request *request)
{
    const char *name = request->operand_count > 0 ? request->operands[0] : NULL;
    struct table table;
    struct cluster_walk walk = {.name = name};
    int code = table_init(&table, name ? &objects : &clusters, request);

    if (!name)
        walk.table = &table;
    if (code == EXIT_OK && name)
        code = walk_objects(&table, name);
    if (code == EXIT_OK && (!name || has(request, OPTION_CHECK)))
        code = walk_clusters(&walk);
    if (code == EXIT_OK)
        code = table_print(&table);
    table_free(&table);
    if (code == EXIT_OK && has(request, OPTION_CHECK) && walk.stale > 0)
        return EXIT_STALE;
    return code;
}

void
list_print_columns(void)
{
    table_print_columns(&clusters);
    table_print_columns(&objects);
}
