/* The host program is left alone: its children and their exit statuses, its
 * signals, exit handlers, descriptors, and whatever else a process has. */
#include "hosts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

extern char **environ;

/* ---- A cluster's whole life, with deaths and re-forks. */

static int
die_once(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    if (dsm_worker_id(self) != 1)
        return 0;
    if (*(const int *)arg == 0)
        exit(3);
    raise(SIGKILL);
    return 0;
}

static dsm_cluster *
scene_cluster(void)
{
    dsm_cluster *cluster;

    memset(scene(), 0, sizeof *scene());
    scene_begin();
    ck_dsm(scene_create(&cluster));
    ck_scene_on();
    return cluster;
}

static void
live(dsm_cluster *cluster)
{
    for (int how = 0; how < 2; how++)
        ck_assert_int_eq(dsm_cluster_run(cluster, die_once, &how, sizeof how),
                         DSM_EWORKER);
    test_whole(cluster);
    ck_dsm(dsm_cluster_refresh(cluster));
    test_whole(cluster);
}

/* And to its very end: when the supervisor's death would have told. */
static void
end(dsm_cluster *cluster)
{
    ck_dsm(dsm_cluster_run(cluster, note_processes, NULL, 0));
    dsm_cluster_destroy(cluster);
    test_await(scene_over, NULL);
}

/* ---- SIGCHLD and the host's own children. */

static void
count_call(int number)
{
    (void)number;
    atomic_fetch_add(&scene()->calls, 1);
}

static pid_t
own_child(int status)
{
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0)
        exit(status);
    return child;
}

START_TEST(the_handler_of_sigchld_is_not_called)
{
    struct sigaction action = {.sa_handler = count_call};
    dsm_cluster *cluster;

    ck_assert_int_eq(sigaction(SIGCHLD, &action, NULL), 0);
    cluster = scene_cluster();
    live(cluster);
    end(cluster);
    ck_assert_int_eq(scene()->calls, 0);
    ck_assert_int_eq(test_reap(own_child(1)), W_EXITCODE(1, 0));
    ck_assert_int_eq(scene()->calls, 1);
}
END_TEST

/* By SIG_IGN, and by a flag. */
START_TEST(sigchld_may_be_ignored)
{
    struct sigaction action = {.sa_handler = _i ? SIG_DFL : SIG_IGN,
                               .sa_flags = _i ? SA_NOCLDWAIT : 0};
    struct sigaction after;
    dsm_cluster *cluster;

    ck_assert_int_eq(sigaction(SIGCHLD, &action, NULL), 0);
    cluster = scene_cluster();
    live(cluster);
    ck_assert_int_eq(waitpid(own_child(1), NULL, 0), -1);
    ck_assert_int_eq(errno, ECHILD);
    live(cluster);
    end(cluster);
    ck_assert_int_eq(sigaction(SIGCHLD, NULL, &after), 0);
    ck_assert(after.sa_handler == action.sa_handler);
    ck_assert_int_eq(after.sa_flags & SA_NOCLDWAIT, action.sa_flags);
}
END_TEST

static int
is_blocked(dsm_worker *self, const void *arg, size_t arg_size)
{
    sigset_t mask;

    (void)self, (void)arg, (void)arg_size;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return !sigismember(&mask, SIGCHLD) || !sigismember(&mask, SIGUSR1) ||
           sigismember(&mask, SIGUSR2) || sigismember(&mask, SIGTERM);
}

START_TEST(sigchld_may_be_blocked)
{
    sigset_t mask, pending;
    dsm_cluster *cluster;

    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGUSR1);
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, &mask, NULL), 0);
    cluster = scene_cluster();
    live(cluster);
    /* A worker's mask is the host's. */
    ck_dsm(dsm_cluster_run(cluster, is_blocked, NULL, 0));
    end(cluster);
    ck_assert_int_eq(sigpending(&pending), 0);
    ck_assert(!sigismember(&pending, SIGCHLD));
}
END_TEST

START_TEST(a_wait_loop_ends_at_once)
{
    dsm_cluster *cluster = scene_cluster();
    pid_t before = own_child(7), child, found = 0;
    int status = -1;

    while ((child = wait(&status)) > 0)
        found = child;
    ck_assert_int_eq(errno, ECHILD);
    ck_assert_int_eq(found, before);
    live(cluster);
    ck_assert_int_eq(wait(NULL), -1);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    ck_assert_int_eq(errno, ECHILD);
    end(cluster);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1);
}
END_TEST

