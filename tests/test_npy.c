/* Item types and the .npy header: what is written to the byte, which spellings
 * are read and which refused with which advice, that no bytes beyond the buffer
 * are looked at, and that NumPy, where there is one, agrees in both directions.
 */
#include "base/type.h"
#include "shm/npy.h"

#include <dsm/error.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE "<"
#define SWAPPED ">"
#else
#define NATIVE ">"
#define SWAPPED "<"
#endif

/* ---- Types. */

START_TEST(types_have_sizes_and_names)
{
    ck_assert_uint_eq(dsm_type_size(DSM_BOOL), 1);
    ck_assert_uint_eq(dsm_type_size(DSM_UINT16), 2);
    ck_assert_uint_eq(dsm_type_size(DSM_FLOAT32), 4);
    ck_assert_uint_eq(dsm_type_size(DSM_COMPLEX64), 8);
    ck_assert_uint_eq(dsm_type_size(DSM_COMPLEX128), 16);
    ck_assert_uint_eq(dsm_type_size(DSM_STRUCT(1)), 1);
    ck_assert_uint_eq(dsm_type_size(DSM_STRUCT(INT32_MAX)), INT32_MAX);
    ck_assert_str_eq(dsm_type_name(DSM_BOOL), "bool");
    ck_assert_str_eq(dsm_type_name(DSM_UINT64), "uint64");
    ck_assert_str_eq(dsm_type_name(DSM_COMPLEX128), "complex128");
    ck_assert_str_eq(dsm_type_name(DSM_STRUCT(24)), "struct");
    ck_assert(dsm__type_valid(DSM_INT8));
    ck_assert(dsm__type_valid(DSM_STRUCT(3)));
    ck_assert(dsm__type_is_struct(DSM_STRUCT(3)));
    ck_assert(!dsm__type_is_struct(DSM_COMPLEX128));
}
END_TEST

START_TEST(what_is_no_type_has_none)
{
    static const dsm_type none[] = {DSM_ANY, DSM_COMPLEX128 + 1, INT32_MAX,
                                    DSM_STRUCT(0)};

    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        ck_assert(!dsm__type_valid(none[i]));
        ck_assert_uint_eq(dsm_type_size(none[i]), 0);
        ck_assert_str_eq(dsm_type_name(none[i]), "?");
    }
}
END_TEST

/* ---- Describing. */

START_TEST(set_measures)
{
    struct dsm__npy npy;

    ck_assert_int_eq(dsm__npy_set(&npy, DSM_FLOAT64, 2, (const size_t[]){3, 4}),
                     0);
    ck_assert_uint_eq(npy.count, 12);
    ck_assert_uint_eq(npy.bytes, 96);
    ck_assert_uint_eq(npy.header_size, 4096);
    ck_assert(!npy.fortran);
    ck_assert_int_eq(dsm__npy_set(&npy, DSM_STRUCT(24), 0, NULL), 0);
    ck_assert_uint_eq(npy.count, 1);
    ck_assert_uint_eq(npy.bytes, 24);
    ck_assert_int_eq(
        dsm__npy_set(&npy, DSM_INT16, 3, (const size_t[]){5, 0, 7}), 0);
    ck_assert_uint_eq(npy.count, 0);
    ck_assert_uint_eq(npy.bytes, 0);
    ck_assert_uint_eq(npy.shape[2], 7);
    ck_assert_int_eq(
        dsm__npy_set(&npy, DSM_INT8, 1, (const size_t[]){SIZE_MAX / 2}), 0);
    ck_assert_uint_eq(npy.bytes, SIZE_MAX / 2);
}
END_TEST

static void
refuse(dsm_type type, unsigned ndim, const size_t *shape, const char *because)
{
    struct dsm__npy npy;

    ck_assert_int_eq(dsm__npy_set(&npy, type, ndim, shape), -EINVAL);
    ck_assert_msg(strstr(dsm_last_error(), because), "%s", dsm_last_error());
}

