/* The examples' matrices: that the reader takes what it should and refuses the
 * rest, in one line that names the place; compressed rows; the generators. */
#include "../examples/matrix.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BANNER "%%MatrixMarket matrix coordinate real general\n"
#define SYMMETRIC "%%MatrixMarket matrix coordinate real symmetric\n"
#define INTEGER "%%MatrixMarket matrix coordinate integer general\n"

static char directory[64], path[80], message[MATRIX_MESSAGE_MAX];
static matrix m;

static void
setup(void)
{
    snprintf(directory, sizeof directory, "/tmp/dsm-test-matrix-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a.mtx", directory);
}

static void
teardown(void)
{
    matrix_free(&m);
    unlink(path);
    rmdir(directory);
}

static int
read_bytes(const char *bytes, size_t size, unsigned flags)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    strcpy(message, "none");
    return matrix_read(&m, path, flags, message);
}

static int
read_text(const char *text, unsigned flags)
{
    return read_bytes(text, strlen(text), flags);
}

/* Entry (i, j), counted from 0; 0 where there is none. */
static double
at(size_t i, size_t j)
{
    for (size_t k = m.start[i]; k < m.start[i + 1]; k++)
        if (m.column[k] == j)
            return m.value[k];
    return 0;
}

static void
assert_compressed(size_t n, size_t entries)
{
    ck_assert_uint_eq(m.n, n);
    ck_assert_uint_eq(m.entries, entries);
    ck_assert_uint_eq(m.start[0], 0);
    ck_assert_uint_eq(m.start[n], entries);
    for (size_t i = 0; i < n; i++)
        for (size_t k = m.start[i]; k < m.start[i + 1]; k++) {
            ck_assert_uint_lt(m.column[k], n);
            if (k > m.start[i])
                ck_assert_uint_lt(m.column[k - 1], m.column[k]);
        }
}

/* A text that is read whole: its size, and the values in the order of rows. */
static void
assert_reads(const char *text, size_t n, const double *values)
{
    size_t entries = 0;

    ck_assert_msg(read_text(text, MATRIX_DIAGONAL) == 0, "%s", message);
    for (size_t k = 0; k < n * n; k++)
        entries += values[k] != 0;
    assert_compressed(n, entries);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            ck_assert_msg(at(i, j) == values[i * n + j], "(%zu, %zu)", i, j);
    matrix_free(&m);
}

START_TEST(reads_general_files)
{
    static const double values[] = {1.5, 0, -2, 0, 3, 0, 4e-3, 0, 5};

    assert_reads(BANNER "3 3 5\n1 1 1.5\n3 3 5\n2 2 3\n1 3 -2\n3 1 4e-3\n", 3,
                 values);
    /* Blank lines, comments, spaces, tabs, CR LF, no last newline. */
    assert_reads(BANNER "%\n% a comment\n\n \t3\t3 5 \r\n%in between\n1 1 1.5"
                        "\r\n\n  3 3 5\n2 2 3\n1 3 -2\n3 1 .4e-2",
                 3, values);
    assert_reads("%%matrixmarket MATRIX Coordinate REAL General\n"
                 "3 3 5\n1 1 1.5\n3 3 5\n2 2 3\n1 3 -2\n3 1 4e-3\n\n\n",
                 3, values);
}
END_TEST

START_TEST(reads_integer_files)
{
    static const double values[] = {2, -1, 7, 4};

    assert_reads(INTEGER "2 2 4\n1 1 2\n1 2 -1\n2 1 +7\n2 2 4\n", 2, values);
}
END_TEST

START_TEST(mirrors_symmetric_files)
{
    static const double values[] = {1, 2, 4, 2, 3, 0, 4, 0, 5};

    assert_reads(SYMMETRIC "3 3 5\n1 1 1\n2 1 2\n2 2 3\n3 1 4\n3 3 5\n", 3,
                 values);
}
END_TEST

