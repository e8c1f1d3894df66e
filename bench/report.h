/* Between report.c and export.c. */
#ifndef REPORT_H
#define REPORT_H

#include "measure.h"

extern const char *const placement_names[PLACEMENTS];

struct spread {
    size_t n;
    double median, min, max;
};

struct text {
    char s[24];
};

const struct sample *sample_at(const struct run *run, unsigned round, size_t f);

/* The spread, over the rounds with that placement, of figure f and of the
 * ratio of figure `first` to it.  `values` has room for all rounds. */
struct spread figure_spread(const struct run *run, size_t f,
                            enum placement placement, double *values);
struct spread ratio_spread(const struct run *run, size_t first, size_t f,
                           enum placement placement, double *values);

/* The target of the ratio. */
double ratio_limit(const struct figure *figure, enum placement placement);

bool is_available(const struct run *run, size_t f);

/* The mean number of tasks that others had running. */
double mean_others(const struct run *run);

struct text time_text(double ns);
struct text ratio_text(double ratio);
/* What the time means in the figure's unit; empty if it has none. */
struct text rate_text(const struct figure *figure, double ns);

/* Each writes one of the run's files: 0 or SAMPLE_FAILED. */
int write_json(const struct run *run);
int write_markdown(const struct run *run, double *values);
int write_tsv(const struct run *run, double *values);

#endif
