/* dsm_scan: every type and operator against a plain loop and, bit by bit,
 * against the blocks that are documented; beside and in place, through the
 * caches and past them, for every number of workers, whoever calls. */
#include "calls.h"

#include "array/op.h"

static int
scan(dsm_cluster *cluster, const struct call *call, void *result)
{
    (void)result;
    return dsm_scan(cluster, call->out, call->in, call->op,
                    (dsm_scan_kind)call->kind);
}

/* Block by block: what comes before it, and then its items. */
static void
scan_in_order(const struct call *call, const char *in, size_t n, char *out)
{
    struct dsm__monoid monoid;
    char *before, *behind, *carry, *spare;
    size_t block;

    ck_dsm(dsm__op_bind(call->op, dsm_array_type(call->in), &monoid));
    block = dsm__block_items(monoid.item_size);
    before = malloc(4 * monoid.size);
    behind = before + monoid.size;
    carry = behind + monoid.size;
    spare = carry + monoid.size;
    dsm__monoid_identity(&monoid, before);
    for (size_t first = 0; first < n; first += block) {
        size_t some = n - first < block ? n - first : block;
        const char *items = in + first * monoid.item_size;
        struct dsm__folding folding;

        memcpy(carry, before, monoid.size);
        dsm__fold_open(&monoid, &folding, behind);
        dsm__fold_add(&monoid, &folding, items, first, some);
        dsm__fold_close(&monoid, &folding);
        dsm__monoid_combine(&monoid, before, behind);
        dsm__monoid_scan(&monoid, out + first * monoid.size, items, first, some,
                         carry, call->kind == DSM_SCAN_EXCLUSIVE, spare);
    }
    free(before);
}

/* An operator that each caller has on its stack. */
static int
scan_many(dsm_cluster *cluster, const struct call *call, void *result)
{
    size_t size = dsm_array_item_size(call->out);
    char *identity = malloc(size);
    struct many many;
    dsm_op op = op_of_many(&many, identity, size);
    int error;

    (void)result;
    if (size == dsm_array_item_size(call->in))
        op.fold = NULL;
    error =
        dsm_scan(cluster, call->out, call->in, &op, (dsm_scan_kind)call->kind);
    free(identity);
    return error;
}

/* In both ways, beside and, if the types allow it, in place. */
static void
ck_call(dsm_cluster *cluster, dsm_array *in, dsm_array *out, size_t n,
        const dsm_op *op)
{
    dsm_array *from = view_of(in, 5, n), *to = view_of(out, 3, n);
    size_t bytes = n * dsm_array_item_size(out);
    char *wanted = malloc(bytes + 1);
    char *kept = malloc(n * dsm_array_item_size(in) + 1);
    struct call call = {
        .fn = op->arg_size ? scan_many : scan, .in = from, .op = op};

    memcpy(kept, dsm_array_data(from), n * dsm_array_item_size(in));
    for (call.kind = 0; call.kind < 2; call.kind++) {
        scan_in_order(&call, kept, n, wanted);
        for (int in_region = 0; in_region < 2; in_region++) {
            call.out = to;
            clear_array(out);
            ck_dsm(make_call(cluster, &call, in_region, NULL));
            ck_assert_msg(memcmp(dsm_array_data(to), wanted, bytes) == 0,
                          "%zu %s", n, dsm_type_name(dsm_array_type(in)));
            ck_kept(out, to, n);
            if (dsm_array_type(in) != dsm_array_type(out))
                continue;
            call.out = from;
            ck_dsm(make_call(cluster, &call, in_region, NULL));
            ck_assert_msg(memcmp(dsm_array_data(from), wanted, bytes) == 0,
                          "%zu %s in place", n,
                          dsm_type_name(dsm_array_type(in)));
            memcpy(dsm_array_data(from), kept, bytes);
        }
    }
    free(wanted);
    free(kept);
    ck_dsm(dsm_array_destroy(from));
    ck_dsm(dsm_array_destroy(to));
}

