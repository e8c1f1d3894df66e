/* Other programs at a cluster: attach, list, objects, remove.  The second
 * program is this one, started again with arguments: NAME ACT [TEXT]. */
#include "workers.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The second program. */

#define need(condition)                                                        \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "second program: %s:%d: %s ('%s')\n", __FILE__,    \
                    __LINE__, #condition, dsm_last_error());                   \
            return 1;                                                          \
        }                                                                      \
    } while (0)

struct node {
    struct node *next;
    int64_t value;
};

/* Shares objects both ways; `text` is the address of the array "list". */
static int
share_objects(dsm_cluster *cluster, const char *text)
{
    dsm_array *list, *answer;
    dsm_lock *lock;
    dsm_queue *queue;
    struct node *node, **head;
    int64_t message;
    int sum = 0;

    need(dsm_array_open(&list, cluster, "list", DSM_ANY) == 0);
    need((uintptr_t)dsm_array_data(list) == strtoumax(text, NULL, 16));
    for (node = dsm_array_data(list); node; node = node->next)
        sum += (int)node->value;
    need(sum == 1 + 2 + 3);
    need(dsm_lock_open(&lock, cluster, "L") == 0);
    need(dsm_lock_acquire(lock, DSM_FOREVER) == 0);
    need(dsm_lock_release(lock) == 0);
    need(dsm_queue_open(&queue, cluster, "Q") == 0);
    need(dsm_queue_pop(queue, &message, 0) == 0 && message == 17);
    /* One of its own, with a pointer into the other one. */
    need(dsm_array_create(&answer, cluster, "answer", DSM_UINT64,
                          DSM_SHAPE(100)) == 0);
    head = dsm_array_data(answer);
    *head = dsm_array_data(list);
    node = *head;
    node->value = 100;
    message = (int64_t)(uintptr_t)head;
    need(dsm_queue_push(queue, &message, 0) == 0);
    return 0;
}

static int
do_nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

static int
try_regions(dsm_cluster *cluster, const char *text)
{
    dsm_worker_info info = DSM_WORKER_INFO_INIT;
    FILE *stream = fopen("/dev/null", "we");

    need(dsm_cluster_workers(cluster) == 2);
    need(strcmp(dsm_cluster_name(cluster), text) == 0);
    need(dsm_cluster_run(cluster, do_nothing, NULL, 0) == -EPERM);
    need(strstr(dsm_last_error(), text));
    need(dsm_cluster_start(cluster, do_nothing, NULL, 0) == -EPERM);
    need(dsm_cluster_cancel(cluster, 0) == -EPERM);
    need(dsm_cluster_wait(cluster, 0) < 0);
    need(dsm_cluster_worker(cluster, 1, &info) == 0);
    need(info.state == DSM_WORKER_IDLE && kill(info.pid, 0) == 0);
    need(info.regions == 1);
    need(stream && dsm_cluster_print_stats(cluster, stream) == 0);
    fclose(stream);
    return 0;
}

static int
refresh(dsm_cluster *cluster, const char *text)
{
    dsm_worker_info before = DSM_WORKER_INFO_INIT, after = before;

    (void)text;
    need(dsm_cluster_worker(cluster, 1, &before) == 0);
    need(dsm_cluster_refresh(cluster) == 0);
    need(dsm_cluster_worker(cluster, 1, &after) == 0);
    need(after.pid != before.pid && after.state == DSM_WORKER_IDLE);
    return 0;
}

static int
refresh_in_vain(dsm_cluster *cluster, const char *text)
{
    (void)text;
    need(dsm_cluster_refresh(cluster) == -EBUSY);
    need(strstr(dsm_last_error(), "region"));
    return 0;
}

/* More often than there are places for clients at a time. */
static int
attach_often(dsm_cluster *cluster, const char *text)
{
    (void)cluster;
    for (int k = 0; k < 200; k++) {
        dsm_cluster *again;
        dsm_array *array;

        need(dsm_cluster_attach(&again, text) == 0);
        need(dsm_array_open(&array, again, "list", DSM_ANY) == 0);
        dsm_cluster_destroy(again);
    }
    return 0;
}

