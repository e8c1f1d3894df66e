/* The supervisor's loop; see supervisor.h.
 *
 * It computes nothing, maps no array and takes no lock that others take: its
 * one wait is epoll.  For life it holds the mutex `alive` in the control
 * segment, so that its own death shows there.  All signals are blocked from
 * before its fork, so that what is sent to the whole process group does not end
 * it together with the controller, whose segments it is to unlink. */
#include "cluster/supervisor.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/outcome.h"
#include "cluster/remains.h"
#include "cluster/watch.h"
#include "os/process.h"
#include "pool/recover.h"
#include "sync/barrier.h"
#include "sync/wait.h"
#include "trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* What an event is about: a client's number, or one of these. */
enum { SIGNALS = -1, CONTROLLER = -2, COMMAND = -3, LISTENER = -4 };

/* Until a fork, or a kill that had to wait, is tried again. */
#define RETRY_MS 10
#define POLL_MS 200 /* where a death does not show by itself */

void
dsm__watch_log(const struct dsm__watch *watch, const char *format, ...)
{
    va_list arguments;

    if (!watch->cluster->options.log)
        return;
    va_start(arguments, format);
    vdprintf(STDERR_FILENO, format, arguments);
    va_end(arguments);
}

/* Wakes who waits for the cluster to be ready. */
static void
tell(struct dsm__control *control)
{
    atomic_fetch_add(&control->ready.word, 1);
    dsm__wake(&control->ready.word, &control->ready.sleeping);
}

void
dsm__watch_give_up(struct dsm__watch *watch, int error, const char *message)
{
    struct dsm__control *control = watch->control;

    snprintf(control->broken_message, sizeof control->broken_message,
             "cluster '%s' could not start its workers: %s", control->name,
             message);
    atomic_store(&control->broken, error);
    tell(control);
    dsm__wake(&control->region.done.word, &control->region.done.sleeping);
    dsm__programs_wake(control);
    dsm__watch_log(watch, "%s\n", control->broken_message);
}

int
dsm__watch_fd(struct dsm__watch *watch, int fd, int what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = what};

    if (fd >= 0 && epoll_ctl(watch->events, EPOLL_CTL_ADD, fd, &event) < 0)
        return dsm__fail_errno("the supervisor can watch nothing more");
    return 0;
}

void
dsm__watch_stop(struct dsm__watch *watch, bool at_once)
{
    struct dsm__control *control = watch->control;
    int64_t deadline =
        at_once ? 0 : dsm__deadline(watch->cluster->options.grace_ms);

    if (watch->stopping && deadline >= watch->stop_deadline)
        return;
    watch->stop_deadline = deadline;
    if (watch->stopping)
        return;
    watch->stopping = true;
    dsm__region_interrupt(control, dsm__region_now(control), DSM__CANCELLED);
    atomic_store(&control->stopping, 1);
    atomic_fetch_add(&control->region.epoch, 1);
    dsm__event_reset(&control->work.event);
}

/* The controller died, or executed another program. */
static void
controller_gone(struct dsm__watch *watch)
{
    if (watch->command >= 0)
        close(watch->command);
    if (watch->controller >= 0)
        close(watch->controller);
    if (watch->refresher == watch->command)
        watch->refresher = -1;
    watch->command = watch->controller = -1;
    if (!watch->control->detached) {
        dsm__watch_stop(watch, true);
        return;
    }
    dsm__barriers_forget_client(watch->control, DSM__CONTROLLER_GONE);
    dsm__errands_program_gone(watch, 0);
}

static void
handle(struct dsm__watch *watch, int what)
{
    struct signalfd_siginfo signals[8];

    switch (what) {
    case SIGNALS:
        (void)!read(watch->signals, signals, sizeof signals);
        dsm__workers_reap(watch);
        break;
    case CONTROLLER:
        controller_gone(watch);
        break;
    case COMMAND:
        if (watch->command >= 0 &&
            !dsm__clients_serve(watch, watch->command, -1))
            controller_gone(watch);
        break;
    case LISTENER:
        dsm__clients_accept(watch);
        break;
    default:
        if (watch->clients[what] >= 0 &&
            !dsm__clients_serve(watch, watch->clients[what], what))
            dsm__clients_forget(watch, what);
    }
}

/* Whether somebody took the cluster's name away. */
static bool
unlinked(const struct dsm__watch *watch)
{
    struct stat status;

    return fstat(watch->cluster->member.fd, &status) == 0 &&
           status.st_nlink == 0;
}

/* What shows only by looking. */
static void
look(struct dsm__watch *watch)
{
    struct dsm__control *control = watch->control;
    int64_t now = dsm__now();

    if (watch->region && now >= watch->deadline) {
        bool later = watch->region == dsm__region_now(control) &&
                     dsm__region_active(control) &&
                     dsm__workers_kill(watch, watch->region);

        watch->deadline = now + RETRY_MS * DSM__NS_PER_MS;
        if (!later)
            watch->region = 0;
    }
    dsm__errands_look(watch, now);
    if (watch->stopping && now >= watch->stop_deadline) {
        dsm__workers_kill(watch, 0);
        watch->stop_deadline = DSM__NO_DEADLINE;
    }
    if (watch->retry)
        dsm__workers_start(watch);
    if (watch->command >= 0 && watch->controller < 0 && !control->detached &&
        kill(watch->controller_pid, 0) < 0 && errno == ESRCH)
        controller_gone(watch);
    if (control->detached && unlinked(watch))
        dsm__watch_stop(watch, false);
}

