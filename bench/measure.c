/* Sampling: see measure.h.  Reports are in report.c. */
#include "measure.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 15, ROUNDS_QUICK = 3, ROUNDS_MAX = 10000 };

double
measure_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

unsigned
measure_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

void
measure_pin(unsigned k)
{
    cpu_set_t usable, one;
    if (sched_getaffinity(0, sizeof usable, &usable) != 0)
        return;
    k %= (unsigned)CPU_COUNT(&usable);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &usable) || k-- > 0)
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static int
compare_doubles(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

double
measure_median(double *values, size_t n)
{
    if (n == 0)
        return NAN;
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

double
measure_overall(const struct measure_span *spans, size_t n)
{
    double begin = spans[0].begin, end = spans[0].end;
    for (size_t i = 1; i < n; i++) {
        begin = spans[i].begin < begin ? spans[i].begin : begin;
        end = spans[i].end > end ? spans[i].end : end;
    }
    return end - begin;
}

/* ---- Loops. */

static int
repeat(int (*call)(void *context), void *context, long count)
{
    for (long i = 0; i < count; i++) {
        int error = call(context);
        if (error < 0)
            return error;
    }
    return 0;
}

int
measure_loop(int (*call)(void *context), void *context, long count, double *ns)
{
    int error = repeat(call, context, count / 10 + 1);
    if (error < 0)
        return error;
    double start = measure_now();
    error = repeat(call, context, count);
    *ns = (measure_now() - start) / (double)count * 1e9;
    return error;
}

int
measure_singly(int (*call)(void *context), void *context, long count,
               unsigned idle_ms, double *ns)
{
    const struct timespec idle = {.tv_nsec = (long)idle_ms * 1000000};
    double *times = calloc((size_t)count, sizeof *times);
    if (times == NULL)
        return -ENOMEM;
    int error = 0;
    for (long i = 0; i < count && error >= 0; i++) {
        if (idle_ms > 0)
            nanosleep(&idle, NULL);
        double start = measure_now();
        error = call(context);
        times[i] = (measure_now() - start) * 1e9;
    }
    *ns = measure_median(times, (size_t)count);
    free(times);
    return error < 0 ? error : 0;
}

/* ---- Placement: how long a cache line takes between the first two CPUs. */

enum { PROBE_BATCHES = 5, PROBE_TURNS = 1000, SHARED_NS = 120 };

struct probe {
    _Alignas(64) atomic_uint turn[2][16]; /* a line for each side */
    double ns;
};

static void
take_turns(struct probe *probe, unsigned side, unsigned first)
{
    atomic_uint *mine = &probe->turn[side][0];
    atomic_uint *other = &probe->turn[!side][0];
    for (unsigned turn = first; turn < first + PROBE_TURNS; turn++) {
        if (side == 0)
            atomic_store_explicit(mine, turn, memory_order_release);
        while (atomic_load_explicit(other, memory_order_acquire) < turn)
            continue;
        if (side == 1)
            atomic_store_explicit(mine, turn, memory_order_release);
    }
}

/* One side of the probe, a process of its own: the pinning ends with it.  The
 * best batch counts, as the others may have been preempted. */
static void
probe_side(struct probe *probe, unsigned side)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(10);
    measure_pin(side);
    double best = INFINITY;
    for (unsigned batch = 0; batch < PROBE_BATCHES; batch++) {
        double start = measure_now();
        take_turns(probe, side, 1 + batch * PROBE_TURNS);
        double ns = (measure_now() - start) / (2 * PROBE_TURNS) * 1e9;
        best = ns < best ? ns : best;
    }
    if (side == 0)
        probe->ns = best;
    _exit(0);
}

/* One way, in nanoseconds; NAN where it cannot be told. */
static double
hand_over(void)
{
    if (measure_cpus() < 2)
        return NAN;
    struct probe *probe = mmap(NULL, sizeof *probe, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED)
        return NAN;
    probe->ns = NAN;
    pid_t sides[2];
    for (unsigned side = 0; side < 2; side++) {
        sides[side] = fork();
        if (sides[side] == 0)
            probe_side(probe, side);
    }
    for (unsigned side = 0; side < 2; side++) {
        if (sides[!side] < 0 && sides[side] > 0)
            kill(sides[side], SIGKILL);
        if (sides[side] > 0)
            waitpid(sides[side], NULL, 0);
    }
    double ns = probe->ns;
    munmap(probe, sizeof *probe);
    return ns;
}

static enum placement
placement_of(double before, double after)
{
    if (isnan(before) || isnan(after))
        return PLACEMENT_UNKNOWN;
    if ((before <= SHARED_NS) != (after <= SHARED_NS))
        return PLACEMENT_MOVED;
    return before <= SHARED_NS ? PLACEMENT_SHARED : PLACEMENT_SEPARATE;
}

/* How many tasks of this machine run now, this one left out: load that disturbs
 * the figures.  NAN where it cannot be told. */
static double
other_tasks(void)
{
    FILE *file = fopen("/proc/loadavg", "re");
    double running = NAN;
    if (file != NULL) {
        if (fscanf(file, "%*f %*f %*f %lf", &running) != 1)
            running = NAN;
        fclose(file);
    }
    return running - 1;
}

/* ---- Rounds. */

/* Figures from `first` to the end of its group. */
static size_t
group_length(const struct run *run, size_t first)
{
    size_t end = first + 1;
    while (end < run->figure_count && run->figures[end].group == NULL)
        end++;
    return end - first;
}

static int
sample_group(struct run *run, size_t first, size_t n, unsigned round)
{
    struct sample *samples = run->samples + round * run->figure_count + first;
    double others = other_tasks(), before = hand_over();
    for (size_t i = 0; i < n; i++) {
        const struct figure *figure = &run->figures[first + i];
        long count = run->quick ? (figure->count + 9) / 10 : figure->count;
        int taken = figure->sample(figure, count, &samples[i].ns);
        if (taken < 0)
            return SAMPLE_FAILED;
        if (taken == SAMPLE_NOT_AVAILABLE)
            samples[i].ns = NAN;
        if (figure->per > 0)
            samples[i].ns /= figure->per;
    }
    double after = hand_over();
    for (size_t i = 0; i < n; i++) {
        samples[i].hand_over = before > after ? before : after;
        samples[i].placement = placement_of(before, after);
        samples[i].others = others;
    }
    return 0;
}

static int
sample_round(struct run *run, unsigned round)
{
    size_t n;
    for (size_t first = 0; first < run->figure_count; first += n) {
        n = group_length(run, first);
        if (sample_group(run, first, n, round) < 0)
            return SAMPLE_FAILED;
    }
    return 0;
}

/* Leaves only the groups wanted. */
static int
choose(struct run *run)
{
    size_t n, chosen = 0;
    run->chosen = calloc(run->figure_count, sizeof *run->chosen);
    if (run->chosen == NULL)
        return SAMPLE_FAILED;
    for (size_t first = 0; first < run->figure_count; first += n) {
        n = group_length(run, first);
        if (strstr(run->figures[first].group, run->only) == NULL)
            continue;
        memcpy(run->chosen + chosen, run->figures + first,
               n * sizeof *run->chosen);
        chosen += n;
    }
    run->figures = run->chosen;
    run->figure_count = chosen;
    if (chosen > 0)
        return 0;
    fprintf(stderr, "%s: no group's name has '%s'\n", run->program, run->only);
    return SAMPLE_FAILED;
}

int
measure_rounds(struct run *run)
{
    if (run->only != NULL && choose(run) < 0)
        return SAMPLE_FAILED;
    run->samples =
        calloc(run->figure_count * run->rounds, sizeof *run->samples);
    if (run->samples == NULL) {
        fprintf(stderr, "%s: no memory\n", run->program);
        return SAMPLE_FAILED;
    }
    bool terminal = isatty(STDERR_FILENO);
    double start = measure_now();
    for (unsigned round = 0; round < run->rounds; round++) {
        if (run->limited && measure_now() - start > run->time_limit_s) {
            run->rounds = round;
            break;
        }
        if (terminal)
            fprintf(stderr, "\rround %u of %u", round + 1, run->rounds);
        if (sample_round(run, round) < 0)
            return SAMPLE_FAILED;
    }
    if (terminal)
        fputs("\r\033[K", stderr);
    return 0;
}

/* ---- Options. */

static void
print_help(const struct run *run)
{
    printf("Usage: %s [--rounds N] [--quick] [--only TEXT] [--json FILE]\n"
           "       [--markdown FILE] [--tsv FILE] [--help]\n\n"
           "%s\n\n"
           "  --rounds N       take N samples of each figure (default %d or, "
           "with --quick,\n"
           "                   %d, less when that takes over %.0f s)\n"
           "  --quick          a tenth of the operations in each\n"
           "  --only TEXT      only groups that have TEXT in their name\n"
           "  --json FILE      write every sample to FILE too\n"
           "  --markdown FILE  the table\n"
           "  --tsv FILE       the medians\n"
           "  --help           print this\n\n"
           "The exit status is 0 whatever the figures are, 1 when a call "
           "failed.\n",
           run->program, run->about, ROUNDS, ROUNDS_QUICK, run->time_limit_s);
}

static bool
parse_rounds(const char *text, unsigned *rounds)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 ||
        value > ROUNDS_MAX)
        return false;
    *rounds = (unsigned)value;
    return true;
}

bool
measure_options(struct run *run, int argc, char **argv, int *status)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},
        {"quick", no_argument, NULL, 'q'},
        {"only", required_argument, NULL, 'o'},
        {"json", required_argument, NULL, 'j'},
        {"markdown", required_argument, NULL, 'm'},
        {"tsv", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'q') {
            run->quick = true;
        } else if (option == 'o') {
            run->only = optarg;
        } else if (option == 'j') {
            run->json = optarg;
        } else if (option == 'm') {
            run->markdown = optarg;
        } else if (option == 't') {
            run->tsv = optarg;
        } else if (option == 'h') {
            print_help(run);
            *status = 0;
            return false;
        } else if (option != 'r' || !parse_rounds(optarg, &run->rounds)) {
            fprintf(stderr, "%s: try --help\n", run->program);
            *status = 2;
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: what is '%s'? Try --help\n", run->program,
                argv[optind]);
        *status = 2;
        return false;
    }
    run->limited = run->rounds == 0;
    if (run->limited)
        run->rounds = run->quick ? ROUNDS_QUICK : ROUNDS;
    return true;
}
