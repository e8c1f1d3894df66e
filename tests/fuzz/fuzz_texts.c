/* The texts that the library reads: of the kernel, of the environment, in the
 * names of files, in a trace, and in references to functions.  An input's first
 * byte says who reads the rest.  Files are served from there, too, each up to a
 * byte of 0xff, which no text has. */
#include "fuzz.h"

#include "cluster/options.h"
#include "cluster/remains.h"
#include "code/function.h"
#include "os/cgroup.h"
#include "os/cpu.h"
#include "os/process.h"
#include "shm/name.h"
#include "trace/file.h"
#include "trace/trace.h"

#include <dsm/cluster.h>
#include <dsm/error.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES 7
#define KEPT 4242 /* a child that is not to be killed */

struct text {
    const char *at;
    size_t size;
};

static struct text files[FILES];
static unsigned files_open; /* so often they are opened; then there are none */
static bool serving;
static int memory; /* a file for traces */

/* ---- Serving. */

FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen(const char *path, const char *mode);
DIR *__wrap_opendir(const char *path);
DIR *__real_opendir(const char *path);
struct dirent *__wrap_readdir(DIR *directory);
struct dirent *__real_readdir(DIR *directory);
int __wrap_closedir(DIR *directory);
int __real_closedir(DIR *directory);
int __wrap_lstat(const char *path, struct stat *status);
int __real_lstat(const char *path, struct stat *status);
int __wrap_kill(pid_t pid, int number);
int __real_kill(pid_t pid, int number);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __real_waitpid(pid_t pid, int *status, int options);
int __wrap_dsm__trace_file_open(const char *name);
void *__wrap_dlopen(const char *path, int flags);
void *__real_dlopen(const char *path, int flags);

static void
serve(const char *data, size_t size, unsigned most)
{
    for (unsigned k = 0; k < FILES; k++) {
        const char *end = size ? memchr(data, 0xff, size) : NULL;
        size_t length = end ? (size_t)(end - data) : size;

        files[k] = (struct text){data, length};
        data += end ? length + 1 : size;
        size -= end ? length + 1 : size;
    }
    files_open = most;
    serving = true;
}

FILE *
__wrap_fopen(const char *path, const char *mode)
{
    static const char *const names[FILES] = {"cgroup",
                                             "memory.max",
                                             "memory.current",
                                             "memory.stat",
                                             "memory.limit_in_bytes",
                                             "memory.usage_in_bytes",
                                             "cpu.max"};
    const struct text *file = &files[0];

    /* What the fuzzer writes has another mode. */
    if (!serving || strcmp(mode, "re") != 0)
        return __real_fopen(path, mode);
    fuzz_check(strlen(path) < PATH_MAX);
    for (unsigned k = 0; k < FILES; k++)
        if (strcmp(strrchr(path, '/') + 1, names[k]) == 0)
            file = &files[k];
    if (file->size == 0 || files_open == 0) {
        errno = ENOENT;
        return NULL;
    }
    files_open--;
    return fmemopen((void *)(uintptr_t)file->at, file->size, "r");
}

/* The lines of the first file are what is there, behind the prefix. */
DIR *
__wrap_opendir(const char *path)
{
    return serving ? (DIR *)&files[0] : __real_opendir(path);
}

struct dirent *
__wrap_readdir(DIR *directory)
{
    static struct dirent entry;
    struct text *left = &files[0];
    const char *end;
    size_t length, prefix;

    if (!serving)
        return __real_readdir(directory);
    if (left->size == 0)
        return NULL;
    end = memchr(left->at, '\n', left->size);
    length = end ? (size_t)(end - left->at) : left->size;
    prefix = dsm__name_prefix(entry.d_name);
    snprintf(entry.d_name + prefix, sizeof entry.d_name - prefix, "%.*s",
             (int)length, left->at);
    left->at += end ? length + 1 : length;
    left->size -= end ? length + 1 : length;
    return &entry;
}

