/* trial_jobs: puts the task pool through what it promises, at full size, and
 * prints what came of it.  No peers and no samples: each trial is right or
 * wrong.
 *
 *     kills      jobs while a worker is killed every 20 ms: all results, once
 * each floods     provisional results as fast as a worker can publish them
 *     clients    programs on one cluster, of which one is killed midway
 *     plugin     a shared object that is built anew while the cluster runs
 */
#include "measure.h"

#include <dsm.h>

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 2,
    JOBS = 10000,
    CLIENTS = 4,
    LATE = 4,
    FLOOD = 1000000,
    KILL_MS = 20
};

static void
need(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "trial_jobs: %s (%s)\n", dsm_last_error(),
            dsm_strerror(result));
    exit(EXIT_FAILURE);
}

static void
sleep_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};

    nanosleep(&pause, NULL);
}

static dsm_cluster *
create(const char *name)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = name;
    need(dsm_cluster_create(&cluster, WORKERS, &options));
    return cluster;
}

/* Computes for some time, so that kills meet it. */
static unsigned long
churn(unsigned long x, unsigned rounds)
{
    for (unsigned k = 0; k < rounds; k++)
        x = x * 6364136223846793005UL + 1442695040888963407UL;
    return x;
}

static int
churn_job(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned long x = churn(*(const unsigned long *)arg, 50000);

    (void)arg_size;
    return dsm_worker_return(self, &x, sizeof x);
}

/* ---- kills */

static void
kill_worker(const dsm_cluster *cluster, unsigned id)
{
    dsm_worker_info info = DSM_WORKER_INFO_INIT;

    need(dsm_cluster_worker(cluster, id, &info));
    if (info.pid > 0)
        kill(info.pid, SIGKILL);
}

static unsigned long
deaths(const dsm_cluster *cluster)
{
    unsigned long sum = 0;

    for (unsigned w = 0; w < WORKERS; w++) {
        dsm_worker_info info = DSM_WORKER_INFO_INIT;

        need(dsm_cluster_worker(cluster, w, &info));
        sum += info.deaths;
    }
    return sum;
}

static unsigned
gather(dsm_cluster *cluster, bool kills, unsigned *wrong)
{
    static unsigned char seen[JOBS];
    double next = measure_now() + KILL_MS / 1e3;
    unsigned got = 0, turn = 0;
    dsm_job *job;
    int result;

    memset(seen, 0, sizeof seen);
    while ((result = dsm_job_next(&job, cluster, 1)) != -ECHILD) {
        dsm_job_info info = DSM_JOB_INFO_INIT;
        const unsigned long *value;
        unsigned long k;

        if (kills && measure_now() >= next) {
            kill_worker(cluster, turn++ % WORKERS);
            next = measure_now() + KILL_MS / 1e3;
        }
        if (result == -ETIMEDOUT)
            continue;
        need(result);
        need(dsm_job_status(job, &info));
        k = strtoul(info.name, NULL, 10);
        if (dsm_job_result(job, (const void **)&value, NULL, 0) < 0 ||
            k >= JOBS || seen[k]++ || *value != churn(k, 50000))
            ++*wrong;
        got++;
        dsm_job_release(job);
    }
    return got;
}

static void
submit_all(dsm_cluster *cluster)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    char name[24];

    options.retries = 1000;
    options.name = name;
    for (unsigned long k = 0; k < JOBS; k++) {
        snprintf(name, sizeof name, "%lu", k);
        need(dsm_job_submit(NULL, cluster, churn_job, &k, sizeof k, &options));
    }
}

static bool
trial_kills(void)
{
    dsm_cluster *cluster = create(NULL);
    unsigned wrong = 0, got;
    double begin = measure_now();

    submit_all(cluster);
    got = gather(cluster, true, &wrong);
    printf("kills: %u of %d jobs, %u wrong, %lu deaths of workers, %.2f s\n",
           got, JOBS, wrong, deaths(cluster), measure_now() - begin);
    dsm_cluster_destroy(cluster);
    return got == JOBS && !wrong;
}

/* ---- floods */

static int
flood(dsm_worker *self, const void *arg, size_t arg_size)
{
    double longest = 0;

    (void)arg, (void)arg_size;
    for (long k = 1; k <= FLOOD; k++) {
        double begin = measure_now(), took;
        int error = dsm_worker_publish(self, &k, sizeof k, 0);

        if (error)
            return error;
        took = measure_now() - begin;
        longest = took > longest ? took : longest;
    }
    return dsm_worker_return(self, &longest, sizeof longest);
}

