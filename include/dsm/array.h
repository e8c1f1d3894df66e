/* Named arrays that all processes of a cluster see at the same address.
 *
 * A dsm_array lies in shared memory and may be passed in `arg` and stored in
 * arrays, like pointers into an array's data.  It lives until it is destroyed
 * or its cluster ends.  All calls are thread-safe; controller, workers and
 * attached programs may make them.
 *
 * An array's segment is a NumPy file: while it lives,
 *     numpy.load("/dev/shm/dsm.UID.CLUSTER.NAME", mmap_mode="r+")
 * maps it in Python.
 */
#ifndef DSM_ARRAY_H
#define DSM_ARRAY_H

#include <dsm/attributes.h>
#include <dsm/type.h>

#include <stddef.h>

DSM_BEGIN_DECLS

typedef struct dsm_array dsm_array;
typedef struct dsm_cluster dsm_cluster;
typedef struct dsm_lock dsm_lock;

/* Both last arguments of dsm_array_create: DSM_SHAPE(rows, columns). */
#ifdef __cplusplus
DSM_END_DECLS
namespace dsm_detail
{
template <size_t n> struct shape {
    size_t length[n];
};
template <size_t n>
const size_t *
shape_pointer(const shape<n> &s)
{
    return s.length;
}
template <typename... sizes>
shape<sizeof...(sizes)>
make_shape(sizes... lengths)
{
    return {{static_cast<size_t>(lengths)...}};
}
template <typename... sizes>
constexpr unsigned
count(sizes...)
{
    return sizeof...(sizes);
}
} // namespace dsm_detail
#define DSM_SHAPE(...)                                                         \
    dsm_detail::count(__VA_ARGS__),                                            \
        dsm_detail::shape_pointer(dsm_detail::make_shape(__VA_ARGS__))
DSM_BEGIN_DECLS
#else
#define DSM_SHAPE(...)                                                         \
    (unsigned)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)),              \
        (const size_t[])                                                       \
    {                                                                          \
        __VA_ARGS__                                                            \
    }
#endif

/* Creates an array of zeros in C order.  ndim 0 .. DSM_NDIM_MAX (a scalar: 0,
 * NULL); a dimension may be 0.  Its memory is allocated now, so that a full
 * /dev/shm is an error here and not a SIGBUS later.
 * 0; -EINVAL: a bad name, type or shape; -EEXIST: the name is taken; -ENOSPC,
 * with both figures; -ENOMEM: no room in the reserved addresses, or no memory
 * in the cgroup. */
DSM_API DSM_CHECKED int
dsm_array_create(dsm_array **array, dsm_cluster *cluster, const char *name,
                 dsm_type type, unsigned ndim, const size_t *shape)
    DSM_NONNULL(1, 2, 3);

/* Borrows an array by name; nothing is to be closed.  `type` DSM_ANY, or
 * -EINVAL if the array's differs.  -ENOENT: no such array. */
DSM_API DSM_CHECKED int dsm_array_open(dsm_array **array, dsm_cluster *cluster,
                                       const char *name, dsm_type type)
    DSM_NONNULL(1, 2, 3);

/* A view of rows begin .. end-1 (along the first dimension); shares the data
 * and ends with the array, or earlier by dsm_array_destroy(view).  -EINVAL for
 * a scalar or a range outside of it; -ENOSPC: too many objects.  A worker may
 * make and destroy views while a region runs. */
DSM_API DSM_CHECKED int dsm_array_view(dsm_array **view, dsm_array *array,
                                       size_t begin, size_t end)
    DSM_NONNULL(1, 2);

/* Unlinks the array and gives its memory back.  Other processes that have it
 * mapped, Python's too, read zeros from now on; workers lose it at their next
 * region.  NULL is legal.  -EBUSY while a region runs or someone holds its
 * lock. */
DSM_API int dsm_array_destroy(dsm_array *array);

/* Creates an array with the shape, type and content of a .npy file, version 1
 * to 3, in C order and native byte order; else DSM_EFORMAT.  Nobody finds it
 * before all is read. */
DSM_API DSM_CHECKED int dsm_array_load(dsm_array **array, dsm_cluster *cluster,
                                       const char *name, const char *npy_path)
    DSM_NONNULL(1, 2, 3, 4);

/* Writes the array, or view, to a .npy file: beside it first, synced and then
 * renamed, so never a torn file.  -errno of what failed. */
DSM_API DSM_CHECKED int dsm_array_save(const dsm_array *array,
                                       const char *npy_path) DSM_NONNULL(1, 2);

/* The items, at the same address in every process of the cluster.  The first
 * lies on a 64-byte boundary (a view's: wherever its first row lies).  Never
 * NULL. */
DSM_API void *dsm_array_data(const dsm_array *array) DSM_NONNULL(1);

DSM_API dsm_type dsm_array_type(const dsm_array *array) DSM_NONNULL(1);
DSM_API unsigned dsm_array_ndim(const dsm_array *array) DSM_NONNULL(1);
/* ndim lengths; valid as long as the array. */
DSM_API const size_t *dsm_array_shape(const dsm_array *array) DSM_NONNULL(1);
/* Items in all: the product of the lengths, 1 for a scalar. */
DSM_API size_t dsm_array_count(const dsm_array *array) DSM_NONNULL(1);
/* Bytes of one item. */
DSM_API size_t dsm_array_item_size(const dsm_array *array) DSM_NONNULL(1);
/* A view has its array's name. */
DSM_API const char *dsm_array_name(const dsm_array *array) DSM_NONNULL(1);

/* The lock that every array has of its own; a view's is its array's.  The
 * library itself does not take it. */
DSM_API dsm_lock *dsm_array_lock(dsm_array *array) DSM_NONNULL(1);

DSM_END_DECLS

#endif
