/* The soak: one cluster for minutes, with everything that a program may do with
 * it, a second program that comes and goes, and nobody killed.  Memory, files,
 * descriptors and mappings must not grow.
 *
 * They are looked at between two steps, when nothing but what the cluster keeps
 * is there.  The first fifth of the time is for warming up.  Of the rest, the
 * last quarter's mean must not be above the first one's by more than the noise
 * that is named in the table. */
#include "chaos.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 60 /* taken in equal distances, of a second at least */
#define SAMPLES_MOST (SAMPLES + 2)
#define WORKERS 2
#define REFRESH_S 60.0

enum place { OF_CONTROLLER, OF_SUPERVISOR, OF_WORKERS };

enum what { RSS, ANON, FDS, MAPS, FILES, BYTES };

static const struct figure {
    const char *name;
    enum place place;
    enum what what;
    double noise; /* KiB, or a number */
} figures[] = {
    {"controller KiB", OF_CONTROLLER, RSS, 512},
    {"controller anon KiB", OF_CONTROLLER, ANON, 256},
    {"controller fds", OF_CONTROLLER, FDS, 0.5},
    {"controller maps", OF_CONTROLLER, MAPS, 4},
    {"supervisor KiB", OF_SUPERVISOR, RSS, 256},
    {"supervisor fds", OF_SUPERVISOR, FDS, 1},
    {"workers KiB", OF_WORKERS, RSS, 1024},
    {"workers anon KiB", OF_WORKERS, ANON, 512},
    {"workers fds", OF_WORKERS, FDS, 0.5},
    {"workers maps", OF_WORKERS, MAPS, 40},
    {"shm files", OF_CONTROLLER, FILES, 2},
    {"shm KiB", OF_CONTROLLER, BYTES, 1024},
};

#define FIGURES (sizeof figures / sizeof *figures)

static struct sample {
    double at;
    double value[FIGURES];
} samples[SAMPLES_MOST];

static unsigned taken;

/* ---- Looking. */

static double
memory(pid_t pid, const char *label)
{
    char path[64], line[256];
    double value = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, label, strlen(label)) == 0)
            value = strtod(line + strlen(label), NULL);
    if (file)
        fclose(file);
    return value;
}

static double
shm(enum what what)
{
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    char prefix[96], path[512];
    double value = 0;

    snprintf(prefix, sizeof prefix, "dsm.%lu.%s", (unsigned long)geteuid(),
             board->name);
    while (files && (file = readdir(files))) {
        struct stat status;

        snprintf(path, sizeof path, "/dev/shm/%s", file->d_name);
        if (strncmp(file->d_name, prefix, strlen(prefix)) != 0 ||
            stat(path, &status) < 0)
            continue;
        value += what == FILES ? 1 : (double)status.st_blocks / 2;
    }
    if (files)
        closedir(files);
    return value;
}

static double
look(pid_t pid, enum what what)
{
    switch (what) {
    case RSS:
        return memory(pid, "VmRSS:");
    case ANON:
        return memory(pid, "RssAnon:");
    case FDS:
        return descriptors_of(pid);
    case MAPS:
        return mappings_of(pid);
    default:
        return shm(what);
    }
}

static double
measure(const struct figure *figure)
{
    double sum = 0;

    if (figure->place == OF_CONTROLLER)
        return look(getpid(), figure->what);
    if (figure->place == OF_SUPERVISOR)
        return look(board->supervisor, figure->what);
    for (unsigned w = 0; w < WORKERS; w++)
        sum += look(board->worker[w], figure->what);
    return sum;
}

static void
print_sample(const struct sample *sample)
{
    printf("%8.1f", sample->at);
    for (unsigned k = 0; k < FIGURES; k++)
        printf(" %8.0f", sample->value[k]);
    printf("\n");
}

static void
take_sample(double start)
{
    struct sample *sample = &samples[taken];

    if (taken == SAMPLES_MOST)
        return;
    sample->at = now() - start;
    for (unsigned k = 0; k < FIGURES; k++)
        sample->value[k] = measure(&figures[k]);
    print_sample(sample);
    taken++;
}

