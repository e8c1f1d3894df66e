/* Computes pi from random points: jobs that publish provisional results, and
 * are cancelled as soon as all together are good enough.
 *
 * A job publishes its counts after each batch and does not wait for anybody to
 * take them: newer ones replace them.  The controller's callback keeps the
 * newest counts of each job, which are as good as those of a job that has
 * ended: all of them are numbers of throws and of hits among them.
 */
#include "random_stream.h"
#include "support.h"

#include <dsm.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const char HELP[] =
    "Usage: montecarlo [OPTION]...\n"
    "Throws points at a square and counts those that hit the quarter of a "
    "circle\n"
    "in it, until that tells pi as exactly as is wanted.\n"
    "\n"
    "  -e, --precision=HALF   half of the 95 % interval's width with which to\n"
    "                         end; default 1e-4\n"
    "  -j, --jobs=JOBS        default 64\n"
    "  -n, --batches=BATCHES  of each job; default 100\n"
    "      --batch=THROWS     of a batch; default 1000000\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "      --seed=SEED        for other points, another whole number; default "
    "0\n"
    "      --help             show this and exit\n"
    "\n"
    "The exit status is 1 if pi lies more than 5 deviations off.\n";

/* What a job is given. */
typedef struct task {
    size_t number, seed, batches, batch;
} task;

/* What it publishes, and returns in the end. */
typedef struct counts {
    size_t number; /* of the job */
    uint64_t hits, throws;
} counts;

typedef struct settings {
    task task; /* but for its number */
    size_t jobs, workers;
    double precision;
} settings;

typedef struct estimate {
    double pi, deviation;
    uint64_t throws;
} estimate;

typedef struct experiment {
    const settings *set;
    dsm_cluster *cluster;
    dsm_job **jobs;
    counts *newest; /* of each job */
    size_t ended, cancelled;
} experiment;

_Noreturn static void
give_up(void)
{
    fail("%s", dsm_last_error());
}

static void *
allocate(size_t n, size_t size)
{
    void *items = calloc(n, size);

    if (!items)
        fail("no memory for %zu jobs", n);
    return items;
}

/* ---- In a worker. */

static uint64_t
throw_batch(random_stream *random, size_t batch)
{
    uint64_t hits = 0;

    for (size_t k = 0; k < batch; k++) {
        double x = random_uniform(random), y = random_uniform(random);

        hits += x * x + y * y <= 1;
    }
    return hits;
}

static int
throw_points(dsm_worker *self, const void *arg, size_t arg_size)
{
    const task *t = arg;
    counts c = {.number = t->number};
    random_stream random;

    (void)arg_size;
    random_begin(&random, t->seed, t->number);
    for (size_t k = 0; k < t->batches; k++) {
        int status;

        c.hits += throw_batch(&random, t->batch);
        c.throws += t->batch;
        /* DSM_ECANCELED, too, which leaves this job and not more. */
        status = dsm_worker_publish(self, &c, sizeof c, 0);
        if (status < 0)
            return status;
    }
    return dsm_worker_return(self, &c, sizeof c);
}

/* ---- In the controller. */

/* Of a share of hits, with two hits and two misses more (Agresti and Coull
 * 1998): so it is sound for few throws, too. */
static estimate
estimate_pi(const experiment *e)
{
    double hits = 2, throws = 4, share;
    estimate now = {0};

    for (size_t k = 0; k < e->set->jobs; k++) {
        hits += (double)e->newest[k].hits;
        throws += (double)e->newest[k].throws;
        now.throws += e->newest[k].throws;
    }
    share = hits / throws;
    now.pi = 4 * share;
    now.deviation = 4 * sqrt(share * (1 - share) / throws);
    return now;
}

/* 95 % of a normal distribution lie within so much of its mean. */
static double
half_width(const estimate *now)
{
    return 1.959964 * now->deviation;
}

/* The callback: a job has published something, or has ended. */
static void
take_news(dsm_job *job, void *arg)
{
    experiment *e = arg;
    const counts *newest;
    const void *data;
    size_t size;
    int status = dsm_job_result(job, &data, &size, 0);

    e->ended += status != DSM_EPENDING;
    e->cancelled += status == DSM_ECANCELED;
    if (status == DSM_EPENDING)
        status = dsm_job_provisional(job, &data, &size);
    if (status == DSM_EPENDING || status == DSM_ECANCELED)
        return;
    if (status < 0)
        give_up();
    newest = data;
    e->newest[newest->number] = *newest;
}