START_TEST(set_refuses)
{
    static const size_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const size_t half = SIZE_MAX / 2;
    struct dsm__npy npy;

    ck_assert_int_eq(dsm__npy_set(&npy, DSM_INT8, 8, nine), 0);
    refuse(DSM_INT8, 9, nine, "at most 8 dimensions");
    refuse(DSM_INT8, 1, NULL, "needs a shape");
    refuse(DSM_ANY, 1, nine, "no item type");
    refuse(DSM_STRUCT(0), 1, nine, "no item type");
    refuse(DSM_COMPLEX128 + 1, 1, nine, "no item type");
    refuse(DSM_INT8, 1, (const size_t[]){half + 1}, "too large");
    refuse(DSM_INT64, 1, (const size_t[]){half / 8 + 1}, "too large");
    refuse(DSM_INT8, 2, (const size_t[]){1UL << 32, 1UL << 32}, "too large");
    refuse(DSM_INT8, 3, (const size_t[]){0, half, half}, "too large");
}
END_TEST

/* ---- Writing. */

static void
expect_text(dsm_type type, unsigned ndim, const size_t *shape, const char *text)
{
    struct dsm__npy npy;
    char header[4096 + 1];
    size_t length = strlen(text);

    header[4096] = 'x';
    ck_assert_int_eq(dsm__npy_set(&npy, type, ndim, shape), 0);
    dsm__npy_write(header, &npy);
    ck_assert_int_eq(header[4096], 'x');
    ck_assert_mem_eq(header, "\x93NUMPY\1\0\xf6\x0f", 10);
    header[4096] = '\0';
    ck_assert_int_eq(strncmp(header + 10, text, length), 0);
    ck_assert_uint_eq(strspn(header + 10 + length, " "), 4085 - length);
    ck_assert_str_eq(header + 4095, "\n");
}

START_TEST(write_is_as_numpy_writes)
{
    const size_t shape[8] = {3, 4, 0, 5, 6, 7, 8, 9};

    expect_text(DSM_FLOAT64, 2, shape,
                "{'descr': '" NATIVE "f8', 'fortran_order': False, 'shape': "
                "(3, 4), }");
    expect_text(DSM_INT16, 1, shape,
                "{'descr': '" NATIVE "i2', 'fortran_order': False, 'shape': "
                "(3,), }");
    expect_text(DSM_COMPLEX128, 0, NULL,
                "{'descr': '" NATIVE "c16', 'fortran_order': False, 'shape': "
                "(), }");
    expect_text(DSM_BOOL, 3, shape,
                "{'descr': '|b1', 'fortran_order': False, 'shape': "
                "(3, 4, 0), }");
    expect_text(DSM_INT8, 1, shape,
                "{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }");
    expect_text(DSM_UINT8, 1, shape,
                "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }");
    expect_text(DSM_STRUCT(24), 8, shape,
                "{'descr': '|V24', 'fortran_order': False, 'shape': "
                "(3, 4, 0, 5, 6, 7, 8, 9), }");
}
END_TEST

START_TEST(write_has_room_for_the_longest)
{
    size_t shape[8] = {0, SIZE_MAX / 2 / 8, 1, 1, 1, 1, 1, 1};
    struct dsm__npy npy, back;
    char header[4096];

    ck_assert_int_eq(dsm__npy_set(&npy, DSM_FLOAT64, 8, shape), 0);
    /* Longer than any that set lets through. */
    npy.type = DSM_STRUCT(INT32_MAX);
    for (unsigned i = 0; i < 8; i++)
        npy.shape[i] = SIZE_MAX;
    dsm__npy_write(header, &npy);
    ck_assert_ptr_nonnull(memmem(header, 4096, "), }  ", 6));
    ck_assert_int_eq(header[4095], '\n');
    ck_assert_int_eq(dsm__npy_parse(&back, header, 4096), DSM_EFORMAT);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), "too large"));
}
END_TEST

/* ---- Reading. */

/* Parses a copy that ends where the file does, so that AddressSanitizer sees
 * every byte read beyond it. */
static int
parse(struct dsm__npy *npy, const void *file, size_t length)
{
    void *copy = malloc(length);
    int error;

    if (length > 0)
        memcpy(copy, file, length);
    error = dsm__npy_parse(npy, copy, length);
    free(copy);
    return error;
}

