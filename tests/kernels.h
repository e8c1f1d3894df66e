/* What the tests of kernels share: all sets of them, lengths to try, and memory
 * with guards around it. */
#ifndef TESTS_KERNELS_H
#define TESTS_KERNELS_H

#include "items.h"

#include "kernel/kernel.h"

#include <check.h>
#include <stdio.h>

enum { ITEMS = 1200, GUARD = 128, ISLAND = 0x5a };

static const size_t lengths[] = {0,   1,   2,   3,   7,   8,   15,   16,  17,
                                 31,  32,  33,  63,  64,  65,  127,  128, 129,
                                 191, 255, 256, 257, 511, 513, 1023, 1200};
#define LENGTHS (sizeof lengths / sizeof *lengths)

/* Memory of `bytes` from an odd place on, with guards around it. */
struct island {
    char *memory, *bytes;
    size_t size;
};

static inline struct island
island(size_t size, size_t offset)
{
    struct island i = {.memory = malloc(size + 2 * GUARD + 64), .size = size};

    memset(i.memory, ISLAND, size + 2 * GUARD + 64);
    i.bytes = i.memory + GUARD + offset;
    return i;
}

/* Whether nothing beyond its first `used` bytes, and nothing around it, was
 * written. */
static inline bool
kept(const struct island *i, size_t used)
{
    const char *end = i->memory + i->size + 2 * GUARD + 64;

    for (const char *at = i->memory; at < i->bytes; at++)
        if (*at != ISLAND)
            return false;
    for (const char *at = i->bytes + used; at < end; at++)
        if (*at != ISLAND)
            return false;
    return true;
}

static inline void
drop(struct island *i)
{
    free(i->memory);
}

static inline const struct dsm__kernels *
set(int k)
{
    return dsm__kernels_at((unsigned)k);
}

static inline int
sets(void)
{
    int n = 0;

    while (set(n))
        n++;
    return n;
}

/* Runs each test once for every set. */
static inline int
kernel_main(const char *name, const TTest *const *all, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create(name);
    SRunner *runner = srunner_create(suite);
    int failed;

    for (size_t k = 0; k < n; k++)
        tcase_add_loop_test(tests, all[k], 0, sets());
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

#endif
