/* Random numbers from a counter: the generator enciphers the number of a pair
 * of items under the seed, so that any worker can make any item. */
#include "base/error.h"
#include "prim/collective.h"
#include "prim/writer.h"

#include <dsm/primitives.h>

#include <errno.h>
#include <float.h>
#include <math.h>

#define PIECE ((size_t)256) /* pairs that are made at a time */

_Static_assert(PIECE * 2 * sizeof(double) <= DSM__WRITER_STEP,
               "a piece fits into a writer");

struct random_task {
    struct dsm__task task;
    struct dsm__random random;
    bool normal;
    dsm_type type;
    size_t n;
    char *out;
};

static int
random_part(dsm_worker *self, const struct dsm__task *task)
{
    const struct random_task *t = (const struct random_task *)task;
    const struct dsm__kernels *kernels = dsm__kernels();
    dsm__draw *draw =
        (t->normal ? kernels->normals : kernels->uniforms)[t->type];
    size_t size = dsm_type_size(t->type);
    dsm_range share = dsm_worker_range(self, (t->n + 1) / 2);
    size_t end = 2 * share.end < t->n ? 2 * share.end : t->n;
    struct dsm__writer writer;

    if (share.begin == share.end)
        return 0;
    dsm__populate(self, t->out + 2 * share.begin * size,
                  (end - 2 * share.begin) * size);
    dsm__writer_begin(&writer, t->out + 2 * share.begin * size,
                      dsm__writer_streams(t->n * size));
    for (size_t p = share.begin; p < share.end; p += PIECE) {
        size_t pairs = share.end - p < PIECE ? share.end - p : PIECE;
        size_t items = end - 2 * p < 2 * pairs ? end - 2 * p : 2 * pairs;

        draw(dsm__writer_room(&writer), &t->random, p, pairs);
        dsm__writer_wrote(&writer, items * size);
    }
    dsm__writer_end(&writer);
    return 0;
}

/* Sets the least and the greatest number of the items' type from low to below
 * high, where rounding ends; false: there is none. */
static bool
set_ends(struct dsm__random *r, bool narrow)
{
    float low = (float)r->a, high = (float)r->b;

    if (r->a == r->b) {
        r->least = r->greatest = narrow ? low : r->a;
    } else if (narrow) {
        r->least = low < r->a ? nextafterf(low, INFINITY) : low;
        r->greatest = high < r->b ? high : nextafterf(high, -INFINITY);
    } else {
        r->least = r->a;
        r->greatest = nextafter(r->b, r->a);
    }
    return r->least <= r->greatest;
}

static int
fill(dsm_cluster *cluster, const struct dsm__primitive *primitive,
     struct random_task *t, dsm_array *array)
{
    struct dsm__random *r = &t->random;
    bool narrow;

    t->type = dsm_array_type(array);
    if (t->type != DSM_FLOAT32 && t->type != DSM_FLOAT64)
        return dsm__fail(-EINVAL,
                         "%s fills arrays of float32 or float64; '%s' has "
                         "items of %s",
                         primitive->name, dsm_array_name(array),
                         dsm_type_name(t->type));
    narrow = t->type == DSM_FLOAT32;
    if (narrow && (fabs(r->a) > FLT_MAX || fabs(r->b) > FLT_MAX))
        return dsm__fail(-EINVAL, "%s: %g and %g: a float32 ends at %g",
                         primitive->name, r->a, r->b, (double)FLT_MAX);
    if (!t->normal && !set_ends(r, narrow))
        return dsm__fail(-EINVAL, "%s: no float32 is from %.17g to below %.17g",
                         primitive->name, r->a, r->b);
    t->n = dsm_array_count(array);
    t->out = dsm_array_data(array);
    return dsm__collective(cluster, primitive, &t->task, sizeof *t, 0, NULL);
}

int
dsm_random_uniform(dsm_cluster *cluster, dsm_array *array, double low,
                   double high, uint64_t seed)
{
    static const struct dsm__primitive primitive = {"dsm_random_uniform",
                                                    random_part, NULL};
    struct random_task t = {.random = {.seed = seed, .a = low, .b = high}};
    int error = dsm__primitive_check(cluster, __func__, array, NULL);

    if (error)
        return error;
    if (!isfinite(low) || !isfinite(high) || low > high)
        return dsm__fail(
            -EINVAL,
            "dsm_random_uniform: %g to %g: both must be finite, and the first "
            "not above the second",
            low, high);
    return fill(cluster, &primitive, &t, array);
}

int
dsm_random_normal(dsm_cluster *cluster, dsm_array *array, double mean,
                  double deviation, uint64_t seed)
{
    static const struct dsm__primitive primitive = {"dsm_random_normal",
                                                    random_part, NULL};
    struct random_task t = {.random = {.seed = seed, .a = mean, .b = deviation},
                            .normal = true};
    int error = dsm__primitive_check(cluster, __func__, array, NULL);

    if (error)
        return error;
    if (!isfinite(mean) || !isfinite(deviation) || deviation < 0)
        return dsm__fail(-EINVAL,
                         "dsm_random_normal: a mean of %g and a deviation of "
                         "%g: both must be finite, and the latter not negative",
                         mean, deviation);
    return fill(cluster, &primitive, &t, array);
}