/* ---- The controller. */

static int
nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

/* Workers let go of arrays that were destroyed when a region begins. */
static void
settle(struct scene *scene)
{
    note(CALL_RUN, dsm_cluster_run(scene->cluster, nothing, NULL, 0), MAY(OK));
}

static double
mean(unsigned figure, unsigned begin, unsigned end)
{
    double sum = 0;

    for (unsigned k = begin; k < end; k++)
        sum += samples[k].value[figure];
    return end > begin ? sum / (end - begin) : 0;
}

static bool
judge(void)
{
    unsigned warm = taken / 5, quarter = (taken - warm) / 4;
    bool flat = true;

    if (quarter == 0) {
        printf("soak: too short to tell\n");
        return true;
    }
    printf("%-22s %12s %12s %8s\n", "mean of a quarter", "first", "last",
           "noise");
    for (unsigned k = 0; k < FIGURES; k++) {
        double first = mean(k, warm, warm + quarter);
        double last = mean(k, taken - quarter, taken);
        bool grew = last > first + figures[k].noise;

        printf("%-22s %12.1f %12.1f %8.1f%s\n", figures[k].name, first, last,
               figures[k].noise, grew ? "  GREW" : "");
        flat = flat && !grew;
    }
    return flat;
}

static void
work(struct scene *scene, double seconds)
{
    double start = now(), next = start, refresh = start + REFRESH_S;
    double distance = seconds > SAMPLES ? seconds / SAMPLES : 1;
    unsigned long steps = 0;

    /* A program keeps segments of large results for the next ones, and a worker
     * the last 256 that it has seen: as many as there ever were at once. */
    jobs_burst(scene);
    while (now() < start + seconds && !board->wrong) {
        step_any(scene);
        steps++;
        if (now() >= refresh) {
            note(CALL_REFRESH, dsm_cluster_refresh(scene->cluster),
                 MAY(OK) | MAY(BUSY));
            refresh += REFRESH_S;
        }
        if (now() < next)
            continue;
        settle(scene);
        take_sample(start);
        next += distance;
    }
    board->soak_steps = steps;
}

void
soak_main(void)
{
    struct scene scene;
    bool flat = false;

    for (unsigned k = 0; k < FIGURES; k++)
        printf("%8u: %s\n", k + 1, figures[k].name);
    if (scene_begin(&scene, &board->plan))
        work(&scene, board->soak_seconds);
    flat = judge();
    scene_end(&scene);
    fflush(stdout);
    _exit(flat && !board->wrong ? 0 : 1);
}

/* ---- The runner, where guests come from. */

static void
let_guest_visit(void)
{
    pid_t guest;

    fflush(stdout);
    board->plan.round++;
    guest = fork();
    if (guest == 0)
        guest_main();
    while (guest > 0 && waitpid(guest, NULL, 0) < 0)
        ;
}

bool
soak_run(double minutes, uint64_t seed)
{
    struct timespec pause = {.tv_nsec = 20000000};
    pid_t controller;
    int status = 1;

    board->plan = (struct plan){.seed = seed,
                                .workers = WORKERS,
                                .grace_ms = 1000,
                                .guest = true,
                                .calm = true,
                                .guest_steps = 10};
    board->soak_seconds = 60 * minutes;
    snprintf(board->name, sizeof board->name, "soak-%ld", (long)getpid());
    controller = fork();
    if (controller == 0)
        soak_main();
    while (waitpid(controller, &status, WNOHANG) == 0) {
        if (board->ready && !board->ended)
            let_guest_visit();
        nanosleep(&pause, NULL);
    }
    if (board->wrong)
        printf("WRONG: %s\n", board->what);
    printf("soak: seed %lu: %lu steps and %lu guests in %.0f s: %s\n",
           (unsigned long)seed, board->soak_steps,
           (unsigned long)board->plan.round, board->soak_seconds,
           status == 0 ? "flat" : "NOT FLAT");
    return status == 0;
}
