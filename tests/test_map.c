/* dsm_map: each item once, of types of all sizes, beside and in place, through
 * the caches and past them, for every number of workers, whoever calls. */
#include "calls.h"

#include <stdatomic.h>

/* Bytes of an item before and after; each item is made of the one before, of a
 * salt and of itself where it is larger. */
struct shape {
    size_t in, out;
    uint32_t salt;
};

static void
make_items_of(void *out, const void *in, size_t n, const void *arg)
{
    const struct shape *shape = arg;
    const uint8_t *from = in;
    uint8_t *to = out;

    for (size_t i = 0; i < n; i++) {
        uint8_t sum = (uint8_t)shape->salt;

        for (size_t k = 0; k < shape->in; k++)
            sum = (uint8_t)(sum * 3 + from[i * shape->in + k]);
        for (size_t k = 0; k < shape->out; k++)
            to[i * shape->out + k] = (uint8_t)(sum + k);
    }
}

static int
map(dsm_cluster *cluster, const struct call *call, void *result)
{
    struct shape shape = {dsm_array_item_size(call->in),
                          dsm_array_item_size(call->out), 0};

    (void)result;
    shape.salt = (uint32_t)call->seed;
    return dsm_map(cluster, call->out, call->in, make_items_of, &shape,
                   sizeof shape);
}

static void
ck_lengths(dsm_cluster *cluster, dsm_type from, dsm_type to, int seed)
{
    size_t size = dsm_type_size(from) > dsm_type_size(to) ? dsm_type_size(from)
                                                          : dsm_type_size(to);
    size_t room = tried_room(size);
    dsm_array *in = random_array(cluster, "in", from, room);
    dsm_array *out = make_array(cluster, "out", to, room);
    char *wanted = malloc(room * dsm_type_size(to));

    for (int k = 0; k < TRIED_LENGTHS; k++) {
        size_t n = tried_length(k, size);
        dsm_array *source = view_of(in, 3, n), *target = view_of(out, 5, n);
        struct shape shape = {dsm_type_size(from), dsm_type_size(to), 0};
        struct call call = {.fn = map, .in = source, .out = target};

        call.seed = shape.salt = (uint32_t)(seed + k);
        make_items_of(wanted, dsm_array_data(source), n, &shape);
        clear_array(out);
        ck_dsm(make_call(cluster, &call, (seed + k) % 2, NULL));
        ck_assert_msg(
            memcmp(dsm_array_data(target), wanted, n * dsm_type_size(to)) == 0,
            "%zu items of %zu bytes to %zu", n, shape.in, shape.out);
        ck_kept(out, target, n);
        if (from == to) {
            call.out = source;
            ck_dsm(make_call(cluster, &call, (seed + k) % 2, NULL));
            ck_assert_msg(memcmp(dsm_array_data(source), wanted,
                                 n * dsm_type_size(to)) == 0,
                          "%zu items of %zu bytes in place", n, shape.in);
        }
        ck_dsm(dsm_array_destroy(source));
        ck_dsm(dsm_array_destroy(target));
    }
    free(wanted);
    ck_dsm(dsm_array_destroy(in));
    ck_dsm(dsm_array_destroy(out));
}

START_TEST(items_of_any_size)
{
    static const dsm_type types[][2] = {
        {DSM_FLOAT64, DSM_FLOAT64},
        {DSM_INT16, DSM_COMPLEX128},
        {DSM_FLOAT64, DSM_BOOL},
        {DSM_STRUCT(3), DSM_STRUCT(7)},
        {DSM_STRUCT(700), DSM_STRUCT(700)},
        {DSM_INT32, DSM_STRUCT(5000)},
        {DSM_STRUCT(200000), DSM_STRUCT(4096)},
    };
    dsm_cluster *cluster = cluster_of(_i);

    for (int k = 0; k < 7; k++)
        ck_lengths(cluster, types[k][0], types[k][1], _i / 2 + k);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- How it is called: once for each item, a few KiB at a time. */

static void
count_calls(void *out, const void *in, size_t n, const void *arg)
{
    const int64_t *from = in;
    int64_t *to = out;

    (void)arg;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] + 1 + (n > 8192 / sizeof *to ? 1 << 20 : 0);
}

START_TEST(each_item_once)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t n = 200003;
    dsm_array *array = make_array(cluster, "array", DSM_INT64, n);
    const int64_t *x = dsm_array_data(array);
    bool right = true;

    ck_dsm(dsm_map(cluster, array, array, count_calls, NULL, 0));
    for (size_t i = 0; i < n; i++)
        right &= x[i] == 1;
    ck_assert(right);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(mistakes_are_told)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *a = make_array(cluster, "a", DSM_INT64, 100);
    dsm_array *b = make_array(cluster, "b", DSM_INT64, 99);
    dsm_array *left = view_of(a, 0, 50), *right = view_of(a, 49, 50);
    dsm_array *again = view_of(a, 0, 50);
    int64_t local = 0;

    ck_dsm_error(dsm_map(cluster, a, b, count_calls, NULL, 0), -EINVAL,
                 "'a' has 100 items, but 'b' has 99");
    ck_dsm_error(dsm_map(cluster, left, right, count_calls, NULL, 0), -EINVAL,
                 "overlaps");
    ck_dsm_error(dsm_map(cluster, right, left, count_calls, NULL, 0), -EINVAL,
                 "overlaps");
    ck_dsm_error(dsm_map(cluster, a, a, count_calls, &local, 0), -EINVAL,
                 "not share");
    ck_dsm_error(dsm_map(cluster, a, a, count_calls, NULL, 3), -EINVAL, "NULL");
    ck_dsm(dsm_map(cluster, left, again, count_calls, NULL, 0));
    ck_dsm(dsm_map(cluster, a, a, count_calls, dsm_array_data(a), 0));
    ck_assert_int_eq(*(int64_t *)dsm_array_data(a), 2);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("map");
    TCase *tests = test_case(suite, "map");

    tcase_add_loop_test(tests, items_of_any_size, 0, CLUSTERS);
    tcase_add_loop_test(tests, each_item_once, 0, CLUSTERS);
    tcase_add_loop_test(tests, mistakes_are_told, 4, 6);
    return test_main(suite);
}
