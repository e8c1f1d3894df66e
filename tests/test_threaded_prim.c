/* Primitives whose workers pass something on while they run, prefixes or shares
 * of a loop, with threads for processes: see threaded.h. */
#include "threaded.h"

#include "array/array.h"
#include "prim/collective.h"

#include <dsm/primitives.h>

/* ---- Arrays of the test's own, behind what the control segment uses. */

#define ROOM ((size_t)6 << 20)

/* Slots of the table that nobody else takes. */
static dsm_array *
lay_out(uint64_t k, size_t offset, dsm_type type, size_t n)
{
    dsm_array *array = (dsm_array *)dsm__slot(control, 16 + k);

    memset(array, 0, sizeof *array);
    array->object.state = DSM__LIVE;
    array->object.self = (uintptr_t)array - (uintptr_t)control;
    array->data = SIZE - ROOM + offset;
    array->type = type;
    array->item_size = dsm_type_size(type);
    array->count = n;
    return array;
}

static void
spawn_with_room(void)
{
    spawn();
    ck_assert_uint_lt(control->arena_top, SIZE - ROOM);
    /* A process of workers has this once. */
    dsm__space_populate(&cluster.member.space, control, 1);
}

/* ---- Prefixes. */

static size_t
some_blocks(int k)
{
    return (size_t)(1 + k % 9) * dsm__block_items(sizeof(int64_t)) -
           (size_t)(k % 3 * 1000);
}

START_TEST(prefixes_are_passed_on)
{
    dsm_array *in, *out;
    int64_t *x, *sums;

    spawn_with_room();
    for (int k = 0; k < rounds() / 20; k++) {
        size_t n = some_blocks(k);
        bool right = true;

        in = lay_out(0, 0, DSM_INT64, n);
        out = lay_out(1, ROOM / 2, DSM_INT64, n);
        x = dsm_array_data(in);
        sums = dsm_array_data(out);
        for (size_t i = 0; i < n; i++)
            x[i] = (int64_t)i + k;
        ck_dsm(dsm_scan(&cluster, k % 2 ? out : in, in, &DSM_SUM,
                        DSM_SCAN_INCLUSIVE));
        for (size_t i = 0; i < n; i++)
            right &= (k % 2 ? sums : x)[i] ==
                     (int64_t)((i + 1) * i / 2) + k * (int64_t)(i + 1);
        ck_assert(right);
    }
    end_spawn();
}
END_TEST

static void
keep_thirds(uint8_t *keep, const void *in, size_t n, const void *arg)
{
    const int64_t *x = in;

    (void)arg;
    for (size_t i = 0; i < n; i++)
        keep[i] = x[i] % 3 == 0;
}

START_TEST(counts_are_passed_on)
{
    dsm_array *in, *out;
    int64_t *x, *kept;

    spawn_with_room();
    for (int k = 0; k < rounds() / 20; k++) {
        size_t n = some_blocks(k), count;
        bool right = true;

        in = lay_out(0, 0, DSM_INT64, n);
        out = lay_out(1, ROOM / 2, DSM_INT64, n);
        x = dsm_array_data(in);
        kept = dsm_array_data(out);
        for (size_t i = 0; i < n; i++)
            x[i] = (int64_t)i;
        ck_dsm(dsm_filter(&cluster, out, &count, in, keep_thirds, NULL, 0));
        ck_assert_uint_eq(count, (n + 2) / 3);
        for (size_t i = 0; i < count; i++)
            right &= kept[i] == 3 * (int64_t)i;
        ck_assert(right);
    }
    end_spawn();
}
END_TEST

/* One dies before the others have its prefix. */
struct death_at {
    int64_t item;
};

static void
add_or_die(void *acc, const void *right, const void *arg)
{
    const struct death_at *death_at = arg;
    const int64_t *x = right;

    if (*x == death_at->item)
        die();
    *(int64_t *)acc += *x;
}

START_TEST(a_prefix_is_lost)
{
    size_t n = some_blocks(8);
    int64_t zero = 0, *x;
    struct death_at death_at;
    dsm_op op = {.size = sizeof zero,
                 .identity = &zero,
                 .combine = add_or_die,
                 .arg = &death_at,
                 .arg_size = sizeof death_at};

    spawn_with_room();
    for (int k = 0; k < rounds() / 40; k++) {
        dsm_array *in = lay_out(0, 0, DSM_INT64, n);
        dsm_array *out = lay_out(1, ROOM / 2, DSM_INT64, n);

        x = dsm_array_data(in);
        for (size_t i = 0; i < n; i++)
            x[i] = -(int64_t)i - 1;
        death_at.item = -(int64_t)(n / 9 * (size_t)(k % 9)) - 1;
        ck_dsm_error(dsm_scan(&cluster, out, in, &op, DSM_SCAN_EXCLUSIVE),
                     DSM_EWORKER, "died");
        death_at.item = 1;
        ck_dsm(dsm_scan(&cluster, out, in, &op, DSM_SCAN_EXCLUSIVE));
        x = dsm_array_data(out);
        ck_assert_int_eq(x[n - 1], -(int64_t)(n * (n - 1) / 2));
    }
    end_spawn();
}
END_TEST

/* ---- Shares of a loop: who has an item has it alone. */

static int items[5000];

static void
count_items(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self;
    for (size_t i = begin; i < end; i++) {
        items[i]++;
        /* Some are slow, so that others come for what is left. */
        for (volatile int k = *(const int *)arg && i < 300 ? 2000 : 0; k > 0;)
            k = k - 1;
    }
}

START_TEST(items_are_shared_out)
{
    spawn();
    memset(items, 0, sizeof items);
    for (int k = 1; k <= rounds() / 2; k++) {
        int uneven = k % 2;
        size_t n = k % 7 ? 5000 : (size_t)k;

        for (size_t i = n; i < 5000; i++)
            items[i]++;
        ck_dsm(dsm_for(&cluster, n, (dsm_schedule)_i, (size_t)(k % 3),
                       count_items, &uneven, sizeof uneven));
        for (size_t i = 0; i < 5000; i++)
            if (items[i] != k)
                ck_abort_msg("item %zu was done %d times, not %d", i, items[i],
                             k);
    }
    end_spawn();
}
END_TEST

static void
die_in_the_middle(dsm_worker *self, size_t begin, size_t end, const void *arg)
{
    (void)self, (void)arg;
    for (size_t i = begin; i < end; i++)
        if (i == 2500)
            die();
}

START_TEST(a_share_is_lost)
{
    int uneven = 0;

    spawn();
    for (int k = 0; k < rounds() / 10; k++) {
        ck_dsm_error(dsm_for(&cluster, 5000, (dsm_schedule)_i, 1,
                             die_in_the_middle, NULL, 0),
                     DSM_EWORKER, "died");
        ck_dsm(dsm_for(&cluster, 5000, (dsm_schedule)_i, 1, count_items,
                       &uneven, sizeof uneven));
    }
    end_spawn();
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("threaded, primitives");
    TCase *tests = test_case(suite, "relay");

    tcase_add_test(tests, prefixes_are_passed_on);
    tcase_add_test(tests, counts_are_passed_on);
    tcase_add_test(tests, a_prefix_is_lost);
    tests = test_case(suite, "loop");
    tcase_add_loop_test(tests, items_are_shared_out, 0, 5);
    tcase_add_loop_test(tests, a_share_is_lost, 0, 5);
    return test_main(suite);
}
