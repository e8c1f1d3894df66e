/* The item types inside the library: one table for names, C types and NumPy's
 * kinds. */
#ifndef DSM_BASE_TYPE_H
#define DSM_BASE_TYPE_H

#include <dsm/type.h>

#include <stdbool.h>

/* X(NAME, name, item, kind): the constant, its name, the C type of an item and
 * the letter that NumPy's type strings have for it.  An item of bool is a byte
 * here: a _Bool that holds neither 0 nor 1, as another program may have written
 * it, is undefined behaviour. */
#define DSM__INTEGER_MAP(X)                                                    \
    X(INT8, int8, int8_t, 'i')                                                 \
    X(INT16, int16, int16_t, 'i')                                              \
    X(INT32, int32, int32_t, 'i')                                              \
    X(INT64, int64, int64_t, 'i')                                              \
    X(UINT8, uint8, uint8_t, 'u')                                              \
    X(UINT16, uint16, uint16_t, 'u')                                           \
    X(UINT32, uint32, uint32_t, 'u')                                           \
    X(UINT64, uint64, uint64_t, 'u')

#define DSM__FLOAT_MAP(X)                                                      \
    X(FLOAT32, float32, float, 'f')                                            \
    X(FLOAT64, float64, double, 'f')

#define DSM__COMPLEX_MAP(X)                                                    \
    X(COMPLEX64, complex64, float _Complex, 'c')                               \
    X(COMPLEX128, complex128, double _Complex, 'c')

#define DSM__TYPE_MAP(X)                                                       \
    X(BOOL, bool, uint8_t, 'b')                                                \
    DSM__INTEGER_MAP(X)                                                        \
    DSM__FLOAT_MAP(X)                                                          \
    DSM__COMPLEX_MAP(X)

/* Whether items of this type can exist: DSM_ANY, DSM_STRUCT(0) and unknown
 * numbers are not valid. */
bool dsm__type_valid(dsm_type type);

/* Whether it is a DSM_STRUCT, whatever its size. */
bool dsm__type_is_struct(dsm_type type);

#endif