/* Milliseconds until look() has something to do; -1: nothing foreseen. */
static int
next_look(const struct dsm__watch *watch)
{
    int64_t now = dsm__now(), at = dsm__errands_next(watch, now);

    if (watch->region && watch->deadline < at)
        at = watch->deadline;
    if (watch->stopping && watch->stop_deadline < at)
        at = watch->stop_deadline;
    if (watch->retry && now + RETRY_MS * DSM__NS_PER_MS < at)
        at = now + RETRY_MS * DSM__NS_PER_MS;
    if ((watch->controller < 0 || watch->control->detached) &&
        now + POLL_MS * DSM__NS_PER_MS < at)
        at = now + POLL_MS * DSM__NS_PER_MS;
    if (at == DSM__NO_DEADLINE)
        return -1;
    return at <= now ? 0 : (int)((at - now) / DSM__NS_PER_MS) + 1;
}

static void
loop(struct dsm__watch *watch)
{
    while (!watch->stopping || dsm__workers_alive(watch)) {
        struct epoll_event event[8];
        int n = epoll_wait(watch->events, event, 8, next_look(watch));

        for (int k = 0; k < n; k++)
            handle(watch, event[k].data.fd);
        look(watch);
    }
}

static void
take_log(dsm_cluster *cluster)
{
    if (cluster->log < 0)
        return;
    dup2(cluster->log, STDOUT_FILENO);
    dup2(cluster->log, STDERR_FILENO);
    close(cluster->log);
}

static int
open_events(struct dsm__watch *watch)
{
    sigset_t child;
    int error;

    watch->events = epoll_create1(EPOLL_CLOEXEC);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    watch->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (watch->events < 0 || watch->signals < 0)
        return dsm__fail_errno("cannot watch over workers");
    error = dsm__watch_fd(watch, watch->signals, SIGNALS);
    if (!error)
        error = dsm__watch_fd(watch, watch->controller, CONTROLLER);
    if (!error)
        error = dsm__watch_fd(watch, watch->command, COMMAND);
    if (!error)
        error = dsm__clients_listen(watch);
    return error ? error : dsm__watch_fd(watch, watch->listener, LISTENER);
}

/* What is done in the end opens files, of which there may be no more. */
static void
stop_watching(struct dsm__watch *watch)
{
    const int fds[] = {watch->listener, watch->signals, watch->events};

    dsm__spare_let(watch);
    for (size_t k = 0; k < sizeof fds / sizeof *fds; k++)
        if (fds[k] >= 0)
            close(fds[k]);
}

/* Takes the one lock that says that it lives. */
static void
become_supervisor(struct dsm__watch *watch)
{
    prctl(PR_SET_NAME, "dsm-supervisor");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    dsm__signals_default();
    dsm__stdio_purge();
    if (dsm__identity_arm() < 0)
        _exit(1);
    take_log(watch->cluster);
    pthread_mutex_lock(&watch->control->alive);
    DSM__POINT("supervisor.start");
}

_Noreturn void
dsm__supervisor_main(dsm_cluster *cluster, int command, int controller,
                     pid_t controller_pid)
{
    struct dsm__control *control = cluster->member.control;
    struct dsm__watch watch = {
        .cluster = cluster,
        .control = control,
        .events = -1,
        .signals = -1,
        .listener = -1,
        .spare = -1,
        .command = command,
        .controller = controller,
        .controller_pid = controller_pid,
        .self = getpid(),
        .pids = calloc(control->workers, sizeof(pid_t)),
        .killed = calloc(control->workers, sizeof(bool)),
        .dooms = calloc(control->workers, sizeof(struct dsm__doom)),
        .refresher = -1,
    };
    int error;

    for (unsigned k = 0; k < DSM__CLIENTS_MAX; k++)
        watch.clients[k] = -1;
    become_supervisor(&watch);
    error = watch.pids && watch.killed && watch.dooms
                ? open_events(&watch)
                : dsm__fail(-ENOMEM, "no memory");
    if (error) {
        dsm__watch_give_up(&watch, error, dsm_last_error());
    } else {
        dsm__workers_start(&watch);
        /* Last, as from now on it can be reached. */
        atomic_store(&control->supervisor, watch.self);
        tell(control);
        loop(&watch);
    }
    stop_watching(&watch);
    dsm__kill_children(NULL, 0);
    dsm__trace_end(cluster->trace);
    atomic_store(&control->stopping, DSM__STOPPED);
    dsm__programs_wake(control);
    DSM__POINT("supervisor.unlink");
    (void)dsm__remains_remove(control->name, cluster->member.fd);
    _exit(0);
}
