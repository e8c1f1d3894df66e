/* Every system call that an operation makes fails once, in whichever process
 * makes it: the operation gives a code and a sentence that says what failed, or
 * does without; it leaves nothing behind; and made again it succeeds. */
#include "faults.h"
#include "hosts.h"
#include "tries.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Of one function's calls in one kind of process. */
#define MOST 60
#define MOST_FRESH 10
#define MUCH ((size_t)100000)
#define GRACE_MS 100

#define KIND(kind) (1U << (kind))
#define ALL_KINDS (KIND(PROGRAM) | KIND(SUPERVISOR) | KIND(WORKER))

/* How functions fail. */
static const struct failure {
    enum fault fault;
    int error;
    unsigned kinds; /* in which it can be: a bit for each; 0: all */
    int most;       /* calls are failed, in one kind; 0: MOST */
} failures[] = {
    {FAULT_accept4, EMFILE, 0, 0},
    {FAULT_asprintf, ENOMEM, 0, 0},
    {FAULT_bind, EADDRINUSE, 0, 0},
    {FAULT_calloc, ENOMEM, 0, 0},
    {FAULT_chmod, EPERM, 0, 0},
    {FAULT_clone, EAGAIN, 0, 0},
    {FAULT_close, EIO, 0, 3},
    {FAULT_connect, ECONNREFUSED, 0, 0},
    {FAULT_dlopen, ENOENT, 0, 0},
    {FAULT_epoll_create1, EMFILE, 0, 0},
    {FAULT_epoll_ctl, ENOSPC, 0, 0},
    {FAULT_epoll_wait, EINTR, 0, 0},
    {FAULT_fallocate, ENOSPC, 0, 0},
    {FAULT_fallocate, EINTR, 0, 0},
    {FAULT_fchmod, EPERM, 0, 0},
    {FAULT_fcntl, EMFILE, 0, 0},
    {FAULT_fdopen, ENOMEM, 0, 0},
    {FAULT_flock, ENOLCK, 0, 0},
    {FAULT_flock, EINTR, 0, 0},
    {FAULT_fopen, EMFILE, 0, 3},
    {FAULT_fork, EAGAIN, 0, 0},
    {FAULT_fstat, EIO, 0, 0},
    {FAULT_fstatfs, EIO, 0, 0},
    {FAULT_fstatvfs, EIO, 0, 0},
    {FAULT_fsync, EIO, 0, 0},
    {FAULT_ftruncate, EIO, 0, 0},
    {FAULT_getsockopt, ENOBUFS, 0, 0},
    {FAULT_linkat, ENOSPC, 0, 0},
    {FAULT_listen, EADDRINUSE, 0, 0},
    {FAULT_lseek, EIO, 0, 0},
    {FAULT_lstat, EIO, 0, 3},
    {FAULT_madvise, ENOMEM, 0, 0},
    {FAULT_malloc, ENOMEM, 0, 0},
    {FAULT_mmap, ENOMEM, 0, 0},
    {FAULT_open, EMFILE, 0, 0},
    {FAULT_open, EINTR, 0, 0},
    {FAULT_opendir, EMFILE, 0, 0},
    {FAULT_poll, EINTR, KIND(PROGRAM), 0},
    {FAULT_pread, EIO, 0, 0},
    {FAULT_pread, EINTR, 0, 0},
    {FAULT_pread, FAULT_SHORT, 0, 0},
    {FAULT_pthread_barrier_init, EAGAIN, 0, 0},
    {FAULT_pthread_barrierattr_init, ENOMEM, 0, 0},
    {FAULT_pthread_mutex_init, EAGAIN, 0, 0},
    {FAULT_pthread_mutexattr_init, ENOMEM, 0, 0},
    {FAULT_pwrite, ENOSPC, 0, 0},
    {FAULT_pwrite, EINTR, 0, 0},
    {FAULT_pwrite, FAULT_SHORT, 0, 0},
    {FAULT_read, EIO, 0, 0},
    {FAULT_read, EINTR, 0, 0},
    {FAULT_read, FAULT_SHORT, 0, 0},
    {FAULT_realloc, ENOMEM, 0, 0},
    {FAULT_realpath, ENOMEM, 0, 0},
    {FAULT_recv, EINTR, KIND(PROGRAM), 0},
    {FAULT_rename, EACCES, 0, 0},
    {FAULT_send, EINTR, KIND(PROGRAM), 0},
    {FAULT_send, ENOBUFS, 0, 0},
    {FAULT_sendto, EAGAIN, 0, 0},
    {FAULT_signalfd, EMFILE, 0, 0},
    {FAULT_socket, EMFILE, 0, 0},
    {FAULT_socketpair, EMFILE, 0, 0},
    {FAULT_stat, EIO, 0, 0},
    {FAULT_statfs, EIO, 0, 0},
    {FAULT_statvfs, EIO, 0, 0},
    {FAULT_strdup, ENOMEM, 0, 0},
    {FAULT_strndup, ENOMEM, 0, 0},
    {FAULT_syscall, ENOSYS, 0, 0},
    {FAULT_syscall, EMFILE, 0, 0},
    {FAULT_waitpid, EINTR, KIND(PROGRAM), 0},
    {FAULT_write, ENOSPC, 0, 0},
    {FAULT_write, EINTR, 0, 0},
    {FAULT_write, FAULT_SHORT, 0, 0},
};