int
__wrap_closedir(DIR *directory)
{
    return serving ? 0 : __real_closedir(directory);
}

int
__wrap_lstat(const char *path, struct stat *status)
{
    if (!serving)
        return __real_lstat(path, status);
    *status = (struct stat){.st_uid = geteuid()};
    return 0;
}

/* Never a group of processes, or all. */
int
__wrap_kill(pid_t pid, int number)
{
    if (!serving)
        return __real_kill(pid, number);
    fuzz_check(pid > 0 && pid != KEPT);
    return 0;
}

pid_t
__wrap_waitpid(pid_t pid, int *status, int options)
{
    if (!serving)
        return __real_waitpid(pid, status, options);
    fuzz_check(pid > 0 && pid != KEPT);
    return pid;
}

/* One library is there. */
void *
__wrap_dlopen(const char *path, int flags)
{
    if (!serving)
        return __real_dlopen(path, flags);
    fuzz_check(path[0] == '/' && strlen(path) < DSM__FUNCTION_TEXT);
    return strcmp(path, "/libc") == 0
               ? __real_dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD)
               : __real_dlopen("/nowhere", flags);
}

/* ---- Readers. */

static void
read_cgroups(const char *text, size_t size)
{
    serve(text, size, UINT_MAX);
    fuzz_check(dsm__cgroup_memory("") >= -1);
    (void)dsm__cgroup_cpus("");
}

static void
read_nodes(const char *text, size_t size)
{
    serve(text, size, UINT_MAX);
    (void)dsm__cpu_numa();
}

static void
read_children(const char *text, size_t size)
{
    const pid_t keep = KEPT;

    serve(text, size, 1);
    dsm__kill_children(&keep, 1);
}

static void
read_reference(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    dsm_fn fn = NULL;

    serve("", 0, 0);
    if (dsm__function_find(&fn, text, size) < 0) {
        fuzz_check(*dsm_last_error());
        return;
    }
    fuzz_check(fn && text[0] == '/' && length + 1 < size);
    fuzz_check(length + 1 + strnlen(text + length + 1, size - length - 1) ==
               size - 1);
}

static void
read_name(const char *text, size_t size)
{
    char path[DSM__PATH_SIZE], directory[DSM__DIRECTORY_MAX + 1];
    bool legal = size <= DSM_NAME_MAX + 1 && dsm__name_legal(text, size - 1) &&
                 strlen(text) == size - 1;

    fuzz_check(size <= DSM_NAME_MAX + 1 || !dsm__name_legal(text, size - 1));
    fuzz_check((dsm__name_check("a lock", text) == 0) ==
               dsm__name_legal(text, strnlen(text, DSM_NAME_MAX + 1)));
    if (!legal)
        return;
    fuzz_check(!strpbrk(text, "./ "));
    memset(directory, 'd', sizeof directory - 1);
    directory[sizeof directory - 1] = '\0';
    dsm__path(path, directory, text, text);
    fuzz_check(strlen(path) < sizeof path - 1);
    fuzz_check(strcmp(strrchr(path, '.') + 1, text) == 0);
}

static int
see_cluster(const char *name, void *last)
{
    fuzz_check(dsm__name_legal(name, strlen(name)));
    fuzz_check(strcmp(last, name) < 0);
    strcpy(last, name);
    return 0;
}

static void
read_file_names(const char *text, size_t size)
{
    char last[DSM_NAME_MAX + 1] = "";

    serve(text, size, 0);
    fuzz_check(dsm__remains_each(see_cluster, last) == 0);
}

static void
read_workers(const char *text, size_t size)
{
    unsigned workers = 0;

    (void)size;
    setenv("DSM_WORKERS", text, 1);
    if (dsm__options_workers(&workers) == 0)
        fuzz_check(workers >= 1 && workers <= DSM_WORKERS_MAX);
    else
        fuzz_check(workers == 0 && *dsm_last_error());
    unsetenv("DSM_WORKERS");
}

/* ---- Traces. */