/* Makes the beginning of a file; returns its length. */
static size_t
make_file(char *file, unsigned version, const char *text)
{
    size_t length = strlen(text), start = version == 1 ? 10 : 12;

    memcpy(file, "\x93NUMPY", 6);
    file[6] = (char)version;
    file[7] = 0;
    file[8] = (char)(length & 0xff);
    file[9] = (char)(length >> 8 & 0xff);
    file[10] = (char)(length >> 16 & 0xff);
    file[11] = 0;
    memcpy(file + start, text, length);
    return start + length;
}

static int
parse_text(struct dsm__npy *npy, unsigned version, const char *text)
{
    char *file = malloc(12 + strlen(text));
    int error = parse(npy, file, make_file(file, version, text));

    free(file);
    return error;
}

/* That the text describes float64 of shape (3, 4). */
static void
expect_3_4(const char *text)
{
    for (unsigned version = 1; version <= 3; version++) {
        struct dsm__npy npy;

        ck_assert_msg(parse_text(&npy, version, text) == 0, "%s: %s", text,
                      dsm_last_error());
        ck_assert_uint_eq(npy.type, DSM_FLOAT64);
        ck_assert_uint_eq(npy.ndim, 2);
        ck_assert_uint_eq(npy.shape[0], 3);
        ck_assert_uint_eq(npy.shape[1], 4);
        ck_assert_uint_eq(npy.count, 12);
        ck_assert_uint_eq(npy.bytes, 96);
        ck_assert_uint_eq(npy.header_size,
                          (version == 1 ? 10 : 12) + strlen(text));
        ck_assert(!npy.fortran);
    }
}

START_TEST(parse_takes_any_spelling)
{
    expect_3_4("{'descr': '" NATIVE "f8', 'fortran_order': False, 'shape': "
               "(3, 4), }                  \n");
    expect_3_4("{'descr': '=f8', 'fortran_order': False, 'shape': (3, 4)}");
    expect_3_4("{'descr': 'f8', 'fortran_order': False, 'shape': (3, 4,)}\n");
    expect_3_4("{'shape':(3,4),'fortran_order':False,'descr':'=f8'}");
    expect_3_4("{\"shape\": (3, 4), \"descr\": \"=f8\", "
               "\"fortran_order\": False}");
    expect_3_4(" \n{ 'fortran_order' :\tFalse ,\n 'shape' : ( 3 , 4 , ) ,\r\n"
               " 'descr' :'=f8' , } ");
}
END_TEST

START_TEST(parse_takes_what_it_wrote)
{
    static const size_t shape[] = {2, 0, 3, 4, 5, 6, 7, 8};

    for (dsm_type type = 0; type <= DSM_COMPLEX128; type++) {
        for (unsigned ndim = 0; ndim <= 8; ndim++) {
            struct dsm__npy npy, back;
            char header[4096];
            dsm_type written = type ? type : DSM_STRUCT(17);

            ck_assert_int_eq(dsm__npy_set(&npy, written, ndim, shape), 0);
            dsm__npy_write(header, &npy);
            ck_assert_int_eq(parse(&back, header, sizeof header), 0);
            ck_assert_uint_eq(back.type, npy.type);
            ck_assert_uint_eq(back.ndim, npy.ndim);
            ck_assert_mem_eq(back.shape, npy.shape, sizeof npy.shape);
            ck_assert_uint_eq(back.count, npy.count);
            ck_assert_uint_eq(back.bytes, npy.bytes);
            ck_assert_uint_eq(back.header_size, 4096);
        }
    }
}
END_TEST

START_TEST(parse_takes_fortran_order_of_one_dimension)
{
    struct dsm__npy npy;

    ck_assert_int_eq(
        parse_text(&npy, 1,
                   "{'descr': '|u1', 'fortran_order': True, 'shape': (5,), }"),
        0);
    ck_assert(npy.fortran);
    ck_assert_int_eq(
        parse_text(&npy, 1,
                   "{'descr': '|u1', 'fortran_order': True, 'shape': ()}"),
        0);
    ck_assert_uint_eq(npy.ndim, 0);
    ck_assert_uint_eq(npy.count, 1);
}
END_TEST