START_TEST(reads_the_plain_form)
{
    static const double values[] = {4, -1, 0, 5};

    assert_reads("2 2 3\n1 1 4\n1 2 -1\n2 2 5\n0 0 0\n", 2, values);
    assert_reads("2 2 3\n2 2 5\n1 1 4\n1 2 -1\n", 2, values);
    assert_reads("% of old\n2 2 3\n1 1 4\n1 2 -1\n2 2 5\n0 0 0.0\n%\n\n", 2,
                 values);
}
END_TEST

START_TEST(adds_up_duplicates)
{
    static const double values[] = {3, -2, 0, 1}, mirrored[] = {1, 5, 5, 1};

    assert_reads(BANNER "2 2 5\n1 1 1\n1 2 -3\n2 2 1\n1 1 2\n1 2 1\n", 2,
                 values);
    assert_reads(SYMMETRIC "2 2 4\n2 1 2\n1 1 1\n2 2 1\n2 1 3\n", 2, mirrored);
}
END_TEST

START_TEST(keeps_zeros_beside_the_diagonal)
{
    ck_assert_int_eq(
        read_text(BANNER "2 2 3\n1 1 1\n1 2 0\n2 2 1\n", MATRIX_DIAGONAL), 0);
    assert_compressed(2, 3);
}
END_TEST

START_TEST(diagonal_may_be_missing_unless_asked_for)
{
    ck_assert_int_eq(read_text(BANNER "3 3 1\n3 1 7\n", 0), 0);
    assert_compressed(3, 1);
    ck_assert(at(2, 0) == 7);
    matrix_free(&m);
    ck_assert_int_eq(read_text(BANNER "3 3 0\n", 0), 0);
    assert_compressed(3, 0);
}
END_TEST

