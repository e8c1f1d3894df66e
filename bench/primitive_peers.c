/* The peers of bench_primitives in C: see primitive_peers.h.  The loops are
 * those that a careful user writes. */
#include "primitive_peers.h"
#include "kernels.h"
#include "peer_arrays.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#ifdef _OPENMP
#include <Random123/philox.h>
#include <omp.h>
#endif

struct peer {
    const char *name;
    int (*once)(void *arrays);
    unsigned which; /* of the arrays */
    enum { VECTORS, MATRIX, NO_ARRAYS } shape;
};

static volatile double sink;

/* ---- One thread. */

static int
serial_sum(void *context)
{
    const struct peer_arrays *a = context;
    sink = kernel_sum(a->x, a->n);
    return 0;
}

static int
serial_dot(void *context)
{
    const struct peer_arrays *a = context;
    sink = kernel_dot(a->x, a->y, a->n);
    return 0;
}

static int
serial_scan(void *context)
{
    const struct peer_arrays *a = context;
    sink = kernel_scan(a->y, a->x, a->n, 0);
    return 0;
}

static int
serial_filter(void *context)
{
    const struct peer_arrays *a = context;
    sink = (double)kernel_filter(a->y, a->n, a->x, a->n);
    return 0;
}

static int
serial_pack(void *context)
{
    const struct peer_arrays *a = context;
    sink = (double)kernel_pack(a->y, a->n, a->x, a->mask, a->n);
    return 0;
}

static int
serial_map(void *context)
{
    const struct peer_arrays *a = context;
    kernel_map(a->y, a->x, a->n);
    return 0;
}

static int
serial_irregular(void *context)
{
    const struct peer_arrays *a = context;
    for (size_t i = 0; i < a->n; i++)
        kernel_irregular_item(i);
    return 0;
}

/* ---- OpenMP. */

#ifdef _OPENMP
static int
omp_sum(void *context)
{
    const struct peer_arrays *a = context;
    const double *x = a->x;
    size_t n = a->n;
    double sum = 0;
#pragma omp parallel for simd reduction(+ : sum) schedule(static)
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    sink = sum;
    return 0;
}

static int
omp_dot(void *context)
{
    const struct peer_arrays *a = context;
    const double *x = a->x, *y = a->y;
    size_t n = a->n;
    double sum = 0;
#pragma omp parallel for simd reduction(+ : sum) schedule(static)
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    sink = sum;
    return 0;
}

/* A number of each party, in a line of its own. */
struct part {
    _Alignas(64) double sum;
    size_t count;
};

/* The loop that libdsm's limit has, too. */
static int
omp_sum_of_shares(void *context)
{
    const struct peer_arrays *a = context;
    double sum = 0;
#pragma omp parallel reduction(+ : sum)
    {
        unsigned id = (unsigned)omp_get_thread_num();
        size_t begin = peer_share(a, id), end = peer_share(a, id + 1);
        sum += kernel_sum(a->x + begin, end - begin);
    }
    sink = sum;
    return 0;
}

/* Each sums its share; then each scans it, from the sum of those before. */
static int
omp_scan_two_passes(void *context)
{
    const struct peer_arrays *a = context;
    struct part parts[PEER_PARTIES_MAX];
#pragma omp parallel
    {
        unsigned id = (unsigned)omp_get_thread_num();
        size_t begin = peer_share(a, id), end = peer_share(a, id + 1);
        parts[id].sum = kernel_sum(a->x + begin, end - begin);
#pragma omp barrier
        double prefix = 0;
        for (unsigned before = 0; before < id; before++)
            prefix += parts[before].sum;
        kernel_scan(a->y + begin, a->x + begin, end - begin, prefix);
    }
    return 0;
}

/* gcc 12 warns of a variable of its own making. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

static int
omp_scan(void *context)
{
    const struct peer_arrays *a = context;
    double prefix = 0;
#pragma omp parallel for reduction(inscan, + : prefix)
    for (size_t i = 0; i < a->n; i++) {
        prefix += a->x[i];
#pragma omp scan inclusive(prefix)
        a->y[i] = prefix;
    }
    return 0;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* Where this party's items go, once each has set parts[id].count. */
static size_t
place_of(const struct part *parts, unsigned id)
{
    size_t place = 0;
    for (unsigned before = 0; before < id; before++)
        place += parts[before].count;
    return place;
}

static int
omp_filter(void *context)
{
    const struct peer_arrays *a = context;
    struct part parts[PEER_PARTIES_MAX];
#pragma omp parallel
    {
        unsigned id = (unsigned)omp_get_thread_num();
        size_t begin = peer_share(a, id), end = peer_share(a, id + 1);
        parts[id].count = kernel_count(a->x + begin, end - begin);
#pragma omp barrier
        kernel_filter(a->y + place_of(parts, id), parts[id].count, a->x + begin,
                      end - begin);
    }
    return 0;
}

static int
omp_pack(void *context)
{
    const struct peer_arrays *a = context;
    struct part parts[PEER_PARTIES_MAX];
#pragma omp parallel
    {
        unsigned id = (unsigned)omp_get_thread_num();
        size_t begin = peer_share(a, id), end = peer_share(a, id + 1);
        size_t count = 0;
        for (size_t i = begin; i < end; i++)
            count += a->mask[i];
        parts[id].count = count;
#pragma omp barrier
        kernel_pack(a->y + place_of(parts, id), count, a->x + begin,
                    a->mask + begin, end - begin);
    }
    return 0;
}

