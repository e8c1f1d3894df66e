/* Random numbers from a counter: the generator enciphers the number of a pair
 * of items under the seed, so that any worker can make any item. */
#include "base/error.h"
#include "prim/collective.h"
#include "prim/writer.h"

#include <dsm/primitives.h>

#include <Random123/philox.h>
#include <errno.h>
#include <float.h>
#include <math.h>

#define PIECE ((size_t)256) /* pairs that are made at a time */

_Static_assert(PIECE * 2 * sizeof(double) <= DSM__WRITER_STEP,
               "a piece fits into a writer");

struct random_task {
    struct dsm__task task;
    double a, b; /* low and high; mean and deviation */
    uint64_t seed;
    bool normal, wide; /* wide: float64 */
    size_t n;
    char *out;
};

/* Two 64-bit numbers for each pair. */
static void
draw(uint64_t (*drawn)[2], uint64_t first, size_t pairs, uint64_t seed)
{
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};

    for (size_t k = 0; k < pairs; k++) {
        uint64_t pair = first + k;
        philox4x32_ctr_t counter = {
            {(uint32_t)pair, (uint32_t)(pair >> 32), 0, 0}};

        counter = philox4x32(counter, key);
        drawn[k][0] = (uint64_t)counter.v[1] << 32 | counter.v[0];
        drawn[k][1] = (uint64_t)counter.v[3] << 32 | counter.v[2];
    }
}

/* In [0, 1): the upper 53 bits. */
static double
unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

/* In [low, high), though rounding may reach beyond. */
static double
between(double low, double high, double u)
{
    double x = low * (1 - u) + high * u;

    if (x < low)
        x = low;
    return x >= high && low < high ? nextafter(high, low) : x;
}

static float
between_floats(double low, double high, double u)
{
    float x = (float)between(low, high, u);

    if (x < low)
        x = nextafterf(x, INFINITY);
    return x >= high && low < high ? nextafterf((float)high, (float)low) : x;
}

static void
make_pair(const struct random_task *t, const uint64_t drawn[2], double pair[2])
{
    /* In (0, 1], so that its logarithm is finite. */
    double u = 1 - unit(drawn[0]), v = unit(drawn[1]);
    double radius = t->b * sqrt(-2 * log(u)), sine, cosine;

    sincos(6.283185307179586 * v, &sine, &cosine);
    pair[0] = t->a + radius * cosine;
    pair[1] = t->a + radius * sine;
}

static void
make_doubles(const struct random_task *t, double *out, uint64_t (*drawn)[2],
             size_t pairs)
{
    for (size_t k = 0; k < pairs; k++, out += 2)
        if (t->normal) {
            make_pair(t, drawn[k], out);
        } else {
            out[0] = between(t->a, t->b, unit(drawn[k][0]));
            out[1] = between(t->a, t->b, unit(drawn[k][1]));
        }
}

static void
make_floats(const struct random_task *t, float *out, uint64_t (*drawn)[2],
            size_t pairs)
{
    double pair[2];

    for (size_t k = 0; k < pairs; k++, out += 2)
        if (t->normal) {
            make_pair(t, drawn[k], pair);
            out[0] = (float)pair[0];
            out[1] = (float)pair[1];
        } else {
            out[0] = between_floats(t->a, t->b, unit(drawn[k][0]));
            out[1] = between_floats(t->a, t->b, unit(drawn[k][1]));
        }
}

static int
random_part(dsm_worker *self, const struct dsm__task *task)
{
    const struct random_task *t = (const struct random_task *)task;
    size_t size = t->wide ? sizeof(double) : sizeof(float);
    dsm_range share = dsm_worker_range(self, (t->n + 1) / 2);
    size_t end = 2 * share.end < t->n ? 2 * share.end : t->n;
    uint64_t drawn[PIECE][2];
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

        draw(drawn, p, pairs, t->seed);
        if (t->wide)
            make_doubles(t, dsm__writer_room(&writer), drawn, pairs);
        else
            make_floats(t, dsm__writer_room(&writer), drawn, pairs);
        dsm__writer_wrote(&writer, items * size);
    }
    dsm__writer_end(&writer);
    return 0;
}

static int
fill(dsm_cluster *cluster, const struct dsm__primitive *primitive,
     struct random_task *t, dsm_array *array)
{
    dsm_type type = dsm_array_type(array);

    if (type != DSM_FLOAT32 && type != DSM_FLOAT64)
        return dsm__fail(-EINVAL,
                         "%s fills arrays of float32 or float64; '%s' has "
                         "items of %s",
                         primitive->name, dsm_array_name(array),
                         dsm_type_name(type));
    t->wide = type == DSM_FLOAT64;
    if (!t->wide && (fabs(t->a) > FLT_MAX || fabs(t->b) > FLT_MAX))
        return dsm__fail(-EINVAL, "%s: %g and %g: a float32 ends at %g",
                         primitive->name, t->a, t->b, (double)FLT_MAX);
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
    struct random_task t = {.a = low, .b = high, .seed = seed};
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
    struct random_task t = {
        .a = mean, .b = deviation, .seed = seed, .normal = true};
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
