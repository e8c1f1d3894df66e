/* Those who take remains away, against each other and against newborn clusters
 * of the same name: a sweeper that dies or stops half-way, a newborn that is
 * taken for a dead one, a name that changes hands. */
#include "base/point.h"
#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *
path_of(const char *rest)
{
    static char path[256];

    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s%s",
             (unsigned long)geteuid(), scene()->name, rest);
    return path;
}

static bool
is_there(const char *rest)
{
    struct stat status;

    return lstat(path_of(rest), &status) == 0;
}

static int
note_state(const dsm_cluster_info *info, void *arg)
{
    if (strcmp(info->name, scene()->name) == 0)
        *(int *)arg = (int)info->state;
    return 0;
}

/* The scene's cluster as it is listed; -1: it is not. */
static int
listed_state(void)
{
    int state = -1;

    ck_dsm(dsm_cluster_list(note_state, &state));
    return state;
}

/* A sweeper: its result. */
static int
sweep(void *argument)
{
    (void)argument;
    host_begin();
    scene()->result = dsm_cluster_remove(scene()->name, false);
    scene()->done = 1;
    return 0;
}

/* Creates the scene's cluster in this process and asserts that it is whole. */
static dsm_cluster *
create_whole(void)
{
    dsm_cluster *cluster;

    ck_dsm(scene_create(&cluster));
    ck_scene_on();
    return cluster;
}

static void
ck_whole(dsm_cluster *cluster)
{
    ck_assert(is_there(""));
    ck_assert(is_there(".A"));
    ck_assert(is_there(".B"));
    ck_assert(is_there("..ctl"));
    ck_assert_int_eq(listed_state(), DSM_CLUSTER_LIVE);
    test_whole(cluster);
}

/* ---- A sweeper that does not come to its end. */

static const char *const points[] = {"remains.locked", "remains.sweep",
                                     "remains.arrays"};

#define POINTS 3

START_TEST(a_sweeper_dies)
{
    const char *name;

    if (!private_shm())
        return;
    name = make_stale();
    test_kill_at(points[_i], 1, SIGKILL, 1);
    ck_assert_int_eq(test_reap(test_host(sweep, NULL)), SIGKILL);
    ck_assert(is_there(""));
    ck_assert_int_eq(listed_state(), DSM_CLUSTER_STALE);
    ck_dsm(dsm_cluster_remove(name, false));
    ck_assert(test_nothing_left(name));
}
END_TEST

static int
create_another(void *argument)
{
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    return dsm_cluster_create(&cluster, 1, NULL) < 0;
}

START_TEST(a_sweeping_create_dies)
{
    dsm_cluster *cluster;

    if (!private_shm())
        return;
    make_stale();
    test_kill_at(points[_i], 1, SIGKILL, 1);
    ck_assert_int_eq(test_reap(test_host(create_another, NULL)), SIGKILL);
    ck_assert(is_there(""));
    cluster = create_whole();
    ck_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_sweeper_is_stopped)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    pid_t sweeper;

    if (!private_shm())
        return;
    options.name = make_stale();
    test_kill_at(points[_i], 1, SIGSTOP, 1);
    sweeper = test_host(sweep, NULL);
    test_await(test_stopped, &sweeper);
    /* It has the lock: others neither wait for it nor take it from it. */
    ck_dsm_error(dsm_cluster_remove(options.name, false), -EBUSY, options.name);
    ck_dsm_error(dsm_cluster_create(&cluster, 1, &options), -EEXIST,
                 options.name);
    ck_assert_int_ne(listed_state(), DSM_CLUSTER_LIVE);
    cluster = test_cluster(1);
    test_whole(cluster);
    kill(sweeper, SIGCONT);
    ck_assert_int_eq(test_reap(sweeper), 0);
    ck_assert_int_eq(scene()->result, 0);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
    cluster = create_whole();
    ck_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- A newborn that is not locked yet. */

static int
newborn(void *argument)
{
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    scene()->result = scene_create(&cluster);
    if (scene()->result < 0)
        return 1;
    scene()->value[0] = is_there("") && is_there(".A") && is_there(".B");
    scene()->ready = 1;
    while (!scene()->go)
        pause_briefly();
    if (dsm_cluster_run(cluster, test_whole_part, NULL, 0) < 0 ||
        !is_there("") || !is_there(".A") || !is_there(".B"))
        return 1;
    dsm_cluster_destroy(cluster);
    return 0;
}