static char *
read_memory(size_t *size)
{
    off_t end = lseek(memory, 0, SEEK_END);
    char *text = malloc((size_t)end + 1);

    fuzz_check(text && pread(memory, text, (size_t)end, 0) == end);
    text[end] = '\0';
    *size = (size_t)end;
    return text;
}

static bool
is_blank(const char *line, size_t length)
{
    for (size_t k = 0; k < length; k++)
        if (line[k] != ' ')
            return false;
    return true;
}

/* Each line is an event or blank, but for the first and the last. */
static void
check_events(const char *text, size_t size)
{
    const char *end = text + size - strlen("\n]}\n"), *line;

    fuzz_check(size >= 4 && strcmp(end, "\n]}\n") == 0);
    line = memchr(text, '\n', (size_t)(end + 1 - text));
    while (line < end) {
        const char *next = strchr(++line, '\n');
        size_t length = (size_t)(next - line);

        fuzz_check(is_blank(line, length) ||
                   (length > 4 && memcmp(line, ",{", 2) == 0 &&
                    memcmp(next - 2, "}}", 2) == 0));
        line = next;
    }
}

static void
end_trace(const char *text, size_t size)
{
    char *ended;

    fuzz_check(ftruncate(memory, 0) == 0);
    fuzz_check(pwrite(memory, text, size, 0) == (ssize_t)size);
    dsm__trace_file_end(dup(memory));
    ended = read_memory(&size);
    /* One that had its end is not looked at again. */
    fuzz_check(size >= 4 && strcmp(ended + size - 4, "\n]}\n") == 0);
    if (strlen(ended) == size && strcmp(ended, text) != 0)
        check_events(ended, size);
    free(ended);
}

/* Each trace has the same file, anew. */
int
__wrap_dsm__trace_file_open(const char *name)
{
    fuzz_check(ftruncate(memory, 0) == 0);
    return open(name, O_RDWR | O_APPEND | O_CLOEXEC);
}

/* Strings are closed in their line, and have nothing that JSON forbids. */
static void
check_strings(const char *text)
{
    bool inside = false;

    for (; *text; text++) {
        fuzz_check((unsigned char)*text >= ' ' || *text == '\n');
        fuzz_check(!inside || *text != '\n');
        if (inside && *text == '\\')
            fuzz_check(*++text == 'u');
        else if (*text == '"')
            inside = !inside;
    }
    fuzz_check(!inside);
}

static void
write_trace(const char *text, size_t size)
{
    struct dsm__trace *trace;
    char path[32], *written;

    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    setenv("DSM_TRACE", path, 1);
    fuzz_check(dsm__trace_create(&trace, "cluster", 2) == 0 && trace);
    unsetenv("DSM_TRACE");
    dsm__trace_become(trace, 1);
    dsm__trace_add(DSM__TRACE_JOB, 1, text, size, 0);
    dsm__trace_flush();
    dsm__trace_end(trace);
    dsm__trace_free(trace);
    dsm__trace_become(NULL, 0);
    written = read_memory(&size);
    fuzz_check(strlen(written) == size);
    check_events(written, size);
    check_strings(written);
    free(written);
}

/* ---- */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    memory = memfd_create("texts", MFD_CLOEXEC);
    fuzz_check(memory >= 0);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const raw[])(const char *, size_t) = {
        read_cgroups, read_nodes, read_children, read_reference,
        read_file_names};
    /* These have a zero behind the text, which counts. */
    static void (*const strings[])(const char *, size_t) = {
        read_name, read_workers, end_trace, write_trace};
    enum { RAW = sizeof raw / sizeof *raw };
    unsigned which;
    char *text;

    if (size < 2)
        return 0;
    which = data[0] % (RAW + sizeof strings / sizeof *strings);
    text = malloc(size);
    fuzz_check(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (which < RAW)
        raw[which](text, size - 1);
    else
        strings[which - RAW](text, size);
    serving = false;
    free(text);
    return 0;
}
