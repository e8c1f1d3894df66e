/* Reports of a run: a table for people, also in Markdown, JSON and
 * tab-separated values for programs. */
#include "measure.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static const char *const placement_names[PLACEMENTS] = {
    [PLACEMENT_SHARED] = "shared",
    [PLACEMENT_SEPARATE] = "separate",
    [PLACEMENT_MOVED] = "moved",
    [PLACEMENT_UNKNOWN] = "unknown",
};

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* Machines with that much to do beside the bench give figures of little
 * worth. */
#define BUSY_TASKS 0.5

static const struct sample *
sample_at(const struct run *run, unsigned round, size_t f)
{
    return &run->samples[round * run->figure_count + f];
}

struct spread {
    size_t n;
    double median, min, max;
};

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

/* The spread, over the rounds with that placement, of figure f and of the
 * ratio of figure `first` to it.  `values` has room for all rounds. */
static struct spread
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

static struct spread
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

static double
ratio_limit(const struct figure *figure, enum placement placement)
{
    if (placement == PLACEMENT_SEPARATE && figure->most_ratio_separate > 0)
        return figure->most_ratio_separate;
    return figure->most_ratio;
}

struct text {
    char s[24];
};

static struct text
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

static struct text
ratio_text(double ratio)
{
    struct text text;
    snprintf(text.s, sizeof text.s, "%#.3g", ratio);
    return text;
}

/* What the median means in the figure's unit; empty if it has none. */
static struct text
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
    printf("  %-33s %-8s %4zu %10s %10s .. %-10s", figure->name,
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

static bool
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

/* The mean number of tasks that others had running. */
static double
mean_others(const struct run *run)
{
    size_t n = run->figure_count * run->rounds;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += run->samples[i].others;
    return sum / (double)n;
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
            printf("%s\n", run->figures[f].group);
        }
        print_placements(run, first, f, values);
    }
    puts("caches: whether the first two CPUs share one; n: in how many rounds "
         "it was so\n"
         "ratio: a group's first line divided by this one, in the same round");
}

/* ---- Files. */

static FILE *
open_file(const struct run *run, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        fprintf(stderr, "%s: %s: %s\n", run->program, path, strerror(errno));
    return file;
}

static int
close_file(const struct run *run, const char *path, FILE *file)
{
    bool torn = ferror(file) != 0;
    if (fclose(file) == 0 && !torn)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", run->program, path, strerror(errno));
    return SAMPLE_FAILED;
}

/* The value of the line of /proc/cpuinfo that says what the CPU is. */
static void
cpu_model(char model[128])
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(model, 128, "CPU");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "model name : %127[^\n]", model) == 1)
            break;
    if (file != NULL)
        fclose(file);
}

static void
markdown_row(FILE *file, const struct run *run, size_t first, size_t f,
             enum placement placement, double *values)
{
    const struct figure *figure = &run->figures[f];
    struct spread time = figure_spread(run, f, placement, values);
    if (time.n == 0)
        return;
    struct spread ratio = ratio_spread(run, first, f, placement, values);
    fprintf(file, "| %s | %s | %zu | %s | %s .. %s | %s | %s |\n", figure->name,
            placement_names[placement], time.n, time_text(time.median).s,
            time_text(time.min).s, time_text(time.max).s,
            rate_text(figure, time.median).s,
            f == first ? "" : ratio_text(ratio.median).s);
}

static void
markdown_group(FILE *file, const struct run *run, size_t first, double *values)
{
    fprintf(file,
            "\n**%s**\n\n"
            "| | caches | n | median | range | rate | ratio |\n"
            "|---|---|--:|--:|--:|--:|--:|\n",
            run->figures[first].group);
    for (size_t f = first; f < run->figure_count; f++) {
        if (f > first && run->figures[f].group != NULL)
            break;
        if (!is_available(run, f))
            fprintf(file, "| %s | not available | | | | | |\n",
                    run->figures[f].name);
        for (int placement = 0; placement < PLACEMENTS; placement++)
            markdown_row(file, run, first, f, (enum placement)placement,
                         values);
    }
}