/* Says so in the array "flag", and stays until it is killed. */
static int
stay(dsm_cluster *cluster, const char *text)
{
    dsm_array *array;
    dsm_lock *lock;

    need(dsm_array_open(&array, cluster, "flag", DSM_INT32) == 0);
    if (strcmp(text, "lock") == 0) {
        need(dsm_lock_open(&lock, cluster, "L") == 0);
        need(dsm_lock_acquire(lock, 0) == 0);
    }
    atomic_fetch_add((_Atomic int32_t *)dsm_array_data(array), 1);
    for (;;)
        pause();
}

static int
leave_without_a_word(dsm_cluster *cluster, const char *text)
{
    need(cluster && strcmp(text, "exit") == 0);
    exit(0);
}

/* Takes part in `text` rounds of the barrier "B", and says so before each. */
static int
meet(dsm_cluster *cluster, const char *text)
{
    dsm_barrier *barrier;

    need(dsm_barrier_open(&barrier, cluster, "B") == 0);
    for (int k = 0; k < atoi(text); k++)
        need(dsm_barrier_wait(barrier) >= 0);
    return 0;
}

static int
meet_and_stay(dsm_cluster *cluster, const char *text)
{
    return meet(cluster, text) || stay(cluster, "");
}

static const struct {
    const char *name;
    int (*run)(dsm_cluster *cluster, const char *text);
} acts[] = {
    {"objects", share_objects},
    {"regions", try_regions},
    {"refresh", refresh},
    {"refresh-busy", refresh_in_vain},
    {"often", attach_often},
    {"stay", stay},
    {"leave", leave_without_a_word},
    {"meet", meet},
    {"meet-and-stay", meet_and_stay},
};

static int
second_program(const char *name, const char *act, const char *text)
{
    dsm_cluster *cluster = NULL;
    int result = 1, expected = atoi(act);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (expected) {
        need(dsm_cluster_attach(&cluster, name) == expected && !cluster);
        need(strstr(dsm_last_error(), text));
        return 0;
    }
    if (strcmp(act, "often") != 0)
        need(dsm_cluster_attach(&cluster, name) == 0);
    for (size_t k = 0; k < sizeof acts / sizeof *acts; k++)
        if (strcmp(acts[k].name, act) == 0)
            result = acts[k].run(cluster, text);
    dsm_cluster_destroy(cluster);
    return result;
}

/* ---- The first program. */

