/* Commands to the supervisor: one message on a SOCK_SEQPACKET socket each, and
 * one reply.  The controller's socket is there from the start; other programs
 * connect to /dev/shm/dsm.UID.CLUSTER..ctl.  A connection is its owner's
 * liveness. */
#ifndef DSM_CLUSTER_COMMAND_H
#define DSM_CLUSTER_COMMAND_H

#include "registry/control.h"

#include <dsm/attributes.h>

#include <stdint.h>
#include <sys/un.h>

enum dsm__verb {
    DSM__HELLO = 1,  /* value: the client's pid; the reply's: its slot */
    DSM__CANCEL,     /* value: grace in ms */
    DSM__CANCEL_JOB, /* the same; entry: the client's own job */
    DSM__REFRESH,
    DSM__STOP
};

/* For a supervisor to answer: it is stopped if it does not.  A refresh takes as
 * long as it takes to kill all workers. */
#define DSM__ANSWER_MS 10000
#define DSM__REFRESH_MS 60000

struct dsm__request {
    uint32_t verb;
    int32_t value;
    uint32_t number; /* the reply's, too; not 0 */
    uint32_t region; /* CANCEL */
    uint64_t entry;  /* CANCEL_JOB */
};

struct dsm__reply {
    uint32_t number; /* 0: of the connection, before any request was read */
    int32_t result;
    int32_t value;
    char message[244];
};

/* The socket's address. */
void dsm__command_address(struct sockaddr_un *address, const char *cluster);

/* Connects to a cluster's supervisor: a descriptor, or -errno. */
int dsm__command_connect(const char *cluster);

/* Sends a request and waits for its reply, timeout_ms at most.  `control` is
 * the cluster's, or NULL where it is not mapped.  The reply's result, with its
 * sentence; DSM_ESTALE: the supervisor is gone; -ETIMEDOUT. */
int dsm__command(int fd, const struct dsm__control *control,
                 const struct dsm__request *request, int32_t *value,
                 int timeout_ms);

/* Waits until the other end of the socket is closed, or the supervisor dead.  0
 * or -ETIMEDOUT. */
int dsm__command_wait_closed(int fd, const struct dsm__control *control,
                             int timeout_ms);

#endif
