/* The files of a cluster that is no more; see image.h. */
#include "image.h"

#include "cluster/command.h"
#include "os/futex.h"
#include "shm/segment.h"

#include <dsm.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "image"
#define WAITS 3        /* until the supervisor is dead */
#define WAITS_MOST 200 /* until a wait is one without end */
#define EXTENTS 64
#define WINDOWS 8

struct extent {
    off_t begin;
    size_t size;
    char *bytes;
};

const char *image_name = NAME;
int32_t image_client;
bool image_any_cluster;

static char control_path[DSM__PATH_SIZE], array_path[DSM__PATH_SIZE];
static char prefix[DSM__PATH_SIZE]; /* of all that the cluster may touch */
static struct extent extents[EXTENTS];
static size_t extent_count, control_size, array_size;
static char *array_bytes;
static struct dsm__control header;
static unsigned waits;

/* What is damaged: parts of the control segment that are in use. */
static struct {
    size_t begin, size;
} windows[WINDOWS];
static size_t window_count, windows_size;
static size_t
    part_begin; /* among their bytes: of a program's part of the pool */

static const char *const bystanders[] = {"/dev/shm/bystander",
                                         "/dev/shm/dsm.%lu." NAME "2.A",
                                         "/dev/shm/dsm.%lu.other.A"};

/* ---- What the library calls. */

int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __real_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
                                   const struct timespec *until);
int __wrap_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
                                   const struct timespec *until);
bool __real_dsm__futex_wait(_Atomic uint32_t *word, uint32_t seen,
                            int64_t timeout_ns);
bool __wrap_dsm__futex_wait(_Atomic uint32_t *word, uint32_t seen,
                            int64_t timeout_ns);

static bool watching; /* while an input is tried: then nothing is real */
static bool created;  /* a file, meanwhile */

int
__wrap_kill(pid_t pid, int number)
{
    fuzz_check(!watching);
    return __real_kill(pid, number);
}

static bool
is_ours(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = strlen(prefix);

    path = slash ? slash + 1 : path;
    return strncmp(path, prefix, length) == 0 &&
           (path[length] == '\0' || path[length] == '.');
}

int
__wrap_unlink(const char *path)
{
    fuzz_check(!watching || is_ours(path));
    return __real_unlink(path);
}

int
__wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = (mode_t)va_arg(arguments, int);
    va_end(arguments);
    if (strstr(path, ".gcda")) /* what ./dev coverage counts */
        return __real_open(path, flags, mode);
    created = created || flags & O_CREAT;
    fuzz_check(
        !watching || (flags & O_ACCMODE) == O_RDONLY || is_ours(path) ||
        ((flags & O_TMPFILE) == O_TMPFILE && strcmp(path, "/dev/shm") == 0));
    return __real_open(path, flags, mode);
}

/* Instead of the supervisor: replies for as many requests as may come. */
int
__wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    struct dsm__reply reply = {.value = image_client};
    int ends[2];

    if (!watching)
        return __real_connect(fd, address, size);
    memset(reply.message, 'x', sizeof reply.message);
    fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    for (int k = 0; k < 4; k++)
        fuzz_check(send(ends[1], &reply, sizeof reply, 0) == sizeof reply);
    close(ends[1]);
    fuzz_check(dup2(ends[0], fd) == fd);
    close(ends[0]);
    return 0;
}

static void
let_supervisor_die(struct dsm__member *member, void *arg)
{
    (void)arg;
    if (member->control)
        atomic_fetch_or((_Atomic uint32_t *)(void *)&member->control->alive,
                        FUTEX_OWNER_DIED);
}

static void
wait_once(void)
{
    if (++waits > WAITS)
        dsm__member_each(let_supervisor_die, NULL);
    fuzz_check(waits < WAITS_MOST);
}

int
__wrap_pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
                               const struct timespec *until)
{
    if (!watching)
        return __real_pthread_mutex_clocklock(mutex, clock, until);
    wait_once();
    return ETIMEDOUT;
}

bool
__wrap_dsm__futex_wait(_Atomic uint32_t *word, uint32_t seen,
                       int64_t timeout_ns)
{
    if (!watching)
        return __real_dsm__futex_wait(word, seen, timeout_ns);
    wait_once();
    return false;
}

/* ---- Making it. */

static _Noreturn void
cannot(const char *what)
{
    printf("%s\n", what);
    exit(77);
}

static void
write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        close(fd);
    }
}

/* Who is not root is it in a namespace of users. */
static void
own_shm(void)
{
    char map[64];
    uid_t user = geteuid();

    if (unshare(CLONE_NEWNS) < 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
            cannot("no namespaces of its own");
        snprintf(map, sizeof map, "%lu %lu 1", (unsigned long)user,
                 (unsigned long)user);
        write_text("/proc/self/uid_map", map);
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=256m,mode=1777") < 0)
        cannot("no /dev/shm of its own");
}

static void
must(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, dsm_last_error());
        abort();
    }
}

