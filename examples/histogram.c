/* Makes many series of random numbers and one histogram of all: jobs that are
 * scattered over the workers, and results that are gathered as they end.
 *
 * A job's number determines its series, and counts are whole numbers.  So the
 * sum is the same for any number of workers, in whatever order jobs end, and
 * also when workers die and their jobs are run again.
 */
#include "bins.h"
#include "random_stream.h"
#include "support.h"

#include <dsm.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "Usage: histogram [OPTION]...\n"
    "Makes series of normally distributed random numbers, one in each job, "
    "and\n"
    "prints a histogram of them all.\n"
    "\n"
    "  -j, --jobs=JOBS        default 400\n"
    "  -n, --length=LENGTH    numbers that each makes; default 100000\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "      --loc=MEAN         of the numbers; default 0\n"
    "      --scale=DEVIATION  of the numbers; default 1\n"
    "      --bins=BINS        of equal width; default 24\n"
    "      --low=LOW          where the first begins; default MEAN - 4 "
    "DEVIATION\n"
    "      --high=HIGH        where the last ends; default MEAN + 4 DEVIATION\n"
    "      --seed=SEED        for other numbers, another whole number; default "
    "0\n"
    "      --table            print only the bins, LOW HIGH COUNT in a line\n"
    "      --retries=RETRIES  so often a job is run again when its worker "
    "dies;\n"
    "                         default 3\n"
    "      --kill=COUNT       so many jobs kill their worker when first run;\n"
    "                         default 0\n"
    "      --help             show this and exit\n";

enum { LOC = 256, SCALE, BINS, LOW, HIGH, SEED, TABLE, RETRIES, KILL };

static const struct option OPTIONS[] = {
    {"jobs", required_argument, NULL, 'j'},
    {"length", required_argument, NULL, 'n'},
    {"workers", required_argument, NULL, 'p'},
    {"loc", required_argument, NULL, LOC},
    {"scale", required_argument, NULL, SCALE},
    {"bins", required_argument, NULL, BINS},
    {"low", required_argument, NULL, LOW},
    {"high", required_argument, NULL, HIGH},
    {"seed", required_argument, NULL, SEED},
    {"table", no_argument, NULL, TABLE},
    {"retries", required_argument, NULL, RETRIES},
    {"kill", required_argument, NULL, KILL},
    {"help", no_argument, NULL, 'h'},
    {0}};

/* What a job is given. */
typedef struct series {
    size_t number, seed, length;
    double loc, scale;
    bins bins;
    _Atomic bool *killed; /* NULL, or whether it has killed a worker */
} series;

typedef struct settings {
    series series; /* but for its number */
    size_t jobs, workers, retries, kills;
    bool table;
} settings;

typedef struct histogram {
    const settings *set;
    uint64_t *counts; /* of each cell */
    size_t jobs;      /* that have ended */
    size_t deaths;    /* of workers that ran them */
} histogram;

_Noreturn static void
give_up(void)
{
    fail("%s", dsm_last_error());
}

static void
tally(const series *s, uint64_t *counts, random_stream *random, size_t numbers)
{
    for (size_t k = 0; k < numbers; k++)
        counts[bins_cell(&s->bins,
                         s->loc + s->scale * random_normal(random))]++;
}

/* In a worker. */
static int
make_series(dsm_worker *self, const void *arg, size_t arg_size)
{
    const series *s = arg;
    size_t cells = bins_cells(&s->bins), half = s->length / 2;
    uint64_t *counts = calloc(cells, sizeof *counts);
    random_stream random;
    int status;

    (void)arg_size;
    if (!counts)
        dsm_worker_fail(self, -ENOMEM, "no memory for %zu bins", cells);
    random_begin(&random, s->seed, s->number);
    tally(s, counts, &random, half);
    if (s->killed && !atomic_exchange(s->killed, true))
        raise(SIGKILL);
    tally(s, counts, &random, s->length - half);
    status = dsm_worker_return(self, counts, cells * sizeof *counts);
    if (status < 0)
        dsm_worker_fail(self, status, "%s", dsm_last_error());
    free(counts);
    return 0;
}

/* Lets some jobs kill their worker, evenly among all.  Whether each has done so
 * is noted in shared memory, which the worker's death does not take away. */
static void
mark_killers(dsm_cluster *cluster, const settings *set, series *all)
{
    dsm_array *array;
    _Atomic bool *killed;

    if (dsm_array_create(&array, cluster, "killed", DSM_BOOL,
                         DSM_SHAPE(set->kills)) < 0)
        give_up();
    killed = dsm_array_data(array);
    for (size_t k = 0; k < set->kills; k++)
        all[k * set->jobs / set->kills].killed = &killed[k];
}

static void
scatter(dsm_cluster *cluster, const settings *set)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    series *all = calloc(set->jobs, sizeof *all);

    if (!all)
        fail("no memory for %zu jobs", set->jobs);
    for (size_t k = 0; k < set->jobs; k++) {
        all[k] = set->series;
        all[k].number = k;
    }
    mark_killers(cluster, set, all);
    options.name = "series";
    options.retries = (unsigned)set->retries;
    /* Without handles: dsm_job_next gives each in its turn. */
    if (dsm_job_map(NULL, cluster, make_series, all, sizeof *all, set->jobs,
                    &options) < 0)
        give_up();
    free(all);
}

