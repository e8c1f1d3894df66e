/* fixture_trace NAME [works]: a cluster of 3 workers for tests of traces; with
 * "works" the controller is one.  Prints "ready" and the workers' pids; then
 * does what each line of stdin says, and prints its answer: "ok", the name of
 * an error, or what was asked for.
 *
 *   run                      an empty region
 *   for SCHEDULE CHUNK N     a loop
 *   meet KIND                worker 0 lets the others wait, asleep, at the
 *                            "worker" barrier, the "robust" one, the "pthread"
 *                            one, or for the "lock"
 *   storm                    starts a region of loops without an end
 *   wait                     waits for its end
 *   die HOW                  worker 1 ends in a loop: "kill", "fail", "exit"
 *   pids, counts             of all workers; regions and chunks
 *   twin                     creates, uses and destroys another cluster */
#include <dsm.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 3

static dsm_cluster *cluster;

static void
need(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "fixture_trace: %s (%s)\n", dsm_last_error(),
            dsm_strerror(result));
    exit(EXIT_FAILURE);
}

static int
nothing(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

static void
some_work(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    volatile size_t sum = 0;

    (void)self, (void)arg;
    for (size_t i = begin; i < end; i++)
        for (size_t k = 0; k < 1000; k++)
            sum = sum + k;
}

static int
storm(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    while (dsm_for(dsm_worker_cluster(self), 5000, DSM_SCHEDULE_DYNAMIC, 1,
                   some_work, NULL, 0) == 0)
        ;
    return 0;
}

/* ---- Waiting. */

enum kind { WORKER, ROBUST, PTHREAD, LOCK };

static const char *const kinds[] = {"worker", "robust", "pthread", "lock"};

static bool
asleep(const dsm_worker *self, unsigned worker)
{
    dsm_worker_info info = DSM_WORKER_INFO_INIT;
    char path[64], state = '?';
    FILE *file;

    need(dsm_cluster_worker(dsm_worker_cluster(self), worker, &info));
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)info.pid);
    file = fopen(path, "re");
    if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    if (file)
        fclose(file);
    return state == 'S';
}

/* `there` is told by each of them just before it waits. */
static void
await_sleepers(const dsm_worker *self, const _Atomic unsigned char *there)
{
    struct timespec ms = {.tv_nsec = 1000000};

    for (unsigned w = 1; w < dsm_worker_count(self); w++)
        while (!there[w] || !asleep(self, w))
            nanosleep(&ms, NULL);
}

static int
wait_at(dsm_worker *self, enum kind kind)
{
    dsm_barrier *barrier;

    if (kind == WORKER)
        return dsm_worker_barrier(self);
    need(dsm_barrier_open(&barrier, dsm_worker_cluster(self), kinds[kind]));
    return dsm_barrier_wait(barrier) < 0;
}

static int
meet(dsm_worker *self, const void *arg, size_t arg_size)
{
    enum kind kind = *(const enum kind *)arg;
    _Atomic unsigned char *there =
        dsm_array_data(dsm_worker_array(self, "there"));
    dsm_lock *lock = dsm_worker_lock(self, "lock");
    unsigned id = dsm_worker_id(self);

    (void)arg_size;
    there[id] = 0;
    if (kind == LOCK && id == 0)
        need(dsm_lock_acquire(lock, DSM_FOREVER));
    need(dsm_worker_barrier(self));
    there[id] = 1;
    if (id == 0)
        await_sleepers(self, there);
    else if (kind == LOCK)
        need(dsm_lock_acquire(lock, DSM_FOREVER));
    return kind == LOCK ? dsm_lock_release(lock) : wait_at(self, kind);
}

static int
run_meet(const char *name)
{
    enum kind kind = WORKER;

    while (kind < LOCK && strcmp(kinds[kind], name) != 0)
        kind++;
    return dsm_cluster_run(cluster, meet, &kind, sizeof kind);
}

/* ---- Dying. */