#define FAILURES (int)(sizeof failures / sizeof *failures)

/* What operations use: made by their `begin`. */
static struct {
    const char *name;
    char path[64]; /* of a file of NumPy's */
    dsm_cluster *cluster;
    dsm_array *array; /* "A" */
    pid_t host;
} use;

/* ---- What is there. */

struct inventory {
    int processes, fds, maps, files;
};

static int
count_files(const char *directory, const char *prefix)
{
    DIR *files = opendir(directory);
    struct dirent *file;
    int n = 0;

    while (files && (file = readdir(files)))
        n += strncmp(file->d_name, prefix, strlen(prefix)) == 0;
    if (files)
        closedir(files);
    return n;
}

/* Mappings of segments, and what is reserved for them. */
static int
count_maps(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    unsigned long from, to;
    char line[512];
    int n = 0;

    while (file && fgets(line, sizeof line, file))
        n += strstr(line, "/dev/shm/dsm.") ||
             (sscanf(line, "%lx-%lx", &from, &to) == 2 &&
              to - from >= (size_t)64 << 20 && strstr(line, "---p 0"));
    if (file)
        fclose(file);
    return n;
}

static struct inventory
take_inventory(void)
{
    struct inventory now;
    char prefix[96];

    snprintf(prefix, sizeof prefix, "dsm.%lu.%s", (unsigned long)geteuid(),
             use.name);
    now.processes = test_processes();
    now.fds = count_files("/proc/self/fd", "");
    /* A sanitizer makes mappings of its own as it goes. */
    now.maps = test_sanitized() ? 0 : count_maps();
    now.files = count_files("/dev/shm", prefix) +
                count_files("/dev/shm", strrchr(use.path, '/') + 1);
    return now;
}

static bool
is_as_before(const void *before)
{
    struct inventory now = take_inventory();

    return memcmp(before, &now, sizeof now) == 0;
}

/* ---- Operations. */

/* What is done, and how it is undone.  The code of the first call that failed.
 */
struct operation {
    const char *name;
    int (*run)(void);
    void (*undo)(void);
    void (*begin)(void);
    void (*end)(void);
    unsigned traits; /* KIND of processes in which calls fail, and the below */
};

enum {
    FRESH = 8,      /* its first time does more: each time on a new cluster */
    UNFINISHED = 16 /* what failed may leave the rest to the next time */
};

static void
nothing(void)
{
}

static int
make_cluster(void)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    options.name = use.name;
    options.grace_ms = GRACE_MS;
    options.setup_arg = use.path;
    options.setup_arg_size = sizeof use.path;
    return dsm_cluster_create(&use.cluster, 2, &options);
}

