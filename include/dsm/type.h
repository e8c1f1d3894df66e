/* The types of array items: NumPy's, by NumPy's names. */
#ifndef DSM_TYPE_H
#define DSM_TYPE_H

#include <dsm/attributes.h>

#include <stddef.h>
#include <stdint.h>

DSM_BEGIN_DECLS

/* An item type: one of the constants below, or DSM_STRUCT(bytes). */
typedef uint32_t dsm_type;

/* Not an enum, so that a dsm_type is 32 bits and unsigned everywhere. */
#define DSM_ANY ((dsm_type)0)  /* dsm_array_open: whatever it is */
#define DSM_BOOL ((dsm_type)1) /* one byte, 0 or 1 */
#define DSM_INT8 ((dsm_type)2)
#define DSM_INT16 ((dsm_type)3)
#define DSM_INT32 ((dsm_type)4)
#define DSM_INT64 ((dsm_type)5)
#define DSM_UINT8 ((dsm_type)6)
#define DSM_UINT16 ((dsm_type)7)
#define DSM_UINT32 ((dsm_type)8)
#define DSM_UINT64 ((dsm_type)9)
#define DSM_FLOAT32 ((dsm_type)10)
#define DSM_FLOAT64 ((dsm_type)11)
#define DSM_COMPLEX64 ((dsm_type)12)  /* two float32 */
#define DSM_COMPLEX128 ((dsm_type)13) /* two float64 */

/* Items of the user's own, 1 to 2^31-1 bytes each; NumPy sees '|Vbytes'. */
#define DSM_STRUCT(bytes) ((dsm_type)(UINT32_C(0x80000000) | (uint32_t)(bytes)))

/* Bytes of one item; 0 for DSM_ANY and for what is no type. */
DSM_API size_t dsm_type_size(dsm_type type);

/* "float64", "int8", "bool", "struct" and so on; "?" for what is no type.
 * Static. */
DSM_API const char *dsm_type_name(dsm_type type);

DSM_END_DECLS

#endif