START_TEST(parse_ignores_the_order_of_bytes)
{
    static const char *const descr[] = {">b1", "<i1", "=u1", "b1",
                                        ">V6", "<V6", "V6"};
    struct dsm__npy npy;
    char text[80];

    for (size_t i = 0; i < sizeof descr / sizeof *descr; i++) {
        snprintf(text, sizeof text,
                 "{'descr': '%s', 'fortran_order': False, 'shape': ()}",
                 descr[i]);
        ck_assert_msg(parse_text(&npy, 1, text) == 0, "%s", descr[i]);
    }
}
END_TEST

/* That the text is refused in every version, with these words. */
static void
expect_refusal(const char *text, const char *words)
{
    static const struct dsm__npy zero;

    for (unsigned version = 1; version <= 3; version++) {
        struct dsm__npy npy;

        memset(&npy, 0xff, sizeof npy);
        ck_assert_msg(parse_text(&npy, version, text) == DSM_EFORMAT,
                      "not refused: %s", text);
        ck_assert_msg(strstr(dsm_last_error(), words), "%s: %s", text,
                      dsm_last_error());
        ck_assert_uint_eq(npy.type, zero.type);
        ck_assert_uint_eq(npy.bytes, 0);
        ck_assert_uint_eq(npy.header_size, 0);
    }
}

static const char *
with_descr(const char *descr)
{
    static char text[256];

    snprintf(text, sizeof text,
             "{'descr': %s, 'fortran_order': False, 'shape': (3,)}", descr);
    return text;
}

static const char *
with_shape(const char *shape)
{
    static char text[256];

    snprintf(text, sizeof text,
             "{'descr': '|u1', 'fortran_order': False, 'shape': %s}", shape);
    return text;
}

START_TEST(parse_says_what_to_do)
{
    expect_refusal("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 4)}",
                   "numpy.ascontiguousarray(a)");
    expect_refusal(with_descr("'" SWAPPED "f8'"),
                   "a.astype(a.dtype.newbyteorder('='))");
    expect_refusal(with_descr("'|f8'"), "byte order");
    expect_refusal(with_descr("[('x', '<f8'), ('y', '<i4')]"),
                   "a.view('V%d' % a.itemsize)");
    expect_refusal(with_descr("('<f8', (2,))"), "structured");
    expect_refusal(with_descr("'|O'"), "numbers");
    expect_refusal(with_descr("'<U5'"), "text");
    expect_refusal(with_descr("'|S5'"), "text");
    expect_refusal(with_descr("'<M8[ns]'"), "a.view('int64')");
    expect_refusal(with_descr("'<m8'"), "a.view('int64')");
    expect_refusal(with_descr("'<f2'"), "a.astype('float64')");
    expect_refusal(with_descr("'<f16'"), "a.astype('float64')");
    expect_refusal(with_shape("(1, 1, 1, 1, 1, 1, 1, 1, 1)"),
                   "more than 8 dimensions");
}
END_TEST

START_TEST(parse_refuses_other_types)
{
    static const char *const descr[] = {
        "''",     "'<'",    "'<f'",   "'f'",           "'<8'", "'<f08'",
        "'<f8 '", "'<f8x'", "'<<f8'", "'V0'",          "'V'",  "'V2147483648'",
        "'<i3'",  "'<c4'",  "'b2'",   "'float64'",     "'?'",  "'<x8'",
        "'<i-4'", "'<f8,'", "'<\\0'", "'<f8\x01\x80'", "8",    "None",
    };

    for (size_t i = 0; i < sizeof descr / sizeof *descr; i++)
        expect_refusal(with_descr(descr[i]), "");
    expect_refusal(with_descr("'V99999999999999999999999999'"), "type");
}
END_TEST

START_TEST(parse_refuses_other_shapes)
{
    static const char *const shape[] = {
        "(3)",   "3",       "[3]",      "(,)",    "(3,,)", "(,3)",
        "(3 4)", "(-1,)",   "(3.0,)",   "(+3,)",  "(03,)", "(3L,)",
        "(x,)",  "(1_0,)",  "(3,",      "(",      "(3,4",  "(None,)",
        "",      "((3,),)", "(3,)(4,)", "(0x3,)",
    };

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        expect_refusal(with_shape(shape[i]), "malformed");
}
END_TEST