/* The cluster, in a process of its own, until the pipe's other end is closed.
 */
static void
run_cluster(int ready, int end)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_barrier *barrier;
    dsm_array *array;
    dsm_queue *queue;
    dsm_lock *lock;
    char byte = 0;

    options.name = NAME;
    options.address_space = (size_t)64 << 20;
    options.max_jobs = 8;
    must(dsm_cluster_create(&cluster, 2, &options), "create");
    must(dsm_array_create(&array, cluster, "A", DSM_FLOAT64, DSM_SHAPE(3, 4)),
         "array");
    must(dsm_lock_create(&lock, cluster, "L"), "lock");
    must(dsm_barrier_create(&barrier, cluster, "B", 2, DSM_BARRIER_ROBUST),
         "barrier");
    must(dsm_queue_create(&queue, cluster, "Q", 4, IMAGE_MESSAGE), "queue");
    must((int)write(ready, &byte, 1), "pipe");
    (void)!read(end, &byte, 1);
    dsm_cluster_destroy(cluster);
}

/* It fails, as its function gives no 0. */
static void
run_job(dsm_job *job)
{
    fuzz_check(dsm_job_result(job, NULL, NULL, DSM_FOREVER) == DSM_EFAILED);
    dsm_job_release(job);
}

/* A job that has ended, with a large argument, and what becomes of others. */
static void
use_cluster(void)
{
    static char large[4096];
    dsm_cluster *cluster;
    dsm_queue *queue;
    dsm_array *array;
    dsm_job *job;
    dsm_fn fn;

    /* Of a library that the workers have, too. */
    *(void **)&fn = dlsym(RTLD_DEFAULT, "getppid");
    must(dsm_cluster_attach(&cluster, NAME), "attach");
    must(dsm_array_open(&array, cluster, "A", DSM_ANY), "open");
    must(dsm_array_create(&array, cluster, "gone", DSM_INT8, DSM_SHAPE(1)),
         "array");
    must(dsm_array_destroy(array), "destroy");
    must(dsm_queue_open(&queue, cluster, "Q"), "queue");
    must(dsm_queue_push(queue, large, 0), "push");
    must(dsm_job_submit(&job, cluster, fn, large, sizeof large, NULL),
         "submit");
    run_job(job);
    must(dsm_job_submit(&job, cluster, fn, NULL, 0, NULL), "submit");
    run_job(job);
    dsm_cluster_destroy(cluster);
}

static char *
read_bytes(int fd, off_t begin, size_t size)
{
    char *bytes = malloc(size);

    fuzz_check(bytes && pread(fd, bytes, size, begin) == (ssize_t)size);
    return bytes;
}

static void
keep_control(void)
{
    int fd = open(control_path, O_RDONLY | O_CLOEXEC);
    off_t begin, end = 0;

    fuzz_check(fd >= 0);
    control_size = (size_t)lseek(fd, 0, SEEK_END);
    while ((begin = lseek(fd, end, SEEK_DATA)) >= 0) {
        struct extent *extent = &extents[extent_count++];

        fuzz_check(extent_count < EXTENTS);
        end = lseek(fd, begin, SEEK_HOLE);
        extent->begin = begin;
        extent->size = (size_t)(end - begin);
        extent->bytes = read_bytes(fd, begin, extent->size);
    }
    fuzz_check(pread(fd, &header, sizeof header, 0) == sizeof header);
    close(fd);
}

static void
keep_array(void)
{
    int fd = open(array_path, O_RDONLY | O_CLOEXEC);

    fuzz_check(fd >= 0);
    array_size = (size_t)lseek(fd, 0, SEEK_END);
    array_bytes = read_bytes(fd, 0, array_size);
    close(fd);
}

static void
add_window(size_t begin, size_t size)
{
    windows[window_count].begin = begin;
    windows[window_count++].size = size;
    windows_size += size;
}

static void
find_windows(void)
{
    size_t part = header.pool.offset + header.pool.size;

    add_window(0, sizeof header);
    add_window(header.slots_offset, 2 * sizeof(struct dsm__worker_slot));
    add_window(header.objects_offset, 6 * sizeof(union dsm__slot));
    part_begin = windows_size;
    add_window(part, 512);                        /* the board */
    add_window(part + header.pool.ended, 128);    /* the ring of ended jobs */
    add_window(part + header.pool.rings, 7 * 64); /* of queued ones */
    add_window(part + header.pool.jobs, 4 * 128);
    add_window(part + header.pool.bodies, 2 * 4096);
}

