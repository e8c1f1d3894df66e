/* References to functions: which go by address and which by name, that a
 * process which had not loaded the library finds them, and that no other
 * function is found in their place.  The libraries are compiled by $CC. */
#include "code/function.h"

#include "support.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Functions of many.so: more than are remembered. */
enum { MANY = 300 };

#define PARAMETERS "(void *self, const void *arg, unsigned long size)"

static char directory[PATH_MAX];

/* ---- Libraries, compiled once. */

static const char *
in_directory(const char *name)
{
    static char paths[8][2 * PATH_MAX];
    static unsigned used;
    char *path = paths[used++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

/* Compiled aside and renamed, so that whoever has the old one keeps it. */
static void
compile(const char *name, const char *options, const char *source)
{
    const char *compiler = getenv("CC"), *path = in_directory("source.c");
    FILE *file = fopen(path, "we");
    char *command;

    ck_assert_ptr_nonnull(file);
    fputs(source, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_gt(asprintf(&command, "%s -shared -fPIC %s -o %s %s",
                              compiler ? compiler : "cc", options,
                              in_directory("new.so"), path),
                     0);
    ck_assert_msg(system(command) == 0, "%s", command);
    free(command);
    ck_assert_int_eq(rename(in_directory("new.so"), in_directory(name)), 0);
}

/* An exported function, and a static one of which the library gives the
 * address.  Its variable is another one in each process. */
static void
compile_plain(const char *name, int value)
{
    char source[1024];

    snprintf(source, sizeof source,
             "int exported" PARAMETERS "\n"
             "{ return *(const int *)arg + %d; }\n"
             "static int hidden" PARAMETERS "\n"
             "{ return *(const int *)arg + 2 * %d; }\n"
             "int asked = 1;\n"
             "int (*pointer(void))" PARAMETERS " { asked++; return hidden; }\n",
             value, value);
    compile(name, "-Wl,--build-id=none", source);
}

static void
compile_many(void)
{
    char *source;
    size_t size;
    FILE *text = open_memstream(&source, &size);

    for (int k = 0; k < MANY; k++)
        fprintf(text, "int f%d" PARAMETERS " { return %d; }\n", k, k);
    fclose(text);
    compile("many.so", "", source);
    free(source);
}

/* A function in two versions; dlsym gives the new one. */
static void
compile_versions(void)
{
    FILE *map = fopen(in_directory("map"), "we");
    char options[2 * PATH_MAX + 32];

    ck_assert_ptr_nonnull(map);
    fputs("V1 { global: twice; pointer; local: *; };\nV2 { } V1;\n", map);
    ck_assert_int_eq(fclose(map), 0);
    snprintf(options, sizeof options, "-Wl,--version-script=%s",
             in_directory("map"));
    compile("versions.so", options,
            "int before" PARAMETERS " { return 1; }\n"
            "int after" PARAMETERS " { return 2; }\n"
            "__asm__(\".symver before, twice@V1\");\n"
            "__asm__(\".symver after, twice@@V2\");\n"
            "int (*pointer(void))" PARAMETERS " { return before; }\n");
}

static void
make_libraries(void)
{
    char template[] = "/tmp/dsm-function-XXXXXX";

    ck_assert_ptr_nonnull(mkdtemp(template));
    ck_assert_ptr_nonnull(realpath(template, directory));
    compile_plain("plain.so", 10);
    compile_plain("other.so", 20);
    compile_many();
    compile_versions();
}

static void
remove_libraries(void)
{
    char *command;

    ck_assert_int_gt(asprintf(&command, "rm -r '%s'", directory), 0);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

static void *
open_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    ck_assert_msg(library, "%s", dlerror());
    return library;
}

static dsm_fn
exported(void *library, const char *name)
{
    dsm_fn fn = (dsm_fn)dlsym(library, name);

    ck_assert_ptr_nonnull((void *)fn);
    return fn;
}

static dsm_fn
hidden(void *library)
{
    dsm_fn (*pointer)(void) = (dsm_fn(*)(void))dlsym(library, "pointer");

    ck_assert_ptr_nonnull((void *)pointer);
    return pointer();
}

/* ---- Processes that had not loaded the library. */

struct reference {
    size_t size;
    char text[DSM__FUNCTION_TEXT];
};

static int to_worker[2];

static struct reference
describe(dsm_fn fn)
{
    struct reference reference = {0}; /* all of it is written to a pipe */

    ck_dsm(dsm__function_describe(reference.text, &reference.size, fn, NULL));
    return reference;
}

/* Finds the function that it is told of, and calls it with 5; 255 where the
 * library is another build. */
static int
find_and_call(void *arg)
{
    struct reference reference;
    dsm_fn fn;
    int error, five = 5;

    (void)arg;
    if (read(to_worker[0], &reference, sizeof reference) != sizeof reference)
        return 254;
    error = dsm__function_find(&fn, reference.text, reference.size);
    if (error == -ENOEXEC && strstr(dsm_last_error(), "another build"))
        return 255;
    return error ? 253 : fn(NULL, &five, sizeof five);
}

static pid_t
start_worker(void)
{
    ck_assert_int_eq(pipe(to_worker), 0);
    return test_host(find_and_call, NULL);
}

/* What that worker gets of this function. */
static int
result_of(pid_t worker, const struct reference *reference)
{
    int status;

    ck_assert_int_eq(write(to_worker[1], reference, sizeof *reference),
                     sizeof *reference);
    status = test_reap(worker);
    close(to_worker[0]);
    close(to_worker[1]);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- Describing. */

static int
of_the_program(dsm_worker *self, const void *arg, size_t size)
{
    (void)self;
    (void)arg;
    return (int)size;
}

START_TEST(what_the_workers_have_goes_by_address)
{
    void *library = open_library(in_directory("plain.so"));
    struct dsm__objects *known = dsm__objects_now();
    char text[DSM__FUNCTION_TEXT];
    dsm_fn fn[] = {of_the_program, exported(library, "exported"),
                   hidden(library), (dsm_fn)(void *)qsort};

    ck_assert_ptr_nonnull(known);
    for (size_t k = 0; k < sizeof fn / sizeof *fn; k++) {
        size_t size = 1;

        ck_dsm(dsm__function_describe(text, &size, fn[k], known));
        ck_assert_uint_eq(size, 0);
    }
    dsm__objects_free(known);
    dlclose(library);
}
END_TEST

START_TEST(workers_of_another_program_cannot_load_the_program)
{
    char text[DSM__FUNCTION_TEXT];
    size_t size = 1;

    ck_dsm_error(dsm__function_describe(text, &size, of_the_program, NULL),
                 -ENOEXEC, "put it into a shared library");
    ck_assert_uint_eq(size, 0);
}
END_TEST

START_TEST(code_that_is_in_no_file_is_refused)
{
    struct dsm__objects *known = dsm__objects_now();
    char text[DSM__FUNCTION_TEXT];
    size_t size;
    void *page =
        mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(page, MAP_FAILED);
    ck_dsm_error(dsm__function_describe(text, &size, (dsm_fn)page, known),
                 -ENOEXEC, "in no file");
    dsm__objects_free(known);
    munmap(page, 4096);
}
END_TEST

START_TEST(what_was_loaded_later_goes_by_path_and_symbol)
{
    struct dsm__objects *known = dsm__objects_now();
    struct reference reference, attached;
    const char *path = in_directory("plain.so"), *link = in_directory("link");
    void *library;
    dsm_fn fn;

    ck_assert_int_eq(symlink(path, link), 0);
    library = open_library(link);
    fn = exported(library, "exported");
    ck_dsm(dsm__function_describe(reference.text, &reference.size, fn, known));
    ck_assert_str_eq(reference.text, path);
    ck_assert_str_eq(reference.text + strlen(path) + 1, "exported");
    ck_assert_uint_eq(reference.size, strlen(path) + sizeof "exported" + 1);
    attached = describe(fn);
    ck_assert_uint_eq(attached.size, reference.size);
    ck_assert_mem_eq(attached.text, reference.text, reference.size);
    dsm__objects_free(known);
    dlclose(library);
    unlink(link);
}
END_TEST

/* Nobody knows what is at an address then. */
START_TEST(after_an_unload_only_the_program_goes_by_address)
{
    void *plain = open_library(in_directory("plain.so")),
         *other = open_library(in_directory("other.so"));
    struct dsm__objects *known = dsm__objects_now();
    struct reference reference;
    dsm_fn fn = exported(plain, "exported");

    dlclose(other);
    ck_dsm(dsm__function_describe(reference.text, &reference.size, fn, known));
    ck_assert_uint_ne(reference.size, 0);
    ck_assert_str_eq(reference.text, in_directory("plain.so"));
    ck_dsm(dsm__function_describe(reference.text, &reference.size,
                                  of_the_program, known));
    ck_assert_uint_eq(reference.size, 0);
    dsm__objects_free(known);
    dlclose(plain);
}
END_TEST

/* The kernel most likely puts it at the very place. */
START_TEST(a_library_in_the_place_of_another_is_not_taken_for_it)
{
    void *library = open_library(in_directory("plain.so"));
    struct reference reference = describe(exported(library, "exported"));

    ck_assert_str_eq(reference.text, in_directory("plain.so"));
    dlclose(library);
    library = open_library(in_directory("other.so"));
    reference = describe(exported(library, "exported"));
    ck_assert_str_eq(reference.text, in_directory("other.so"));
    dlclose(library);
}
END_TEST

START_TEST(an_old_version_of_a_symbol_is_not_taken_for_the_new)
{
    void *library = open_library(in_directory("versions.so"));
    dsm_fn before = hidden(library);
    struct reference reference;
    pid_t worker = start_worker();

    ck_assert_ptr_ne((void *)before, (void *)exported(library, "twice"));
    reference = describe(before);
    ck_assert_int_eq(result_of(worker, &reference), 1);
    dlclose(library);
}
END_TEST

START_TEST(a_path_may_be_too_long)
{
    char name[512], text[DSM__FUNCTION_TEXT];
    void *library;
    size_t size;

    snprintf(name, sizeof name, "%0200d", 0);
    ck_assert_int_eq(mkdir(in_directory(name), 0700), 0);
    snprintf(name, sizeof name, "%0200d/%0200d", 0, 0);
    ck_assert_int_eq(link(in_directory("plain.so"), in_directory(name)), 0);
    library = open_library(in_directory(name));
    ck_dsm_error(dsm__function_describe(text, &size,
                                        exported(library, "exported"), NULL),
                 -ENAMETOOLONG, "'exported'");
    ck_assert_uint_eq(size, 0);
    ck_dsm_error(dsm__function_describe(text, &size, hidden(library), NULL),
                 -ENAMETOOLONG, directory);
    dlclose(library);
}
END_TEST

START_TEST(a_library_without_a_file_is_refused)
{
    const char *path = in_directory("gone.so");
    char text[DSM__FUNCTION_TEXT];
    void *library;
    size_t size;

    compile_plain("gone.so", 30);
    library = open_library(path);
    unlink(path);
    ck_dsm_error(dsm__function_describe(text, &size, hidden(library), NULL),
                 -ENOEXEC, path);
    dlclose(library);
}
END_TEST

/* ---- Finding. */

START_TEST(a_worker_loads_the_library_of_an_exported_function)
{
    pid_t worker = start_worker();
    void *library = open_library(in_directory("plain.so"));
    struct reference reference = describe(exported(library, "exported"));

    ck_assert_int_eq(result_of(worker, &reference), 15);
    dlclose(library);
}
END_TEST

START_TEST(a_worker_loads_the_library_of_a_static_function)
{
    pid_t worker = start_worker();
    void *library = open_library(in_directory("plain.so"));
    struct reference reference = describe(hidden(library));

    ck_assert_int_eq(reference.text[strlen(reference.text) + 1], '+');
    ck_assert_int_eq(result_of(worker, &reference), 25);
    dlclose(library);
}
END_TEST

/* The program has the old build, the worker loads the new one. */
START_TEST(a_static_function_is_refused_in_a_newer_build)
{
    pid_t worker = start_worker();
    struct reference reference;
    void *library;

    compile_plain("rebuilt.so", 10);
    library = open_library(in_directory("rebuilt.so"));
    compile_plain("rebuilt.so", 11);
    reference = describe(hidden(library));
    ck_assert_int_eq(result_of(worker, &reference), 255);
    dlclose(library);
}
END_TEST

/* The worker has the old build, the program loads the new one. */
START_TEST(a_static_function_is_refused_in_an_older_build)
{
    struct reference reference;
    void *library;
    pid_t worker;

    compile_plain("rebuilt.so", 10);
    library = open_library(in_directory("rebuilt.so"));
    worker = start_worker();
    dlclose(library);
    compile_plain("rebuilt.so", 11);
    library = open_library(in_directory("rebuilt.so"));
    reference = describe(hidden(library));
    ck_assert_int_eq(result_of(worker, &reference), 255);
    dlclose(library);
}
END_TEST

START_TEST(a_build_of_the_same_code_is_the_same)
{
    pid_t worker = start_worker();
    struct reference reference;
    void *library;

    compile_plain("rebuilt.so", 10);
    library = open_library(in_directory("rebuilt.so"));
    reference = describe(hidden(library));
    compile_plain("rebuilt.so", 10);
    ck_assert_int_eq(result_of(worker, &reference), 25);
    dlclose(library);
}
END_TEST

/* Nothing is looked at again: the code is not what the reference says any more.
 */
START_TEST(a_function_that_was_found_is_remembered)
{
    void *library = open_library(in_directory("plain.so"));
    struct reference reference = describe(hidden(library));
    dsm_fn first, second;
    char *head;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    ck_dsm(dsm__function_find(&first, reference.text, reference.size));
    ck_assert_ptr_eq((void *)first, (void *)hidden(library));
    head = (char *)((uintptr_t)first & ~(uintptr_t)(page - 1));
    ck_assert_int_eq(mprotect(head, page, PROT_READ | PROT_WRITE), 0);
    head[0] ^= 1;
    ck_dsm(dsm__function_find(&second, reference.text, reference.size));
    ck_assert_ptr_eq((void *)second, (void *)first);
    head[0] ^= 1;
    ck_assert_int_eq(mprotect(head, page, PROT_READ | PROT_EXEC), 0);
    dlclose(library);
}
END_TEST

START_TEST(a_library_stays_loaded)
{
    const char *path = in_directory("plain.so");
    void *library = open_library(path);
    struct reference reference = describe(exported(library, "exported"));
    dsm_fn fn;

    ck_dsm(dsm__function_find(&fn, reference.text, reference.size));
    dlclose(library);
    library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    ck_assert_ptr_nonnull(library);
    dlclose(library);
}
END_TEST

START_TEST(more_functions_than_are_remembered)
{
    void *library = open_library(in_directory("many.so"));
    char name[16];

    for (int k = 0; k < 3 * MANY; k++) {
        struct reference reference;
        dsm_fn fn;

        snprintf(name, sizeof name, "f%d", k * 7 % MANY);
        reference = describe(exported(library, name));
        ck_dsm(dsm__function_find(&fn, reference.text, reference.size));
        ck_assert_int_eq(fn(NULL, NULL, 0), k * 7 % MANY);
    }
    dlclose(library);
}
END_TEST

static void
refused(const char *path, const char *symbol, const char *why)
{
    char text[DSM__FUNCTION_TEXT];
    dsm_fn fn;
    int size = snprintf(text, sizeof text, "%s%c%s", path, 0, symbol) + 1;

    ck_assert_int_le(size, (int)sizeof text);
    ck_dsm_error(dsm__function_find(&fn, text, (size_t)size), -ENOEXEC, why);
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), path));
    ck_assert_ptr_nonnull(strstr(dsm_last_error(), symbol));
}

START_TEST(what_is_missing_is_said)
{
    const char *path = in_directory("late.so");
    struct reference reference;
    void *library;

    refused(path, "exported", "No such file");
    refused(in_directory("source.c"), "exported", "invalid ELF header");
    compile_plain("late.so", 30);
    refused(path, "nothing", "undefined symbol");
    refused(path, "+zz", "another build");
    refused(path, "+10", "another build");
    refused(path, "+ffffffffff:0", "another build");
    /* It was not kept. */
    ck_assert_ptr_null(dlopen(path, RTLD_NOW | RTLD_NOLOAD));
    library = open_library(path);
    reference = describe(exported(library, "exported"));
    ck_dsm(dsm__function_find(&(dsm_fn){NULL}, reference.text, reference.size));
    dlclose(library);
}
END_TEST

START_TEST(what_is_no_reference_is_refused)
{
    static const struct {
        size_t size;
        const char *text;
    } wrong[] = {{1, "\0"},       {2, "\0\0"},       {2, "/x"},
                 {3, "/x\0"},     {4, "/x\0f"},      {4, "/x\0\0"},
                 {6, "/x\0f\0g"}, {7, "/x\0f\0g\0"}, {5, "/x.so"},
                 {4, "x\0f\0"},   {6, "lib\0f\0"},   {9, "/x\0f\0\0\0\0\0"}};
    char text[DSM__FUNCTION_TEXT + 2];
    dsm_fn fn;

    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        /* Of its size, so that a sanitizer sees a look beyond. */
        char *exact = malloc(wrong[k].size);

        memcpy(exact, wrong[k].text, wrong[k].size);
        ck_dsm_error(dsm__function_find(&fn, exact, wrong[k].size), -ENOEXEC,
                     "no reference");
        free(exact);
    }
    ck_dsm_error(dsm__function_find(&fn, text, 0), -ENOEXEC, "0 bytes");
    memset(text, '/', sizeof text);
    ck_dsm_error(dsm__function_find(&fn, text, DSM__FUNCTION_TEXT), -ENOEXEC,
                 "no reference");
    memcpy(text + sizeof text - 3, "\0f", 3);
    ck_dsm_error(dsm__function_find(&fn, text, sizeof text), -ENOEXEC,
                 "no reference");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("function");
    TCase *tests = test_case(suite, "describe"), *find;

    tcase_add_unchecked_fixture(tests, make_libraries, remove_libraries);
    tcase_add_test(tests, what_the_workers_have_goes_by_address);
    tcase_add_test(tests, workers_of_another_program_cannot_load_the_program);
    tcase_add_test(tests, code_that_is_in_no_file_is_refused);
    tcase_add_test(tests, what_was_loaded_later_goes_by_path_and_symbol);
    tcase_add_test(tests, after_an_unload_only_the_program_goes_by_address);
    tcase_add_test(tests,
                   a_library_in_the_place_of_another_is_not_taken_for_it);
    tcase_add_test(tests, an_old_version_of_a_symbol_is_not_taken_for_the_new);
    tcase_add_test(tests, a_path_may_be_too_long);
    tcase_add_test(tests, a_library_without_a_file_is_refused);
    find = test_case(suite, "find");
    tcase_add_unchecked_fixture(find, make_libraries, remove_libraries);
    tcase_add_test(find, a_worker_loads_the_library_of_an_exported_function);
    tcase_add_test(find, a_worker_loads_the_library_of_a_static_function);
    tcase_add_test(find, a_static_function_is_refused_in_a_newer_build);
    tcase_add_test(find, a_static_function_is_refused_in_an_older_build);
    tcase_add_test(find, a_build_of_the_same_code_is_the_same);
    tcase_add_test(find, a_function_that_was_found_is_remembered);
    tcase_add_test(find, a_library_stays_loaded);
    tcase_add_test(find, more_functions_than_are_remembered);
    tcase_add_test(find, what_is_missing_is_said);
    tcase_add_test(find, what_is_no_reference_is_refused);
    return test_main(suite);
}
