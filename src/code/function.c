/* Naming functions and finding them by name; see function.h.
 *
 * Whether an address still belongs to the object that it belonged to at the
 * fork is told by the dynamic linker's count of objects that it has unloaded:
 * while that stands still, each is where it was.  Once it has moved an address
 * may be of another library, or of a new build of the same one, and only the
 * program itself is sure to be there; all other functions go by name, which
 * costs more and is right in either case.
 *
 * A function's place in a file is worth nothing in another build of the file.
 * The file cannot tell: on either side the path may lead to a newer one than
 * what is loaded.  So the reference has a hash of what is loaded, of all that
 * the dynamic linker does not write to. */
#include "code/function.h"

#include "base/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Slots for functions that were found, and how many of them are used. */
enum { SLOTS = 128, SLOTS_USED = 96 };

struct range {
    uintptr_t begin, end;
    bool program;
};

struct dsm__objects {
    unsigned long long unloads; /* by then */
    size_t count, room;
    struct range ranges[];
};

/* What this thread asked for last.  Another function may be at that address
 * after an unload. */
struct answer {
    dsm_fn fn;
    unsigned long long unloads;
    size_t size;
    char text[DSM__FUNCTION_TEXT];
};

struct found {
    dsm_fn fn;
    size_t size; /* 0: free */
    char text[DSM__FUNCTION_TEXT];
};

static _Thread_local struct answer latest;
static struct found found[SLOTS];
static unsigned found_count;

/* ---- What is loaded. */

static struct range
segment(const struct dl_phdr_info *object, const ElfW(Phdr) * header)
{
    uintptr_t begin = object->dlpi_addr + header->p_vaddr;

    return (struct range){begin, begin + header->p_memsz,
                          object->dlpi_name[0] == '\0'};
}

static bool
is_code(const ElfW(Phdr) * header)
{
    return header->p_type == PT_LOAD && (header->p_flags & PF_X);
}

/* Counts them, and notes as many as there is room for. */
static int
note_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    struct dsm__objects *objects = arg;

    (void)size;
    objects->unloads = object->dlpi_subs;
    for (unsigned k = 0; k < object->dlpi_phnum; k++) {
        if (!is_code(&object->dlpi_phdr[k]))
            continue;
        if (objects->count < objects->room)
            objects->ranges[objects->count] =
                segment(object, &object->dlpi_phdr[k]);
        objects->count++;
    }
    return 0;
}

struct dsm__objects *
dsm__objects_now(void)
{
    struct dsm__objects counted = {0}, *objects;

    dl_iterate_phdr(note_object, &counted);
    objects =
        calloc(1, sizeof *objects + counted.count * sizeof *objects->ranges);
    if (!objects)
        return NULL;
    objects->room = counted.count;
    dl_iterate_phdr(note_object, objects);
    /* What another thread has loaded in between goes by name. */
    if (objects->count > objects->room)
        objects->count = objects->room;
    return objects;
}

void
dsm__objects_free(struct dsm__objects *objects)
{
    free(objects);
}

static int
note_unloads(struct dl_phdr_info *object, size_t size, void *arg)
{
    (void)size;
    *(unsigned long long *)arg = object->dlpi_subs;
    return 1;
}

static unsigned long long
unloads_now(void)
{
    unsigned long long unloads = 0;

    dl_iterate_phdr(note_unloads, &unloads);
    return unloads;
}

static bool
address_serves(dsm_fn fn, const struct dsm__objects *known)
{
    uintptr_t address = (uintptr_t)fn;

    for (size_t k = 0; k < known->count; k++) {
        const struct range *range = &known->ranges[k];

        if (address >= range->begin && address < range->end)
            return range->program || known->unloads == unloads_now();
    }
    return false;
}

/* ---- Which build it is. */

/* Words of any memory. */
typedef uint64_t __attribute__((may_alias)) word;

static uint64_t
mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9E3779B97F4A7C15;
    return hash ^ hash >> 32;
}

/* Also between the global variables of a library that was built with the
 * address sanitizer.  Whole words: more than the segment has, but its first and
 * its last page are of the file, too. */
