/* Reports of a run: a table for people, also in Markdown, JSON and
 * tab-separated values for programs. */
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const placement_names[PLACEMENTS] = {
    [PLACEMENT_SHARED] = "shared",
    [PLACEMENT_SEPARATE] = "separate",
    [PLACEMENT_MOVED] = "moved",
    [PLACEMENT_UNKNOWN] = "unknown",
};

/* Machines with that much to do beside the bench give figures of little
 * worth. */
#define BUSY_TASKS 0.5

const struct sample *
sample_at(const struct run *run, unsigned round, size_t f)
{
    return &run->samples[round * run->figure_count + f];
}

static struct spread
spread_of(double *values, size_t n)
{
    struct spread spread = {.n = n, .median = measure_median(values, n)};
    if (n > 0) {
        spread.min = values[0];
        spread.max = values[n - 1];
    }
    return spread;
}

struct spread
figure_spread(const struct run *run, size_t f, enum placement placement,
              double *values)
{
    size_t n = 0;
    for (unsigned round = 0; round < run->rounds; round++) {
        const struct sample *sample = sample_at(run, round, f);
        if (sample->placement == placement && !isnan(sample->ns))
            values[n++] = sample->ns;
    }
    return spread_of(values, n);
}

struct spread
ratio_spread(const struct run *run, size_t first, size_t f,
             enum placement placement, double *values)
{
    size_t n = 0;
    for (unsigned round = 0; round < run->rounds; round++) {
        const struct sample *sample = sample_at(run, round, f);
        double ratio = sample_at(run, round, first)->ns / sample->ns;
        if (sample->placement == placement && !isnan(ratio))
            values[n++] = ratio;
    }
    return spread_of(values, n);
}

double
ratio_limit(const struct figure *figure, enum placement placement)
{
    if (placement == PLACEMENT_SEPARATE && figure->most_ratio_separate > 0)
        return figure->most_ratio_separate;
    return figure->most_ratio;
}

struct text
time_text(double ns)
{
    struct text text;
    if (ns < 1e3)
        snprintf(text.s, sizeof text.s, "%.1f ns", ns);
    else if (ns < 1e6)
        snprintf(text.s, sizeof text.s, "%.2f us", ns * 1e-3);
    else
        snprintf(text.s, sizeof text.s, "%.2f ms", ns * 1e-6);
    return text;
}

struct text
ratio_text(double ratio)
{
    struct text text;
    snprintf(text.s, sizeof text.s, "%#.3g", ratio);
    return text;
}

struct text
rate_text(const struct figure *figure, double ns)
{
    struct text text = {""};
    if (figure->unit != NULL)
        snprintf(text.s, sizeof text.s, "%#.3g %s", figure->amount / ns,
                 figure->unit);
    return text;
}

/* While the placement moves a target means nothing. */
static void
print_target(double value, double limit, struct text shown,
             enum placement placement)
{
    if (limit > 0 && placement != PLACEMENT_MOVED)
        printf("  <= %s: %s", shown.s, value <= limit ? "met" : "NOT met");
}

struct label {
    char s[64];
};

/* Sweeps have figures that differ by the parties alone. */
static struct label
label(const struct figure *figure)
{
    struct label text;
    if (figure->parties > 0)
        snprintf(text.s, sizeof text.s, "%s, of %u", figure->name,
                 figure->parties);
    else
        snprintf(text.s, sizeof text.s, "%s", figure->name);
    return text;
}

static bool
has_rates(const struct run *run)
{
    for (size_t f = 0; f < run->figure_count; f++)
        if (run->figures[f].unit != NULL)
            return true;
    return false;
}

static void
print_figure(const struct run *run, size_t first, size_t f,
             enum placement placement, double *values)
{
    const struct figure *figure = &run->figures[f];
    struct spread time = figure_spread(run, f, placement, values);
    if (time.n == 0)
        return;
    printf("  %-33s %-8s %4zu %10s %10s .. %-10s", label(figure).s,
           placement_names[placement], time.n, time_text(time.median).s,
           time_text(time.min).s, time_text(time.max).s);
    if (has_rates(run))
        printf(" %10s", rate_text(figure, time.median).s);
    if (f == first) {
        printf("%27s", "");
    } else {
        struct spread ratio = ratio_spread(run, first, f, placement, values);
        printf(" %7s %7s .. %-7s", ratio_text(ratio.median).s,
               ratio_text(ratio.min).s, ratio_text(ratio.max).s);
        double limit = ratio_limit(figure, placement);
        print_target(ratio.median, limit, ratio_text(limit), placement);
    }
    print_target(time.median, figure->most_ns, time_text(figure->most_ns),
                 placement);
    putchar('\n');
}

bool
is_available(const struct run *run, size_t f)
{
    for (unsigned round = 0; round < run->rounds; round++)
        if (!isnan(sample_at(run, round, f)->ns))
            return true;
    return false;
}

/* The same line for each placement that some round of the figure found. */
static void
print_placements(const struct run *run, size_t first, size_t f, double *values)
{
    if (!is_available(run, f))
        printf("  %-33s not available here\n", run->figures[f].name);
    for (int placement = 0; placement < PLACEMENTS; placement++)
        print_figure(run, first, f, (enum placement)placement, values);
}

double
mean_others(const struct run *run)
{
    size_t n = run->figure_count * run->rounds;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += run->samples[i].others;
    return sum / (double)n;
}

static void
print_group(const struct figure *first)
{
    if (first->parties > 0 && first->size > 0)
        printf("%s: %zu items\n", first->group, first->size);
    else
        printf("%s\n", first->group);
}

static void
print_table(const struct run *run, double *values)
{
    double others = mean_others(run);
    printf("%s: %u rounds on %u CPUs, %.1f other tasks running on average%s\n",
           run->program, run->rounds, measure_cpus(), others,
           others > BUSY_TASKS ? ": too many for sound figures" : "");
    printf("%-35s %-8s %4s %10s %10s .. %-10s%s %7s %7s .. %-7s  target\n", "",
           "caches", "n", "median", "min", "max",
           has_rates(run) ? "       rate" : "", "ratio", "min", "max");
    size_t first = 0;
    for (size_t f = 0; f < run->figure_count; f++) {
        if (run->figures[f].group != NULL) {
            first = f;
            print_group(&run->figures[f]);
        }
        print_placements(run, first, f, values);
    }
    puts("caches: whether the first two CPUs share one; n: in how many rounds "
         "it was so\n"
         "ratio: a group's first line divided by this one, in the same round");
}

int
report(const struct run *run)
{
    int status = 0;
    double *values = calloc(run->rounds, sizeof *values);
    if (values == NULL)
        return SAMPLE_FAILED;
    print_table(run, values);
    if (run->json != NULL)
        status |= write_json(run);
    if (run->markdown != NULL)
        status |= write_markdown(run, values);
    if (run->tsv != NULL)
        status |= write_tsv(run, values);
    free(values);
    return status;
}
