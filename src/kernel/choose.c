/* Which kernels this CPU runs. */
#include "kernel/kernel.h"

#include "kernel/isa.h"

#include <stdatomic.h>

#define SET(isa)                                                               \
    {                                                                          \
#isa, dsm__folds_##isa, dsm__scans_##isa, dsm__dots_##isa,             \
            dsm__mark_##isa, dsm__packs_##isa, dsm__stream_##isa,              \
            dsm__row_dots_##isa, dsm__uniforms_##isa, dsm__normals_##isa       \
    }

/* The best first. */
static const struct dsm__kernels sets[] = {
#ifdef DSM__X86_KERNELS
    SET(avx512), SET(avx2),
#endif
    SET(base)};

enum { SETS = sizeof sets / sizeof *sets };

static unsigned
best(void)
{
#ifdef DSM__X86_KERNELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw"))
        return 0;
    return __builtin_cpu_supports("avx2") ? 1 : 2;
#else
    return 0;
#endif
}

const struct dsm__kernels *
dsm__kernels_at(unsigned index)
{
    index += best();
    return index < SETS ? &sets[index] : NULL;
}

const struct dsm__kernels *
dsm__kernels(void)
{
    static const struct dsm__kernels *_Atomic chosen;
    const struct dsm__kernels *k =
        atomic_load_explicit(&chosen, memory_order_relaxed);

    /* Whoever else looks for them finds the same. */
    if (!k) {
        k = dsm__kernels_at(0);
        atomic_store_explicit(&chosen, k, memory_order_relaxed);
    }
    return k;
}
