/* Bins of equal width, and counts of numbers in them: how a histogram is made
 * of numbers, held against the normal distribution, and printed.
 *
 * The counts are those of cells: what is below the bins, each bin in its turn,
 * and what is above.
 */
#ifndef EXAMPLES_BINS_H
#define EXAMPLES_BINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bins {
    size_t count;     /* at least 1 */
    double low, high; /* the first begins, the last ends; low < high */
} bins;

static inline size_t
bins_cells(const bins *b)
{
    return b->count + 2;
}

/* The cell that has the value. */
static inline size_t
bins_cell(const bins *b, double value)
{
    double place = (value - b->low) / (b->high - b->low) * (double)b->count;

    if (value < b->low)
        return 0;
    if (value >= b->high)
        return b->count + 1;
    /* Just below `high` it may have been rounded up. */
    return place < (double)b->count ? (size_t)place + 1 : b->count;
}

uint64_t bins_sum(const bins *b, const uint64_t *counts);

/* Mean and deviation, as if the numbers of each bin lay in its middle; false if
 * the bins have no number. */
bool bins_moments(const bins *b, const uint64_t *counts, double *mean,
                  double *deviation);

/* How improbable these counts are for normally distributed numbers: by how many
 * deviations chi squared is larger than on average. */
double bins_misfit(const bins *b, const uint64_t *counts, double mean,
                   double deviation);

/* Print a line for each cell: where it begins, where it ends and its count, or
 * where it begins, its count and a bar. */
void bins_print_table(const bins *b, const uint64_t *counts);
void bins_print_chart(const bins *b, const uint64_t *counts);

#endif