__attribute__((no_sanitize("address"))) static uint64_t
hash_range(uint64_t hash, struct range range)
{
    const word *from = (const word *)(range.begin & ~(uintptr_t)7),
               *end = (const word *)((range.end + 7) & ~(uintptr_t)7);

    while (from < end)
        hash = mix(hash, *from++);
    return hash;
}

struct build {
    uintptr_t address;
    uint64_t hash;
};

static bool
has_code_at(const struct dl_phdr_info *object, uintptr_t address)
{
    for (unsigned k = 0; k < object->dlpi_phnum; k++) {
        struct range range = segment(object, &object->dlpi_phdr[k]);

        if (is_code(&object->dlpi_phdr[k]) && address >= range.begin &&
            address < range.end)
            return true;
    }
    return false;
}

static int
hash_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    struct build *build = arg;

    (void)size;
    if (!has_code_at(object, build->address))
        return 0;
    for (unsigned k = 0; k < object->dlpi_phnum; k++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[k];

        if (header->p_type == PT_LOAD && (header->p_flags & PF_R) &&
            !(header->p_flags & PF_W))
            build->hash = hash_range(build->hash, segment(object, header));
    }
    build->hash |= 1;
    return 1;
}

/* A hash of the object that has code at this address; 0 where there is none. */
static uint64_t
build_at(uintptr_t address)
{
    struct build build = {.address = address};

    dl_iterate_phdr(hash_object, &build);
    return build.hash;
}

/* ---- Describing. */

/* Whether the symbol that dladdr found gives this function.  It does not if the
 * function goes on behind it, or is an old version of it. */
