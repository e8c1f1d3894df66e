/* Creating and destroying clusters. */
#include "cluster/cluster.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/command.h"
#include "cluster/host.h"
#include "cluster/options.h"
#include "cluster/remains.h"
#include "cluster/supervisor.h"
#include "cluster/work.h"
#include "code/function.h"
#include "os/cpu.h"
#include "os/process.h"
#include "registry/mutex.h"
#include "shm/segment.h"
#include "sync/gate.h"
#include "sync/wait.h"
#include "trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME_TRIES 100
#define DYING_MS 1000

/* The n-th name to try: the user's, or PROGRAM-PID, PROGRAM-PID-2 and so on. */
static bool
choose_name(char *name, const char *given, unsigned n)
{
    char program[DSM_NAME_MAX - 24];
    size_t k = 0;

    if (given) {
        strcpy(name, given);
        return n == 0;
    }
    for (const char *c = dsm__program_name(); *c && k + 1 < sizeof program; c++)
        program[k++] = dsm__name_legal((char[2]){*c, '\0'}, 1) ? *c : '_';
    program[k] = '\0';
    snprintf(name, DSM_NAME_MAX + 1, n ? "%s-%ld-%u" : "%s-%ld",
             k ? program : "dsm", (long)getpid(), n + 1);
    return n < NAME_TRIES;
}

/* Creates a control segment's file and locks it as alive.  -EEXIST: the name is
 * taken, or a sweeper took the newborn for a dead one. */
static int
create_locked(dsm_cluster *cluster, const char *name, size_t size)
{
    char path[DSM__PATH_SIZE];
    int error;

    dsm__path(path, NULL, name, NULL);
    dsm__host_hold_forks();
    error = dsm__segment_create(&cluster->member.fd, path, size);
    dsm__host_let_fork();
    DSM__POINT("control.created");
    if (error || dsm__remains_lock(cluster->member.fd, path, LOCK_SH))
        return error;
    error = -EEXIST;
    if (errno != EWOULDBLOCK) {
        error = dsm__fail_errno("cannot lock segment %s", path);
        if (dsm__segment_is(cluster->member.fd, path))
            unlink(path);
    }
    close(cluster->member.fd);
    cluster->member.fd = -1;
    return error;
}

/* The same under the first name that is free, or becomes so by a sweep. */
static int
create_control_file(dsm_cluster *cluster, char *name, const char *given,
                    size_t size)
{
    unsigned n = 0;

    for (unsigned tries = 0; tries < NAME_TRIES; tries++) {
        int error = create_locked(cluster, name, size), swept;

        if (error != -EEXIST)
            return error;
        swept = dsm__remains_sweep(name);
        if (swept == 0 || swept == -ENOENT)
            continue; /* it is free now */
        if (swept != -EBUSY && given)
            return swept;
        if (!choose_name(name, given, ++n))
            break;
    }
    return dsm__fail(-EEXIST, "there is a live cluster '%s' already", name);
}

/* Bytes of the control segment without the pool: enough for anybody, as only
 * what is used takes memory, but within what limits there are.  Where these
 * leave no room for the workers, creating it says so. */
static size_t
control_size(size_t space, unsigned workers)
{
    size_t size = DSM__CONTROL_MAX,
           least = dsm__control_layout(NULL, workers, 0);
    struct rlimit limit;

    while (size > space / 4)
        size /= 2;
    /* Besides that, the table of objects takes an eighth. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0)
        while (size > limit.rlim_cur && size / 2 >= 2 * least)
            size /= 2;
    return size;
}

/* Finds places for jobs behind the first `size` bytes of the segment, which
 * only take memory when they are used, too. */
static void
plan_pool(struct dsm__pool_layout *pool, size_t size, size_t space,
          uint64_t max_jobs)
{
    uint64_t room = space / 8;
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size + room)
        room = limit.rlim_cur > size ? limit.rlim_cur - size : 0;
    pool->offset = size;
    dsm__pool_layout(pool, max_jobs, room);
}

