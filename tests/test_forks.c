/* Children and threads of the host program: a child that it forks has no part
 * in the cluster, can do it no harm and does not keep it alive; a thread may
 * create it and end. */
#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static dsm_cluster *
scene_cluster(void)
{
    dsm_cluster *cluster;

    scene_begin();
    ck_dsm(scene_create(&cluster));
    ck_scene_on();
    return cluster;
}

/* Asserts that the same processes are there and work. */
static void
ck_untouched(dsm_cluster *cluster)
{
    struct scene before = *scene();

    ck_scene_on();
    test_whole(cluster);
    ck_dsm(dsm_cluster_run(cluster, note_processes, NULL, 0));
    ck_assert_int_eq(scene()->supervisor, before.supervisor);
    for (int w = 0; w < SCENE_WORKERS; w++)
        ck_assert_int_eq(scene()->worker[w], before.worker[w]);
    ck_dsm(dsm_cluster_refresh(cluster));
    test_whole(cluster);
    ck_dsm(dsm_cluster_run(cluster, note_processes, NULL, 0));
}

/* ---- What a child may do: everything, and it fails. */

static struct {
    dsm_cluster *cluster;
    dsm_array *array, *view;
    dsm_lock *lock, *held;
    dsm_barrier *robust, *pthread;
    dsm_queue *queue;
} here;

static dsm_cluster *
cluster_with_handles(void)
{
    here.cluster = scene_cluster();
    ck_dsm(dsm_array_open(&here.array, here.cluster, "A", DSM_ANY));
    ck_dsm(dsm_array_view(&here.view, here.array, 1, 2));
    ck_dsm(dsm_lock_open(&here.lock, here.cluster, "L"));
    ck_dsm(dsm_lock_create(&here.held, here.cluster, "held"));
    ck_dsm(dsm_lock_acquire(here.held, DSM_FOREVER));
    ck_dsm(dsm_barrier_open(&here.robust, here.cluster, "R"));
    ck_dsm(dsm_barrier_open(&here.pthread, here.cluster, "P"));
    ck_dsm(dsm_queue_open(&here.queue, here.cluster, "Q"));
    return here.cluster;
}

/* The line of the first call that is not refused with a sentence; 0: none. */
#define REFUSED(call)                                                          \
    do {                                                                       \
        if ((call) != -EPERM || !strstr(dsm_last_error(), "forked"))           \
            return __LINE__;                                                   \
    } while (0)

static int
visit_nothing(const dsm_cluster_info *info, void *arg)
{
    (void)info, (void)arg;
    return 0;
}

static int
refused_by_the_cluster(void)
{
    dsm_worker_info info = DSM_WORKER_INFO_INIT;

    REFUSED(dsm_cluster_run(here.cluster, note_processes, NULL, 0));
    REFUSED(dsm_cluster_start(here.cluster, note_processes, NULL, 0));
    REFUSED(dsm_cluster_wait(here.cluster, 0));
    REFUSED(dsm_cluster_cancel(here.cluster, 0));
    REFUSED(dsm_cluster_refresh(here.cluster));
    REFUSED(dsm_cluster_worker(here.cluster, 0, &info));
    REFUSED(dsm_cluster_print_stats(here.cluster, stdout));
    /* What cannot fail. */
    if (dsm_cluster_workers(here.cluster) != 0 ||
        strcmp(dsm_cluster_name(here.cluster), "") != 0)
        return __LINE__;
    /* What needs no cluster. */
    if (dsm_cluster_list(visit_nothing, NULL) != 0 ||
        dsm_cluster_remove(scene()->name, false) != -EBUSY)
        return __LINE__;
    return 0;
}

static int
refused_by_arrays(void)
{
    dsm_array *array = here.array;

    REFUSED(
        dsm_array_create(&array, here.cluster, "C", DSM_INT8, DSM_SHAPE(1)));
    if (array)
        return __LINE__;
    REFUSED(dsm_array_open(&array, here.cluster, "A", DSM_ANY));
    REFUSED(dsm_array_view(&array, here.array, 0, 1));
    REFUSED(dsm_array_save(here.array, "/tmp/never"));
    REFUSED(dsm_array_destroy(here.view));
    REFUSED(dsm_array_destroy(here.array));
    return 0;
}

