/* The supervisor's connections: the controller's and those of attached
 * programs. */
#include "base/clock.h"
#include "base/error.h"
#include "base/point.h"
#include "cluster/command.h"
#include "cluster/outcome.h"
#include "cluster/watch.h"
#include "pool/recover.h"
#include "shm/segment.h"
#include "sync/barrier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void
dsm__spare_let(struct dsm__watch *watch)
{
    if (watch->spare >= 0)
        close(watch->spare);
    watch->spare = -1;
}

void
dsm__spare_hold(struct dsm__watch *watch)
{
    watch->spare = fcntl(watch->events, F_DUPFD_CLOEXEC, 0);
}

int
dsm__clients_listen(struct dsm__watch *watch)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;

    if (fd < 0)
        return dsm__fail_errno("cannot make a socket");
    dsm__command_address(&address, watch->control->name);
    unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(address.sun_path, 0600) < 0 || listen(fd, 16) < 0) {
        error = dsm__segment_refused("listen on", address.sun_path);
        close(fd);
        return error;
    }
    watch->listener = fd;
    dsm__spare_hold(watch);
    return 0;
}

static void
pause_briefly(void)
{
    const struct timespec pause = {.tv_nsec = 10 * DSM__NS_PER_MS};

    nanosleep(&pause, NULL);
}

static void reply(int fd, uint32_t number, int result, int value,
                  const char *format, ...) DSM_PRINTF(5, 6);

static void
reply(int fd, uint32_t number, int result, int value, const char *format, ...)
{
    struct dsm__reply message = {
        .number = number, .result = result, .value = value};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message.message, sizeof message.message, format, arguments);
    va_end(arguments);
    /* A client that does not read loses its reply, not the supervisor's time.
     */
    for (int tries = 0; tries < 10; tries++) {
        if (send(fd, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) >=
                0 ||
            errno == EAGAIN || errno == EPIPE)
            return;
        pause_briefly(); /* the kernel has no memory */
    }
    /* So that it does not wait for ever. */
    shutdown(fd, SHUT_WR);
}

/* No descriptor is left for a client, which would wait in the queue and keep
 * the listener readable: the spare one serves to tell it. */
static void
turn_away(struct dsm__watch *watch)
{
    int fd;

    dsm__spare_let(watch);
    fd = accept4(watch->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        reply(fd, 0, -EMFILE, 0,
              "the supervisor of cluster '%s' can open no more files: create "
              "it with a higher limit (ulimit -n)",
              watch->control->name);
        close(fd);
    } else if (errno != EAGAIN) {
        /* Somebody took that one, too: do not spin for it. */
        pause_briefly();
    }
    dsm__spare_hold(watch);
}

static void
welcome(struct dsm__watch *watch, int fd, int client)
{
    int error = dsm__watch_fd(watch, fd, client);

    if (error) {
        reply(fd, 0, error, 0, "%s", dsm_last_error());
        close(fd);
        return;
    }
    watch->clients[client] = fd;
    DSM__POINT("supervisor.accept");
}

void
dsm__clients_accept(struct dsm__watch *watch)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = accept4(watch->listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            turn_away(watch);
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
        peer.uid != geteuid()) {
        close(fd);
        return;
    }
    for (int k = 0; k < DSM__CLIENTS_MAX; k++)
        if (watch->clients[k] < 0 && !watch->gone[k + 1]) {
            welcome(watch, fd, k);
            return;
        }
    reply(fd, 0, -EAGAIN, 0, "the cluster has %d clients already",
          DSM__CLIENTS_MAX);
    close(fd);
}

static void
hello(struct dsm__watch *watch, int fd, int client,
      const struct dsm__request *request)
{
    struct dsm__client_slot *slot;

    if (client < 0) {
        reply(fd, request->number, -EINVAL, 0, "the controller needs no slot");
        return;
    }
    slot = &watch->control->clients[client];
    slot->seen = 0;
    slot->pid = request->value;
    slot->used = 1;
    DSM__POINT("supervisor.hello");
    dsm__program_welcome(watch->control, (unsigned)client + 1);
    reply(fd, request->number, 0, client, "welcome");
}

