/* Splits: that the parts of each kind cover 0 .. n-1 once, in the promised
 * sizes, up to the largest n; that the permutations are permutations, look
 * random and are the same everywhere. */
#include <dsm/split.h>

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t
length(dsm_range range)
{
    return range.end - range.begin;
}

/* Whether the parts join without gaps and none is larger than the one before
 * it, or by more than one smaller than the first. */
static bool
ranges_join(size_t n, unsigned parts)
{
    size_t next = 0, before = (n + parts - 1) / parts;

    for (unsigned k = 0; k < parts; k++) {
        dsm_range range = dsm_split(n, parts, k);

        if (range.begin != next || length(range) < n / parts ||
            length(range) > before)
            return false;
        before = length(range);
        next = range.end;
    }
    return next == n;
}

START_TEST(ranges_join_and_differ_by_one)
{
    for (size_t n = 0; n < 70; n++)
        for (unsigned parts = 1; parts < 20; parts++)
            ck_assert_msg(ranges_join(n, parts), "%zu / %u", n, parts);
}
END_TEST

START_TEST(largest_ranges_do_not_overflow)
{
    unsigned parts = UINT32_MAX, half = parts / 2;
    dsm_range last = dsm_split(SIZE_MAX, parts, parts - 1);

    ck_assert_uint_eq(last.end, SIZE_MAX);
    ck_assert_uint_eq(length(last), SIZE_MAX / parts);
    ck_assert_uint_eq(dsm_split(SIZE_MAX, parts, half).end,
                      dsm_split(SIZE_MAX, parts, half + 1).begin);
    ck_assert_uint_eq(dsm_split(SIZE_MAX, 1, 0).end, SIZE_MAX);
    ck_assert_uint_eq(dsm_split(SIZE_MAX, 2, 0).end, SIZE_MAX / 2 + 1);
}
END_TEST

START_TEST(no_such_part_is_empty)
{
    size_t nothing = 77;

    ck_assert_uint_eq(dsm_split(10, 0, 0).end, 0);
    ck_assert_uint_eq(dsm_split(10, 3, 3).begin, 0);
    ck_assert_uint_eq(dsm_split(10, 3, 3).end, 0);
    for (int kind = DSM_SPLIT_BLOCK; kind <= DSM_SPLIT_RANDOM; kind++) {
        ck_assert_uint_eq(
            dsm_split_indices(&nothing, 10, 0, 0, (dsm_split_kind)kind, 1), 0);
        ck_assert_uint_eq(
            dsm_split_indices(&nothing, 10, 3, 3, (dsm_split_kind)kind, 1), 0);
    }
    ck_assert_uint_eq(nothing, 77);
}
END_TEST

/* Marks the indices of one part; whether each is new.  (ck_assert is too slow
 * for such loops.) */
static bool
mark(bool *seen, size_t n, unsigned parts, unsigned part, dsm_split_kind kind)
{
    size_t promised = length(dsm_split(n, parts, part));
    size_t *indices = malloc((promised + 1) * sizeof *indices);
    bool fine = true;

    indices[promised] = 12345;
    ck_assert_uint_eq(dsm_split_indices(indices, n, parts, part, kind, 42),
                      promised);
    ck_assert_uint_eq(indices[promised], 12345);
    for (size_t i = 0; fine && i < promised; i++) {
        fine = indices[i] < n && !seen[indices[i]];
        if (fine)
            seen[indices[i]] = true;
    }
    free(indices);
    return fine;
}

START_TEST(indices_cover_all_once)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 16, 17, 100, 1000, 65537};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (unsigned parts = 1; parts < 9; parts++) {
            size_t n = sizes[s];
            bool *seen = calloc(n + 1, sizeof *seen);

            for (unsigned k = 0; k < parts; k++)
                ck_assert(mark(seen, n, parts, k, (dsm_split_kind)_i));
            ck_assert_ptr_null(memchr(seen, false, n));
            free(seen);
        }
    }
}
END_TEST

START_TEST(kinds_order_indices_as_documented)
{
    size_t indices[4];
    dsm_range range = dsm_split(11, 3, 1);

    ck_assert_uint_eq(dsm_split_indices(indices, 11, 3, 1, DSM_SPLIT_BLOCK, 0),
                      4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(indices[i], 4 + i);
    ck_assert_uint_eq(dsm_split_indices(indices, 11, 3, 1, DSM_SPLIT_CYCLIC, 0),
                      4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(indices[i], 1 + 3 * i);
    ck_assert_uint_eq(dsm_split_indices(indices, 11, 3, 1, DSM_SPLIT_RANDOM, 7),
                      4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(indices[i], dsm_split_random(range.begin + i, 11, 7));
}
END_TEST

static bool
is_permutation(size_t n, uint64_t seed)
{
    bool seen[1200] = {false};

    for (size_t i = 0; i < n; i++) {
        size_t element = dsm_split_random(i, n, seed);

        if (element >= n || seen[element])
            return false;
        seen[element] = true;
    }
    return true;
}

START_TEST(random_is_a_permutation)
{
    for (size_t n = 1; n < 1200; n = n < 70 ? n + 1 : n * 3 / 2)
        for (uint64_t seed = 0; seed < 8; seed++)
            ck_assert_msg(is_permutation(n, seed), "n %zu", n);
}
END_TEST

START_TEST(random_takes_the_largest_n)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 2,
                                   SIZE_MAX / 4 + 1, SIZE_MAX / 4 + 2};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s], elements[40];

        for (size_t i = 0; i < 40; i++) {
            elements[i] = dsm_split_random(i < 20 ? i : n - i + 19, n, 3);
            ck_assert_uint_lt(elements[i], n);
            for (size_t j = 0; j < i; j++)
                if (elements[i] == elements[j])
                    ck_abort_msg("n %zu: %zu comes twice", n, elements[i]);
        }
    }
}
END_TEST