static int
refused_by_sync(void)
{
    uint64_t message = 0;
    dsm_barrier *barrier;
    dsm_queue *queue;
    dsm_lock *lock;

    REFUSED(dsm_lock_create(&lock, here.cluster, "M"));
    REFUSED(dsm_lock_open(&lock, here.cluster, "L"));
    REFUSED(dsm_lock_acquire(here.lock, DSM_FOREVER));
    REFUSED(dsm_lock_acquire(here.held, 0));
    REFUSED(dsm_lock_release(here.held));
    REFUSED(dsm_lock_destroy(here.lock));
    REFUSED(
        dsm_barrier_create(&barrier, here.cluster, "M", 1, DSM_BARRIER_ROBUST));
    REFUSED(dsm_barrier_open(&barrier, here.cluster, "R"));
    REFUSED(dsm_barrier_wait(here.robust));
    REFUSED(dsm_barrier_wait(here.pthread));
    REFUSED(dsm_barrier_destroy(here.robust));
    REFUSED(dsm_queue_create(&queue, here.cluster, "M", 1, 1));
    REFUSED(dsm_queue_open(&queue, here.cluster, "Q"));
    REFUSED(dsm_queue_push(here.queue, &message, DSM_FOREVER));
    REFUSED(dsm_queue_pop(here.queue, &message, DSM_FOREVER));
    REFUSED(dsm_queue_close(here.queue));
    REFUSED(dsm_queue_destroy(here.queue));
    return 0;
}

static int
call_everything(void *argument)
{
    (void)argument;
    scene()->value[0] = refused_by_the_cluster();
    scene()->value[1] = refused_by_arrays();
    scene()->value[2] = refused_by_sync();
    /* Does nothing, twice. */
    dsm_cluster_destroy(here.cluster);
    dsm_cluster_destroy(here.cluster);
    return 0;
}