static void
end_here(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const char *how = arg;

    some_work(self, begin, end, NULL);
    if (dsm_worker_id(self) != 1 || end % 100 != 0)
        return;
    if (*how == 'k')
        raise(SIGKILL);
    if (*how == 'f')
        dsm_worker_fail(self, 7, "it was asked to");
    exit(3);
}

/* ---- The commands. */

static const char *
print_counts(void)
{
    static char text[512];
    size_t used = 0;

    for (unsigned w = 0; w < WORKERS; w++) {
        dsm_worker_info info = DSM_WORKER_INFO_INIT;

        need(dsm_cluster_worker(cluster, w, &info));
        used += (size_t)snprintf(text + used, sizeof text - used, "%llu %llu ",
                                 (unsigned long long)info.regions,
                                 (unsigned long long)info.chunks);
    }
    return text;
}

static const char *
print_pids(void)
{
    static char text[128];
    size_t used = 0;

    for (unsigned w = 0; w < WORKERS; w++) {
        dsm_worker_info info = DSM_WORKER_INFO_INIT;

        need(dsm_cluster_worker(cluster, w, &info));
        used += (size_t)snprintf(text + used, sizeof text - used, "%ld ",
                                 (long)info.pid);
    }
    return text;
}

static int
twin(void)
{
    dsm_cluster *other;
    int error = dsm_cluster_create(&other, 2, NULL);

    if (error)
        return error;
    error = dsm_cluster_run(other, nothing, NULL, 0);
    dsm_cluster_destroy(other);
    return error;
}

static int
obey(const char *verb, const char *word, size_t chunk, size_t n)
{
    if (strcmp(verb, "run") == 0)
        return dsm_cluster_run(cluster, nothing, NULL, 0);
    if (strcmp(verb, "for") == 0)
        return dsm_for(cluster, n, (dsm_schedule)atoi(word), chunk, some_work,
                       NULL, 0);
    if (strcmp(verb, "meet") == 0)
        return run_meet(word);
    if (strcmp(verb, "storm") == 0)
        return dsm_cluster_start(cluster, storm, NULL, 0);
    if (strcmp(verb, "wait") == 0)
        return dsm_cluster_wait(cluster, DSM_FOREVER);
    if (strcmp(verb, "die") == 0)
        return dsm_for(cluster, 3000, DSM_SCHEDULE_STATIC, 1, end_here, word,
                       strlen(word) + 1);
    if (strcmp(verb, "twin") == 0)
        return twin();
    return -ENOSYS;
}

static void
answer(const char *line)
{
    char verb[16] = "", word[16] = "";
    size_t chunk = 0, n = 0;
    int result;

    (void)sscanf(line, "%15s %15s %zu %zu", verb, word, &chunk, &n);
    if (strcmp(verb, "pids") == 0) {
        puts(print_pids());
    } else if (strcmp(verb, "counts") == 0) {
        puts(print_counts());
    } else {
        result = obey(verb, word, chunk, n);
        puts(result < 0 ? dsm_errname(result) : "ok");
    }
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_barrier *barrier;
    dsm_array *there;
    dsm_lock *lock;
    char line[128];

    if (argc < 2)
        return 2;
    options.name = argv[1];
    options.controller_works = argc > 2;
    need(dsm_cluster_create(&cluster, WORKERS, &options));
    need(dsm_array_create(&there, cluster, "there", DSM_UINT8,
                          DSM_SHAPE(WORKERS)));
    need(dsm_lock_create(&lock, cluster, "lock"));
    need(dsm_barrier_create(&barrier, cluster, "robust", WORKERS,
                            DSM_BARRIER_ROBUST));
    need(dsm_barrier_create(&barrier, cluster, "pthread", WORKERS,
                            DSM_BARRIER_PTHREAD));
    printf("ready %s\n", print_pids());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        answer(line);
    dsm_cluster_destroy(cluster);
    return 0;
}
