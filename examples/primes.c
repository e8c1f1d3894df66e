/* Counts or lists the primes up to a number; the command line and the report.
 * sieve.c has the sieve, primes_list.c the making of lists.
 *
 * A sieve needs no shared memory for its bits: each worker has some that stay
 * in its cache.  What is shared is what the workers take from and give back:
 * the next segment and the counts.
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
#include <stdatomic.h>
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

/* What the workers of a region share. */
typedef struct job {
    sieve *sieve;
    size_t end, chunk; /* segments */
    _Atomic size_t *next;
    uint64_t *counts; /* one for each worker */
} job;

static double began;

/* Whether a progress line stands on the terminal. */
static bool line_shown;

static void
clear_line(void)
{
    if (line_shown)
        fputs("\r\033[K", stderr);
    line_shown = false;
}

static void
show(size_t done, size_t all)
{
    static double next;
    double now = seconds_now(), part = (double)done / (double)all;

    if (!isatty(STDERR_FILENO) || done == 0 || now < began + 1 || now < next)
        return;
    next = now + 0.1;
    fprintf(stderr, "\r%.1f %%, %.0f s left\033[K", 100 * part,
            (now - began) * (1 - part) / part);
    line_shown = true;
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

static int
count_segments(dsm_worker *self, const void *arg, size_t arg_size)
{
    const job *j = arg;
    size_t begin;

    (void)arg_size;
    while ((begin = atomic_fetch_add_explicit(j->next, j->chunk,
                                              memory_order_relaxed)) < j->end) {
        size_t end = j->end - begin < j->chunk ? j->end : begin + j->chunk;

        j->counts[dsm_worker_id(self)] += sieve_count(j->sieve, begin, end);
    }
    return 0;
}

static void *
create(dsm_cluster *cluster, const char *name, size_t n)
{
    dsm_array *array;

    if (dsm_array_create(&array, cluster, name, DSM_UINT64, DSM_SHAPE(n)) < 0)
        fail("%s", dsm_last_error());
    return dsm_array_data(array);
}

/* In regions that are short enough to show progress in between. */
static uint64_t
count_primes(dsm_cluster *cluster, sieve *s, uint64_t limit)
{
    const uint64_t region = 10000000000;
    size_t segments = sieve_segments(s), step = region / sieve_span(s);
    unsigned workers = dsm_cluster_workers(cluster);
    job j = {.sieve = s,
             .next = create(cluster, "next", 1),
             .counts = create(cluster, "counts", workers)};
    uint64_t count = limit < 2 ? 0 : limit < 3 ? 1 : limit < 5 ? 2 : 3;

    for (size_t begin = 0; begin < segments; begin = j.end) {
        j.end = segments - begin < step ? segments : begin + step;
        j.chunk = (j.end - begin) / (16 * workers) + 1;
        atomic_store_explicit(j.next, begin, memory_order_relaxed);
        if (dsm_cluster_run(cluster, count_segments, &j, sizeof j) < 0) {
            clear_line();
            fail("%s", dsm_last_error());
        }
        show(j.end, segments);
    }
    clear_line();
    for (unsigned w = 0; w < workers; w++)
        count += j.counts[w];
    return count;
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
    clear_line();
    if (status < 0 && ferror(stdout))
        fail("cannot write the list: %s", strerror(-status));
    if (status < 0)
        fail("%s", dsm_last_error());
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
    parse(argc, argv, &set);
    /* Before the cluster, so that the workers inherit it. */
    s = sieve_create(set.limit, set.list ? PRIMES_LIST_SEGMENT : 0);
    if (!s)
        fail("no memory to sieve up to %" PRIu64, set.limit);
    if (dsm_cluster_create(&cluster, (unsigned)set.workers, NULL) < 0)
        fail("%s", dsm_last_error());
    if (set.list)
        list_primes(cluster, s, set.limit);
    else
        report(&set, count_primes(cluster, s, set.limit),
               dsm_cluster_workers(cluster));
    dsm_cluster_destroy(cluster);
    sieve_destroy(s);
    return EXIT_SUCCESS;
}
