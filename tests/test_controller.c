/* A controller ends, whatever the manner: within a second no process and no
 * segment of its cluster is left. */
#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* How a host ends: by a signal that the test sends, to the process or to its
 * group; or by what it does itself. */
struct ending {
    const char *name;
    int signal;
    bool group;
    void (*self)(void);
    int status; /* that wait() tells then; -1: it goes on, as another program */
};

static void
leave_by_abort(void)
{
    abort();
}

static void
leave_by_exit(void)
{
    exit(3);
}

static void
leave_at_once(void)
{
    _exit(4);
}

static void
become_sleep(void)
{
    execl("/bin/sleep", "sleep", "1000", NULL);
}

static void
return_from_main(void)
{
}

static const struct ending endings[] = {
    {"SIGKILL", SIGKILL, false, NULL, SIGKILL},
    {"SIGTERM", SIGTERM, false, NULL, SIGTERM},
    {"SIGINT to the group", SIGINT, true, NULL, SIGINT},
    {"SIGTERM to the group", SIGTERM, true, NULL, SIGTERM},
    {"SIGHUP to the group", SIGHUP, true, NULL, SIGHUP},
    {"SIGQUIT to the group", SIGQUIT, true, NULL, SIGQUIT},
    {"abort", 0, false, leave_by_abort, SIGABRT},
    {"exec", 0, false, become_sleep, -1},
    {"return", 0, false, return_from_main, W_EXITCODE(5, 0)},
    {"exit", 0, false, leave_by_exit, W_EXITCODE(3, 0)},
    {"_exit", 0, false, leave_at_once, W_EXITCODE(4, 0)},
};

#define ENDINGS ((int)(sizeof endings / sizeof *endings))

/* ---- The host. */

/* What a function's host gives to exit() when something went wrong. */
#define FAILED 99

static int
idle_host(void *argument)
{
    const struct ending *ending = argument;
    dsm_cluster *cluster;

    host_begin();
    setsid();
    if (scene_create(&cluster) < 0)
        return FAILED;
    scene()->ready = 1;
    if (!ending->self)
        pause_for_ever();
    ending->self();
    return 5;
}

/* Ends by itself while its workers compute, who look whether they are to leave;
 * or is ended while it waits for those who do not. */
static int
busy_host(void *argument)
{
    const struct ending *ending = argument;
    dsm_cluster *cluster;

    host_begin();
    setsid();
    if (scene_create(&cluster) < 0)
        return FAILED;
    if (!ending->self)
        return dsm_cluster_run(cluster, compute_on, NULL, 0) ? FAILED : 0;
    if (dsm_cluster_start(cluster, compute, NULL, 0) < 0 ||
        !test_poll(workers_compute, NULL))
        return FAILED;
    ending->self();
    return 5;
}

/* ---- The test. */

static void
end_host(pid_t host, const struct ending *ending)
{
    double since = test_now();

    if (ending->signal)
        ck_assert_int_eq(kill(ending->group ? -host : host, ending->signal), 0);
    ck_scene_over(since);
    if (ending->status < 0) {
        ck_assert_int_eq(waitpid(host, NULL, WNOHANG), 0);
        kill(host, SIGKILL);
    }
    ck_assert_msg((test_reap(host) & 0xff7f) ==
                      (ending->status < 0 ? SIGKILL : ending->status),
                  "%s", ending->name);
}

START_TEST(ends_idle)
{
    const struct ending *ending = &endings[_i];
    pid_t host;

    scene_begin();
    host = test_host(idle_host, (void *)(uintptr_t)ending);
    test_await(host_is_ready, NULL);
    if (ending->signal)
        ck_scene_on();
    end_host(host, ending);
}
END_TEST

START_TEST(ends_in_a_region)
{
    const struct ending *ending = &endings[_i];
    pid_t host;

    scene_begin();
    host = test_host(busy_host, (void *)(uintptr_t)ending);
    test_await(workers_compute, NULL);
    if (ending->signal)
        ck_scene_on();
    end_host(host, ending);
}
END_TEST

/* ---- A terminal: its keys, and its closing. */

/* What the user does, and what becomes of the controller. */
static const struct {
    const char *keys; /* NULL: the terminal is closed */
    int signal;
} gestures[] = {{"\003", SIGINT}, {"\034", SIGQUIT}, {NULL, SIGHUP}};

