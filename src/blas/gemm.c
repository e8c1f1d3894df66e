/* libdsm_blas: matrix products.
 *
 * The rows of C are cut into panels that depend on their number alone, and the
 * workers take them from a loop; OpenBLAS then does the same for a panel
 * whoever has it.  Each panel has the whole of B packed anew, so they are not
 * to be low: of the speed of one call for all, one thread with OpenBLAS's
 * AVX-512 kernels and n = 1000 or 2000 reached 0.67 with panels of 40 rows,
 * 0.83 of 80, 0.9 of 120, 0.93 of 160 and 0.95 of 250.  Blocks that also cut
 * the columns were slower where there are 4 of them; of 24, faster for n = 1000
 * and slower for 2000. */
#include "base/error.h"
#include "prim/collective.h"

#include <dsm/blas.h>
#include <dsm/primitives.h>

#include <cblas.h>
#include <errno.h>
#include <limits.h>

enum {
    ROWS = 160,      /* of a panel, when there are enough of them */
    PANELS = 8,      /* when not, so many, */
    ROWS_LEAST = 48, /* each of at least so many rows */
    STRIP = 8        /* rows of OpenBLAS's kernels, or a multiple of them */
};

#define PANELS_MOST ((size_t)12 << 16)

struct gemm {
    double alpha, beta;
    dsm_type type;
    size_t m, n, k;
    unsigned panels;
    const char *a, *b;
    char *c;
};

/* Above 12 it is a multiple of 12, which many numbers of workers divide. */
static unsigned
count_panels(size_t rows)
{
    size_t high = rows / ROWS, low = rows / ROWS_LEAST;
    size_t panels = low < PANELS ? low : PANELS;

    panels = high > panels ? high : panels;
    panels -= panels > 12 ? panels % 12 : 0;
    panels = panels < PANELS_MOST ? panels : PANELS_MOST;
    return panels > 0 ? (unsigned)panels : 1;
}

static dsm_range
panel_rows(const struct gemm *g, size_t p)
{
    dsm_range strips =
        dsm_split((g->m + STRIP - 1) / STRIP, g->panels, (unsigned)p);
    size_t end = strips.end * STRIP;

    return (dsm_range){strips.begin * STRIP, end < g->m ? end : g->m};
}

/* Integers wrap: they are multiplied as unsigned ones. */
#define INTEGER_PANEL(name, item)                                              \
    static void panel_##name(const struct gemm *g, dsm_range mine)             \
    {                                                                          \
        item alpha = (item)(int64_t)g->alpha, beta = (item)(int64_t)g->beta;   \
                                                                               \
        for (size_t i = mine.begin; i < mine.end; i++) {                       \
            const item *a = (const item *)g->a + i * g->k;                     \
            item *restrict c = (item *)g->c + i * g->n;                        \
                                                                               \
            for (size_t j = 0; j < g->n; j++)                                  \
                c[j] = g->beta == 0 ? 0 : beta * c[j];                         \
            for (size_t l = 0; l < g->k; l++) {                                \
                const item *restrict b = (const item *)g->b + l * g->n;        \
                item x = alpha * a[l];                                         \
                                                                               \
                for (size_t j = 0; j < g->n; j++)                              \
                    c[j] += x * b[j];                                          \
            }                                                                  \
        }                                                                      \
    }
INTEGER_PANEL(int32, uint32_t)
INTEGER_PANEL(int64, uint64_t)

/* A leading dimension is at least 1, also of an empty matrix. */
static blasint
leading(size_t columns)
{
    return columns > 0 ? (blasint)columns : 1;
}

static void
panel(const struct gemm *g, dsm_range mine)
{
    blasint rows = (blasint)(mine.end - mine.begin);
    blasint n = (blasint)g->n, k = (blasint)g->k;

    switch (g->type) {
    case DSM_FLOAT32:
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, n, k,
                    (float)g->alpha, (const float *)g->a + mine.begin * g->k,
                    leading(g->k), (const float *)g->b, leading(g->n),
                    (float)g->beta, (float *)g->c + mine.begin * g->n,
                    leading(g->n));
        break;
    case DSM_FLOAT64:
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, n, k,
                    g->alpha, (const double *)g->a + mine.begin * g->k,
                    leading(g->k), (const double *)g->b, leading(g->n), g->beta,
                    (double *)g->c + mine.begin * g->n, leading(g->n));
        break;
    case DSM_INT32:
        panel_int32(g, mine);
        break;
    case DSM_INT64:
        panel_int64(g, mine);
        break;
    }
}

