/* What a kernel file is compiled for.  Makefile.am builds each several times,
 * with options for the compiler and -DDSM__ISA=NAME: whatever a file shares has
 * the name behind its own. */
#ifndef DSM_KERNEL_ISA_H
#define DSM_KERNEL_ISA_H

#ifndef DSM__ISA
#define DSM__ISA base
#endif

#define DSM__ISA_JOIN2(name, isa) name##_##isa
#define DSM__ISA_JOIN(name, isa) DSM__ISA_JOIN2(name, isa)
#define DSM__FOR_ISA(name) DSM__ISA_JOIN(name, DSM__ISA)

/* Bytes of a vector register. */
#if defined __AVX512F__ && defined __AVX512VL__ && defined __AVX512DQ__ &&     \
    defined __AVX512BW__
#define DSM__VECTOR 64
#elif defined __AVX2__
#define DSM__VECTOR 32
#else
#define DSM__VECTOR 16
#endif

/* The tables that choose.c puts together. */
#define DSM__TABLES(isa)                                                       \
    extern const struct dsm__fold dsm__folds_##isa[DSM__NUMBER_TYPES]          \
                                                  [DSM__BUILTINS];             \
    extern const struct dsm__scan dsm__scans_##isa[DSM__NUMBER_TYPES]          \
                                                  [DSM__BUILTINS];             \
    extern void (*const dsm__dots_##isa[DSM__NUMBER_TYPES])(                   \
        struct dsm__lanes *, const void *, const void *, size_t);              \
    extern void (*const dsm__row_dots_##isa[DSM__NUMBER_TYPES])(               \
        void *, const void *, size_t, const void *, size_t, size_t);           \
    extern size_t (*const dsm__packs_##isa[5])(void *, const void *,           \
                                               const uint64_t *, size_t);      \
    extern dsm__draw *const dsm__uniforms_##isa[DSM__NUMBER_TYPES];            \
    extern dsm__draw *const dsm__normals_##isa[DSM__NUMBER_TYPES];             \
    size_t dsm__mark_##isa(uint64_t *, const uint8_t *, size_t);               \
    void dsm__stream_##isa(void *, const void *, size_t);

DSM__TABLES(base)
DSM__TABLES(avx2)
DSM__TABLES(avx512)

#endif
