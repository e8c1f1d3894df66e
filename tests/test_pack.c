/* dsm_pack and dsm_filter: what stays, in its order, and nothing else written;
 * items of all sizes, outputs that are too small, through the caches and past
 * them, for every number of workers, whoever calls. */
#include "calls.h"

static int
pack(dsm_cluster *cluster, const struct call *call, void *result)
{
    return dsm_pack(cluster, call->out, result, call->in, call->other);
}

/* Its argument: bytes of an item, how many in a hundred stay, and where each
 * call is counted. */
struct sieve {
    size_t size;
    unsigned percent;
    const char *in;
    _Atomic uint8_t *calls;
};

static bool
stays(const void *item, const struct sieve *sieve)
{
    const uint8_t *bytes = item;
    unsigned mixed = 0;

    for (size_t k = 0; k < sieve->size && k < 4; k++)
        mixed = (mixed + bytes[k]) * 167 + 13;
    return mixed / 7 % 100 < sieve->percent;
}

static void
sift(uint8_t *keep, const void *in, size_t n, const void *arg)
{
    const struct sieve *sieve = arg;
    const char *items = in;
    size_t first = (size_t)(items - sieve->in) / sieve->size;

    for (size_t i = 0; i < n; i++) {
        keep[i] = stays(items + i * sieve->size, sieve);
        if (sieve->calls)
            atomic_fetch_add(&sieve->calls[first + i], 1);
    }
}

static int
filter(dsm_cluster *cluster, const struct call *call, void *result)
{
    return dsm_filter(cluster, call->out, result, call->in, sift, call->arg,
                      call->arg_size);
}

/* ---- One input, and what stays of it. */

struct input {
    dsm_array *in, *mask, *sieves, *calls, *out, *from, *marks;
    struct sieve *sieve; /* in shared memory */
    char *wanted;
    size_t n, size, count;
};

static void
make_input(struct input *input, dsm_cluster *cluster, dsm_type type, size_t n,
           unsigned percent)
{
    uint8_t *marks;

    *input = (struct input){.n = n, .size = dsm_type_size(type)};
    input->in = random_array(cluster, "in", type, n + 16);
    input->mask = make_array(cluster, "mask", DSM_BOOL, n + 16);
    input->calls = make_array(cluster, "calls", DSM_UINT8, n + 1);
    input->out = make_array(cluster, "out", type, n + 16);
    input->sieves =
        make_array(cluster, "sieve", DSM_UINT8, sizeof *input->sieve);
    input->from = view_of(input->in, 3, n);
    input->marks = view_of(input->mask, 7, n);
    input->sieve = dsm_array_data(input->sieves);
    *input->sieve =
        (struct sieve){input->size, percent, dsm_array_data(input->from),
                       dsm_array_data(input->calls)};
    input->wanted = malloc(n * input->size + 1);
    marks = dsm_array_data(input->marks);
    for (size_t i = 0; i < n; i++) {
        const char *item = input->sieve->in + i * input->size;

        /* What is not 0 counts as true. */
        marks[i] = (uint8_t)(stays(item, input->sieve) << i % 8);
        if (marks[i])
            memcpy(input->wanted + input->count++ * input->size, item,
                   input->size);
    }
}

static void
drop_input(struct input *input)
{
    free(input->wanted);
    ck_dsm(dsm_array_destroy(input->in));
    ck_dsm(dsm_array_destroy(input->mask));
    ck_dsm(dsm_array_destroy(input->calls));
    ck_dsm(dsm_array_destroy(input->out));
    ck_dsm(dsm_array_destroy(input->sieves));
}

static void
ck_called_once(struct input *input)
{
    uint8_t *calls = dsm_array_data(input->calls);
    bool once = true;

    for (size_t i = 0; i < input->n; i++)
        once &= calls[i] == 1;
    ck_assert_msg(once && calls[input->n] == 0, "the predicate was not called "
                                                "once for each item");
    memset(calls, 0, input->n + 1);
}

/* Into an output of that room, from its item `at` on. */
static void
ck_call(dsm_cluster *cluster, struct input *input, size_t room, size_t at)
{
    dsm_array *out = view_of(input->out, at, room);
    size_t written = input->count < room ? input->count : room, count;
    struct call call = {.out = out,
                        .in = input->from,
                        .other = input->marks,
                        .result_size = sizeof count};

    for (int way = 0; way < 4; way++) {
        int error;

        call.fn = way % 2 ? filter : pack;
        /* Copied, or where all see it. */
        call.arg = input->sieve;
        call.arg_size = way / 2 ? sizeof *input->sieve : 0;
        clear_array(input->out);
        error = make_call(cluster, &call, way / 2, &count);
        ck_assert_int_eq(error, input->count > room ? -ENOSPC : 0);
        ck_assert_uint_eq(count, input->count);
        ck_assert_msg(memcmp(dsm_array_data(out), input->wanted,
                             written * input->size) == 0,
                      "%zu of %zu items of %zu bytes", count, input->n,
                      input->size);
        ck_kept(input->out, out, written);
        if (way % 2)
            ck_called_once(input);
    }
    ck_dsm(dsm_array_destroy(out));
}

