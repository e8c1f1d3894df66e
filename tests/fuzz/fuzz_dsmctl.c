/* The arguments of dsmctl, each behind a zero byte, in a /dev/shm with one
 * cluster.  It starts, compiles, loads and saves nothing here, and does not
 * sleep; what it prints goes nowhere. */
#include "image.h"

#include <dsm.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static FILE *nowhere;

#undef stderr
#define stderr nowhere
#define main dsmctl_main
int dsmctl_main(int argc, char **argv);
#include "../../tools/dsmctl.c"
#undef main

#include "../../tools/submit.h"
#include "../../tools/top.h"

#define WORDS_MOST 20

/* ---- In place of what would reach beyond this process. */

int
screen_run(const struct request *request, struct watch_list *list, double delay)
{
    char *text = top_text(request, list);

    fuzz_check(delay >= 0.1);
    free(text);
    return EXIT_OK;
}

int
object_compile(struct object *object, const char *file, const sigset_t *signals)
{
    (void)object, (void)file, (void)signals;
    return EXIT_FAILED;
}

void
object_remove(struct object *object)
{
    (void)object;
}

pid_t __wrap_fork(void);
pid_t __real_fork(void);
void *__wrap_dlopen(const char *path, int flags);
void *__real_dlopen(const char *path, int flags);
int __wrap_nanosleep(const struct timespec *rest, struct timespec *left);
int __wrap_dsm_array_save(const dsm_array *array, const char *path);

static bool trying;

pid_t
__wrap_fork(void)
{
    if (!trying)
        return __real_fork();
    errno = EAGAIN;
    return -1;
}

void *
__wrap_dlopen(const char *path, int flags)
{
    return trying ? NULL : __real_dlopen(path, flags);
}

int
__wrap_nanosleep(const struct timespec *rest, struct timespec *left)
{
    (void)left;
    fuzz_check(rest->tv_sec >= 0 && rest->tv_nsec >= 0 &&
               rest->tv_nsec < 1000000000);
    return 0;
}

int
__wrap_dsm_array_save(const dsm_array *array, const char *path)
{
    (void)array;
    fuzz_check(*path);
    return -EROFS;
}

/* ---- */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    image_any_cluster = true;
    image_make();
    nowhere = fopen("/dev/null", "we");
    fuzz_check(nowhere && freopen("/dev/null", "we", stdout));
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MOST + 2] = {(char[]){"dsmctl"}};
    char *text = malloc(size + 1);
    int n = 1, code;

    fuzz_check(text);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    for (char *word = text; word < text + size && n <= WORDS_MOST;
         word += strlen(word) + 1)
        words[n++] = word;
    image_restore();
    trying = true;
    code = handle(n, words);
    trying = false;
    fuzz_check(code >= EXIT_OK && code <= EXIT_LIVE);
    image_end();
    free(text);
    return 0;
}