START_TEST(own_children_keep_their_statuses)
{
    pid_t before[2] = {own_child(3), own_child(4)}, after;
    dsm_cluster *cluster = scene_cluster();

    ck_assert_int_eq(test_reap(before[0]), W_EXITCODE(3, 0));
    after = own_child(5);
    live(cluster);
    ck_assert_int_eq(test_reap(after), W_EXITCODE(5, 0));
    ck_assert_int_eq(system("exit 6"), W_EXITCODE(6, 0));
    end(cluster);
    ck_assert_int_eq(test_reap(before[1]), W_EXITCODE(4, 0));
}
END_TEST

/* ---- Masks and handlers. */

struct signals {
    sigset_t mask;
    struct sigaction action[NSIG];
};

static void
on_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
}

static struct signals
odd_signals(void)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_RESTART};
    struct signals all;

    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    memset(&all, 0, sizeof all);
    sigemptyset(&all.mask);
    sigaddset(&all.mask, SIGUSR1);
    sigaddset(&all.mask, SIGRTMAX);
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, &all.mask, NULL), 0);
    for (int number = 1; number < NSIG; number++)
        sigaction(number, NULL, &all.action[number]);
    return all;
}

static void
ck_signals(const struct signals *before)
{
    struct sigaction after;
    sigset_t mask;

    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    for (int number = 1; number < NSIG; number++) {
        ck_assert_int_eq(sigismember(&mask, number),
                         sigismember(&before->mask, number));
        memset(&after, 0, sizeof after);
        if (sigaction(number, NULL, &after) < 0)
            continue;
        ck_assert_msg(after.sa_sigaction ==
                              before->action[number].sa_sigaction &&
                          after.sa_flags == before->action[number].sa_flags,
                      "signal %d", number);
    }
}

/* None of the host's handlers is set in a worker. */
static int
has_defaults(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct sigaction action;

    (void)self, (void)arg, (void)arg_size;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &action) == 0 &&
            action.sa_handler != SIG_DFL &&
            (action.sa_handler != SIG_IGN || number == SIGPIPE))
            return number;
    return 0;
}

START_TEST(signals_stay_as_they_are)
{
    struct signals before = odd_signals();
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster = scene_cluster(), *refused;

    ck_signals(&before);
    ck_dsm(dsm_cluster_run(cluster, has_defaults, NULL, 0));
    live(cluster);
    ck_signals(&before);
    options.name = scene()->name;
    ck_assert_int_eq(dsm_cluster_create(&refused, 1, &options), -EEXIST);
    ck_signals(&before);
    end(cluster);
    ck_signals(&before);
}
END_TEST

/* System calls that a handler interrupts are no failures. */
START_TEST(signals_interrupt_nothing)
{
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = count_call};

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    for (int round = 0; round < 10; round++) {
        dsm_cluster *cluster;

        scene_begin();
        ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
        ck_dsm(scene_create(&cluster));
        live(cluster);
        dsm_cluster_destroy(cluster);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    }
    ck_assert_int_gt(scene()->calls, 0);
}
END_TEST

/* ---- Exit handlers. */

static dsm_cluster *host_cluster;

static void
count_exit(void)
{
    atomic_fetch_add(&scene()->calls, 1);
}

static void
count_exit_too(int status, void *argument)
{
    (void)status, (void)argument;
    atomic_fetch_add(&scene()->calls, 1);
}

static int
host_with_handlers(void *argument)
{
    int how = 0;

    (void)argument;
    host_begin();
    if (atexit(count_exit) != 0 || on_exit(count_exit_too, NULL) != 0 ||
        scene_create(&host_cluster) < 0)
        return 1;
    if (dsm_cluster_run(host_cluster, die_once, &how, sizeof how) !=
            DSM_EWORKER ||
        dsm_cluster_refresh(host_cluster) < 0)
        return 2;
    dsm_cluster_destroy(host_cluster);
    return scene()->calls;
}

