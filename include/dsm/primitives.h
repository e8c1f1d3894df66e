/* Primitives: loops, maps, reductions, scans and compaction over arrays.
 *
 * There are no twins.  Called by the controller a primitive is a region of its
 * own: it returns when all workers have ended, with the codes of
 * dsm_cluster_run.  Called inside a region with dsm_worker_cluster(self) it is
 * collective: every worker calls it with the same arguments, all wait for each
 * other, and all get the result; DSM_EBROKEN when one was lost meanwhile.
 *
 * Results are reproducible: for a given input they are bit-identical for every
 * number of workers, every schedule and every instruction set.  Arrays are cut
 * into blocks whose size depends on the item's size only; each block is
 * combined in a fixed order, and so are the blocks.
 *
 * Arrays are taken as rows of dsm_array_count() items, in C order; their shapes
 * matter only where said.  "Same items" means the same array or view, or one
 * with exactly the same data; outputs that overlap an input in any other way
 * are -EINVAL.  Functions and what they point to must be the workers' also:
 * things that were there at dsm_cluster_create, or lie in shared memory.  `arg`
 * is copied if arg_size is not 0, else the pointer itself is passed, as by
 * dsm_cluster_run; so is an operator's.
 *
 * All calls are thread-safe as dsm_cluster_run is: a second region at the same
 * time is -EBUSY.  A child that the host forked, a program that attached, a
 * worker's setup or cleanup and a function that a primitive calls get -EPERM
 * (or -EBUSY); an array of another cluster is -EINVAL, one that was destroyed
 * -ENOENT.  Each call that fails leaves a sentence for dsm_last_error.  When a
 * call fails after it has begun, what its output holds is unspecified.
 */
#ifndef DSM_PRIMITIVES_H
#define DSM_PRIMITIVES_H

#include <dsm/array.h>
#include <dsm/attributes.h>
#include <dsm/op.h>
#include <dsm/worker.h>

#include <stddef.h>
#include <stdint.h>

DSM_BEGIN_DECLS

/* How a loop's items are handed to the workers. */
typedef enum dsm_schedule {
    DSM_SCHEDULE_AUTO = 0, /* as STEAL, its chunk from the items' cost */
    DSM_SCHEDULE_STATIC,   /* each its share, or chunks in turn */
    DSM_SCHEDULE_DYNAMIC,  /* whoever is free takes the next chunk */
    DSM_SCHEDULE_GUIDED,   /* the same, with shrinking chunks */
    DSM_SCHEDULE_STEAL     /* each its share, then half of another's rest */
} dsm_schedule;

/* The body of a loop: does items begin .. end-1. */
typedef void (*dsm_body)(dsm_worker *self, size_t begin, size_t end,
                         const void *arg);

/* Runs body on 0 .. n-1, each item once, in pieces of `chunk` items that begin
 * at multiples of it; the last may be smaller, and GUIDED takes larger ones
 * anywhere.  chunk 0: the share itself (STATIC), n / (16 workers) but at least
 * 1 (DYNAMIC), 1 (GUIDED and STEAL), by measurement (AUTO;
 * with a chunk it is STEAL).  The chunk that was used is in dsm_worker_info.  A
 * body may not call a primitive; it may end its region by dsm_worker_fail.  The
 * shared counter is that of self-scheduling loops (Tang and Yew 1986), GUIDED
 * follows Polychronopoulos and Kuck 1987, STEAL the stealing of halves (Blumofe
 * and Leiserson 1999; Hendler and Shavit 2002). 0; -EINVAL: no such schedule,
 * more than 2^53 items, or an argument that is not shared; DSM_ECANCELED:
 * cancelled, with items left. */
DSM_API DSM_CHECKED int dsm_for(dsm_cluster *cluster, size_t n,
                                dsm_schedule schedule, size_t chunk,
                                dsm_body body, const void *arg, size_t arg_size)
    DSM_NONNULL(1, 5);

/* Makes n items of `out` from n items of `in`; they do not overlap, except that
 * they may be the same items. */
typedef void (*dsm_map_fn)(void *out, const void *in, size_t n,
                           const void *arg);

/* Calls fn on pieces of the arrays, a few KiB at most and in any order.  The
 * types may differ, the counts may not; out may be the same items as in. 0;
 * -EINVAL: counts differ, or the arrays overlap. */
DSM_API DSM_CHECKED int dsm_map(dsm_cluster *cluster, dsm_array *out,
                                const dsm_array *in, dsm_map_fn fn,
                                const void *arg, size_t arg_size)
    DSM_NONNULL(1, 2, 3, 4);

