/* What is left when controller and supervisor die together, and whatever else
 * may lie in /dev/shm under a cluster's name: how it is listed, and that it is
 * taken away when it is dead and left alone when it is not. */
#include "hosts.h"
#include "registry/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- What dsm_cluster_list and dsm_cluster_objects tell. */

struct listed {
    const char *name;
    unsigned times;
    dsm_cluster_info info;
};

static int
look_for(const dsm_cluster_info *info, void *arg)
{
    struct listed *listed = arg;

    if (strcmp(info->name, listed->name) == 0) {
        listed->times++;
        listed->info = *info;
    }
    return 0;
}

static struct listed
list(const char *name)
{
    struct listed listed = {.name = name};

    ck_dsm(dsm_cluster_list(look_for, &listed));
    ck_assert_uint_le(listed.times, 1);
    return listed;
}

static void
ck_listed(const char *name, dsm_cluster_state state)
{
    struct listed listed = list(name);

    ck_assert_msg(listed.times == 1, "%s is not listed", name);
    ck_assert_int_eq(listed.info.state, state);
}

static void
ck_unlisted(const char *name)
{
    ck_assert_uint_eq(list(name).times, 0);
}

static int
count_object(const dsm_object_info *info, void *arg)
{
    struct stat status;

    if (info->kind == DSM_OBJECT_ARRAY)
        ck_assert_int_eq(stat(info->path, &status), 0);
    ++*(int *)arg;
    return 0;
}

static int
count_any(const dsm_object_info *info, void *arg)
{
    *(size_t *)arg += strlen(info->name) + strlen(info->path);
    return 0;
}

/* ---- Files under a cluster's name. */

static const char *
path_of(const char *cluster, const char *rest)
{
    static char path[4][256];
    static unsigned next;
    char *out = path[next++ % 4];

    snprintf(out, sizeof *path, "/dev/shm/dsm.%lu.%s%s",
             (unsigned long)geteuid(), cluster, rest);
    return out;
}

static int
plant(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    return fd;
}

static void
plant_closed(const char *path, const void *bytes, size_t n)
{
    close(plant(path, bytes, n));
}

static bool
is_there(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

/* Asserts that it is dead and can be taken away, once. */
static void
ck_removed(const char *name)
{
    ck_listed(name, DSM_CLUSTER_STALE);
    ck_dsm(dsm_cluster_remove(name, false));
    ck_assert(test_nothing_left(name));
    ck_unlisted(name);
    ck_dsm_error(dsm_cluster_remove(name, false), -ENOENT, name);
}

/* ---- A live neighbour, which is to come to no harm. */

#define ITEMS 1000

static dsm_cluster *
make_neighbour(const char *name)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;
    double *items;

    options.name = name;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    ck_dsm(
        dsm_array_create(&array, cluster, "A", DSM_FLOAT64, DSM_SHAPE(ITEMS)));
    items = dsm_array_data(array);
    for (int k = 0; k < ITEMS; k++)
        items[k] = k;
    return cluster;
}

static int
read_neighbour(dsm_worker *self, const void *arg, size_t arg_size)
{
    const double *items = dsm_array_data(dsm_worker_array(self, "A"));

    (void)arg, (void)arg_size;
    for (int k = 0; k < ITEMS; k++)
        if (items[k] != k)
            return 1;
    return 0;
}

static void
ck_neighbour(dsm_cluster *cluster)
{
    const char *name = dsm_cluster_name(cluster);

    ck_assert(is_there(path_of(name, "")));
    ck_assert(is_there(path_of(name, ".A")));
    ck_assert(is_there(path_of(name, "..ctl")));
    ck_listed(name, DSM_CLUSTER_LIVE);
    /* New processes map the array anew, by its name. */
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_dsm(dsm_cluster_run(cluster, read_neighbour, NULL, 0));
    test_whole(cluster);
}

/* ---- Both were killed. */

