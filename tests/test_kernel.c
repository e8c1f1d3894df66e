/* Kernels: each set that runs here gives, bit by bit, what its definition says,
 * by plain loops: so all of them give the same. */
#include "kernels.h"

/* ---- Items that make trouble. */

static void
spread(double *items, size_t n, const double *special, size_t count)
{
    for (size_t k = 0; k < n / 5; k++)
        items[(size_t)rand() % n] = special[(size_t)rand() % count];
}

/* Items of a type; `kind` 1: with zeros of both signs and denormal ones, 2:
 * with infinities as well, 3: and with NaNs. */
static void
make_items(dsm_type type, int kind, void *items, size_t n)
{
    static const double special[] = {0.0,  -0.0,     0x1p-1070, -0x1p-140,
                                     3e38, INFINITY, -INFINITY, NAN};
    static const size_t count[] = {0, 5, 7, 8};
    size_t reals = is_complex(type) ? 2 * n : n;
    double *doubles = malloc((reals + 1) * sizeof *doubles);

    random_items(type, items, n);
    if (kind > 0 && n > 0 && (is_real(type) || is_complex(type))) {
        bool narrow = type == DSM_FLOAT32 || type == DSM_COMPLEX64;

        for (size_t i = 0; i < reals; i++)
            doubles[i] = narrow ? ((float *)items)[i] : ((double *)items)[i];
        spread(doubles, reals, special, count[kind]);
        for (size_t i = 0; i < reals; i++)
            if (narrow)
                ((float *)items)[i] = (float)doubles[i];
            else
                ((double *)items)[i] = doubles[i];
    }
    free(doubles);
}

/* ---- Reals, by their definition: lanes of 256 bytes, groups of 64.  What a
 * NaN looks like that is made of others is the processor's matter. */