static int
write_markdown(const struct run *run, double *values)
{
    FILE *file = open_file(run, run->markdown);
    if (file == NULL)
        return SAMPLE_FAILED;
    char model[128];
    struct utsname system;
    cpu_model(model);
    uname(&system);
    fprintf(file,
            "`%s%s`, %u rounds; %s, %u CPUs, %s %s, %s; %.1f other "
            "tasks running on average.\n",
            run->program, run->quick ? " --quick" : "", run->rounds, model,
            measure_cpus(), system.sysname, system.release, COMPILER,
            mean_others(run));
    for (size_t f = 0; f < run->figure_count; f++)
        if (run->figures[f].group != NULL)
            markdown_group(file, run, f, values);
    return close_file(run, run->markdown, file);
}

static int
write_tsv(const struct run *run, double *values)
{
    FILE *file = open_file(run, run->tsv);
    if (file == NULL)
        return SAMPLE_FAILED;
    const char *group = "";
    for (size_t f = 0; f < run->figure_count; f++) {
        const struct figure *figure = &run->figures[f];
        group = figure->group != NULL ? figure->group : group;
        for (int placement = 0; placement < PLACEMENTS; placement++) {
            struct spread time =
                figure_spread(run, f, (enum placement)placement, values);
            if (time.n > 0)
                fprintf(file, "%s\t%s\t%u\t%zu\t%s\t%zu\t%.6g\t%.6g\t%.6g\n",
                        group, figure->name, figure->parties, figure->size,
                        placement_names[placement], time.n, time.median,
                        time.min, time.max);
        }
    }
    return close_file(run, run->tsv, file);
}

/* ---- JSON. */

static void
json_number(FILE *file, const char *key, double value)
{
    if (isnan(value))
        fprintf(file, "\"%s\": null", key);
    else
        fprintf(file, "\"%s\": %.9g", key, value);
}

static void
json_samples(FILE *file, const struct run *run, size_t f)
{
    for (unsigned round = 0; round < run->rounds; round++) {
        const struct sample *sample = sample_at(run, round, f);
        fprintf(file, "%s\n      {", round > 0 ? "," : "");
        json_number(file, "ns", sample->ns);
        fputs(", ", file);
        json_number(file, "hand_over_ns", sample->hand_over);
        fputs(", ", file);
        json_number(file, "other_tasks", sample->others);
        fprintf(file, ", \"placement\": \"%s\"}",
                placement_names[sample->placement]);
    }
}

static void
json_figure(FILE *file, const struct run *run, const char *group, size_t f)
{
    const struct figure *figure = &run->figures[f];
    /* Names and groups are the benches' own and hold nothing to escape. */
    fprintf(file, "%s\n    {\"group\": \"%s\", \"name\": \"%s\", ",
            f > 0 ? "," : "", group, figure->name);
    json_number(file, "target_ns", figure->most_ns > 0 ? figure->most_ns : NAN);
    for (int placement = 0; placement < PLACEMENT_MOVED; placement++) {
        char key[48];
        double limit = ratio_limit(figure, (enum placement)placement);
        snprintf(key, sizeof key, "target_ratio_%s",
                 placement_names[placement]);
        fputs(", ", file);
        json_number(file, key, limit > 0 ? limit : NAN);
    }
    fputs(", \"rounds\": [", file);
    json_samples(file, run, f);
    fputs("]}", file);
}

static int
write_json(const struct run *run)
{
    FILE *file = open_file(run, run->json);
    if (file == NULL)
        return SAMPLE_FAILED;
    fprintf(file,
            "{\"program\": \"%s\", \"cpus\": %u, \"rounds\": %u, "
            "\"quick\": %s,\n  \"figures\": [",
            run->program, measure_cpus(), run->rounds,
            run->quick ? "true" : "false");
    const char *group = "";
    for (size_t f = 0; f < run->figure_count; f++) {
        if (run->figures[f].group != NULL)
            group = run->figures[f].group;
        json_figure(file, run, group, f);
    }
    fputs("]}\n", file);
    return close_file(run, run->json, file);
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
