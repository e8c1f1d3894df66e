/* What needs a BLAS library: libdsm_blas (pkg-config dsm_blas).
 *
 * It is a library of its own, so that a program that links libdsm alone neither
 * loads OpenBLAS nor starts its threads.  <dsm.h> does not include this header.
 * It must be loaded when the cluster is created: linked, or opened before.
 *
 * It links OpenBLAS (libopenblas.so.0) by name, whatever Debian's alternatives
 * make of libblas.so.3.  But a program that links another library which has
 * cblas_dgemm before this one gets that: right, at its speed, and with its
 * threads.  An OpenBLAS older than the CPU may choose kernels for a far older
 * one and lose most of its speed: openblas_get_corename() says which, and the
 * environment's OPENBLAS_CORETYPE (Haswell, SkylakeX) chooses others.
 */
#ifndef DSM_BLAS_H
#define DSM_BLAS_H

#include <dsm/array.h>
#include <dsm/attributes.h>

DSM_BEGIN_DECLS

/* C = alpha A B + beta C, for matrices of float32, float64, int32 or int64
 * (where alpha and beta must be whole numbers, and sums wrap), all of one type,
 * of shapes (m, k), (k, n) and (m, n).  C overlaps neither A nor B.  beta 0: C
 * is only written, whatever it held.  A primitive (see primitives.h): called by
 * the controller, or collectively in a region.  The workers take panels of rows
 * whose number depends on m only (up to m / 48), each with one thread of
 * OpenBLAS, so that the result is the same for every number of workers (it
 * depends on OpenBLAS's own kernels, and so on the CPU).  Workers start no
 * threads of OpenBLAS; in a controller that works (options.controller_works) it
 * has one thread until the call returns, also for the program's other threads.
 * 0; -EINVAL: types or shapes do not fit; and the codes of dsm_cluster_run. */
DSM_API DSM_CHECKED int dsm_gemm(dsm_cluster *cluster, double alpha,
                                 const dsm_array *a, const dsm_array *b,
                                 double beta, dsm_array *c)
    DSM_NONNULL(1, 3, 4, 6);

DSM_END_DECLS

#endif
