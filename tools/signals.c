/* Signals that would end the program, held back until it has cleaned up. */
#include "dsmctl.h"

#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

void
signals_hold(struct signals *signals)
{
    struct sigaction action;
    sigset_t set;

    sigemptyset(&set);
    /* Those that nohup or a shell in the background had ignored stay so. */
    for (size_t k = 0; k < sizeof ending / sizeof *ending; k++)
        if (sigaction(ending[k], NULL, &action) == 0 &&
            action.sa_handler != SIG_IGN)
            sigaddset(&set, ending[k]);
    signals->caught = 0;
    sigprocmask(SIG_BLOCK, &set, &signals->old_mask);
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool
signals_take(struct signals *signals)
{
    struct signalfd_siginfo info;

    if (read(signals->fd, &info, sizeof info) != sizeof info)
        return false;
    signals->caught = (int)info.ssi_signo;
    return true;
}

void
signals_let_go(struct signals *signals)
{
    if (signals->fd >= 0)
        close(signals->fd);
    if (signals->caught) {
        fflush(stdout);
        signal(signals->caught, SIG_DFL);
        raise(signals->caught);
    }
    sigprocmask(SIG_SETMASK, &signals->old_mask, NULL);
}
