/* Steps with arrays: created, filled, viewed, saved and loaded, destroyed. */
#include "chaos.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ITEMS_MOST 40000

static int64_t
item(uint64_t seed, size_t k)
{
    return (int64_t)(mixed(seed, k) % 2001) - 1000;
}

static void
fill(const dsm_array *array, uint64_t seed)
{
    int64_t *items = dsm_array_data(array);

    for (size_t k = 0; k < dsm_array_count(array); k++)
        items[k] = item(seed, k);
}

static void
check(const dsm_array *array, uint64_t seed, int64_t more, const char *which)
{
    const int64_t *items = dsm_array_data(array);

    for (size_t k = 0; k < dsm_array_count(array); k++)
        if (items[k] != item(seed, k) + more) {
            wrong("item %zu of %s is %ld, not %ld", k, which, (long)items[k],
                  (long)(item(seed, k) + more));
            return;
        }
}

static int
create(struct scene *scene, dsm_array **array, size_t rows, size_t columns)
{
    char name[16];

    snprintf(name, sizeof name, "a%d", scene->serial++);
    return note(CALL_ARRAY_CREATE,
                dsm_array_create(array, scene->cluster, name, DSM_INT64,
                                 DSM_SHAPE(rows, columns)),
                MAY(OK));
}

static void
destroy(dsm_array *array)
{
    note(CALL_ARRAY_DESTROY, dsm_array_destroy(array), MAY(OK));
}

/* Each worker adds 1 to its share, of an array that is younger than it. */
static int
add_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array = *(dsm_array *const *)arg;
    int64_t *items = dsm_array_data(array);
    dsm_range mine = dsm_worker_range(self, dsm_array_count(array));

    (void)arg_size;
    for (size_t k = mine.begin; k < mine.end; k++)
        items[k]++;
    return 0;
}

static void
in_a_region(struct scene *scene)
{
    uint64_t seed = random_next(&scene->random);
    dsm_array *array;
    int result;

    if (create(scene, &array, 1 + random_below(&scene->random, ITEMS_MOST), 1) <
        0)
        return;
    fill(array, seed);
    result =
        note(CALL_RUN,
             dsm_cluster_run(scene->cluster, add_one, &array, sizeof array),
             MAY(OK));
    if (result == DSM_EWORKER)
        board->lost++;
    if (result == 0)
        check(array, seed, 1, "an array after a region");
    destroy(array);
}

static void
viewing(struct scene *scene)
{
    uint64_t seed = random_next(&scene->random);
    size_t rows = 2 + random_below(&scene->random, 500);
    dsm_array *array, *view;

    if (create(scene, &array, rows, 3) < 0)
        return;
    fill(array, seed);
    if (note(CALL_ARRAY_VIEW, dsm_array_view(&view, array, 1, rows), MAY(OK)) ==
        0) {
        const int64_t *items = dsm_array_data(view);

        if (dsm_array_count(view) != 3 * (rows - 1) ||
            items[0] != item(seed, 3))
            wrong("a view of %zu items begins with %ld", dsm_array_count(view),
                  (long)items[0]);
        if (random_percent(&scene->random, 50))
            destroy(view);
    }
    destroy(array);
}

/* Several at once, of which the names are used again. */
static void
many(struct scene *scene)
{
    dsm_array *array[8], *found;
    unsigned n = 1 + random_below(&scene->random, 8), made = 0;
    uint64_t seed = random_next(&scene->random);

    while (made < n && create(scene, &array[made], 100, 1) == 0) {
        fill(array[made], seed + made);
        made++;
    }
    for (unsigned k = 0; k < made; k++) {
        if (note(CALL_ARRAY_OPEN,
                 dsm_array_open(&found, scene->cluster,
                                dsm_array_name(array[k]), DSM_INT64),
                 MAY(OK)) == 0)
            check(found, seed + k, 0, "an opened array");
        destroy(array[k]);
    }
}

static void
files(struct scene *scene)
{
    uint64_t seed = random_next(&scene->random);
    dsm_array *array, *loaded;
    char path[128], name[16];

    snprintf(path, sizeof path, "%s/%ld.npy", board->directory, (long)getpid());
    if (create(scene, &array, 1 + random_below(&scene->random, 1000), 2) < 0)
        return;
    fill(array, seed);
    if (note(CALL_ARRAY_SAVE, dsm_array_save(array, path), MAY(OK)) == 0) {
        snprintf(name, sizeof name, "l%d", scene->serial++);
        if (note(CALL_ARRAY_LOAD,
                 dsm_array_load(&loaded, scene->cluster, name, path),
                 MAY(OK)) == 0) {
            check(loaded, seed, 0, "a loaded array");
            destroy(loaded);
        }
    }
    unlink(path);
    destroy(array);
}

const struct step array_steps[] = {
    {"an array in a region", in_a_region, 5, false},
    {"a view", viewing, 3, false},
    {"many arrays", many, 4, false},
    {"a file", files, 2, false},
    {NULL, NULL, 0, false},
};