static void
describe(dsm_cluster *cluster, const char *name, const char *directory)
{
    struct dsm__control *control = cluster->member.control;

    control->uid = geteuid();
    control->base = (uint64_t)(uintptr_t)control;
    control->space_size = cluster->member.space.size;
    control->pid_namespace = dsm__pid_namespace();
    control->array_page = dsm__segment_page(directory);
    control->created = time(NULL);
    control->ticks_then = dsm__ticks();
    control->ns_then = dsm__now();
    control->owner = getpid();
    control->first = dsm__first_worker(cluster);
    control->detached = cluster->options.detached;
    control->grace_ms = cluster->options.grace_ms;
    strcpy(control->name, name);
    strcpy(control->directory, directory);
    snprintf(control->program, sizeof control->program, "%s",
             dsm__program_name());
}

static int
init_control(dsm_cluster *cluster, unsigned workers, const char *name,
             const char *directory, const struct dsm__pool_layout *pool)
{
    struct dsm__member *member = &cluster->member;
    struct dsm__control *control = member->control;
    int error;

    dsm__control_layout(control, workers, pool->offset);
    control->pool = *pool;
    control->control_size += dsm__pool_bytes(pool);
    control->space_top = control->control_size;
    describe(cluster, name, directory);
    dsm__gate_init(&control->region.gate, workers);
    /* The controller counts only where it works; asleep it takes no CPU. */
    dsm__wait_tune(control, workers);
    error = dsm__mutex_init(&control->alive);
    if (!error)
        error = dsm__mutex_init(&control->registry);
    for (unsigned k = 0; k < workers; k++)
        dsm__worker_slot(control, k)->node =
            cluster->places ? cluster->places[k].node : -1;
    member->seen = &control->controller_seen;
    if (control->first) {
        dsm__worker_slot(control, 0)->pid = getpid();
        dsm__worker_slot(control, 0)->state = DSM_WORKER_IDLE;
    }
    DSM__POINT("control.written");
    /* Whoever attaches reads this first. */
    atomic_store_explicit(&control->magic, DSM__MAGIC, memory_order_release);
    return error;
}

static uint64_t
hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);

    while (*text)
        h = (h ^ (unsigned char)*text++) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

static int
make_control(dsm_cluster *cluster, unsigned workers, const char *directory)
{
    struct dsm__member *member = &cluster->member;
    const char *given = cluster->options.name;
    char name[DSM_NAME_MAX + 1], path[DSM__PATH_SIZE];
    struct dsm__pool_layout pool;
    size_t size;
    int error;

    choose_name(name, given, 0);
    error = dsm__space_reserve(&member->space, cluster->options.address_space,
                               hash(name));
    if (error)
        return error;
    size = control_size(member->space.size, workers);
    plan_pool(&pool, size, member->space.size, cluster->options.max_jobs);
    size += dsm__pool_bytes(&pool);
    error = create_control_file(cluster, name, given, size);
    if (error)
        return error;
    /* A sweep that found them without one may still be under way. */
    (void)dsm__remains_clear(name, directory);
    dsm__path(path, NULL, name, NULL);
    error = dsm__segment_allocate(member->fd, path, 0,
                                  dsm__control_layout(NULL, workers, size),
                                  "the cluster's control segment");
    if (!error)
        error = dsm__space_map(&member->space, 0, size, member->fd);
    if (error) {
        unlink(path);
        return error;
    }
    member->control = (struct dsm__control *)member->space.base;
    strcpy(cluster->name, name);
    error = init_control(cluster, workers, name, directory, &pool);
    if (error)
        unlink(path);
    return error;
}

/* Before there is a file: closing them frees descriptors with which to find the
 * files to remove. */
static int
make_sockets(struct dsm__member *member)
{
    int ends[2] = {-1, -1}, error = 0;

    dsm__host_hold_forks();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0) {
        member->command = dsm__fd_off_stdio(ends[0]);
        member->other_end = dsm__fd_off_stdio(ends[1]);
    }
    if (member->command < 0 || member->other_end < 0)
        error = dsm__fail_errno("cannot make a socket");
    dsm__host_let_fork();
    return error;
}

static void
close_one(int *slot)
{
    int fd = *slot;

    /* First: a child of another thread's closes what this says, and the number
     * may soon be another descriptor's. */
    *slot = -1;
    if (fd >= 0)
        close(fd);
}

/* When there is no supervisor, or it has ended.  Holds no lock, as it may be
 * called at exit. */