static pid_t
spawn(const char *name, const char *act, const char *text)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        execl("/proc/self/exe", "second", name, act, text, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void
ck_second(const char *name, const char *act, const char *text)
{
    ck_assert_int_eq(test_reap(spawn(name, act, text)), 0);
}

/* Attaching fails there with this code, and a sentence that has `text`. */
static void
ck_refused(const char *name, int code, const char *text)
{
    char act[16];

    snprintf(act, sizeof act, "%d", code);
    ck_second(name, act, text);
}

static int
check_answer(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct node **head = dsm_array_data(dsm_worker_array(self, "answer"));

    (void)arg_size;
    return (const void *)head != arg || (*head)->value != 100 ||
           (*head)->next->value != 2;
}

START_TEST(objects_both_ways)
{
    dsm_cluster *cluster = test_cluster(2);
    const char *name = dsm_cluster_name(cluster);
    dsm_array *list, *answer;
    dsm_lock *lock;
    dsm_queue *queue;
    int64_t message = 17;
    struct node *node;
    char address[32];

    ck_dsm(dsm_array_create(&list, cluster, "list",
                            DSM_STRUCT(sizeof(struct node)), DSM_SHAPE(3)));
    node = dsm_array_data(list);
    for (int k = 0; k < 3; k++)
        node[k] = (struct node){k < 2 ? &node[k + 1] : NULL, k + 1};
    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    ck_dsm(dsm_queue_create(&queue, cluster, "Q", 3, sizeof message));
    ck_dsm(dsm_queue_push(queue, &message, 0));
    snprintf(address, sizeof address, "%" PRIxPTR, (uintptr_t)node);
    ck_second(name, "objects", address);
    ck_assert_int_eq(node->value, 100);
    ck_dsm(dsm_queue_pop(queue, &message, 0));
    ck_dsm(dsm_array_open(&answer, cluster, "answer", DSM_UINT64));
    ck_assert_ptr_eq(dsm_array_data(answer), (void *)(uintptr_t)message);
    ck_assert_ptr_eq(*(struct node **)dsm_array_data(answer), node);
    ck_dsm(dsm_cluster_run(cluster, check_answer, dsm_array_data(answer), 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(regions_are_the_creators)
{
    dsm_cluster *cluster = test_cluster(2);

    test_whole(cluster);
    ck_second(dsm_cluster_name(cluster), "regions", dsm_cluster_name(cluster));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
hold(dsm_worker *self, const void *arg, size_t arg_size)
{
    _Atomic bool *go = test_shared;

    (void)self, (void)arg, (void)arg_size;
    while (!*go)
        usleep(1000);
    return 0;
}

START_TEST(refresh_from_outside)
{
    dsm_cluster *cluster = test_cluster(3);
    pid_t pid = test_pid(cluster, 0);

    ck_second(dsm_cluster_name(cluster), "refresh", "");
    ck_assert_int_ne(test_pid(cluster, 0), pid);
    test_whole(cluster);
    pid = test_pid(cluster, 0);
    ck_dsm(dsm_cluster_start(cluster, hold, NULL, 0));
    ck_second(dsm_cluster_name(cluster), "refresh-busy", "");
    *(_Atomic bool *)test_shared = true;
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_assert_int_eq(test_pid(cluster, 0), pid);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(attach_and_detach)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "list", DSM_INT8, DSM_SHAPE(3)));
    ck_second(dsm_cluster_name(cluster), "often", dsm_cluster_name(cluster));
    ck_second(dsm_cluster_name(cluster), "leave", "exit");
    test_whole(cluster);
    ck_dsm(dsm_array_open(&array, cluster, "list", DSM_ANY));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* The array "flag" and the wait for its value. */
static _Atomic int32_t *
create_flag(dsm_cluster *cluster)
{
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, "flag", DSM_INT32, DSM_SHAPE(1)));
    return dsm_array_data(array);
}

struct flag {
    _Atomic int32_t *flag;
    int32_t value;
};

static bool
flag_reached(const void *argument)
{
    const struct flag *wait = argument;

    return *wait->flag == wait->value;
}

static void
await_flag(_Atomic int32_t *flag, int32_t value)
{
    struct flag wait = {flag, value};

    test_await(flag_reached, &wait);
}

START_TEST(an_attached_program_dies)
{
    dsm_cluster *cluster = test_cluster(2);
    _Atomic int32_t *flag = create_flag(cluster);
    dsm_lock *lock;
    pid_t pid;

    ck_dsm(dsm_lock_create(&lock, cluster, "L"));
    for (int k = 1; k <= 5; k++) {
        pid = spawn(dsm_cluster_name(cluster), "stay", "lock");
        await_flag(flag, k);
        ck_dsm_error(dsm_lock_acquire(lock, 0), -ETIMEDOUT, "L");
        kill(pid, SIGKILL);
        ck_assert_int_eq(dsm_lock_acquire(lock, 10000), 1);
        ck_dsm(dsm_lock_release(lock));
        test_reap(pid);
        test_whole(cluster);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

struct victim {
    pid_t pid, waiter;
};

/* Kills the victim as soon as the waiter sleeps. */
static void *
kill_it(void *arg)
{
    const struct victim *victim = arg;

    if (!test_poll(test_asleep, &victim->waiter))
        return arg;
    kill(victim->pid, SIGKILL);
    return NULL;
}

/* Who met it at a barrier waits for it no longer. */
START_TEST(an_attached_program_dies_that_has_met_others)
{
    dsm_cluster *cluster = test_cluster(2);
    _Atomic int32_t *flag = create_flag(cluster);
    struct victim victim = {.waiter = getpid()};
    dsm_barrier *barrier;
    pthread_t thread;
    void *result;

    ck_dsm(dsm_barrier_create(&barrier, cluster, "B", 2, DSM_BARRIER_ROBUST));
    for (int k = 1; k <= 3; k++) {
        victim.pid = spawn(dsm_cluster_name(cluster), "meet-and-stay", "2");
        ck_dsm(dsm_barrier_wait(barrier));
        ck_dsm(dsm_barrier_wait(barrier));
        await_flag(flag, k);
        ck_assert_int_eq(pthread_create(&thread, NULL, kill_it, &victim), 0);
        ck_dsm_error(dsm_barrier_wait(barrier), DSM_EBROKEN, "B");
        pthread_join(thread, &result);
        ck_assert_ptr_null(result);
        test_reap(victim.pid);
    }
    victim.pid = spawn(dsm_cluster_name(cluster), "meet", "1");
    ck_dsm(dsm_barrier_wait(barrier));
    ck_assert_int_eq(test_reap(victim.pid), 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A cluster ends with its creator, also when others are attached. */
START_TEST(the_cluster_goes_first)
{
    dsm_cluster *cluster = test_cluster(2);
    char name[DSM_NAME_MAX + 1];
    pid_t pid;

    strcpy(name, dsm_cluster_name(cluster));
    pid = spawn(name, "stay", "");
    await_flag(create_flag(cluster), 1);
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(name));
    kill(pid, SIGKILL);
    test_reap(pid);
}
END_TEST

/* More programs than there are places: the last ones are refused, and all is
 * well when the others have gone. */
START_TEST(too_many_programs)
{
    dsm_cluster *cluster = test_cluster(2);
    const char *name = dsm_cluster_name(cluster);
    _Atomic int32_t *flag = create_flag(cluster);
    pid_t pid[64];

    for (int k = 0; k < 64; k++)
        pid[k] = spawn(name, "stay", "");
    await_flag(flag, 64);
    ck_refused(name, -EAGAIN, "64 clients");
    for (int k = 0; k < 64; k++) {
        kill(pid[k], SIGKILL);
        test_reap(pid[k]);
    }
    test_whole(cluster);
    ck_second(name, "regions", name);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
tell_supervisor(dsm_worker *self, const void *arg, size_t arg_size)
{
    pid_t *supervisor = dsm_array_data(dsm_worker_array(self, "supervisor"));

    (void)arg, (void)arg_size;
    *supervisor = getppid();
    return 0;
}

/* Those with numbers below `limit`. */
static int
open_files(pid_t pid, int limit)
{
    char path[64];
    struct dirent *entry;
    DIR *files;
    int open = 0;

    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    files = opendir(path);
    ck_assert_ptr_nonnull(files);
    while ((entry = readdir(files)))
        open += entry->d_name[0] != '.' && atoi(entry->d_name) < limit;
    closedir(files);
    return open;
}

/* The supervisor has no descriptor left: who comes is told at once, and may
 * come again when another has gone. */
START_TEST(too_many_files)
{
    enum { FILES = 40 };
    struct rlimit before, few;
    dsm_cluster *cluster;
    _Atomic int32_t *flag;
    const char *name;
    dsm_array *array;
    pid_t pid[FILES], supervisor;
    int left;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){FILES, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    cluster = test_cluster(2);
    name = dsm_cluster_name(cluster);
    flag = create_flag(cluster);
    ck_dsm(dsm_array_create(&array, cluster, "supervisor", DSM_INT32, 0, NULL));
    ck_dsm(dsm_cluster_run(cluster, tell_supervisor, NULL, 0));
    supervisor = *(pid_t *)dsm_array_data(array);
    left = FILES - open_files(supervisor, FILES);
    ck_assert(left > 0 && left <= FILES);
    for (int k = 0; k < left; k++)
        pid[k] = spawn(name, "stay", "");
    await_flag(flag, left);
    for (int k = 0; k < 3; k++)
        ck_refused(name, -EMFILE, "ulimit -n");
    test_whole(cluster);
    for (int k = 0; k < left; k++) {
        kill(pid[k], SIGKILL);
        test_reap(pid[k]);
    }
    test_whole(cluster);
    ck_second(name, "refresh", name);
    dsm_cluster_destroy(cluster);
    setrlimit(RLIMIT_NOFILE, &before);
}
END_TEST

int
main(int argc, char **argv)
{
    Suite *suite;
    TCase *tests;

    if (argc == 4)
        return second_program(argv[1], argv[2], argv[3]);
    suite = suite_create("cluster_attach");
    tests = test_case(suite, "attach");
    tcase_add_test(tests, objects_both_ways);
    tcase_add_test(tests, regions_are_the_creators);
    tcase_add_test(tests, refresh_from_outside);
    tcase_add_test(tests, attach_and_detach);
    tcase_add_test(tests, an_attached_program_dies);
    tcase_add_test(tests, an_attached_program_dies_that_has_met_others);
    tcase_add_test(tests, the_cluster_goes_first);
    tcase_add_test(tests, too_many_programs);
    tcase_add_test(tests, too_many_files);
    return test_main(suite);
}
