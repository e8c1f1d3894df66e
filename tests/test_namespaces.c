/* Containers that share one /dev/shm: process IDs mean nothing across them, and
 * only locks tell who lives.  No sweep of one takes away what lives in another;
 * what died with its container anybody of the same user takes away. */
#include "acts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- Containers. */

struct program {
    int (*body)(void *arg);
    void *arg;
};

/* Process 1: starts the program, as process 2, and buries whoever ends. */
static _Noreturn void
be_init(const struct program *program)
{
    int status, result = 1;
    pid_t pid, first;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* What the test has mounted is another namespace's. */
    if (mount("proc", "/proc", "proc", 0, NULL) < 0)
        perror("a container without a /proc of its own");
    first = fork();
    if (first == 0) {
        test_ignore_leaks();
        exit(program->body(program->arg));
    }
    while ((pid = wait(&status)) > 0)
        if (pid == first)
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    _exit(result);
}

static int
contain(void *argument)
{
    pid_t init;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
        return 1;
    init = fork();
    if (init == 0)
        be_init(argument);
    return WEXITSTATUS(test_reap(init));
}

/* Starts a container in which the program runs; what is to be reaped. */
static pid_t
start_in_container(int (*body)(void *arg), void *arg)
{
    struct program program = {body, arg};

    return test_host(contain, &program);
}

static void
in_container(int (*body)(void *arg), void *arg)
{
    ck_well(start_in_container(body, arg));
}

/* ---- What lives in another one. */

/* What one process says of itself, in its own namespace. */
static int
live(void *arg)
{
    dsm_cluster *cluster;
    pid_t supervisor;

    (void)arg;
    WANT(scene_create(&cluster) == 0);
    supervisor = scene()->supervisor;
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    WANT(dsm_cluster_run(cluster, note_processes, NULL, 0) == 0);
    WANT(scene()->supervisor == supervisor);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    dsm_cluster_destroy(cluster);
    WANT(test_nothing_left(scene()->name));
    return 0;
}

static int
find_state(const dsm_cluster_info *info, void *state)
{
    if (strcmp(info->name, scene()->name) == 0)
        *(int *)state = (int)info->state;
    return 0;
}

/* Of the scene's cluster; -1: it is not listed. */
static int
listed_state(void)
{
    int state = -1;

    return dsm_cluster_list(find_state, &state) < 0 ? -2 : state;
}

static int
count_object(const dsm_object_info *info, void *count)
{
    (void)info;
    ++*(int *)count;
    return 0;
}

/* As a user would, who knows nothing of the other container. */
static int
run_dsmctl(const char *arguments)
{
    const char *build = getenv("top_builddir");
    char command[512];

    snprintf(command, sizeof command, "'%s/tools/dsmctl' %s",
             build ? build : ".", arguments);
    return system(command);
}

static int
sweep_all(void *arg)
{
    dsm_cluster *cluster;
    int objects = 0;

    (void)arg;
    for (int k = 0; k < 3; k++) {
        WANT(dsm_cluster_create(&cluster, 1, NULL) == 0);
        dsm_cluster_destroy(cluster);
    }
    WANT(listed_state() == DSM_CLUSTER_LIVE);
    WANT(dsm_cluster_objects(scene()->name, count_object, &objects) == 0);
    WANT(objects == 6);
    WANT(dsm_cluster_remove(scene()->name, false) == -EBUSY);
    WANT(dsm_cluster_attach(&cluster, scene()->name) == -EXDEV);
    WANT(strstr(dsm_last_error(), "another pid namespace"));
    WANT(run_dsmctl("clean") == 0);
    WANT(run_dsmctl("list >/dev/null") == 0);
    WANT(listed_state() == DSM_CLUSTER_LIVE);
    return 0;
}

/* In a container and swept from outside, or the other way round, or in another
 * container. */
START_TEST(what_lives_is_not_swept)
{
    pid_t owner;

    ck_assert(private_shm());
    scene_begin();
    owner = _i == 0 ? test_host(live, NULL) : start_in_container(live, NULL);
    await_ready(owner);
    if (_i == 1)
        ck_well(test_host(sweep_all, NULL));
    else
        in_container(sweep_all, NULL);
    scene()->go = 1;
    ck_well(owner);
}
END_TEST

/* ---- Two in which everything has the same process ID. */

static int
live_as_twin(void *arg)
{
    _Atomic int *both = &scene()->value[0], *left = &scene()->value[1];
    dsm_cluster *cluster;
    const char *name;

    (void)arg;
    WANT(getpid() == 2);
    WANT(dsm_cluster_create(&cluster, 2, NULL) == 0);
    name = dsm_cluster_name(cluster);
    WANT(strncmp(name, "test_namespaces-2", 17) == 0);
    atomic_fetch_add(both, 1);
    while (*both != 2)
        pause_briefly();
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    /* The one with the suffix ends first, and the other does not notice. */
    while (!name[17] && *left == 0)
        pause_briefly();
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    dsm_cluster_destroy(cluster);
    *left = 1;
    return 0;
}

START_TEST(twins_have_clusters_of_their_own)
{
    pid_t twin[2];

    ck_assert(private_shm());
    for (int k = 0; k < 2; k++)
        twin[k] = start_in_container(live_as_twin, NULL);
    for (int k = 0; k < 2; k++)
        ck_well(twin[k]);
}
END_TEST

/* ---- A container that is killed. */

