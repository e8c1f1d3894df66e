/* The item types: sizes and names. */
#include "base/type.h"

/* Set in every DSM_STRUCT; the other bits are its size. */
static const dsm_type struct_flag = DSM_STRUCT(0);

size_t
dsm_type_size(dsm_type type)
{
    switch (type) {
#define SIZE(NAME, name, item, kind)                                           \
    case DSM_##NAME:                                                           \
        return sizeof(item);
        DSM__TYPE_MAP(SIZE)
#undef SIZE
    }
    return dsm__type_is_struct(type) ? type & ~struct_flag : 0;
}

const char *
dsm_type_name(dsm_type type)
{
    switch (type) {
#define NAME_TEXT(NAME, name, item, kind)                                      \
    case DSM_##NAME:                                                           \
        return #name;
        DSM__TYPE_MAP(NAME_TEXT)
#undef NAME_TEXT
    }
    return dsm__type_valid(type) ? "struct" : "?";
}

bool
dsm__type_valid(dsm_type type)
{
    return dsm_type_size(type) > 0;
}

bool
dsm__type_is_struct(dsm_type type)
{
    return (type & struct_flag) != 0;
}
