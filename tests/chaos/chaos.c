/* chaos [--minutes M] [--rounds N] [--seed S] [--round R] [--verbose]
 *       [--freeze] [--soak]
 * Runs rounds of chaos (chaos.h) for so long, or so many, or only round R of a
 * seed, and prints what happened; 1 when anything was wrong.  --freeze leaves
 * the first round that is wrong as it is, for a debugger.  --soak does the same
 * things to one cluster, kills nobody and looks at memory (soak.c). */
#include "chaos.h"

#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FAILURES_MOST 10

struct tally tally;

struct order {
    double minutes;
    uint64_t rounds, seed, round;
    bool verbose, freeze, soak;
};

static void
usage(void)
{
    fprintf(stderr, "usage: chaos [--minutes M] [--rounds N] [--seed S] "
                    "[--round R] [--verbose] [--freeze] [--soak]\n");
    exit(2);
}

static struct order
take_order(int argc, char **argv)
{
    static const struct option options[] = {
        {"minutes", required_argument, NULL, 'm'},
        {"rounds", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"round", required_argument, NULL, 'r'},
        {"verbose", no_argument, NULL, 'v'},
        {"freeze", no_argument, NULL, 'f'},
        {"soak", no_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    struct order order = {.rounds = UINT64_MAX,
                          .seed = (uint64_t)time(NULL) % 1000000000};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (c) {
        case 'm':
            order.minutes = strtod(optarg, NULL);
            break;
        case 'n':
            order.rounds = strtoull(optarg, NULL, 10);
            break;
        case 's':
            order.seed = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            order.round = strtoull(optarg, NULL, 10);
            if (order.rounds == UINT64_MAX)
                order.rounds = 1;
            break;
        case 'v':
            order.verbose = true;
            break;
        case 'f':
            order.freeze = true;
            break;
        case 'k':
            order.soak = true;
            break;
        default:
            usage();
        }
    if (optind < argc)
        usage();
    if (order.rounds == UINT64_MAX && order.minutes <= 0)
        order.minutes = 5;
    return order;
}

void
tally_signal(const struct blow *blow)
{
    tally.sent[blow->victim][blow->signal == SIGKILL   ? 0
                             : blow->signal == SIGSTOP ? 1
                                                       : 2]++;
}

void
clear_directory(void)
{
    DIR *files = opendir(board->directory);
    struct dirent *file;
    char path[512];

    while (files && (file = readdir(files)))
        if (file->d_name[0] != '.' || strlen(file->d_name) > 2) {
            snprintf(path, sizeof path, "%s/%s", board->directory,
                     file->d_name);
            unlink(path);
        }
    if (files)
        closedir(files);
}

static void
prepare(void)
{
    struct rlimit none = {0, 0};
    const char *why;
    sigset_t set;

    setlinebuf(stdout);
    why = own_shm();
    if (why)
        printf("in the machine's /dev/shm: %s\n", why);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED) {
        perror("chaos");
        exit(1);
    }
    strcpy(board->directory, "/tmp/dsm-chaos-XXXXXX");
    if (!mkdtemp(board->directory)) {
        perror("chaos");
        exit(1);
    }
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void
print_calls(void)
{
    printf("%-22s %10s %10s  others\n", "call", "0", "positive");
    for (unsigned c = 0; c < CALLS; c++) {
        printf("%-22s %10" PRIu64 " %10" PRIu64 " ", call_name((enum call)c),
               board->count[c][CODE_OK], board->count[c][CODE_NOTE]);
        for (unsigned k = CODE_NOTE + 1; k < CODES; k++)
            if (board->count[c][k])
                printf(" %s %" PRIu64, code_name((enum code)k),
                       board->count[c][k]);
        printf("\n");
    }
}

static void
print_summary(const struct order *order, double seconds)
{
    print_calls();
    printf("%-12s %8s %8s %8s\n", "signals to", "SIGKILL", "SIGSTOP",
           "SIGTERM");
    for (unsigned v = 0; v < VICTIMS; v++)
        printf("%-12s %8lu %8lu %8lu\n", victim_name[v], tally.sent[v][0],
               tally.sent[v][1], tally.sent[v][2]);
    printf("cleaned by dsmctl: %lu; slowest round: %lu, %.2f s\n",
           tally.cleaned, (unsigned long)tally.slowest_round, tally.slowest);
    printf("chaos: seed %lu: %lu rounds in %.0f s, %lu hangs, %lu wrong, "
           "%lu leftovers\n",
           (unsigned long)order->seed, tally.rounds, seconds, tally.hangs,
           tally.wrongs, tally.leftovers);
}

int
main(int argc, char **argv)
{
    struct order order = take_order(argc, argv);
    double start = now();
    struct plan plan;

    prepare();
    printf("chaos: seed %lu\n", (unsigned long)order.seed);
    if (order.soak) {
        bool flat = soak_run(order.minutes, order.seed);

        print_calls();
        rmdir(board->directory);
        return !flat;
    }
    if (!round_begin()) {
        printf("no neighbour: %s\n", board->what);
        return 1;
    }
    for (uint64_t k = 0; k < order.rounds; k++) {
        if (order.minutes > 0 && now() - start > 60 * order.minutes)
            break;
        if (tally.hangs + tally.wrongs >= FAILURES_MOST)
            break;
        plan_make(&plan, order.seed, order.round + k);
        if (round_run(&plan, order.freeze) && order.verbose) {
            printf("round %lu\n", (unsigned long)plan.round);
            round_print(&plan);
        }
    }
    round_end();
    rmdir(board->directory);
    print_summary(&order, now() - start);
    return tally.hangs + tally.wrongs + tally.leftovers > 0;
}
