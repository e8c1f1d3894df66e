/* Arrays: a NumPy file in a segment at the same address everywhere.
 *
 *     [NPY 1.0 header, padded to 4096 bytes][data][trailer]
 *
 * The trailer ends the last page.  It says that libdsm made the file and how
 * much of it is data; and it makes NumPy able to map an empty array, behind
 * whose header there would be nothing otherwise. */
#include "array/array.h"

#include "base/error.h"
#include "base/point.h"
#include "base/type.h"
#include "os/cpu.h"
#include "shm/npy.h"
#include "shm/segment.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

_Static_assert(sizeof(struct dsm_array) <= sizeof(union dsm__slot),
               "an array fits into a slot");

struct trailer {
    uint64_t magic;
    uint32_t layout;
    uint32_t header_size;
    uint64_t bytes;    /* of data */
    uint64_t checksum; /* of the words above */
};

#define TRAILER_MAGIC UINT64_C(0x315252414d5344) /* "DSMARR1" */

static struct trailer
trailer_of(uint64_t bytes)
{
    struct trailer t = {TRAILER_MAGIC, 1, DSM__NPY_HEADER, bytes, 0};
    uint64_t words[] = {t.magic, t.layout, t.header_size, t.bytes};

    /* FNV-1a over the words. */
    t.checksum = UINT64_C(14695981039346656037);
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        t.checksum = (t.checksum ^ words[k]) * UINT64_C(1099511628211);
    return t;
}

/* The bytes that an array's file and its addresses take. */
static size_t
extent_of(const struct dsm__control *control, const struct dsm__npy *npy)
{
    size_t page = control->array_page;

    return (DSM__NPY_HEADER + npy->bytes + sizeof(struct trailer) + page - 1) /
           page * page;
}

/* Each worker's share of the pages comes from its node. */
static void
place_pages(const struct dsm__draft *file, const struct dsm__control *control)
{
    size_t pages = file->extent / control->array_page;

    for (size_t k = 0; k < control->workers; k++) {
        size_t begin = pages * k / control->workers * control->array_page;
        size_t end = pages * (k + 1) / control->workers * control->array_page;

        dsm__cpu_put_pages(file->base + begin, end - begin,
                           dsm__worker_slot(control, (unsigned)k)->node);
    }
}

/* Allocates what is mapped, and writes what frames the data. */
static int
fill(const struct dsm__draft *file, const struct dsm__control *control,
     const char *name, const struct dsm__npy *npy)
{
    char path[DSM__PATH_SIZE], what[DSM_NAME_MAX + 16];
    struct trailer trailer = trailer_of(npy->bytes);
    int error;

    /* Which node and which page size: before the pages exist. */
    place_pages(file, control);
    if (file->extent >= HUGE_PAGE)
        madvise(file->base, file->extent, MADV_HUGEPAGE);
    dsm__path(path, control->directory, control->name, name);
    snprintf(what, sizeof what, "array '%s'", name);
    error = dsm__segment_allocate(file->fd, path, 0, file->extent, what);
    if (error)
        return error;
    memcpy(file->base + file->extent - sizeof trailer, &trailer,
           sizeof trailer);
    DSM__POINT("array.fill");
    dsm__npy_write(file->base, npy);
    return 0;
}

int
dsm__draft_create(struct dsm__draft *draft, dsm_cluster *cluster,
                  const char *name, const struct dsm__npy *npy)
{
    struct dsm__member *member;
    char path[DSM__PATH_SIZE];
    int error = dsm__name_check("an array", name);

    *draft = (struct dsm__draft){.fd = -1, .base = MAP_FAILED};
    if (!error)
        error = dsm__object_begin(&member, cluster, "dsm_array_load");
    if (error)
        return error;
    error = dsm__object_name_free(member->control, name);
    dsm__registry_unlock(member);
    if (error)
        return error;
    draft->extent = extent_of(member->control, npy);
    dsm__path(path, member->control->directory, member->control->name, name);
    error = dsm__segment_create_unnamed(&draft->fd, path, draft->extent);
    if (error)
        return error;
    draft->base = mmap(NULL, draft->extent, PROT_READ | PROT_WRITE, MAP_SHARED,
                       draft->fd, 0);
    if (draft->base == MAP_FAILED)
        error = dsm__fail_errno("cannot map %s for array '%s'",
                                dsm__bytes_text(draft->extent), name);
    else
        error = fill(draft, member->control, name, npy);
    if (error)
        dsm__draft_close(draft);
    return error;
}