START_TEST(exit_handlers_do_not_run_in_workers)
{
    scene_begin();
    ck_assert_int_eq(test_reap(test_host(host_with_handlers, NULL)), 0);
    ck_assert_int_eq(scene()->calls, 2);
}
END_TEST

/* Runs before the library's handler. */
static void
use_at_exit(void)
{
    scene()->value[0] = dsm_cluster_run(host_cluster, note_processes, NULL, 0);
    scene()->value[1] = !test_nothing_left(scene()->name);
}

/* Runs after it. */
static void
destroy_at_exit(void)
{
    scene()->value[2] = test_nothing_left(scene()->name);
    scene()->value[3] = dsm_cluster_run(host_cluster, note_processes, NULL, 0);
    dsm_cluster_destroy(host_cluster);
}

static int
host_using_its_cluster_at_exit(void *argument)
{
    (void)argument;
    host_begin();
    if (atexit(destroy_at_exit) != 0 || scene_create(&host_cluster) < 0 ||
        atexit(use_at_exit) != 0)
        return 1;
    return 0;
}

START_TEST(exit_handlers_may_use_the_cluster)
{
    scene_begin();
    ck_assert_int_eq(test_reap(test_host(host_using_its_cluster_at_exit, NULL)),
                     0);
    ck_assert_int_eq(scene()->value[0], 0);
    ck_assert_int_eq(scene()->value[1], 1);
    ck_assert_int_eq(scene()->value[2], 1);
    ck_assert_int_eq(scene()->value[3], DSM_ESTALE);
    test_await(scene_over, NULL);
}
END_TEST

/* ---- What a process has. */

#define CREATES 50

static unsigned
count_files(const char *directory)
{
    DIR *files = opendir(directory);
    unsigned n = 0;

    ck_assert_ptr_nonnull(files);
    while (readdir(files))
        n++;
    closedir(files);
    return n;
}

/* Lines of this process's maps that have the text. */
static unsigned
count_maps(const char *text)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    unsigned n = 0;

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps))
        n += strstr(line, text) != NULL;
    fclose(maps);
    return n;
}

START_TEST(nothing_piles_up)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster, *refused;
    unsigned before;

    before = count_files("/proc/self/fd");
    for (int round = 0; round < CREATES; round++) {
        scene_begin();
        ck_dsm(scene_create(&cluster));
        ck_assert_uint_gt(count_maps(scene()->name), 0);
        options.name = scene()->name;
        ck_assert_int_eq(dsm_cluster_create(&refused, 1, &options), -EEXIST);
        dsm_cluster_destroy(cluster);
        ck_assert_uint_eq(count_files("/proc/self/fd"), before);
        ck_assert_uint_eq(count_maps("/dev/shm/dsm."), 0);
        ck_assert_uint_eq(count_maps("200000000000-"), 0);
    }
}
END_TEST

struct process {
    char environment[65536], directory[4096], name[16], oom[16];
    cpu_set_t affinity;
    struct rlimit limits[RLIM_NLIMITS];
    unsigned threads;
    int priority, subreaper, death_signal, dumpable;
    mode_t mask;
    pid_t group, session;
};

static struct process
this_process(void)
{
    struct process process;
    size_t length = 0;
    FILE *file = fopen("/proc/self/oom_score_adj", "re");

    memset(&process, 0, sizeof process);
    for (char **entry = environ; *entry; entry++)
        length += (size_t)snprintf(process.environment + length,
                                   sizeof process.environment - length,
                                   "%p %s\n", (void *)*entry, *entry);
    ck_assert_uint_lt(length, sizeof process.environment);
    ck_assert_ptr_nonnull(getcwd(process.directory, sizeof process.directory));
    prctl(PR_GET_NAME, process.name);
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(process.oom, sizeof process.oom, file));
    fclose(file);
    sched_getaffinity(0, sizeof process.affinity, &process.affinity);
    for (unsigned k = 0; k < RLIM_NLIMITS; k++)
        getrlimit((__rlimit_resource_t)k, &process.limits[k]);
    process.threads = count_files("/proc/self/task");
    process.priority = getpriority(PRIO_PROCESS, 0);
    prctl(PR_GET_CHILD_SUBREAPER, &process.subreaper);
    prctl(PR_GET_PDEATHSIG, &process.death_signal);
    process.dumpable = prctl(PR_GET_DUMPABLE);
    process.mask = umask(0);
    umask(process.mask);
    process.group = getpgrp();
    process.session = getsid(0);
    return process;
}

