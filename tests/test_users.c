/* Another user of the machine: he cannot read, open, delete or attach to what
 * is not his, and where he takes a name first the error says whose file it is,
 * the rest of the cluster works, and nothing of his is touched. */
#include "acts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define OWNER 20001
#define OTHER 20002

/* ---- Two users, who act in processes of their own. */

static const char *
path_of(const char *rest)
{
    static char path[256];

    snprintf(path, sizeof path, "/dev/shm/dsm.%d.%s%s", OWNER, scene()->name,
             rest);
    return path;
}

struct act {
    uid_t user;
    int (*body)(void *arg);
    void *arg;
};

static int
act_as(void *argument)
{
    const struct act *act = argument;

    if (setgroups(0, NULL) < 0 || setgid(act->user) < 0 ||
        setuid(act->user) < 0)
        return 77;
    host_begin();
    return act->body(act->arg);
}

static pid_t
start_as(uid_t user, int (*body)(void *arg), void *arg)
{
    struct act act = {user, body, arg};

    return test_host(act_as, &act);
}

static void
as(uid_t user, int (*body)(void *arg), void *arg)
{
    ck_well(start_as(user, body, arg));
}

static void
begin(void)
{
    scene_begin();
    /* What test_nothing_left looks for is root's. */
    ck_assert(private_shm());
}

/* Files of the owner's cluster, of the other user or not. */
static int
files_of(uid_t user)
{
    char prefix[96], path[400];
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    struct stat status;
    int n = 0;

    ck_assert_ptr_nonnull(files);
    snprintf(prefix, sizeof prefix, "dsm.%d.%s", OWNER, scene()->name);
    while ((file = readdir(files))) {
        snprintf(path, sizeof path, "/dev/shm/%s", file->d_name);
        if (strncmp(file->d_name, prefix, strlen(prefix)) == 0 &&
            lstat(path, &status) == 0 && status.st_uid == user)
            n++;
    }
    closedir(files);
    return n;
}

static struct sockaddr_un
address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, strnlen(path, sizeof address.sun_path - 1));
    return address;
}

/* ---- What the other user may do with another's files: nothing. */

static int
return_much(dsm_worker *self, const void *arg, size_t arg_size)
{
    return dsm_worker_publish(self, arg, arg_size, 0) < 0
               ? 1
               : dsm_worker_return(self, arg, arg_size);
}

/* With files of every kind. */
static int
own_everything(void *arg)
{
    static char large[LARGE];
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_job *job;

    (void)arg;
    options.capture_output = true;
    WANT(scene_create(&cluster) == 0);
    WANT(dsm_cluster_fd(cluster) >= 0);
    WANT(dsm_job_submit(&job, cluster, return_much, large, sizeof large,
                        &options) == 0);
    WANT(dsm_job_result(job, NULL, NULL, 20000) == 0);
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    WANT(dsm_cluster_refresh(cluster) == 0);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    dsm_cluster_destroy(cluster);
    WANT(test_nothing_left(scene()->name));
    return 0;
}

static bool
denied(int result)
{
    return result < 0 && (errno == EACCES || errno == EPERM);
}

static int
try_socket(const char *path)
{
    static const int kinds[] = {SOCK_SEQPACKET, SOCK_DGRAM, SOCK_STREAM};
    struct sockaddr_un address = address_of(path);

    for (int k = 0; k < 3; k++) {
        int fd = socket(AF_UNIX, kinds[k] | SOCK_CLOEXEC, 0);

        WANT(denied(connect(fd, (struct sockaddr *)&address, sizeof address)));
        WANT(kinds[k] != SOCK_DGRAM ||
             denied((int)sendto(fd, "x", 1, 0, (struct sockaddr *)&address,
                                sizeof address)));
        close(fd);
    }
    return 0;
}

