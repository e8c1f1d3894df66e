/* Steps that are primitives, beside a serial loop. */
#include "chaos.h"

#include <errno.h>
#include <string.h>

#define ITEMS_MOST 50000

/* Three arrays of n items, and the values of the first. */
struct data {
    size_t n;
    uint64_t seed;
    dsm_array *in, *out, *mask;
};

static int64_t
value(uint64_t seed, size_t k)
{
    return (int64_t)(mixed(seed, k) % 2001) - 1000;
}

static int
make(struct scene *scene, dsm_array **array, dsm_type type, size_t n)
{
    char name[16];

    snprintf(name, sizeof name, "d%d", scene->serial++);
    return note(
        CALL_ARRAY_CREATE,
        dsm_array_create(array, scene->cluster, name, type, DSM_SHAPE(n)),
        MAY(OK));
}

static void
drop(struct data *data)
{
    note(CALL_ARRAY_DESTROY, dsm_array_destroy(data->in), MAY(OK));
    note(CALL_ARRAY_DESTROY, dsm_array_destroy(data->out), MAY(OK));
    note(CALL_ARRAY_DESTROY, dsm_array_destroy(data->mask), MAY(OK));
}

static bool
take(struct scene *scene, struct data *data)
{
    int64_t *items;
    uint8_t *keep;

    *data = (struct data){.n = 1 + random_below(&scene->random, ITEMS_MOST),
                          .seed = random_next(&scene->random)};
    if (make(scene, &data->in, DSM_INT64, data->n) < 0 ||
        make(scene, &data->out, DSM_INT64, data->n) < 0 ||
        make(scene, &data->mask, DSM_BOOL, data->n) < 0) {
        drop(data);
        return false;
    }
    items = dsm_array_data(data->in);
    keep = dsm_array_data(data->mask);
    for (size_t k = 0; k < data->n; k++) {
        items[k] = value(data->seed, k);
        keep[k] = items[k] > 0;
    }
    return true;
}

/* Notes how it ended; whether there is a result. */
static bool
done(enum call call, int result)
{
    note(call, result, MAY(OK));
    if (result == DSM_EWORKER)
        board->lost++;
    return result == 0;
}

static void
check_sum(const char *what, int64_t sum, int64_t expected)
{
    if (sum != expected)
        wrong("%s gave %ld, not %ld", what, (long)sum, (long)expected);
}

static void
reduce(struct scene *scene)
{
    int64_t sum = 0, expected = 0;
    struct data data;

    if (!take(scene, &data))
        return;
    for (size_t k = 0; k < data.n; k++)
        expected += value(data.seed, k);
    if (done(CALL_REDUCE,
             dsm_reduce(scene->cluster, &sum, sizeof sum, data.in, &DSM_SUM)))
        check_sum("dsm_reduce", sum, expected);
    drop(&data);
}

static void
dot(struct scene *scene)
{
    int64_t sum = 0, expected = 0;
    struct data data;

    if (!take(scene, &data))
        return;
    for (size_t k = 0; k < data.n; k++)
        expected += value(data.seed, k) * value(data.seed, k);
    if (done(CALL_DOT,
             dsm_dot(scene->cluster, &sum, sizeof sum, data.in, data.in)))
        check_sum("dsm_dot", sum, expected);
    drop(&data);
}

static void
scan(struct scene *scene)
{
    bool exclusive = random_percent(&scene->random, 50);
    struct data data;
    const int64_t *out;
    int64_t sum = 0;

    if (!take(scene, &data))
        return;
    out = dsm_array_data(data.out);
    if (done(CALL_SCAN,
             dsm_scan(scene->cluster, data.out, data.in, &DSM_SUM,
                      exclusive ? DSM_SCAN_EXCLUSIVE : DSM_SCAN_INCLUSIVE)))
        for (size_t k = 0; k < data.n && !board->wrong; k++) {
            sum += exclusive ? 0 : value(data.seed, k);
            check_sum("dsm_scan", out[k], sum);
            sum += exclusive ? value(data.seed, k) : 0;
        }
    drop(&data);
}

