/* Bells; see bell.h. */
#include "pool/bell.h"

#include "base/error.h"
#include "os/process.h"
#include "shm/name.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void
address_of(struct sockaddr_un *address, const char *cluster, unsigned program)
{
    char path[DSM__PATH_SIZE], name[16];

    snprintf(name, sizeof name, ".w%u", program);
    dsm__path(path, NULL, cluster, name);
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path,
           strnlen(path, sizeof address->sun_path - 1));
}

static int
make_socket(void)
{
    return dsm__fd_off_stdio(
        socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int
dsm__bell_make(const char *cluster, unsigned program)
{
    struct sockaddr_un address;
    int fd = make_socket(), error;

    if (fd < 0)
        return dsm__fail_errno("cannot make a socket");
    address_of(&address, cluster, program);
    unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        chmod(address.sun_path, 0600) == 0)
        return fd;
    error = dsm__segment_refused("bind socket", address.sun_path);
    close(fd);
    return error;
}

bool
dsm__bell_ring(const char *cluster, unsigned program)
{
    struct sockaddr_un address;
    int saved = errno, fd = make_socket();
    bool could = fd >= 0;

    address_of(&address, cluster, program);
    if (fd >= 0) {
        (void)sendto(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
                     (struct sockaddr *)&address, sizeof address);
        close(fd);
    }
    errno = saved;
    return could;
}

void
dsm__bell_silence(int fd)
{
    char byte;
    int saved = errno;

    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
        ;
    errno = saved;
}

void
dsm__bell_remove(const char *cluster, unsigned program)
{
    struct sockaddr_un address;

    address_of(&address, cluster, program);
    unlink(address.sun_path);
}
