/* dsmctl export: an array of a live cluster, saved as a .npy file. */
#include "dsmctl.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Where the array is to be saved: `file`, or what it links to.  The library
 * renames a new file over the old one, which must never happen to a device. */
static int
check_target(const char *file, bool force, char resolved[PATH_MAX])
{
    struct stat status;

    if (!*file) {
        complain("the name of the file is empty");
        return EXIT_USAGE;
    }
    if (strlen(file) >= PATH_MAX) {
        complain("%s: %s", file, strerror(ENAMETOOLONG));
        return EXIT_FAILED;
    }
    strcpy(resolved, file);
    if (lstat(file, &status) < 0)
        return EXIT_OK; /* or saving will tell what is wrong */
    if (!force) {
        complain("%s exists; --force replaces it", file);
        return EXIT_FAILED;
    }
    if (stat(file, &status) == 0 && !S_ISREG(status.st_mode)) {
        complain("%s is not a regular file and is not replaced", file);
        return EXIT_FAILED;
    }
    if (!realpath(file, resolved)) { /* a link to nothing */
        complain("%s: %s", file, strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

struct array_search {
    const char *name;
    char path[sizeof((dsm_object_info *)0)->path];
};

static int
find_array(const dsm_object_info *info, void *arg)
{
    struct array_search *search = arg;

    if (info->kind != DSM_OBJECT_ARRAY || strcmp(info->name, search->name) != 0)
        return 0;
    memcpy(search->path, info->path, sizeof search->path);
    return 1;
}

/* Attaching failed: the owner is gone, or the addresses are taken here, or it
 * is in another container.  The array's file is whole nevertheless. */
static void
suggest_copy(const char *cluster, const char *array, const char *file)
{
    struct array_search search = {.name = array};

    if (dsm_cluster_objects(cluster, find_array, &search) > 0)
        complain("the array's own file is a .npy file that can be copied: "
                 "cp %s %s",
                 search.path, file);
}

static int
save_array(dsm_cluster *cluster, const char *name, const char *file)
{
    dsm_array *array;
    int error = dsm_array_open(&array, cluster, name, DSM_ANY);

    if (error >= 0)
        error = dsm_array_save(array, file);
    if (error >= 0)
        return EXIT_OK;
    complain_of(dsm_cluster_name(cluster), error);
    return EXIT_FAILED;
}

int
command_export(const struct request *request)
{
    const char *name = request->operands[0];
    const char *array = request->operands[1];
    const char *file = request->operands[2];
    char target[PATH_MAX];
    dsm_cluster *cluster;
    int code = check_target(file, has(request, OPTION_FORCE), target);
    int error;

    if (code != EXIT_OK)
        return code;
    error = dsm_cluster_attach(&cluster, name);
    if (error < 0) {
        complain_of(name, error);
        if (error != -ENOENT)
            suggest_copy(name, array, file);
        return EXIT_FAILED;
    }
    code = save_array(cluster, array, target);
    dsm_cluster_destroy(cluster);
    return code;
}