static int
try_file(const char *path)
{
    struct stat status;

    WANT(lstat(path, &status) == 0);
    WANT(status.st_uid == OWNER);
    WANT((status.st_mode & 07777) == 0600);
    WANT(denied(open(path, O_RDONLY)));
    WANT(denied(open(path, O_RDWR | O_TRUNC)));
    WANT(denied(open(path, O_RDWR | O_CREAT, 0666)));
    WANT(!S_ISREG(status.st_mode) || denied(truncate(path, 0)));
    WANT(denied(unlink(path)));
    WANT(denied(rename(path, "/dev/shm/stolen")));
    WANT(denied(chmod(path, 0666)));
    return S_ISSOCK(status.st_mode) ? try_socket(path) : 0;
}

static int
try_files(void *arg)
{
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    char path[400];

    (void)arg;
    WANT(files);
    while ((file = readdir(files))) {
        snprintf(path, sizeof path, "/dev/shm/%s", file->d_name);
        if (file->d_name[0] == '.')
            continue;
        if (try_file(path) != 0)
            return 1;
        scene()->calls++;
    }
    closedir(files);
    return 0;
}

static int
count_cluster(const dsm_cluster_info *info, void *arg)
{
    (void)info;
    ++*(int *)arg;
    return 0;
}

static int
count_object(const dsm_object_info *info, void *arg)
{
    (void)info;
    ++*(int *)arg;
    return 0;
}

/* Of that name he has none, and may have one of his own beside it. */
static int
try_calls(void *arg)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    const char *name = scene()->name;
    dsm_cluster *cluster;
    int n = 0;

    (void)arg;
    WANT(dsm_cluster_attach(&cluster, name) == -ENOENT);
    WANT(strstr(dsm_last_error(), name));
    WANT(dsm_cluster_list(count_cluster, &n) == 0);
    WANT(dsm_cluster_objects(name, count_object, &n) == -ENOENT);
    WANT(dsm_cluster_remove(name, true) == -ENOENT);
    options.name = name;
    WANT(n == 0);
    WANT(dsm_cluster_create(&cluster, 2, &options) == 0);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    WANT(dsm_cluster_list(count_cluster, &n) == 0);
    WANT(n == 1);
    dsm_cluster_destroy(cluster);
    WANT(test_nothing_left(name));
    return 0;
}

START_TEST(what_is_anothers_is_out_of_reach)
{
    pid_t owner;

    begin();
    owner = start_as(OWNER, own_everything, NULL);
    await_ready(owner);
    as(OTHER, try_files, NULL);
    /* Control segment, two arrays, two sockets, argument, result, provisional,
     * and both outputs. */
    ck_assert_int_eq(scene()->calls, 10);
    as(OTHER, try_calls, NULL);
    scene()->go = 1;
    ck_well(owner);
}
END_TEST

/* ---- dsmctl, of the build or as it is installed beside it. */

static const char *
dsmctl(void)
{
    static char command[600];
    const char *build = getenv("top_builddir");
    char path[256];

    snprintf(path, sizeof path, "%s/tools/.libs/dsmctl", build ? build : ".");
    if (access(path, F_OK) < 0) /* without shared libraries */
        snprintf(path, sizeof path, "%s/tools/dsmctl", build ? build : ".");
    snprintf(command, sizeof command, "LD_LIBRARY_PATH='%s/.libs' '%s'",
             build ? build : ".", path);
    return command;
}

