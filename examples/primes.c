/* Counts or lists the primes up to a number; the command line and the report.
 * sieve.c has the sieve, primes_list.c the making of lists.
 *
 * A sieve needs no shared memory for its bits: each worker has its own, which
 * stay in its cache.  All that the workers share are their counts.
 */
#include "primes_list.h"
#include "sieve.h"
#include "support.h"

#include <dsm.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
    "Usage: primes [-p WORKERS] [--list] N\n"
    "Counts the primes up to N, as 100 or 1e10, by a sieve of Eratosthenes.\n"
    "For powers of ten the count is compared with the known one.\n"
    "\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "  -l, --list             print the primes instead, one in a line\n"
    "      --help             show this and exit\n";

typedef struct settings {
    uint64_t limit;
    size_t workers; /* 0: the library's choice */
    bool list;
} settings;

/* Segments from `begin` on. */
typedef struct job {
    sieve *sieve;
    size_t begin;
    uint64_t *counts; /* one for each worker */
} job;

static double began;

_Noreturn static void
give_up(void)
{
    fail("%s", dsm_last_error());
}

static void
show(size_t done, size_t all)
{
    show_progress((double)done / (double)all);
}

/* How many primes there are up to 10^k, from k = 0 on: OEIS A006880. */
static const uint64_t KNOWN[] = {
    0,
    4,
    25,
    168,
    1229,
    9592,
    78498,
    664579,
    5761455,
    50847534,
    455052511,
    4118054813,
    37607912018,
    346065536839,
    3204941750802,
    29844570422669,
};

static bool
known_count(uint64_t limit, uint64_t *count)
{
    uint64_t power = 1;

    for (size_t k = 0; k < sizeof KNOWN / sizeof *KNOWN; k++, power *= 10)
        if (limit == power) {
            *count = KNOWN[k];
            return true;
        }
    return false;
}

static void
count_segments(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const job *j = arg;

    j->counts[dsm_worker_id(self)] +=
        sieve_count(j->sieve, j->begin + begin, j->begin + end);
}

/* In loops that are short enough to show progress in between. */
static uint64_t
count_primes(dsm_cluster *cluster, sieve *s, uint64_t limit)
{
    const uint64_t numbers = 10000000000; /* of a loop */
    size_t segments = sieve_segments(s), step = numbers / sieve_span(s);
    dsm_array *counts;
    job j = {.sieve = s};
    uint64_t count;

    if (dsm_array_create(&counts, cluster, "counts", DSM_UINT64,
                         DSM_SHAPE(dsm_cluster_workers(cluster))) < 0)
        give_up();
    j.counts = dsm_array_data(counts);
    for (; j.begin < segments; j.begin += step) {
        size_t rest = segments - j.begin, n = rest < step ? rest : step;

        if (dsm_for(cluster, n, DSM_SCHEDULE_DYNAMIC, 0, count_segments, &j,
                    sizeof j) < 0)
            give_up();
        show(j.begin + n, segments);
    }
    if (dsm_reduce(cluster, &count, sizeof count, counts, &DSM_SUM) < 0)
        give_up();
    clear_progress();
    return count + (limit < 2 ? 0 : limit < 3 ? 1 : limit < 5 ? 2 : 3);
}

static void
report(const settings *set, uint64_t count, unsigned workers)
{
    uint64_t known;
    bool is_known = known_count(set->limit, &known);

    if (is_known && count != known)
        fail("counted %" PRIu64 " primes up to %" PRIu64 ", but there are "
             "%" PRIu64,
             count, set->limit, known);
    printf("%" PRIu64 " primes up to %" PRIu64 "%s\n%u workers, %.3f s\n",
           count, set->limit, is_known ? ", as is known" : "", workers,
           seconds_now() - began);
}

static void
list_primes(dsm_cluster *cluster, sieve *s, uint64_t limit)
{
    int status;

    signal(SIGPIPE, SIG_IGN); /* the write fails instead */
    status = primes_list(stdout, cluster, s, limit,
                         isatty(STDOUT_FILENO) ? NULL : show);
    clear_progress();
    if (status < 0 && ferror(stdout))
        fail("cannot write the list: %s", strerror(-status));
    if (status < 0)
        give_up();
}

/* Also takes 1e10. */
static uint64_t
parse_limit(const char *text)
{
    size_t count;
    double real;

    if (parse_count(text, 0, &count) && count <= SIEVE_MAX)
        return count;
    if (text[strspn(text, "0123456789.e+")] || !parse_real(text, &real) ||
        real > SIEVE_MAX || real != floor(real))
        misuse("'%s' is no whole number from 0 to 1e15", text);
    return (uint64_t)real;
}

static void
parse(int argc, char **argv, settings *set)
{
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'p'},
        {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {0}};
    int option;

    while ((option = getopt_long(argc, argv, "p:l", options, NULL)) >= 0)
        switch (option) {
        case 'p':
            if (!parse_count(optarg, 1, &set->workers) ||
                set->workers > UINT_MAX)
                misuse("'%s' is no number of workers", optarg);
            break;
        case 'l':
            set->list = true;
            break;
        case 'h':
            fputs(HELP, stdout);
            exit(EXIT_SUCCESS);
        default:
            misuse("try --help");
        }
    if (optind + 1 != argc)
        misuse("expected one number; try --help");
    set->limit = parse_limit(argv[optind]);
}

int
main(int argc, char **argv)
{
    settings set = {0};
    dsm_cluster *cluster;
    sieve *s;

    program = "primes";
    began = seconds_now();
    show_progress(0);
    parse(argc, argv, &set);
    /* Before the cluster, so that the workers inherit it. */
    s = sieve_create(set.limit, set.list ? PRIMES_LIST_SEGMENT : 0);
    if (!s)
        fail("no memory to sieve up to %" PRIu64, set.limit);
    if (dsm_cluster_create(&cluster, (unsigned)set.workers, NULL) < 0)
        give_up();
    if (set.list)
        list_primes(cluster, s, set.limit);
    else
        report(&set, count_primes(cluster, s, set.limit),
               dsm_cluster_workers(cluster));
    dsm_cluster_destroy(cluster);
    sieve_destroy(s);
    return EXIT_SUCCESS;
}
