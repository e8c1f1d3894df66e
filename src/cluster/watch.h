/* The supervisor's own state, and its three parts: the loop (supervisor.c), its
 * workers (nursery.c) and its clients (clients.c). */
#ifndef DSM_CLUSTER_WATCH_H
#define DSM_CLUSTER_WATCH_H

#include "cluster/cluster.h"

struct dsm__watch {
    dsm_cluster *cluster;
    struct dsm__control *control;
    int events;     /* the epoll set */
    int signals;    /* signalfd of SIGCHLD */
    int listener;   /* for clients */
    int spare;      /* a descriptor for when there is no other, or -1 */
    int command;    /* the controller's connection, or -1 */
    int controller; /* a pidfd of it, or -1 */
    pid_t controller_pid;
    pid_t self;

    /* Workers: their pids (0: none now), whether they were killed from here,
     * and how many starts failed in a row. */
    pid_t *pids;
    bool *killed;
    unsigned failed_starts;
    bool retry;              /* a fork failed: try again soon */
    unsigned replaced;       /* by the refresh under way: still to be reaped */
    int refresher;           /* who waits for it, or -1 */
    uint32_t refresh_number; /* of its request */

    /* Kills who is still in `region` at `deadline`. */
    uint32_t region;
    int64_t deadline;

    bool stopping;
    int64_t stop_deadline;

    int clients[DSM__CLIENTS_MAX]; /* connections, or -1 */

    /* Cancelled jobs, for each worker the one that it runs. */
    struct dsm__doom *dooms;
    /* Programs that ended, of which jobs still run: their number is not given
     * to another yet. */
    bool gone[DSM__PROGRAMS_MAX];
};

/* A job that is to end by then. */
struct dsm__doom {
    int64_t deadline; /* 0: there is none */
    unsigned program;
    uint64_t entry;
};

/* nursery.c */
void dsm__workers_start(struct dsm__watch *watch);
void dsm__workers_reap(struct dsm__watch *watch);
/* Kills those who have not left the region (0: all).  Whether there are some
 * who have not begun it, as they run jobs: for these it waits. */
bool dsm__workers_kill(struct dsm__watch *watch, uint32_t region);
void dsm__workers_grace(struct dsm__watch *watch, uint32_t region,
                        int grace_ms);
unsigned dsm__workers_alive(const struct dsm__watch *watch);

/* errands.c: jobs. */
void dsm__errands_cancel(struct dsm__watch *watch, unsigned program,
                         uint64_t entry, int grace_ms);
void dsm__errands_program_gone(struct dsm__watch *watch, unsigned program);
/* Kills those whose time is over, and forgets programs of which nothing runs.
 */
void dsm__errands_look(struct dsm__watch *watch, int64_t now);
/* When to look next. */
int64_t dsm__errands_next(const struct dsm__watch *watch, int64_t now);

/* clients.c */
int dsm__clients_listen(struct dsm__watch *watch);
void dsm__clients_accept(struct dsm__watch *watch);
/* Lets go of the spare descriptor, for what needs one, and takes it back. */
void dsm__spare_let(struct dsm__watch *watch);
void dsm__spare_hold(struct dsm__watch *watch);
/* One message of a connection.  False: it is closed. */
bool dsm__clients_serve(struct dsm__watch *watch, int fd, int client);
void dsm__clients_forget(struct dsm__watch *watch, int client);
void dsm__clients_refreshed(struct dsm__watch *watch);

/* supervisor.c */
/* Has it watched; nothing if it is negative.  0 or an error. */
int dsm__watch_fd(struct dsm__watch *watch, int fd, int what);
void dsm__watch_stop(struct dsm__watch *watch, bool at_once);
/* Makes the cluster useless: every call from now on gets this error. */
void dsm__watch_give_up(struct dsm__watch *watch, int error,
                        const char *message);
/* Writes a line to options.log, if there is one. */
void dsm__watch_log(const struct dsm__watch *watch, const char *format, ...)
    DSM_PRINTF(2, 3);

#endif
