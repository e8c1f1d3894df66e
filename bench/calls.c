/* See calls.h. */
#include "calls.h"
#include "kernels.h"

#include <stdio.h>

static volatile double sink;

/* ---- Primitives. */

int
call_reduce(dsm_cluster *cluster, const struct operands *operands)
{
    double sum = 0;
    int error = dsm_reduce(cluster, &sum, sizeof sum, operands->x, &DSM_SUM);
    sink = sum;
    return error;
}

int
call_dot(dsm_cluster *cluster, const struct operands *operands)
{
    double sum = 0;
    int error = dsm_dot(cluster, &sum, sizeof sum, operands->x, operands->y);
    sink = sum;
    return error;
}

int
call_scan(dsm_cluster *cluster, const struct operands *operands)
{
    return dsm_scan(cluster, operands->y, operands->x, &DSM_SUM,
                    DSM_SCAN_INCLUSIVE);
}

int
call_pack(dsm_cluster *cluster, const struct operands *operands)
{
    size_t count;
    return dsm_pack(cluster, operands->y, &count, operands->x, operands->mask);
}

static void
keep(uint8_t *mask, const void *in, size_t n, const void *arg)
{
    (void)arg;
    kernel_mask(mask, in, n);
}

int
call_filter(dsm_cluster *cluster, const struct operands *operands)
{
    size_t count;
    return dsm_filter(cluster, operands->y, &count, operands->x, keep, NULL, 0);
}

static void
map(void *out, const void *in, size_t n, const void *arg)
{
    (void)arg;
    kernel_map(out, in, n);
}

int
call_map(dsm_cluster *cluster, const struct operands *operands)
{
    return dsm_map(cluster, operands->y, operands->x, map, NULL, 0);
}

int
call_random(dsm_cluster *cluster, const struct operands *operands)
{
    return dsm_random_uniform(cluster, operands->y, 0, 1, 1);
}

int
call_gemv(dsm_cluster *cluster, const struct operands *operands)
{
    return dsm_gemv(cluster, 1, operands->matrix, operands->factor, 0,
                    operands->product);
}

/* ---- A sum as a tree of tasks: what partitioning is better than.  A task adds
 * a pair: of blocks, then of what the level before has left. */

enum { BLOCK = 4096 };

struct level {
    const double *in;
    double *out;
    size_t n; /* of in */
};

static size_t
pairs(size_t n)
{
    return (n + 1) / 2;
}

static void
add_blocks(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const struct level *level = arg;
    (void)self;
    for (size_t pair = begin; pair < end; pair++) {
        size_t first = pair * 2 * BLOCK;
        size_t left = level->n - first;
        size_t half = left < BLOCK ? left : BLOCK;
        size_t rest = left - half < BLOCK ? left - half : BLOCK;
        level->out[pair] = kernel_sum(level->in + first, half) +
                           kernel_sum(level->in + first + half, rest);
    }
}

static void
add_pairs(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const struct level *level = arg;
    (void)self;
    for (size_t pair = begin; pair < end; pair++) {
        double right = 2 * pair + 1 < level->n ? level->in[2 * pair + 1] : 0;
        level->out[pair] = level->in[2 * pair] + right;
    }
}

size_t
call_partials(size_t n)
{
    size_t tasks = pairs((n + BLOCK - 1) / BLOCK);
    return tasks + pairs(tasks);
}

int
call_reduce_tree(dsm_cluster *cluster, const struct operands *operands)
{
    size_t n = operands->n, tasks = pairs((n + BLOCK - 1) / BLOCK);
    double *out = dsm_array_data(operands->partials), *other = out + tasks;
    struct level level = {dsm_array_data(operands->x), out, n};
    int error = dsm_for(cluster, tasks, DSM_SCHEDULE_DYNAMIC, 1, add_blocks,
                        &level, sizeof level);
    while (error == 0 && tasks > 1) {
        level = (struct level){out, other, tasks};
        tasks = pairs(tasks);
        error = dsm_for(cluster, tasks, DSM_SCHEDULE_DYNAMIC, 1, add_pairs,
                        &level, sizeof level);
        other = out;
        out = level.out;
    }
    sink = out[0];
    return error;
}

/* ---- Loops. */

static void
do_nothing(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self, (void)arg;
    for (size_t i = begin; i < end; i++)
        kernel_empty_item();
}

static void
do_irregular(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self, (void)arg;
    for (size_t i = begin; i < end; i++)
        kernel_irregular_item(i);
}

static int
loop(dsm_cluster *cluster, const struct operands *operands,
     dsm_schedule schedule, size_t chunk, dsm_body body)
{
    return dsm_for(cluster, operands->n, schedule, chunk, body, NULL, 0);
}

int
call_empty_static(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_STATIC, 0, do_nothing);
}

int
call_empty_dynamic(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_DYNAMIC, 1, do_nothing);
}

int
call_empty_dynamic_64(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_DYNAMIC, 64, do_nothing);
}

int
call_empty_steal(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_STEAL, 1, do_nothing);
}

int
call_empty_auto(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_AUTO, 0, do_nothing);
}

int
call_irregular_static(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_STATIC, 0, do_irregular);
}

int
call_irregular_dynamic(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_DYNAMIC, 1, do_irregular);
}

int
call_irregular_guided(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_GUIDED, 0, do_irregular);
}