void *
dsm__draft_data(const struct dsm__draft *draft)
{
    return draft->base + DSM__NPY_HEADER;
}

void
dsm__draft_close(struct dsm__draft *draft)
{
    if (draft->base != MAP_FAILED)
        munmap(draft->base, draft->extent);
    if (draft->fd >= 0)
        close(draft->fd);
}

/* The segment of the draft, or a new one, mapped at the object's place. */
static int
make_segment(struct dsm__member *member, const struct dsm__object *object,
             const struct dsm__npy *npy, const struct dsm__draft *draft)
{
    struct dsm__control *control = member->control;
    struct dsm__draft file = {.extent = object->extent,
                              .base = member->space.base + object->place};
    char path[DSM__PATH_SIZE];
    int error;

    dsm__path(path, control->directory, control->name, object->name);
    file.fd = draft ? draft->fd : -1;
    error = draft ? dsm__segment_link(file.fd, path)
                  : dsm__segment_create(&file.fd, path, object->extent);
    if (error)
        return error;
    DSM__POINT("array.create");
    error = dsm__control_ended(control);
    if (!error)
        error = dsm__space_map(&member->space, object->place, object->extent,
                               file.fd);
    if (!error && !draft) {
        error = fill(&file, control, object->name, npy);
        if (error)
            dsm__space_hide(&member->space, object->place, object->extent);
    }
    if (error)
        unlink(path);
    if (!draft)
        close(file.fd);
    return error;
}

static void
describe(struct dsm_array *array, const struct dsm__npy *npy)
{
    array->type = npy->type;
    array->ndim = npy->ndim;
    memcpy(array->shape, npy->shape, sizeof array->shape);
    array->count = npy->count;
    array->item_size = dsm_type_size(npy->type);
    array->data = array->object.place + DSM__NPY_HEADER;
}

int
dsm__array_create(dsm_array **array, dsm_cluster *cluster, const char *name,
                  const struct dsm__npy *npy, const struct dsm__draft *draft)
{
    struct dsm__member *member = NULL;
    struct dsm__object *object = NULL;
    struct dsm_array *made;
    uint64_t page, extent;
    int error = dsm__object_begin(&member, cluster, "dsm_array_create");

    *array = NULL;
    if (error)
        return error;
    page = member->control->array_page;
    extent = extent_of(member->control, npy);
    if (page < HUGE_PAGE && extent >= HUGE_PAGE)
        page = HUGE_PAGE;
    error = dsm__maps_sync_locked(member);
    if (!error)
        error = dsm__object_new(&object, member, DSM_OBJECT_ARRAY, name, extent,
                                page);
    made = (struct dsm_array *)object;
    if (!error) {
        describe(made, npy);
        error = dsm__lock_init(&made->lock, object);
    }
    if (!error)
        error = make_segment(member, object, npy, draft);
    error = dsm__object_finish(member, object, error);
    if (!error)
        *array = made;
    return error;
}

int
dsm__array_create_bytes(dsm_array **array, dsm_cluster *cluster,
                        const char *name, size_t bytes)
{
    struct dsm__npy npy;
    int error = dsm__npy_set(&npy, DSM_UINT8, 1, &bytes);

    *array = NULL;
    return error ? error : dsm__array_create(array, cluster, name, &npy, NULL);
}

int
dsm_array_create(dsm_array **array, dsm_cluster *cluster, const char *name,
                 dsm_type type, unsigned ndim, const size_t *shape)
{
    struct dsm__npy npy;
    int error = dsm__name_check("an array", name);

    *array = NULL;
    if (!error)
        error = dsm__npy_set(&npy, type, ndim, shape);
    return error ? error : dsm__array_create(array, cluster, name, &npy, NULL);
}

/* Whether an array that was found is what its file was made for. */
static bool
is_sound(const struct dsm_array *array, const struct dsm__control *control)
{
    const struct dsm__object *object = &array->object;
    struct dsm__npy npy;

    return dsm__npy_set(&npy, array->type, array->ndim, array->shape) == 0 &&
           array->count == npy.count &&
           array->item_size == dsm_type_size(npy.type) &&
           object->extent == extent_of(control, &npy) &&
           array->data == object->place + DSM__NPY_HEADER &&
           dsm__lock_sound(&array->lock, object);
}