START_TEST(parse_refuses_what_is_too_large)
{
    expect_refusal(with_shape("(18446744073709551615,)"), "too large");
    expect_refusal(with_shape("(18446744073709551617,)"), "too large");
    expect_refusal(with_shape("(9223372036854775808,)"), "too large");
    expect_refusal(with_shape("(4294967296, 4294967296)"), "too large");
    expect_refusal(with_shape("(0, 99999999999999999999999999)"), "too large");
}
END_TEST

START_TEST(parse_refuses_other_dicts)
{
    static const char *const texts[] = {
        " \n\n\n\n\n\n\n\n\n\n",
        "{                ",
        "                ",
        "{}         ",
        "{,}        ",
        "{'descr': '|u1', 'fortran_order': False}",
        "{'descr': '|u1', 'shape': ()}",
        "{'fortran_order': False, 'shape': ()}",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (), 'x': 1}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (), 'shape': ()}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (),,}",
        "{, 'descr': '|u1', 'fortran_order': False, 'shape': ()}",
        "{'descr': '|u1' 'fortran_order': False, 'shape': ()}",
        "{'descr' '|u1', 'fortran_order': False, 'shape': ()}",
        "{'descr': '|u1', 'fortran_order': 0, 'shape': ()}",
        "{'descr': '|u1', 'fortran_order': Fals",
        "{'descr': '|u1', 'fortran_order': false, 'shape': ()}",
        "{'descr': '|u1', 'fortran_order': Falsehood, 'shape': ()}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': ()",
        "{'descr': '|u1', 'fortran_order': False, 'shape': ()} x",
        "{'descr': '|u1', 'fortran_order': False, 'shape': ()}}",
        "{'descr: '|u1', 'fortran_order': False, 'shape': ()}",
        "{'descr\": '|u1', 'fortran_order': False, 'shape': ()}",
        "{descr: '|u1', 'fortran_order': False, 'shape': ()}",
        "('descr', '|u1')",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_refusal(texts[i], "malformed");
}
END_TEST

START_TEST(parse_refuses_other_files)
{
    char file[256];
    struct dsm__npy npy;
    size_t length = make_file(
        file, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': ()}");

    ck_assert_int_eq(parse(&npy, file, length), 0);
    file[7] = 1;
    ck_assert_int_eq(parse(&npy, file, length), DSM_EFORMAT);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), "version 1.1"));
    file[7] = 0;
    file[6] = 4;
    ck_assert_int_eq(parse(&npy, file, length), DSM_EFORMAT);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), "version 4.0"));
    file[6] = 0;
    ck_assert_int_eq(parse(&npy, file, length), DSM_EFORMAT);
    file[6] = 1;
    file[0] = 'N';
    ck_assert_int_eq(parse(&npy, file, length), DSM_EFORMAT);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), "not a .npy file"));
    ck_assert_int_eq(dsm__npy_parse(&npy, NULL, 0), DSM_EFORMAT);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), "truncated"));
}
END_TEST

START_TEST(parse_says_how_much_it_needs)
{
    char file[256];
    struct dsm__npy npy;

    for (unsigned version = 1; version <= 3; version++) {
        size_t length = make_file(
            file, version,
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}");

        for (size_t part = 0; part < length; part++) {
            int error = parse(&npy, file, part);

            if (error != DSM_EFORMAT ||
                npy.header_size != (part < 12 ? 0 : length) ||
                !strstr(dsm_last_error(), "truncated"))
                ck_abort_msg("%zu of %zu bytes: %d", part, length, error);
        }
        ck_assert_int_eq(parse(&npy, file, length + 1), 0);
        ck_assert_uint_eq(npy.header_size, length);
    }
    memset(file + 8, 0xff, 4);
    ck_assert_int_eq(parse(&npy, file, sizeof file), DSM_EFORMAT);
    ck_assert_uint_eq(npy.header_size, 12 + (size_t)UINT32_MAX);
}
END_TEST