static void
end_cluster(void)
{
    dsm_cluster_destroy(use.cluster);
    use.cluster = NULL;
    unlink(use.path);
}

static int
make_and_run(void)
{
    int error = make_cluster();

    return error ? error
                 : dsm_cluster_run(use.cluster, test_whole_part, NULL, 0);
}

static int
make_and_destroy(void)
{
    int error = make_and_run();

    end_cluster();
    return error;
}

/* Each has a file of another name. */
static void
remove_traces(const char *path)
{
    char pattern[96];
    glob_t found = {0};

    snprintf(pattern, sizeof pattern, "%s*", path);
    (void)glob(pattern, 0, NULL, &found);
    for (size_t k = 0; k < found.gl_pathc; k++)
        unlink(found.gl_pathv[k]);
    globfree(&found);
}

static int
make_traced(void)
{
    char path[80];
    int error;

    snprintf(path, sizeof path, "%s.trace", use.path);
    setenv("DSM_TRACE", path, 1);
    error = make_and_destroy();
    unsetenv("DSM_TRACE");
    remove_traces(path);
    return error;
}

static void
begin_cluster(void)
{
    ck_dsm(make_cluster());
    ck_dsm(dsm_array_create(&use.array, use.cluster, "A", DSM_INT64,
                            DSM_SHAPE(1000)));
    ck_dsm(dsm_array_save(use.array, use.path));
    test_whole(use.cluster);
}

/* -- Arrays. */

static dsm_array *made;

static int
create_array(void)
{
    return dsm_array_create(&made, use.cluster, "X", DSM_FLOAT64,
                            DSM_SHAPE(1000, 1000));
}

static void
destroy_made(void)
{
    ck_dsm(dsm_array_destroy(made));
    made = NULL;
}

/* By name, so that it can be done again after it was half done. */
static int
destroy_array(void)
{
    dsm_array *array;
    int error =
        dsm_array_create(&array, use.cluster, "Y", DSM_INT8, DSM_SHAPE(5000));

    if (error == -EEXIST)
        error = dsm_array_open(&array, use.cluster, "Y", DSM_ANY);
    return error ? error : dsm_array_destroy(array);
}

static int
load_array(void)
{
    return dsm_array_load(&made, use.cluster, "X", use.path);
}

static int
save_array(void)
{
    int error = dsm_array_save(use.array, use.path);

    /* And in the directory that this process is in. */
    return error ? error
                 : dsm_array_save(use.array, strrchr(use.path, '/') + 1);
}

/* -- Locks, barriers, queues. */

static dsm_lock *lock;
static dsm_queue *queue;
static dsm_barrier *barrier;

static int
create_lock(void)
{
    return dsm_lock_create(&lock, use.cluster, "L");
}

static void
destroy_lock(void)
{
    ck_dsm(dsm_lock_destroy(lock));
}

static int
create_queue(void)
{
    return dsm_queue_create(&queue, use.cluster, "Q", 1000, 1000);
}

static void
destroy_queue(void)
{
    ck_dsm(dsm_queue_destroy(queue));
}

static int
create_barrier(void)
{
    return dsm_barrier_create(&barrier, use.cluster, "B", 2,
                              DSM_BARRIER_PTHREAD);
}

static void
destroy_barrier(void)
{
    ck_dsm(dsm_barrier_destroy(barrier));
}

/* -- Regions. */

static int
look_at_argument(dsm_worker *self, const void *arg, size_t arg_size)
{
    const char *text = arg;

    return test_whole_part(self, NULL, 0) || text[0] != 'x' ||
           text[arg_size - 1] != 'x';
}

/* With an array that workers have not mapped, and a large argument. */
static int
run_region(void)
{
    static char text[MUCH];
    dsm_array *array;
    int error =
        dsm_array_create(&array, use.cluster, "Z", DSM_INT8, DSM_SHAPE(100));

    memset(text, 'x', sizeof text);
    if (!error)
        error =
            dsm_cluster_run(use.cluster, look_at_argument, text, sizeof text);
    if (array) {
        int ended = dsm_array_destroy(array);

        error = error ? error : ended;
    }
    return error;
}