START_TEST(stay_and_are_called_stale)
{
    struct listed listed;
    dsm_cluster *attached;
    const char *name;
    int objects = 0;

    if (!private_shm())
        return;
    name = make_stale();
    ck_assert(is_there(path_of(name, "")));
    ck_assert(is_there(path_of(name, ".A")));
    ck_assert(is_there(path_of(name, ".B")));
    listed = list(name);
    ck_assert_uint_eq(listed.times, 1);
    ck_assert_int_eq(listed.info.state, DSM_CLUSTER_STALE);
    ck_assert_int_eq(listed.info.owner, scene()->controller);
    ck_assert_uint_eq(listed.info.workers, SCENE_WORKERS);
    ck_assert_uint_eq(listed.info.objects, 6);
    ck_assert_uint_ge(listed.info.bytes, 100 * 100 * sizeof(double));
    ck_assert_str_eq(listed.info.directory, "/dev/shm");
    ck_dsm(dsm_cluster_objects(name, count_object, &objects));
    ck_assert_int_eq(objects, 6);
    ck_dsm_error(dsm_cluster_attach(&attached, name), DSM_ESTALE, name);
    ck_removed(name);
    ck_dsm_error(dsm_cluster_objects(name, count_object, &objects), -ENOENT,
                 name);
}
END_TEST

/* Also one whose name is the longer one. */
START_TEST(neighbours_are_untouched)
{
    char longer[2][DSM_NAME_MAX + 1];
    dsm_cluster *neighbour[2];
    const char *name;

    if (!private_shm())
        return;
    name = make_stale();
    for (int k = 0; k < 2; k++) {
        snprintf(longer[k], sizeof *longer, "%.40s%s", name, k ? "-2" : "0");
        neighbour[k] = make_neighbour(longer[k]);
    }
    /* The creates have swept it; another one then. */
    ck_assert(test_nothing_left(name));
    ck_dsm_error(dsm_cluster_remove(name, false), -ENOENT, name);
    name = make_stale();
    ck_removed(name);
    for (int k = 0; k < 2; k++) {
        ck_neighbour(neighbour[k]);
        ck_dsm_error(dsm_cluster_remove(longer[k], false), -EBUSY, longer[k]);
        ck_neighbour(neighbour[k]);
        dsm_cluster_destroy(neighbour[k]);
        ck_assert(test_nothing_left(longer[k]));
    }
}
END_TEST

START_TEST(the_next_create_sweeps_all)
{
    static const char *const orphans[] = {".A", "..ctl", "...arg"};
    dsm_cluster *neighbour, *next;
    const char *dead[3], *orphan;

    if (!private_shm())
        return;
    neighbour = make_neighbour(test_name());
    for (int k = 0; k < 3; k++)
        dead[k] = make_stale();
    /* What a create sweeps, the next make_stale has swept before. */
    ck_assert(test_nothing_left(dead[0]));
    ck_assert(test_nothing_left(dead[1]));
    ck_assert(!test_nothing_left(dead[2]));
    orphan = test_name();
    for (size_t k = 0; k < sizeof orphans / sizeof *orphans; k++)
        plant_closed(path_of(orphan, orphans[k]), "x", 1);
    next = test_cluster(1);
    ck_assert(test_nothing_left(dead[2]));
    ck_assert(test_nothing_left(orphan));
    ck_neighbour(neighbour);
    test_whole(next);
    dsm_cluster_destroy(next);
    ck_neighbour(neighbour);
    dsm_cluster_destroy(neighbour);
}
END_TEST

START_TEST(the_name_can_be_used_again)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *again;

    if (!private_shm())
        return;
    options.name = make_stale();
    ck_dsm(dsm_cluster_create(&again, SCENE_WORKERS, &options));
    /* With objects of the same names. */
    ck_dsm(scene_populate(again));
    test_whole(again);
    dsm_cluster_destroy(again);
    ck_assert(test_nothing_left(options.name));
}
END_TEST

static char directory_name[64];

static int
host_with_directory(void *argument)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    options.name = scene()->name;
    options.directory = directory_name;
    if (dsm_cluster_create(&cluster, SCENE_WORKERS, &options) < 0 ||
        scene_populate(cluster) < 0)
        return 1;
    scene()->ready = 1;
    pause_for_ever();
}

/* Arrays in a directory of the user's are found through the control segment;
 * what else is there stays. */