START_TEST(parse_takes_long_headers)
{
    enum { LENGTH = 300000 };
    static const char dict[] =
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}";
    char *text = malloc(LENGTH + 1);
    struct dsm__npy npy;

    memset(text, ' ', LENGTH);
    text[LENGTH] = '\0';
    memcpy(text + LENGTH / 2, dict, sizeof dict - 1);
    ck_assert_int_eq(parse_text(&npy, 2, text), 0);
    ck_assert_uint_eq(npy.header_size, 12 + LENGTH);
    text[65535] = '\0';
    memcpy(text, dict, sizeof dict - 1);
    ck_assert_int_eq(parse_text(&npy, 1, text), 0);
    ck_assert_uint_eq(npy.header_size, 10 + 65535);
    free(text);
}
END_TEST

/* Damaged headers are read or refused; what is read is consistent. */
START_TEST(parse_survives_damage)
{
    static const char alphabet[] = "'\"{}()[],:<>|= \n\0\\0123456789fiucbVTF";
    char file[256];
    unsigned long read = 0, refused = 0;

    for (int round = 0; round < 60000; round++) {
        size_t length = make_file(
            file, 1 + (unsigned)rand() % 3,
            "{'descr': '=f8', 'fortran_order': False, 'shape': (3, 41, 5), }");
        struct dsm__npy npy;
        int error;

        for (int hits = rand() % 4; hits >= 0; hits--)
            file[(size_t)rand() % length] =
                rand() % 4 ? alphabet[(size_t)rand() % sizeof alphabet]
                           : (char)rand();
        error = parse(&npy, file, length);
        if (error == 0 ? npy.header_size > length ||
                             npy.bytes != npy.count * dsm_type_size(npy.type)
                       : error != DSM_EFORMAT)
            ck_abort_msg("round %d: %d", round, error);
        error ? refused++ : read++;
    }
    ck_assert_uint_gt(read, 100);
    ck_assert_uint_gt(refused, 1000);
}
END_TEST

/* ---- NumPy. */

static const char python[] = "/usr/bin/python3";

/* Runs a program in a directory; true if it succeeds. */
static bool
run_python(const char *program, char *directory)
{
    char *arguments[] = {(char *)python,  (char *)"-B", (char *)"-c",
                         (char *)program, directory,    NULL};
    pid_t child;
    int status;

    return posix_spawn(&child, python, NULL, NULL, arguments, environ) == 0 &&
           waitpid(child, &status, 0) == child && status == 0;
}

static bool
have_numpy(void)
{
    return access(python, X_OK) == 0 &&
           run_python("try:\n import numpy\n"
                      "except ImportError:\n raise SystemExit(1)",
                      NULL);
}

static char directory[32];

