/* libdsm's side of bench_jobs, and the machine's limits. */
#ifndef JOB_CALLS_H
#define JOB_CALLS_H

#include "measure.h"

/* The most jobs of a call. */
enum { JOBS_MAX = 10000 };

/* What once() does with a figure's size: a figure's detail.  It returns 0 or
 * negative. */
struct job_call {
    int (*once)(void *size);
    unsigned idle_ms; /* before each, or without a pause */
};

int sample_job_call(const struct figure *figure, long count, double *ns);

/* Makes the cluster; arguments and results are of at most that many MiB.  0, or
 * SAMPLE_FAILED after a sentence on stderr. */
int job_pool_make(size_t mib);
void job_pool_free(void);

/* ---- `size` is how many. */

/* One empty job. */
int call_round_trip(void *size);

/* Empty jobs: how they are submitted, and how their results are taken. */
int call_submit_and_next(void *size);
int call_submit_and_drain(void *size);
int call_map_and_drain(void *size);
int call_map_and_next(void *size);

/* Jobs that return their argument, a struct line. */
int call_map_lines(void *size);

/* Jobs that make a histogram each; and a region that does. */
int call_map_histograms(void *size);
int limit_histograms(void *size);

/* A job publishes, the controller takes the newest, or every one. */
int call_publish_newest(void *size);
int call_publish_every(void *size);

/* ---- `size` is in MiB. */

/* An argument of which the job reads a word of each page, or all. */
int call_argument_read(void *size);
int call_argument_summed(void *size);

/* A result of which the controller reads a word of each page. */
int call_result_read(void *size);

/* The copy alone; and into memory that another process can map, and that nobody
 * has touched. */
int limit_copy(void *size);
int call_copy_to_new(void *size);

#endif