static void
close_connections(dsm_cluster *cluster)
{
    close_one(&cluster->log);
    close_one(&cluster->member.other_end);
    close_one(&cluster->member.command);
}

/* Forks the supervisor, which forks the workers. */
static int
launch(dsm_cluster *cluster)
{
    struct dsm__member *member = &cluster->member;
    struct dsm__control *control = member->control;
    int controller, result;
    pid_t self = getpid();

    /* Opened before the fork, so that it can be no other process's. */
    controller = dsm__fd_off_stdio(dsm__pidfd_open(self));
    cluster->objects = dsm__objects_now();
    dsm__stdio_flush();
    dsm__signals_block(&cluster->host_mask);
    DSM__POINT("control.launch");
    result = dsm__host_fork(member);
    if (result == 1) {
        close(member->command);
        dsm__supervisor_main(cluster, member->other_end, controller, self);
    }
    DSM__POINT("control.launched");
    pthread_sigmask(SIG_SETMASK, &cluster->host_mask, NULL);
    close_one(&member->other_end);
    close_one(&cluster->log);
    if (controller >= 0)
        close(controller);
    if (result < 0) {
        close_one(&member->command);
        return dsm__fail(result, "cannot fork the supervisor: %s",
                         dsm_strerror(result));
    }
    /* A child that the host forks later must not hold on to it. */
    madvise(control, control->control_size, MADV_DONTFORK);
    return 0;
}

static bool
all_started(const struct dsm__control *control)
{
    for (unsigned w = control->first; w < control->workers; w++)
        if (dsm__worker_slot(control, w)->state < DSM_WORKER_IDLE ||
            !dsm__worker_slot(control, w)->pid)
            return false;
    return control->supervisor != 0;
}

int
dsm__cluster_wait_started(dsm_cluster *cluster)
{
    struct dsm__control *control = cluster->member.control;

    for (;;) {
        struct pollfd end = {.fd = cluster->member.command};
        uint32_t seen = atomic_load(&control->ready.word);
        int error = atomic_load(&control->broken);

        if (error)
            return dsm__fail(error, "%s", control->broken_message);
        if (all_started(control))
            return 0;
        /* It may have died before it held the lock that would tell. */
        if (poll(&end, 1, 0) > 0 && end.revents & (POLLHUP | POLLERR))
            error = DSM_ESTALE;
        else
            error = dsm__sleep(control, &control->ready.word, seen,
                               &control->ready.sleeping, DSM__NO_DEADLINE);
        if (error)
            return dsm__supervisor_gone(control);
    }
}

/* Lets go of everything in this process. */
static void
release(dsm_cluster *cluster)
{
    struct dsm__member *member = &cluster->member;

    dsm__host_hold_forks();
    dsm__member_remove(member);
    close_connections(cluster);
    close_one(&member->fd);
    dsm__host_let_fork();
    if (cluster->ledger)
        cluster->ledger_free(cluster->ledger);
    dsm__objects_free(cluster->objects);
    dsm__trace_free(cluster->trace);
    dsm__space_release(&member->space);
    pthread_mutex_destroy(&cluster->regions);
    pthread_mutex_destroy(&cluster->commands);
    if (cluster->options.setup_arg_size)
        free(cluster->setup_arg);
    free(cluster->places);
    free(cluster);
}

dsm_cluster *
dsm__cluster_new(void)
{
    dsm_cluster *cluster = calloc(1, sizeof *cluster);

    if (!cluster)
        return NULL;
    cluster->member.fd = cluster->member.command = cluster->log = -1;
    cluster->member.other_end = -1;
    pthread_mutex_init(&cluster->regions, NULL);
    pthread_mutex_init(&cluster->commands, NULL);
    return cluster;
}

