/* The logarithm, the sine and the cosine for random.c: without branches and
 * calls, so that loops over them become vectors, and of operations that every
 * CPU rounds alike, which the C library's are not.  The polynomials are those
 * of fdlibm (Sun Microsystems, 1993), good to less than an ulp. */
#ifndef DSM_KERNEL_ELEMENTARY_H
#define DSM_KERNEL_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

static inline uint64_t
dsm__bits(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double
dsm__real(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Of a normal x > 0; error < 1 ulp.  x = 2^e (1 + f), 1 + f from sqrt(1/2) to
 * sqrt(2); then log(1 + f) = f - f^2/2 + s (f^2/2 + p(s^2)), s = f / (2 + f).
 */
static inline double
dsm__log(double x)
{
    const uint64_t root = UINT64_C(0x3fe6a09e00000000); /* sqrt(1/2) */
    const uint64_t one = UINT64_C(0x3ff0000000000000);
    uint64_t bits = dsm__bits(x) + (one - root);
    /* As 2^52 + (e + 1023) first: not all CPUs convert vectors of integers. */
    double e =
        dsm__real(UINT64_C(0x4330000000000000) | bits >> 52) - (0x1p52 + 1023);
    double f = dsm__real((bits & UINT64_C(0x000fffffffffffff)) + root) - 1;
    double s = f / (2 + f), z = s * s, half = 0.5 * f * f;
    double p = 1.479819860511658591e-01;

    p = 1.531383769920937332e-01 + z * p;
    p = 1.818357216161805012e-01 + z * p;
    p = 2.222219843214978396e-01 + z * p;
    p = 2.857142874366239149e-01 + z * p;
    p = 3.999999999940941908e-01 + z * p;
    p = 6.666666666666735130e-01 + z * p;
    /* log(2) is in two parts; e times the first is exact. */
    return e * 6.93147180369123816490e-01 -
           ((half - (s * (half + z * p) + e * 1.90821492927058770002e-10)) - f);
}

/* Of 2 pi turns, 0 <= turns <= 1; error < 2 ulp.  The nearest quarter turn is
 * taken off, which leaves at most an eighth to either side. */
static inline void
dsm__sincos(double turns, double *sine, double *cosine)
{
    double shifted = 4 * turns + 0x1.8p52; /* rounds to an integer */
    uint64_t quarter = dsm__bits(shifted), swap, differing;
    double x = 6.283185307179586 * (turns - 0.25 * (shifted - 0x1.8p52));
    double z = x * x, half = 0.5 * z, rest = 1 - half;
    double p = 1.58969099521155010221e-10, q = -1.13596475577881948265e-11;

    p = -2.50507602534068634195e-08 + z * p;
    p = 2.75573137070700676789e-06 + z * p;
    p = -1.98412698298579493134e-04 + z * p;
    p = 8.33333333332248946124e-03 + z * p;
    p = -1.66666666666666324348e-01 + z * p;
    p = x + z * x * p; /* sin(x) */
    q = 2.08757232129817482790e-09 + z * q;
    q = -2.75573143513906633035e-07 + z * q;
    q = 2.48015872894767294178e-05 + z * q;
    q = -1.38888888888741095749e-03 + z * q;
    q = 4.16666666666666019037e-02 + z * q;
    q = rest + (((1 - rest) - half) + z * z * q); /* cos(x) */

    /* In odd quarters they change places. */
    swap = -(quarter & 1);
    differing = (dsm__bits(p) ^ dsm__bits(q)) & swap;
    *sine = dsm__real(dsm__bits(p) ^ differing ^ (quarter & 2) << 62);
    *cosine = dsm__real(dsm__bits(q) ^ differing ^ ((quarter + 1) & 2) << 62);
}

#endif
