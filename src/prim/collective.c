/* Running primitives: as a region, or in one; see collective.h. */
#include "prim/collective.h"

#include "base/error.h"
#include "cluster/outcome.h"

#include <dsm/error.h>

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN(size) (((size) + 63) / 64 * 64)

/* ---- Workspaces.  Small ones are in the control segment, where consecutive
 * calls take different halves.  Large ones are in arrays of the library's own
 * that stay for the next call: their names tell their size, so that workers can
 * find in a region what one of them made.  They need no halves, as all meet
 * when they have found it. */

static int
open_work(dsm_array **array, dsm_cluster *cluster, size_t bytes, bool create)
{
    char name[DSM_NAME_MAX + 1];
    size_t size = 4096;
    int error;

    while (size < bytes)
        size *= 2;
    snprintf(name, sizeof name, ".work%zu", size);
    error = dsm_array_open(array, cluster, name, DSM_UINT8);
    if (error != -ENOENT || !create)
        return error;
    error = dsm__array_create_bytes(array, cluster, name, size);
    /* Another thread of the controller has just made it. */
    return error == -EEXIST ? dsm_array_open(array, cluster, name, DSM_UINT8)
                            : error;
}

/* In a worker: what another made.  One that cannot take part ends the region,
 * or the others would take its next barrier for that of this call. */
static int
find_work(dsm_array **array, dsm_worker *self, size_t bytes)
{
    int error = open_work(array, self->cluster, bytes, false);

    if (error) {
        dsm__outcome_fail(self->control, self->slot, error, "worker %u: %s",
                          self->id, dsm_last_error());
        dsm__region_interrupt(self->control, self->region, DSM__LOST);
    }
    return error;
}

/* In a region worker 0 makes what is missing, and tells the others by its
 * scratch whether it could.  They meet here, so that nobody writes what another
 * still reads of the call before; large workspaces need no halves. */
static int
open_work_together(dsm_array **array, dsm_worker *self, size_t bytes)
{
    int *told = dsm__scratch(self->control, 0, self->half);
    bool first = self->id == 0;
    int error = 0, broken;

    if (first)
        *told = error = open_work(array, self->cluster, bytes, true);
    broken = dsm_worker_barrier(self);
    if (broken || error)
        return error ? error : broken;
    if (*told)
        return dsm__fail(*told,
                         "worker 0 could not make %zu bytes of workspace: %s",
                         bytes, dsm_strerror(*told));
    return first ? 0 : find_work(array, self, bytes);
}

static int
place_work(dsm_cluster *cluster, dsm_worker *self, struct dsm__task *task,
           size_t work)
{
    struct dsm__control *control = cluster->member.control;
    dsm_array *array;
    size_t bytes;
    int error;

    task->stride = DSM__SCRATCH;
    task->work = dsm__scratch(control, 0, self ? self->half : 0);
    if (work <= DSM__SCRATCH / 2)
        return 0;
    task->stride = ALIGN(work);
    bytes = control->workers * task->stride;
    error = self ? open_work_together(&array, self, bytes)
                 : open_work(&array, cluster, bytes, true);
    if (!error)
        task->work = dsm_array_data(array);
    else if (self)
        self->half ^= 1; /* the others may not have read yet */
    return error;
}

/* In the process that has the caller's memory nothing is copied: a distance
 * works as an address does. */
static void
refer_from_here(struct dsm__task *task)
{
    task->argument.at -= task->argument.size ? (uintptr_t)task : 0;
    task->identity.at -= task->identity.size ? (uintptr_t)task : 0;
}

/* ---- In a region. */

static int
run_in_region(dsm_worker *self, struct dsm__task *task, void *result)
{
    const struct dsm__primitive *primitive = task->primitive;
    int error, broken;

    refer_from_here(task);
    self->collective = primitive->name;
    error = primitive->part(self, task);
    broken = dsm_worker_barrier(self);
    error = error ? error : broken;
    if (!error && primitive->finish)
        primitive->finish(task, self->count, self->id, result);
    self->collective = NULL;
    self->half ^= 1;
    return error;
}

/* ---- As a region. */

static int
run_part(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct dsm__task *task = arg;
    int error;

    (void)arg_size;
    self->collective = task->primitive->name;
    error = task->primitive->part(self, task);
    self->collective = NULL;
    return error;
}

struct finish_context {
    const struct dsm__task *task;
    unsigned workers;
    void *result;
};

static void
finish(void *context)
{
    struct finish_context *c = context;

    if (c->task->primitive->finish)
        c->task->primitive->finish(c->task, c->workers, 0, c->result);
}

static void
copy_given(char *base, size_t *used, struct dsm__given *given)
{
    if (given->size == 0)
        return;
    memcpy(base + *used, (const void *)given->at, given->size);
    given->at = *used;
    *used = ALIGN(*used + given->size);
}

/* The task with everything that it refers to, one behind the other. */
static struct dsm__task *
pack(const struct dsm__task *task, size_t size, size_t *packed_size)
{
    size_t used = ALIGN(size);
    size_t all = used + ALIGN(task->argument.size) + ALIGN(task->identity.size);
    char *copy = calloc(1, all);
    struct dsm__task *packed = (struct dsm__task *)copy;

    if (!copy)
        return NULL;
    memcpy(copy, task, size);
    copy_given(copy, &used, &packed->argument);
    copy_given(copy, &used, &packed->identity);
    *packed_size = all;
    return packed;
}

