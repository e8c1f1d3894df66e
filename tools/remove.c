/* dsmctl delete, clean and stop: taking clusters away. */
#include "dsmctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
delete_cluster(const char *name, bool force)
{
    int error = dsm_cluster_remove(name, force);

    if (error >= 0)
        return EXIT_OK;
    if (error == -EBUSY && !force) {
        complain("cluster '%s' is live and was left alone; --force stops it "
                 "and removes it",
                 name);
        return EXIT_LIVE;
    }
    complain_of(name, error);
    return EXIT_FAILED;
}

int
command_delete(const struct request *request)
{
    int code = EXIT_OK;

    for (int i = 0; i < request->operand_count; i++) {
        int result =
            delete_cluster(request->operands[i], has(request, OPTION_FORCE));
        /* A failure says more than a refusal. */
        if (result == EXIT_FAILED || code == EXIT_OK)
            code = result;
    }
    return code;
}

struct dead_clusters {
    dsm_cluster_info *infos;
    size_t count;
};

static int
collect_dead(const dsm_cluster_info *info, void *arg)
{
    struct dead_clusters *dead = arg;
    dsm_cluster_info *grown;

    if (info->state != DSM_CLUSTER_STALE)
        return 0;
    grown = realloc(dead->infos, (dead->count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    dead->infos = grown;
    dead->infos[dead->count++] = *info;
    return 0;
}

static void
print_dead(const char *what, const dsm_cluster_info *info)
{
    char *size = format_size(info->bytes);

    printf("%s %s (%s)\n", what, info->name, size);
    free(size);
}

/* Between the listing and now another sweep may have taken it away, or a new
 * cluster may have its name: both are what was wanted. */
static int
clean_cluster(const dsm_cluster_info *info)
{
    int error = dsm_cluster_remove(info->name, false);

    if (error >= 0) {
        print_dead("removed", info);
        return EXIT_OK;
    }
    if (error == -ENOENT)
        return EXIT_OK;
    if (error == -EBUSY) {
        complain("cluster '%s' is in use and was left alone", info->name);
        return EXIT_OK;
    }
    complain_of(info->name, error);
    return EXIT_FAILED;
}

static int
clean_all(const struct dead_clusters *dead, bool dry_run)
{
    int code = EXIT_OK;

    for (size_t i = 0; i < dead->count; i++) {
        if (dry_run) {
            print_dead("would remove", &dead->infos[i]);
            code = EXIT_STALE;
        } else if (clean_cluster(&dead->infos[i]) != EXIT_OK) {
            code = EXIT_FAILED;
        }
    }
    return code;
}

int
command_clean(const struct request *request)
{
    struct dead_clusters dead = {0};
    int code = EXIT_FAILED;
    int error = dsm_cluster_list(collect_dead, &dead);

    if (error < 0)
        complain_of(NULL, error);
    else
        code = clean_all(&dead, has(request, OPTION_DRY_RUN));
    free(dead.infos);
    return code;
}

static int
find_dead(const dsm_cluster_info *info, void *arg)
{
    return strcmp(info->name, arg) == 0 && info->state != DSM_CLUSTER_LIVE;
}

static int
stop_cluster(char *name)
{
    int error = dsm_cluster_list(find_dead, name);

    if (error > 0) {
        complain("cluster '%s' does not live; 'dsmctl delete %s' removes it",
                 name, name);
        return EXIT_FAILED;
    }
    if (error == 0)
        error = dsm_cluster_remove(name, true);
    if (error == 0)
        return EXIT_OK;
    complain_of(name, error);
    return EXIT_FAILED;
}

int
command_stop(const struct request *request)
{
    int code = EXIT_OK;

    for (int i = 0; i < request->operand_count; i++)
        if (stop_cluster(request->operands[i]) != EXIT_OK)
            code = EXIT_FAILED;
    return code;
}