START_TEST(arrays_elsewhere_go_too)
{
    char array[256], stranger[256];
    const char *directory;
    pid_t host;

    if (!private_shm() || !(directory = test_tmpfs(16)))
        return;
    snprintf(directory_name, sizeof directory_name, "%s", directory);
    scene_begin();
    host = test_host(host_with_directory, NULL);
    test_await(host_is_ready, NULL);
    snprintf(array, sizeof array, "%s/dsm.%lu.%s.A", directory,
             (unsigned long)geteuid(), scene()->name);
    snprintf(stranger, sizeof stranger, "%s/dsm.%lu.%s0.A", directory,
             (unsigned long)geteuid(), scene()->name);
    plant_closed(stranger, "x", 1);
    ck_assert(is_there(array));
    kill_both(host);
    ck_assert(is_there(array));
    ck_removed(scene()->name);
    ck_assert(!is_there(array));
    ck_assert(is_there(stranger));
}
END_TEST

static int
host_with_child(void *argument)
{
    dsm_cluster *cluster;
    pid_t child;

    (void)argument;
    host_begin();
    if (scene_create(&cluster) < 0)
        return 1;
    child = fork();
    if (child < 0)
        return 1;
    if (child > 0) {
        scene()->other = child;
        scene()->ready = 1;
    }
    pause_for_ever();
}