static int terminal; /* the master's end */
static char terminal_name[64];

static bool
open_terminal(void)
{
    terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0 &&
        ptsname_r(terminal, terminal_name, sizeof terminal_name) == 0)
        return true;
    fprintf(stderr, "test_controller: no pseudo-terminals here\n");
    return false;
}

/* A session of its own on that terminal, as a shell would start it. */
static int
host_on_a_terminal(void *argument)
{
    const struct ending ending = {.name = "terminal"};
    int fd;

    setsid();
    close(terminal);
    fd = open(terminal_name, O_RDWR);
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0)
        return FAILED;
    dup2(fd, STDIN_FILENO);
    return ((int (*)(void *))argument)((void *)(uintptr_t)&ending);
}

static void
at_a_terminal(int (*body)(void *), bool (*ready)(const void *), int gesture)
{
    double since;
    pid_t host;

    if (!open_terminal())
        return;
    scene_begin();
    host = test_host(host_on_a_terminal, (void *)body);
    test_await(ready, NULL);
    ck_scene_on();
    since = test_now();
    if (gestures[gesture].keys)
        ck_assert_int_eq(write(terminal, gestures[gesture].keys, 1), 1);
    else
        close(terminal);
    ck_scene_over(since);
    ck_assert_int_eq(test_reap(host) & 0x7f, gestures[gesture].signal);
}

START_TEST(at_a_terminal_idle)
{
    at_a_terminal(idle_host, host_is_ready, _i);
}
END_TEST

START_TEST(at_a_terminal_in_a_region)
{
    at_a_terminal(busy_host, workers_compute, _i);
}
END_TEST

/* ---- Threads and handlers of the host. */

static void
exit_from_handler(int number)
{
    (void)number;
    exit(6);
}

static int
host_exiting_in_a_handler(void *argument)
{
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    signal(SIGTERM, exit_from_handler);
    if (scene_create(&cluster) < 0)
        return FAILED;
    return dsm_cluster_run(cluster, compute, NULL, 0) ? FAILED : 0;
}

/* exit() within dsm_cluster_run, in the thread that waits there. */
START_TEST(exits_in_a_signal_handler)
{
    double since;
    pid_t host;

    scene_begin();
    host = test_host(host_exiting_in_a_handler, NULL);
    test_await(workers_compute, NULL);
    since = test_now();
    kill(host, SIGTERM);
    ck_scene_over(since);
    ck_assert_int_eq(test_reap(host), W_EXITCODE(6, 0));
}
END_TEST

static void *
run_computation(void *cluster)
{
    scene()->result = dsm_cluster_run(cluster, compute_on, NULL, 0);
    scene()->done = 1;
    return NULL;
}

/* The host's own handler, which runs after the library's. */
static void
await_the_thread(void)
{
    if (!test_poll(call_done, NULL))
        _exit(FAILED);
}

static int
host_exiting_in_another_thread(void *argument)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    pthread_t thread;

    (void)argument;
    host_begin();
    options.name = scene()->name;
    options.grace_ms = 1;
    if (atexit(await_the_thread) != 0 ||
        dsm_cluster_create(&cluster, SCENE_WORKERS, &options) < 0 ||
        scene_populate(cluster) < 0 ||
        pthread_create(&thread, NULL, run_computation, cluster) != 0 ||
        !test_poll(workers_compute, NULL))
        return FAILED;
    scene()->ready = 1;
    return 7;
}

/* The thread that waits in dsm_cluster_run must not fall over what the exit
 * handler takes away. */
START_TEST(exits_in_another_thread)
{
    pid_t host;

    scene_begin();
    host = test_host(host_exiting_in_another_thread, NULL);
    test_await(host_is_ready, NULL);
    ck_scene_over(test_now());
    ck_assert_int_eq(test_reap(host), W_EXITCODE(7, 0));
    ck_assert_int_eq(scene()->result, DSM_ESTALE);
}
END_TEST

/* As the process's last thread: main has left before. */
static void *
run_after_main(void *cluster)
{
    char path[64], state;

    do {
        FILE *file;

        snprintf(path, sizeof path, "/proc/self/task/%ld/stat", (long)getpid());
        state = 'Z';
        file = fopen(path, "re");
        if (!file)
            break;
        if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
            state = 'Z';
        fclose(file);
        pause_briefly();
    } while (state != 'Z');
    scene()->result = dsm_cluster_run(cluster, note_processes, NULL, 0);
    scene()->ready = 1;
    while (!scene()->go)
        pause_briefly();
    _exit(8);
}