/* Kilobytes of this process that are in memory and not shared. */
static long
own_memory(void)
{
    long size = 0, resident = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (!file || fscanf(file, "%ld %ld %ld", &size, &resident, &shared) != 3)
        resident = shared = 0;
    if (file)
        fclose(file);
    return (resident - shared) * sysconf(_SC_PAGESIZE) / 1024;
}

static bool
trial_floods(void)
{
    dsm_cluster *cluster = create(NULL);
    double begin = measure_now(), seconds;
    long before = own_memory(), taken = 0, last = 0;
    const double *longest;
    const long *newest;
    bool rises = true;
    dsm_job *job;
    size_t size;

    need(dsm_job_submit(&job, cluster, flood, NULL, 0, NULL));
    while (dsm_job_result(job, NULL, NULL, 0) == DSM_EPENDING || last < FLOOD) {
        if (dsm_job_provisional(job, (const void **)&newest, &size) < 0)
            continue;
        rises = rises && *newest > last;
        last = *newest;
        taken++;
    }
    seconds = measure_now() - begin;
    need(dsm_job_result(job, (const void **)&longest, &size, DSM_FOREVER));
    printf("floods: %d published in %.2f s, %ld taken, the last is %ld, memory "
           "grew by %ld kB, longest call %.1f us\n",
           FLOOD, seconds, taken, last, own_memory() - before, *longest * 1e6);
    dsm_job_release(job);
    dsm_cluster_destroy(cluster);
    return rises && last == FLOOD;
}

/* ---- clients */

struct stage {
    _Atomic unsigned live, ready, go, killed;
    _Atomic unsigned done[CLIENTS + 1], wrong[CLIENTS + 1];
};

/* A library's function: another program's own would not be found by workers. */
static dsm_fn
plugin_function(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol;
    dsm_fn fn;

    symbol = library ? dlsym(library, "answer") : NULL;
    if (!symbol) {
        fprintf(stderr, "trial_jobs: %s\n", dlerror());
        exit(EXIT_FAILURE);
    }
    memcpy(&fn, &symbol, sizeof fn);
    return fn;
}

static int
client(const char *name, const char *path, struct stage *stage, unsigned me)
{
    dsm_fn fn = plugin_function(path);
    dsm_cluster *cluster;
    dsm_job *job;

    /* The last one comes when the first is dead. */
    while (me == LATE && !stage->killed)
        sleep_ms(1);
    need(dsm_cluster_attach(&cluster, name));
    stage->ready++;
    while (!stage->go)
        sleep_ms(1);
    for (long k = 0; k < JOBS; k++)
        need(dsm_job_submit(NULL, cluster, fn, &k, sizeof k, NULL));
    while (dsm_job_next(&job, cluster, DSM_FOREVER) == 0) {
        const long *value;

        if (dsm_job_result(job, (const void **)&value, NULL, 0) < 0)
            stage->wrong[me]++;
        dsm_job_release(job);
        stage->done[me]++;
    }
    dsm_cluster_destroy(cluster);
    return 0;
}

/* Builds a library with `long answer`: value + the version. */
static void
build(const char *directory, int version)
{
    char command[1024];

    snprintf(command, sizeof command,
             "printf '%%s\\n' '#include <stddef.h>' 'struct dsm_worker;' "
             "'int dsm_worker_return(struct dsm_worker *, const void *, "
             "size_t);' 'int answer(struct dsm_worker *w, const void *a, "
             "size_t n) { volatile unsigned long x = 0; long r = %d; (void)a; "
             "(void)n; for (int k = 0; k < 100000; k++) x += (unsigned "
             "long)k; return dsm_worker_return(w, &r, sizeof r); }' "
             "> %s/plugin.c && rm -f %s/plugin.so && ${CC:-cc} -O2 -shared "
             "-fPIC -o %s/plugin.so %s/plugin.c",
             version, directory, directory, directory, directory);
    if (system(command) != 0) {
        fprintf(stderr, "trial_jobs: cannot build a shared object\n");
        exit(EXIT_FAILURE);
    }
}

