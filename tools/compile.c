/* Makes a shared object of a C file for dsmctl submit, in a directory of its
 * own that is removed in the end. */
#include "submit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The compiler may be several words, and so are its options: as for make, the
 * shell takes them apart. */
static const char script[] =
    "exec ${CC:-cc} ${CFLAGS--O2 -g} -shared -fPIC -I\"$1\" -o \"$2\" \"$3\" "
    ">&2";

static int
make_directory(struct object *object)
{
    const char *parent = getenv("TMPDIR");
    int length;

    if (!parent || !*parent)
        parent = "/tmp";
    length = snprintf(object->directory, sizeof object->directory,
                      "%s/dsmctl-XXXXXX", parent);
    if (length < 0 || (size_t)length >= sizeof object->directory) {
        errno = ENAMETOOLONG;
    } else if (mkdtemp(object->directory)) {
        snprintf(object->path, sizeof object->path, "%s/function.so",
                 object->directory);
        return EXIT_OK;
    }
    complain("cannot make a directory in %s: %s", parent, strerror(errno));
    *object->directory = '\0';
    return EXIT_FAILED;
}

static _Noreturn void
run_compiler(const struct object *object, const char *file,
             const sigset_t *signals)
{
    sigprocmask(SIG_SETMASK, signals, NULL);
    execl("/bin/sh", "sh", "-c", script, "sh", DSM_INCLUDEDIR, object->path,
          file, (char *)NULL);
    complain("/bin/sh: %s", strerror(errno));
    _exit(EXIT_FAILED);
}

int
object_compile(struct object *object, const char *file, const sigset_t *signals)
{
    char path[PATH_MAX];
    int status = 0;
    pid_t pid;

    /* Not as it was given: it might begin with a dash. */
    if (!realpath(file, path)) {
        complain("%s: %s", file, strerror(errno));
        return EXIT_FAILED;
    }
    if (make_directory(object) != EXIT_OK)
        return EXIT_FAILED;
    pid = fork();
    if (pid == 0)
        run_compiler(object, path, signals);
    if (pid < 0) {
        complain("cannot start the compiler: %s", strerror(errno));
        return EXIT_FAILED;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return EXIT_OK;
    complain("%s does not compile", file);
    return EXIT_FAILED;
}

void
object_remove(struct object *object)
{
    if (!*object->directory)
        return;
    unlink(object->path);
    rmdir(object->directory);
    *object->directory = '\0';
}
