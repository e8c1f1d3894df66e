/* What the tests of primitives share: clusters of all kinds, arrays full of
 * items, and calls by the controller and, in a region, by all workers. */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include "items.h"
#include "workers.h"

#include "prim/collective.h"
#include "prim/writer.h"

#include <errno.h>

/* Clusters of 1 to 5 workers, then the same with a controller that works. */
#define CLUSTERS 10

#define RESULT_ROOM 40960

/* A call of a primitive: `fn` makes it, of whatever it needs here. */
struct call {
    int (*fn)(dsm_cluster *cluster, const struct call *call, void *result);
    dsm_array *out;
    const dsm_array *in, *other;
    const dsm_op *op;
    const void *arg;
    size_t arg_size, result_size, n;
    int kind;
    double a, b;
    uint64_t seed;
    /* Where the workers leave their results. */
    char *results;
};

static inline dsm_cluster *
cluster_of(int i)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *results;

    options.name = test_name();
    options.controller_works = i >= 5;
    /* Every other one streams whatever it can. */
    dsm__writer_limit = i % 2 ? 1 : 0;
    ck_dsm(dsm_cluster_create(&cluster, (unsigned)(i % 5 + 1), &options));
    ck_dsm(dsm_array_create(&results, cluster, "results", DSM_UINT8,
                            DSM_SHAPE(5, RESULT_ROOM)));
    return cluster;
}

static inline dsm_array *
make_array(dsm_cluster *cluster, const char *name, dsm_type type, size_t n)
{
    dsm_array *array;

    ck_dsm(dsm_array_create(&array, cluster, name, type, DSM_SHAPE(n)));
    return array;
}

static inline dsm_array *
random_array(dsm_cluster *cluster, const char *name, dsm_type type, size_t n)
{
    dsm_array *array = make_array(cluster, name, type, n);

    random_items(type, dsm_array_data(array), n);
    return array;
}

/* The bytes of an output and of what lies around it. */
#define ISLAND 0x5a

static inline void
clear_array(dsm_array *array)
{
    memset(dsm_array_data(array), ISLAND,
           dsm_array_count(array) * dsm_array_item_size(array));
}

/* Asserts that nothing of `array` was written but the first `n` items of the
 * view. */
static inline void
ck_kept(const dsm_array *array, const dsm_array *view, size_t n)
{
    const char *begin = dsm_array_data(array), *used = dsm_array_data(view);
    size_t size = dsm_array_item_size(array);
    const char *end = begin + dsm_array_count(array) * size;
    bool kept = true;

    for (const char *at = begin; at < used; at++)
        kept &= *at == ISLAND;
    for (const char *at = used + n * size; at < end; at++)
        kept &= *at == ISLAND;
    ck_assert_msg(kept, "something around the output was written");
}

static inline dsm_array *
view_of(dsm_array *array, size_t begin, size_t n)
{
    dsm_array *view;

    ck_dsm(dsm_array_view(&view, array, begin, begin + n));
    return view;
}

static inline int
call_part(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct call *call = arg;
    unsigned id = dsm_worker_id(self);

    (void)arg_size;
    ((int *)test_shared)[id] = call->fn(dsm_worker_cluster(self), call,
                                        call->results + id * RESULT_ROOM);
    return 0;
}

/* Makes the call in a region; all workers get the same. */
static inline int
call_in_region(dsm_cluster *cluster, const struct call *call, void *result)
{
    struct call copy = *call;
    const int *codes = test_shared;
    dsm_array *results;

    ck_dsm(dsm_array_open(&results, cluster, "results", DSM_UINT8));
    copy.results = dsm_array_data(results);
    memset(copy.results, 0x33, dsm_array_count(results));
    ck_dsm(dsm_cluster_run(cluster, call_part, &copy, sizeof copy));
    for (unsigned w = 1; w < dsm_cluster_workers(cluster); w++) {
        ck_assert_int_eq(codes[w], codes[0]);
        ck_assert_mem_eq(copy.results + w * RESULT_ROOM, copy.results,
                         call->result_size);
    }
    if (result)
        memcpy(result, copy.results, call->result_size);
    return codes[0];
}

