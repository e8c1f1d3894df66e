/* dsmctl start and refresh: clusters that no program owns.
 *
 * The cluster is created by a child in a session of its own, with nothing of
 * the terminal and of other descriptors left, because the supervisor and the
 * workers inherit what it has.  It ends at once: the cluster is detached. */
#include "dsmctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* How it went, in memory that parent and child share: the supervisor would
 * inherit the end of a pipe. */
struct report {
    int error;
    char sentence[512];
};

static void
close_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory)))
        if (atoi(entry->d_name) > STDERR_FILENO &&
            atoi(entry->d_name) != dirfd(directory))
            close(atoi(entry->d_name));
    closedir(directory);
}

static int
leave_terminal(void)
{
    int fd;

    if (setsid() < 0)
        return -errno;
    close_descriptors();
    fd = open("/dev/null", O_RDWR);
    for (int k = STDIN_FILENO; k <= STDERR_FILENO; k++)
        if (fd < 0 || dup2(fd, k) < 0)
            return -errno;
    if (fd > STDERR_FILENO)
        close(fd);
    return 0;
}

static int
create(const char *name, unsigned workers, const dsm_cluster_options *given)
{
    dsm_cluster_options options = *given;
    dsm_cluster *cluster;
    int error = leave_terminal();

    if (error < 0)
        return error;
    options.name = name;
    options.detached = true;
    error = dsm_cluster_create(&cluster, workers, &options);
    if (error == 0)
        dsm_cluster_destroy(cluster); /* only lets go of it */
    return error;
}

static int
judge(const char *name, const struct report *report, int status)
{
    if (!WIFEXITED(status)) {
        complain("cluster '%s': the process that was to start it died of "
                 "signal %d",
                 name, WTERMSIG(status));
        return EXIT_FAILED;
    }
    if (report->error < 0) {
        complain("%s", *report->sentence ? report->sentence
                                         : dsm_strerror(report->error));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int
start(const char *name, unsigned workers, const dsm_cluster_options *options)
{
    struct report *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0, code;
    pid_t pid = report == MAP_FAILED ? -1 : fork();

    if (pid < 0) {
        complain("cluster '%s': %s", name, strerror(errno));
        return EXIT_FAILED;
    }
    if (pid == 0) {
        /* Not for the supervisor and the workers. */
        madvise(report, sizeof *report, MADV_DONTFORK);
        report->error = create(name, workers, options);
        snprintf(report->sentence, sizeof report->sentence, "%s",
                 dsm_last_error());
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    code = judge(name, report, status);
    munmap(report, sizeof *report);
    return code;
}

int
command_start(const struct request *request)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    unsigned workers = 0;

    if (!parse_number(request, OPTION_WORKERS, 1, DSM_WORKERS_MAX, &workers) ||
        !parse_number(request, OPTION_MAX_JOBS, 1, UINT_MAX, &options.max_jobs))
        return EXIT_USAGE;
    options.log = request->options[OPTION_LOG];
    return start(request->operands[0], workers, &options);
}

int
command_refresh(const struct request *request)
{
    const char *name = request->operands[0];
    dsm_cluster *cluster;
    int error = dsm_cluster_attach(&cluster, name);

    if (error == 0)
        error = dsm_cluster_refresh(cluster);
    if (error < 0)
        complain_of(name, error);
    dsm_cluster_destroy(cluster);
    return error < 0 ? EXIT_FAILED : EXIT_OK;
}