int
dsm_cluster_create(dsm_cluster **cluster, unsigned workers,
                   const dsm_cluster_options *options)
{
    char directory[DSM__DIRECTORY_MAX + 1];
    dsm_cluster *made;
    int error;

    *cluster = NULL;
    if (dsm__worker_process())
        return dsm__fail(-EPERM, "a worker cannot create a cluster");
    error = dsm__host_prepare();
    if (error)
        return error;
    made = dsm__cluster_new();
    if (!made)
        return dsm__fail_errno("no memory for a cluster");
    error = dsm__options_take(made, options);
    if (!error)
        error = dsm__options_workers(&workers);
    if (!error)
        error = dsm__options_directory(directory, made->options.directory);
    if (error) {
        release(made);
        return error;
    }
    dsm__remains_sweep_all();
    dsm__options_place(made, workers);
    dsm__member_add(&made->member);
    error = make_sockets(&made->member);
    if (!error)
        error = make_control(made, workers, directory);
    if (!error)
        error = dsm__trace_create(&made->trace, made->name, workers);
    if (!error)
        error = launch(made);
    if (!error) {
        dsm__worker_init(&made->self, made, 0);
        error = dsm__cluster_wait_started(made);
        made->supervisor = made->member.control->supervisor;
    }
    if (error) {
        made->options.detached = false; /* nobody wants what is of no use */
        dsm_cluster_destroy(made);
        return error;
    }
    *cluster = made;
    return 0;
}

/* Asks the supervisor to end, and sees to it that it does. */
static void
end_supervisor(dsm_cluster *cluster)
{
    struct dsm__request request = {.verb = DSM__STOP};
    struct dsm__control *control = cluster->member.control;
    int grace = cluster->options.grace_ms;
    int patience = grace < INT_MAX - 2000 ? grace + 2000 : INT_MAX;
    int fd = cluster->member.command;

    if ((dsm__command(fd, control, &request, NULL, patience) < 0 ||
         dsm__command_wait_closed(fd, control, patience) < 0) &&
        !dsm__supervisor_dead(control) && cluster->supervisor > 0) {
        /* It is stopped.  Its workers die with it. */
        kill(cluster->supervisor, SIGKILL);
        (void)dsm__command_wait_closed(fd, control, patience);
    }
    /* Its parent ended long ago.  A program that is init in its container, or a
     * subreaper, inherits it: then it is to be buried here. */
    if (cluster->supervisor > 0)
        (void)waitpid(cluster->supervisor, NULL, __WALL);
}

/* Whether this process's cluster ends with its handle. */
static bool
ends_with_handle(const dsm_cluster *cluster)
{
    return cluster->member.role == DSM__CONTROLLER && cluster->member.control &&
           !cluster->options.detached;
}

static void
stop(dsm_cluster *cluster)
{
    dsm__trace_leave(cluster->trace);
    DSM__POINT("control.stop");
    if (cluster->member.command >= 0 && cluster->member.other_end < 0)
        end_supervisor(cluster);
}

/* Workers die with their supervisor, if that is killed, but one that is just
 * making a file in the kernel finishes that first. */
static void
await_workers(const struct dsm__control *control)
{
    int64_t deadline = dsm__deadline(DYING_MS);

    for (unsigned w = control->first; w < control->workers; w++) {
        pid_t pid = dsm__worker_slot(control, w)->pid;
        int64_t left = (deadline - dsm__now()) / DSM__NS_PER_MS;

        if (pid > 0 && left > 0)
            dsm__process_await(pid, (int)left);
    }
}

/* If the supervisor was killed; else it has done so. */
static void
remove_remains(dsm_cluster *cluster)
{
    await_workers(cluster->member.control);
    dsm__trace_end(cluster->trace);
    (void)dsm__remains_remove(cluster->name, cluster->member.fd);
}

void
dsm__cluster_end(dsm_cluster *cluster)
{
    if (!ends_with_handle(cluster))
        return;
    stop(cluster);
    close_connections(cluster);
    remove_remains(cluster);
}

void
dsm_cluster_destroy(dsm_cluster *cluster)
{
    char sentence[DSM__SENTENCE];

    if (!cluster)
        return;
    /* A host's child only forgets what is its parent's; a worker has nothing
     * to destroy. */
    if (!dsm__identity_ok() || cluster->member.role == DSM__WORKER)
        return;
    dsm__error_keep(sentence);
    dsm__cluster_end(cluster);
    DSM__POINT("control.leave");
    release(cluster);
    dsm__error_restore(sentence);
}

/* A host's child has nothing to read them from. */
unsigned
dsm_cluster_workers(const dsm_cluster *cluster)
{
    const struct dsm__control *control = cluster->member.control;

    return control ? control->workers : 0;
}

const char *
dsm_cluster_name(const dsm_cluster *cluster)
{
    return cluster->member.control ? cluster->name : "";
}