static void
add(histogram *h, dsm_job *job)
{
    size_t cells = bins_cells(&h->set->series.bins);
    dsm_job_info info = DSM_JOB_INFO_INIT;
    const void *result;
    const uint64_t *counts;

    if (dsm_job_result(job, &result, NULL, DSM_FOREVER) < 0 ||
        dsm_job_status(job, &info) < 0)
        give_up();
    counts = result;
    for (size_t k = 0; k < cells; k++)
        h->counts[k] += counts[k];
    h->deaths += info.tries - 1;
    show_progress((double)++h->jobs / (double)h->set->jobs);
}

static void
gather(histogram *h, dsm_cluster *cluster)
{
    dsm_job *job;
    int status;

    while ((status = dsm_job_next(&job, cluster, DSM_FOREVER)) == 0) {
        add(h, job);
        dsm_job_release(job);
    }
    if (status != -ECHILD)
        give_up();
    clear_progress();
}

static void
check(const histogram *h)
{
    const series *s = &h->set->series;
    uint64_t wanted = h->set->jobs * s->length;
    uint64_t sum = bins_sum(&s->bins, h->counts);
    double misfit = bins_misfit(&s->bins, h->counts, s->loc, s->scale);

    if (sum != wanted)
        fail("counted %" PRIu64 " numbers of %" PRIu64, sum, wanted);
    if (misfit > 5)
        fail("these are no normally distributed numbers: chi squared is too "
             "large by %.1f deviations",
             misfit);
}

static void
report(const histogram *h, unsigned workers, double seconds)
{
    const settings *set = h->set;
    size_t numbers = set->jobs * set->series.length;
    double mean, deviation;

    bins_print_chart(&set->series.bins, h->counts);
    if (bins_moments(&set->series.bins, h->counts, &mean, &deviation))
        printf("mean %.4g, deviation %.4g, of what is within the bins\n", mean,
               deviation);
    if (h->deaths > 0)
        printf("%zu workers died, and their jobs were run again\n", h->deaths);
    printf("%zu jobs, %zu numbers; %u workers: %.3f s, %.0f jobs/s, %.1f "
           "million numbers/s\n",
           set->jobs, numbers, workers, seconds, (double)set->jobs / seconds,
           1e-6 * (double)numbers / seconds);
}

static void
set_real(double *real)
{
    if (!parse_real(optarg, real))
        misuse("'%s' is no number", optarg);
}

/* What was not given follows from what was. */
static void
complete(settings *set)
{
    series *s = &set->series;

    if (!(s->scale > 0))
        misuse("the deviation must be more than 0");
    if (isnan(s->bins.low))
        s->bins.low = s->loc - 4 * s->scale;
    if (isnan(s->bins.high))
        s->bins.high = s->loc + 4 * s->scale;
    if (!(s->bins.low < s->bins.high) || !isfinite(s->bins.high - s->bins.low))
        misuse("there is no room for bins from %g to %g", s->bins.low,
               s->bins.high);
}

static void
parse(int argc, char **argv, settings *set)
{
    series *s = &set->series;
    int option;

    while ((option = getopt_long(argc, argv, "j:n:p:", OPTIONS, NULL)) >= 0)
        switch (option) {
        case 'j':
            set->jobs = whole_number(optarg, 1, 65536);
            break;
        case 'n':
            s->length = whole_number(optarg, 1, 1000000000000);
            break;
        case 'p':
            set->workers = whole_number(optarg, 1, UINT_MAX);
            break;
        case LOC:
            set_real(&s->loc);
            break;
        case SCALE:
            set_real(&s->scale);
            break;
        case BINS:
            s->bins.count = whole_number(optarg, 1, 10000000);
            break;
        case LOW:
            set_real(&s->bins.low);
            break;
        case HIGH:
            set_real(&s->bins.high);
            break;
        case SEED:
            s->seed = whole_number(optarg, 0, SIZE_MAX);
            break;
        case TABLE:
            set->table = true;
            break;
        case RETRIES:
            set->retries = whole_number(optarg, 0, UINT_MAX);
            break;
        case KILL:
            set->kills = whole_number(optarg, 0, 65536);
            break;
        case 'h':
            fputs(HELP, stdout);
            exit(EXIT_SUCCESS);
        default:
            misuse("try --help");
        }
    if (optind < argc)
        misuse("unexpected argument '%s'; try --help", argv[optind]);
    if (set->kills > set->jobs)
        misuse("there are not %zu jobs that could kill a worker", set->kills);
    complete(set);
}

int
main(int argc, char **argv)
{
    settings set = {.jobs = 400,
                    .retries = 3,
                    .series = {.length = 100000,
                               .scale = 1,
                               .bins = {.count = 24, .low = NAN, .high = NAN}}};
    histogram h = {.set = &set};
    dsm_cluster *cluster;
    double began;

    program = "histogram";
    parse(argc, argv, &set);
    h.counts = calloc(bins_cells(&set.series.bins), sizeof *h.counts);
    if (!h.counts)
        fail("no memory for %zu bins", set.series.bins.count);
    if (dsm_cluster_create(&cluster, (unsigned)set.workers, NULL) < 0)
        give_up();
    began = seconds_now();
    show_progress(0);
    scatter(cluster, &set);
    gather(&h, cluster);
    check(&h);
    if (set.table)
        bins_print_table(&set.series.bins, h.counts);
    else
        report(&h, dsm_cluster_workers(cluster), seconds_now() - began);
    dsm_cluster_destroy(cluster);
    free(h.counts);
    return EXIT_SUCCESS;
}