static int
die(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 1)
        raise(SIGKILL);
    return 0;
}

/* Whatever goes wrong with the replacement shows in the next region, or the
 * worker is replaced once more. */
static int
replace_worker(void)
{
    int error = dsm_cluster_run(use.cluster, die, NULL, 0);

    if (error != DSM_EWORKER)
        return error ? error : -EPROTO;
    return dsm_cluster_run(use.cluster, test_whole_part, NULL, 0);
}

static int
refresh(void)
{
    int error = dsm_cluster_refresh(use.cluster);

    return error ? error
                 : dsm_cluster_run(use.cluster, test_whole_part, NULL, 0);
}

/* -- Jobs. */

static int
print_and_give_back(dsm_worker *self, const void *arg, size_t arg_size)
{
    printf("out\n");
    return give_back(self, arg, arg_size);
}

static int
collect(dsm_job *job)
{
    dsm_job_info info = DSM_JOB_INFO_INIT;
    const void *result;
    size_t size;
    int error = dsm_job_provisional(job, &result, &size);

    if (error == DSM_EPENDING)
        error = 0;
    if (!error)
        error = dsm_job_result(job, &result, &size, wait_ms());
    if (!error && (size != MUCH || ((const char *)result)[size - 1] != 'x'))
        error = -EPROTO;
    if (!error)
        error = dsm_job_status(job, &info);
    return error;
}

static int
run_job(void)
{
    static char text[MUCH];
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job;
    int error;

    memset(text, 'x', sizeof text);
    options.capture_output = true;
    error = dsm_job_submit(&job, use.cluster, print_and_give_back, text,
                           sizeof text, &options);
    if (!error)
        error = collect(job);
    dsm_job_release(job);
    return error;
}

static int
run_jobs(void)
{
    static char text[2 * MUCH];
    dsm_job *job[2];
    int error;

    memset(text, 'x', sizeof text);
    error =
        dsm_job_map(job, use.cluster, print_and_give_back, text, MUCH, 2, NULL);
    for (int k = 0; k < 2 && job[k]; k++) {
        int code = collect(job[k]);

        error = error ? error : code;
        dsm_job_release(job[k]);
    }
    return error;
}

static int
do_nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

/* The worker rings. */
static int
watch_jobs(void)
{
    int fd = dsm_cluster_fd(use.cluster);
    int error = fd < 0 ? fd : 0;

    if (!error)
        error = dsm_job_submit(NULL, use.cluster, do_nothing, NULL, 0, NULL);
    return error ? error : dsm_cluster_drain(use.cluster, wait_ms());
}

/* -- Seen from outside. */

static int
visit_cluster(const dsm_cluster_info *info, void *arg)
{
    *(bool *)arg |= strcmp(info->name, use.name) == 0;
    return 0;
}

static int
visit_object(const dsm_object_info *info, void *arg)
{
    *(bool *)arg |= strcmp(info->name, "A") == 0;
    return 0;
}

static int
list(void)
{
    bool cluster = false, object = false;
    int error = dsm_cluster_list(visit_cluster, &cluster);

    if (!error)
        error = dsm_cluster_objects(use.name, visit_object, &object);
    return !error && !(cluster && object) ? -EPROTO : error;
}

/* A host, of which this process knows nothing, has the cluster; it comes before
 * the faults, and counts in no inventory. */
static int
host_one(void *arg)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;

    host_begin();
    options.name = arg;
    if (dsm_cluster_create(&cluster, 1, &options) < 0 ||
        dsm_array_create(&array, cluster, "A", DSM_INT64, DSM_SHAPE(1000)) < 0)
        return 1;
    tries()->inside = 1;
    while (!tries()->go)
        pause_briefly();
    dsm_cluster_destroy(cluster);
    return 0;
}

