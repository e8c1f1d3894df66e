/* What the parts of dsmctl submit share: submit.c, the command; compile.c,
 * which makes shared objects. */
#ifndef DSMCTL_SUBMIT_H
#define DSMCTL_SUBMIT_H

#include "dsmctl.h"

#include <limits.h>

/* A shared object with the function. */
struct object {
    char path[PATH_MAX + 16];
    char directory[PATH_MAX]; /* to remove with it, or "" */
};

/* Compiles the file; `signals` is the mask for the compiler.  An exit code, and
 * all was said. */
int object_compile(struct object *object, const char *file,
                   const sigset_t *signals);
void object_remove(struct object *object);

#endif
