/* Checking and taking over what the user asked for; see options.h. */
#include "cluster/options.h"

#include "base/error.h"
#include "base/versioned.h"
#include "os/cpu.h"
#include "os/process.h"
#include "shm/name.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ADDRESS_SPACE ((size_t)1 << 40)
#define GRACE_MS 1000

int
dsm__options_workers(unsigned *workers)
{
    const char *text = secure_getenv("DSM_WORKERS");
    unsigned long n;
    char *end;

    if (*workers == 0 && text && *text) {
        errno = 0;
        n = strtoul(text, &end, 10);
        if (errno || *end || !isdigit((unsigned char)*text) || n < 1 ||
            n > DSM_WORKERS_MAX)
            return dsm__fail(-EINVAL, "DSM_WORKERS=%.40s: not 1 to %d", text,
                             DSM_WORKERS_MAX);
        *workers = (unsigned)n;
    }
    if (*workers == 0)
        *workers = dsm__cpu_count();
    if (*workers > DSM_WORKERS_MAX)
        return dsm__fail(-EINVAL, "%u workers: at most %d are possible",
                         *workers, DSM_WORKERS_MAX);
    return 0;
}

static int
check_options(dsm_cluster_options *options)
{
    if (options->name) {
        int error = dsm__name_check("a cluster", options->name);

        if (error)
            return error;
    }
    if (options->bind > DSM_BIND_NUMA)
        return dsm__fail(-EINVAL, "options.bind: there is no kind %d",
                         (int)options->bind);
    if (options->grace_ms < 0)
        return dsm__fail(-EINVAL, "options.grace_ms is negative");
    if (options->detached && options->controller_works)
        return dsm__fail(-EINVAL, "options.detached: a controller that works "
                                  "cannot leave its cluster");
    if (options->setup_arg_size && !options->setup_arg)
        return dsm__fail(-EINVAL, "options.setup_arg is NULL but its size %zu",
                         options->setup_arg_size);
    if (options->max_jobs > DSM_JOBS_MAX)
        return dsm__fail(-EINVAL,
                         "options.max_jobs: %u, at most %d are possible",
                         options->max_jobs, DSM_JOBS_MAX);
    if (options->grace_ms == 0)
        options->grace_ms = GRACE_MS;
    if (options->address_space == 0)
        options->address_space = ADDRESS_SPACE;
    if (options->max_jobs == 0)
        options->max_jobs = DSM_JOBS_DEFAULT;
    return 0;
}

int
dsm__options_take(dsm_cluster *cluster, const dsm_cluster_options *given)
{
    dsm_cluster_options *options = &cluster->options;
    int error = 0;

    if (given)
        error = dsm__versioned_copy(options, sizeof *options, given,
                                    "DSM_CLUSTER_OPTIONS_INIT");
    if (!error)
        error = check_options(options);
    if (error)
        return error;
    cluster->setup_arg = (void *)(uintptr_t)options->setup_arg;
    if (options->setup_arg_size) {
        cluster->setup_arg = malloc(options->setup_arg_size);
        if (!cluster->setup_arg)
            return dsm__fail_errno("no memory for options.setup_arg");
        memcpy(cluster->setup_arg, options->setup_arg, options->setup_arg_size);
    }
    if (!options->log)
        return 0;
    cluster->log = dsm__open(options->log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    return cluster->log < 0 ? dsm__fail_errno("options.log %s", options->log)
                            : 0;
}

int
dsm__options_directory(char *directory, const char *given)
{
    struct stat status;
    char *real;

    if (!given)
        given = DSM__SHM_DIRECTORY;
    real = realpath(given, NULL);
    if (!real)
        return dsm__fail_errno("options.directory %s", given);
    if (stat(real, &status) < 0) {
        int error = dsm__fail_errno("options.directory %s", given);

        free(real);
        return error;
    }
    if (!S_ISDIR(status.st_mode)) {
        free(real);
        return dsm__fail(-ENOTDIR, "options.directory %s is no directory",
                         given);
    }
    if (strlen(real) > DSM__DIRECTORY_MAX) {
        free(real);
        return dsm__fail(-ENAMETOOLONG, "options.directory %s is too long",
                         given);
    }
    strcpy(directory, real);
    free(real);
    return 0;
}

void
dsm__options_place(dsm_cluster *cluster, unsigned workers)
{
    dsm_bind bind = cluster->options.bind;
    bool numa = dsm__cpu_numa();

    if (!numa && (bind == DSM_BIND_NONE || bind == DSM_BIND_AUTO))
        return;
    cluster->places = calloc(workers, sizeof *cluster->places);
    if (!cluster->places ||
        !dsm__cpu_places(cluster->places, workers, bind != DSM_BIND_CORE)) {
        free(cluster->places);
        cluster->places = NULL;
    }
}