static int
run_as_region(dsm_cluster *cluster, struct dsm__task *task, size_t size,
              void *result)
{
    struct finish_context context = {task, cluster->member.control->workers,
                                     result};
    struct dsm__task *packed = NULL;
    int error;

    if (task->argument.size || task->identity.size) {
        packed = pack(task, size, &size);
        if (!packed)
            return dsm__fail(-ENOMEM, "%s: no memory to copy its argument",
                             task->primitive->name);
    }
    refer_from_here(task);
    error = dsm__cluster_run(cluster, run_part, packed ? packed : task, size,
                             finish, &context);
    free(packed);
    return error;
}

static int
check_caller(dsm_cluster *cluster, const char *call)
{
    dsm_worker *self;

    if (!dsm__identity_ok() || !cluster->member.control)
        return dsm__identity_fail(call);
    self = dsm__cluster_worker_here(cluster);
    if (self ? self->in_region && !self->collective
             : cluster->member.role == DSM__CONTROLLER)
        return 0;
    if (!self)
        return dsm__fail(-EPERM,
                         "%s: only the program that created cluster '%s' may "
                         "call it, and its workers from their parts of regions",
                         call, cluster->member.control->name);
    return dsm__fail(-EPERM,
                     "%s: a worker may call it in its part of a region, not in "
                     "setup, cleanup, or the function of another primitive",
                     call);
}

/* A handle of another cluster leads to memory that the workers have not. */
static int
check_array(const dsm_cluster *cluster, const char *call,
            const dsm_array *array)
{
    const struct dsm__control *control = cluster->member.control;
    uintptr_t offset = (uintptr_t)array - (uintptr_t)control;

    if (offset < control->objects_offset || offset >= control->arena_offset)
        return dsm__fail(-EINVAL, "%s: the array at %p is none of cluster '%s'",
                         call, (const void *)array, control->name);
    if (atomic_load_explicit(&array->object.state, memory_order_acquire) !=
        DSM__LIVE)
        return dsm__fail(-ENOENT, "%s: array '%s' was destroyed", call,
                         dsm_array_name(array));
    return 0;
}

int
dsm__primitive_check(dsm_cluster *cluster, const char *call, ...)
{
    int error = check_caller(cluster, call);
    const dsm_array *array;
    va_list arrays;

    va_start(arrays, call);
    while (!error && (array = va_arg(arrays, const dsm_array *)))
        error = check_array(cluster, call, array);
    va_end(arrays);
    return error;
}

int
dsm__collective(dsm_cluster *cluster, const struct dsm__primitive *primitive,
                struct dsm__task *task, size_t size, size_t work, void *result)
{
    dsm_worker *self = dsm__cluster_worker_here(cluster);
    int error = place_work(cluster, self, task, work);

    task->primitive = primitive;
    if (error)
        return error;
    return self ? run_in_region(self, task, result)
                : run_as_region(cluster, task, size, result);
}

/* ---- Checks. */

int
dsm__give_argument(dsm_cluster *cluster, struct dsm__task *task,
                   const void *arg, size_t arg_size)
{
    /* A worker's own memory serves its own part. */
    bool own = arg && dsm__cluster_worker_here(cluster);
    int error = own ? 0 : dsm__argument_check(cluster, arg, arg_size);

    if (error)
        return error;
    task->argument = (struct dsm__given){(uintptr_t)arg, arg_size};
    return 0;
}

int
dsm__give_op(dsm_cluster *cluster, struct dsm__task *task, const dsm_op *op)
{
    task->identity = (struct dsm__given){(uintptr_t)op->identity,
                                         op->identity ? op->size : 0};
    if (op->size > 0)
        return dsm__give_argument(cluster, task, op->arg, op->arg_size);
    /* A built-in operator's lies in the library, and so in all processes. */
    task->argument = (struct dsm__given){(uintptr_t)op->arg, 0};
    return 0;
}

dsm_op
dsm__given_op(const struct dsm__task *task, const dsm_op *op)
{
    dsm_op given = *op;

    given.arg = dsm__given(task, &task->argument);
    given.identity = dsm__given(task, &task->identity);
    return given;
}

int
dsm__check_apart(const char *call, const dsm_array *out, const dsm_array *in,
                 bool same)
{
    const char *o = dsm_array_data(out), *i = dsm_array_data(in);
    size_t out_bytes = dsm_array_count(out) * dsm_array_item_size(out);
    size_t in_bytes = dsm_array_count(in) * dsm_array_item_size(in);

    if (!out_bytes || !in_bytes || o >= i + in_bytes || i >= o + out_bytes)
        return 0;
    if (same && o == i && dsm_array_item_size(out) == dsm_array_item_size(in))
        return 0;
    return dsm__fail(-EINVAL, "%s: the output overlaps the input '%s'%s", call,
                     dsm_array_name(in), same ? " without being the same" : "");
}

int
dsm__check_factors(const char *call, dsm_type type, double alpha, double beta)
{
    if (type != DSM_INT32 && type != DSM_INT64)
        return 0;
    if (alpha == rint(alpha) && beta == rint(beta) && fabs(alpha) <= 0x1p62 &&
        fabs(beta) <= 0x1p62)
        return 0;
    return dsm__fail(-EINVAL,
                     "%s: for %s alpha (%g) and beta (%g) must be whole "
                     "numbers below 2^62",
                     call, dsm_type_name(type), alpha, beta);
}

int
dsm__check_counts(const char *call, const dsm_array *a, const dsm_array *b)
{
    if (dsm_array_count(a) == dsm_array_count(b))
        return 0;
    return dsm__fail(-EINVAL, "%s: '%s' has %zu items, but '%s' has %zu", call,
                     dsm_array_name(a), dsm_array_count(a), dsm_array_name(b),
                     dsm_array_count(b));
}