/* What it exits with, and whether it says, or says not, the cluster's name. */
static int
run_dsmctl(const char *arguments, bool *named)
{
    char command[800], line[400];
    FILE *output;
    int status;

    snprintf(command, sizeof command, "%s %s 2>&1", dsmctl(), arguments);
    output = popen(command, "re");
    if (!output)
        return -1;
    *named = false;
    while (fgets(line, sizeof line, output))
        *named = *named || strstr(line, scene()->name);
    status = pclose(output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
try_dsmctl(void *arg)
{
    static const char *const on_one[] = {"list", "delete",  "delete --force",
                                         "stop", "refresh", "top --once"};
    char arguments[128];
    bool named;

    (void)arg;
    if (run_dsmctl("--version", &named) != 0) {
        fprintf(stderr, "another user cannot start dsmctl: not tested\n");
        return 0;
    }
    WANT(run_dsmctl("list", &named) == 0 && !named);
    WANT(run_dsmctl("clean", &named) == 0 && !named);
    WANT(run_dsmctl("top --once", &named) == 0 && !named);
    for (size_t k = 0; k < sizeof on_one / sizeof *on_one; k++) {
        snprintf(arguments, sizeof arguments, "%s %s", on_one[k],
                 scene()->name);
        WANT(run_dsmctl(arguments, &named) == 1 && named);
    }
    return 0;
}

START_TEST(dsmctl_knows_nothing_of_it)
{
    pid_t owner;

    begin();
    owner = start_as(OWNER, own_everything, NULL);
    await_ready(owner);
    as(OTHER, try_dsmctl, NULL);
    scene()->go = 1;
    ck_well(owner);
}
END_TEST

/* Root has clusters of its own; for a user's it becomes that user. */
static int
attach_as_root(void *arg)
{
    dsm_cluster *cluster;
    dsm_array *array;

    (void)arg;
    WANT(dsm_cluster_attach(&cluster, scene()->name) == -ENOENT);
    WANT(setegid(OWNER) == 0);
    WANT(seteuid(OWNER) == 0);
    WANT(dsm_cluster_attach(&cluster, scene()->name) == 0);
    WANT(dsm_array_open(&array, cluster, "A", DSM_FLOAT64) == 0);
    WANT(dsm_cluster_refresh(cluster) == 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(root_attaches_as_the_owner)
{
    pid_t owner;

    begin();
    owner = start_as(OWNER, own_everything, NULL);
    await_ready(owner);
    ck_well(test_host(attach_as_root, NULL));
    scene()->go = 1;
    ck_well(owner);
}
END_TEST

/* ---- Names that the other user has taken. */

enum plant { CLOSED, OPEN, PIPE, DIRECTORY, LINK, SOCKET, PLANTS };

static int
plant_one(enum plant kind, const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd;

    umask(0);
    switch (kind) {
    case CLOSED:
    case OPEN:
        fd = open(path, O_RDWR | O_CREAT | O_EXCL, kind == OPEN ? 0666 : 0600);
        return fd < 0 ? -1 : close(fd);
    case PIPE:
        return mkfifo(path, 0666);
    case DIRECTORY:
        return mkdir(path, 0777);
    case LINK:
        return symlink("/dev/shm/target", path);
    case SOCKET:
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        return bind(fd, (struct sockaddr *)&address, sizeof address);
    case PLANTS:
        break;
    }
    return -1;
}

/* What to plant: one kind, under all these endings of the cluster's name. */
struct planting {
    enum plant kind;
    const char *rest[80];
};

static int
plant(void *arg)
{
    const struct planting *planting = arg;

    for (int k = 0; planting->rest[k]; k++)
        WANT(plant_one(planting->kind, path_of(planting->rest[k])) == 0);
    return 0;
}

static int
uproot(void *arg)
{
    const struct planting *planting = arg;

    for (int k = 0; planting->rest[k]; k++)
        WANT(remove(path_of(planting->rest[k])) == 0);
    return 0;
}

/* Whether the last error says which file it is and whose. */
static bool
told(const char *rest)
{
    return strstr(dsm_last_error(), path_of(rest)) &&
           strstr(dsm_last_error(), "user 20002");
}

static int
create_refused(void *rest)
{
    dsm_cluster *cluster;
    int n = 0;

    WANT(scene_create(&cluster) < 0);
    WANT(told(rest));
    WANT(!cluster);
    WANT(dsm_cluster_list(count_cluster, &n) == 0);
    WANT(n == 0);
    return 0;
}

static int
create_works(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    WANT(scene_create(&cluster) == 0);
    dsm_cluster_destroy(cluster);
    WANT(test_nothing_left(scene()->name));
    return 0;
}

static void
taken_before(const char *rest, enum plant kind)
{
    struct planting planting = {kind, {rest}};

    begin();
    as(OTHER, plant, &planting);
    as(OWNER, create_refused, (void *)(uintptr_t)rest);
    ck_assert_int_eq(files_of(OTHER), 1);
    ck_assert_int_eq(files_of(OWNER), 0);
    as(OTHER, uproot, &planting);
    as(OWNER, create_works, NULL);
}

START_TEST(the_control_segments_name_is_taken)
{
    taken_before("", (enum plant)_i);
}
END_TEST

START_TEST(the_supervisors_socket_is_taken)
{
    taken_before("..ctl", (enum plant)_i);
}
END_TEST

/* ---- In the middle. */

static int
make_array(dsm_cluster *cluster, const char *name)
{
    dsm_array *array;
    int error =
        dsm_array_create(&array, cluster, name, DSM_UINT8, DSM_SHAPE(1000));

    return error ? error : dsm_array_destroy(array);
}

static int
arrays_refused(void *arg)
{
    dsm_cluster *cluster;
    dsm_array *array;

    (void)arg;
    WANT(scene_create(&cluster) == 0);
    WANT(dsm_array_open(&array, cluster, "A", DSM_FLOAT64) == 0);
    WANT(dsm_array_save(array, "/dev/shm/a.npy") == 0);
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    WANT(make_array(cluster, "T") == -EEXIST);
    WANT(told(".T"));
    WANT(dsm_array_load(&array, cluster, "T", "/dev/shm/a.npy") == -EEXIST);
    WANT(told(".T"));
    WANT(make_array(cluster, "U") == 0);
    WANT(dsm_array_load(&array, cluster, "U", "/dev/shm/a.npy") == 0);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    unlink("/dev/shm/a.npy");
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(an_arrays_name_is_taken)
{
    struct planting planting = {(enum plant)_i, {".T"}};
    pid_t owner;

    begin();
    owner = start_as(OWNER, arrays_refused, NULL);
    await_ready(owner);
    as(OTHER, plant, &planting);
    scene()->go = 1;
    ck_well(owner);
    ck_assert_int_eq(files_of(OTHER), 1);
    ck_assert_int_eq(files_of(OWNER), 0);
    as(OTHER, uproot, &planting);
}
END_TEST

static int
jobs_refused(void *arg)
{
    static char large[LARGE];
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_job *job;

    (void)arg;
    WANT(scene_create(&cluster) == 0);
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    WANT(dsm_cluster_fd(cluster) < 0);
    WANT(told("..w0"));
    /* An argument; a result. */
    WANT(dsm_job_submit(&job, cluster, give_much, large, LARGE, NULL) ==
         -EEXIST);
    WANT(told("..j0-c1"));
    WANT(dsm_job_submit(&job, cluster, give_much, "\0", 2, NULL) == 0);
    WANT(dsm_job_result(job, NULL, NULL, 20000) == -EEXIST);
    WANT(told("..j0-c2"));
    dsm_job_release(job);
    WANT(dsm_job_submit(&job, cluster, give_much, "", 1, NULL) == 0);
    WANT(dsm_job_result(job, NULL, NULL, 20000) < 0);
    WANT(strstr(dsm_last_error(), "user 20002"));
    dsm_job_release(job);
    options.capture_output = true;
    WANT(dsm_job_submit(&job, cluster, test_whole_part, NULL, 0, &options) ==
         0);
    WANT(dsm_job_result(job, NULL, NULL, 20000) < 0);
    WANT(strstr(dsm_last_error(), "user 20002"));
    dsm_job_release(job);
    /* What he did not take works. */
    WANT(dsm_job_submit(&job, cluster, give_much, large, LARGE, NULL) == 0);
    WANT(dsm_job_result(job, NULL, NULL, 20000) == 0);
    dsm_job_release(job);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

/* The argument's crate is the first, the result's the second; of outputs and
 * provisional results, one for each place of a job. */
static void
names_of_jobs(struct planting *planting)
{
    static char rest[75][16];
    static const char letter[] = "oe012";

    planting->rest[0] = "..w0";
    planting->rest[1] = "..j0-c1";
    planting->rest[2] = "..j0-c2";
    for (int k = 0; k < 75; k++) {
        snprintf(rest[k], sizeof rest[k], "..j0-%d%c", k / 5, letter[k % 5]);
        planting->rest[k + 3] = rest[k];
    }
}

START_TEST(the_names_of_jobs_files_are_taken)
{
    struct planting planting = {(enum plant)_i, {NULL}};
    pid_t owner;

    begin();
    names_of_jobs(&planting);
    owner = start_as(OWNER, jobs_refused, NULL);
    await_ready(owner);
    as(OTHER, plant, &planting);
    scene()->go = 1;
    ck_well(owner);
    ck_assert_int_eq(files_of(OTHER), 78);
    ck_assert_int_eq(files_of(OWNER), 0);
    as(OTHER, uproot, &planting);
}
END_TEST

/* ---- Default names, which can be foreseen. */

static int
create_default(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    snprintf(scene()->name, sizeof scene()->name, "test_users-%ld",
             (long)getpid());
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    WANT(dsm_cluster_create(&cluster, 1, NULL) == 0);
    WANT(strstr(dsm_cluster_name(cluster), scene()->name));
    WANT(strlen(dsm_cluster_name(cluster)) == strlen(scene()->name) + 2);
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(a_default_name_is_taken)
{
    struct planting planting = {(enum plant)_i, {""}};
    pid_t owner;

    begin();
    scene()->name[0] = '\0';
    owner = start_as(OWNER, create_default, NULL);
    await_ready(owner);
    as(OTHER, plant, &planting);
    scene()->go = 1;
    ck_well(owner);
    as(OTHER, uproot, &planting);
}
END_TEST

/* ---- Somebody else in the supervisor's place. */

static int
listen_on_it(void *arg)
{
    struct sockaddr_un address = address_of(path_of("..ctl"));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    (void)arg;
    umask(0);
    WANT(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    WANT(listen(fd, 5) == 0);
    scene()->value[0] = 1;
    WANT(test_poll(call_done, NULL));
    return 0;
}

static bool
is_listening(const void *arg)
{
    (void)arg;
    return scene()->value[0] != 0;
}

static int
own_without_a_socket(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    WANT(scene_create(&cluster) == 0);
    WANT(unlink(path_of("..ctl")) == 0);
    scene()->ready = 1;
    WANT(test_poll(go_on, NULL));
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

static int
meet_an_impostor(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    WANT(dsm_cluster_remove(scene()->name, true) == -EPERM);
    WANT(told("..ctl"));
    WANT(dsm_cluster_attach(&cluster, scene()->name) == -EPERM);
    WANT(told("..ctl"));
    return 0;
}

START_TEST(an_impostor_is_not_believed)
{
    pid_t owner, other;

    begin();
    owner = start_as(OWNER, own_without_a_socket, NULL);
    await_ready(owner);
    other = start_as(OTHER, listen_on_it, NULL);
    test_await(is_listening, NULL);
    as(OWNER, meet_an_impostor, NULL);
    scene()->done = 1;
    ck_well(other);
    scene()->go = 1;
    ck_well(owner);
    ck_assert_int_eq(files_of(OWNER), 0);
}
END_TEST

/* Whether this process may become other users and have a /dev/shm of its own.
 */
static bool
can_act(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(setgroups(0, NULL) < 0 || setgid(OTHER) < 0 || setuid(OTHER) < 0);
    if (pid < 0 || test_reap(pid) != 0)
        return false;
    pid = fork();
    if (pid == 0)
        _exit(!private_shm());
    return pid > 0 && test_reap(pid) == 0;
}

int
main(void)
{
    Suite *suite = suite_create("users");
    TCase *tests = test_case(suite, "reach");

    if (!can_act()) {
        printf("cannot become two other users with a /dev/shm of their own "
               "(run as root)\n");
        return 77;
    }
    tcase_add_test(tests, what_is_anothers_is_out_of_reach);
    tcase_add_test(tests, dsmctl_knows_nothing_of_it);
    tcase_add_test(tests, root_attaches_as_the_owner);
    tcase_add_test(tests, an_impostor_is_not_believed);
    tests = test_case(suite, "names");
    tcase_add_loop_test(tests, the_control_segments_name_is_taken, 0, PLANTS);
    tcase_add_loop_test(tests, the_supervisors_socket_is_taken, 0, PLANTS);
    tcase_add_loop_test(tests, an_arrays_name_is_taken, 0, PLANTS);
    tcase_add_loop_test(tests, the_names_of_jobs_files_are_taken, 0, PLANTS);
    tcase_add_loop_test(tests, a_default_name_is_taken, 0, PLANTS);
    return test_main(suite);
}
