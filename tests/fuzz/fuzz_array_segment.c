/* Files of arrays: what dsm_array_load makes of any bytes, and what happens
 * when an array's own file has become something else.  Four bytes say how long
 * that file is made; the rest is a .npy file. */
#include "image.h"
#include "shm/npy.h"

#include <dsm.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAD 4

static int file;
static char path[32];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    image_make();
    file = memfd_create("fuzz.npy", 0);
    fuzz_check(file >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return 0;
}

/* It is the file's array, item for item, or there is none. */
static void
load(dsm_cluster *cluster, const uint8_t *data, size_t size)
{
    struct dsm__npy npy;
    int error = dsm__npy_parse(&npy, data, size), loaded;
    dsm_array *array;

    fuzz_check(ftruncate(file, 0) == 0);
    fuzz_check(pwrite(file, data, size, 0) == (ssize_t)size);
    loaded = dsm_array_load(&array, cluster, "new", path);
    fuzz_check((loaded == 0) == (array != NULL));
    if (error || npy.bytes > size - npy.header_size) {
        fuzz_check(loaded == DSM_EFORMAT);
        return;
    }
    fuzz_check(loaded == 0);
    fuzz_check(dsm_array_type(array) == npy.type);
    fuzz_check(dsm_array_count(array) == npy.count);
    fuzz_check(
        memcmp(dsm_array_data(array), data + npy.header_size, npy.bytes) == 0);
    fuzz_check(dsm_array_destroy(array) == 0);
}

static void
open_another(dsm_cluster *cluster, uint32_t length)
{
    bool changed = image_array_length(length);
    dsm_array *array;
    int error = dsm_array_open(&array, cluster, "A", DSM_ANY);

    fuzz_check(error == (changed ? DSM_EFORMAT : 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_cluster *cluster;
    uint32_t length;

    if (size < HEAD)
        return 0;
    memcpy(&length, data, sizeof length);
    image_restore();
    fuzz_check(dsm_cluster_attach(&cluster, image_name) == 0);
    load(cluster, data + HEAD, size - HEAD);
    dsm_cluster_destroy(cluster);
    image_restore();
    fuzz_check(dsm_cluster_attach(&cluster, image_name) == 0);
    open_another(cluster, length);
    dsm_cluster_destroy(cluster);
    image_end();
    return 0;
}
