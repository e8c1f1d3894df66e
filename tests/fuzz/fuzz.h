/* What the fuzz targets share.  A target is one file, fuzz_NOUN.c, with the two
 * functions that libFuzzer calls.  Built with --enable-sanitizers=
 * fuzzer-no-link,... and clang it is a fuzzer; in any other build replay.c
 * drives it, through the files that are in the tree. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((visibility("default"))) int LLVMFuzzerInitialize(int *argc,
                                                                char ***argv);
__attribute__((visibility("default"))) int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A finding, unless the condition holds. */
#define fuzz_check(condition)                                                  \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,         \
                    #condition);                                               \
            abort();                                                           \
        }                                                                      \
    } while (0)

#endif
