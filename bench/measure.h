/* What the benches share: a clock, medians, the placement of the CPUs, and the
 * rounds and reports made of them.  peer.h has their peers.
 *
 * A bench is a table of figures.  The figures of one group measure the same
 * thing: the first is libdsm's, the others are its peers' (or its own, beside
 * it).  A round takes one sample of each figure, group by group, so that the
 * first and its peers always alternate; ratios are made within a round and
 * their median is quoted, because these machines change under a run.
 *
 * The placement is what changes most: a hypervisor moves two virtual CPUs
 * between cores that share a cache and cores that do not.  It is probed before
 * and after every group of every round, and results are told apart by it.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stddef.h>

enum placement {
    PLACEMENT_SHARED,   /* a line passes between the CPUs within 120 ns */
    PLACEMENT_SEPARATE, /* it takes longer */
    PLACEMENT_MOVED,    /* one before the group, the other after it */
    PLACEMENT_UNKNOWN,  /* there is one CPU only */
    PLACEMENTS
};

/* What a sample function returns, and the exit status of a peer.  When it
 * failed it has said so on stderr. */
enum { SAMPLE_FAILED = -1, SAMPLE_TAKEN = 0, SAMPLE_NOT_AVAILABLE = 77 };

struct figure {
    const char *group; /* NULL: the one of the figure before */
    const char *name;
    /* Measures `count` operations; *ns is the time of one. */
    int (*sample)(const struct figure *figure, long count, double *ns);
    const void *detail; /* for the sample function */
    long count;         /* a tenth of it with --quick */
    size_t size;        /* of what an operation works on; 0: nothing */
    unsigned parties;   /* for --tsv only */
    /* What an operation does, for a column of rates: so much in a nanosecond is
     * one `unit`.  NULL: no rate. */
    double amount;
    const char *unit;
    double per; /* its time is divided by this; 0: it is not */
    /* Targets, 0 for none.  The figure itself, and the group's first divided
     * by it: at most this, the latter also while the caches are separate. */
    double most_ns;
    double most_ratio, most_ratio_separate;
};

struct sample {
    double ns;        /* NAN: not available */
    double hand_over; /* of a cache line, one way, ns; the worse of two */
    enum placement placement;
    double others; /* other tasks that were running before the group */
};

struct run {
    const char *program;
    const char *about; /* for --help */
    const struct figure *figures;
    size_t figure_count;
    unsigned rounds; /* as asked for, then as taken */
    bool limited;    /* no round begins after time_limit_s */
    double time_limit_s;
    bool quick;
    const char *only; /* text in the names of the groups wanted; NULL: all */
    const char *json, *markdown, *tsv; /* file names or NULL */
    struct sample *samples; /* figures of round 0, figures of round 1, … */
    struct figure *chosen;  /* what figures is then, if `only` */
};

/* Reads the options into *run.  Returns whether to go on; if not, *status is
 * the program's exit status. */
bool measure_options(struct run *run, int argc, char **argv, int *status);

/* Takes all samples, of the groups wanted; run->samples and run->chosen are the
 * caller's to free.  0 or SAMPLE_FAILED. */
int measure_rounds(struct run *run);

/* Seconds of the monotonic clock. */
double measure_now(void);

/* The CPUs that this process may use. */
unsigned measure_cpus(void);

/* Binds this process to the k-th CPU (modulo their number) of those that it may
 * use. */
void measure_pin(unsigned k);

/* When one of several parties began and ended, by measure_now. */
struct measure_span {
    double begin, end;
};

/* Seconds from the first begin to the last end. */
double measure_overall(const struct measure_span *spans, size_t n);

/* The median of n values, which it sorts; NAN of none. */
double measure_median(double *values, size_t n);

/* *ns: the mean time of `count` calls without a pause, after a tenth of that
 * to warm up.  `call` returns 0 or negative, and that ends the loop and is
 * returned. */
int measure_loop(int (*call)(void *context), void *context, long count,
                 double *ns);

/* *ns: the median time of `count` single calls, each after idle_ms
 * milliseconds of sleep. */
int measure_singly(int (*call)(void *context), void *context, long count,
                   unsigned idle_ms, double *ns);

/* Prints medians, spreads, placements and targets to stdout, every sample to
 * run->json, the table to run->markdown, and to run->tsv a line for each figure
 * and placement: group, name, parties, size, caches, rounds, and of one
 * operation in nanoseconds the median, least and most.  0 or SAMPLE_FAILED. */
int report(const struct run *run);

#endif