static void
check_packed(const struct data *data, size_t count)
{
    const int64_t *out = dsm_array_data(data->out);
    size_t n = 0;

    for (size_t k = 0; k < data->n; k++) {
        if (value(data->seed, k) <= 0)
            continue;
        if (n < count && out[n] != value(data->seed, k)) {
            wrong("packed item %zu is %ld, not %ld", n, (long)out[n],
                  (long)value(data->seed, k));
            return;
        }
        n++;
    }
    if (n != count)
        wrong("packed %zu items in place of %zu", count, n);
}

static void
keep_positive(uint8_t *keep, const void *in, size_t n, const void *arg)
{
    const int64_t *items = in;

    (void)arg;
    for (size_t k = 0; k < n; k++)
        keep[k] = items[k] > 0;
}

static void
pack(struct scene *scene)
{
    bool filter = random_percent(&scene->random, 50);
    struct data data;
    size_t count = 0;

    if (!take(scene, &data))
        return;
    if (filter ? done(CALL_FILTER, dsm_filter(scene->cluster, data.out, &count,
                                              data.in, keep_positive, NULL, 0))
               : done(CALL_PACK, dsm_pack(scene->cluster, data.out, &count,
                                          data.in, data.mask)))
        check_packed(&data, count);
    drop(&data);
}

static void
double_all(void *out, const void *in, size_t n, const void *arg)
{
    const int64_t *from = in;
    int64_t *to = out;

    (void)arg;
    for (size_t k = 0; k < n; k++)
        to[k] = 2 * from[k];
}

static void
count_items(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    int64_t *out = dsm_array_data(*(dsm_array *const *)arg);

    (void)self;
    for (size_t k = begin; k < end; k++)
        out[k]++;
}

static void
map_or_loop(struct scene *scene)
{
    dsm_schedule schedule = (dsm_schedule)random_below(&scene->random, 5);
    bool map = random_percent(&scene->random, 50);
    struct data data;
    const int64_t *out;

    if (!take(scene, &data))
        return;
    out = dsm_array_data(data.out);
    if (map ? done(CALL_MAP, dsm_map(scene->cluster, data.out, data.in,
                                     double_all, NULL, 0))
            : done(CALL_FOR, dsm_for(scene->cluster, data.n, schedule, 0,
                                     count_items, &data.out, sizeof data.out)))
        for (size_t k = 0; k < data.n && !board->wrong; k++)
            check_sum(map ? "dsm_map" : "dsm_for", out[k],
                      map ? 2 * value(data.seed, k) : 1);
    drop(&data);
}

/* ---- In a region, by all workers together. */

struct sum {
    dsm_array *in;
    int64_t expected;
};

static int
sum_together(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct sum *all = arg;
    int64_t sum = 0;

    (void)arg_size;
    for (int k = 0; k < 5; k++) {
        if (note(CALL_COLLECTIVE,
                 dsm_reduce(dsm_worker_cluster(self), &sum, sizeof sum, all->in,
                            &DSM_SUM),
                 MAY(OK)) < 0)
            return 0;
        check_sum("a collective dsm_reduce", sum, all->expected);
    }
    return 0;
}

static void
collective(struct scene *scene)
{
    struct data data;
    struct sum all = {0};

    if (!take(scene, &data))
        return;
    all.in = data.in;
    for (size_t k = 0; k < data.n; k++)
        all.expected += value(data.seed, k);
    done(CALL_RUN,
         dsm_cluster_run(scene->cluster, sum_together, &all, sizeof all));
    drop(&data);
}

const struct step primitive_steps[] = {
    {"reduce", reduce, 3, false},
    {"dot", dot, 2, false},
    {"scan", scan, 3, false},
    {"pack", pack, 3, false},
    {"map or a loop", map_or_loop, 4, false},
    {"a collective reduction", collective, 2, false},
    {NULL, NULL, 0, false},
};
