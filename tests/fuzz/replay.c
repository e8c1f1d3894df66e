/* Drives a fuzz target without libFuzzer, through the files of given
 * directories: replay DIRECTORY...  An input that takes long ends it. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE 60 /* seconds, with a sanitizer on a machine that is busy */

static unsigned
replay_file(const char *path)
{
    FILE *file = fopen(path, "re");
    uint8_t *data = NULL;
    long size;

    fuzz_check(file && fseek(file, 0, SEEK_END) == 0);
    size = ftell(file);
    rewind(file);
    /* Exactly as large, so that AddressSanitizer sees what is read behind. */
    data = malloc(size > 0 ? (size_t)size : 1);
    fuzz_check(data);
    fuzz_check(fread(data, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    alarm(PATIENCE);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    alarm(0);
    free(data);
    return 1;
}

static unsigned
replay_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    unsigned count = 0;
    char *file;

    if (!directory && errno == ENOENT)
        return 0; /* of regressions there need be none */
    fuzz_check(directory);
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        fuzz_check(asprintf(&file, "%s/%s", path, entry->d_name) > 0);
        /* The one that ends the process is the last that is named. */
        fprintf(stderr, "%s\n", file);
        count += replay_file(file);
        free(file);
    }
    closedir(directory);
    return count;
}

int
main(int argc, char **argv)
{
    unsigned count = 0;

    LLVMFuzzerInitialize(&argc, &argv);
    for (int k = 1; k < argc; k++)
        count += replay_directory(argv[k]);
    fuzz_check(count > 0);
    fprintf(stderr, "%u inputs\n", count);
    return 0;
}