static void
report_clients(const struct stage *stage, const unsigned *shares, double spread)
{
    printf("clients: shares while all ran");
    for (unsigned c = 0; c < CLIENTS; c++)
        printf(" %u", shares[c]);
    printf(" (spread %.0f %%), in the end", spread);
    for (unsigned c = 0; c <= CLIENTS; c++)
        printf(" %u", stage->done[c]);
    printf("; the first was killed, and the last came then\n");
}

/* Kills client 0 when it has half of its results.  The shares are of what all
 * had from the moment on that each had submitted and got something. */
static void
kill_midway(struct stage *stage, pid_t victim, unsigned *shares)
{
    for (unsigned c = 0; c < CLIENTS; c++)
        while (stage->done[c] < JOBS / 10)
            sleep_ms(1);
    for (unsigned c = 0; c < CLIENTS; c++)
        shares[c] = stage->done[c];
    while (stage->done[0] < JOBS / 2)
        sleep_ms(1);
    for (unsigned c = 0; c < CLIENTS; c++)
        shares[c] = stage->done[c] - shares[c];
    kill(victim, SIGKILL);
    stage->killed = 1;
}

static bool
trial_clients(const char *directory)
{
    struct stage *stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned shares[CLIENTS], least = JOBS, most = 0;
    char name[DSM_NAME_MAX + 1], path[512];
    pid_t pids[CLIENTS + 1];
    dsm_cluster *cluster;
    bool right = true;

    if (stage == MAP_FAILED)
        return false;
    build(directory, 1);
    snprintf(path, sizeof path, "%s/plugin.so", directory);
    snprintf(name, sizeof name, "trial-%ld", (long)getpid());
    fflush(stdout);
    for (unsigned c = 0; c <= CLIENTS; c++) {
        pids[c] = fork();
        if (pids[c] == 0) {
            while (!stage->live)
                sleep_ms(1);
            exit(client(name, path, stage, c));
        }
    }
    cluster = create(name);
    stage->live = 1;
    while (stage->ready < CLIENTS)
        sleep_ms(1);
    stage->go = 1;
    kill_midway(stage, pids[0], shares);
    for (unsigned c = 0; c <= CLIENTS; c++) {
        (void)waitpid(pids[c], NULL, 0);
        right = right && !stage->wrong[c] && (c == 0 || stage->done[c] == JOBS);
    }
    for (unsigned c = 0; c < CLIENTS; c++) {
        least = shares[c] < least ? shares[c] : least;
        most = shares[c] > most ? shares[c] : most;
    }
    report_clients(stage, shares, 100.0 * (most - least) / most);
    dsm_cluster_destroy(cluster);
    munmap(stage, sizeof *stage);
    return right && 5 * least >= 4 * most;
}

/* ---- plugin */

static long
ask(dsm_cluster *cluster, dsm_fn fn)
{
    const long *value;
    dsm_job *job;
    long k = 0, answer = -1;

    need(dsm_job_submit(&job, cluster, fn, &k, sizeof k, NULL));
    if (dsm_job_result(job, (const void **)&value, NULL, DSM_FOREVER) == 0)
        answer = *value;
    dsm_job_release(job);
    return answer;
}

static bool
trial_plugin(const char *directory)
{
    dsm_cluster *cluster = create(NULL);
    long before, after;
    char path[512];
    double begin;
    dsm_fn fn;

    snprintf(path, sizeof path, "%s/plugin.so", directory);
    build(directory, 1);
    fn = plugin_function(path);
    before = ask(cluster, fn);
    build(directory, 2);
    begin = measure_now();
    need(dsm_cluster_refresh(cluster));
    after = ask(cluster, fn);
    printf(
        "plugin: answered %ld; rebuilt, %.1f ms after a refresh began, %ld\n",
        before, 1e3 * (measure_now() - begin), after);
    dsm_cluster_destroy(cluster);
    return before == 1 && after == 2;
}

int
main(void)
{
    char directory[] = "/tmp/trial_jobs-XXXXXX", command[64];
    bool right;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!mkdtemp(directory))
        return EXIT_FAILURE;
    right = trial_kills();
    right = trial_floods() && right;
    right = trial_clients(directory) && right;
    right = trial_plugin(directory) && right;
    snprintf(command, sizeof command, "rm -r %s", directory);
    if (system(command) != 0)
        right = false;
    puts(right ? "all trials are right" : "a trial is WRONG");
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
