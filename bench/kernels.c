/* See kernels.h.  Vectors are of the compiler's own kind, eight numbers each,
 * which it cuts to what the CPU has. */
#include "kernels.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

typedef double vector __attribute__((vector_size(64), aligned(8), may_alias));

enum { WIDTH = 8, LANES = 8, STRIDE = WIDTH * LANES };

/* The generator splitmix64 (Steele, Lea and Flood 2014), by its state. */
static uint64_t
mix(uint64_t state)
{
    state = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    state = (state ^ state >> 27) * UINT64_C(0x94d049bb133111eb);
    return state ^ state >> 31;
}

void
kernel_fill(double *x, size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = mix((first + i + 1) * UINT64_C(0x9e3779b97f4a7c15));
        x[i] = (double)(int64_t)bits * 0x1p-63;
    }
}

static double
add_lanes(vector *lanes)
{
    double sum = 0;
    for (int k = 1; k < LANES; k++)
        lanes[0] += lanes[k];
    for (int k = 0; k < WIDTH; k++)
        sum += lanes[0][k];
    return sum;
}

double
kernel_sum(const double *x, size_t n)
{
    vector lanes[LANES] = {{0}};
    size_t whole = n - n % STRIDE;
    for (size_t i = 0; i < whole; i += STRIDE)
        for (int k = 0; k < LANES; k++)
            lanes[k] += *(const vector *)(x + i + k * WIDTH);
    double sum = add_lanes(lanes);
    for (size_t i = whole; i < n; i++)
        sum += x[i];
    return sum;
}

double
kernel_dot(const double *x, const double *y, size_t n)
{
    vector lanes[LANES] = {{0}};
    size_t whole = n - n % STRIDE;
    for (size_t i = 0; i < whole; i += STRIDE)
        for (int k = 0; k < LANES; k++)
            lanes[k] += *(const vector *)(x + i + k * WIDTH) *
                        *(const vector *)(y + i + k * WIDTH);
    double sum = add_lanes(lanes);
    for (size_t i = whole; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* The vectors keep the compiler from calling memcpy, which streams. */
void
kernel_copy(double *out, const double *in, size_t n)
{
    size_t whole = n - n % WIDTH;
    for (size_t i = 0; i < whole; i += WIDTH) {
        *(vector *)(out + i) = *(const vector *)(in + i);
        __asm__ volatile("" ::: "memory");
    }
    for (size_t i = whole; i < n; i++)
        out[i] = in[i];
}

#if defined(__AVX512F__)
enum { LINE = 8 };

static void
stream(double *out, const double *in)
{
    _mm512_stream_pd(out, _mm512_loadu_pd(in));
}
#elif defined(__SSE2__)
enum { LINE = 2 };

static void
stream(double *out, const double *in)
{
    _mm_stream_pd(out, _mm_loadu_pd(in));
}
#else
enum { LINE = 1 };

static void
stream(double *out, const double *in)
{
    *out = *in;
}
#endif

/* Items before the first of `out` that a streaming store may go to. */
static size_t
unaligned(const double *out, size_t n)
{
    size_t line = LINE * sizeof *out;
    size_t items = (line - (uintptr_t)out % line) % line / sizeof *out;
    return items < n ? items : n;
}

void
kernel_copy_streaming(double *out, const double *in, size_t n)
{
    size_t i = unaligned(out, n);
    kernel_copy(out, in, i);
    for (; i + LINE <= n; i += LINE)
        stream(out + i, in + i);
    kernel_copy(out + i, in + i, n - i);
#ifdef __SSE2__
    _mm_sfence();
#endif
}

void
kernel_write_streaming(double *out, size_t n)
{
    static const double ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
    size_t i = unaligned(out, n);
    kernel_copy(out, ones, i);
    for (; i + LINE <= n; i += LINE)
        stream(out + i, ones);
    kernel_copy(out + i, ones, n - i);
#ifdef __SSE2__
    _mm_sfence();
#endif
}

void
kernel_map(double *out, const double *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = kernel_map_item(in[i]);
}

double
kernel_scan(double *out, const double *in, size_t n, double prefix)
{
    for (size_t i = 0; i < n; i++)
        out[i] = prefix += in[i];
    return prefix;
}

void
kernel_mask(uint8_t *mask, const double *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mask[i] = (uint8_t)kernel_keeps(in[i]);
}

size_t
kernel_count(const double *in, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (size_t)kernel_keeps(in[i]);
    return count;
}

size_t
kernel_filter(double *out, size_t room, const double *in, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n && kept < room; i++) {
        out[kept] = in[i];
        kept += (size_t)kernel_keeps(in[i]);
    }
    return kept;
}

size_t
kernel_pack(double *out, size_t room, const double *in, const uint8_t *mask,
            size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n && kept < room; i++) {
        out[kept] = in[i];
        kept += mask[i];
    }
    return kept;
}

void
kernel_irregular_item(size_t i)
{
    for (size_t k = 0; k < i; k++)
        kernel_empty_item();
}

uint64_t
kernel_read_pages(const void *data, size_t size)
{
    const char *bytes = data;
    uint64_t sum = 0;
    for (size_t i = 0; i + sizeof sum <= size; i += 4096)
        sum += *(const uint64_t *)(bytes + i);
    return sum;
}

/* A linear congruential generator of Knuth's (MMIX). */
void
kernel_histogram(uint32_t bins[KERNEL_BINS], uint64_t seed)
{
    uint64_t x = seed;
    for (int i = 0; i < 65536; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bins[x >> 56]++;
    }
}

void
kernel_add_bins(uint32_t total[KERNEL_BINS], const uint32_t bins[KERNEL_BINS])
{
    for (int i = 0; i < KERNEL_BINS; i++)
        total[i] += bins[i];
}