static void
begin_host(void)
{
    int one = 1;

    tries()->inside = tries()->go = 0;
    use.host = test_host(host_one, (void *)(uintptr_t)use.name);
    test_await(jobs_inside, &one);
}

static void
end_host(void)
{
    tries()->go = 1;
    ck_assert_int_eq(test_reap(use.host), 0);
}

static int
attach(void)
{
    int error = dsm_cluster_attach(&use.cluster, use.name);

    if (!error)
        error = dsm_array_open(&use.array, use.cluster, "A", DSM_INT64);
    if (error && use.cluster)
        end_cluster();
    return error;
}

/* Workers of another program load it by name.  It gives an error, as a job. */
static int
load_function(void (*any)(void))
{
    dsm_job *job;
    int error = dsm_job_submit(&job, use.cluster, (dsm_fn)any, NULL, 0, NULL);

    if (!error)
        error = dsm_job_result(job, NULL, NULL, wait_ms());
    dsm_job_release(job);
    return error == DSM_EFAILED ? 0 : error;
}

static int
attach_and_load(void)
{
    int error = attach();

    if (error)
        return error;
    /* Two, as the last one is known. */
    error = load_function((void (*)(void))getppid);
    if (!error)
        error = load_function((void (*)(void))getpid);
    if (error)
        end_cluster();
    return error;
}

/* As of a cluster whose processes were killed. */
static void
leave_remains(void)
{
    static const char *const rest[] = {"", ".A", "..ctl"};
    char path[128];

    for (int k = 0; k < 3; k++) {
        int fd;

        snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s%s",
                 (unsigned long)geteuid(), use.name, rest[k]);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
    }
}

static int
remove_cluster(void)
{
    int error = dsm_cluster_remove(use.name, false);

    return !error && !test_nothing_left(use.name) ? -EPROTO : error;
}

static void
remove_rest(void)
{
    ck_dsm(remove_cluster());
}

static const struct operation operations[] = {
    {"create", make_and_run, end_cluster, nothing, nothing, ALL_KINDS},
    {"destroy", make_and_destroy, nothing, nothing, nothing, ALL_KINDS},
    {"trace", make_traced, nothing, nothing, nothing, ALL_KINDS},
    {"array create", create_array, destroy_made, begin_cluster, end_cluster,
     KIND(PROGRAM)},
    {"array destroy", destroy_array, nothing, begin_cluster, end_cluster,
     KIND(PROGRAM) | UNFINISHED},
    {"array load", load_array, destroy_made, begin_cluster, end_cluster,
     KIND(PROGRAM)},
    {"array save", save_array, nothing, begin_cluster, end_cluster,
     KIND(PROGRAM)},
    {"lock create", create_lock, destroy_lock, begin_cluster, end_cluster,
     KIND(PROGRAM)},
    {"queue create", create_queue, destroy_queue, begin_cluster, end_cluster,
     KIND(PROGRAM)},
    {"barrier create", create_barrier, destroy_barrier, begin_cluster,
     end_cluster, KIND(PROGRAM)},
    {"region", run_region, nothing, begin_cluster, end_cluster,
     ALL_KINDS | FRESH},
    {"replacement", replace_worker, nothing, begin_cluster, end_cluster,
     ALL_KINDS},
    {"refresh", refresh, nothing, begin_cluster, end_cluster, ALL_KINDS},
    {"job", run_job, nothing, begin_cluster, end_cluster, ALL_KINDS | FRESH},
    {"job map", run_jobs, nothing, begin_cluster, end_cluster,
     ALL_KINDS | FRESH},
    {"job poll", watch_jobs, nothing, begin_cluster, end_cluster,
     ALL_KINDS | FRESH},
    {"list", list, nothing, begin_cluster, end_cluster, KIND(PROGRAM)},
    {"attach", attach, end_cluster, begin_host, end_host,
     KIND(PROGRAM) | KIND(SUPERVISOR)},
    {"function load", attach_and_load, end_cluster, begin_host, end_host,
     ALL_KINDS | FRESH},
    {"remove", remove_cluster, leave_remains, leave_remains, remove_rest,
     KIND(PROGRAM) | UNFINISHED},
};