/* Its environment, affinity, threads, limits and so on. */
START_TEST(the_process_stays_as_it_is)
{
    static struct process before, during, after;
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    before = this_process();
    options.name = test_name();
    options.bind = DSM_BIND_CORE;
    options.controller_works = _i;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    ck_dsm(scene_populate(cluster));
    test_whole(cluster);
    during = this_process();
    ck_assert_mem_eq(&before, &during, sizeof before);
    dsm_cluster_destroy(cluster);
    after = this_process();
    ck_assert_mem_eq(&before, &after, sizeof before);
}
END_TEST

static int
check_mode(const char *path)
{
    struct stat status;

    ck_assert_int_eq(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

/* Segments are their owner's alone, whatever the umask is. */
START_TEST(any_umask)
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    static const char *const rest[] = {"", ".A", ".B", "..ctl"};
    dsm_cluster *cluster;
    char path[256];
    mode_t mask;

    umask(masks[_i]);
    cluster = scene_cluster();
    for (size_t k = 0; k < sizeof rest / sizeof *rest; k++) {
        snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s%s",
                 (unsigned long)geteuid(), scene()->name, rest[k]);
        ck_assert_int_eq(check_mode(path), 0600);
    }
    live(cluster);
    end(cluster);
    mask = umask(022);
    ck_assert_uint_eq(mask, masks[_i]);
}
END_TEST

/* ---- No more processes are granted. */

static int
host_at_its_limit(void *argument)
{
    rlim_t processes = *(const rlim_t *)argument;
    struct rlimit limit = {processes, processes};
    uid_t user = 50000 + (uid_t)getpid() % 10000;
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    int result;

    host_begin();
    if (setgid(user) < 0 || setuid(user) < 0 ||
        setrlimit(RLIMIT_NPROC, &limit) < 0)
        return 77;
    options.name = scene()->name;
    result = dsm_cluster_create(&cluster, SCENE_WORKERS, &options);
    if (result == 0)
        dsm_cluster_destroy(cluster);
    snprintf((char *)test_shared + 2048, 512, "%s",
             result ? dsm_last_error() : "");
    scene()->result = result;
    return !test_nothing_left(options.name);
}

/* 1: not even the intermediate; 2: no supervisor; 3, 4: not all workers; 5:
 * enough for all. */
START_TEST(no_more_processes)
{
    rlim_t processes = (rlim_t)_i;
    int status;

    if (geteuid() != 0)
        return;
    scene_begin();
    status = test_reap(test_host(host_at_its_limit, &processes));
    if (status == W_EXITCODE(77, 0))
        return;
    ck_assert_int_eq(status, 0);
    if (_i >= 2 + SCENE_WORKERS) {
        ck_assert_int_eq(scene()->result, 0);
        return;
    }
    ck_assert_int_eq(scene()->result, -EAGAIN);
    ck_assert_ptr_nonnull(strstr((char *)test_shared + 2048,
                                 _i < 3 ? "cannot fork the supervisor"
                                        : "no process could be forked"));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("host");
    TCase *tests = test_case(suite, "children");

    tcase_add_test(tests, the_handler_of_sigchld_is_not_called);
    tcase_add_loop_test(tests, sigchld_may_be_ignored, 0, 2);
    tcase_add_test(tests, sigchld_may_be_blocked);
    tcase_add_test(tests, a_wait_loop_ends_at_once);
    tcase_add_test(tests, own_children_keep_their_statuses);
    tests = test_case(suite, "signals");
    tcase_add_test(tests, signals_stay_as_they_are);
    tcase_add_test(tests, signals_interrupt_nothing);
    tests = test_case(suite, "exit");
    tcase_add_test(tests, exit_handlers_do_not_run_in_workers);
    tcase_add_test(tests, exit_handlers_may_use_the_cluster);
    tests = test_case(suite, "process");
    tcase_add_test(tests, nothing_piles_up);
    tcase_add_loop_test(tests, the_process_stays_as_it_is, 0, 2);
    tcase_add_loop_test(tests, any_umask, 0, 4);
    tcase_add_loop_test(tests, no_more_processes, 1, 6);
    return test_main(suite);
}