static void
scan_type(dsm_cluster *cluster, dsm_type type, int seed)
{
    size_t size = dsm_type_size(type), room = tried_room(size);
    dsm_array *in = random_array(cluster, "in", type, room);

    for (int op = 0; op < BUILTINS; op++) {
        dsm_type wide = accumulator_of(builtins[op].sign, type);
        dsm_array *out;

        if (builtins[op].wide[type - DSM_BOOL] == '-')
            continue;
        out = make_array(cluster, "out", wide, room);
        ck_call(
            cluster, in, out,
            tried_length((op + seed) % (size < 4 ? 6 : TRIED_LENGTHS), size),
            builtins[op].op);
        ck_dsm(dsm_array_destroy(out));
    }
    ck_dsm(dsm_array_destroy(in));
}

START_TEST(all_types_and_operators)
{
    dsm_cluster *cluster = cluster_of(_i);

    for (dsm_type type = DSM_BOOL; type <= DSM_COMPLEX128; type++)
        scan_type(cluster, type, _i);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Whatever scan_in_order takes from the library, by a plain loop. */
START_TEST(sums_of_what_came_before)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t n = 300001;
    dsm_array *in = random_array(cluster, "in", DSM_INT16, n);
    dsm_array *out = make_array(cluster, "out", DSM_INT64, n);
    const int16_t *x = dsm_array_data(in);
    const int64_t *sums = dsm_array_data(out);

    for (int kind = 0; kind < 2; kind++) {
        int64_t sum = 0;
        bool right = true;

        ck_dsm(dsm_scan(cluster, out, in, &DSM_SUM, (dsm_scan_kind)kind));
        for (size_t i = 0; i < n; i++) {
            right &= sums[i] == (kind == DSM_SCAN_EXCLUSIVE ? sum : sum + x[i]);
            sum += x[i];
        }
        ck_assert(right);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Operators of the user's own. */

START_TEST(in_the_order_of_the_items)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t size = sizeof(struct affine), room = tried_room(size);
    dsm_array *in = random_array(cluster, "in", DSM_STRUCT(8), room);
    dsm_array *out = make_array(cluster, "out", DSM_STRUCT(8), room);
    const struct affine *x = dsm_array_data(in), *y = dsm_array_data(out);
    struct affine all = affine_identity;
    bool right = true;

    for (int k = 0; k < TRIED_LENGTHS; k++)
        ck_call(cluster, in, out, tried_length(k, size), &composition);
    ck_dsm(dsm_scan(cluster, out, in, &composition, DSM_SCAN_INCLUSIVE));
    for (size_t i = 0; i < room; i++) {
        compose(&all, &x[i], NULL);
        right &= memcmp(&y[i], &all, size) == 0;
    }
    ck_assert(right);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(the_place_of_the_largest)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t room = tried_room(2), size = sizeof(struct largest);
    dsm_array *in = random_array(cluster, "in", DSM_INT16, room);
    dsm_array *out =
        make_array(cluster, "out", DSM_STRUCT(sizeof(struct largest)), room);
    const struct largest *y = dsm_array_data(out);
    struct largest all = no_largest;
    bool right = true;

    ck_call(cluster, in, out, tried_length(_i % TRIED_LENGTHS, 2), &argmax);
    ck_dsm(dsm_scan(cluster, out, in, &argmax, DSM_SCAN_EXCLUSIVE));
    for (size_t i = 0; i < room; i++) {
        right &= memcmp(&y[i], &all, size) == 0;
        find_largest(&all, (int16_t *)dsm_array_data(in) + i, i, 1, NULL);
    }
    ck_assert(right);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Within a relay's line, within the scratch, and beyond it. */
START_TEST(accumulators_of_any_size)
{
    static const size_t sizes[] = {8, 24, 56, 64, 104, 504, 5000, 200000};
    dsm_cluster *cluster = cluster_of(_i);

    for (size_t s = 0; s < 8; s++) {
        size_t size = sizes[s], block = dsm__block_items(size);
        size_t n = 4 * block + block / 3 + 1;
        dsm_type type = DSM_STRUCT((unsigned)size);
        dsm_array *in = random_array(cluster, "in", type, n + 8);
        dsm_array *out = make_array(cluster, "out", type, n + 8);
        char *identity = malloc(size);
        struct many many;
        dsm_op op = op_of_many(&many, identity, size);

        /* Whose items are accumulators. */
        op.fold = NULL;
        ck_call(cluster, in, out, n, &op);
        free(identity);
        ck_dsm(dsm_array_destroy(in));
        ck_dsm(dsm_array_destroy(out));
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(accumulators_larger_than_items)
{
    dsm_cluster *cluster = cluster_of(_i);
    size_t size = 104, n = 2 * dsm__block_items(4) + 9;
    dsm_array *in = random_array(cluster, "in", DSM_UINT32, n);
    dsm_array *out = make_array(cluster, "out", DSM_STRUCT(104), n);
    struct call call = {.fn = scan_many, .in = in, .out = out};
    char wanted[104];
    struct many many;

    op_of_many(&many, wanted, size);
    fold_many(wanted, dsm_array_data(in), 0, n - 1, &many);
    for (int in_region = 0; in_region < 2; in_region++) {
        clear_array(out);
        call.kind = DSM_SCAN_EXCLUSIVE;
        ck_dsm(make_call(cluster, &call, in_region, NULL));
        ck_assert_mem_eq((char *)dsm_array_data(out) + (n - 1) * size, wanted,
                         size);
        call.kind = DSM_SCAN_INCLUSIVE;
        ck_dsm(make_call(cluster, &call, in_region, NULL));
        ck_assert_mem_eq((char *)dsm_array_data(out) + (n - 2) * size, wanted,
                         size);
    }
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Mistakes. */

START_TEST(mistakes_are_told)
{
    dsm_cluster *cluster = cluster_of(_i);
    dsm_array *a = random_array(cluster, "a", DSM_INT32, 100);
    dsm_array *b = random_array(cluster, "b", DSM_INT64, 100);
    dsm_array *c = random_array(cluster, "c", DSM_INT64, 99);
    dsm_array *d = random_array(cluster, "d", DSM_FLOAT64, 100);
    dsm_array *left = view_of(d, 0, 60), *right = view_of(d, 40, 60);
    dsm_array *same = view_of(d, 0, 60);
    dsm_op op = composition;

    ck_dsm_error(dsm_scan(cluster, c, a, &DSM_SUM, DSM_SCAN_INCLUSIVE), -EINVAL,
                 "'c' has 99 items, but 'a' has 100");
    ck_dsm_error(dsm_scan(cluster, a, a, &DSM_SUM, DSM_SCAN_INCLUSIVE), -EINVAL,
                 "accumulators are int64 of 8 bytes");
    ck_dsm_error(dsm_scan(cluster, d, b, &DSM_SUM, DSM_SCAN_INCLUSIVE), -EINVAL,
                 "items of float64");
    ck_dsm_error(dsm_scan(cluster, d, d, &DSM_OR, DSM_SCAN_INCLUSIVE), -EINVAL,
                 "DSM_OR has no meaning for float64");
    ck_dsm_error(dsm_scan(cluster, b, a, &DSM_SUM, (dsm_scan_kind)2), -EINVAL,
                 "kind 2");
    ck_dsm_error(dsm_scan(cluster, left, right, &DSM_SUM, DSM_SCAN_INCLUSIVE),
                 -EINVAL, "overlaps");
    ck_dsm_error(dsm_scan(cluster, a, a, &op, DSM_SCAN_INCLUSIVE), -EINVAL,
                 "no fold");
    op.identity = NULL;
    ck_dsm_error(dsm_scan(cluster, b, b, &op, DSM_SCAN_INCLUSIVE), -EINVAL,
                 "no identity");
    ck_dsm(dsm_scan(cluster, same, left, &DSM_SUM, DSM_SCAN_INCLUSIVE));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("scan");
    TCase *tests = test_case(suite, "results");

    tcase_add_loop_test(tests, all_types_and_operators, 0, 5);
    tcase_add_loop_test(tests, all_types_and_operators, 7, 8);
    tcase_add_loop_test(tests, sums_of_what_came_before, 0, CLUSTERS);
    tests = test_case(suite, "own operators");
    tcase_add_loop_test(tests, in_the_order_of_the_items, 0, CLUSTERS);
    tcase_add_loop_test(tests, the_place_of_the_largest, 0, CLUSTERS);
    tcase_add_loop_test(tests, accumulators_of_any_size, 0, 5);
    tcase_add_loop_test(tests, accumulators_of_any_size, 8, 9);
    tcase_add_loop_test(tests, accumulators_larger_than_items, 0, CLUSTERS);
    tests = test_case(suite, "mistakes");
    tcase_add_loop_test(tests, mistakes_are_told, 4, 6);
    return test_main(suite);
}
