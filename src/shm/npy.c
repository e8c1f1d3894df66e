/* The .npy header: a magic number, a version, a length, and a Python dict in
 * text: {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }.
 *
 * The reader takes every spelling of that dict that Python would read the same
 * way and that NumPy could have meant, and says of all others what to do about
 * it.  It looks at every byte through a cursor that knows its end. */
#include "shm/npy.h"
#include "base/error.h"
#include "base/type.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static const char native_order = '<';
#else
static const char native_order = '>';
#endif

/* NumPy's letters for the built-in types. */
static const char kinds[] = {
#define KIND(NAME, name, item, kind) [DSM_##NAME] = kind,
    DSM__TYPE_MAP(KIND)
#undef KIND
};

enum { TYPES = sizeof kinds };

/* Fills count and bytes; false when the items would not fit into SIZE_MAX / 2
 * bytes.  Like NumPy it looks at the other dimensions of an empty array too, or
 * strides would overflow. */
static bool
measure(struct dsm__npy *npy)
{
    size_t bytes = dsm_type_size(npy->type), limit = SIZE_MAX / 2;
    bool empty = false;

    for (unsigned i = 0; i < npy->ndim; i++) {
        size_t length = npy->shape[i];

        if (length == 0)
            empty = true;
        else if (bytes > limit / length)
            return false;
        else
            bytes *= length;
    }
    npy->bytes = empty ? 0 : bytes;
    npy->count = npy->bytes / dsm_type_size(npy->type);
    return true;
}

int
dsm__npy_set(struct dsm__npy *npy, dsm_type type, unsigned ndim,
             const size_t *shape)
{
    if (!dsm__type_valid(type))
        return dsm__fail(-EINVAL, "%#x is no item type", type);
    if (ndim > DSM_NDIM_MAX)
        return dsm__fail(-EINVAL,
                         "an array has at most %d dimensions, %u are too many",
                         DSM_NDIM_MAX, ndim);
    if (ndim > 0 && !shape)
        return dsm__fail(-EINVAL, "an array of %u dimensions needs a shape",
                         ndim);
    *npy = (struct dsm__npy){
        .type = type, .ndim = ndim, .header_size = DSM__NPY_HEADER};
    for (unsigned i = 0; i < ndim; i++)
        npy->shape[i] = shape[i];
    if (!measure(npy))
        return dsm__fail(-EINVAL,
                         "an array of this shape is too large: more than %zu "
                         "bytes",
                         SIZE_MAX / 2);
    return 0;
}

/* Writes the type as NumPy's dtype.str has it, '<f8' or '|V24'. */
static void
write_descr(char descr[16], dsm_type type)
{
    size_t size = dsm_type_size(type);
    bool ordered = size > 1 && !dsm__type_is_struct(type);

    snprintf(descr, 16, "%c%c%zu", ordered ? native_order : '|',
             dsm__type_is_struct(type) ? 'V' : kinds[type], size);
}

/* Writes "()", "(3,)" or "(3, 4)". */
static void
write_shape(char *text, size_t room, const struct dsm__npy *npy)
{
    size_t length = 1;

    snprintf(text, room, "(");
    for (unsigned i = 0; i < npy->ndim; i++)
        length += (size_t)snprintf(text + length, room - length, "%s%zu",
                                   i > 0 ? ", " : "", npy->shape[i]);
    snprintf(text + length, room - length, npy->ndim == 1 ? ",)" : ")");
}

