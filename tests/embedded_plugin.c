/* Two halves of a program that does not know libdsm.  With -DPLUGIN: a plugin
 * that uses it.  Without: embedded_plugin NAME PLUGIN DIRECTORY, which opens
 * and closes the plugin, forks, and ends, whether or not the plugin has cleaned
 * up; and prints "done". */
#ifdef PLUGIN

#include <dsm.h>

int serve(const char *name, int tidy);

static int
add_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    int n = *(const int *)arg + 1;

    (void)arg_size;
    return dsm_worker_return(self, &n, sizeof n);
}

static int
fill(dsm_worker *self, const void *arg, size_t arg_size)
{
    int *x = dsm_array_data(dsm_worker_array(self, "X"));

    (void)arg, (void)arg_size;
    x[dsm_worker_id(self)] = 7;
    return 0;
}

int
serve(const char *name, int tidy)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;
    const int *result;
    dsm_job *job;
    int n = 41;

    options.name = name;
    if (dsm_cluster_create(&cluster, 2, &options) < 0 ||
        dsm_array_create(&array, cluster, "X", DSM_INT32, DSM_SHAPE(2)) < 0 ||
        dsm_cluster_run(cluster, fill, NULL, 0) < 0 ||
        ((int *)dsm_array_data(array))[1] != 7)
        return 1;
    if (dsm_job_submit(&job, cluster, add_one, &n, sizeof n, NULL) < 0 ||
        dsm_job_result(job, (const void **)&result, NULL, 20000) < 0 ||
        *result != 42)
        return 2;
    dsm_job_release(job);
    if (tidy)
        dsm_cluster_destroy(cluster);
    return 0;
}

#else

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
need(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

#define NEED(condition) need(condition, #condition)

static int
files_of(const char *name)
{
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    int n = 0;

    while (files && (file = readdir(files)))
        n += strstr(file->d_name, name) != NULL;
    if (files)
        closedir(files);
    return n;
}

static void
use_plugin(const char *path, const char *name, int tidy)
{
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol;
    int (*serve)(const char *, int);
    int status;
    pid_t child;

    if (!plugin)
        fprintf(stderr, "%s\n", dlerror());
    NEED(plugin != NULL);
    symbol = dlsym(plugin, "serve");
    memcpy(&serve, &symbol, sizeof symbol);
    NEED(serve(name, tidy) == 0);
    NEED(tidy == (files_of(name) == 0));
    NEED(dlclose(plugin) == 0);
    NEED(files_of(name) == 0);
    /* No handler of what is gone is called. */
    child = fork();
    if (child == 0)
        exit(5);
    NEED(waitpid(child, &status, 0) == child && status == W_EXITCODE(5, 0));
}

int
main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    for (int round = 0; round < 3; round++) {
        use_plugin(argv[2], argv[1], 1);
        use_plugin(argv[2], argv[1], 0);
    }
    NEED(dlopen(argv[2], RTLD_NOW | RTLD_NOLOAD) == NULL);
    puts("done");
    return 0;
}

#endif
