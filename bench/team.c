/* See team.h. */
#include "team.h"
#include "calls.h"
#include "kernels.h"

#include <stdio.h>

int
team_complain(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, dsm_last_error());
    return SAMPLE_FAILED;
}

/* The region that touches the arrays, each worker its share. */
static int
touch(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct operands *all = arg;
    dsm_range mine = dsm_worker_range(self, all->n);
    size_t n = mine.end - mine.begin;
    double *x = dsm_array_data(all->x), *y = dsm_array_data(all->y);
    uint8_t *mask = dsm_array_data(all->mask);
    (void)arg_size;
    kernel_fill(x + mine.begin, mine.begin, n);
    kernel_write_streaming(y + mine.begin, n);
    kernel_mask(mask + mine.begin, x + mine.begin, n);
    if (all->matrix == NULL)
        return 0;
    size_t order = dsm_array_shape(all->matrix)[0];
    double *matrix = dsm_array_data(all->matrix);
    double *factor = dsm_array_data(all->factor);
    mine = dsm_worker_range(self, order);
    kernel_fill(matrix + mine.begin * order, mine.begin * order,
                (mine.end - mine.begin) * order);
    kernel_write_streaming(factor + mine.begin, mine.end - mine.begin);
    return 0;
}

static int
make_matrix(struct team *team, size_t order)
{
    struct operands *all = &team->whole;
    int error = dsm_array_create(&all->matrix, team->cluster, "matrix",
                                 DSM_FLOAT64, DSM_SHAPE(order, order));
    if (error == 0)
        error = dsm_array_create(&all->factor, team->cluster, "factor",
                                 DSM_FLOAT64, DSM_SHAPE(order));
    if (error == 0)
        error = dsm_array_create(&all->product, team->cluster, "product",
                                 DSM_FLOAT64, DSM_SHAPE(order));
    return error;
}

static int
make_arrays(struct team *team, size_t n, size_t order)
{
    struct operands *all = &team->whole;
    dsm_cluster *cluster = team->cluster;
    dsm_array *spans;
    all->n = n;
    int error = dsm_array_create(&spans, cluster, "spans",
                                 DSM_STRUCT(sizeof(struct measure_span)),
                                 DSM_SHAPE(team->workers));
    if (error < 0)
        return error;
    team->spans = dsm_array_data(spans);
    error = dsm_array_create(&all->x, cluster, "x", DSM_FLOAT64, DSM_SHAPE(n));
    if (error == 0)
        error =
            dsm_array_create(&all->y, cluster, "y", DSM_FLOAT64, DSM_SHAPE(n));
    if (error == 0)
        error = dsm_array_create(&all->mask, cluster, "mask", DSM_BOOL,
                                 DSM_SHAPE(n));
    if (error == 0)
        error = dsm_array_create(&all->partials, cluster, "partials",
                                 DSM_FLOAT64, DSM_SHAPE(call_partials(n)));
    if (error == 0 && team->has_matrix)
        error = make_matrix(team, order);
    return error;
}

int
team_make(struct team *team, size_t n, size_t order)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    options.controller_works = team->controller_works;
    if (team->workers == 0)
        team->workers = measure_cpus();
    if (dsm_cluster_create(&team->cluster, team->workers, &options) < 0)
        return team_complain("creating a cluster");
    if (make_arrays(team, n, order) < 0)
        return team_complain("creating its arrays (--quick has smaller ones)");
    if (dsm_cluster_run(team->cluster, touch, &team->whole,
                        sizeof team->whole) < 0)
        return team_complain("filling its arrays");
    return 0;
}

const struct operands *
team_operands(struct team *team, size_t n)
{
    for (unsigned i = 0; i < team->part_count; i++)
        if (team->parts[i].n == n)
            return &team->parts[i];
    if (team->part_count == TEAM_SIZES_MAX)
        return NULL;
    struct operands *part = &team->parts[team->part_count];
    *part = team->whole;
    part->n = n;
    if (n > team->whole.n)
        return NULL;
    if (dsm_array_view(&part->x, team->whole.x, 0, n) < 0 ||
        dsm_array_view(&part->y, team->whole.y, 0, n) < 0 ||
        dsm_array_view(&part->mask, team->whole.mask, 0, n) < 0) {
        team_complain("making views");
        return NULL;
    }
    team->part_count++;
    return part;
}