/* It has no part in the cluster, and does not keep it. */
START_TEST(a_child_of_the_host_does_not_keep_them)
{
    pid_t host, child;

    if (!private_shm())
        return;
    scene_begin();
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    host = test_host(host_with_child, NULL);
    test_await(host_is_ready, NULL);
    child = scene()->other;
    kill_both(host);
    ck_assert(!test_gone(&child));
    ck_removed(scene()->name);
    kill(child, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}
END_TEST

static int
attached_program(void *argument)
{
    dsm_cluster *attached;
    dsm_array *array;

    (void)argument;
    host_begin();
    if (!test_poll(host_is_ready, NULL) ||
        dsm_cluster_attach(&attached, scene()->name) < 0)
        return 1;
    scene()->waiting = getpid();
    while (!scene()->go)
        pause_briefly();
    /* Its memory is still there; the cluster is not. */
    scene()->result =
        dsm_array_create(&array, attached, "late", DSM_INT8, DSM_SHAPE(1));
    dsm_cluster_destroy(attached);
    return 0;
}

static bool
somebody_attached(const void *arg)
{
    (void)arg;
    return scene()->waiting != 0;
}

START_TEST(an_attached_program_delays_their_end)
{
    dsm_cluster *next;
    pid_t host, other;

    if (!private_shm())
        return;
    scene_begin();
    other = test_host(attached_program, NULL);
    host = test_host(waiting_host, NULL);
    test_await(somebody_attached, NULL);
    kill_both(host);
    ck_listed(scene()->name, DSM_CLUSTER_STALE);
    ck_dsm_error(dsm_cluster_remove(scene()->name, false), -EBUSY,
                 scene()->name);
    ck_assert_int_lt(dsm_cluster_remove(scene()->name, true), 0);
    next = test_cluster(1);
    dsm_cluster_destroy(next);
    ck_assert(is_there(path_of(scene()->name, ".A")));
    scene()->go = 1;
    ck_assert_int_eq(test_reap(other), 0);
    ck_assert_int_eq(scene()->result, DSM_ESTALE);
    ck_assert(!is_there(path_of(scene()->name, ".late")));
    ck_removed(scene()->name);
}
END_TEST

/* ---- A controller that died while it made them. */

static const char *const points[] = {"segment.allocate", "control.created",
                                     "control.written"};

static int
host_creating(void *argument)
{
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    return scene_create(&cluster);
}

static const char *
make_half(const char *point)
{
    test_kill_at(point, 1, SIGKILL, 1);
    memset(scene(), 0, sizeof *scene());
    scene_begin();
    ck_assert_int_eq(test_reap(test_host(host_creating, NULL)), SIGKILL);
    ck_assert_int_eq(test_killed(), 1);
    ck_assert(!test_nothing_left(scene()->name));
    return scene()->name;
}

START_TEST(half_made_ones)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    if (!private_shm())
        return;
    ck_removed(make_half(points[_i]));
    make_half(points[_i]);
    dsm_cluster_destroy(test_cluster(1));
    ck_assert(test_nothing_left(scene()->name));
    options.name = make_half(points[_i]);
    ck_dsm(dsm_cluster_create(&cluster, 1, &options));
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Control segments that are none, or damaged ones. */

static const struct damage {
    size_t offset, size;
    uint64_t value;
} damages[] = {
#define DAMAGE(field, value)                                                   \
    {                                                                          \
        offsetof(struct dsm__control, field),                                  \
            sizeof((struct dsm__control *)0)->field, value                     \
    }
    DAMAGE(magic, 0),
    DAMAGE(magic, ~DSM__MAGIC),
    DAMAGE(layout, DSM__LAYOUT + 1),
    DAMAGE(layout, 0),
    DAMAGE(control_size, 0),
    DAMAGE(control_size, UINT64_MAX),
    DAMAGE(space_size, 4096),
    DAMAGE(space_size, UINT64_MAX),
    DAMAGE(base, 1),
    DAMAGE(workers, 0),
    DAMAGE(workers, UINT32_MAX),
    DAMAGE(objects, UINT64_MAX),
    DAMAGE(objects_max, UINT64_MAX),
    DAMAGE(slots_offset, 0),
    DAMAGE(slots_offset, UINT64_MAX - 63),
    DAMAGE(scratch_offset, 0),
    DAMAGE(objects_offset, UINT64_MAX - 4095),
    DAMAGE(table_end, UINT64_MAX),
    DAMAGE(name[0], '/'),
    DAMAGE(name[0], 0),
#undef DAMAGE
};

#define DAMAGES ((int)(sizeof damages / sizeof *damages))

/* Without a magic it is as if it were only being created. */
static void
ck_unreadable(const char *name, bool magic)
{
    dsm_cluster *attached;
    int objects = 0;

    ck_assert_int_eq(dsm_cluster_objects(name, count_object, &objects),
                     DSM_EFORMAT);
    ck_assert_int_eq(objects, 0);
    ck_assert_int_eq(dsm_cluster_attach(&attached, name),
                     magic ? DSM_EFORMAT : -ENOENT);
    ck_assert_ptr_null(attached);
    ck_assert(is_there(path_of(name, "")));
}

START_TEST(damaged_headers)
{
    const struct damage *damage = &damages[_i];
    const char *name;
    int fd;

    if (!private_shm())
        return;
    name = make_stale();
    fd = open(path_of(name, ""), O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(
        pwrite(fd, &damage->value, damage->size, (off_t)damage->offset),
        (ssize_t)damage->size);
    ck_unreadable(name, damage->offset != 0 || damage->value != 0);
    /* Not so while somebody has it as his own, whoever he is. */
    ck_assert_int_eq(flock(fd, LOCK_SH), 0);
    ck_listed(name, DSM_CLUSTER_FOREIGN);
    ck_dsm_error(dsm_cluster_remove(name, false), -EBUSY, name);
    ck_assert(is_there(path_of(name, ".A")));
    close(fd);
    ck_removed(name);
}
END_TEST

START_TEST(truncated_segments)
{
    static const off_t sizes[] = {0,
                                  1,
                                  8,
                                  100,
                                  sizeof(struct dsm__control) - 1,
                                  sizeof(struct dsm__control),
                                  1 << 20};
    const char *name;

    if (!private_shm())
        return;
    name = make_stale();
    ck_assert_int_eq(truncate(path_of(name, ""), sizes[_i]), 0);
    ck_unreadable(name, sizes[_i] > 0);
    ck_removed(name);
}
END_TEST

/* Whatever a header says, reading it is safe, and it goes. */
START_TEST(garbage)
{
    unsigned char bytes[sizeof(struct dsm__control) + 4096];
    unsigned state = 12345;
    const char *name;
    char original[sizeof(struct dsm__control)];
    size_t length = 0;
    int fd;

    if (!private_shm())
        return;
    for (size_t k = 0; k < sizeof bytes; k++)
        bytes[k] = (unsigned char)((state = state * 1103515245 + 12345) >> 16);
    name = test_name();
    plant_closed(path_of(name, ""), bytes, sizeof bytes);
    ck_unreadable(name, true);
    ck_removed(name);
    name = make_stale();
    fd = open(path_of(name, ""), O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pread(fd, original, sizeof original, 0), sizeof original);
    for (int round = 0; round < 500; round++) {
        size_t at = (state = state * 1103515245 + 12345) % sizeof original;
        size_t n = sizeof original - at < 8 ? sizeof original - at : 8;

        ck_assert_int_eq(pwrite(fd, original, sizeof original, 0),
                         sizeof original);
        ck_assert_int_eq(pwrite(fd, bytes + round, n, (off_t)at), (ssize_t)n);
        (void)list(name);
        (void)dsm_cluster_objects(name, count_any, &length);
    }
    close(fd);
    ck_removed(name);
}
END_TEST

START_TEST(orphan_arrays)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    int objects = 0;

    if (!private_shm())
        return;
    options.name = test_name();
    plant_closed(path_of(options.name, ".A"), "x", 1);
    ck_dsm_error(dsm_cluster_objects(options.name, count_object, &objects),
                 -ENOENT, options.name);
    ck_removed(options.name);
    /* A cluster of that name does not meet them. */
    plant_closed(path_of(options.name, ".A"), "x", 1);
    plant_closed(path_of(options.name, ".B"), "x", 1);
    ck_dsm(dsm_cluster_create(&cluster, SCENE_WORKERS, &options));
    ck_dsm(scene_populate(cluster));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- What is not ours to take away. */

enum plant { FIFO, SYMLINK, DANGLING, DIRECTORY, PLANTS };

static void
plant_odd(enum plant kind, const char *path)
{
    switch (kind) {
    case FIFO:
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        break;
    case SYMLINK:
        plant_closed("/dev/shm/target", "precious", 8);
        ck_assert_int_eq(symlink("/dev/shm/target", path), 0);
        break;
    case DANGLING:
        ck_assert_int_eq(symlink("/dev/shm/nothing", path), 0);
        break;
    case DIRECTORY:
        ck_assert_int_eq(mkdir(path, 0700), 0);
        break;
    case PLANTS:
        break;
    }
}

START_TEST(odd_files_under_the_name)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    struct stat before, after;
    int objects = 0;

    if (!private_shm())
        return;
    options.name = test_name();
    plant_odd((enum plant)_i, path_of(options.name, ""));
    ck_assert_int_eq(lstat(path_of(options.name, ""), &before), 0);
    ck_listed(options.name, DSM_CLUSTER_FOREIGN);
    ck_assert_int_lt(dsm_cluster_remove(options.name, false), 0);
    ck_assert_int_lt(dsm_cluster_remove(options.name, true), 0);
    ck_assert_int_lt(dsm_cluster_objects(options.name, count_object, &objects),
                     0);
    ck_assert_int_lt(dsm_cluster_attach(&cluster, options.name), 0);
    ck_assert_int_lt(dsm_cluster_create(&cluster, 1, &options), 0);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), options.name));
    dsm_cluster_destroy(test_cluster(1));
    ck_assert_int_eq(lstat(path_of(options.name, ""), &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert(!is_there("/dev/shm/nothing"));
    if (_i == SYMLINK) {
        ck_assert_int_eq(stat("/dev/shm/target", &after), 0);
        ck_assert_int_eq(after.st_size, 8);
    }
    (void)remove(path_of(options.name, ""));
}
END_TEST

static int
plant_as_nobody(void *argument)
{
    dsm_cluster *cluster;
    int fd;

    if (setgid(65534) < 0 || setuid(65534) < 0)
        return 77;
    fd = open(argument, O_RDWR | O_CREAT | O_EXCL, 0666);
    if (fd < 0)
        return 1;
    /* Its own sweeping does not reach over to another user's clusters. */
    if (dsm_cluster_create(&cluster, 1, NULL) < 0)
        return 1;
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(another_users_file_under_the_name)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    const char *stale, *path;
    int status;

    if (!private_shm())
        return;
    stale = make_stale();
    options.name = test_name();
    path = path_of(options.name, "");
    status = test_reap(test_host(plant_as_nobody, (void *)(uintptr_t)path));
    if (status == W_EXITCODE(77, 0))
        return;
    ck_assert_int_eq(status, 0);
    ck_assert(!test_nothing_left(stale));
    /* Anybody may plant what he likes: it is no cluster of this user's. */
    ck_unlisted(options.name);
    ck_assert_int_eq(dsm_cluster_remove(options.name, true), -EPERM);
    ck_dsm_error(dsm_cluster_create(&cluster, 1, &options), -EPERM,
                 options.name);
    ck_assert(is_there(path));
    unlink(path);
}
END_TEST

START_TEST(names_that_are_none)
{
    static const char *const names[] = {
        "/dev/shm/other", "/dev/shm/dsm.", "/dev/shm/dsm.0", "/dev/shm/dsm.0.",
        "/dev/shm/dsm.0.a b", "/dev/shm/dsm.0..x", "/dev/shm/dsm.1.X",
        "/dev/shm/dsm.00.X.A", "/dev/shm/sem.dsm.0.X",
        /* One character too many. */
        "/dev/shm/dsm.0.a123456789b123456789c123456789d123456789e12345678"};
    const size_t n = sizeof names / sizeof *names;

    if (!private_shm() || geteuid() != 0)
        return;
    for (size_t k = 0; k < n; k++)
        plant_closed(names[k], "x", 1);
    dsm_cluster_destroy(test_cluster(1));
    for (size_t k = 0; k < n; k++)
        ck_assert_msg(is_there(names[k]), "%s was taken away", names[k]);
}
END_TEST

/* ---- Removing what lives. */

static int
host_with_an_end(void *argument)
{
    dsm_cluster *cluster;

    (void)argument;
    host_begin();
    if (scene_create(&cluster) < 0)
        return 1;
    scene()->ready = 1;
    while (!scene()->go)
        pause_briefly();
    scene()->result = dsm_cluster_run(cluster, note_processes, NULL, 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(live_ones_by_force)
{
    dsm_cluster *cluster;
    double since;
    pid_t host;

    if (!private_shm())
        return;
    scene_begin();
    host = test_host(host_with_an_end, NULL);
    test_await(host_is_ready, NULL);
    ck_dsm_error(dsm_cluster_remove(scene()->name, false), -EBUSY,
                 scene()->name);
    ck_scene_on();
    since = test_now();
    ck_dsm(dsm_cluster_remove(scene()->name, true));
    ck_assert(test_nothing_left(scene()->name));
    ck_scene_over(since);
    ck_unlisted(scene()->name);
    ck_dsm_error(dsm_cluster_remove(scene()->name, true), -ENOENT,
                 scene()->name);
    /* Its controller lives on, and has no power over a newborn. */
    cluster = make_neighbour(scene()->name);
    scene()->go = 1;
    ck_assert_int_eq(test_reap(host), 0);
    ck_assert_int_eq(scene()->result, DSM_ESTALE);
    ck_neighbour(cluster);
    dsm_cluster_destroy(cluster);
    ck_dsm_error(dsm_cluster_remove("no/name", true), -EINVAL, "no/name");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("remains");
    TCase *tests = test_case(suite, "dead");

    tcase_add_test(tests, stay_and_are_called_stale);
    tcase_add_test(tests, neighbours_are_untouched);
    tcase_add_test(tests, the_next_create_sweeps_all);
    tcase_add_test(tests, the_name_can_be_used_again);
    tcase_add_test(tests, arrays_elsewhere_go_too);
    tcase_add_test(tests, a_child_of_the_host_does_not_keep_them);
    tcase_add_test(tests, an_attached_program_delays_their_end);
    tcase_add_loop_test(tests, half_made_ones, 0, 3);
    tests = test_case(suite, "damaged");
    tcase_add_loop_test(tests, damaged_headers, 0, DAMAGES);
    tcase_add_loop_test(tests, truncated_segments, 0, 7);
    tcase_add_test(tests, garbage);
    tcase_add_test(tests, orphan_arrays);
    tests = test_case(suite, "others");
    tcase_add_loop_test(tests, odd_files_under_the_name, 0, PLANTS);
    tcase_add_test(tests, another_users_file_under_the_name);
    tcase_add_test(tests, names_that_are_none);
    tcase_add_test(tests, live_ones_by_force);
    return test_main(suite);
}