/* Of all lengths; the room is enough, or less. */
static void
ck_size(dsm_cluster *cluster, dsm_type type, int seed)
{
    static const unsigned percents[] = {0, 100, 50, 3, 97};
    size_t size = dsm_type_size(type);

    for (int k = seed % 2; k < (size < 4 ? 6 : TRIED_LENGTHS); k += 2) {
        struct input input;
        size_t n = tried_length(k, size), count;

        make_input(&input, cluster, type, n, percents[(k + seed) % 5]);
        count = input.count;
        ck_call(cluster, &input, n, (size_t)k % 5);
        if (k % 3 == 1) {
            ck_call(cluster, &input, count, 1);
            ck_call(cluster, &input, count - count / 3, 2);
        }
        drop_input(&input);
    }
}

START_TEST(items_of_numbers)
{
    static const dsm_type types[] = {DSM_BOOL,      DSM_INT16,
                                     DSM_FLOAT32,   DSM_FLOAT64,
                                     DSM_COMPLEX64, DSM_COMPLEX128};
    dsm_cluster *cluster = cluster_of(_i);

    for (int k = 0; k < 6; k++)
        ck_size(cluster, types[k], _i + k);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(items_of_any_size)
{
    static const unsigned sizes[] = {3, 12, 24, 1000, 70000, 200000};
    dsm_cluster *cluster = cluster_of(_i);

    for (int k = 0; k < 6; k++)
        ck_size(cluster, DSM_STRUCT(sizes[k]), _i + k);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Without an output a filter counts. */
START_TEST(counts)
{
    dsm_cluster *cluster = cluster_of(_i);
    static const unsigned percents[] = {0, 100, 50};

    for (int k = 0; k < 3 * TRIED_LENGTHS; k++) {
        struct input input;
        struct call call = {.fn = filter, .result_size = sizeof(size_t)};
        size_t count;

        make_input(&input, cluster, DSM_FLOAT64,
                   tried_length(k / 3, sizeof(double)), percents[k % 3]);
        call.in = input.from;
        call.arg = input.sieve;
        for (int in_region = 0; in_region < 2; in_region++) {
            ck_dsm(make_call(cluster, &call, in_region, &count));
            ck_assert_uint_eq(count, input.count);
            ck_called_once(&input);
        }
        drop_input(&input);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(mistakes_are_told)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *a = random_array(cluster, "a", DSM_INT32, 100);
    dsm_array *b = random_array(cluster, "b", DSM_INT64, 100);
    dsm_array *mask = random_array(cluster, "mask", DSM_BOOL, 100);
    dsm_array *few = random_array(cluster, "few", DSM_BOOL, 99);
    dsm_array *out = make_array(cluster, "out", DSM_INT32, 100);
    dsm_array *none = view_of(a, 50, 0);
    struct sieve sieve = {4, 50, dsm_array_data(a), NULL};
    size_t count = 7;

    ck_dsm_error(dsm_pack(cluster, out, &count, a, few), -EINVAL,
                 "'a' has 100 items, but 'few' has 99");
    ck_assert_uint_eq(count, 0);
    ck_dsm_error(dsm_pack(cluster, out, &count, a, a), -EINVAL,
                 "the mask 'a' has items of int32, not of bool");
    ck_dsm_error(dsm_pack(cluster, b, &count, a, mask), -EINVAL,
                 "'b' has items of int64, 'a' of int32");
    ck_dsm_error(dsm_pack(cluster, a, &count, a, mask), -EINVAL, "overlaps");
    ck_dsm_error(dsm_pack(cluster, mask, &count, mask, mask), -EINVAL,
                 "overlaps");
    ck_dsm_error(dsm_filter(cluster, out, &count, a, sift, &sieve, 0), -EINVAL,
                 "not share");
    ck_dsm_error(dsm_filter(cluster, out, &count, a, sift, NULL, 8), -EINVAL,
                 "NULL");
    /* Nothing overlaps nothing. */
    memset(dsm_array_data(mask), 0, 100);
    ck_dsm(dsm_pack(cluster, none, &count, a, mask));
    ck_assert_uint_eq(count, 0);
    memset(dsm_array_data(mask), 1, 100);
    ck_dsm_error(dsm_pack(cluster, none, &count, a, mask), -ENOSPC,
                 "100 items stay");
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("pack");
    TCase *tests = test_case(suite, "results");

    tcase_add_loop_test(tests, items_of_numbers, 0, 5);
    tcase_add_loop_test(tests, items_of_numbers, 7, 9);
    tcase_add_loop_test(tests, items_of_any_size, 0, 5);
    tcase_add_loop_test(tests, counts, 0, 4);
    tcase_add_loop_test(tests, mistakes_are_told, 4, 6);
    return test_main(suite);
}
