/* The tests' common ground; see support.h. */
#include "support.h"

#include "base/point.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHARED_SIZE 4096
#define NAMES_MAX 32

struct point {
    char name[64];
    int n, signal;
    _Atomic int times, killed;
};

void *test_shared;
static struct point *kill_point; /* shared with all processes */
static char names[NAMES_MAX][DSM_NAME_MAX + 1];
static unsigned names_used;
static int reached; /* in this process */

bool
test_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return false;
#endif
}

static bool leaks_ignored;

void
test_ignore_leaks(void)
{
    leaks_ignored = true;
}

#ifdef __SANITIZE_ADDRESS__
/* LeakSanitizer asks this before it looks. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
    return leaks_ignored;
}
#endif

double
test_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool
test_poll(bool (*condition)(const void *arg), const void *arg)
{
    struct timespec ms = {.tv_nsec = 1000000};
    double end = test_now() + (test_sanitized() ? 60 : 10);

    while (!condition(arg)) {
        if (test_now() > end)
            return false;
        nanosleep(&ms, NULL);
    }
    return true;
}

const char *
test_name(void)
{
    char *name = names[names_used++ % NAMES_MAX];

    snprintf(name, DSM_NAME_MAX + 1, "test-%ld-%u", (long)getpid(), names_used);
    return name;
}

dsm_cluster *
test_cluster(unsigned workers)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = test_name();
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

/* Of a process: its state as /proc has it, and its group; 'X': there is none.
 * A zombie that init has not reaped yet is gone enough. */
static char
state_of(pid_t pid, int *group)
{
    char path[64], state = 'X';
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (!file)
        return 'X';
    if (fscanf(file, "%*d (%*[^)]) %c %*d %d", &state, group) != 2)
        state = 'X';
    fclose(file);
    return state == 'Z' ? 'X' : state;
}

bool
test_gone(const void *pid)
{
    int group;

    return state_of(*(const pid_t *)pid, &group) == 'X';
}

int
test_processes(void)
{
    DIR *all = opendir("/proc");
    struct dirent *entry;
    int n = 0;

    while (all && (entry = readdir(all))) {
        pid_t pid = (pid_t)atol(entry->d_name);
        int group = -1;

        n += pid > 0 && pid != getpid() && pid != getppid() &&
             state_of(pid, &group) != 'X' && group == getpgrp();
    }
    if (all)
        closedir(all);
    return n;
}

bool
test_alone(const void *unused)
{
    (void)unused;
    return test_processes() == 0;
}

bool
test_nothing_left(const void *name)
{
    char exact[96], prefix[97];
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    bool found = false;

    snprintf(exact, sizeof exact, "dsm.%lu.%s", (unsigned long)geteuid(),
             (const char *)name);
    snprintf(prefix, sizeof prefix, "%s.", exact);
    while (files && (file = readdir(files)))
        found = found || strcmp(file->d_name, exact) == 0 ||
                strncmp(file->d_name, prefix, strlen(prefix)) == 0;
    if (files)
        closedir(files);
    return !found;
}

static void
reach(const char *name)
{
    if (strcmp(name, kill_point->name) != 0 || ++reached != kill_point->n)
        return;
    if (atomic_fetch_sub(&kill_point->times, 1) <= 0)
        return;
    atomic_fetch_add(&kill_point->killed, 1);
    raise(kill_point->signal);
}

void
test_kill_at(const char *name, int n, int number, int times)
{
    snprintf(kill_point->name, sizeof kill_point->name, "%s", name);
    kill_point->n = n;
    kill_point->signal = number;
    kill_point->times = times;
    kill_point->killed = 0;
    reached = 0;
    dsm__point_hook = reach;
}

int
test_killed(void)
{
    return kill_point->killed;
}

pid_t
test_host(int (*body)(void *arg), void *arg)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        test_ignore_leaks();
        exit(body(arg));
    }
    return pid;
}

int
test_reap(pid_t pid)
{
    int status = -1;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void *
share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static void
setup(void)
{
    test_shared = share(SHARED_SIZE);
    kill_point = share(sizeof *kill_point);
    dsm__point_hook = NULL;
}

/* check kills the test's process group, so that a leaked worker would pass
 * unnoticed. */
static void
teardown(void)
{
    pid_t child = waitpid(-1, NULL, WNOHANG);

    ck_assert_msg(child == -1 && errno == ECHILD, "a child was left: %ld",
                  (long)child);
    for (unsigned k = 0; k < names_used && k < NAMES_MAX; k++)
        ck_assert_msg(test_poll(test_nothing_left, names[k]),
                      "something of cluster %s was left in /dev/shm", names[k]);
    munmap(test_shared, SHARED_SIZE);
    munmap(kill_point, sizeof *kill_point);
}

TCase *
test_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);

    tcase_add_checked_fixture(tests, setup, teardown);
    suite_add_tcase(suite, tests);
    return tests;
}

int
test_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

const char *
test_tmpfs(unsigned megabytes)
{
    static char path[] = "/tmp/dsm-test-XXXXXX";
    char options[64];

    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(path))
        return NULL;
    snprintf(options, sizeof options, "size=%um,mode=0700", megabytes);
    return mount("tmpfs", path, "tmpfs", 0, options) < 0 ? NULL : path;
}

void
test_tmpfs_end(const char *path)
{
    umount(path);
    rmdir(path);
}