/* What must be refused, the line that the message names and words in it. */
static const struct bad {
    const char *text;
    unsigned line;
    const char *words;
} BAD[] = {
    /* Headers. */
    {"", 1, "ends before its size line"},
    {"\n\n", 2, "ends before its size line"},
    {BANNER "% nothing\n", 2, "ends before its size line"},
    {"%%MatrixMarket vector coordinate real general\n", 1, "'vector'"},
    {"%%MatrixMarket matrix array real general\n", 1, "'array'"},
    {"%%MatrixMarket matrix coordinate pattern general\n", 1, "'pattern'"},
    {"%%MatrixMarket matrix coordinate complex general\n", 1, "'complex'"},
    {"%%MatrixMarket matrix coordinate real skew-symmetric\n", 1,
     "'skew-symmetric'"},
    {"%%MatrixMarket matrix coordinate real hermitian\n", 1, "'hermitian'"},
    {"%%MatrixMarket matrix coordinate real\n1 1 1\n1 1 1\n", 1, "expected"},
    {"%%MatrixMarket matrix coordinate real general x\n", 1, "expected"},
    {"%MatrixMarket matrix coordinate real symmetric\n1 1 1\n1 1 1\n", 1,
     "expected '%%MatrixMarket"},
    {"%%MatrixMarket\n", 1, "expected"},
    /* Size lines. */
    {BANNER "2 2\n", 2, "expected the size line"},
    {BANNER "%\n!2 2 3\n", 3, "found '!2 2 3'"},
    {BANNER "2 2 3 4\n", 2, "expected the size line"},
    {BANNER "2.0 2 3\n", 2, "expected the size line"},
    {BANNER "two 2 3\n", 2, "expected the size line"},
    {BANNER "2 3 3\n", 2, "must be square"},
    {"3 2 3\n1 1 1\n0 0 0\n", 1, "must be square"},
    {BANNER "0 0 0\n", 2, "cannot hold"},
    {BANNER "-2 -2 3\n", 2, "cannot hold"},
    {BANNER "2 2 -3\n", 2, "cannot hold"},
    {BANNER "4294967295 4294967295 1\n", 2, "cannot hold"},
    {BANNER "99999999999999999999 99999999999999999999 1\n", 2, "cannot hold"},
    {BANNER "2 2 99999999999999999999\n", 2, "cannot hold"},
    {BANNER "3 3 2\n1 1 1\n2 2 1\n", 2, "too few for a diagonal"},
    {"\x7f"
     "ELF\x02\n",
     1, "found '?ELF?'"},
    /* Entries. */
    {BANNER "2 2 2\n1 1\n", 3, "expected 'row column value'"},
    {BANNER "2 2 2\n1 1 1 1\n", 3, "expected 'row column value'"},
    {BANNER "2 2 2\n1 1 x\n", 3, "found '1 1 x'"},
    {BANNER "2 2 2\n1 1 1,5\n", 3, "expected 'row column value'"},
    {BANNER "2 2 2\n1 1.5 1\n", 3, "expected 'row column value'"},
    {BANNER "2 2 2\n1 1 1\x1b[31m\n", 3, "found '1 1 1?[31m'"},
    {INTEGER "2 2 2\n1 1 1.5\n", 3, "expected 'row column integer'"},
    {INTEGER "2 2 2\n1 1 99999999999999999999\n", 3, "integer"},
    {BANNER "2 2 2\n1 1 1\n3 2 1\n", 4, "entry (3, 2) lies outside of 1 .. 2"},
    {BANNER "2 2 2\n1 1 1\n2 3 1\n", 4, "entry (2, 3) lies outside"},
    {BANNER "2 2 2\n1 0 1\n", 3, "lies outside"},
    {BANNER "2 2 2\n-1 1 1\n", 3, "lies outside"},
    {BANNER "2 2 2\n99999999999999999999 1 1\n", 3, "lies outside"},
    {BANNER "2 2 2\n1 1 nan\n", 3, "not a finite number"},
    {BANNER "2 2 2\n1 1 -inf\n", 3, "not a finite number"},
    {BANNER "2 2 2\n1 1 1e999\n", 3, "not a finite number"},
    {BANNER "2 2 3\n1 1 1e308\n2 2 1\n1 1 1e308\n", 5, "add up to more"},
    {BANNER "2 2 2\n1 1 1\n", 3, "end after 1 of 2"},
    {BANNER "2 2 2\n", 2, "end after 0 of 2"},
    {BANNER "2 2 2\n1 1 1\n2 2 1\n\n1 2 1\n", 6, "more entries than the 2"},
    {SYMMETRIC "2 2 2\n1 1 1\n1 2 1\n", 4, "above the diagonal"},
    {BANNER "2 2 2\n1 1 1\n0 0 0\n", 4, "lies outside"},
    /* The plain form's end. */
    {"2 2 2\n1 1 1\n0 0 0\n", 3, "end after 1 of 2"},
    {"2 2 2\n1 1 1\n2 2 1\n0 0 0\n1 2 1\n", 5, "after the closing line"},
    {"2 2 2\n1 1 1\n0 0 3\n", 3, "lies outside"},
    /* Diagonals. */
    {BANNER "2 2 2\n1 1 0\n2 2 1\n", 3, "the diagonal of row 1 is zero"},
    {BANNER "2 2 3\n1 1 1\n2 2 1\n2 2 -1\n", 5, "of row 2 is zero"},
    {BANNER "2 2 2\n1 1 1\n1 2 1\n", 4, "row 2 has none on the diagonal"},
    {BANNER "3 3 3\n1 2 1\n2 2 1\n3 3 1\n", 5, "row 1 has none"},
};