static void
make_bystanders(void)
{
    char path[DSM__PATH_SIZE];

    for (size_t k = 0; k < sizeof bystanders / sizeof *bystanders; k++) {
        snprintf(path, sizeof path, bystanders[k], (unsigned long)geteuid());
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
}

void
image_end(void)
{
    char path[DSM__PATH_SIZE];

    watching = false;
    for (size_t k = 0; k < sizeof bystanders / sizeof *bystanders; k++) {
        snprintf(path, sizeof path, bystanders[k], (unsigned long)geteuid());
        fuzz_check(access(path, F_OK) == 0 || (image_any_cluster && k > 0));
    }
}

void
image_make(void)
{
    int ready[2], end[2];
    char byte;
    pid_t pid;

    own_shm();
    dsm__path(control_path, NULL, NAME, NULL);
    dsm__path(array_path, NULL, NAME, "A");
    strcpy(prefix, strrchr(control_path, '/') + 1);
    if (image_any_cluster)
        *strrchr(prefix, '.') = '\0';
    fuzz_check(pipe2(ready, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0);
    pid = fork();
    fuzz_check(pid >= 0);
    if (pid == 0) {
        close(end[1]);
        run_cluster(ready[1], end[0]);
        _exit(0);
    }
    fuzz_check(read(ready[0], &byte, 1) == 1);
    use_cluster();
    keep_control();
    keep_array();
    find_windows();
    close(ready[0]), close(ready[1]), close(end[0]), close(end[1]);
    fuzz_check(waitpid(pid, NULL, 0) == pid);
}

/* ---- Using it. */

static void
write_file(const char *path, size_t size, const struct extent *parts, size_t n)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    fuzz_check(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    for (size_t k = 0; k < n; k++)
        fuzz_check(pwrite(fd, parts[k].bytes, parts[k].size, parts[k].begin) ==
                   (ssize_t)parts[k].size);
    close(fd);
}

static void
remove_others(void)
{
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    char path[DSM__PATH_SIZE + 256];

    while (files && (file = readdir(files))) {
        snprintf(path, sizeof path, "/dev/shm/%s", file->d_name);
        if (is_ours(path) && strcmp(path, control_path) != 0 &&
            strcmp(path, array_path) != 0)
            __real_unlink(path);
    }
    closedir(files);
}

void
image_restore(void)
{
    struct extent array = {0, array_size, array_bytes};

    watching = false;
    waits = 0;
    image_client = 0;
    remove_others();
    make_bystanders();
    write_file(control_path, control_size, extents, extent_count);
    write_file(array_path, array_size, &array, 1);
    watching = true;
}

/* The place in the file of byte `at` among the windows. */
static off_t
place_of(size_t at)
{
    for (size_t k = 0; k < window_count; k++) {
        if (at < windows[k].size)
            return (off_t)(windows[k].begin + at);
        at -= windows[k].size;
    }
    return 0;
}

static void
damage(int fd, const uint8_t patch[12], size_t from)
{
    uint64_t value, old = 0;
    size_t at = (size_t)(patch[0] | patch[1] << 8) * 4;
    size_t size = (size_t)1 << patch[2] % 4;
    off_t place = place_of(from + at % (windows_size - from));

    memcpy(&value, patch + 4, sizeof value);
    /* It may have been cut short. */
    if (pread(fd, &old, size, place) < (ssize_t)size)
        return;
    if (patch[2] & 4)
        value += old;
    fuzz_check(pwrite(fd, &value, size, place) == (ssize_t)size);
}

void
image_damage(const uint8_t *data, size_t size, bool later)
{
    int fd = open(control_path, O_RDWR | O_CLOEXEC);

    fuzz_check(fd >= 0);
    for (; size >= 12; data += 12, size -= 12)
        if (later == ((data[2] & 8) != 0))
            damage(fd, data, later ? part_begin : 0);
    close(fd);
}

void
image_cut(int bytes)
{
    off_t size = bytes == INT16_MIN ? 0 : (off_t)control_size + bytes;

    fuzz_check(truncate(control_path, size) == 0);
}

bool
image_array_length(uint32_t length)
{
    fuzz_check(truncate(array_path, length) == 0);
    return length != array_size;
}

struct dsm__control *
image_map(void)
{
    int fd = open(control_path, O_RDWR | O_CLOEXEC);
    void *at;

    fuzz_check(fd >= 0);
    at = mmap((void *)(uintptr_t)header.base, control_size,
              PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0);
    fuzz_check(at == (void *)(uintptr_t)header.base);
    close(fd);
    return at;
}

void
image_renew(struct dsm__control *control, bool all)
{
    watching = false;
    waits = 0;
    if (created)
        remove_others();
    created = false;
    if (all)
        fuzz_check(madvise(control, control_size, MADV_DONTNEED) == 0);
    watching = true;
}
