/* Less than a program expects: no /dev/shm, one that cannot be written, is full
 * or has no room for files; few descriptors; system calls that a filter
 * refuses; a control group that kills.  Each is a clear error, or no matter. */
#include "acts.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MIB ((size_t)1 << 20)

static void
in_host(int (*body)(void *arg), void *arg)
{
    ck_well(test_host(body, arg));
}

/* ---- A cluster's whole life. */

/* What a job with a large argument and result comes to. */
static int
large_job(dsm_cluster *cluster)
{
    static char large[LARGE];
    const void *result;
    dsm_job *job;
    size_t size;
    int error;

    memset(large, 7, sizeof large);
    error = dsm_job_submit(&job, cluster, give_back, large, sizeof large, NULL);
    if (error)
        return error;
    error = dsm_job_result(job, &result, &size, 20000);
    if (!error && (size != LARGE || memcmp(result, large, LARGE) != 0))
        error = DSM_EFORMAT;
    dsm_job_release(job);
    return error;
}

static int
die(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    return dsm_worker_id(self) == 1 ? raise(SIGKILL) : 0;
}

static int
attach_and_leave(void *arg)
{
    dsm_cluster *cluster;

    (void)arg;
    WANT(dsm_cluster_attach(&cluster, scene()->name) == 0);
    WANT(dsm_cluster_refresh(cluster) == 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

/* A program that attaches has to be another one from the start, for the
 * cluster's addresses are taken in children of this one. */
static int
live(void)
{
    pid_t guest;
    dsm_cluster *cluster;
    int status;

    guest = fork();
    if (guest == 0) {
        while (!scene()->ready)
            pause_briefly();
        _exit(attach_and_leave(NULL));
    }
    scene()->result = scene_create(&cluster);
    scene()->ready = 1;
    status = test_reap(guest);
    WANT(scene()->result == 0);
    WANT(status == 0);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    WANT(dsm_cluster_run(cluster, die, NULL, 0) == DSM_EWORKER);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    WANT(dsm_cluster_refresh(cluster) == 0);
    WANT(large_job(cluster) == 0);
    dsm_cluster_destroy(cluster);
    WANT(test_nothing_left(scene()->name));
    return 0;
}

/* ---- /dev/shm. */

static int
nothing_works(void *arg)
{
    const int *wanted = arg;
    dsm_cluster *cluster;

    WANT(dsm_cluster_create(&cluster, 2, NULL) == *wanted);
    WANT(strstr(dsm_last_error(), "/dev/shm"));
    WANT(!cluster);
    WANT(dsm_cluster_attach(&cluster, scene()->name) < 0);
    WANT(dsm_cluster_remove(scene()->name, true) < 0);
    return 0;
}

/* All of /dev is replaced, so that there is no shm in it. */
START_TEST(there_is_no_shm)
{
    int wanted = -ENOENT;

    scene_begin();
    ck_assert(private_shm());
    ck_assert_int_eq(mount("tmpfs", "/dev", "tmpfs", 0, "size=1m"), 0);
    in_host(nothing_works, &wanted);
}
END_TEST

START_TEST(it_cannot_be_written)
{
    int wanted = -EROFS;

    scene_begin();
    ck_assert(private_shm());
    ck_assert_int_eq(mount("tmpfs", "/dev/shm", "tmpfs", MS_RDONLY, NULL), 0);
    in_host(nothing_works, &wanted);
}
END_TEST

/* Of a file system for so many files.  The directory itself is one. */
static int
make_until_full(void *arg)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    int files = *(const int *)arg, made = 0, error = 0;
    dsm_cluster *cluster;
    dsm_array *array[16];
    char name[16];

    options.name = scene()->name;
    error = dsm_cluster_create(&cluster, 2, &options);
    if (error) {
        WANT(files < 3);
        WANT(error == -ENOSPC);
        WANT(strstr(dsm_last_error(), "/dev/shm"));
        return 0;
    }
    while (made < 16 && !error) {
        snprintf(name, sizeof name, "A%d", made);
        error =
            dsm_array_create(&array[made], cluster, name, DSM_INT32, 0, NULL);
        made += !error;
    }
    WANT(error == -ENOSPC);
    WANT(strstr(dsm_last_error(), "nr_inodes"));
    WANT(large_job(cluster) == -ENOSPC);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    while (made > 0)
        WANT(dsm_array_destroy(array[--made]) == 0);
    /* Workers let go of them when they begin a region. */
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    WANT(files < 6 || large_job(cluster) == 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(it_has_room_for_few_files)
{
    char options[64];
    int files = _i;

    scene_begin();
    ck_assert(private_shm());
    snprintf(options, sizeof options, "nr_inodes=%d,mode=1777", files);
    ck_assert_int_eq(mount("tmpfs", "/dev/shm", "tmpfs", 0, options), 0);
    in_host(make_until_full, &files);
    ck_assert(test_nothing_left(scene()->name));
}
END_TEST

static void
fill(void)
{
    static const char block[65536];
    int fd = open("/dev/shm/filler", O_CREAT | O_EXCL | O_WRONLY, 0600);

    for (size_t size = sizeof block; size >= 4096; size /= 2)
        while (write(fd, block, size) > 0)
            ;
    close(fd);
}

/* Asserts that it says how much was wanted and how much there is. */
static bool
full(int result, const char *wanted)
{
    return result == -ENOSPC && strstr(dsm_last_error(), wanted) &&
           strstr(dsm_last_error(), "/dev/shm has") &&
           strstr(dsm_last_error(), "raise --shm-size");
}

static int
result_of(dsm_cluster *cluster, dsm_fn fn, const char *arg, size_t arg_size,
          const dsm_job_options *options)
{
    dsm_job *job;
    int error = dsm_job_submit(&job, cluster, fn, arg, arg_size, options);

    if (error)
        return error;
    error = dsm_job_result(job, NULL, NULL, 20000);
    dsm_job_release(job);
    return error;
}

static int
print_much(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    for (int k = 0; k < 1000; k++)
        printf("%0500d\n", k);
    return 0;
}

static int
work_when_full(void *arg)
{
    static char large[LARGE];
    dsm_job_options captured = DSM_JOB_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;
    dsm_queue *queue;
    double *first;

    (void)arg;
    captured.capture_output = true;
    WANT(scene_create(&cluster) == 0);
    WANT(dsm_array_create(&array, cluster, "F", DSM_FLOAT64, DSM_SHAPE(MIB)) ==
         0);
    /* The table of jobs takes memory with the first. */
    WANT(result_of(cluster, print_much, "", 1, &captured) == 0);
    fill();
    /* What there is stays usable, all of it. */
    first = dsm_array_data(array);
    for (size_t i = 0; i < MIB; i++)
        first[i] = 1;
    WANT(full(
        dsm_array_create(&array, cluster, "G", DSM_UINT8, DSM_SHAPE(32 * MIB)),
        "array 'G' needs 34 MB"));
    WANT(full(dsm_queue_create(&queue, cluster, "G", 1000, 100000),
              "queue needs 100 MB") ||
         strstr(dsm_last_error(), "100 MB"));
    WANT(full(large_job(cluster), "a job's data needs 300 kB"));
    WANT(full(result_of(cluster, give_much, "\0", 2, NULL),
              "a job's data needs 300 kB"));
    WANT(full(result_of(cluster, give_much, "", 1, NULL),
              "a provisional result needs 300 kB"));
    WANT(full(dsm_cluster_run(cluster, test_whole_part, large, LARGE),
              "needs 307 kB"));
    /* What cannot be kept of its output is lost. */
    WANT(result_of(cluster, print_much, "", 1, &captured) == 0);
    WANT(result_of(cluster, test_whole_part, "", 1, NULL) == DSM_EFAILED);
    WANT(dsm_cluster_run(cluster, die, NULL, 0) == DSM_EWORKER);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    WANT(unlink("/dev/shm/filler") == 0);
    WANT(dsm_array_create(&array, cluster, "G", DSM_UINT8,
                          DSM_SHAPE(32 * MIB)) == 0);
    WANT(large_job(cluster) == 0);
    WANT(dsm_cluster_run(cluster, test_whole_part, large, LARGE) == 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

/* Which a container has when nothing is said: 64 MiB. */
START_TEST(it_is_full)
{
    scene_begin();
    ck_assert(private_shm());
    in_host(work_when_full, NULL);
    ck_assert(test_nothing_left(scene()->name));
}
END_TEST

/* ---- Limits of the process. */

static int
live_with_files(void *arg)
{
    struct rlimit few = {*(const rlim_t *)arg, *(const rlim_t *)arg};
    dsm_cluster *cluster;
    int error;

    WANT(setrlimit(RLIMIT_NOFILE, &few) == 0);
    error = scene_create(&cluster);
    WANT(error == 0 || error == -EMFILE);
    WANT(error == 0 || few.rlim_cur < 32);
    WANT(error == 0 || strstr(dsm_last_error(), "open files"));
    if (error)
        return 0;
    WANT(dsm_cluster_run(cluster, die, NULL, 0) == DSM_EWORKER);
    WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    error = large_job(cluster);
    WANT(error == 0 || error == -EMFILE);
    dsm_cluster_destroy(cluster);
    return 0;
}

START_TEST(few_files_may_be_open)
{
    for (rlim_t files = 4; files <= 24; files++) {
        memset(scene(), 0, sizeof *scene());
        scene_begin();
        in_host(live_with_files, &files);
        test_await(test_nothing_left, scene()->name);
    }
}
END_TEST

static const struct {
    __rlimit_resource_t resource;
    rlim_t limit;
} limits[] = {{RLIMIT_MEMLOCK, 0},       {RLIMIT_CORE, 0},
              {RLIMIT_SIGPENDING, 0},    {RLIMIT_MSGQUEUE, 0},
              {RLIMIT_STACK, 256 << 10}, {RLIMIT_NOFILE, 64},
              {RLIMIT_RTPRIO, 0},        {RLIMIT_LOCKS, 0}};

#define LIMITS ((int)(sizeof limits / sizeof *limits))

static int
live_within(void *arg)
{
    int k = *(const int *)arg;
    struct rlimit limit = {limits[k].limit, limits[k].limit};

    WANT(setrlimit(limits[k].resource, &limit) == 0);
    return live();
}

START_TEST(other_limits_are_no_matter)
{
    int k = _i;

    scene_begin();
    in_host(live_within, &k);
}
END_TEST

/* ---- Filters. */

/* System calls that it can do without, as Docker's and systemd's filters, or
 * old kernels, have it. */
static const int dispensable[] = {
    SYS_pidfd_open,
    SYS_rseq,
    SYS_membarrier,
    SYS_memfd_create,
    SYS_mbind,
    SYS_get_mempolicy,
    SYS_set_mempolicy,
    SYS_sched_setaffinity,
    SYS_sched_getaffinity,
    SYS_pidfd_send_signal,
    SYS_close_range,
    SYS_statx,
    SYS_process_madvise,
    SYS_setpriority,
};

/* And that it cannot. */
static const int indispensable[] = {
    SYS_epoll_create1, SYS_signalfd4, SYS_socket, SYS_socketpair,
    SYS_fallocate,     SYS_flock,     SYS_madvise};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static bool
refuse(int number, unsigned error)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int
live_without(void *arg)
{
    int k = *(const int *)arg;

    if (!refuse(dispensable[k / 2], k % 2 ? EPERM : ENOSYS))
        return 0; /* no filters here */
    return live();
}

START_TEST(a_filter_refuses_what_is_dispensable)
{
    int k = _i;

    scene_begin();
    in_host(live_without, &k);
}
END_TEST

static int
fail_without(void *arg)
{
    int k = *(const int *)arg;
    dsm_cluster *cluster;

    if (!refuse(indispensable[k / 2], k % 2 ? EPERM : ENOSYS))
        return 0;
    WANT(scene_create(&cluster) < 0);
    WANT(dsm_last_error()[0]);
    WANT(test_poll(test_nothing_left, scene()->name));
    return 0;
}

START_TEST(a_filter_refuses_what_is_needed)
{
    int k = _i;

    scene_begin();
    in_host(fail_without, &k);
}
END_TEST

/* ---- Out of memory, in a control group of its own. */

static char group[512];

static bool
put(const char *file, const char *text)
{
    char path[600];
    int fd;
    bool done;

    snprintf(path, sizeof path, "%s/%s", group, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    done = fd >= 0 && write(fd, text, strlen(text)) > 0;
    if (fd >= 0)
        close(fd);
    return done;
}

/* Below this process's own, of version 1 or 2.  False: not allowed. */
static bool
make_group(void)
{
    FILE *groups = fopen("/proc/self/cgroup", "re");
    char line[400], *path, *end;

    while (groups && fgets(line, sizeof line, groups)) {
        line[strcspn(line, "\n")] = '\0';
        path = strstr(line, ":memory:");
        snprintf(group, sizeof group, "/sys/fs/cgroup%s%s/dsm-test-%ld",
                 path ? "/memory" : "", path ? path + 8 : line + 3,
                 (long)getpid());
        if ((path || strncmp(line, "0::", 3) == 0) && mkdir(group, 0755) == 0) {
            if (put("memory.limit_in_bytes", "100000000") ||
                put("memory.max", "100000000"))
                break;
            rmdir(group);
        }
        group[0] = '\0';
    }
    if (groups)
        fclose(groups);
    end = strchr(group, '\0');
    return end != group && (put("memory.swap.max", "0") || true);
}

/* Twice what the group may take. */
static int
take_too_much(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 1)
        for (size_t k = 0; k < 200; k++) {
            char *block = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

            memset(block, 1, MIB);
        }
    return 0;
}

static int
live_in_group(void *arg)
{
    char pid[16];
    dsm_cluster *cluster;

    (void)arg;
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    WANT(put("cgroup.procs", pid));
    WANT(scene_create(&cluster) == 0);
    for (int k = 0; k < 2; k++) {
        WANT(dsm_cluster_run(cluster, take_too_much, NULL, 0) == DSM_EWORKER);
        WANT(strstr(dsm_last_error(), "worker 1 "));
        WANT(strstr(dsm_last_error(), "died of SIGKILL"));
        WANT(dsm_cluster_run(cluster, test_whole_part, NULL, 0) == 0);
    }
    WANT(large_job(cluster) == 0);
    dsm_cluster_destroy(cluster);
    return 0;
}

static bool
group_removed(const void *arg)
{
    (void)arg;
    return rmdir(group) == 0 || errno == ENOENT;
}

START_TEST(a_worker_takes_all_memory)
{
    if (!make_group()) {
        fprintf(stderr, "no control group of its own: not tested\n");
        return;
    }
    scene_begin();
    in_host(live_in_group, NULL);
    test_await(group_removed, NULL);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("limits");
    TCase *tests = test_case(suite, "process");
    pid_t pid;

    tcase_add_test(tests, few_files_may_be_open);
    /* AddressSanitizer needs more than some leave. */
    if (!test_sanitized()) {
        tcase_add_loop_test(tests, other_limits_are_no_matter, 0, LIMITS);
        tests = test_case(suite, "memory");
        tcase_add_test(tests, a_worker_takes_all_memory);
    }
    tests = test_case(suite, "filter");
    tcase_add_loop_test(tests, a_filter_refuses_what_is_dispensable, 0,
                        2 * COUNT(dispensable));
    tcase_add_loop_test(tests, a_filter_refuses_what_is_needed, 0,
                        2 * COUNT(indispensable));
    pid = fork();
    if (pid == 0)
        _exit(!private_shm());
    if (test_reap(pid) != 0)
        return test_main(suite);
    tests = test_case(suite, "shm");
    tcase_add_test(tests, there_is_no_shm);
    tcase_add_test(tests, it_cannot_be_written);
    tcase_add_loop_test(tests, it_has_room_for_few_files, 1, 9);
    tcase_add_test(tests, it_is_full);
    return test_main(suite);
}
