#include "bins.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Where a cell begins, and where the one before ends. */
static double
edge(const bins *b, size_t cell)
{
    if (cell == 0)
        return -INFINITY;
    if (cell == bins_cells(b))
        return INFINITY;
    return b->low +
           (b->high - b->low) * ((double)(cell - 1) / (double)b->count);
}

static double
middle(const bins *b, size_t cell)
{
    return (edge(b, cell) + edge(b, cell + 1)) / 2;
}

uint64_t
bins_sum(const bins *b, const uint64_t *counts)
{
    uint64_t sum = 0;

    for (size_t k = 0; k < bins_cells(b); k++)
        sum += counts[k];
    return sum;
}

bool
bins_moments(const bins *b, const uint64_t *counts, double *mean,
             double *deviation)
{
    double n = 0, sum = 0, squares = 0;

    for (size_t k = 1; k <= b->count; k++) {
        n += (double)counts[k];
        sum += (double)counts[k] * middle(b, k);
    }
    if (n == 0)
        return false;
    *mean = sum / n;
    for (size_t k = 1; k <= b->count; k++)
        squares += (double)counts[k] * pow(middle(b, k) - *mean, 2);
    *deviation = sqrt(squares / n);
    return true;
}

/* A group's term of chi squared. */
static double
term(double count, double expected)
{
    return (count - expected) * (count - expected) / expected;
}

/* Cells where fewer than 10 numbers are expected count together with the next.
 * The approximation of chi squared by a normal distribution is that of Wilson
 * and Hilferty (1931). */
double
bins_misfit(const bins *b, const uint64_t *counts, double mean,
            double deviation)
{
    const double least = 10;
    double all = (double)bins_sum(b, counts), begin = 0, count = 0;
    double squared = 0, freedom = 0, variance;

    for (size_t k = 0; k < bins_cells(b); k++) {
        double end =
            0.5 * erfc((mean - edge(b, k + 1)) / deviation * M_SQRT1_2);

        count += (double)counts[k];
        if (all * (end - begin) < least || all * (1 - end) < least)
            continue;
        squared += term(count, all * (end - begin));
        freedom++;
        begin = end;
        count = 0;
    }
    if (freedom == 0)
        return 0;
    squared += term(count, all * (1 - begin)); /* the last group */
    variance = 2 / (9 * freedom);
    return (cbrt(squared / freedom) - (1 - variance)) / sqrt(variance);
}

void
bins_print_table(const bins *b, const uint64_t *counts)
{
    for (size_t k = 0; k < bins_cells(b); k++)
        printf("%.10g %.10g %" PRIu64 "\n", edge(b, k), edge(b, k + 1),
               counts[k]);
}

void
bins_print_chart(const bins *b, const uint64_t *counts)
{
    static const char bar[] =
        "##################################################";
    uint64_t most = 1;

    for (size_t k = 0; k < bins_cells(b); k++)
        if (counts[k] > most)
            most = counts[k];
    for (size_t k = 0; k < bins_cells(b); k++) {
        double part = (double)counts[k] / (double)most;

        printf("%10.4g %12" PRIu64 " %.*s\n", edge(b, k), counts[k],
               (int)(part * (double)strlen(bar) + 0.5), bar);
    }
}
