/* Matrix-vector products: each worker its rows, some at a time. */
#include "base/error.h"
#include "kernel/kernel.h"
#include "prim/collective.h"

#include <dsm/primitives.h>

#include <errno.h>

enum { ROWS = 16 }; /* that are computed at a time */

struct gemv_task {
    struct dsm__task task;
    double alpha, beta;
    dsm_type type;
    size_t rows, columns;
    const char *a, *x;
    char *y;
};

/* y = alpha sums + beta y, in the items' own precision. */
#define SCALE(name, item)                                                      \
    static void scale_##name(void *to, const void *from, size_t n,             \
                             double alpha, double beta)                        \
    {                                                                          \
        const item *sums = from;                                               \
        item *y = to;                                                          \
                                                                               \
        for (size_t i = 0; i < n; i++)                                         \
            y[i] =                                                             \
                (item)(beta == 0 ? (item)alpha * sums[i]                       \
                                 : (item)alpha * sums[i] + (item)beta * y[i]); \
    }
SCALE(float32, float)
SCALE(float64, double)

/* Integers wrap: they are multiplied as unsigned ones. */
#define SCALE_INTEGER(name, item)                                              \
    static void scale_##name(void *to, const void *from, size_t n,             \
                             double alpha, double beta)                        \
    {                                                                          \
        item a = (item)(int64_t)alpha, b = (item)(int64_t)beta;                \
        const item *sums = from;                                               \
        item *y = to;                                                          \
                                                                               \
        for (size_t i = 0; i < n; i++)                                         \
            y[i] = a * sums[i] + (beta == 0 ? 0 : b * y[i]);                   \
    }
SCALE_INTEGER(int32, uint32_t)
SCALE_INTEGER(int64, uint64_t)

static void (*const scales[DSM__NUMBER_TYPES])(void *, const void *, size_t,
                                               double, double) = {
    [DSM_INT32] = scale_int32,
    [DSM_INT64] = scale_int64,
    [DSM_FLOAT32] = scale_float32,
    [DSM_FLOAT64] = scale_float64};

static int
gemv_part(dsm_worker *self, const struct dsm__task *task)
{
    const struct gemv_task *t = (const struct gemv_task *)task;
    dsm_range share = dsm_worker_range(self, t->rows);
    size_t size = dsm_type_size(t->type), row = t->columns * size;
    _Alignas(64) char sums[ROWS * sizeof(double)];

    dsm__populate(self, t->a + share.begin * row,
                  (share.end - share.begin) * row);
    dsm__populate(self, t->x, row);
    for (size_t r = share.begin; r < share.end; r += ROWS) {
        size_t n = share.end - r < ROWS ? share.end - r : ROWS;

        dsm__kernels()->row_dots[t->type](sums, t->a + r * row, t->columns,
                                          t->x, t->columns, n);
        scales[t->type](t->y + r * size, sums, n, t->alpha, t->beta);
    }
    return 0;
}

static const struct dsm__primitive primitive = {"dsm_gemv", gemv_part, NULL};

static int
check_types(const dsm_array *a, const dsm_array *x, const dsm_array *y,
            double alpha, double beta)
{
    dsm_type type = dsm_array_type(a);

    if (type >= DSM__NUMBER_TYPES || !scales[type])
        return dsm__fail(-EINVAL,
                         "dsm_gemv takes float32, float64, int32 and int64; "
                         "'%s' has items of %s",
                         dsm_array_name(a), dsm_type_name(type));
    if (dsm_array_type(x) != type || dsm_array_type(y) != type)
        return dsm__fail(-EINVAL,
                         "dsm_gemv: the matrix has items of %s, x of %s and y "
                         "of %s",
                         dsm_type_name(type), dsm_type_name(dsm_array_type(x)),
                         dsm_type_name(dsm_array_type(y)));
    return dsm__check_factors("dsm_gemv", type, alpha, beta);
}

static int
check_shapes(const dsm_array *a, const dsm_array *x, const dsm_array *y)
{
    const size_t *shape = dsm_array_shape(a);
    int error;

    if (dsm_array_ndim(a) != 2 || dsm_array_ndim(x) != 1 ||
        dsm_array_ndim(y) != 1)
        return dsm__fail(-EINVAL,
                         "dsm_gemv takes a matrix and two vectors, not arrays "
                         "of %u, %u and %u dimensions",
                         dsm_array_ndim(a), dsm_array_ndim(x),
                         dsm_array_ndim(y));
    if (shape[0] != dsm_array_count(y) || shape[1] != dsm_array_count(x))
        return dsm__fail(-EINVAL,
                         "dsm_gemv: a matrix of %zu rows and %zu columns, x of "
                         "%zu items and y of %zu",
                         shape[0], shape[1], dsm_array_count(x),
                         dsm_array_count(y));
    error = dsm__check_apart("dsm_gemv", y, a, false);
    return error ? error : dsm__check_apart("dsm_gemv", y, x, false);
}

int
dsm_gemv(dsm_cluster *cluster, double alpha, const dsm_array *a,
         const dsm_array *x, double beta, dsm_array *y)
{
    struct gemv_task t = {.alpha = alpha, .beta = beta};
    int error = dsm__primitive_check(cluster, __func__, a, x, y, NULL);

    if (!error)
        error = check_types(a, x, y, alpha, beta);
    if (!error)
        error = check_shapes(a, x, y);
    if (error)
        return error;
    t.type = dsm_array_type(a);
    t.rows = dsm_array_shape(a)[0];
    t.columns = dsm_array_shape(a)[1];
    t.a = dsm_array_data(a);
    t.x = dsm_array_data(x);
    t.y = dsm_array_data(y);
    return dsm__collective(cluster, &primitive, &t.task, sizeof t, 0, NULL);
}