int
call_irregular_steal(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_STEAL, 1, do_irregular);
}

int
call_irregular_auto(dsm_cluster *cluster, const struct operands *operands)
{
    return loop(cluster, operands, DSM_SCHEDULE_AUTO, 0, do_irregular);
}

/* ---- Limits. */

void
limit_read(const struct operands *operands, dsm_range mine)
{
    const double *x = dsm_array_data(operands->x);
    sink = kernel_sum(x + mine.begin, mine.end - mine.begin);
}

void
limit_read_two(const struct operands *operands, dsm_range mine)
{
    const double *x = dsm_array_data(operands->x);
    const double *y = dsm_array_data(operands->y);
    sink = kernel_dot(x + mine.begin, y + mine.begin, mine.end - mine.begin);
}

void
limit_copy(const struct operands *operands, dsm_range mine)
{
    const double *x = dsm_array_data(operands->x);
    double *y = dsm_array_data(operands->y);
    kernel_copy(y + mine.begin, x + mine.begin, mine.end - mine.begin);
}

void
limit_copy_streaming(const struct operands *operands, dsm_range mine)
{
    const double *x = dsm_array_data(operands->x);
    double *y = dsm_array_data(operands->y);
    kernel_copy_streaming(y + mine.begin, x + mine.begin,
                          mine.end - mine.begin);
}

void
limit_write_streaming(const struct operands *operands, dsm_range mine)
{
    double *y = dsm_array_data(operands->y);
    kernel_write_streaming(y + mine.begin, mine.end - mine.begin);
}

void
limit_read_matrix(const struct operands *operands, dsm_range mine)
{
    const double *matrix = dsm_array_data(operands->matrix);
    size_t order = operands->n;
    sink = kernel_sum(matrix + mine.begin * order,
                      (mine.end - mine.begin) * order);
}

/* All of the loop, in equal parts: items of the mean cost. */
void
limit_irregular(const struct operands *operands, dsm_range mine)
{
    for (size_t i = mine.begin; i < mine.end; i++)
        kernel_irregular_item((operands->n - 1) / 2);
}

void
limit_barrier(const struct operands *operands, dsm_range mine)
{
    (void)operands, (void)mine;
}

/* ---- Samples. */

/* The argument of the region that makes the calls. */
struct job {
    call_once *once;
    call_share *share; /* if not once */
    struct operands operands;
    struct measure_span *spans;
    long count;
};

static void
repeat(dsm_worker *self, const struct job *job, long count)
{
    dsm_range mine = dsm_worker_range(self, job->operands.n);
    for (long i = 0; i < count; i++) {
        int error = 0;
        if (job->once != NULL)
            error = job->once(dsm_worker_cluster(self), &job->operands);
        else
            job->share(&job->operands, mine);
        if (error < 0)
            dsm_worker_fail(self, error, "%s", dsm_last_error());
        if (job->once == NULL)
            dsm_worker_barrier(self);
    }
}

static int
do_job(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct job *job = arg;
    unsigned id = dsm_worker_id(self);
    (void)arg_size;
    repeat(self, job, job->count / 10 + 1);
    dsm_worker_barrier(self);
    job->spans[id].begin = measure_now();
    repeat(self, job, job->count);
    job->spans[id].end = measure_now();
    return 0;
}

static int
sample_job(struct team *team, struct job *job, const struct figure *figure,
           double *ns)
{
    const struct operands *operands = team_operands(team, figure->size);
    if (operands == NULL)
        return SAMPLE_FAILED;
    job->operands = *operands;
    job->spans = team->spans;
    if (dsm_cluster_run(team->cluster, do_job, job, sizeof *job) < 0)
        return team_complain(figure->name);
    double seconds = measure_overall(team->spans, team->workers);
    *ns = seconds / (double)job->count * 1e9;
    return SAMPLE_TAKEN;
}

/* A call by the controller, for measure_loop. */
struct own_call {
    const struct call *call;
    const struct operands *operands;
};

static int
call_by_controller(void *context)
{
    const struct own_call *own = context;
    return own->call->once(own->call->team->cluster, own->operands);
}

int
sample_call(const struct figure *figure, long count, double *ns)
{
    const struct call *call = figure->detail;
    if (call->in_region) {
        struct job job = {.once = call->once, .count = count};
        return sample_job(call->team, &job, figure, ns);
    }
    struct own_call own = {call, team_operands(call->team, figure->size)};
    if (own.operands == NULL)
        return SAMPLE_FAILED;
    if (measure_loop(call_by_controller, &own, count, ns) < 0)
        return team_complain(figure->name);
    return SAMPLE_TAKEN;
}

int
sample_limit(const struct figure *figure, long count, double *ns)
{
    const struct limit *limit = figure->detail;
    struct job job = {.share = limit->share, .count = count};
    return sample_job(limit->team, &job, figure, ns);
}

static int
leave_at_once(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    return 0;
}

static int
run_region(void *cluster)
{
    return dsm_cluster_run(cluster, leave_at_once, NULL, 0);
}

int
sample_region(const struct figure *figure, long count, double *ns)
{
    const struct limit *limit = figure->detail;
    if (measure_loop(run_region, limit->team->cluster, count, ns) < 0)
        return team_complain(figure->name);
    return SAMPLE_TAKEN;
}
