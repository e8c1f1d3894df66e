/* Copies past the caches.  A line that will not be read again before it leaves
 * the cache is neither read first nor does it displace another. */
#include "kernel/kernel.h"

#include "kernel/isa.h"

#include <string.h>
#if defined __SSE2__
#include <immintrin.h>
#endif

void
DSM__FOR_ISA(dsm__stream)(void *to, const void *from, size_t lines)
{
#if DSM__VECTOR == 64
    __m512i *d = to;
    const __m512i *s = from;

    for (size_t k = 0; k < lines; k++)
        _mm512_stream_si512(d + k, _mm512_loadu_si512(s + k));
#elif defined __SSE2__
    __m128i *d = to;
    const __m128i *s = from;

    for (size_t k = 0; k < 4 * lines; k++)
        _mm_stream_si128(d + k, _mm_loadu_si128(s + k));
#else
    memcpy(to, from, 64 * lines);
#endif
}