static int
live_for_ever(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    WANT(scene_create(&cluster) == 0);
    scene()->ready = 1;
    pause_for_ever();
}

static int
take_away(void *arg)
{
    (void)arg;
    WANT(listed_state() == DSM_CLUSTER_STALE);
    WANT(dsm_cluster_remove(scene()->name, false) == 0);
    WANT(test_nothing_left(scene()->name));
    return 0;
}

/* All of it at once; its processes have had no moment to clean up. */
START_TEST(what_died_with_its_container_is_swept)
{
    pid_t container;

    ck_assert(private_shm());
    scene_begin();
    container = start_in_container(live_for_ever, NULL);
    await_ready(container);
    kill(container, SIGKILL);
    ck_assert_int_eq(test_reap(container), SIGKILL);
    while (listed_state() == DSM_CLUSTER_LIVE)
        pause_briefly();
    ck_assert(!test_nothing_left(scene()->name));
    if (_i)
        in_container(take_away, NULL);
    else
        ck_well(test_host(take_away, NULL));
}
END_TEST

/* ---- By force it can be ended from another one. */

static int
end_by_force(void *arg)
{
    (void)arg;
    WANT(dsm_cluster_remove(scene()->name, true) == 0);
    WANT(test_nothing_left(scene()->name));
    return 0;
}

static int
be_ended(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    WANT(scene_create(&cluster) == 0);
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    WANT(dsm_cluster_run(cluster, note_processes, NULL, 0) == DSM_ESTALE);
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(force_reaches_into_another)
{
    pid_t owner;

    ck_assert(private_shm());
    scene_begin();
    owner = start_in_container(be_ended, NULL);
    await_ready(owner);
    in_container(end_by_force, NULL);
    scene()->go = 1;
    ck_well(owner);
}
END_TEST

/* ---- A user namespace has a root of its own, whose files are called as the
 * other root's are. */

static bool
put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

    close(fd);
    return done;
}

static bool
put_map(const char *path, unsigned long id)
{
    char map[32];

    snprintf(map, sizeof map, "0 %lu 1", id);
    return put(path, map);
}

/* A user namespace whose root is, outside, that user. */
static bool
be_other_root(uid_t user)
{
    if (setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0 ||
        unshare(CLONE_NEWUSER) < 0)
        return false;
    /* Else the files in /proc are root's. */
    prctl(PR_SET_DUMPABLE, 1);
    return put("/proc/self/setgroups", "deny") &&
           put_map("/proc/self/uid_map", user) &&
           put_map("/proc/self/gid_map", user);
}

static int
live_as_other_root(void *arg)
{
    dsm_cluster *cluster;
    int state;

    (void)arg;
    if (!be_other_root(20001))
        return 77;
    WANT(scene_create(&cluster) == 0);
    WANT(dsm_cluster_attach(&cluster, "roots") < 0);
    WANT(strstr(dsm_last_error(), "user 65534"));
    WANT(dsm_cluster_remove("roots", true) < 0);
    state = listed_state();
    WANT(state == DSM_CLUSTER_LIVE);
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    return 0;
}

START_TEST(another_root_is_another_user)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster, *refused;
    int status;
    pid_t other;

    ck_assert(private_shm());
    scene_begin();
    options.name = "roots";
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    other = test_host(live_as_other_root, NULL);
    while (!host_is_ready(NULL) && waitpid(other, &status, WNOHANG) == 0)
        pause_briefly();
    if (!host_is_ready(NULL)) {
        ck_assert_msg(status == W_EXITCODE(77, 0), "%s", SENTENCE);
        fprintf(stderr, "no user namespaces: not tested\n");
        dsm_cluster_destroy(cluster);
        return;
    }
    options.name = scene()->name;
    ck_assert_int_eq(listed_state(), -1);
    ck_dsm_error(dsm_cluster_create(&refused, 1, &options), -EPERM,
                 "belongs to user 20001");
    ck_dsm_error(dsm_cluster_attach(&refused, scene()->name), -EPERM,
                 "belongs to user 20001");
    ck_dsm_error(dsm_cluster_remove(scene()->name, true), -EPERM,
                 "belongs to user 20001");
    scene()->go = 1;
    ck_well(other);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- */

/* A user namespace, in which anybody is root. */
static bool
become_root(void)
{
    uid_t user = geteuid();
    gid_t group = getegid();

    return user == 0 || (unshare(CLONE_NEWUSER) == 0 &&
                         put("/proc/self/setgroups", "deny") &&
                         put_map("/proc/self/uid_map", user) &&
                         put_map("/proc/self/gid_map", group));
}

static bool
have_containers(void)
{
    pid_t pid;

    if (!become_root())
        return false;
    pid = fork();
    if (pid == 0)
        _exit(!private_shm() || unshare(CLONE_NEWPID) < 0);
    return pid > 0 && test_reap(pid) == 0;
}

int
main(void)
{
    Suite *suite = suite_create("namespaces");
    TCase *tests = test_case(suite, "pids");

    if (!have_containers()) {
        printf("no pid and mount namespaces here\n");
        return 77;
    }
    tcase_add_loop_test(tests, what_lives_is_not_swept, 0, 3);
    tcase_add_test(tests, twins_have_clusters_of_their_own);
    tcase_add_loop_test(tests, what_died_with_its_container_is_swept, 0, 2);
    tcase_add_test(tests, force_reaches_into_another);
    tests = test_case(suite, "users");
    tcase_add_test(tests, another_root_is_another_user);
    return test_main(suite);
}
