#include "product.h"
#include "support.h"

#include <cblas.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

void
product_parse(product *p, int argc, char **argv, const char *help)
{
    enum { ROUNDS = 256, SHOW_HELP };
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'p'},
        {"size", required_argument, NULL, 'n'},
        {"rounds", required_argument, NULL, ROUNDS},
        {"help", no_argument, NULL, SHOW_HELP},
        {0}};
    int option;

    while ((option = getopt_long(argc, argv, "p:n:", options, NULL)) >= 0)
        switch (option) {
        case 'p':
            if (!parse_count(optarg, 1, &p->workers) || p->workers > UINT_MAX)
                misuse("'%s' is no number of workers", optarg);
            break;
        case 'n':
            /* OpenBLAS counts in int. */
            if (!parse_count(optarg, 1, &p->n) || p->n > INT_MAX)
                misuse("'%s' is no number of rows", optarg);
            p->n_given = true;
            break;
        case ROUNDS:
            if (!parse_count(optarg, 1, &p->rounds) || p->rounds > 1000000)
                misuse("'%s' is no number of rounds from 1 to 1000000", optarg);
            break;
        case SHOW_HELP:
            fputs(help, stdout);
            exit(EXIT_SUCCESS);
        default:
            misuse("try --help");
        }
    if (optind < argc)
        misuse("unexpected argument '%s'; try --help", argv[optind]);
}

/* All matrices, or none and the reason. */
static int
create_matrices(const product *p, dsm_array **matrices, unsigned count)
{
    for (unsigned k = 0; k < count; k++) {
        char name[2] = {(char)('a' + k)};
        int status = dsm_array_create(&matrices[k], p->cluster, name,
                                      DSM_FLOAT64, DSM_SHAPE(p->n, p->n));

        if (status == 0)
            continue;
        while (k-- > 0)
            (void)dsm_array_destroy(matrices[k]);
        return status;
    }
    return 0;
}

void
product_create(product *p, dsm_array **matrices, unsigned count)
{
    int status;

    if (dsm_cluster_create(&p->cluster, (unsigned)p->workers, NULL) < 0)
        fail("%s", dsm_last_error());
    while ((status = create_matrices(p, matrices, count)) < 0) {
        if (p->n_given || p->n < 100 ||
            (status != -ENOSPC && status != -ENOMEM))
            fail("%s", dsm_last_error());
        p->n /= 2;
    }
    for (unsigned k = 0; k < count; k++)
        if (dsm_random_uniform(p->cluster, matrices[k], 0, 1, k) < 0)
            fail("%s", dsm_last_error());
}

double
product_measure(product *p, void (*way)(void *context), void *context)
{
    double *seconds = calloc(p->rounds, sizeof *seconds), middle;

    if (!seconds)
        fail("no memory for the times of %zu rounds", p->rounds);
    way(context);
    for (size_t r = 0; r < p->rounds; r++) {
        double began = seconds_now();

        way(context);
        seconds[r] = seconds_now() - began;
        show_progress((double)++p->rounds_done / (double)(p->rounds * p->ways));
    }
    clear_progress();
    middle = median(seconds, p->rounds);
    free(seconds);
    return middle;
}

void
product_report(const char *way, double seconds, double workers, double amount,
               const char *unit)
{
    printf("%-24s %9.3f ms %7.1f G%s", way, 1e3 * seconds,
           1e-9 * amount / seconds, unit);
    if (seconds != workers)
        printf("  %6.2f times the workers' time", seconds / workers);
    putchar('\n');
}

int
product_blas_threads(unsigned threads)
{
    openblas_set_num_threads(threads < INT_MAX ? (int)threads : INT_MAX);
    return openblas_get_num_threads();
}
