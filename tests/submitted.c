/* Functions that the test of dsmctl submit has a cluster run. */
#include <dsm.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Prints its words; the result has a zero in its midst. */
int
words(dsm_worker *self, const void *arg, size_t arg_size)
{
    const char *word = arg, *end = word + arg_size;

    if (!arg)
        printf("NULL and %zu\n", arg_size);
    for (; word < end; word += strlen(word) + 1)
        printf("<%s>\n", word);
    fprintf(stderr, "to stderr\n");
    return dsm_worker_return(self, "a\0b\n", 4);
}

/* Dies as long as there is no file of that name, which it makes. */
int
die_once(dsm_worker *self, const void *arg, size_t arg_size)
{
    FILE *file = fopen(arg, "rx");

    (void)arg_size;
    if (file) {
        fclose(file);
        return dsm_worker_return(self, "alive\n", 6);
    }
    file = fopen(arg, "w");
    if (file)
        fclose(file);
    printf("first try\n");
    fflush(stdout);
    raise(SIGKILL);
    return 0;
}

int
fail(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    fprintf(stderr, "no luck\n");
    return 7;
}

/* Ends when it is asked to. */
int
obey(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    while (!dsm_worker_cancelled(self))
        usleep(1000);
    printf("obeyed\n");
    return 0;
}

/* Is to be killed. */
int
hang(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    for (;;)
        pause();
}