static int
host_without_main_thread(void *argument)
{
    dsm_cluster *cluster;
    pthread_t thread;

    (void)argument;
    host_begin();
    scene()->result = FAILED;
    if (scene_create(&cluster) < 0 ||
        pthread_create(&thread, NULL, run_after_main, cluster) != 0)
        return FAILED;
    pthread_exit(NULL);
}

START_TEST(lives_on_without_its_main_thread)
{
    double since;
    pid_t host;

    scene_begin();
    host = test_host(host_without_main_thread, NULL);
    test_await(host_is_ready, NULL);
    ck_assert_int_eq(scene()->result, 0);
    ck_scene_on();
    since = test_now();
    scene()->go = 1;
    ck_scene_over(since);
    ck_assert_int_eq(test_reap(host), W_EXITCODE(8, 0));
}
END_TEST

/* What daemon() does: the process that created the cluster is gone. */
static int
host_becoming_a_daemon(void *argument)
{
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    if (scene_create(&cluster) < 0)
        return FAILED;
    switch (fork()) {
    case -1:
        return FAILED;
    case 0:
        scene()->other = getpid();
        while (!scene()->go)
            pause_briefly();
        _exit(dsm_cluster_run(cluster, note_processes, NULL, 0) != -EPERM);
    }
    while (!scene()->other)
        pause_briefly();
    _exit(0);
}

START_TEST(becomes_a_daemon)
{
    double since;
    pid_t host, child;

    scene_begin();
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    host = test_host(host_becoming_a_daemon, NULL);
    ck_assert_int_eq(test_reap(host), 0);
    since = test_now();
    ck_scene_over(since);
    child = scene()->other;
    ck_assert(!test_gone(&child));
    scene()->go = 1;
    ck_assert_int_eq(test_reap(child), 0);
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    /* The supervisor, which came to this process too. */
    while (waitpid(-1, NULL, 0) > 0)
        ;
}
END_TEST

/* ---- At awkward moments. */

static int
never_ready(dsm_worker *self, const void *arg, size_t arg_size)
{
    note_processes(self, arg, arg_size);
    return compute_on(self, arg, arg_size);
}

static int
host_creating(void *argument)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    options.name = scene()->name;
    options.grace_ms = 60000;
    options.setup = never_ready;
    return dsm_cluster_create(&cluster, SCENE_WORKERS, &options) ? FAILED : 0;
}

START_TEST(dies_creating)
{
    double since;
    pid_t host;

    scene_begin();
    host = test_host(host_creating, NULL);
    test_await(workers_compute, NULL);
    ck_scene_on();
    since = test_now();
    kill(host, SIGKILL);
    ck_scene_over(since);
    ck_assert_int_eq(test_reap(host), SIGKILL);
}
END_TEST

static int
linger(dsm_worker *self, const void *arg, size_t arg_size)
{
    return compute_on(self, arg, arg_size);
}

static int
host_destroying(void *argument)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    options.name = scene()->name;
    options.grace_ms = 60000;
    options.cleanup = linger;
    if (dsm_cluster_create(&cluster, SCENE_WORKERS, &options) < 0 ||
        scene_populate(cluster) < 0)
        return FAILED;
    dsm_cluster_destroy(cluster);
    return FAILED;
}

/* The supervisor gives the workers their grace, until nobody waits for it any
 * more. */
START_TEST(dies_destroying)
{
    double since;
    pid_t host;

    scene_begin();
    host = test_host(host_destroying, NULL);
    test_await(workers_compute, NULL);
    ck_scene_on();
    since = test_now();
    kill(host, SIGKILL);
    ck_scene_over(since);
    ck_assert_int_eq(test_reap(host), SIGKILL);
}
END_TEST

static const struct {
    const char *point;
    int n;
} points[] = {
    {"region.start", 2},     {"object.new", 3},   {"array.create", 2},
    {"segment.allocate", 3}, {"array.fill", 2},   {"object.publish", 2},
    {"object.new", 6},       {"lock.acquire", 1}, {"object.remove", 1},
};

