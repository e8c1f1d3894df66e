/* The reader of .npy headers.  Of any bytes it takes only what an array can be,
 * and what it takes is written and read back as the same. */
#include "fuzz.h"
#include "shm/npy.h"

#include <dsm/error.h>

#include <string.h>

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

static void
check_fields(const struct dsm__npy *npy, size_t size)
{
    fuzz_check(npy->ndim <= DSM_NDIM_MAX);
    fuzz_check(npy->header_size <= size);
    fuzz_check(dsm_type_size(npy->type) > 0);
    fuzz_check(npy->bytes <= SIZE_MAX / 2);
    fuzz_check(npy->count == npy->bytes / dsm_type_size(npy->type));
}

static void
check_round_trip(const struct dsm__npy *npy)
{
    struct dsm__npy set, back;
    char header[DSM__NPY_HEADER];

    fuzz_check(dsm__npy_set(&set, npy->type, npy->ndim, npy->shape) == 0);
    dsm__npy_write(header, &set);
    fuzz_check(dsm__npy_parse(&back, header, sizeof header) == 0);
    fuzz_check(back.header_size == sizeof header);
    fuzz_check(back.type == npy->type && back.ndim == npy->ndim);
    fuzz_check(back.count == npy->count && back.bytes == npy->bytes);
    fuzz_check(memcmp(back.shape, npy->shape, npy->ndim * sizeof *npy->shape) ==
               0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dsm__npy npy;
    int error = dsm__npy_parse(&npy, data, size);

    fuzz_check(error == 0 || error == DSM_EFORMAT);
    if (error == 0) {
        check_fields(&npy, size);
        check_round_trip(&npy);
    } else {
        fuzz_check(npy.ndim == 0 && npy.bytes == 0);
        fuzz_check(npy.header_size == 0 || npy.header_size > size);
        fuzz_check(*dsm_last_error());
    }
    return 0;
}