static void
submit(experiment *e)
{
    size_t n = e->set->jobs;
    task *tasks = allocate(n, sizeof *tasks);
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;

    for (size_t k = 0; k < n; k++) {
        tasks[k] = e->set->task;
        tasks[k].number = k;
    }
    options.name = "throws";
    options.callback = take_news;
    options.callback_arg = e;
    if (dsm_job_map(e->jobs, e->cluster, throw_points, tasks, sizeof *tasks, n,
                    &options) < 0)
        give_up();
    free(tasks);
}

/* Also those that have ended, for which it does nothing. */
static void
cancel_all(experiment *e)
{
    for (size_t k = 0; k < e->set->jobs; k++)
        if (dsm_job_cancel(e->jobs[k], DSM_GRACE) < 0)
            give_up();
    if (dsm_cluster_drain(e->cluster, DSM_FOREVER) < 0)
        give_up();
}

static estimate
run(experiment *e)
{
    estimate now = estimate_pi(e);

    submit(e);
    while (e->ended < e->set->jobs) {
        if (dsm_cluster_poll(e->cluster, DSM_FOREVER) < 0)
            give_up();
        now = estimate_pi(e);
        show_line("pi = %.6f +- %.6f, %.3g throws", now.pi, half_width(&now),
                  (double)now.throws);
        if (half_width(&now) <= e->set->precision)
            cancel_all(e);
    }
    clear_progress();
    for (size_t k = 0; k < e->set->jobs; k++)
        dsm_job_release(e->jobs[k]);
    return now;
}

static double
deviations_off(const estimate *last)
{
    return fabs(last->pi - M_PI) / last->deviation;
}

static void
report(const experiment *e, const estimate *last, double seconds)
{
    printf("pi = %.7f +- %.7f (95 %%), which is %.1f deviations off\n"
           "%" PRIu64 " throws, %zu of %zu jobs cancelled; %u workers: %.3f s, "
           "%.0f million throws/s\n",
           last->pi, half_width(last), deviations_off(last), last->throws,
           e->cancelled, e->set->jobs, dsm_cluster_workers(e->cluster), seconds,
           1e-6 * (double)last->throws / seconds);
    if (half_width(last) > e->set->precision)
        printf("more jobs, or longer ones, would be needed for +- %g\n",
               e->set->precision);
}

static void
parse(int argc, char **argv, settings *set)
{
    enum { BATCH = 256, SEED };
    static const struct option options[] = {
        {"precision", required_argument, NULL, 'e'},
        {"jobs", required_argument, NULL, 'j'},
        {"batches", required_argument, NULL, 'n'},
        {"batch", required_argument, NULL, BATCH},
        {"workers", required_argument, NULL, 'p'},
        {"seed", required_argument, NULL, SEED},
        {"help", no_argument, NULL, 'h'},
        {0}};
    int option;

    while ((option = getopt_long(argc, argv, "e:j:n:p:", options, NULL)) >= 0)
        switch (option) {
        case 'e':
            if (!parse_real(optarg, &set->precision) || !(set->precision > 0))
                misuse("'%s' is no precision", optarg);
            break;
        case 'j':
            set->jobs = whole_number(optarg, 1, 65536);
            break;
        case 'n':
            set->task.batches = whole_number(optarg, 1, 1000000000);
            break;
        case BATCH:
            set->task.batch = whole_number(optarg, 1, 1000000000);
            break;
        case 'p':
            set->workers = whole_number(optarg, 1, UINT_MAX);
            break;
        case SEED:
            set->task.seed = whole_number(optarg, 0, SIZE_MAX);
            break;
        case 'h':
            fputs(HELP, stdout);
            exit(EXIT_SUCCESS);
        default:
            misuse("try --help");
        }
    if (optind < argc)
        misuse("unexpected argument '%s'; try --help", argv[optind]);
}

int
main(int argc, char **argv)
{
    settings set = {.task = {.batches = 100, .batch = 1000000},
                    .jobs = 64,
                    .precision = 1e-4};
    experiment e = {.set = &set};
    estimate last;
    double began;

    program = "montecarlo";
    parse(argc, argv, &set);
    e.jobs = allocate(set.jobs, sizeof(dsm_job *));
    e.newest = allocate(set.jobs, sizeof *e.newest);
    if (dsm_cluster_create(&e.cluster, (unsigned)set.workers, NULL) < 0)
        give_up();
    began = seconds_now();
    last = run(&e);
    report(&e, &last, seconds_now() - began);
    dsm_cluster_destroy(e.cluster);
    free(e.newest);
    free(e.jobs);
    return deviations_off(&last) <= 5 ? EXIT_SUCCESS : EXIT_FAILURE;
}