#define REALS(real, name)                                                      \
    enum {                                                                     \
        LANES_##name = 256 / sizeof(real),                                     \
        GROUP_##name = 64 / sizeof(real)                                       \
    };                                                                         \
                                                                               \
    static bool same_##name(const void *x, const void *y, size_t n, bool bits) \
    {                                                                          \
        const real *a = x, *b = y;                                             \
                                                                               \
        for (size_t i = 0; i < n; i++)                                         \
            if (memcmp(&a[i], &b[i], sizeof *a) != 0 &&                        \
                (bits || !isnan(a[i]) || !isnan(b[i])))                        \
                return false;                                                  \
        return true;                                                           \
    }                                                                          \
                                                                               \
    static void close_##name(char sign, real *lanes, size_t width)             \
    {                                                                          \
        for (size_t half = LANES_##name / 2; half >= width; half /= 2)         \
            for (size_t k = 0; k < half; k++)                                  \
                lanes[k] = combine_##name(sign, lanes[k], lanes[k + half]);    \
    }                                                                          \
                                                                               \
    static void fold_##name(char sign, const void *items, size_t n,            \
                            void *result)                                      \
    {                                                                          \
        real lanes[LANES_##name];                                              \
        const real *x = items;                                                 \
                                                                               \
        for (size_t k = 0; k < LANES_##name; k++)                              \
            lanes[k] = (real)identity_real(sign);                              \
        for (size_t i = 0; i < n; i++)                                         \
            lanes[i % LANES_##name] =                                          \
                combine_##name(sign, lanes[i % LANES_##name], x[i]);           \
        close_##name(sign, lanes, 1);                                          \
        memcpy(result, lanes, sizeof *lanes);                                  \
    }                                                                          \
                                                                               \
    static void dot_##name(const void *left, const void *right, size_t n,      \
                           void *result)                                       \
    {                                                                          \
        real lanes[LANES_##name] = {0};                                        \
        const real *x = left, *y = right;                                      \
                                                                               \
        for (size_t i = 0; i < n; i++)                                         \
            lanes[i % LANES_##name] += x[i] * y[i];                            \
        close_##name('+', lanes, 1);                                           \
        memcpy(result, lanes, sizeof *lanes);                                  \
    }                                                                          \
                                                                               \
    static real row_dot_##name(const real *row, const real *x, size_t n)       \
    {                                                                          \
        real lanes[GROUP_##name] = {0};                                        \
        size_t i = 0;                                                          \
                                                                               \
        for (; n - i >= GROUP_##name; i += GROUP_##name)                       \
            for (size_t k = 0; k < GROUP_##name; k++)                          \
                lanes[k] += row[i + k] * x[i + k];                             \
        for (size_t half = GROUP_##name / 2; half > 0; half /= 2)              \
            for (size_t k = 0; k < half; k++)                                  \
                lanes[k] += lanes[k + half];                                   \
        for (; i < n; i++)                                                     \
            lanes[0] += row[i] * x[i];                                         \
        return lanes[0];                                                       \
    }                                                                          \
                                                                               \
    /* Out of line, as in array/op.c. */                                       \
    static __attribute__((noinline))                                           \
    real real_part_##name(const real *x, const real *y)                        \
    {                                                                          \
        return x[0] * y[0] - x[1] * y[1];                                      \
    }                                                                          \
                                                                               \
    static void multiply_##name(real *x, const real *y)                        \
    {                                                                          \
        real re = real_part_##name(x, y);                                      \
                                                                               \
        x[1] = x[0] * y[1] + x[1] * y[0];                                      \
        x[0] = re;                                                             \
    }                                                                          \
                                                                               \
    static void fold_complex_##name(char sign, const void *items, size_t n,    \
                                    void *result)                              \
    {                                                                          \
        real lanes[LANES_##name];                                              \
        const real *x = items;                                                 \
                                                                               \
        for (size_t k = 0; k < LANES_##name; k++)                              \
            lanes[k] = sign == '*' && k % 2 == 0;                              \
        for (size_t i = 0; i < 2 * n; i += 2) {                                \
            real *lane = &lanes[i % LANES_##name];                             \
                                                                               \
            if (sign == '*') {                                                 \
                multiply_##name(lane, x + i);                                  \
            } else {                                                           \
                lane[0] += x[i];                                               \
                lane[1] += x[i + 1];                                           \
            }                                                                  \
        }                                                                      \
        if (sign == '+')                                                       \
            close_##name(sign, lanes, 2);                                      \
        else                                                                   \
            for (size_t half = LANES_##name / 2; half >= 2; half /= 2)         \
                for (size_t k = 0; k < half; k += 2)                           \
                    multiply_##name(lanes + k, lanes + k + half);              \
        memcpy(result, lanes, 2 * sizeof *lanes);                              \
    }                                                                          \
                                                                               \
    static void dot_complex_##name(const void *left, const void *right,        \
                                   size_t n, void *result)                     \
    {                                                                          \
        real lanes[LANES_##name] = {0};                                        \
        const real *x = left, *y = right;                                      \
                                                                               \
        for (size_t i = 0; i < 2 * n; i += 2) {                                \
            real product[2] = {x[i], x[i + 1]};                                \
                                                                               \
            multiply_##name(product, y + i);                                   \
            lanes[i % LANES_##name] += product[0];                             \
            lanes[i % LANES_##name + 1] += product[1];                         \
        }                                                                      \
        close_##name('+', lanes, 2);                                           \
        memcpy(result, lanes, 2 * sizeof *lanes);                              \
    }                                                                          \
                                                                               \
    static void within_##name(char sign, real *group)                          \
    {                                                                          \
        for (size_t by = 1; by < GROUP_##name; by *= 2)                        \
            for (size_t k = GROUP_##name; k-- > 0;)                            \
                group[k] = combine_##name(                                     \
                    sign, k >= by ? group[k - by] : (real)identity_real(sign), \
                    group[k]);                                                 \
    }                                                                          \
                                                                               \
    static void scan_##name(char sign, void *out, const void *in, size_t n,    \
                            void *carry, bool exclusive)                       \
    {                                                                          \
        enum { G = GROUP_##name };                                             \
        const real *x = in;                                                    \
        real *to = out, c = *(real *)carry;                                    \
                                                                               \
        for (; n >= 4 * G; n -= 4 * G, x += 4 * G, to += 4 * G) {              \
            real g[4][G], t[4], before[5], last;                               \
                                                                               \
            memcpy(g, x, sizeof g);                                            \
            for (int k = 0; k < 4; k++) {                                      \
                within_##name(sign, g[k]);                                     \
                t[k] = g[k][G - 1];                                            \
            }                                                                  \
            t[1] = combine_##name(sign, t[0], t[1]);                           \
            t[3] = combine_##name(sign, t[2], t[3]);                           \
            before[0] = c;                                                     \
            before[1] = combine_##name(sign, c, t[0]);                         \
            before[2] = combine_##name(sign, c, t[1]);                         \
            before[3] = combine_##name(sign, before[2], t[2]);                 \
            before[4] = combine_##name(sign, before[2], t[3]);                 \
            last = c;                                                          \
            for (int i = 0; i < 4 * G; i++) {                                  \
                real here =                                                    \
                    combine_##name(sign, before[i / G], g[i / G][i % G]);      \
                                                                               \
                to[i] = exclusive ? last : here;                               \
                last = here;                                                   \
            }                                                                  \
            c = before[4];                                                     \
        }                                                                      \
        for (size_t i = 0; i < n; i++) {                                       \
            real here = combine_##name(sign, c, x[i]);                         \
                                                                               \
            to[i] = exclusive ? c : here;                                      \
            c = here;                                                          \
        }                                                                      \
        *(real *)carry = c;                                                    \
    }                                                                          \
                                                                               \
    static void scan_complex_##name(char sign, void *out, const void *in,      \
                                    size_t n, void *carry, bool exclusive)     \
    {                                                                          \
        const real *x = in;                                                    \
        real *to = out, c[2], before[2];                                       \
                                                                               \
        memcpy(c, carry, sizeof c);                                            \
        for (size_t i = 0; i < 2 * n; i += 2) {                                \
            memcpy(before, c, sizeof c);                                       \
            if (sign == '*') {                                                 \
                multiply_##name(c, x + i);                                     \
            } else {                                                           \
                c[0] += x[i];                                                  \
                c[1] += x[i + 1];                                              \
            }                                                                  \
            memcpy(to + i, exclusive ? before : c, sizeof c);                  \
        }                                                                      \
        memcpy(carry, c, sizeof c);                                            \
    }
REALS(float, float32)
REALS(double, float64)

/* ---- The same for any type. */

static void
define_fold(char sign, dsm_type type, const void *items, size_t n, void *result)
{
    dsm_type wide = accumulator_of(sign, type);
    int64_t x;

    if (type == DSM_FLOAT32)
        fold_float32(sign, items, n, result);
    else if (type == DSM_FLOAT64)
        fold_float64(sign, items, n, result);
    else if (type == DSM_COMPLEX64)
        fold_complex_float32(sign, items, n, result);
    else if (type == DSM_COMPLEX128)
        fold_complex_float64(sign, items, n, result);
    if (!is_exact(type))
        return;
    x = identity_exact(sign, wide);
    for (size_t i = 0; i < n; i++)
        x = combine_exact(sign, type, x, load_item(type, items, i));
    store_item(wide, result, 0, x);
}

static void
define_scan(char sign, dsm_type type, void *out, const void *in, size_t n,
            void *carry, bool exclusive)
{
    dsm_type wide = accumulator_of(sign, type);
    int64_t x;

    if (type == DSM_FLOAT32)
        scan_float32(sign, out, in, n, carry, exclusive);
    else if (type == DSM_FLOAT64)
        scan_float64(sign, out, in, n, carry, exclusive);
    else if (type == DSM_COMPLEX64)
        scan_complex_float32(sign, out, in, n, carry, exclusive);
    else if (type == DSM_COMPLEX128)
        scan_complex_float64(sign, out, in, n, carry, exclusive);
    if (!is_exact(type))
        return;
    x = load_item(wide, carry, 0);
    for (size_t i = 0; i < n; i++) {
        int64_t before = x;

        x = combine_exact(sign, type, x, load_item(type, in, i));
        store_item(wide, out, i, exclusive ? before : x);
    }
    store_item(wide, carry, 0, x);
}

static void
define_dot(dsm_type type, const void *x, const void *y, size_t n, void *result)
{
    uint64_t sum = 0;

    if (type == DSM_FLOAT32)
        dot_float32(x, y, n, result);
    else if (type == DSM_FLOAT64)
        dot_float64(x, y, n, result);
    else if (type == DSM_COMPLEX64)
        dot_complex_float32(x, y, n, result);
    else if (type == DSM_COMPLEX128)
        dot_complex_float64(x, y, n, result);
    if (!is_exact(type))
        return;
    for (size_t i = 0; i < n; i++)
        sum +=
            (uint64_t)load_item(type, x, i) * (uint64_t)load_item(type, y, i);
    memcpy(result, &sum, sizeof sum);
}

/* Bit by bit; but of NaNs that were computed only that they are. */
static bool
same(char sign, dsm_type type, const void *x, const void *y, size_t n)
{
    bool bits = sign == '<' || sign == '>';

    if (type == DSM_FLOAT32 || type == DSM_COMPLEX64)
        return same_float32(x, y, is_real(type) ? n : 2 * n, bits);
    if (type == DSM_FLOAT64 || type == DSM_COMPLEX128)
        return same_float64(x, y, is_real(type) ? n : 2 * n, bits);
    return memcmp(x, y, n * dsm_type_size(accumulator_of(sign, type))) == 0;
}

/* ---- Folds and inner products, in one piece and in several. */

static void
fold_in_pieces(const struct dsm__fold *fold, const char *items, size_t n,
               size_t piece, size_t size, void *result)
{
    struct dsm__lanes lanes;

    fold->open(&lanes);
    for (size_t at = 0; at < n; at += piece)
        fold->fold(&lanes, items + at * size, n - at < piece ? n - at : piece);
    fold->close(result, &lanes);
}

static void
ck_fold(int s, int op, dsm_type type, int kind, size_t n)
{
    const struct dsm__fold *fold = &set(s)->folds[type][op];
    size_t size = dsm_type_size(type);
    struct island in = island(n * size, size); /* not aligned beyond its type */
    char wanted[16], result[16 + GUARD], islands[GUARD];

    memset(islands, ISLAND, GUARD);
    make_items(type, kind, in.bytes, n);
    define_fold(builtins[op].sign, type, in.bytes, n, wanted);
    for (size_t piece = 64; piece <= 2048; piece *= 4) {
        memset(result, ISLAND, sizeof result);
        fold_in_pieces(fold, in.bytes, n, piece, size, result);
        ck_assert_msg(same(builtins[op].sign, type, result, wanted, 1),
                      "%s: %c of %zu %s by %zu", set(s)->name,
                      builtins[op].sign, n, dsm_type_name(type), piece);
        ck_assert_mem_eq(result + dsm_type_size(fold->accumulator), islands,
                         GUARD);
    }
    drop(&in);
}

START_TEST(folds)
{
    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++)
        for (int op = 0; op < BUILTINS; op++) {
            dsm_type wide = accumulator_of(builtins[op].sign, type);

            if (builtins[op].wide[type - DSM_BOOL] == '-')
                wide = DSM_ANY;
            ck_assert_uint_eq(set(_i)->folds[type][op].accumulator, wide);
            for (size_t k = 0; wide != DSM_ANY && k < LENGTHS; k++)
                for (int kind = 0; kind < (is_exact(type) ? 1 : 4); kind++)
                    ck_fold(_i, op, type, kind, lengths[k]);
        }
}
END_TEST

START_TEST(inner_products)
{
    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++)
        for (size_t k = 0; k < LENGTHS; k++)
            for (int kind = 0; kind < (is_exact(type) ? 1 : 4); kind++) {
                size_t n = lengths[k], size = dsm_type_size(type);
                struct island x = island(n * size, size);
                struct island y = island(n * size, 3 * size);
                const struct dsm__fold *sum = set(_i)->folds[type];
                struct dsm__lanes lanes;
                char wanted[16], result[16];

                make_items(type, kind, x.bytes, n);
                make_items(type, kind, y.bytes, n);
                define_dot(type, x.bytes, y.bytes, n, wanted);
                sum->open(&lanes);
                set(_i)->dots[type](&lanes, x.bytes, y.bytes, n);
                sum->close(result, &lanes);
                ck_assert_msg(same('+', type, result, wanted, 1), "%s: %zu %s",
                              set(_i)->name, n, dsm_type_name(type));
                drop(&x);
                drop(&y);
            }
}
END_TEST

/* ---- Scans: in one piece and in several, beside and in place. */

static void
scan_in_pieces(const struct dsm__scan *scan, char *out, const char *in,
               size_t n, size_t piece, const size_t size[2], void *carry,
               bool exclusive)
{
    for (size_t at = 0; at < n; at += piece)
        (exclusive ? scan->exclusive
                   : scan->inclusive)(out + at * size[1], in + at * size[0],
                                      n - at < piece ? n - at : piece, carry);
}

static void
ck_scan(int s, int op, dsm_type type, int kind, size_t n, bool exclusive)
{
    const struct dsm__scan *scan = &set(s)->scans[type][op];
    char sign = builtins[op].sign;
    size_t size[2] = {dsm_type_size(type),
                      dsm_type_size(accumulator_of(sign, type))};
    struct island in = island(n * size[0], size[0]);
    struct island out = island(n * size[1], size[1]);
    char *wanted = malloc(n * size[1] + 1), first[16], carry[16], end[16];
    bool in_place = size[0] == size[1];

    make_items(type, kind, in.bytes, n);
    make_items(accumulator_of(sign, type), 0, first, 1);
    if (type == DSM_BOOL && sign != '+')
        store_item(accumulator_of(sign, type), first, 0, first[0] != 0);
    memcpy(end, first, sizeof end);
    define_scan(sign, type, wanted, in.bytes, n, end, exclusive);
    for (size_t piece = 64; piece <= 2048; piece *= 4) {
        memcpy(carry, first, sizeof carry);
        scan_in_pieces(scan, out.bytes, in.bytes, n, piece, size, carry,
                       exclusive);
        ck_assert_msg(same(sign, type, out.bytes, wanted, n) &&
                          same(sign, type, carry, end, 1),
                      "%s: %c of %zu %s by %zu", set(s)->name, sign, n,
                      dsm_type_name(type), piece);
        ck_assert(kept(&out, n * size[1]));
    }
    memcpy(carry, first, sizeof carry);
    if (in_place) {
        scan_in_pieces(scan, in.bytes, in.bytes, n, ITEMS, size, carry,
                       exclusive);
        ck_assert(same(sign, type, in.bytes, wanted, n));
        ck_assert(kept(&in, n * size[0]));
    }
    free(wanted);
    drop(&in);
    drop(&out);
}

START_TEST(scans)
{
    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++)
        for (int op = 0; op < BUILTINS; op++)
            for (size_t k = 0; k < LENGTHS; k++) {
                if (builtins[op].wide[type - DSM_BOOL] == '-')
                    continue;
                for (int kind = 0; kind < (is_exact(type) ? 1 : 4); kind++) {
                    ck_scan(_i, op, type, kind, lengths[k], false);
                    ck_scan(_i, op, type, kind, lengths[k], true);
                }
            }
}
END_TEST

/* ---- Rows. */

/* So many rows of `n` items, `stride` apart, and a vector. */
static void
ck_rows(int s, dsm_type type, size_t n, size_t count)
{
    size_t size = dsm_type_size(type), stride = n + 3;
    struct island rows = island(count * stride * size, size);
    struct island x = island(n * size, 5 * size);
    struct island sums = island(count * size, size);

    make_items(type, 1, rows.bytes, count * stride);
    make_items(type, 1, x.bytes, n);
    set(s)->row_dots[type](sums.bytes, rows.bytes, stride, x.bytes, n, count);
    for (size_t r = 0; r < count; r++) {
        const char *row = rows.bytes + r * stride * size;
        char wanted[8];
        float f;
        double d;

        if (type == DSM_FLOAT32) {
            f = row_dot_float32((const float *)row, (const float *)x.bytes, n);
            memcpy(wanted, &f, sizeof f);
        } else if (type == DSM_FLOAT64) {
            d = row_dot_float64((const double *)row, (const double *)x.bytes,
                                n);
            memcpy(wanted, &d, sizeof d);
        } else {
            define_dot(type, row, x.bytes, n, wanted); /* its low bits */
        }
        ck_assert_msg(memcmp(sums.bytes + r * size, wanted, size) == 0,
                      "%s: row %zu of %zu, of %zu %s", set(s)->name, r, count,
                      n, dsm_type_name(type));
    }
    ck_assert(kept(&sums, count * size));
    drop(&rows);
    drop(&x);
    drop(&sums);
}

START_TEST(rows)
{
    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++) {
        bool there = is_real(type) || type == DSM_INT32 || type == DSM_INT64;

        ck_assert_int_eq(set(_i)->row_dots[type] != NULL, there);
        for (size_t k = 0; there && k < LENGTHS; k++)
            for (size_t count = 0; count <= 9; count++)
                ck_rows(_i, type, lengths[k], count);
    }
}
END_TEST

START_TEST(the_best_is_chosen)
{
    ck_assert_ptr_eq(dsm__kernels(), set(0));
    ck_assert_str_eq(set(sets() - 1)->name, "base");
    ck_assert_ptr_null(set(sets()));
}
END_TEST

int
main(void)
{
    const TTest *const tests[] = {folds, inner_products, scans, rows,
                                  the_best_is_chosen};

    return kernel_main("kernel", tests, sizeof tests / sizeof *tests);
}