int
dsm_array_open(dsm_array **array, dsm_cluster *cluster, const char *name,
               dsm_type type)
{
    struct dsm__object *object;
    struct dsm_array *found;
    int error = dsm__object_open(&object, cluster, name, DSM_OBJECT_ARRAY);

    *array = NULL;
    if (error)
        return error;
    found = (struct dsm_array *)object;
    if (!is_sound(found, dsm__member(cluster)->control))
        return dsm__object_damaged(dsm__member(cluster), object);
    if (type != DSM_ANY && type != found->type)
        return dsm__fail(-EINVAL, "array '%s' has items of %s, not of %s", name,
                         dsm_type_name(found->type), dsm_type_name(type));
    *array = found;
    return 0;
}

/* The array that a view belongs to, or the array itself. */
static struct dsm_array *
root_of(const struct dsm_array *array)
{
    struct dsm__control *control = dsm__control_of(array, array->object.self);

    return array->object.kind == DSM__VIEW
               ? dsm__at(control, array->object.place)
               : (struct dsm_array *)(uintptr_t)array;
}

static int
check_view(const dsm_array *array, size_t begin, size_t end)
{
    if (array->ndim == 0)
        return dsm__fail(-EINVAL, "array '%s' is a scalar and has no rows",
                         dsm_array_name(array));
    if (begin > end || end > array->shape[0])
        return dsm__fail(-EINVAL,
                         "rows %zu to %zu are not within the %zu of array '%s'",
                         begin, end, array->shape[0], dsm_array_name(array));
    return 0;
}

static void
describe_view(struct dsm_array *view, const struct dsm_array *array,
              size_t begin, size_t end)
{
    size_t row = array->shape[0] ? array->count / array->shape[0] : 0;

    view->object.place = root_of(array)->object.self;
    view->type = array->type;
    view->ndim = array->ndim;
    memcpy(view->shape, array->shape, sizeof view->shape);
    view->shape[0] = end - begin;
    view->item_size = array->item_size;
    view->count = row * (end - begin);
    view->data = array->data + row * begin * array->item_size;
}

int
dsm_array_view(dsm_array **view, dsm_array *array, size_t begin, size_t end)
{
    struct dsm__member *member;
    struct dsm__object *object;
    struct dsm_array *made;
    int error;

    *view = NULL;
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    if ((error = check_view(array, begin, end)))
        return error;
    member = dsm__member_of(dsm__control_of(array, array->object.self));
    if (!member)
        return dsm__identity_fail(__func__);
    error = dsm__registry_lock(member);
    if (error)
        return error;
    error =
        dsm__object_new(&object, member, (dsm_object_kind)DSM__VIEW, "", 0, 0);
    made = (struct dsm_array *)object;
    if (!error)
        describe_view(made, array, begin, end);
    error = dsm__object_finish(member, object, error);
    if (!error)
        *view = made;
    return error;
}

int
dsm_array_destroy(dsm_array *array)
{
    struct dsm__member *member;
    struct dsm__object *object;
    int error;

    if (!array)
        return 0;
    if (!dsm__identity_ok())
        return dsm__identity_fail(__func__);
    object = &array->object;
    error = dsm__object_begin_destroy(&member, object);
    if (error)
        return error;
    if (object->kind == DSM_OBJECT_ARRAY)
        error = dsm__lock_check_free(&array->lock, object);
    if (!error)
        dsm__object_remove(member, object);
    dsm__registry_unlock(member);
    /* Hides the pages here; the others do so at their next region. */
    if (!error)
        (void)dsm__maps_sync(member);
    return error;
}

void *
dsm_array_data(const dsm_array *array)
{
    return dsm__at(dsm__control_of(array, array->object.self), array->data);
}

dsm_type
dsm_array_type(const dsm_array *array)
{
    return array->type;
}

unsigned
dsm_array_ndim(const dsm_array *array)
{
    return array->ndim;
}

const size_t *
dsm_array_shape(const dsm_array *array)
{
    return array->shape;
}

size_t
dsm_array_count(const dsm_array *array)
{
    return array->count;
}

size_t
dsm_array_item_size(const dsm_array *array)
{
    return array->item_size;
}

const char *
dsm_array_name(const dsm_array *array)
{
    return root_of(array)->object.name;
}

dsm_lock *
dsm_array_lock(dsm_array *array)
{
    return &root_of(array)->lock;
}