static void
make_directory(void)
{
    strcpy(directory, "/tmp/dsm-test-npy-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void
remove_directory(void)
{
    char command[64];

    snprintf(command, sizeof command, "rm -r %s", directory);
    ck_assert_int_eq(system(command), 0);
}

static const struct {
    unsigned ndim;
    size_t shape[3];
} shapes[] = {
    {0, {0}},    {1, {3}},       {1, {0}},       {2, {3, 4}},    {2, {0, 4}},
    {2, {4, 0}}, {3, {2, 3, 4}}, {3, {2, 0, 4}}, {3, {1, 1, 1}},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Writes a file as a segment is: header, items of bytes 1, 0, 1, 0, …, trailer.
 */
static void
write_file(const char *name, dsm_type type, unsigned ndim, const size_t *shape)
{
    char path[128], header[4096], trailer[4096] = {0};
    struct dsm__npy npy;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(dsm__npy_set(&npy, type, ndim, shape), 0);
    dsm__npy_write(header, &npy);
    ck_assert_uint_eq(fwrite(header, sizeof header, 1, file), 1);
    for (size_t i = 0; i < npy.bytes; i++)
        fputc(i % 2 == 0, file);
    ck_assert_uint_eq(fwrite(trailer, sizeof trailer, 1, file), 1);
    ck_assert_int_eq(fclose(file), 0);
}

/* Files are called TYPE,SHAPE with a trailing dot for each dimension. */
static void
name_file(char name[64], dsm_type type, unsigned ndim, const size_t *shape)
{
    size_t length = (size_t)snprintf(
        name, 64, "%s,", type & DSM_STRUCT(0) ? "V12" : dsm_type_name(type));

    for (unsigned i = 0; i < ndim; i++)
        length +=
            (size_t)snprintf(name + length, 64 - length, "%zu.", shape[i]);
}

static dsm_type
nth_type(dsm_type n)
{
    return n <= DSM_COMPLEX128 ? n : DSM_STRUCT(12);
}

START_TEST(numpy_reads_what_is_written)
{
    static const char program[] =
        "import os, sys, numpy\n"
        "os.chdir(sys.argv[1])\n"
        "names = os.listdir()\n"
        "for name in names:\n"
        "    for mode in 'r', None:\n"
        "        a = numpy.load(name, mmap_mode=mode)\n"
        "        dtype, shape = name.split(',')\n"
        "        shape = tuple(int(n) for n in shape.split('.')[:-1])\n"
        "        assert a.dtype == numpy.dtype(dtype), (name, a.dtype)\n"
        "        assert a.dtype.isnative, name\n"
        "        assert a.shape == shape, (name, a.shape)\n"
        "        assert a.flags.c_contiguous\n"
        "        bytes = [1, 0] * (a.nbytes // 2 + 1)\n"
        "        assert list(a.tobytes()) == bytes[:a.nbytes], name\n"
        "        if mode: assert a.nbytes == 0 or a.offset == 4096\n"
        "assert len(names) == 14 * 9, len(names)\n";

    for (dsm_type n = DSM_BOOL; n <= DSM_COMPLEX128 + 1; n++) {
        for (size_t i = 0; i < SHAPES; i++) {
            char name[64];

            name_file(name, nth_type(n), shapes[i].ndim, shapes[i].shape);
            write_file(name, nth_type(n), shapes[i].ndim, shapes[i].shape);
        }
    }
    ck_assert(run_python(program, directory));
}
END_TEST

static int
parse_file(struct dsm__npy *npy, const char *name)
{
    char path[128], buffer[8192];
    ssize_t length;
    int fd;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s", path);
    length = read(fd, buffer, sizeof buffer);
    close(fd);
    ck_assert_int_ge(length, 0);
    return parse(npy, buffer, (size_t)length);
}

static void
expect_file(dsm_type type, unsigned ndim, const size_t *shape, unsigned version)
{
    char name[64];
    struct dsm__npy npy;
    size_t length;

    name_file(name, type, ndim, shape);
    length = strlen(name);
    snprintf(name + length, sizeof name - length, "%u", version);
    ck_assert_msg(parse_file(&npy, name) == 0, "%s: %s", name,
                  dsm_last_error());
    ck_assert_uint_eq(npy.type, type);
    ck_assert_uint_eq(npy.ndim, ndim);
    ck_assert_mem_eq(npy.shape, shape, ndim * sizeof *shape);
    ck_assert_uint_eq(npy.header_size % 64, 0);
}

START_TEST(what_numpy_writes_is_read)
{
    static const char program[] =
        "import os, sys, warnings, numpy\n"
        "warnings.simplefilter('ignore')\n"
        "os.chdir(sys.argv[1])\n"
        "names = ('bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 '\n"
        "    'float32 float64 complex64 complex128 V12').split()\n"
        "for name in names:\n"
        "    for shape in ((), (3,), (0,), (3, 4), (0, 4), (4, 0), \n"
        "            (2, 3, 4), (2, 0, 4), (1, 1, 1)):\n"
        "        a = numpy.zeros(shape, name)\n"
        "        for version in 1, 2, 3:\n"
        "            path = name + ',' + ''.join('%d.' % n for n in shape)\n"
        "            with open(path + str(version), 'wb') as file:\n"
        "                numpy.lib.format.write_array(file, a, (version, 0))\n";

    ck_assert(run_python(program, directory));
    for (dsm_type n = DSM_BOOL; n <= DSM_COMPLEX128 + 1; n++)
        for (size_t i = 0; i < SHAPES; i++)
            for (unsigned version = 1; version <= 3; version++)
                expect_file(nth_type(n), shapes[i].ndim, shapes[i].shape,
                            version);
}
END_TEST

/* Files that are refused, and that what the refusal says to do helps. */
START_TEST(advice_for_numpy_helps)
{
    static const char program[] =
        "import os, sys, numpy\n"
        "os.chdir(sys.argv[1])\n"
        "def save(name, a, b):\n"
        "    numpy.save('bad-' + name, a)\n"
        "    numpy.save('good-' + name, b)\n"
        "a = numpy.zeros((3, 4), order='F')\n"
        "save('fortran', a, numpy.ascontiguousarray(a))\n"
        "a = numpy.zeros(3, numpy.dtype('f8').newbyteorder('S'))\n"
        "save('order', a, a.astype(a.dtype.newbyteorder('=')))\n"
        "a = numpy.zeros((3, 4), 'f8,i4')\n"
        "save('struct', a, a.view('V%d' % a.itemsize))\n"
        "a = numpy.zeros((3, 4), 'f2')\n"
        "save('half', a, a.astype('float64'))\n"
        "a = numpy.zeros((3, 4), 'g')\n"
        "save('long', a, a.astype('float64'))\n"
        "a = numpy.zeros((3, 4), 'M8[ns]')\n"
        "save('time', a, a.view('int64'))\n"
        "a = numpy.zeros((3, 4), 'U5')\n"
        "save('text', a, a.view('V%d' % a.itemsize))\n"
        "a = numpy.zeros((1, 1, 1, 1, 1, 1, 1, 1, 2))\n"
        "save('dimensions', a, a.reshape(2))\n"
        "a = numpy.zeros((3, 4), 'O')\n"
        "save('object', a, a.astype('float64'))\n";
    static const char *const names[] = {
        "fortran", "order", "struct",     "half",   "long",
        "time",    "text",  "dimensions", "object",
    };

    ck_assert(run_python(program, directory));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct dsm__npy npy;
        char name[64];

        snprintf(name, sizeof name, "bad-%s.npy", names[i]);
        ck_assert_msg(parse_file(&npy, name) == DSM_EFORMAT, "%s", name);
        ck_assert_msg(!strstr(dsm_last_error(), "malformed"), "%s: %s", name,
                      dsm_last_error());
        snprintf(name, sizeof name, "good-%s.npy", names[i]);
        ck_assert_msg(parse_file(&npy, name) == 0, "%s: %s", name,
                      dsm_last_error());
    }
}
END_TEST

static TCase *
header_tests(void)
{
    TCase *tests = tcase_create("header");

    tcase_add_test(tests, types_have_sizes_and_names);
    tcase_add_test(tests, what_is_no_type_has_none);
    tcase_add_test(tests, set_measures);
    tcase_add_test(tests, set_refuses);
    tcase_add_test(tests, write_is_as_numpy_writes);
    tcase_add_test(tests, write_has_room_for_the_longest);
    tcase_add_test(tests, parse_takes_any_spelling);
    tcase_add_test(tests, parse_takes_what_it_wrote);
    tcase_add_test(tests, parse_takes_fortran_order_of_one_dimension);
    tcase_add_test(tests, parse_ignores_the_order_of_bytes);
    tcase_add_test(tests, parse_says_what_to_do);
    tcase_add_test(tests, parse_refuses_other_types);
    tcase_add_test(tests, parse_refuses_other_shapes);
    tcase_add_test(tests, parse_refuses_what_is_too_large);
    tcase_add_test(tests, parse_refuses_other_dicts);
    tcase_add_test(tests, parse_refuses_other_files);
    tcase_add_test(tests, parse_says_how_much_it_needs);
    tcase_add_test(tests, parse_takes_long_headers);
    tcase_add_test(tests, parse_survives_damage);
    return tests;
}

/* The fixture is unchecked, so that a failed test's files go, too. */
static void
add_numpy_test(Suite *suite, const TTest *test)
{
    TCase *tests = tcase_create(test->name);

    tcase_add_unchecked_fixture(tests, make_directory, remove_directory);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test);
    suite_add_tcase(suite, tests);
}

int
main(void)
{
    Suite *suite = suite_create("npy");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, header_tests());
    if (have_numpy()) {
        add_numpy_test(suite, numpy_reads_what_is_written);
        add_numpy_test(suite, what_numpy_writes_is_read);
        add_numpy_test(suite, advice_for_numpy_helps);
    } else {
        printf("%s has no NumPy, whose part is left out\n", python);
    }
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