#define OPERATIONS (int)(sizeof operations / sizeof *operations)

/* ---- Failing. */

/* Failures of each operation, in memory that all tests share. */
static int *failed;

/* Whether that code may come of the failure. */
static bool
is_documented(const struct failure *failure, enum fault_kind kind, int code)
{
    if (failure->fault == FAULT_write && code == -EIO)
        return true; /* a trace that cannot be begun */
    if ((failure->fault == FAULT_pthread_mutex_init ||
         failure->fault == FAULT_pthread_mutexattr_init) &&
        code == DSM_EFORMAT)
        return true; /* there is nothing to compare a cluster's locks with */
    /* These do not show. */
    if (failure->error == EINTR || failure->error == FAULT_SHORT)
        return false;
    if (code == -failure->error)
        return true;
    if (failure->fault == FAULT_connect && code == DSM_ESTALE)
        return true; /* "does not answer" */
    if ((failure->fault == FAULT_fstat || failure->fault == FAULT_lstat) &&
        code == DSM_ESTALE)
        return true; /* "has just been removed" */
    if ((failure->fault == FAULT_dlopen || failure->fault == FAULT_realpath) &&
        code == -ENOEXEC)
        return true; /* "workers cannot load" */
    if (kind == SUPERVISOR && (code == DSM_ESTALE || code == DSM_EWORKER))
        return true;
    return kind == WORKER && (code == DSM_EWORKER || code == DSM_EFAILED);
}

static void
describe(char *text, size_t size, const struct operation *operation,
         const struct failure *failure, enum fault_kind kind, int n)
{
    static const char *const kinds[] = {"the program", "the supervisor",
                                        "a worker"};

    snprintf(text, size, "%s, %s no. %d in %s fails (%s)", operation->name,
             fault_name(failure->fault), n, kinds[kind],
             failure->error < 0 ? "half" : dsm_errname(-failure->error));
    if (getenv("FAULTS_VERBOSE"))
        fprintf(stderr, "%s\n", text);
}

static void
ck_told(const char *what, const struct failure *failure, enum fault_kind kind,
        int code)
{
    if (getenv("FAULTS_VERBOSE"))
        fprintf(stderr, "    %s: %s\n", dsm_errname(code), dsm_last_error());
    ck_assert_msg(is_documented(failure, kind, code), "%s: %s (%s)", what,
                  dsm_errname(code), dsm_last_error());
    ck_assert_msg(strcmp(dsm_last_error(), "untold") != 0, "%s: %s", what,
                  dsm_errname(code));
}

static void
ck_as_before(const char *what, const struct inventory *before)
{
    struct inventory now;

    if (test_poll(is_as_before, before))
        return;
    now = take_inventory();
    ck_abort_msg("%s: processes %+d, descriptors %+d, mappings %+d, files %+d",
                 what, now.processes - before->processes, now.fds - before->fds,
                 now.maps - before->maps, now.files - before->files);
}

static void
ck_well(const struct operation *operation, const char *what)
{
    int code = operation->run();

    ck_assert_msg(code >= 0, "after %s: %s (%s)", what, dsm_errname(code),
                  dsm_last_error());
    operation->undo();
}

/* Whether it was failed: else there are less than n calls. */
static bool
fail_one(const struct operation *operation, const struct failure *failure,
         enum fault_kind kind, int n, const struct inventory *before)
{
    char what[128];
    bool fired;
    int code;

    describe(what, sizeof what, operation, failure, kind, n);
    if (operation->traits & FRESH)
        operation->begin();
    dsm__fail(-EINVAL, "untold");
    fault_at(failure->fault, kind, n, failure->error);
    code = operation->run();
    fired = faults_end();
    ck_assert_msg(fired || code >= 0, "%s did not fail, but: %s", what,
                  dsm_last_error());
    if (code < 0)
        ck_told(what, failure, kind, code);
    else
        operation->undo();
    if (!(operation->traits & FRESH) && !(operation->traits & UNFINISHED))
        ck_as_before(what, before);
    if (code < 0 || operation->traits & UNFINISHED)
        ck_well(operation, what);
    if (operation->traits & FRESH)
        operation->end();
    ck_as_before(what, before);
    return fired;
}

