/* libdsm's primitives as figures, and the machine's limits beside them. */
#ifndef CALLS_H
#define CALLS_H

#include "team.h"

/* One call of a primitive, by the controller or by all workers; negative when
 * it failed. */
typedef int call_once(dsm_cluster *cluster, const struct operands *operands);

call_once call_reduce, call_reduce_tree, call_dot, call_scan, call_pack,
    call_filter, call_map, call_random, call_gemv;

/* Loops of n items: empty ones, and ones whose cost grows. */
call_once call_empty_static, call_empty_dynamic, call_empty_dynamic_64,
    call_empty_steal, call_empty_auto;
call_once call_irregular_static, call_irregular_dynamic, call_irregular_guided,
    call_irregular_steal, call_irregular_auto;

/* What one worker does to its share; the limits of what all can do. */
typedef void call_share(const struct operands *operands, dsm_range mine);

call_share limit_read, limit_read_two, limit_copy, limit_copy_streaming,
    limit_write_streaming, limit_read_matrix, limit_irregular;

/* A figure's detail: the primitive, called by the controller or, in one region
 * that makes all calls, by the workers. */
struct call {
    struct team *team;
    call_once *once;
    bool in_region;
};

struct limit {
    struct team *team;
    call_share *share;
};

/* The sample functions for them. */
int sample_call(const struct figure *figure, long count, double *ns);
int sample_limit(const struct figure *figure, long count, double *ns);

/* Nothing but a region, and nothing but a worker barrier. */
int sample_region(const struct figure *figure, long count, double *ns);
call_share limit_barrier;

/* Items that call_reduce_tree wants in operands->partials for n items. */
size_t call_partials(size_t n);

#endif