void
dsm__npy_write(char header[DSM__NPY_HEADER], const struct dsm__npy *npy)
{
    char descr[16], shape[DSM_NDIM_MAX * 22 + 4], text[320];
    const size_t start = 10, length = DSM__NPY_HEADER - start;
    int written;

    write_descr(descr, npy->type);
    write_shape(shape, sizeof shape, npy);
    written = snprintf(text, sizeof text,
                       "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                       descr, shape);
    memset(header, ' ', DSM__NPY_HEADER);
    memcpy(header, magic, 6);
    header[6] = 1; /* version 1.0 */
    header[7] = 0;
    header[8] = (char)(length & 0xff);
    header[9] = (char)(length >> 8);
    memcpy(header + start, text, (size_t)written);
    header[DSM__NPY_HEADER - 1] = '\n';
}

/* Where the reader is in the dict. */
struct cursor {
    const char *begin, *at, *end;
};

struct text {
    const char *at;
    size_t length;
};

static int
malformed(const struct cursor *c)
{
    return dsm__fail(DSM_EFORMAT,
                     "the .npy header is malformed at character %zu of its "
                     "text: save the array again with numpy.save",
                     (size_t)(c->at - c->begin));
}

static void
skip_space(struct cursor *c)
{
    while (c->at < c->end && memchr(" \t\n\r\f", *c->at, 5))
        c->at++;
}

/* Takes the character, and the white space before it, if it comes next. */
static bool
take(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool
take_word(struct cursor *c, const char *word)
{
    size_t length = strlen(word);

    skip_space(c);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* Reads a string of printable ASCII, as all are that NumPy writes; so it may
 * also be printed in a message.  Escapes stay: no key or type has any. */
static bool
read_string(struct cursor *c, struct text *string)
{
    char quote = '\'';

    if (!take(c, quote)) {
        quote = '"';
        if (!take(c, quote))
            return false;
    }
    string->at = c->at;
    while (c->at < c->end && *c->at != quote) {
        if (*c->at < ' ' || *c->at > '~')
            return false;
        c->at++;
    }
    string->length = (size_t)(c->at - string->at);
    return take(c, quote);
}

static bool
equal(const struct text *string, const char *word)
{
    return string->length == strlen(word) &&
           memcmp(string->at, word, string->length) == 0;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes decimal digits; false on none or, as in Python, leading zeros.  What
 * is too large becomes SIZE_MAX, which is too large for any use. */
static bool
read_number(struct cursor *c, size_t *number)
{
    const char *first = c->at;

    *number = 0;
    for (; c->at < c->end && is_digit(*c->at); c->at++) {
        size_t digit = (size_t)(*c->at - '0');

        if (*number > (SIZE_MAX - digit) / 10)
            *number = SIZE_MAX;
        else
            *number = *number * 10 + digit;
    }
    return c->at > first && (*first != '0' || c->at - first == 1);
}

/* Of the types that the library lacks. */
static int
unsupported(char kind, const struct text *descr)
{
    const char *advice = "save a.astype('float64') or another type of libdsm's";

    switch (kind) {
    case 'O':
        advice = "they are Python's own: save an array of numbers";
        break;
    case 'S':
    case 'U':
    case 'a':
        advice = "they are text: save a.view('V%d' % a.itemsize)";
        break;
    case 'm':
    case 'M':
        advice = "they are times: save a.view('int64')";
        break;
    }
    return dsm__fail(DSM_EFORMAT,
                     "the .npy file has items of type '%.*s', which no array "
                     "here can have; %s",
                     (int)(descr->length < 32 ? descr->length : 32), descr->at,
                     advice);
}

/* DSM_ANY if there is no such type. */
static dsm_type
find_type(char kind, size_t size)
{
    if (kind == 'V')
        return size > 0 && size <= INT32_MAX ? DSM_STRUCT(size) : DSM_ANY;
    for (dsm_type type = 0; type < TYPES; type++)
        if (kinds[type] == kind && dsm_type_size(type) == size)
            return type;
    return DSM_ANY;
}

static int
check_order(char order, dsm_type type, const struct text *descr)
{
    if (dsm_type_size(type) == 1 || dsm__type_is_struct(type))
        return 0;
    if (order == native_order || order == '=')
        return 0;
    return dsm__fail(DSM_EFORMAT,
                     "the .npy file has items of type '%.*s', which is not "
                     "this machine's byte order; save "
                     "a.astype(a.dtype.newbyteorder('='))",
                     (int)descr->length, descr->at);
}

/* Takes '<f8' apart: byte order, kind, size. */
static int
parse_descr(const struct text *descr, struct dsm__npy *npy)
{
    struct cursor c = {descr->at, descr->at, descr->at + descr->length};
    char order = '=', kind = 0;
    size_t size;

    if (c.at < c.end && memchr("<>=|", *c.at, 4))
        order = *c.at++;
    if (c.at < c.end)
        kind = *c.at++;
    if (!read_number(&c, &size) || c.at < c.end)
        return unsupported(kind, descr);
    npy->type = find_type(kind, size);
    if (npy->type == DSM_ANY)
        return unsupported(kind, descr);
    return check_order(order, npy->type, descr);
}

static int
read_descr(struct cursor *c, struct dsm__npy *npy)
{
    struct text descr;

    if (take(c, '[') || take(c, '('))
        return dsm__fail(DSM_EFORMAT,
                         "the .npy file has structured items; save "
                         "a.view('V%%d' %% a.itemsize), or each field of its "
                         "own");
    if (!read_string(c, &descr))
        return malformed(c);
    return parse_descr(&descr, npy);
}

static int
read_order(struct cursor *c, struct dsm__npy *npy)
{
    npy->fortran = take_word(c, "True");
    return npy->fortran || take_word(c, "False") ? 0 : malformed(c);
}

static int
read_shape(struct cursor *c, struct dsm__npy *npy)
{
    bool comma = true;

    if (!take(c, '('))
        return malformed(c);
    for (npy->ndim = 0; !take(c, ')'); npy->ndim++) {
        if (!comma)
            return malformed(c);
        if (npy->ndim == DSM_NDIM_MAX)
            return dsm__fail(DSM_EFORMAT,
                             "the .npy file has more than %d dimensions; save "
                             "a.reshape(...) with fewer",
                             DSM_NDIM_MAX);
        skip_space(c);
        if (!read_number(c, &npy->shape[npy->ndim]))
            return malformed(c);
        comma = take(c, ',');
    }
    /* (3) is a number in Python and no tuple. */
    return npy->ndim == 1 && !comma ? malformed(c) : 0;
}

static const struct {
    const char *name;
    int (*read)(struct cursor *c, struct dsm__npy *npy);
} keys[] = {{"descr", read_descr},
            {"fortran_order", read_order},
            {"shape", read_shape}};

enum { KEYS = sizeof keys / sizeof *keys };

/* Reads "key: value"; *seen has a bit for each key. */
static int
read_pair(struct cursor *c, struct dsm__npy *npy, unsigned *seen)
{
    struct cursor start = *c;
    unsigned key = 0;
    struct text name;

    if (!read_string(c, &name))
        return malformed(c);
    while (key < KEYS && !equal(&name, keys[key].name))
        key++;
    if (key == KEYS || (*seen & 1U << key))
        return malformed(&start);
    *seen |= 1U << key;
    return take(c, ':') ? keys[key].read(c, npy) : malformed(c);
}

static int
read_dict(struct cursor *c, struct dsm__npy *npy)
{
    unsigned seen = 0;
    bool comma = true;

    if (!take(c, '{'))
        return malformed(c);
    while (!take(c, '}')) {
        int error = comma ? read_pair(c, npy, &seen) : malformed(c);

        if (error < 0)
            return error;
        comma = take(c, ',');
    }
    skip_space(c);
    return c->at == c->end && seen == (1U << KEYS) - 1 ? 0 : malformed(c);
}

static int
truncated(size_t length)
{
    return dsm__fail(DSM_EFORMAT,
                     "the .npy file is truncated: %zu bytes do not hold its "
                     "header",
                     length);
}

/* Finds the text of the header; *header_size is its end once that is known. */
static int
find_text(struct cursor *c, const char *file, size_t length,
          size_t *header_size)
{
    const unsigned char *bytes = (const unsigned char *)file;
    size_t start, announced;

    if (length > 0 && memcmp(file, magic, length < 6 ? length : 6) != 0)
        return dsm__fail(DSM_EFORMAT,
                         "not a .npy file: it does not begin with \\x93NUMPY");
    if (length < 12)
        return truncated(length);
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return dsm__fail(DSM_EFORMAT,
                         "the .npy file has version %u.%u, but libdsm reads "
                         "1.0, 2.0 and 3.0",
                         bytes[6], bytes[7]);
    start = bytes[6] == 1 ? 10 : 12;
    announced = bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1)
        announced |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    *header_size = start + announced;
    if (length - start < announced)
        return truncated(length);
    *c = (struct cursor){file + start, file + start, file + *header_size};
    return 0;
}

static int
check_layout(struct dsm__npy *npy)
{
    if (npy->fortran && npy->ndim > 1)
        return dsm__fail(DSM_EFORMAT, "the .npy file has Fortran order; save "
                                      "numpy.ascontiguousarray(a)");
    if (!measure(npy))
        return dsm__fail(DSM_EFORMAT,
                         "the .npy file's array is too large: more than %zu "
                         "bytes",
                         SIZE_MAX / 2);
    return 0;
}

int
dsm__npy_parse(struct dsm__npy *npy, const void *buffer, size_t length)
{
    struct dsm__npy found = {0};
    struct cursor c;
    int error;

    *npy = found;
    error = find_text(&c, buffer, length, &found.header_size);
    if (error < 0) {
        npy->header_size = found.header_size;
        return error;
    }
    error = read_dict(&c, &found);
    if (error == 0)
        error = check_layout(&found);
    if (error == 0)
        *npy = found;
    return error;
}