/* Combines all items of `in` into *result, which has result_size bytes: those
 * of the accumulator.  With a built-in operator that is the array's type; as in
 * NumPy, SUM and PROD of signed integers and bool give int64, of unsigned ones
 * uint64.  An empty array gives the identity.  Reproducible, see above; a
 * built-in sum has fixed lanes within a block and a balanced tree over blocks,
 * so that its error grows with the logarithm of the count.
 * 0; -EINVAL: result_size is wrong, or the operator has no meaning for the
 * type. */
DSM_API DSM_CHECKED int dsm_reduce(dsm_cluster *cluster, void *result,
                                   size_t result_size, const dsm_array *in,
                                   const dsm_op *op) DSM_NONNULL(1, 2, 4, 5);

typedef enum dsm_scan_kind {
    DSM_SCAN_INCLUSIVE = 0, /* out[i] = in[0] ∘ … ∘ in[i] */
    DSM_SCAN_EXCLUSIVE /* out[i] = in[0] ∘ … ∘ in[i-1]; out[0]: identity */
} dsm_scan_kind;

/* Prefix combinations.  The items of `out` are accumulators: as dsm_reduce's
 * result.  out may be the same items as in, if they have the same type.  One
 * pass over memory: while a worker scans a block it already reads its next one,
 * and prefixes pass from block to block (after Merrill and Garland 2016,
 * "Single-pass parallel prefix scan with decoupled look-back").
 * 0; -EINVAL: counts differ, out has the wrong type, or the operator has no
 * meaning for in's. */
DSM_API DSM_CHECKED int dsm_scan(dsm_cluster *cluster, dsm_array *out,
                                 const dsm_array *in, const dsm_op *op,
                                 dsm_scan_kind kind) DSM_NONNULL(1, 2, 3, 4);

/* Copies the items of `in` whose item of `mask` (bool, one for each) is not 0
 * to the front of `out`, keeping their order.  *count: how many that are.  out
 * has in's type and does not overlap it.
 * 0; -ENOSPC: out has room for fewer than *count, and holds the first of them;
 * -EINVAL: types or counts do not fit. */
DSM_API DSM_CHECKED int dsm_pack(dsm_cluster *cluster, dsm_array *out,
                                 size_t *count, const dsm_array *in,
                                 const dsm_array *mask)
    DSM_NONNULL(1, 2, 3, 4, 5);

/* Sets keep[k] to 0 or 1 for each of n items. */
typedef void (*dsm_predicate)(uint8_t *keep, const void *in, size_t n,
                              const void *arg);

/* dsm_pack with the mask made on the way, by a function that is called once on
 * each item, in pieces of a few KiB.  out NULL: only counts. */
DSM_API DSM_CHECKED int dsm_filter(dsm_cluster *cluster, dsm_array *out,
                                   size_t *count, const dsm_array *in,
                                   dsm_predicate predicate, const void *arg,
                                   size_t arg_size) DSM_NONNULL(1, 3, 4, 5);

/* The inner product, sum of x[i] * y[i] (not conjugated), of two arrays of one
 * type.  *result has the type of a dsm_reduce by DSM_SUM.  Reproducible.
 * 0; -EINVAL: types, counts or result_size do not fit, or items are structs. */
DSM_API DSM_CHECKED int dsm_dot(dsm_cluster *cluster, void *result,
                                size_t result_size, const dsm_array *x,
                                const dsm_array *y) DSM_NONNULL(1, 2, 4, 5);

/* Fills a float32 or float64 array with random numbers: uniform in [low, high),
 * or normal (by Box and Muller 1958).  Element i depends on (seed, i) and the
 * arguments alone: the generator is the counter-based Philox4x32-10 (Salmon,
 * Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").
 * They are the same on every CPU, to the last bit: the logarithm and the sines
 * are the library's own, with an error below 2 ulp.
 * 0; -EINVAL: another type, low > high, no float32 between them, a negative
 * deviation, or an argument that is not finite or that the type does not
 * reach. */
DSM_API DSM_CHECKED int dsm_random_uniform(dsm_cluster *cluster,
                                           dsm_array *array, double low,
                                           double high, uint64_t seed)
    DSM_NONNULL(1, 2);
DSM_API DSM_CHECKED int dsm_random_normal(dsm_cluster *cluster,
                                          dsm_array *array, double mean,
                                          double deviation, uint64_t seed)
    DSM_NONNULL(1, 2);

/* y = alpha A x + beta y, for an array of rows by columns, of float32, float64,
 * int32 or int64 (where alpha and beta must be whole numbers, and sums wrap).
 * All of one type; y overlaps neither.  beta 0: y is only written, whatever it
 * held.  Several rows at a time, each in a fixed order: reproducible.
 * 0; -EINVAL: types or shapes do not fit. */
DSM_API DSM_CHECKED int dsm_gemv(dsm_cluster *cluster, double alpha,
                                 const dsm_array *a, const dsm_array *x,
                                 double beta, dsm_array *y)
    DSM_NONNULL(1, 3, 4, 6);

DSM_END_DECLS

#endif
