/* fixture_numpy NAME: a cluster for test_numpy.py.  It has 2 workers and an
 * array of every type in each of some shapes, with round 0 of the pattern below
 * in it.  Prints "array NAME PATH TYPE ITEM-SIZE LENGTH…" for each, "ready",
 * and then answers each line of its stdin with one of its own, "ok" or what was
 * wrong:
 *
 *     check ROUND        the workers look whether all arrays hold the pattern
 *                        of that round, and then write the next
 *     save ARRAY FILE
 *     load ARRAY FILE    whether the new array holds the pattern of round 9
 *
 * It ends with its stdin.  The pattern: item i in round r is v = (7 i + 13 r +
 * 1) % 100 as an integer, v % 2 as a bool, v / 4 as a float, v / 4 - v j as a
 * complex number; byte b of a structure is (v + b) % 256. */
#include <dsm.h>

#include <complex.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const dsm_type types[] = {
    DSM_BOOL,    DSM_INT8,      DSM_INT16,      DSM_INT32,     DSM_INT64,
    DSM_UINT8,   DSM_UINT16,    DSM_UINT32,     DSM_UINT64,    DSM_FLOAT32,
    DSM_FLOAT64, DSM_COMPLEX64, DSM_COMPLEX128, DSM_STRUCT(12)};

static const struct {
    unsigned ndim;
    size_t shape[3];
} shapes[] = {{0, {0}}, {1, {5}},    {2, {3, 4}},   {3, {2, 3, 4}},
              {1, {0}}, {2, {3, 0}}, {3, {0, 2, 2}}};

enum {
    TYPES = sizeof types / sizeof *types,
    SHAPES = sizeof shapes / sizeof *shapes
};

static void
need(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "fixture_numpy: %s (%s)\n", dsm_last_error(),
            dsm_strerror(result));
    exit(EXIT_FAILURE);
}

/* ---- The pattern. */

#define STORE(type, value)                                                     \
    do {                                                                       \
        type item = (type)(value);                                             \
        memcpy(at, &item, sizeof item);                                        \
    } while (0)

static void
make_item(void *at, dsm_type type, size_t size, size_t i, unsigned round)
{
    unsigned v = (unsigned)((7 * i + 13 * round + 1) % 100);
    double quarter = v / 4.0;

    switch (type) {
    case DSM_BOOL:
        STORE(uint8_t, v % 2);
        break;
    case DSM_INT8:
    case DSM_UINT8:
        STORE(uint8_t, v);
        break;
    case DSM_INT16:
    case DSM_UINT16:
        STORE(uint16_t, v);
        break;
    case DSM_INT32:
    case DSM_UINT32:
        STORE(uint32_t, v);
        break;
    case DSM_INT64:
    case DSM_UINT64:
        STORE(uint64_t, v);
        break;
    case DSM_FLOAT32:
        STORE(float, quarter);
        break;
    case DSM_FLOAT64:
        STORE(double, quarter);
        break;
    case DSM_COMPLEX64:
        STORE(float complex, quarter - 4 * quarter * I);
        break;
    case DSM_COMPLEX128:
        STORE(double complex, quarter - 4 * quarter * I);
        break;
    default:
        for (size_t b = 0; b < size; b++)
            ((unsigned char *)at)[b] = (unsigned char)(v + b);
    }
}

static void
fill(dsm_array *array, unsigned round)
{
    size_t size = dsm_array_item_size(array);
    char *data = dsm_array_data(array);

    for (size_t i = 0; i < dsm_array_count(array); i++)
        make_item(data + i * size, dsm_array_type(array), size, i, round);
}

static bool
holds(const dsm_array *array, unsigned round)
{
    size_t size = dsm_array_item_size(array);
    const char *data = dsm_array_data(array);
    char item[16];

    for (size_t i = 0; i < dsm_array_count(array); i++) {
        make_item(item, dsm_array_type(array), size, i, round);
        if (memcmp(data + i * size, item, size) != 0)
            return false;
    }
    return true;
}

/* ---- The arrays. */

static void
name_of(char name[DSM_NAME_MAX + 1], int type, int shape)
{
    snprintf(name, DSM_NAME_MAX + 1, "%s-%d", dsm_type_name(types[type]),
             shape);
}

static void
create_arrays(dsm_cluster *cluster)
{
    char name[DSM_NAME_MAX + 1];
    dsm_array *array;

    for (int type = 0; type < TYPES; type++)
        for (int shape = 0; shape < SHAPES; shape++) {
            name_of(name, type, shape);
            need(dsm_array_create(&array, cluster, name, types[type],
                                  shapes[shape].ndim, shapes[shape].shape));
            fill(array, 0);
        }
}

static int
print_array(const dsm_object_info *info, void *arg)
{
    (void)arg;
    printf("array %s %s %s %zu", info->name, info->path,
           dsm_type_name(info->type), dsm_type_size(info->type));
    for (unsigned k = 0; k < info->ndim; k++)
        printf(" %zu", info->shape[k]);
    printf("\n");
    return 0;
}

/* ---- The commands. */

/* Every worker looks at every array; after the barrier worker 0 writes the next
 * round. */
static int
check_all(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned round = *(const unsigned *)arg;
    char name[DSM_NAME_MAX + 1];

    (void)arg_size;
    for (int k = 0; k < TYPES * SHAPES; k++) {
        name_of(name, k / SHAPES, k % SHAPES);
        if (!holds(dsm_worker_array(self, name), round))
            dsm_worker_fail(self, DSM_EFAILED,
                            "worker %u sees another pattern in %s",
                            dsm_worker_id(self), name);
    }
    dsm_worker_barrier(self);
    for (int k = 0; dsm_worker_id(self) == 0 && k < TYPES * SHAPES; k++) {
        name_of(name, k / SHAPES, k % SHAPES);
        fill(dsm_worker_array(self, name), round + 1);
    }
    return 0;
}

static const char *
save(dsm_cluster *cluster, const char *name, const char *path)
{
    dsm_array *array;

    if (dsm_array_open(&array, cluster, name, DSM_ANY) < 0 ||
        dsm_array_save(array, path) < 0)
        return dsm_last_error();
    return "ok";
}

static const char *
load(dsm_cluster *cluster, const char *name, const char *path)
{
    dsm_array *array;

    if (dsm_array_load(&array, cluster, name, path) < 0)
        return dsm_last_error();
    return holds(array, 9) ? "ok" : "another pattern";
}

static const char *
obey(dsm_cluster *cluster, const char *line)
{
    char name[DSM_NAME_MAX + 1], path[512];
    unsigned round;

    if (sscanf(line, "check %u", &round) == 1)
        return dsm_cluster_run(cluster, check_all, &round, sizeof round) < 0
                   ? dsm_last_error()
                   : "ok";
    if (sscanf(line, "save %48s %511s", name, path) == 2)
        return save(cluster, name, path);
    if (sscanf(line, "load %48s %511s", name, path) == 2)
        return load(cluster, name, path);
    return "no such command";
}

int
main(int argc, char **argv)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    char line[1024];

    if (argc != 2) {
        fprintf(stderr, "usage: fixture_numpy NAME\n");
        return 2;
    }
    options.name = argv[1];
    need(dsm_cluster_create(&cluster, 2, &options));
    create_arrays(cluster);
    need(dsm_cluster_objects(argv[1], print_array, NULL));
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        printf("%s\n", obey(cluster, line));
        fflush(stdout);
    }
    dsm_cluster_destroy(cluster);
    return 0;
}
