/* The inner product of two vectors of random numbers: what a program looks like
 * that leaves its loops to the library.
 *
 * The library's sum is the same, to the last bit, for every number of workers.
 * That is checked here, and also the sum itself, against long double.
 */
#include "support.h"

#include <dsm.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "Usage: innerprod [-n COUNT] [-p WORKERS] [--rounds=R]\n"
    "Fills two vectors with random numbers, computes their inner product with\n"
    "1 to WORKERS workers, checks that all get the same and prints how fast.\n"
    "\n"
    "  -n, --count=COUNT      numbers in a vector; default 10000000\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "      --rounds=R         products of which the median time is told;\n"
    "                         default 21\n"
    "      --help             show this and exit\n";

typedef struct settings {
    size_t n, workers, rounds;
} settings;

typedef struct vectors {
    dsm_cluster *cluster;
    dsm_array *x, *y;
} vectors;

static void
ensure(int status)
{
    if (status < 0)
        fail("%s", dsm_last_error());
}

/* The same numbers whatever the number of workers. */
static void
create(vectors *v, unsigned workers, size_t n)
{
    ensure(dsm_cluster_create(&v->cluster, workers, NULL));
    ensure(dsm_array_create(&v->x, v->cluster, "x", DSM_FLOAT64, DSM_SHAPE(n)));
    ensure(dsm_array_create(&v->y, v->cluster, "y", DSM_FLOAT64, DSM_SHAPE(n)));
    ensure(dsm_random_uniform(v->cluster, v->x, -1, 1, 1));
    ensure(dsm_random_uniform(v->cluster, v->y, -1, 1, 2));
}

static double
product(const vectors *v)
{
    double result;

    ensure(dsm_dot(v->cluster, &result, sizeof result, v->x, v->y));
    return result;
}

/* With all numbers of workers. */
static size_t rounds_done, rounds_in_all;

/* Median seconds of a product; an untimed one was before. */
static double
measure(const vectors *v, size_t rounds)
{
    double *seconds = calloc(rounds, sizeof *seconds), middle;

    if (!seconds)
        fail("no memory for %zu rounds", rounds);
    for (size_t k = 0; k < rounds; k++) {
        double began = seconds_now();

        product(v);
        seconds[k] = seconds_now() - began;
        show_progress((double)++rounds_done / (double)rounds_in_all);
    }
    clear_progress();
    middle = median(seconds, rounds);
    free(seconds);
    return middle;
}

/* The error of a sum is small beside the sum of the terms' sizes; that of the
 * serial one, with its long doubles, is nothing beside the other's. */
static void
check(const vectors *v, double result)
{
    const double *x = dsm_array_data(v->x), *y = dsm_array_data(v->y);
    long double sum = 0, sizes = 0;

    for (size_t i = 0; i < dsm_array_count(v->x); i++) {
        long double term = (long double)x[i] * y[i];

        sum += term;
        sizes += fabsl(term);
    }
    if (!(fabsl(result - sum) <= 1e-13L * sizes))
        fail("the inner product is %.17g and should be %.17Lg", result, sum);
    printf("x . y = %.17g; a serial sum differs by %.1Le\n", result,
           fabsl(result - sum));
}

static uint64_t
bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void
report(const vectors *v, const settings *set)
{
    double seconds = measure(v, set->rounds);

    printf("%7u %10.3f ms %7.1f GB/s\n", dsm_cluster_workers(v->cluster),
           1e3 * seconds, 2e-9 * sizeof(double) * (double)set->n / seconds);
}

static void
parse(int argc, char **argv, settings *set)
{
    static const struct option options[] = {
        {"count", required_argument, NULL, 'n'},
        {"workers", required_argument, NULL, 'p'},
        {"rounds", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0}};
    int option;

    while ((option = getopt_long(argc, argv, "n:p:", options, NULL)) >= 0)
        switch (option) {
        case 'n':
            set->n = whole_number(optarg, 1, SIZE_MAX);
            break;
        case 'p':
            set->workers = whole_number(optarg, 1, DSM_WORKERS_MAX);
            break;
        case 'r':
            set->rounds = whole_number(optarg, 1, SIZE_MAX);
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
    settings set = {.n = 10000000, .rounds = 21};
    unsigned workers;
    double result;
    vectors v;

    program = "innerprod";
    parse(argc, argv, &set);
    create(&v, (unsigned)set.workers, set.n);
    workers = dsm_cluster_workers(v.cluster);
    rounds_in_all = workers * set.rounds;
    show_progress(0);
    result = product(&v);
    check(&v, result);
    printf("%zu numbers, median of %zu rounds, two vectors read\n"
           "workers         time            rate\n",
           set.n, set.rounds);
    report(&v, &set);
    dsm_cluster_destroy(v.cluster);
    for (unsigned k = workers; --k > 0;) {
        double again;

        create(&v, k, set.n);
        again = product(&v);
        if (bits_of(again) != bits_of(result))
            fail("with %u workers the product is %.17g, with %u %.17g", k,
                 again, workers, result);
        report(&v, &set);
        dsm_cluster_destroy(v.cluster);
    }
    printf("the same bits for 1 to %u workers\n", workers);
    return EXIT_SUCCESS;
}