START_TEST(random_out_of_range_is_n)
{
    ck_assert_uint_eq(dsm_split_random(0, 0, 1), 0);
    ck_assert_uint_eq(dsm_split_random(10, 10, 1), 10);
    ck_assert_uint_eq(dsm_split_random(SIZE_MAX, 10, 1), 10);
    ck_assert_uint_eq(dsm_split_random(SIZE_MAX, SIZE_MAX, 1), SIZE_MAX);
}
END_TEST

/* So that nobody changes the permutation, on which users' results depend. */
START_TEST(random_is_the_same_everywhere)
{
    static const size_t elements[] = {863, 375, 826, 745, 494, 561, 277, 455};

    for (size_t i = 0; i < 8; i++)
        ck_assert_uint_eq(dsm_split_random(i, 1000, 2024), elements[i]);
    ck_assert_uint_eq(dsm_split_random(5, SIZE_MAX, 2024),
                      UINT64_C(3970178124707341240));
}
END_TEST

/* The sum of (observed - expected)^2 / expected. */
static double
chi_square(const unsigned *counts, size_t cells, double expected)
{
    double sum = 0;

    for (size_t i = 0; i < cells; i++)
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    return sum;
}

/* Over many seeds, each element should come to each place equally often.  The
 * limits below are the 99.99 % quantiles; the seeds are fixed, so that the
 * outcome is, too. */
START_TEST(random_places_are_uniform)
{
    enum { N = 11, SEEDS = 20000 };
    static unsigned counts[N][N];

    for (uint64_t seed = 0; seed < SEEDS; seed++)
        for (size_t i = 0; i < N; i++)
            counts[i][dsm_split_random(i, N, seed)]++;
    for (size_t i = 0; i < N; i++)
        ck_assert_double_lt(chi_square(counts[i], N, SEEDS / (double)N), 36);
}
END_TEST

/* All 24 orders of 4 should come equally often. */
START_TEST(random_orders_are_uniform)
{
    enum { SEEDS = 24000 };
    unsigned counts[64] = {0}, orders[24], found = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++)
        counts[dsm_split_random(0, 4, seed) * 16 +
               dsm_split_random(1, 4, seed) * 4 +
               dsm_split_random(2, 4, seed)]++;
    for (size_t i = 0; i < 64; i++)
        if (counts[i] > 0 && found < 24)
            orders[found++] = counts[i];
    ck_assert_uint_eq(found, 24);
    ck_assert_double_lt(chi_square(orders, 24, SEEDS / 24.0), 58);
}
END_TEST

/* In one large permutation, where the neighbour of an element goes should tell
 * nothing about where it went itself. */
START_TEST(random_neighbours_part)
{
    enum { CELLS = 16, N = 100000 };
    unsigned counts[CELLS * CELLS] = {0};

    for (size_t i = 0; i + 1 < N; i++)
        counts[dsm_split_random(i, N, 5) * CELLS / N * CELLS +
               dsm_split_random(i + 1, N, 5) * CELLS / N]++;
    ck_assert_double_lt(
        chi_square(counts, CELLS * CELLS, (N - 1.0) / (CELLS * CELLS)), 348);
}
END_TEST

static Suite *
split_suite(void)
{
    Suite *suite = suite_create("split");
    TCase *tests = tcase_create("split");

    tcase_add_test(tests, ranges_join_and_differ_by_one);
    tcase_add_test(tests, largest_ranges_do_not_overflow);
    tcase_add_test(tests, no_such_part_is_empty);
    tcase_add_loop_test(tests, indices_cover_all_once, DSM_SPLIT_BLOCK,
                        DSM_SPLIT_RANDOM + 1);
    tcase_add_test(tests, kinds_order_indices_as_documented);
    tcase_add_test(tests, random_is_a_permutation);
    tcase_add_test(tests, random_takes_the_largest_n);
    tcase_add_test(tests, random_out_of_range_is_n);
    tcase_add_test(tests, random_is_the_same_everywhere);
    tcase_add_test(tests, random_places_are_uniform);
    tcase_add_test(tests, random_orders_are_uniform);
    tcase_add_test(tests, random_neighbours_part);
    suite_add_tcase(suite, tests);
    return suite;
}

int
main(void)
{
    SRunner *runner = srunner_create(split_suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
