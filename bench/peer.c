/* Starting peers, and being one: see peer.h. */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_BROKEN = 2, TIME_LIMIT_S = 60, ARGUMENTS_MAX = 16 };

extern char **environ;

/* ---- What a peer is started with. */

/* This process's environment without what steers an OpenMP runtime, and with
 * the wait policy asked for.  To be freed; the strings are borrowed. */
static char **
peer_environment(char *wait_policy)
{
    static const char *const steering[] = {"OMP_", "GOMP_", "KMP_"};
    size_t n = 0, kept = 0;
    while (environ[n] != NULL)
        n++;
    char **environment = calloc(n + 2, sizeof *environment);
    if (environment == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        bool steers = false;
        for (size_t s = 0; s < sizeof steering / sizeof *steering; s++)
            steers |=
                strncmp(environ[i], steering[s], strlen(steering[s])) == 0;
        if (!steers)
            environment[kept++] = environ[i];
    }
    environment[kept] = wait_policy;
    return environment;
}

/* A command line, whose strings lie in `text`. */
struct command {
    char *argv[ARGUMENTS_MAX];
    unsigned argc;
    char text[2 * PATH_MAX];
    size_t used;
    char program[PATH_MAX]; /* the peer itself, whoever starts it */
};

static void append(struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
append(struct command *command, const char *format, ...)
{
    va_list values;
    char *argument = command->text + command->used;
    size_t room = sizeof command->text - command->used;
    va_start(values, format);
    int length = vsnprintf(argument, room, format, values);
    va_end(values);
    if (length < 0 || (size_t)length >= room ||
        command->argc + 1 >= ARGUMENTS_MAX)
        return;
    command->argv[command->argc++] = argument;
    command->used += (size_t)length + 1;
}

/* Where the program of that kind is; PEER_PYTHON's is part of the source. */
static void
locate(enum peer_program program, char path[PATH_MAX])
{
    static const char *const names[PEER_PROGRAMS] = {[PEER_BLAS] = "peer_blas",
                                                     [PEER_TBB] = "peer_tbb",
                                                     [PEER_MPI] = "peer_mpi"};
    char self[PATH_MAX / 2] = "";
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        length = 0;
    self[length] = '\0';
    if (program == PEER_SELF)
        snprintf(path, PATH_MAX, "%s", self);
    else if (program == PEER_PYTHON)
        snprintf(path, PATH_MAX, "%s/bench/peer_python.py", BENCH_SRCDIR);
    else
        snprintf(path, PATH_MAX, "%s/%s", dirname(self), names[program]);
}

static void
compose(struct command *command, const struct peer_call *call, long count,
        size_t size)
{
    unsigned parties = call->parties > 0 ? call->parties : measure_cpus();
    locate(call->program, command->program);
    if (call->program == PEER_MPI) {
        /* --allow-run-as-root is for containers, --oversubscribe for more
         * parties than cores. */
        append(command, "mpirun");
        append(command, "--allow-run-as-root");
        append(command, "--oversubscribe");
        append(command, "-n");
        append(command, "%u", parties);
    } else if (call->program == PEER_PYTHON) {
        append(command, "%s", BENCH_PYTHON);
    }
    append(command, "%s", command->program);
    append(command, "--peer");
    append(command, "%s", call->name);
    append(command, "%u", parties);
    append(command, "%ld", count);
    append(command, "%zu", size);
}

/* Starts it with its stdout in *output.  0 or errno. */
static int
start(const struct command *command, char **environment, pid_t *pid,
      int *output)
{
    int ends[2];
    if (access(command->program, R_OK) != 0 || pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int error = posix_spawnp(pid, command->argv[0], &actions, NULL,
                             command->argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0)
        close(ends[0]);
    *output = ends[0];
    return error;
}

static int
start_peer(const struct peer_call *call, long count, size_t size, pid_t *pid,
           int *output)
{
    struct command command = {.argc = 0};
    char policy[48];
    compose(&command, call, count, size);
    if (call->wait_policy != NULL)
        snprintf(policy, sizeof policy, "OMP_WAIT_POLICY=%s",
                 call->wait_policy);
    char **environment =
        peer_environment(call->wait_policy != NULL ? policy : NULL);
    if (environment == NULL)
        return ENOMEM;
    int error = start(&command, environment, pid, output);
    free(environment);
    return error;
}

/* ---- What it answers. */

/* Reads the one number that a peer prints; NAN if it prints none. */
static double
read_number(int fd)
{
    char text[64];
    size_t length = 0;
    ssize_t got;
    while (length < sizeof text - 1 &&
           (got = read(fd, text + length, sizeof text - 1 - length)) != 0) {
        if (got > 0)
            length += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    text[length] = '\0';
    char *end;
    double number = strtod(text, &end);
    return end == text ? NAN : number;
}

int
measure_peer(const struct figure *figure, long count, double *ns)
{
    const struct peer_call *call = figure->detail;
    pid_t pid;
    int output, status = 0;
    int error = start_peer(call, count, figure->size, &pid, &output);
    if (error == ENOENT)
        return SAMPLE_NOT_AVAILABLE;
    if (error != 0) {
        fprintf(stderr, "peer %s: cannot start it: %s\n", call->name,
                strerror(error));
        return SAMPLE_FAILED;
    }
    *ns = read_number(output);
    close(output);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status == 0 && !isnan(*ns))
        return SAMPLE_TAKEN;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != SAMPLE_NOT_AVAILABLE)
        fprintf(stderr, "peer %s failed: wait status %#x\n", call->name,
                (unsigned)status);
    return SAMPLE_NOT_AVAILABLE;
}

int
peer_main(int argc, char **argv,
          int (*measure)(const struct peer_work *work, double *ns))
{
    if (argc != 6)
        return EXIT_BROKEN;
    struct peer_work work = {.name = argv[2],
                             .count = strtol(argv[4], NULL, 10),
                             .size = strtoull(argv[5], NULL, 10)};
    long parties = strtol(argv[3], NULL, 10);
    if (parties < 1 || parties > PEER_PARTIES_MAX || work.count < 1)
        return EXIT_BROKEN;
    work.parties = (unsigned)parties;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(TIME_LIMIT_S);
    double ns = NAN;
    int status = measure(&work, &ns);
    if (status == SAMPLE_NOT_AVAILABLE)
        return status;
    if (status != 0) {
        fprintf(stderr, "peer %s failed: %s\n", work.name, strerror(errno));
        return EXIT_BROKEN;
    }
    if (!isnan(ns))
        printf("%.6g\n", ns);
    return 0;
}