static void
cancel(struct dsm__watch *watch, int fd, const struct dsm__request *request)
{
    if (request->region == dsm__region_now(watch->control) &&
        dsm__region_active(watch->control))
        dsm__workers_grace(watch, request->region, request->value);
    reply(fd, request->number, 0, 0, "asked");
}

/* What was under way when the cluster broke is over: nobody was there to run
 * it, and the workers to come are not to begin it. */
static void
end_region(struct dsm__control *control)
{
    uint32_t region = dsm__region_now(control);

    for (unsigned id = 0; id < control->workers; id++) {
        struct dsm__worker_slot *slot = dsm__worker_slot(control, id);

        if (!dsm__region_active(control) ||
            dsm__part_ended(control, id, region))
            continue;
        dsm__outcome_clear(slot);
        dsm__outcome_fail(control, slot, DSM_EWORKER,
                          "region %u was given up, as workers could not be "
                          "started",
                          region);
        atomic_store(&slot->began, region);
        dsm__part_end(control, id, region);
    }
}

static void
refresh(struct dsm__watch *watch, int fd, const struct dsm__request *request)
{
    if (watch->control->broken) {
        end_region(watch->control);
    } else if (dsm__region_active(watch->control)) {
        reply(fd, request->number, -EBUSY, 0,
              "workers cannot be refreshed while a region runs");
        return;
    }
    if (watch->refresher >= 0) {
        reply(fd, request->number, -EBUSY, 0,
              "the workers are being refreshed already");
        return;
    }
    watch->control->broken = 0;
    watch->failed_starts = 0;
    watch->refresher = fd;
    watch->refresh_number = request->number;
    watch->replaced = dsm__workers_alive(watch);
    dsm__workers_kill(watch, 0);
    DSM__POINT("supervisor.refresh");
    if (!watch->replaced) {
        dsm__workers_start(watch);
        dsm__clients_refreshed(watch);
    }
}

void
dsm__clients_refreshed(struct dsm__watch *watch)
{
    reply(watch->refresher, watch->refresh_number, 0, 0, "refreshed");
    watch->refresher = -1;
}

bool
dsm__clients_serve(struct dsm__watch *watch, int fd, int client)
{
    struct dsm__request request;
    ssize_t n = recv(fd, &request, sizeof request, MSG_DONTWAIT);

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0)
        return false;
    DSM__POINT("supervisor.serve");
    if (n != sizeof request) {
        reply(fd, 0, -EINVAL, 0, "the supervisor does not understand");
        return true;
    }
    switch (request.verb) {
    case DSM__HELLO:
        hello(watch, fd, client, &request);
        break;
    case DSM__CANCEL:
        cancel(watch, fd, &request);
        break;
    case DSM__CANCEL_JOB:
        dsm__errands_cancel(watch, (unsigned)(client + 1), request.entry,
                            request.value);
        reply(fd, request.number, 0, 0, "asked");
        break;
    case DSM__REFRESH:
        refresh(watch, fd, &request);
        break;
    case DSM__STOP:
        dsm__watch_stop(watch, false);
        reply(fd, request.number, 0, 0, "stopping");
        break;
    default:
        reply(fd, request.number, -EINVAL, 0,
              "the supervisor does not understand");
    }
    return true;
}

void
dsm__clients_forget(struct dsm__watch *watch, int client)
{
    if (watch->refresher == watch->clients[client])
        watch->refresher = -1;
    close(watch->clients[client]);
    watch->clients[client] = -1;
    DSM__POINT("supervisor.forget");
    dsm__barriers_forget_client(watch->control, (unsigned)client);
    dsm__errands_program_gone(watch, (unsigned)client + 1);
}
