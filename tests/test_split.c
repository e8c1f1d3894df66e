/* Splits: that the parts of each kind cover 0 .. n-1 once, in the promised
 * sizes, up to the largest n; that the permutations are permutations, look
 * random and are the same everywhere. */
#include <dsm/split.h>

#include <check.h>
#include <math.h>
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

/* Elements made many at once are those made singly: also at the ends of what is
 * made at once, and where nearly none or half of them walk on. */
START_TEST(indices_are_the_single_elements)
{
    static const size_t sizes[] = {1,    2,     31,    512,    513,
                                   1000, 32769, 65536, 262100, (1 << 20) + 1};
    size_t n = sizes[_i], *indices = malloc((n / 3 + 1) * sizeof *indices);

    for (unsigned part = 0; part < 3; part++) {
        size_t first = dsm_split(n, 3, part).begin;
        size_t count =
            dsm_split_indices(indices, n, 3, part, DSM_SPLIT_RANDOM, 9);

        for (size_t i = 0; i < count; i++)
            if (indices[i] != dsm_split_random(first + i, n, 9))
                ck_abort_msg("n %zu: element %zu", n, first + i);
    }
    free(indices);
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
    static const size_t elements[] = {482, 725, 776, 335, 498, 206, 312, 451};

    for (size_t i = 0; i < 8; i++)
        ck_assert_uint_eq(dsm_split_random(i, 1000, 2024), elements[i]);
    ck_assert_uint_eq(dsm_split_random(5, 1000000, 2024), 75969);
    ck_assert_uint_eq(dsm_split_random(5, SIZE_MAX, 2024),
                      UINT64_C(1547434294714593105));
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

/* The rank of the permutation of n among all n! in lexical order. */
static size_t
order_of(size_t n, uint64_t seed)
{
    size_t elements[8], rank = 0;

    for (size_t i = 0; i < n; i++)
        elements[i] = dsm_split_random(i, n, seed);
    for (size_t i = 0; i < n; i++) {
        size_t smaller = 0;

        for (size_t j = i + 1; j < n; j++)
            smaller += elements[j] < elements[i];
        rank = rank * (n - i) + smaller;
    }
    return rank;
}

/* Over many seeds, all n! orders should come equally often. */
START_TEST(random_orders_are_uniform)
{
    static const struct {
        size_t n, orders;
        double limit;
    } cases[] = {{2, 2, 16},       {3, 6, 26},    {4, 24, 58},
                 {5, 120, 183},    {6, 720, 866}, {7, 5040, 5421},
                 {8, 40320, 41382}};
    enum { SEEDS_PER_ORDER = 20 };
    static unsigned counts[40320];
    size_t orders = cases[_i].orders;

    for (uint64_t seed = 0; seed < SEEDS_PER_ORDER * orders; seed++)
        counts[order_of(cases[_i].n, seed)]++;
    ck_assert_double_lt(chi_square(counts, orders, SEEDS_PER_ORDER),
                        cases[_i].limit);
}
END_TEST

/* In one large permutation, where an element goes should tell nothing about
 * where one at a distance goes: a neighbour, or one that differs in one half of
 * its bits alone. */
START_TEST(random_neighbours_part)
{
    enum { CELLS = 16, N = 1 << 20 };
    static const size_t distances[] = {1, 2, 1023, 1024, 1025, N / 2};
    size_t pairs = N - distances[_i];
    unsigned counts[CELLS * CELLS] = {0};
    size_t *places = malloc(N * sizeof *places);

    dsm_split_indices(places, N, 1, 0, DSM_SPLIT_RANDOM, 5);
    for (size_t i = 0; i < pairs; i++)
        counts[places[i] * CELLS / N * CELLS +
               places[i + distances[_i]] * CELLS / N]++;
    free(places);
    ck_assert_double_lt(
        chi_square(counts, CELLS * CELLS, (double)pairs / (CELLS * CELLS)),
        348);
}
END_TEST

/* Whether a bit of `i` is set or not should turn each bit of its place in half
 * of the cases. */
START_TEST(random_bits_avalanche)
{
    enum { BITS = 20, N = 1 << BITS, TRIALS = 20000 };

    for (unsigned bit = 0; bit < BITS; bit++) {
        unsigned turned[BITS] = {0};

        for (size_t trial = 0; trial < TRIALS; trial++) {
            size_t i = trial * 7919 % N;
            size_t change = dsm_split_random(i, N, trial) ^
                            dsm_split_random(i ^ (size_t)1 << bit, N, trial);

            for (unsigned k = 0; k < BITS; k++)
                turned[k] += (unsigned)(change >> k & 1);
        }
        /* 4.5 standard deviations, for the largest of 400. */
        for (unsigned k = 0; k < BITS; k++)
            ck_assert_double_lt(fabs(turned[k] - TRIALS / 2.0),
                                4.5 * sqrt(TRIALS) / 2);
    }
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
    tcase_add_loop_test(tests, indices_are_the_single_elements, 0, 10);
    tcase_add_test(tests, random_is_a_permutation);
    tcase_add_test(tests, random_takes_the_largest_n);
    tcase_add_test(tests, random_out_of_range_is_n);
    tcase_add_test(tests, random_is_the_same_everywhere);
    tcase_add_test(tests, random_places_are_uniform);
    tcase_add_loop_test(tests, random_orders_are_uniform, 0, 7);
    tcase_add_loop_test(tests, random_neighbours_part, 0, 6);
    tcase_add_test(tests, random_bits_avalanche);
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
