/* What is there: processes, files, descriptors, mappings. */
#include "chaos.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double
now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

bool
sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return false;
#endif
}

unsigned
children_of(pid_t pid, pid_t *children, unsigned most)
{
    char path[64];
    FILE *file;
    unsigned n = 0;
    long child;

    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid,
             (long)pid);
    file = fopen(path, "re");
    while (file && n < most && fscanf(file, "%ld", &child) == 1)
        children[n++] = (pid_t)child;
    if (file)
        fclose(file);
    return n;
}

unsigned
descriptors_of(pid_t pid)
{
    char path[64];
    struct dirent *file;
    unsigned n = 0;
    DIR *files;

    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    files = opendir(path);
    while (files && (file = readdir(files)))
        n += file->d_name[0] != '.';
    if (files)
        closedir(files);
    return n;
}

unsigned
mappings_of(pid_t pid)
{
    char path[64];
    unsigned n = 0;
    FILE *file;
    int c;

    snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
    file = fopen(path, "re");
    while (file && (c = fgetc(file)) != EOF)
        n += c == '\n';
    if (file)
        fclose(file);
    return n;
}

static unsigned
files_in(const char *directory, const char *cluster, char *first, size_t size)
{
    char exact[96], prefix[97];
    DIR *files = opendir(directory);
    struct dirent *file;
    unsigned n = 0;

    snprintf(exact, sizeof exact, "dsm.%lu.%s", (unsigned long)geteuid(),
             cluster);
    snprintf(prefix, sizeof prefix, "%s.", exact);
    while (files && (file = readdir(files)))
        if (strcmp(file->d_name, exact) == 0 ||
            strncmp(file->d_name, prefix, strlen(prefix)) == 0) {
            snprintf(first, size, "%s/%s", directory, file->d_name);
            n++;
        }
    if (files)
        closedir(files);
    return n;
}

unsigned
files_of(const char *cluster, char *first, size_t size)
{
    return files_in("/dev/shm", cluster, first, size) +
           files_in(board->directory, cluster, first, size);
}

const char *
beside(const char *file)
{
    static char path[1024];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    char *slash;

    path[n > 0 ? n : 0] = '\0';
    slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, file);
    return path;
}

int
dsmctl(const char *a, const char *b)
{
    const char *program = beside("../../tools/dsmctl");
    pid_t pid;
    int status = -1;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (strcmp(a, "clean") == 0) /* what it removed is no news */
            dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
        execlp("timeout", "timeout", "60", program, a, b, (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
print_file(pid_t pid, const char *which)
{
    char path[64], text[2048];
    int fd;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, which);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n > 0)
        printf("    %s: %.*s%s", which, (int)n, text,
               text[n - 1] == '\n' ? "" : "\n");
}

void
print_processes(pid_t group)
{
    DIR *files = opendir("/proc");
    struct dirent *file;
    char command[256];

    while (files && (file = readdir(files))) {
        pid_t pid = atoi(file->d_name);

        if (pid <= 0 || getpgid(pid) != group)
            continue;
        printf("  process %ld\n", (long)pid);
        print_file(pid, "stat");
        print_file(pid, "wchan");
        print_file(pid, "syscall");
        print_file(pid, "stack");
        fflush(stdout);
        snprintf(command, sizeof command,
                 "command -v gdb >/dev/null && timeout 30 gdb -q -batch -p %ld "
                 "-ex 'thread apply all bt' 2>/dev/null | grep '^#'",
                 (long)pid);
        if (system(command) < 0)
            perror("gdb");
    }
    if (files)
        closedir(files);
}

static bool
write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

    if (fd >= 0)
        close(fd);
    return done;
}

/* The same user in a namespace of its own, where it may mount. */
static bool
own_user(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    char map[64];

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%lu %lu 1", (unsigned long)uid,
             (unsigned long)uid);
    if (!write_file("/proc/self/uid_map", map))
        return false;
    snprintf(map, sizeof map, "%lu %lu 1", (unsigned long)gid,
             (unsigned long)gid);
    return write_file("/proc/self/gid_map", map);
}

const char *
own_shm(void)
{
    if (unshare(CLONE_NEWNS) < 0 && !own_user())
        return "no mount namespace";
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=50%,mode=1777") < 0)
        return "nothing can be mounted";
    return NULL;
}