static int
omp_map(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < a->n; i++)
        a->y[i] = kernel_map_item(a->x[i]);
    return 0;
}

/* The limits, in private memory. */
static int
omp_copy_streaming(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel
    {
        unsigned id = (unsigned)omp_get_thread_num();
        size_t begin = peer_share(a, id), end = peer_share(a, id + 1);
        kernel_copy_streaming(a->y + begin, a->x + begin, end - begin);
    }
    return 0;
}

static int
omp_copy(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel
    {
        unsigned id = (unsigned)omp_get_thread_num();
        size_t begin = peer_share(a, id), end = peer_share(a, id + 1);
        kernel_copy(a->y + begin, a->x + begin, end - begin);
    }
    return 0;
}

/* Uniform in [0, 1): a counter gives the bits of two numbers. */
static int
omp_random(void *context)
{
    const struct peer_arrays *a = context;
    const philox4x32_key_t key = {{1, 0}};
    double *y = a->y;
    size_t pairs = a->n / 2;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < pairs; i++) {
        philox4x32_ctr_t counter = {{(uint32_t)i, (uint32_t)(i >> 32), 0, 0}};
        philox4x32_ctr_t bits = philox4x32(counter, key);
        for (int k = 0; k < 2; k++) {
            uint64_t word = (uint64_t)bits.v[2 * k] << 32 | bits.v[2 * k + 1];
            y[2 * i + (size_t)k] = (double)(word >> 11) * 0x1p-53;
        }
    }
    return 0;
}

static int
omp_gemv(void *context)
{
    const struct peer_arrays *a = context;
    size_t n = (size_t)sqrt((double)a->n);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++)
        a->y[n + i] = kernel_dot(a->x + i * n, a->y, n);
    return 0;
}

static int
omp_empty_dynamic(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < a->n; i++)
        kernel_empty_item();
    return 0;
}

static int
omp_empty_dynamic_64(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel for schedule(dynamic, 64)
    for (size_t i = 0; i < a->n; i++)
        kernel_empty_item();
    return 0;
}

static int
omp_empty_static(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < a->n; i++)
        kernel_empty_item();
    return 0;
}

static int
omp_irregular_static(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < a->n; i++)
        kernel_irregular_item(i);
    return 0;
}

static int
omp_irregular_dynamic(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < a->n; i++)
        kernel_irregular_item(i);
    return 0;
}

static int
omp_irregular_guided(void *context)
{
    const struct peer_arrays *a = context;
#pragma omp parallel for schedule(guided)
    for (size_t i = 0; i < a->n; i++)
        kernel_irregular_item(i);
    return 0;
}
#endif

static const struct peer peers[] = {
    {"serial-sum", serial_sum, 0, VECTORS},
    {"serial-dot", serial_dot, PEER_Y, VECTORS},
    {"serial-scan", serial_scan, PEER_Y, VECTORS},
    {"serial-filter", serial_filter, PEER_Y, VECTORS},
    {"serial-pack", serial_pack, PEER_Y | PEER_MASK, VECTORS},
    {"serial-map", serial_map, PEER_Y, VECTORS},
    {"serial-irregular", serial_irregular, 0, NO_ARRAYS},
#ifdef _OPENMP
    {"omp-sum", omp_sum, 0, VECTORS},
    {"omp-sum-of-shares", omp_sum_of_shares, 0, VECTORS},
    {"omp-dot", omp_dot, PEER_Y, VECTORS},
    {"omp-scan-two-passes", omp_scan_two_passes, PEER_Y, VECTORS},
    {"omp-scan", omp_scan, PEER_Y, VECTORS},
    {"omp-filter", omp_filter, PEER_Y, VECTORS},
    {"omp-pack", omp_pack, PEER_Y | PEER_MASK, VECTORS},
    {"omp-map", omp_map, PEER_Y, VECTORS},
    {"omp-copy", omp_copy, PEER_Y, VECTORS},
    {"omp-copy-streaming", omp_copy_streaming, PEER_Y, VECTORS},
    {"omp-random", omp_random, PEER_Y, VECTORS},
    {"omp-gemv", omp_gemv, PEER_Y, MATRIX},
    {"omp-empty-dynamic", omp_empty_dynamic, 0, NO_ARRAYS},
    {"omp-empty-dynamic-64", omp_empty_dynamic_64, 0, NO_ARRAYS},
    {"omp-empty-static", omp_empty_static, 0, NO_ARRAYS},
    {"omp-irregular-static", omp_irregular_static, 0, NO_ARRAYS},
    {"omp-irregular-dynamic", omp_irregular_dynamic, 0, NO_ARRAYS},
    {"omp-irregular-guided", omp_irregular_guided, 0, NO_ARRAYS},
#endif
};

static const struct peer *
peer_of(const char *name)
{
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
        if (strcmp(peers[i].name, name) == 0)
            return &peers[i];
    return NULL;
}

int
measure_primitive_peer(const struct peer_work *work, double *ns)
{
    const struct peer *peer = peer_of(work->name);
    if (peer == NULL)
        return SAMPLE_NOT_AVAILABLE;
#ifdef _OPENMP
    omp_set_num_threads((int)work->parties);
#endif
    struct peer_arrays arrays = {.n = work->size, .parties = work->parties};
    size_t n = peer->shape == MATRIX ? work->size * work->size : work->size;
    if (peer->shape != NO_ARRAYS &&
        peer_arrays_make(&arrays, n, work->parties, peer->which) != 0)
        return -1;
    return measure_loop(peer->once, &arrays, work->count, ns);
}
