/* A round, as the runner sees it; see chaos.h.
 *
 * The runner is a subreaper: whoever loses its parent becomes its child, so
 * that its children are all that there is of a round.  It sleeps until one of
 * them ends or says that it is done, or until the next signal is due. */
#include "chaos.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGAIN 0.0005 /* seconds */

static struct players players;
static unsigned files_at_first;

/* A signal that is due; a SIGSTOP is followed by its SIGCONT. */
struct due {
    double at;
    const struct blow *blow; /* NULL: SIGCONT to `pid` */
    pid_t pid;
};

struct course {
    const struct plan *plan;
    struct due due[2 * SIGNALS_MOST];
    unsigned dues;
    bool killed[VICTIMS];
};

static pid_t
fork_player(void (*body)(void))
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    if (pid > 0)
        setpgid(pid, pid);
    return pid;
}

/* ---- Children. */

/* Processes that the round has left so far. */
static unsigned
strangers(void)
{
    pid_t children[64];
    unsigned n = children_of(getpid(), children, 64), strange = 0;

    for (unsigned k = 0; k < n; k++)
        strange += !players_has(&players, children[k]);
    return strange;
}

static void
reap(void)
{
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        if (pid == players.controller) {
            players.controller = 0;
            board->done = 1;
        }
        if (pid == players.guest) {
            players.guest = 0;
            board->guest_done = 1;
        }
        if (pid == players.neighbour) {
            players.neighbour = 0;
            wrong("the neighbour died");
        }
    }
}

static void
doze(double until)
{
    double left = until - now();
    struct timespec time = {0};
    sigset_t set;

    if (left > 0.005)
        left = 0.005;
    if (left > 0)
        time.tv_nsec = (long)(left * 1e9);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR1);
    sigtimedwait(&set, NULL, &time);
    reap();
}

/* ---- Signals. */

static void
schedule(struct course *course, double at, const struct blow *blow, pid_t pid)
{
    unsigned k = course->dues++;

    for (; k > 0 && course->due[k - 1].at < at; k--)
        course->due[k] = course->due[k - 1];
    course->due[k] = (struct due){at, blow, pid};
}

/* Who is not there yet, or not any more, may be a little later. */
static void
strike(struct course *course, const struct blow *blow)
{
    pid_t victim = killer_victim(blow, &players);
    bool kills = blow->signal == SIGKILL ||
                 (blow->signal == SIGTERM && blow->victim >= CONTROLLER);

    /* First: what it leads to may show before this process runs again. */
    if (victim && kills)
        atomic_fetch_or(&board->harm, 1u << blow->victim);
    if (victim && kills && blow->victim == WORKER)
        board->deaths++;
    if (!victim || !killer_send(victim, &players, blow->signal)) {
        schedule(course, now() + AGAIN, blow, 0);
        return;
    }
    tally_signal(blow);
    course->killed[blow->victim] |= kills;
    if (blow->signal == SIGSTOP)
        schedule(course, now() + blow->pause, NULL, victim);
}

/* Those that count from when there is a cluster; before, from `began`. */
static void
schedule_all(struct course *course, bool created, double since)
{
    const struct plan *plan = course->plan;

    for (unsigned k = 0; k < plan->blows; k++)
        if (plan->blow[k].created == created)
            schedule(course, since + plan->blow[k].at, &plan->blow[k], 0);
}

static void
send_due(struct course *course)
{
    while (course->dues && course->due[course->dues - 1].at <= now()) {
        struct due due = course->due[--course->dues];

        if (due.blow)
            strike(course, due.blow);
        else
            killer_send(due.pid, &players, SIGCONT);
    }
}

/* The rest of the signals comes too late, but who was stopped goes on: a
 * controller that lasts. */
static void
send_rest(struct course *course)
{
    while (course->dues) {
        struct due due = course->due[--course->dues];

        if (!due.blow)
            killer_send(due.pid, &players, SIGCONT);
    }
}

/* ---- The course of a round. */

static void
begin(struct course *course, const struct plan *plan)
{
    *course = (struct course){.plan = plan};
    if (!plan->stay && players.controller) {
        kill(players.controller, SIGKILL);
        while (players.controller)
            doze(now() + 1);
    }
    board->plan = *plan;
    board->done = board->guest_done = board->ready = board->ended = 0;
    board->harm = board->deaths = board->lost = 0;
    board->supervisor = board->twin = 0;
    board->wrong = 0;
    for (unsigned k = 0; k < WORKERS_MOST; k++)
        board->worker[k] = 0;
    for (unsigned k = 0; k < LOGS; k++)
        board->log[k].size = 0;
    snprintf(board->name, sizeof board->name, "chaos-%ld-%lu", (long)getpid(),
             (unsigned long)plan->round);
    if (!players.controller) {
        /* The last one may have died before it took what was posted. */
        sem_init(&board->go, 1, 0);
        players.group = players.controller = fork_player(controller_main);
    }
    board->began = now();
    schedule_all(course, false, board->began);
    sem_post(&board->go);
    if (plan->guest)
        players.guest = fork_player(guest_main);
}

static bool
over(void)
{
    return board->done && !players.guest && strangers() == 0;
}

static bool
play(struct course *course)
{
    double end = now() + (sanitized() ? 120 : 20);
    bool created = false;

    while (!over()) {
        if (now() > end)
            return false;
        doze(course->dues ? course->due[course->dues - 1].at : end);
        if (board->ready && !created)
            schedule_all(course, true, board->created);
        created = board->ready;
        send_due(course);
    }
    send_rest(course);
    return true;
}

