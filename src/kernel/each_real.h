/* Includes the kernels of floating-point numbers, which the macro REAL_KERNELS
 * names, for float and for double; vector.h says what they find defined. */
#define REAL float
#define REAL_BYTES 4
#define MASK int32_t
#define NAME(x) x##_float32
#include REAL_KERNELS
#undef REAL
#undef REAL_BYTES
#undef MASK
#undef NAME

#define REAL double
#define REAL_BYTES 8
#define MASK int64_t
#define NAME(x) x##_float64
#include REAL_KERNELS
#undef REAL
#undef REAL_BYTES
#undef MASK
#undef NAME