static void
panels(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    const struct gemm *g = arg;
    /* A worker process has one thread; a controller that works may have more,
     * and they would add in another order. */
    int threads = openblas_get_num_threads();

    (void)self;
    if (threads != 1)
        openblas_set_num_threads(1);
    for (size_t p = begin; p < end; p++)
        panel(g, panel_rows(g, p));
    if (threads != 1)
        openblas_set_num_threads(threads);
}

static int
check_types(const dsm_array *a, const dsm_array *b, const dsm_array *c,
            double alpha, double beta)
{
    dsm_type type = dsm_array_type(a);

    if (type != DSM_INT32 && type != DSM_INT64 && type != DSM_FLOAT32 &&
        type != DSM_FLOAT64)
        return dsm__fail(-EINVAL,
                         "dsm_gemm takes float32, float64, int32 and int64; "
                         "'%s' has items of %s",
                         dsm_array_name(a), dsm_type_name(type));
    if (dsm_array_type(b) != type || dsm_array_type(c) != type)
        return dsm__fail(-EINVAL,
                         "dsm_gemm takes items of one type, not '%s' of %s, "
                         "'%s' of %s and '%s' of %s",
                         dsm_array_name(a), dsm_type_name(type),
                         dsm_array_name(b), dsm_type_name(dsm_array_type(b)),
                         dsm_array_name(c), dsm_type_name(dsm_array_type(c)));
    return dsm__check_factors("dsm_gemm", type, alpha, beta);
}

static int
check_shapes(const dsm_array *a, const dsm_array *b, const dsm_array *c)
{
    const size_t *as = dsm_array_shape(a), *bs = dsm_array_shape(b),
                 *cs = dsm_array_shape(c);
    int error;

    if (dsm_array_ndim(a) != 2 || dsm_array_ndim(b) != 2 ||
        dsm_array_ndim(c) != 2)
        return dsm__fail(-EINVAL,
                         "dsm_gemm takes matrices, not arrays of %u, %u and %u "
                         "dimensions",
                         dsm_array_ndim(a), dsm_array_ndim(b),
                         dsm_array_ndim(c));
    if (as[1] != bs[0] || as[0] != cs[0] || bs[1] != cs[1])
        return dsm__fail(-EINVAL,
                         "dsm_gemm: %zu by %zu times %zu by %zu is not %zu by "
                         "%zu",
                         as[0], as[1], bs[0], bs[1], cs[0], cs[1]);
    if (as[1] > INT_MAX || bs[1] > INT_MAX)
        return dsm__fail(
            -EINVAL,
            "dsm_gemm: rows of more than %d items are too long for "
            "OpenBLAS",
            INT_MAX);
    error = dsm__check_apart("dsm_gemm", c, a, false);
    return error ? error : dsm__check_apart("dsm_gemm", c, b, false);
}

int
dsm_gemm(dsm_cluster *cluster, double alpha, const dsm_array *a,
         const dsm_array *b, double beta, dsm_array *c)
{
    struct gemm g = {.alpha = alpha, .beta = beta};
    int error = dsm__primitive_check(cluster, __func__, a, b, c, NULL);

    if (!error)
        error = check_types(a, b, c, alpha, beta);
    if (!error)
        error = check_shapes(a, b, c);
    if (error)
        return error;
    g.type = dsm_array_type(a);
    g.m = dsm_array_shape(a)[0];
    g.k = dsm_array_shape(a)[1];
    g.n = dsm_array_shape(b)[1];
    g.a = dsm_array_data(a);
    g.b = dsm_array_data(b);
    g.c = dsm_array_data(c);
    g.panels = count_panels(g.m);
    return dsm_for(cluster, g.panels, DSM_SCHEDULE_STEAL, 1, panels, &g,
                   sizeof g);
}