static bool
is_exported(dsm_fn fn, const Dl_info *info, const struct link_map *object)
{
    void *library, *symbol;

    if (info->dli_saddr != (void *)fn)
        return false;
    library = dlopen(object->l_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return false;
    symbol = dlsym(library, info->dli_sname);
    dlclose(library);
    return symbol == (void *)fn;
}

static int
write_text(char *text, size_t *size, const char *path, const char *symbol)
{
    int length = snprintf(text, DSM__FUNCTION_TEXT, "%s%c%s", path, 0, symbol);

    if (length < 0 || length >= DSM__FUNCTION_TEXT)
        return dsm__fail(-ENAMETOOLONG,
                         "%.200s... and '%.60s' have more than the %d "
                         "characters of a reference to a function",
                         path, symbol, DSM__FUNCTION_TEXT - 2);
    *size = (size_t)length + 1;
    return 0;
}

static int
describe_by_name(char *text, size_t *size, dsm_fn fn)
{
    char path[PATH_MAX], place[64];
    struct link_map *object;
    Dl_info info;

    if (!dladdr1((void *)fn, &info, (void **)&object, RTLD_DL_LINKMAP))
        return dsm__fail(-ENOEXEC,
                         "the function at %p is in no file that workers could "
                         "load: put it into a shared library",
                         (void *)fn);
    if (object->l_name[0] == '\0')
        return dsm__fail(-ENOEXEC,
                         "the function at %p is of the program itself, which "
                         "workers of another program cannot load: put it into "
                         "a shared library",
                         (void *)fn);
    if (!realpath(object->l_name, path))
        return dsm__fail(-ENOEXEC,
                         "workers cannot load the function at %p from %s: %s",
                         (void *)fn, object->l_name, dsm_strerror(-errno));
    if (is_exported(fn, &info, object))
        return write_text(text, size, path, info.dli_sname);
    snprintf(place, sizeof place, "+%jx:%jx",
             (uintmax_t)((uintptr_t)fn - object->l_addr),
             (uintmax_t)build_at((uintptr_t)fn));
    return write_text(text, size, path, place);
}

int
dsm__function_describe(char text[DSM__FUNCTION_TEXT], size_t *size, dsm_fn fn,
                       const struct dsm__objects *known)
{
    unsigned long long unloads;
    int error;

    *size = 0;
    if (known && address_serves(fn, known))
        return 0;
    unloads = unloads_now();
    if (latest.fn != fn || latest.unloads != unloads) {
        latest.fn = NULL;
        error = describe_by_name(latest.text, &latest.size, fn);
        if (error)
            return error;
        latest.fn = fn;
        latest.unloads = unloads;
    }
    memcpy(text, latest.text, latest.size);
    *size = latest.size;
    return 0;
}

/* ---- Finding. */

static uint64_t
hash_text(const char *text, size_t size)
{
    uint64_t hash = size, part = 0;

    for (size_t k = 0; k + sizeof part <= size; k += sizeof part) {
        memcpy(&part, text + k, sizeof part);
        hash = mix(hash, part);
    }
    /* The rest, with some of what was before. */
    if (size >= sizeof part)
        memcpy(&part, text + size - sizeof part, sizeof part);
    return mix(hash, part);
}

/* The slot of this text, or the free one that it would get. */
static struct found *
slot_of(const char *text, size_t size)
{
    uint64_t k = hash_text(text, size) % SLOTS;

    while (found[k].size &&
           (found[k].size != size || memcmp(found[k].text, text, size) != 0))
        k = (k + 1) % SLOTS;
    return &found[k];
}

static void
remember(dsm_fn fn, const char *text, size_t size)
{
    struct found *slot;

    if (found_count == SLOTS_USED) {
        memset(found, 0, sizeof found);
        found_count = 0;
    }
    slot = slot_of(text, size);
    slot->fn = fn;
    slot->size = size;
    memcpy(slot->text, text, size);
    found_count++;
}

static int
fail_to_find(const char *path, const char *symbol, const char *why)
{
    size_t length = strlen(path);

    /* dlerror mostly begins with the path. */
    if (strncmp(why, path, length) == 0 && why[length] == ':')
        why += length + 2;
    return dsm__fail(-ENOEXEC, "cannot take function '%.100s' from %s: %s",
                     symbol, path, why);
}

/* Of a library, by "OFFSET:HASH"; NULL where the code there is not that. */
static dsm_fn
function_at(void *library, const char *place)
{
    struct link_map *object;
    uintmax_t offset, hash;
    uintptr_t address;

    if (sscanf(place, "%jx:%jx", &offset, &hash) != 2 || hash == 0 ||
        dlinfo(library, RTLD_DI_LINKMAP, &object) < 0)
        return NULL;
    address = object->l_addr + (uintptr_t)offset;
    return build_at(address) == hash ? (dsm_fn)address : NULL;
}

static int
load(dsm_fn *fn, const char *path, const char *symbol)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *why;
    int error;

    if (!library)
        return fail_to_find(path, symbol, dlerror());
    if (symbol[0] == '+') {
        *fn = function_at(library, symbol + 1);
        why = "the library here is another build";
    } else {
        *fn = (dsm_fn)dlsym(library, symbol);
        why = *fn ? NULL : dlerror();
    }
    if (*fn)
        return 0;
    error = fail_to_find(path, symbol, why ? why : "it has no code");
    /* A better one may be there when it is tried again. */
    dlclose(library);
    return error;
}

/* Exactly two strings, the first an absolute path: dlopen would look elsewhere
 * for another. */
static bool
is_reference(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    if (text[0] != '/' || length + 2 >= size)
        return false;
    return length + 1 + strnlen(text + length + 1, size - length - 1) ==
           size - 1;
}

int
dsm__function_find(dsm_fn *fn, const char *text, size_t size)
{
    char copy[DSM__FUNCTION_TEXT];
    const struct found *slot;
    int error;

    if (size == 0 || size > sizeof copy)
        return dsm__fail(-ENOEXEC, "no reference to a function has %zu bytes",
                         size);
    slot = slot_of(text, size);
    if (slot->size) {
        *fn = slot->fn;
        return 0;
    }
    /* Checked in a copy: the text may be where others write. */
    memcpy(copy, text, size);
    if (!is_reference(copy, size))
        return dsm__fail(-ENOEXEC, "'%.*s' is no reference to a function",
                         (int)strnlen(copy, size), copy);
    error = load(fn, copy, copy + strlen(copy) + 1);
    if (!error)
        remember(*fn, copy, size);
    return error;
}