/* ---- Afterwards. */

static void
ask_neighbour(void)
{
    int before = board->neighbour_done;
    double end = now() + 60;

    sem_post(&board->neighbour_go);
    while (board->neighbour_done == before && players.neighbour) {
        if (now() > end) {
            wrong("the neighbour does not answer");
            return;
        }
        doze(end);
    }
}

/* What may be left is taken away by dsmctl. */
static void
check_files_of(const char *cluster, bool may)
{
    char first[512];

    if (may && files_of(cluster, first, sizeof first) > 0) {
        if (dsmctl("clean", NULL) != 0)
            wrong("dsmctl clean failed");
        tally.cleaned++;
        ask_neighbour();
    }
    if (files_of(cluster, first, sizeof first) > 0) {
        wrong("left: %s", first);
        tally.leftovers++;
    }
}

/* Only when both are killed, or the controller before there is a supervisor,
 * anything may be left. */
static void
check_files(const struct course *course)
{
    char twin[DSM_NAME_MAX + 1];
    bool headless = course->killed[CONTROLLER] &&
                    (course->killed[SUPERVISOR] || !board->supervisor);

    check_files_of(board->name, headless);
    twin_name(twin);
    check_files_of(twin, course->killed[CONTROLLER] && !board->twin);
    clear_directory();
}

static void
check(const struct course *course)
{
    unsigned end = 1u << CONTROLLER | 1u << SUPERVISOR;

    check_files(course);
    /* Three that die as they start, one after the other, end a cluster. */
    if (!(board->harm & end) && board->deaths < 3 &&
        board->lost > board->deaths)
        wrong("%u regions lost a worker, of whom %u died", board->lost,
              board->deaths);
    if (descriptors_of(getpid()) != files_at_first) {
        wrong("the runner has %u descriptors in place of %u",
              descriptors_of(getpid()), files_at_first);
        tally.leftovers++;
    }
    if (course->plan->round % 16 == 0)
        ask_neighbour();
}

static void
print_logs(void)
{
    static const char *const names[LOGS] = {"controller", "guest"};

    for (unsigned k = 0; k < LOGS; k++)
        if (board->log[k].size)
            printf("  %s:\n%.*s", names[k], (int)board->log[k].size,
                   board->log[k].text);
}

void
round_print(const struct plan *plan)
{
    plan_print(plan);
    print_logs();
    fflush(stdout);
}

/* Ends what is left of a round that hangs or went wrong. */
static void
sweep(void)
{
    kill(-players.group, SIGKILL);
    if (players.guest)
        kill(players.guest, SIGKILL);
    while (players.controller || players.guest || strangers())
        doze(now() + 1);
    dsmctl("clean", NULL);
}

static void
print_state(void)
{
    char first[512] = "none";

    printf("  done %d, guest_done %d, controller %ld, guest %ld, %u others\n",
           board->done, board->guest_done, (long)players.controller,
           (long)players.guest, strangers());
    printf("  %u files, one of them: %s\n",
           files_of(board->name, first, sizeof first), first);
    print_processes(players.group);
    if (players.guest)
        print_processes(players.guest);
    dsmctl("list", board->name);
    dsmctl("list", NULL);
}

bool
round_run(const struct plan *plan, bool freeze)
{
    struct course course;
    double start = now();
    bool ended;

    begin(&course, plan);
    ended = play(&course);
    tally.rounds++;
    if (now() - start > tally.slowest) {
        tally.slowest = now() - start;
        tally.slowest_round = plan->round;
    }
    if (ended)
        check(&course);
    if (ended && !board->wrong)
        return true;
    printf("%s: seed %lu round %lu: %s\n", ended ? "WRONG" : "HANG",
           (unsigned long)plan->seed, (unsigned long)plan->round,
           ended || board->wrong ? board->what : "not over in time");
    round_print(plan);
    tally.hangs += !ended;
    tally.wrongs += ended;
    print_state();
    fflush(stdout);
    while (freeze)
        pause();
    sweep();
    return false;
}

bool
round_begin(void)
{
    sem_init(&board->neighbour_go, 1, 0);
    files_at_first = descriptors_of(getpid());
    players.neighbour = fork_player(neighbour_main);
    ask_neighbour();
    /* So far there is nobody else. */
    players.supervisor = killer_stranger(&players);
    return players.neighbour && !board->wrong;
}

bool
round_end(void)
{
    char name[DSM_NAME_MAX + 1], first[512];
    pid_t neighbour = players.neighbour;
    double end = now() + 60;

    board->wrong = 0;
    ask_neighbour();
    snprintf(name, sizeof name, "neighbour-%ld", (long)neighbour);
    board->neighbour_leave = 1;
    players.neighbour = players.supervisor = 0; /* they may end now */
    sem_post(&board->neighbour_go);
    if (players.controller)
        kill(players.controller, SIGKILL);
    while ((players.controller || strangers()) && now() < end)
        doze(end);
    if (strangers() || files_of(name, first, sizeof first) > 0)
        wrong("the neighbour does not end");
    if (board->wrong) {
        printf("WRONG: in the end: %s\n", board->what);
        tally.wrongs++;
    }
    return !board->wrong;
}