/* By the controller or in a region. */
static inline int
make_call(dsm_cluster *cluster, const struct call *call, bool in_region,
          void *result)
{
    if (in_region)
        return call_in_region(cluster, call, result);
    return call->fn(cluster, call, result);
}

/* Lengths of arrays to try, of items of so many bytes: about a block, and
 * some. */
#define TRIED_LENGTHS 8

static inline size_t
tried_length(int k, size_t item_size)
{
    size_t block = dsm__block_items(item_size);
    const size_t n[TRIED_LENGTHS] = {0,         1,
                                     block - 1, block,
                                     block + 1, 3 * block + 17,
                                     5 * block, 9 * block + 5};

    return n[k];
}

/* Room for all of them, in the middle of an array. */
static inline size_t
tried_room(size_t item_size)
{
    return tried_length(TRIED_LENGTHS - 1, item_size) + 16;
}

/* ---- Maps x -> a x + b: their composition does not commute. */

struct affine {
    uint32_t a, b;
};

static inline void
compose(void *acc, const void *right, const void *arg)
{
    struct affine *first = acc;
    const struct affine *then = right;

    (void)arg;
    first->b = then->a * first->b + then->b;
    first->a *= then->a;
}

static const struct affine affine_identity = {1, 0};
static const dsm_op composition = {.size = sizeof(struct affine),
                                   .identity = &affine_identity,
                                   .combine = compose};

/* Item i composes with map i mod n, of as many as fit into arg->size bytes. */
struct many {
    size_t size;
    uint32_t salt;
};

static inline void
compose_many(void *acc, const void *right, const void *arg)
{
    const struct many *many = arg;

    for (size_t k = 0; k < many->size / sizeof(struct affine); k++)
        compose((struct affine *)acc + k, (const struct affine *)right + k,
                NULL);
}

static inline void
fold_many(void *acc, const void *items, size_t first, size_t n, const void *arg)
{
    const struct many *many = arg;
    size_t maps = many->size / sizeof(struct affine);
    const uint32_t *x = items;

    for (size_t i = 0; i < n; i++) {
        struct affine next = {x[i] | 1, x[i] ^ many->salt};

        compose((struct affine *)acc + (first + i) % maps, &next, NULL);
    }
}

/* An operator of that size; *many is its argument, *identity its identity. */
static inline dsm_op
op_of_many(struct many *many, char *identity, size_t size)
{
    *many = (struct many){size, (uint32_t)size * 77};
    memset(identity, 0, size);
    for (size_t k = 0; k < size / sizeof(struct affine); k++)
        ((struct affine *)identity)[k].a = 1;
    return (dsm_op){.size = size,
                    .identity = identity,
                    .combine = compose_many,
                    .fold = fold_many,
                    .arg = many,
                    .arg_size = sizeof *many};
}

/* ---- The place of the largest number, the first of equal ones. */

struct largest {
    double value;
    size_t index;
};

static inline void
keep_larger(void *acc, const void *right, const void *arg)
{
    struct largest *x = acc;
    const struct largest *y = right;

    (void)arg;
    if (y->value > x->value)
        *x = *y;
}

static inline void
find_largest(void *acc, const void *items, size_t first, size_t n,
             const void *arg)
{
    struct largest *x = acc;
    const int16_t *y = items;

    (void)arg;
    for (size_t i = 0; i < n; i++)
        if (y[i] > x->value)
            *x = (struct largest){y[i], first + i};
}

static const struct largest no_largest = {-1e300, 0};
static const dsm_op argmax = {.size = sizeof(struct largest),
                              .identity = &no_largest,
                              .combine = keep_larger,
                              .fold = find_largest};

#endif