START_TEST(refuses_in_one_line)
{
    const struct bad *bad = &BAD[_i];
    char place[sizeof path + 16];

    snprintf(place, sizeof place, "%s:%u: ", path, bad->line);
    ck_assert_int_eq(read_text(bad->text, MATRIX_DIAGONAL), -1);
    ck_assert_msg(!strncmp(message, place, strlen(place)), "'%s'", message);
    ck_assert_msg(strstr(message, bad->words) != NULL, "'%s'", message);
    ck_assert_ptr_null(strpbrk(message, "\r\n\033"));
    ck_assert_ptr_null(m.start);
    ck_assert_uint_eq(m.n, 0);
}
END_TEST

START_TEST(refuses_zero_bytes)
{
    static const char text[] = BANNER "1 1 1\n1 1 1\0\n";

    ck_assert_int_eq(read_bytes(text, sizeof text - 1, 0), -1);
    ck_assert_ptr_nonnull(strstr(message, "a.mtx:3: a zero byte"));
}
END_TEST

START_TEST(refuses_what_cannot_be_opened)
{
    ck_assert_int_eq(matrix_read(&m, path, 0, message), -1);
    ck_assert_ptr_nonnull(strstr(message, "a.mtx: No such file"));
    ck_assert_int_eq(matrix_read(&m, directory, 0, message), -1);
    ck_assert_ptr_nonnull(strstr(message, ": Is a directory"));
}
END_TEST

/* By what the size line promises, this would take 100 GB. */
START_TEST(allocates_by_what_is_there)
{
    ck_assert_int_eq(read_text(BANNER "4000000000 4000000000 5000000000\n"
                                      "1 1 1\n",
                               MATRIX_DIAGONAL),
                     -1);
    ck_assert_ptr_nonnull(strstr(message, ":3: the entries end after 1 of"));
}
END_TEST

START_TEST(survives_long_lines_and_names)
{
    static char text[100000], name[3000];

    memset(text, 'x', sizeof text - 1);
    ck_assert_int_eq(read_text(text, 0), -1);
    ck_assert_uint_lt(strlen(message), sizeof path + 200);
    memset(name, 'y', sizeof name - 1);
    ck_assert_int_eq(matrix_read(&m, name, 0, message), -1);
    ck_assert_uint_lt(strlen(message), MATRIX_MESSAGE_MAX);
}
END_TEST

START_TEST(makes_many_entries)
{
    enum { N = 500 };
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fprintf(file, "%s%d %d %d\n", BANNER, N, N, N * N);
    for (int k = 0; k < N * N; k++) { /* 7 is prime to N: each place once */
        int place = (int)((long)k * 7 % (N * N));

        fprintf(file, "%d %d %d\n", place / N + 1, place % N + 1, place + 1);
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(matrix_read(&m, path, MATRIX_DIAGONAL, message), 0);
    assert_compressed(N, N * N);
    for (size_t k = 0; k < m.entries; k++)
        ck_assert(m.value[k] == (double)(k + 1));
}
END_TEST

/* The number of grid points that i and j are apart along the axes, in all. */
static size_t
distance(size_t i, size_t j, const size_t length[3])
{
    size_t apart = 0;

    for (unsigned d = 0; d < 3; d++) {
        size_t a = i % length[d], b = j % length[d];

        apart += a > b ? a - b : b - a;
        i /= length[d];
        j /= length[d];
    }
    return apart;
}

static void
assert_poisson(const char *grid, const size_t length[3], double center)
{
    size_t n = length[0] * length[1] * length[2];

    ck_assert_msg(matrix_poisson(&m, grid, message) == 0, "%s", message);
    assert_compressed(n, m.entries);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            size_t apart = distance(i, j, length);

            ck_assert(at(i, j) == (apart == 0 ? center : apart == 1 ? -1 : 0));
        }
    matrix_free(&m);
}

START_TEST(makes_poisson_matrices)
{
    assert_poisson("4x3", (size_t[]){4, 3, 1}, 4);
    assert_poisson("1x1", (size_t[]){1, 1, 1}, 4);
    assert_poisson("1x7", (size_t[]){1, 7, 1}, 4);
    assert_poisson("2x3x4", (size_t[]){2, 3, 4}, 6);
    assert_poisson("5x1x2", (size_t[]){5, 1, 2}, 6);
}
END_TEST