/* Lets the newborn go on, and asserts that it comes to life. */
static void
ck_newborn(pid_t host)
{
    kill(host, SIGCONT);
    test_await(host_is_ready, NULL);
    ck_assert_int_eq(scene()->value[0], 1);
    ck_scene_on();
    ck_assert_int_eq(listed_state(), DSM_CLUSTER_LIVE);
    ck_dsm_error(dsm_cluster_remove(scene()->name, false), -EBUSY,
                 scene()->name);
    scene()->go = 1;
    ck_assert_int_eq(test_reap(host), 0);
    ck_assert(test_nothing_left(scene()->name));
}

START_TEST(a_newborn_is_swept)
{
    pid_t host;

    if (!private_shm())
        return;
    scene_begin();
    test_kill_at("control.created", 1, SIGSTOP, 1);
    host = test_host(newborn, NULL);
    test_await(test_stopped, &host);
    ck_dsm(dsm_cluster_remove(scene()->name, false));
    ck_assert(test_nothing_left(scene()->name));
    ck_newborn(host);
}
END_TEST

/* While it was stopped another cluster got its name. */
START_TEST(a_newborn_finds_its_name_taken)
{
    dsm_cluster *cluster;
    pid_t host;

    if (!private_shm())
        return;
    scene_begin();
    test_kill_at("control.created", 1, SIGSTOP, 1);
    host = test_host(newborn, NULL);
    test_await(test_stopped, &host);
    /* This one sweeps it, as any would. */
    cluster = create_whole();
    kill(host, SIGCONT);
    ck_assert_int_eq(test_reap(host), W_EXITCODE(1, 0));
    ck_assert_int_eq(scene()->result, -EEXIST);
    ck_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static void
stop_and_limit(const char *point)
{
    struct rlimit limit = {4096, RLIM_INFINITY};

    if (strcmp(point, "segment.create") != 0)
        return;
    dsm__point_hook = NULL;
    raise(SIGSTOP);
    setrlimit(RLIMIT_FSIZE, &limit);
}

static int
failing_newborn(void *argument)
{
    dsm__point_hook = stop_and_limit;
    return newborn(argument);
}

/* The same, but then it could not be completed: what it takes away is not the
 * other's. */
START_TEST(a_newborn_fails_whose_name_is_taken)
{
    dsm_cluster *cluster;
    pid_t host;

    if (!private_shm())
        return;
    scene_begin();
    host = test_host(failing_newborn, NULL);
    test_await(test_stopped, &host);
    cluster = create_whole();
    kill(host, SIGCONT);
    ck_assert_int_eq(test_reap(host), W_EXITCODE(1, 0));
    ck_assert_int_eq(scene()->result, -EFBIG);
    ck_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Two sweepers have come as far as they can while the newborn stands still:
 * one has it locked, the other wants to. */
START_TEST(two_sweepers_and_a_newborn)
{
    pid_t host, sweeper[2];

    if (!private_shm())
        return;
    scene_begin();
    test_kill_at("control.created", 1, SIGSTOP, 1);
    host = test_host(newborn, NULL);
    test_await(test_stopped, &host);
    test_kill_at("remains.sweep", 1, SIGSTOP, 1);
    sweeper[0] = test_host(sweep, NULL);
    test_await(test_stopped, &sweeper[0]);
    sweeper[1] = test_host(sweep, NULL);
    kill(host, SIGCONT);
    kill(sweeper[0], SIGCONT);
    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(test_reap(sweeper[k]), 0);
    ck_newborn(host);
}
END_TEST

/* ---- A name that changes hands between a sweeper's opening of the segment and
 * its lock. */

static void
change_hands(const char *point)
{
    static const char *const rest[] = {".A", ".B", "..ctl", ""};

    if (strcmp(point, "remains.locked") != 0)
        return;
    dsm__point_hook = NULL;
    /* Its own supervisor unlinks the old one. */
    for (size_t k = 0; k < sizeof rest / sizeof *rest; k++)
        unlink(path_of(rest[k]));
    scene()->go = 1;
    (void)test_poll(host_is_ready, NULL);
}

static int
late_sweep(void *argument)
{
    dsm__point_hook = change_hands;
    return sweep(argument);
}

START_TEST(a_name_changes_hands)
{
    dsm_cluster *cluster;
    pid_t sweeper;

    if (!private_shm())
        return;
    make_stale();
    scene()->ready = 0;
    sweeper = test_host(late_sweep, NULL);
    while (!scene()->go)
        pause_briefly();
    cluster = create_whole();
    scene()->ready = 1;
    ck_assert_int_eq(test_reap(sweeper), 0);
    ck_assert_int_eq(scene()->result, -EBUSY);
    ck_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- All at once, many times. */

#define ROUNDS 60

static int
visit_any(const dsm_cluster_info *info, void *arg)
{
    (void)info, (void)arg;
    return 0;
}

/* In every way that there is, until the test is over. */
static int
keep_sweeping(void *argument)
{
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    for (unsigned k = 0; !scene()->go; k++) {
        int result = dsm_cluster_remove(scene()->name, false);

        if (result && result != -ENOENT && result != -EBUSY)
            return 1;
        if (dsm_cluster_list(visit_any, NULL) < 0)
            return 2;
        if (k % 16)
            continue;
        if (dsm_cluster_create(&cluster, 1, NULL) < 0)
            return 3;
        dsm_cluster_destroy(cluster);
    }
    return 0;
}

/* Remains of the scene's name, as nobody would make them in better order. */
static void
scatter(int round)
{
    static const char *const rest[] = {"", ".A", ".B", "..ctl"};

    for (int k = 0; k < 4; k++) {
        int fd = round >> k & 1 ? open(path_of(rest[k]), O_RDWR | O_CREAT, 0600)
                                : -1;

        if (fd >= 0)
            close(fd);
    }
}

START_TEST(sweepers_and_newborns)
{
    pid_t sweeper[2];

    if (!private_shm())
        return;
    scene_begin();
    for (int k = 0; k < 2; k++)
        sweeper[k] = test_host(keep_sweeping, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        dsm_cluster *cluster;

        scatter(round);
        ck_assert_msg(scene_create(&cluster) == 0, "round %d: %s", round,
                      dsm_last_error());
        for (int k = 0; k < 3; k++)
            ck_whole(cluster);
        dsm_cluster_destroy(cluster);
    }
    scene()->go = 1;
    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(test_reap(sweeper[k]), 0);
}
END_TEST

/* Programs that all start with the same name, after a crash of the last one:
 * one gets it, the others are told, and the one comes to no harm. */
static int
compete(void *argument)
{
    dsm_cluster *cluster;
    int result;

    (void)argument;
    host_begin();
    while (!scene()->ready)
        pause_briefly();
    result = scene_create(&cluster);
    atomic_fetch_add(&scene()->done, 1);
    if (result == -EEXIST)
        return 0;
    if (result < 0)
        return 1;
    atomic_fetch_add(&scene()->calls, 1);
    while (scene()->done < 3)
        pause_briefly();
    if (!is_there("") || !is_there(".A") || !is_there(".B") ||
        dsm_cluster_run(cluster, test_whole_part, NULL, 0) < 0)
        return 1;
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(newborns_of_one_name)
{
    if (!private_shm())
        return;
    scene_begin();
    for (int round = 0; round < ROUNDS; round++) {
        pid_t host[3];

        scene()->ready = scene()->done = scene()->calls = 0;
        for (int k = 0; k < 3; k++)
            host[k] = test_host(compete, NULL);
        scatter(round);
        scene()->ready = 1;
        for (int k = 0; k < 3; k++)
            ck_assert_int_eq(test_reap(host[k]), 0);
        ck_assert_int_eq(scene()->calls, 1);
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("sweepers");
    TCase *tests = test_case(suite, "half-way");

    tcase_add_loop_test(tests, a_sweeper_dies, 0, POINTS);
    tcase_add_loop_test(tests, a_sweeping_create_dies, 0, POINTS);
    tcase_add_loop_test(tests, a_sweeper_is_stopped, 0, POINTS);
    tests = test_case(suite, "newborns");
    tcase_add_test(tests, a_newborn_is_swept);
    tcase_add_test(tests, a_newborn_finds_its_name_taken);
    tcase_add_test(tests, a_newborn_fails_whose_name_is_taken);
    tcase_add_test(tests, two_sweepers_and_a_newborn);
    tcase_add_test(tests, a_name_changes_hands);
    tests = test_case(suite, "many");
    tcase_add_test(tests, sweepers_and_newborns);
    tcase_add_test(tests, newborns_of_one_name);
    return test_main(suite);
}
