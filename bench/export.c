/* What a run has measured, as files: JSON and tab-separated values for
 * programs, Markdown for the documentation. */
#include "report.h"

#include "peer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

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

/* Figures from `first` to the end of its group. */
static size_t
group_end(const struct run *run, size_t first)
{
    size_t end = first + 1;
    while (end < run->figure_count && run->figures[end].group == NULL)
        end++;
    return end;
}

/* The placement that most rounds of the group found. */
static enum placement
usual_placement(const struct run *run, size_t first)
{
    unsigned n[PLACEMENTS] = {0};
    int usual = 0;
    for (unsigned round = 0; round < run->rounds; round++)
        n[sample_at(run, round, first)->placement]++;
    for (int placement = 1; placement < PLACEMENTS; placement++)
        if (n[placement] > n[usual])
            usual = placement;
    return (enum placement)usual;
}

/* What the machine can do says so by its name. */
static bool
is_limit(const struct figure *figure)
{
    return strncmp(figure->name, "limit", 5) == 0;
}

/* The group's first figure beside the best limit and the fastest peer. */
static void
summary_row(FILE *file, const struct run *run, size_t first, double *values)
{
    enum placement placement = usual_placement(run, first);
    struct spread own = figure_spread(run, first, placement, values);
    double limit = NAN, best = INFINITY;
    size_t fastest = first;
    for (size_t f = first + 1; f < group_end(run, first); f++) {
        const struct figure *figure = &run->figures[f];
        struct spread time = figure_spread(run, f, placement, values);
        struct spread ratio = ratio_spread(run, first, f, placement, values);
        if (time.n == 0)
            continue;
        if (strncmp(figure->name, "limit", 5) == 0 && !(ratio.median <= limit))
            limit = ratio.median;
        if (figure->sample == measure_peer && time.median < best) {
            best = time.median;
            fastest = f;
        }
    }
    if (fastest == first || is_limit(&run->figures[first]))
        return;
    struct spread ratio = ratio_spread(run, first, fastest, placement, values);
    fprintf(file, "| %s | %s | %s | %s | %s | %s | %s |\n",
            run->figures[first].group, placement_names[placement],
            time_text(own.median).s, isnan(limit) ? "" : ratio_text(limit).s,
            run->figures[fastest].name, time_text(best).s,
            ratio_text(ratio.median).s);
}

static void
markdown_summary(FILE *file, const struct run *run, double *values)
{
    fputs("\n| | caches | libdsm | to the limit | fastest peer | its time | "
          "ratio |\n|---|---|--:|--:|---|--:|--:|\n",
          file);
    for (size_t f = 0; f < run->figure_count; f = group_end(run, f))
        summary_row(file, run, f, values);
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

/* Rounds in which the placement moved are left out if there are others. */
static void
markdown_group(FILE *file, const struct run *run, size_t first, double *values)
{
    enum placement usual = usual_placement(run, first);
    fprintf(file,
            "\n**%s**\n\n"
            "| | caches | n | median | range | rate | ratio |\n"
            "|---|---|--:|--:|--:|--:|--:|\n",
            run->figures[first].group);
    for (size_t f = first; f < group_end(run, first); f++) {
        if (!is_available(run, f))
            fprintf(file, "| %s | not available | | | | | |\n",
                    run->figures[f].name);
        for (int placement = 0; placement < PLACEMENTS; placement++)
            if (placement != PLACEMENT_MOVED || usual == PLACEMENT_MOVED)
                markdown_row(file, run, first, f, (enum placement)placement,
                             values);
    }
}

int
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
    markdown_summary(file, run, values);
    for (size_t f = 0; f < run->figure_count; f = group_end(run, f))
        markdown_group(file, run, f, values);
    return close_file(run, run->markdown, file);
}

int
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

int
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