/* How often each function is called. */
static void
count(const struct operation *operation, int calls[FAULTS][FAULT_KINDS])
{
    int code;

    if (operation->traits & FRESH)
        operation->begin();
    faults_count();
    code = operation->run();
    faults_end();
    ck_assert_int_ge(code, 0);
    operation->undo();
    for (int k = 0; k < FAULTS; k++)
        for (int kind = 0; kind < FAULT_KINDS; kind++)
            calls[k][kind] =
                faults_counted((enum fault)k, (enum fault_kind)kind);
    if (operation->traits & FRESH)
        operation->end();
}

static bool
may_fail(const struct operation *operation, const struct failure *failure,
         int kind)
{
    return operation->traits & KIND(kind) &&
           (!failure->kinds || failure->kinds & KIND(kind));
}

/* Of so many calls each; how many did. */
static int
fail_all(const struct operation *operation, const struct failure *failure,
         int kind, int calls, const struct inventory *before)
{
    int most = operation->traits & FRESH ? MOST_FRESH : MOST, done = 0;

    if (failure->most)
        most = failure->most;

    for (int n = 1; n <= calls && n <= most; n++)
        done += fail_one(operation, failure, (enum fault_kind)kind, n, before);
    return done;
}

static bool
as_many_processes(const void *n)
{
    return test_processes() == *(const int *)n;
}

/* What is there when nothing is under way. */
static struct inventory
begin(const struct operation *operation)
{
    int processes;

    if (operation->traits & FRESH)
        return take_inventory();
    operation->begin();
    processes = test_processes();
    ck_well(operation, "the first time");
    test_await(as_many_processes, &processes);
    return take_inventory();
}

START_TEST(fails)
{
    const struct operation *operation = &operations[_i];
    int calls[FAULTS][FAULT_KINDS];
    struct inventory before;

    if (operation->run == remove_cluster && !private_shm())
        return;
    ck_assert_int_eq(chdir("/dev/shm"), 0);
    use.name = test_name();
    snprintf(use.path, sizeof use.path, "/dev/shm/%s.npy", use.name);
    before = begin(operation);
    count(operation, calls);
    for (const struct failure *failure = failures;
         failure < failures + FAILURES; failure++)
        for (int kind = 0; kind < FAULT_KINDS; kind++)
            if (may_fail(operation, failure, kind))
                failed[_i] += fail_all(operation, failure, kind,
                                       calls[failure->fault][kind], &before);
    if (!(operation->traits & FRESH))
        operation->end();
    unlink(use.path);
    test_await(test_alone, NULL);
}
END_TEST

/* Nothing that the library calls is left out. */
START_TEST(all_functions_have_failed)
{
    if (getenv("CK_RUN_CASE"))
        return; /* this is not all of the tests */
    for (int k = 0; k < OPERATIONS; k++)
        ck_assert_msg(failed[k] > 0, "%s never failed", operations[k].name);
    for (int k = 0; k < FAULTS; k++)
        ck_assert_msg(faults_failed((enum fault)k) > 0, "%s never failed",
                      fault_name((enum fault)k));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("faults");
    TCase *tests;
    int result;

    faults_begin();
    failed = mmap(NULL, sizeof(int) * OPERATIONS, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int k = 0; k < OPERATIONS; k++) {
        tests = test_case(suite, operations[k].name);
        tcase_set_timeout(tests, 300);
        tcase_add_loop_test(tests, fails, k, k + 1);
    }
    tests = test_case(suite, "all");
    tcase_add_test(tests, all_functions_have_failed);
    result = test_main(suite);
    for (int k = 0; k < OPERATIONS; k++)
        printf("%-16s %5d failures\n", operations[k].name, failed[k]);
    return result;
}
