/* Workers die in every manner, several at once, one after the other, at random
 * times; and what they leave behind goes too. */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define GRACE_MS 300

/* In test_shared. */
struct stage {
    _Atomic unsigned began, rounds;
    _Atomic pid_t child[3];
};

static struct stage *
stage(void)
{
    return test_shared;
}

static dsm_cluster *
create(unsigned workers, bool controller_works)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    struct rlimit none = {0, 0};
    dsm_cluster *cluster;

    setrlimit(RLIMIT_CORE, &none);
    options.name = test_name();
    options.grace_ms = GRACE_MS;
    options.controller_works = controller_works;
    ck_dsm(dsm_cluster_create(&cluster, workers, &options));
    return cluster;
}

static void
until_cancelled(dsm_worker *self)
{
    while (!dsm_worker_cancelled(self))
        usleep(1000);
}

/* ---- Manners. */

enum manner {
    FAULT,
    OVERFLOW,
    ABORT,
    DIVIDE,
    EXIT_3,
    EXIT_0,
    UNDERSCORE_EXIT,
    EXECUTE,
    MANNERS
};

static const struct {
    int signal, exit_code;
} expected[MANNERS] = {
    [FAULT] = {.signal = SIGSEGV},        [OVERFLOW] = {.signal = SIGSEGV},
    [ABORT] = {.signal = SIGABRT},        [DIVIDE] = {.signal = SIGFPE},
    [EXIT_3] = {.exit_code = 3},          [EXIT_0] = {.exit_code = 0},
    [UNDERSCORE_EXIT] = {.exit_code = 0}, [EXECUTE] = {.exit_code = 1},
};

static int
overflow(volatile char *above)
{
    volatile char frame[4096];

    frame[0] = above[0];
    return above[0] ? overflow(frame) + frame[0] : 0;
}

