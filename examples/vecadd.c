/* Adds two vectors with a cluster of processes: the smallest whole program.
 *
 * Three arrays live in shared memory, at the same address in every process, so
 * plain pointers to them are passed to the workers, and each adds its share.
 */
#include "support.h"

#include <dsm.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static const char HELP[] =
    "Usage: vecadd [-n LENGTH] [-p WORKERS]\n"
    "Adds two vectors in shared memory, checks the sum and prints how fast.\n"
    "\n"
    "  -n, --length=LENGTH    numbers in a vector; default 1000000\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "      --help             show this and exit\n";

typedef struct vectors {
    size_t n;
    double *a, *b, *c;
} vectors;

static int
fill(dsm_worker *self, const void *arg, size_t arg_size)
{
    const vectors *v = arg;
    dsm_range mine = dsm_worker_range(self, v->n);

    (void)arg_size;
    for (size_t i = mine.begin; i < mine.end; i++) {
        v->a[i] = (double)i;
        v->b[i] = 2 * (double)i;
    }
    return 0;
}

static int
add(dsm_worker *self, const void *arg, size_t arg_size)
{
    const vectors *v = arg;
    dsm_range mine = dsm_worker_range(self, v->n);
    const double *a = v->a, *b = v->b;
    double *restrict c = v->c;

    (void)arg_size;
    for (size_t i = mine.begin; i < mine.end; i++)
        c[i] = a[i] + b[i];
    return 0;
}

static double *
create(dsm_cluster *cluster, const char *name, size_t n)
{
    dsm_array *array;

    if (dsm_array_create(&array, cluster, name, DSM_FLOAT64, DSM_SHAPE(n)) < 0)
        fail("%s", dsm_last_error());
    return dsm_array_data(array);
}

static void
run(dsm_cluster *cluster, dsm_fn fn, const vectors *v)
{
    if (dsm_cluster_run(cluster, fn, v, sizeof *v) < 0)
        fail("%s", dsm_last_error());
}

/* Seconds of one addition.  An untimed one comes first: it pays for what
 * happens once, the mapping of pages. */
static double
measure(dsm_cluster *cluster, const vectors *v)
{
    enum { ROUNDS = 21 };
    double seconds[ROUNDS];

    run(cluster, add, v);
    for (int k = 0; k < ROUNDS; k++) {
        double began = seconds_now();

        run(cluster, add, v);
        seconds[k] = seconds_now() - began;
    }
    return median(seconds, ROUNDS);
}

static void
check(const vectors *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->c[i] != 3 * (double)i)
            fail("c[%zu] is %.17g and should be %.17g", i, v->c[i],
                 3 * (double)i);
}

static void
parse(int argc, char **argv, size_t *n, size_t *workers)
{
    static const struct option options[] = {
        {"length", required_argument, NULL, 'n'},
        {"workers", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {0}};
    int option;

    while ((option = getopt_long(argc, argv, "n:p:", options, NULL)) >= 0)
        switch (option) {
        case 'n':
            if (!parse_count(optarg, 1, n))
                misuse("'%s' is no length", optarg);
            break;
        case 'p':
            if (!parse_count(optarg, 1, workers) || *workers > UINT_MAX)
                misuse("'%s' is no number of workers", optarg);
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
    size_t n = 1000000, workers = 0;
    dsm_cluster *cluster;
    vectors v;
    double seconds;

    program = "vecadd";
    parse(argc, argv, &n, &workers);
    if (dsm_cluster_create(&cluster, (unsigned)workers, NULL) < 0)
        fail("%s", dsm_last_error());
    v.n = n;
    v.a = create(cluster, "a", n);
    v.b = create(cluster, "b", n);
    v.c = create(cluster, "c", n);
    run(cluster, fill, &v);
    seconds = measure(cluster, &v);
    check(&v);
    printf("c = a + b, %zu numbers, %u workers: the sum is right\n"
           "median %.3f ms, %.1f GB/s (two vectors read, one written)\n",
           n, dsm_cluster_workers(cluster), 1e3 * seconds,
           3e-9 * sizeof(double) * (double)n / seconds);
    dsm_cluster_destroy(cluster);
    return EXIT_SUCCESS;
}