static int
host_with_a_point(void *argument)
{
    dsm_cluster *cluster;
    dsm_array *array;
    dsm_lock *lock;

    (void)argument;
    host_begin();
    if (scene_create(&cluster) == 0 &&
        dsm_cluster_run(cluster, note_processes, NULL, 0) == 0 &&
        dsm_lock_open(&lock, cluster, "L") == 0 &&
        dsm_lock_acquire(lock, DSM_FOREVER) == 0 &&
        dsm_array_open(&array, cluster, "A", DSM_ANY) == 0)
        (void)dsm_array_destroy(array);
    return FAILED;
}

START_TEST(dies_at_a_point)
{
    double since;
    pid_t host;

    scene_begin();
    test_kill_at(points[_i].point, points[_i].n, SIGKILL, 1);
    host = test_host(host_with_a_point, NULL);
    ck_assert_int_eq(test_reap(host), SIGKILL);
    since = test_now();
    ck_assert_int_eq(test_killed(), 1);
    test_await(test_nothing_left, scene()->name);
    ck_within_a_second(since);
    if (scene()->supervisor)
        ck_scene_over(since);
}
END_TEST

/* A worker's own child goes too, though it has left the process group. */
static int
leave_a_child(dsm_worker *self, const void *arg, size_t arg_size)
{
    pid_t child;

    if (dsm_worker_id(self) == 0) {
        child = fork();
        if (child < 0)
            return 1;
        if (child == 0) {
            setsid();
            scene()->other = getpid();
            pause_for_ever();
        }
    }
    while (!scene()->other)
        pause_briefly();
    return compute_on(self, arg, arg_size);
}

static int
host_of_grandchildren(void *argument)
{
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    if (scene_create(&cluster) < 0)
        return FAILED;
    return dsm_cluster_run(cluster, leave_a_child, NULL, 0) ? FAILED : 0;
}

START_TEST(workers_children_go_too)
{
    pid_t host, child;
    double since;

    scene_begin();
    host = test_host(host_of_grandchildren, NULL);
    test_await(workers_compute, NULL);
    child = scene()->other;
    ck_assert(!test_gone(&child));
    since = test_now();
    kill(host, SIGKILL);
    ck_scene_over(since);
    test_await(test_gone, &child);
    ck_within_a_second(since);
    ck_assert_int_eq(test_reap(host), SIGKILL);
}
END_TEST

/* ---- Without pidfd_open, as on old kernels and under some filters. */

static int
refuse_pidfds(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int
host_without_pidfds(void *argument)
{
    /* Where there are no filters, it is as any other. */
    if (refuse_pidfds() == 0 && syscall(SYS_pidfd_open, getpid(), 0) >= 0)
        return FAILED;
    return busy_host(argument);
}

START_TEST(ends_without_pidfds)
{
    const struct ending *ending = &endings[_i];
    pid_t host;

    scene_begin();
    host = test_host(host_without_pidfds, (void *)(uintptr_t)ending);
    test_await(workers_compute, NULL);
    if (ending->signal)
        ck_scene_on();
    end_host(host, ending);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("controller");
    TCase *tests = test_case(suite, "ends");

    tcase_add_loop_test(tests, ends_idle, 0, ENDINGS);
    tcase_add_loop_test(tests, ends_in_a_region, 0, ENDINGS);
    tcase_add_loop_test(tests, ends_without_pidfds, 0, ENDINGS);
    tests = test_case(suite, "terminal");
    tcase_add_loop_test(tests, at_a_terminal_idle, 0, 3);
    tcase_add_loop_test(tests, at_a_terminal_in_a_region, 0, 3);
    tests = test_case(suite, "threads");
    tcase_add_test(tests, exits_in_a_signal_handler);
    tcase_add_test(tests, exits_in_another_thread);
    tcase_add_test(tests, lives_on_without_its_main_thread);
    tcase_add_test(tests, becomes_a_daemon);
    tests = test_case(suite, "moments");
    tcase_add_test(tests, dies_creating);
    tcase_add_test(tests, dies_destroying);
    tcase_add_loop_test(tests, dies_at_a_point, 0,
                        (int)(sizeof points / sizeof *points));
    tcase_add_test(tests, workers_children_go_too);
    return test_main(suite);
}