START_TEST(a_childs_calls_are_refused)
{
    dsm_cluster *cluster = cluster_with_handles();

    ck_assert_int_eq(test_reap(test_host(call_everything, NULL)), 0);
    for (int k = 0; k < 3; k++)
        ck_assert_msg(scene()->value[k] == 0, "line %d", scene()->value[k]);
    ck_assert_int_eq(dsm_lock_release(here.held), 0);
    ck_untouched(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- How a child may end. */

static int
fall_through(void *argument)
{
    (void)argument;
    return 0;
}

static int
leave(void *argument)
{
    (void)argument;
    exit(0);
}

static int
destroy_and_leave(void *argument)
{
    dsm_cluster_destroy(argument);
    exit(0);
}

/* By a child of the child's. */
static int
fork_and_leave(void *argument)
{
    pid_t child = fork();

    if (child == 0) {
        dsm_cluster_destroy(argument);
        exit(0);
    }
    exit(test_reap(child));
}

static int
be_killed(void *argument)
{
    (void)argument;
    raise(SIGKILL);
    return 0;
}

static int (*const ways[])(void *) = {fall_through, leave, destroy_and_leave,
                                      fork_and_leave, be_killed};

#define WAYS ((int)(sizeof ways / sizeof *ways))

START_TEST(a_childs_end_leaves_the_cluster)
{
    dsm_cluster *cluster = scene_cluster();
    pid_t child = test_host(ways[_i], cluster);

    ck_assert_int_eq(test_reap(child), ways[_i] == be_killed ? SIGKILL : 0);
    ck_untouched(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* While a region runs, too. */
START_TEST(a_childs_end_leaves_the_region)
{
    dsm_cluster *cluster = scene_cluster();

    ck_dsm(dsm_cluster_start(cluster, compute, NULL, 0));
    test_await(workers_compute, NULL);
    (void)test_reap(test_host(ways[_i], cluster));
    ck_assert_int_eq(dsm_cluster_wait(cluster, 0), -ETIMEDOUT);
    ck_dsm(dsm_cluster_cancel(cluster, DSM_GRACE));
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_untouched(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A child is free to have a cluster of its own. */
static int
create_another(void *argument)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    options.name = argument;
    scene()->value[0] = dsm_cluster_create(&cluster, 2, &options);
    if (scene()->value[0] < 0)
        return 1;
    if (dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(100)) < 0 ||
        dsm_cluster_run(cluster, test_whole_part, NULL, 0) < 0 ||
        dsm_cluster_run(here.cluster, note_processes, NULL, 0) != -EPERM)
        return 2;
    dsm_cluster_destroy(here.cluster);
    if (dsm_cluster_run(cluster, test_whole_part, NULL, 0) < 0)
        return 3;
    /* This one's exit handler does what is left. */
    return 0;
}

START_TEST(a_child_has_a_cluster_of_its_own)
{
    const char *name = test_name();
    dsm_cluster *cluster = cluster_with_handles();

    ck_assert_int_eq(
        test_reap(test_host(create_another, (void *)(uintptr_t)name)), 0);
    ck_assert(test_nothing_left(name));
    ck_untouched(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A child that lives on, after its parent. */

enum child { FORKED, FORKED_BARE, SPAWNED, CHILDREN };

static pid_t
make_child(enum child kind)
{
    char *const sleep[] = {"sleep", "1000", NULL};
    pid_t child = -1;

    switch (kind) {
    case FORKED:
        child = fork();
        break;
    case FORKED_BARE: /* without the library's handler */
        child = _Fork();
        break;
    case SPAWNED:
        if (posix_spawn(&child, "/bin/sleep", NULL, NULL, sleep, environ) != 0)
            child = -1;
        break;
    case CHILDREN:
        break;
    }
    if (child == 0)
        pause_for_ever();
    return child;
}

static int
host_with_child(void *argument)
{
    dsm_cluster *cluster;

    host_begin();
    if (scene_create(&cluster) < 0)
        return 1;
    scene()->other = make_child(*(const enum child *)argument);
    scene()->ready = 1;
    while (!scene()->go)
        pause_briefly();
    execl("/bin/sleep", "sleep", "1000", NULL);
    return 1;
}

static pid_t
start_host_with_child(enum child kind)
{
    pid_t host;

    scene_begin();
    host = test_host(host_with_child, &kind);
    test_await(host_is_ready, NULL);
    ck_scene_on();
    ck_assert_int_gt(scene()->other, 1);
    return host;
}

static void
end_child(void)
{
    pid_t child = scene()->other;

    ck_assert(!test_gone(&child));
    kill(child, SIGKILL);
    test_await(test_gone, &child);
}

START_TEST(a_child_does_not_keep_the_cluster)
{
    pid_t host = start_host_with_child((enum child)_i);
    double since = test_now();

    kill(host, SIGKILL);
    ck_scene_over(since);
    end_child();
    ck_assert_int_eq(test_reap(host), SIGKILL);
}
END_TEST

/* Nor when its parent becomes another program, which only its socket tells. */
START_TEST(a_child_does_not_keep_it_from_an_exec)
{
    pid_t host = start_host_with_child(_i ? SPAWNED : FORKED);
    double since = test_now();

    scene()->go = 1;
    ck_scene_over(since);
    end_child();
    kill(host, SIGKILL);
    ck_assert_int_eq(test_reap(host), SIGKILL);
}
END_TEST

/* ---- Threads. */

static void *
create_in_thread(void *argument)
{
    *(dsm_cluster **)argument = scene_cluster();
    return NULL;
}

/* Workers are not told of the end of the thread that had them forked. */
START_TEST(the_creating_thread_may_end)
{
    dsm_cluster *cluster = NULL;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, create_in_thread, &cluster),
                     0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_untouched(cluster);
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(scene()->name));
}
END_TEST

/* Without end, as fast as it goes; some of it from the heap's top. */
static void *
hammer(void *argument)
{
    unsigned state = *(unsigned *)argument;

    while (!scene()->go) {
        void *block[8];

        for (int k = 0; k < 8; k++) {
            state = state * 1103515245 + 12345;
            block[k] = malloc(1 + (state >> 16) % (k ? 2000 : 200000));
            if (block[k])
                memset(block[k], 1, 1);
        }
        for (int k = 0; k < 8; k++)
            free(block[k]);
        atomic_fetch_add(&scene()->calls, 1);
    }
    return NULL;
}

static int
allocate(dsm_worker *self, const void *arg, size_t arg_size)
{
    void *block = malloc(100000);
    FILE *file = fopen("/dev/null", "we");

    (void)self, (void)arg, (void)arg_size;
    if (file)
        fclose(file);
    free(block);
    return !block || !file;
}

/* The heap's locks, which other threads hold at the moment of the fork, are
 * free in the supervisor and in the workers. */
START_TEST(other_threads_allocate)
{
    static unsigned seed[3] = {1, 2, 3};
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    pthread_t thread[3];

    /* AddressSanitizer's heap has a lock (of its quarantine) that its own fork
     * handlers forget. */
    if (test_sanitized())
        return;
    scene_begin();
    options.name = scene()->name;
    options.setup = allocate;
    for (int k = 0; k < 3; k++)
        ck_assert_int_eq(pthread_create(&thread[k], NULL, hammer, &seed[k]), 0);
    for (int round = 0; round < 50; round++) {
        int before = scene()->calls;

        ck_dsm(dsm_cluster_create(&cluster, 2, &options));
        ck_dsm(dsm_cluster_run(cluster, allocate, NULL, 0));
        dsm_cluster_destroy(cluster);
        while (scene()->calls == before)
            pause_briefly();
    }
    scene()->go = 1;
    for (int k = 0; k < 3; k++)
        ck_assert_int_eq(pthread_join(thread[k], NULL), 0);
}
END_TEST

#define CHILDREN_MAX 100

/* Children that stay, forked as often as it goes. */
static void *
fork_often(void *argument)
{
    pid_t *child = argument;

    for (int k = 0; k < CHILDREN_MAX && !scene()->go; k++) {
        child[k] = fork();
        if (child[k] == 0)
            pause_for_ever();
        atomic_fetch_add(&scene()->calls, 1);
        pause_briefly();
    }
    return NULL;
}

/* Condition: the process does not have the control segment open, whose lock
 * says that the cluster lives. */
static bool
has_no_control(const void *argument)
{
    pid_t pid = *(const pid_t *)argument;
    char path[64], target[512], control[128];
    bool found = false;

    snprintf(control, sizeof control, "/dev/shm/dsm.%lu.%s",
             (unsigned long)geteuid(), scene()->name);
    for (int fd = 0; fd < 64; fd++) {
        ssize_t n;

        snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)pid, fd);
        n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        /* A name that was unlinked has " (deleted)" behind it. */
        target[strcspn(target, " ")] = '\0';
        found = found || strcmp(target, control) == 0;
    }
    return !found;
}

/* One thread forks while another one creates: no child keeps what it must not
 * have, of which some would hide the supervisor's end and some keep a dead
 * cluster. */
START_TEST(other_threads_fork)
{
    static pid_t child[CHILDREN_MAX];
    pthread_t thread;

    scene_begin();
    ck_assert_int_eq(pthread_create(&thread, NULL, fork_often, child), 0);
    while (scene()->calls < CHILDREN_MAX) {
        dsm_cluster *cluster;
        double since;

        ck_dsm(scene_create(&cluster));
        test_whole(cluster);
        since = test_now();
        dsm_cluster_destroy(cluster);
        ck_within_a_second(since);
    }
    scene()->go = 1;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    for (int k = 0; k < CHILDREN_MAX; k++) {
        ck_assert_int_gt(child[k], 0);
        /* It may not have run at all yet. */
        test_await(has_no_control, &child[k]);
        kill(child[k], SIGKILL);
        ck_assert_int_eq(test_reap(child[k]), SIGKILL);
    }
}
END_TEST

static void *
call_often(void *argument)
{
    while (!scene()->go) {
        dsm_array *array;

        if (dsm_barrier_wait(argument) != 1 ||
            dsm_array_open(&array, here.cluster, "A", DSM_ANY) < 0)
            scene()->result = 1;
        atomic_fetch_add(&scene()->calls, 1);
    }
    return NULL;
}

static int
create_in_vain(void *argument)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    (void)argument;
    options.name = "";
    return dsm_cluster_create(&cluster, 1, &options) != -EINVAL;
}

/* No fork hangs for what another thread was just doing in the library, nor does
 * the child that then begins on its own. */
START_TEST(other_threads_call)
{
    dsm_barrier *barrier;
    pthread_t thread;

    here.cluster = scene_cluster();
    ck_dsm(dsm_barrier_create(&barrier, here.cluster, "one", 1,
                              DSM_BARRIER_ROBUST));
    ck_assert_int_eq(pthread_create(&thread, NULL, call_often, barrier), 0);
    while (scene()->calls == 0)
        pause_briefly();
    for (int k = 0; k < 500; k++) {
        pid_t child = test_host(create_in_vain, NULL);

        ck_assert_int_eq(test_reap(child), 0);
    }
    scene()->go = 1;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(scene()->result, 0);
    ck_untouched(here.cluster);
    dsm_cluster_destroy(here.cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("forks");
    TCase *tests = test_case(suite, "children");

    tcase_add_test(tests, a_childs_calls_are_refused);
    tcase_add_loop_test(tests, a_childs_end_leaves_the_cluster, 0, WAYS);
    tcase_add_loop_test(tests, a_childs_end_leaves_the_region, 0, WAYS);
    tcase_add_test(tests, a_child_has_a_cluster_of_its_own);
    tcase_add_loop_test(tests, a_child_does_not_keep_the_cluster, 0, CHILDREN);
    tcase_add_loop_test(tests, a_child_does_not_keep_it_from_an_exec, 0, 2);
    /* AddressSanitizer's own locks do not survive a fork beside other threads.
     */
    if (test_sanitized())
        return test_main(suite);
    tests = test_case(suite, "threads");
    tcase_add_test(tests, the_creating_thread_may_end);
    tcase_add_test(tests, other_threads_allocate);
    tcase_add_test(tests, other_threads_fork);
    tcase_add_test(tests, other_threads_call);
    return test_main(suite);
}