static const char *const BAD_GRIDS[] = {
    "",
    "5",
    "x",
    "5x",
    "x5",
    "5x0",
    "0x5",
    "5x5x",
    "5x5x5x5",
    "5 x5",
    "-5x5",
    "5x5 ",
    "5,5",
    "5X5",
    "axb",
    "5xx5",
    "65536x65536",
    "4294967295x1",
    "1x-1",
    "99999999999999999999x1",
    "4294967294x4294967294x4294967294",
};

START_TEST(refuses_bad_grids)
{
    ck_assert_int_eq(matrix_poisson(&m, BAD_GRIDS[_i], message), -1);
    ck_assert_ptr_nonnull(strstr(message, "is no grid"));
    ck_assert_ptr_null(m.start);
}
END_TEST

START_TEST(random_rows_are_symmetric_and_dominant)
{
    enum { N = 60 };
    static double a[N][N];

    for (size_t i = 0; i < N; i++)
        matrix_random_row(a[i], N, i, 3);
    for (size_t i = 0; i < N; i++) {
        double sum = 0, signed_sum = 0;

        for (size_t j = 0; j < N; j++) {
            ck_assert(a[i][j] == a[j][i]);
            ck_assert(i == j || (a[i][j] >= -1 && a[i][j] < 1));
            sum += i == j ? 0 : fabs(a[i][j]);
            signed_sum += i == j ? 0 : a[i][j];
        }
        ck_assert(fabs(signed_sum) < 0.5 * sum);
        ck_assert(a[i][i] > sum);
        ck_assert(sum > 0.3 * N && sum < 0.7 * N);
    }
}
END_TEST

START_TEST(random_rows_depend_on_their_seed_alone)
{
    double first[20], again[20], other[20], single;

    matrix_random_row(first, 20, 4, 1);
    matrix_random_row(again, 20, 4, 1);
    matrix_random_row(other, 20, 4, 2);
    ck_assert_int_eq(memcmp(first, again, sizeof first), 0);
    ck_assert_int_ne(memcmp(first, other, sizeof first), 0);
    matrix_random_row(&single, 1, 0, 1);
    ck_assert(single == 1);
}
END_TEST

static Suite *
suite(void)
{
    Suite *s = suite_create("matrix");
    TCase *reader = tcase_create("reader"), *maker = tcase_create("generators");

    suite_add_tcase(s, reader);
    tcase_add_checked_fixture(reader, setup, teardown);
    tcase_add_test(reader, reads_general_files);
    tcase_add_test(reader, reads_integer_files);
    tcase_add_test(reader, mirrors_symmetric_files);
    tcase_add_test(reader, reads_the_plain_form);
    tcase_add_test(reader, adds_up_duplicates);
    tcase_add_test(reader, keeps_zeros_beside_the_diagonal);
    tcase_add_test(reader, diagonal_may_be_missing_unless_asked_for);
    tcase_add_loop_test(reader, refuses_in_one_line, 0,
                        (int)(sizeof BAD / sizeof *BAD));
    tcase_add_test(reader, refuses_zero_bytes);
    tcase_add_test(reader, refuses_what_cannot_be_opened);
    tcase_add_test(reader, allocates_by_what_is_there);
    tcase_add_test(reader, survives_long_lines_and_names);
    tcase_add_test(reader, makes_many_entries);
    suite_add_tcase(s, maker);
    tcase_add_test(maker, makes_poisson_matrices);
    tcase_add_loop_test(maker, refuses_bad_grids, 0,
                        (int)(sizeof BAD_GRIDS / sizeof *BAD_GRIDS));
    tcase_add_test(maker, random_rows_are_symmetric_and_dominant);
    tcase_add_test(maker, random_rows_depend_on_their_seed_alone);
    return s;
}

int
main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