static void
leave(enum manner manner)
{
    switch (manner) {
    case FAULT:
        *(volatile char *)mmap(NULL, 4096, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
        break;
    case OVERFLOW:
        overflow((char[]){1});
        break;
    case ABORT:
        abort();
    case DIVIDE:
        raise(SIGFPE);
        break;
    case EXIT_3:
        exit(3);
    case EXIT_0:
        exit(0);
    case UNDERSCORE_EXIT:
        _exit(0);
    case EXECUTE:
        execl("/bin/false", "false", (char *)NULL);
        break;
    default:
        break;
    }
}

static int
leave_somehow(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    dsm_worker_barrier(self);
    if (dsm_worker_id(self) == 2)
        leave(*(const enum manner *)arg);
    return dsm_worker_barrier(self) == DSM_EBROKEN ? 0 : 1;
}

static pid_t host;

static void
never_in_a_worker(void)
{
    if (getpid() != host)
        stage()->rounds++;
}

START_TEST(every_manner)
{
    dsm_cluster *cluster;
    enum manner manner = (enum manner)_i;
    char text[64];

    host = getpid();
    atexit(never_in_a_worker);
    cluster = create(3, false);
    for (int k = 0; k < 3; k++) {
        pid_t pid = test_pid(cluster, 2);
        double begin = test_now();

        snprintf(text, sizeof text, "worker 2 (pid %ld) %s", (long)pid,
                 expected[_i].signal ? "died of SIG" : "called exit(");
        ck_dsm_error(
            dsm_cluster_run(cluster, leave_somehow, &manner, sizeof manner),
            DSM_EWORKER, text);
        ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
        test_died(cluster, 2, pid, expected[_i].signal, expected[_i].exit_code);
        ck_assert_str_eq(test_info(cluster, 2).message, dsm_last_error());
        test_whole(cluster);
        ck_assert_int_ne(test_pid(cluster, 2), pid);
    }
    ck_assert_uint_eq(stage()->rounds, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Several. */

static int
die_if_told(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned victims = *(const unsigned *)arg; /* a bit for each */

    (void)arg_size;
    dsm_worker_barrier(self);
    if (victims >> dsm_worker_id(self) % 32 & 1)
        raise(SIGKILL);
    until_cancelled(self);
    return 0;
}

START_TEST(several_at_once)
{
    dsm_cluster *cluster = create(4, false);

    for (unsigned victims = 1; victims < 16; victims++) {
        pid_t pid[4];
        double begin;

        for (unsigned w = 0; w < 4; w++)
            pid[w] = test_pid(cluster, w);
        begin = test_now();
        ck_dsm_error(
            dsm_cluster_run(cluster, die_if_told, &victims, sizeof victims),
            DSM_EWORKER, "died of SIGKILL in region");
        ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
        for (unsigned w = 0; w < 4; w++)
            if (victims >> w & 1)
                test_died(cluster, w, pid[w], SIGKILL, 0);
            else
                ck_assert_str_eq(test_info(cluster, w).message, "");
        test_whole(cluster);
        for (unsigned w = 0; w < 4; w++)
            ck_assert_int_eq(test_pid(cluster, w) != pid[w], victims >> w & 1);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* The ends of parts are counted in three words, and one of two workers dies. */
START_TEST(many_at_once)
{
    dsm_cluster *cluster = create(130, false);
    unsigned victims = 0x55555555; /* of each 32 */

    ck_dsm_error(
        dsm_cluster_run(cluster, die_if_told, &victims, sizeof victims),
        DSM_EWORKER, "died of SIGKILL in region");
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
die_in_turn(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned round = *(const unsigned *)arg, id = dsm_worker_id(self);

    (void)arg_size;
    if (id == round % 3 && round / 3 % 2)
        dsm_worker_barrier(self);
    if (id == round % 3)
        raise(SIGKILL);
    dsm_worker_barrier(self);
    return 0;
}

START_TEST(two_hundred_in_a_row)
{
    dsm_cluster *cluster = create(3, false);
    uint64_t deaths = 0;

    for (unsigned round = 0; round < 200; round++) {
        pid_t pid = test_pid(cluster, round % 3);
        char text[64] = "died of SIGKILL";

        /* None as long as the place is empty. */
        if (pid)
            snprintf(text, sizeof text, "worker %u (pid %ld) died of SIGKILL",
                     round % 3, (long)pid);
        ck_dsm_error(
            dsm_cluster_run(cluster, die_in_turn, &round, sizeof round),
            DSM_EWORKER, text);
    }
    test_whole(cluster);
    for (unsigned w = 0; w < 3; w++)
        deaths += test_info(cluster, w).deaths;
    ck_assert_uint_eq(deaths, 200);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- At random. */

struct killer {
    dsm_cluster *cluster;
    _Atomic bool stop;
    unsigned seed, kills;
};

static void *
kill_at_random(void *arg)
{
    struct killer *killer = arg;

    while (!killer->stop) {
        unsigned w = (unsigned)rand_r(&killer->seed) %
                     dsm_cluster_workers(killer->cluster);
        dsm_worker_info info = DSM_WORKER_INFO_INIT;

        /* Three in a row who die as they start make a cluster useless. */
        if (dsm_cluster_worker(killer->cluster, w, &info) == 0 &&
            info.pid > 0 && info.pid != getpid() &&
            info.state != DSM_WORKER_STARTING && kill(info.pid, SIGKILL) == 0)
            killer->kills++;
        usleep((unsigned)rand_r(&killer->seed) % 5000);
    }
    return NULL;
}

static int
meet_often(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    for (int k = 0; k < 20; k++) {
        double sum = 1;

        if (dsm_worker_barrier(self) < 0)
            return 0;
        if (dsm_worker_reduce(self, &sum, 1, DSM_FLOAT64, &DSM_SUM) < 0)
            return 0;
        if (sum != dsm_worker_count(self))
            return 1;
    }
    stage()->rounds++;
    return 0;
}

/* Messages go round; whoever has the lock counts in the array "A". */
static int
use_objects(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_queue *queue = (dsm_queue *)(uintptr_t)arg;
    dsm_array *array = dsm_worker_array(self, "A");
    int64_t *items = dsm_array_data(array), message;

    (void)arg_size;
    for (int k = 0; k < 300; k++) {
        int result = dsm_lock_acquire(dsm_array_lock(array), DSM_FOREVER);

        if (result < 0)
            return 1;
        if (result == 1)
            items[0] = items[1]; /* its holder died in the middle */
        items[0]++;
        items[1]++;
        if (items[0] != items[1])
            return 2;
        if (dsm_lock_release(dsm_array_lock(array)) < 0)
            return 3;
        message = k;
        result = dsm_queue_push(queue, &message, DSM_FOREVER);
        if (result == 0)
            result = dsm_queue_pop(queue, &message, DSM_FOREVER);
        if (result == DSM_ECANCELED)
            return 0;
        if (result < 0 || message < 0 || message >= 300)
            return 4;
    }
    stage()->rounds++;
    return 0;
}

/* At least 500 regions, of which 50 lose a worker if there is time. */
static void
storm(dsm_cluster *cluster, dsm_fn fn, const void *arg)
{
    struct killer killer = {.cluster = cluster, .seed = 42};
    double end = test_now() + 20;
    unsigned lost = 0;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, kill_at_random, &killer), 0);
    for (int k = 0; k < 500 || (lost < 50 && test_now() < end); k++) {
        unsigned before = stage()->rounds;
        int result = dsm_cluster_run(cluster, fn, arg, 0);

        ck_assert_msg(result == 0 || result == DSM_EWORKER, "%s (%s)",
                      dsm_errname(result), dsm_last_error());
        if (result == 0)
            ck_assert_uint_eq(stage()->rounds,
                              before + dsm_cluster_workers(cluster));
        lost += result != 0;
    }
    killer.stop = true;
    pthread_join(thread, NULL);
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_ge(killer.kills, lost);
    test_whole(cluster);
}

START_TEST(at_random)
{
    dsm_cluster *cluster = create(3, _i);

    storm(cluster, meet_often, NULL);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(at_random_with_objects)
{
    dsm_cluster *cluster = create(3, false);
    dsm_array *array;
    dsm_queue *queue;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT64, DSM_SHAPE(2)));
    ck_dsm(dsm_queue_create(&queue, cluster, "Q", 10000, sizeof(int64_t)));
    storm(cluster, use_objects, queue);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Stopped. */

static int
compute(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned deaf = *(const unsigned *)arg; /* it does not hear */

    (void)arg_size;
    stage()->began++;
    if (dsm_worker_id(self) != deaf)
        until_cancelled(self);
    while (dsm_worker_id(self) == deaf)
        usleep(1000);
    return 0;
}

static bool
all_began(const void *cluster)
{
    return stage()->began == dsm_cluster_workers(cluster);
}

START_TEST(stopped_and_killed)
{
    dsm_cluster *cluster = create(3, false);
    pid_t pid = test_pid(cluster, 1);
    unsigned deaf = 99;
    char text[64];

    ck_dsm(dsm_cluster_start(cluster, compute, &deaf, sizeof deaf));
    test_await(all_began, cluster);
    kill(pid, SIGSTOP);
    test_await(test_stopped, &pid);
    /* Stopped is not dead. */
    ck_dsm_error(dsm_cluster_wait(cluster, 500), -ETIMEDOUT, "still runs");
    kill(pid, SIGKILL);
    snprintf(text, sizeof text, "worker 1 (pid %ld) died of SIGKILL",
             (long)pid);
    ck_dsm_error(dsm_cluster_wait(cluster, 10000), DSM_EWORKER, text);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A survivor that cannot obey, or will not, has the grace and no more. */
START_TEST(stopped_survivor)
{
    dsm_cluster *cluster = create(3, false);
    unsigned deaf = 0;
    pid_t pid[3];
    double begin;

    for (unsigned w = 0; w < 3; w++)
        pid[w] = test_pid(cluster, w);
    ck_dsm(dsm_cluster_start(cluster, compute, &deaf, sizeof deaf));
    test_await(all_began, cluster);
    kill(pid[2], SIGSTOP);
    test_await(test_stopped, &pid[2]);
    begin = test_now();
    kill(pid[1], SIGKILL);
    ck_dsm_error(dsm_cluster_wait(cluster, 10000), DSM_EWORKER, "worker 1");
    ck_assert_double_ge(test_now() - begin, GRACE_MS / 1000.0);
    ck_assert_double_lt(test_now() - begin, test_grace(GRACE_MS));
    for (unsigned w = 0; w < 3; w++)
        test_died(cluster, w, pid[w], SIGKILL, 0);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- What they leave behind. */

/* Makes a child, which makes another in a session of its own. */
static void
make_family(void)
{
    pid_t child = fork();

    if (child == 0) {
        stage()->child[0] = getpid();
        if (fork() == 0) {
            setsid();
            stage()->child[1] = getpid();
        }
        for (;;)
            pause();
    }
}

static int
leave_a_family(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    if (dsm_worker_id(self) != 1)
        return 0;
    make_family();
    while (!stage()->child[0] || !stage()->child[1])
        usleep(1000);
    if (*(const bool *)arg)
        raise(SIGKILL);
    return 0;
}

START_TEST(grandchildren_go_too)
{
    dsm_cluster *cluster = create(2, false);
    bool die = _i;
    pid_t child[2];

    if (die) {
        ck_dsm_error(dsm_cluster_run(cluster, leave_a_family, &die, sizeof die),
                     DSM_EWORKER, "worker 1");
    } else {
        ck_dsm(dsm_cluster_run(cluster, leave_a_family, &die, sizeof die));
        test_whole(cluster);
    }
    for (int k = 0; k < 2; k++)
        child[k] = stage()->child[k];
    if (!die) {
        ck_assert_int_eq(kill(child[0], 0), 0); /* they may live on */
        ck_assert_int_eq(kill(child[1], 0), 0);
        dsm_cluster_destroy(cluster);
    }
    for (int k = 0; k < 2; k++)
        test_await(test_gone, &child[k]);
    if (die) {
        test_whole(cluster);
        dsm_cluster_destroy(cluster);
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("death_many");
    TCase *tests = test_case(suite, "manners");

    tcase_add_loop_test(tests, every_manner, 0, MANNERS);

    tests = test_case(suite, "several");
    tcase_add_test(tests, several_at_once);
    tcase_add_test(tests, many_at_once);
    tcase_add_test(tests, two_hundred_in_a_row);

    tests = test_case(suite, "random");
    tcase_add_loop_test(tests, at_random, 0, 2);
    tcase_add_test(tests, at_random_with_objects);

    tests = test_case(suite, "stopped");
    tcase_add_test(tests, stopped_and_killed);
    tcase_add_test(tests, stopped_survivor);

    tests = test_case(suite, "left");
    tcase_add_loop_test(tests, grandchildren_go_too, 0, 2);
    return test_main(suite);
}
