/* Signals to one of the round's processes, and to nobody else. */
#include "chaos.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A number may be another process's by now: it is ours if it is in the round's
 * group, and the descriptor that was opened before says the same of whom. */
static int
send_checked(pid_t pid, pid_t group, int signal)
{
    int fd, sent = 0;

    if (pid <= 0)
        return 0;
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return 0;
    if (getpgid(pid) == group)
        sent = syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0;
    close(fd);
    return sent;
}

bool
players_has(const struct players *players, pid_t pid)
{
    return pid == players->controller || pid == players->guest ||
           pid == players->neighbour || pid == players->supervisor;
}

pid_t
killer_stranger(const struct players *players)
{
    pid_t children[8];
    unsigned n = children_of(getpid(), children, 8);

    for (unsigned k = 0; k < n; k++)
        if (!players_has(players, children[k]))
            return children[k];
    return 0;
}

/* Before any worker has told who it is, it is the one that came to this
 * process. */
static pid_t
find_supervisor(const struct players *players)
{
    return board->supervisor ? board->supervisor : killer_stranger(players);
}

pid_t
killer_victim(const struct blow *blow, const struct players *players)
{
    switch (blow->victim) {
    case WORKER:
        return board->worker[blow->worker % board->plan.workers];
    case SUPERVISOR:
        return find_supervisor(players);
    case CONTROLLER:
        return players->controller;
    default:
        return players->guest;
    }
}

int
killer_send(pid_t victim, const struct players *players, int signal)
{
    return send_checked(
        victim, victim == players->guest ? players->guest : players->group,
        signal);
}
