/* The client's side of commands; the supervisor's is clients.c. */
#include "cluster/command.h"

#include "base/clock.h"
#include "base/error.h"
#include "os/process.h"
#include "registry/mutex.h"
#include "shm/name.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void
dsm__command_address(struct sockaddr_un *address, const char *cluster)
{
    char path[DSM__PATH_SIZE];

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    dsm__path(path, NULL, cluster, ".ctl");
    memcpy(address->sun_path, path,
           strnlen(path, sizeof address->sun_path - 1));
}

/* Where a cluster has just ended, somebody else may have taken the name. */
static int
check_peer(int fd, const struct sockaddr_un *address)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return dsm__fail_errno("cannot tell who listens on %s",
                               address->sun_path);
    if (peer.uid != geteuid())
        return dsm__fail(-EPERM, "%s belongs to user %lu, not to you",
                         address->sun_path, (unsigned long)peer.uid);
    return 0;
}

int
dsm__command_connect(const char *cluster)
{
    struct sockaddr_un address;
    int fd =
        dsm__fd_off_stdio(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    int error;

    if (fd < 0)
        return dsm__fail_errno("cannot make a socket");
    dsm__command_address(&address, cluster);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        error = check_peer(fd, &address);
        if (!error)
            return fd;
        close(fd);
        return error;
    }
    error = -errno;
    close(fd);
    return dsm__fail(DSM_ESTALE,
                     "the supervisor of cluster '%s' does not "
                     "answer: %s",
                     cluster, dsm_strerror(error));
}

/* Waits for something to read; 0, -ETIMEDOUT, DSM_ESTALE or -errno.  That the
 * other end is closed does not show while a process that knows nothing of it
 * has a copy: so look, too, whether the supervisor is alive. */
static int
wait_readable(int fd, const struct dsm__control *control, int64_t deadline)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        bool dead = control && dsm__supervisor_dead(control);
        int64_t left = deadline - dsm__now();
        int n;

        if (left < 0)
            return -ETIMEDOUT;
        if (left > DSM__SLICE_NS)
            left = DSM__SLICE_NS;
        n = poll(&poll_fd, 1, dead ? 0 : (int)(left / DSM__NS_PER_MS) + 1);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && dead)
            return DSM_ESTALE;
    }
}

/* Receives the reply of that number, behind those that came too late for
 * whoever asked before. */
static int
receive(int fd, const struct dsm__control *control, uint32_t number,
        struct dsm__reply *reply, int timeout_ms)
{
    int64_t deadline = dsm__deadline(timeout_ms);
    ssize_t n;
    int error;

    do {
        error = wait_readable(fd, control, deadline);
        if (error == DSM_ESTALE)
            return dsm__fail(error, "the cluster's supervisor is gone");
        if (error)
            return dsm__fail(error,
                             "the cluster's supervisor does not answer; if it "
                             "is stopped, continue it (kill -CONT)");
        /* A reset, as it closed before it had read, comes ahead of a reply. */
        do
            n = recv(fd, reply, sizeof *reply, 0);
        while (n < 0 && (errno == EINTR || errno == ECONNRESET));
        if (n != sizeof *reply)
            return dsm__fail(DSM_ESTALE, "the cluster's supervisor is gone");
    } while (reply->number != number && reply->number != 0);
    return 0;
}

int
dsm__command(int fd, const struct dsm__control *control,
             const struct dsm__request *request, int32_t *value, int timeout_ms)
{
    static _Atomic uint32_t numbers;
    struct dsm__request numbered = *request;
    struct dsm__reply reply;
    ssize_t n;
    int error;

    do
        numbered.number = atomic_fetch_add(&numbers, 1);
    while (numbered.number == 0);
    do
        n = send(fd, &numbered, sizeof numbered, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return dsm__fail(-ETIMEDOUT,
                         "the cluster's supervisor has not read what it was "
                         "asked before; if it is stopped, continue it");
    if (n < 0 && errno != EPIPE && errno != ECONNRESET)
        return dsm__fail_errno("cannot ask the cluster's supervisor");
    /* Also when it is closed: it may have said why. */
    error = receive(fd, control, numbered.number, &reply, timeout_ms);
    if (error)
        return error;
    if (value)
        *value = reply.value;
    reply.message[sizeof reply.message - 1] = '\0';
    return reply.result < 0 ? dsm__fail(reply.result, "%s", reply.message)
                            : reply.result;
}

int
dsm__command_wait_closed(int fd, const struct dsm__control *control,
                         int timeout_ms)
{
    int64_t deadline = dsm__deadline(timeout_ms);
    struct dsm__reply reply;
    int error;
    ssize_t n;

    while ((error = wait_readable(fd, control, deadline)) == 0) {
        n = recv(fd, &reply, sizeof reply, 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return 0;
    }
    return error == DSM_ESTALE ? 0 : error;
}
