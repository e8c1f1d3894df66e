/* What cannot be attached to.  Stale clusters are test_remains.c. */
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
ck_refused(const char *name, int code, const char *text)
{
    dsm_cluster *cluster = (dsm_cluster *)(uintptr_t)1;

    ck_dsm_error(dsm_cluster_attach(&cluster, name), code, text);
    ck_assert_ptr_null(cluster);
}

START_TEST(attach_to_nothing)
{
    dsm_cluster *cluster = test_cluster(1);

    ck_refused("no-such-cluster", -ENOENT, "no-such-cluster");
    ck_refused("no/name", -EINVAL, "no/name");
    ck_refused("", -EINVAL, "is no name");
    /* Here its addresses are its own already. */
    ck_refused(dsm_cluster_name(cluster), -EADDRNOTAVAIL, "taken");
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static const char *
path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s", (unsigned long)geteuid(),
             name);
    return path;
}

/* Makes a file under the name of a cluster's control segment; locked, so that
 * no sweeper takes it away meanwhile. */
static int
plant(const char *name, const void *content, size_t size)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(flock(fd, LOCK_SH), 0);
    ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
    return fd;
}

/* Files of several sizes, full of that byte. */
static void
ck_files_refused(int byte, size_t least, int code, const char *text)
{
    static const size_t sizes[] = {0, 1, 8, 4096, 1 << 20};
    char *content = malloc(1 << 20);

    memset(content, byte, 1 << 20);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const char *name = test_name();
        int fd;

        if (sizes[k] < least)
            continue;
        fd = plant(name, content, sizes[k]);
        ck_refused(name, code, text);
        unlink(path_of(name));
        close(fd);
    }
    free(content);
}

START_TEST(attach_to_a_wrong_file)
{
    ck_files_refused('x', 1, DSM_EFORMAT, "is not a libdsm control segment");
}
END_TEST

START_TEST(attach_to_one_being_created)
{
    ck_files_refused(0, 0, -ENOENT, "is only being created");
}
END_TEST

/* A control segment under another's name, and a part of one. */
START_TEST(attach_to_a_copy)
{
    dsm_cluster *cluster = test_cluster(2);
    const char *name = test_name();
    size_t size = 1 << 20;
    char *content = malloc(size);
    struct stat status;
    int fd;

    fd = open(path_of(dsm_cluster_name(cluster)), O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_eq(read(fd, content, size), (ssize_t)size);
    close(fd);
    fd = plant(name, content, size);
    ck_refused(name, DSM_EFORMAT, "is damaged");
    ck_assert_int_eq(ftruncate(fd, status.st_size), 0);
    ck_refused(name, DSM_EFORMAT, "that of another");
    unlink(path_of(name));
    close(fd);
    free(content);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(attach_to_odd_files)
{
    const char *name = test_name();

    ck_assert_int_eq(mkfifo(path_of(name), 0600), 0);
    ck_refused(name, DSM_EFORMAT, "not a regular file");
    unlink(path_of(name));
    ck_assert_int_eq(mkdir(path_of(name), 0700), 0);
    ck_refused(name, -EISDIR, path_of(name));
    rmdir(path_of(name));
    ck_assert_int_eq(symlink("/etc/passwd", path_of(name)), 0);
    ck_refused(name, -ELOOP, path_of(name));
    unlink(path_of(name));
}
END_TEST

/* By _exit: what else a sanitizer does at the end fails there. */
static int
attach_from_elsewhere(void *name)
{
    dsm_cluster *cluster;
    pid_t pid;

    if (unshare(CLONE_NEWPID) < 0)
        _exit(2); /* not allowed here */
    pid = fork();
    if (pid == 0)
        _exit(dsm_cluster_attach(&cluster, name) != -EXDEV || cluster ||
              !strstr(dsm_last_error(), "pid namespace"));
    _exit(WEXITSTATUS(test_reap(pid)));
}

START_TEST(attach_from_another_pid_namespace)
{
    dsm_cluster *cluster = test_cluster(2);
    char name[DSM_NAME_MAX + 1];
    int status;

    strcpy(name, dsm_cluster_name(cluster));
    status = test_reap(test_host(attach_from_elsewhere, name));
    ck_assert(WIFEXITED(status));
    ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2);
    test_whole(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cluster_refused");
    TCase *tests = test_case(suite, "refused");

    tcase_add_test(tests, attach_to_nothing);
    tcase_add_test(tests, attach_to_a_wrong_file);
    tcase_add_test(tests, attach_to_one_being_created);
    tcase_add_test(tests, attach_to_a_copy);
    tcase_add_test(tests, attach_to_odd_files);
    tcase_add_test(tests, attach_from_another_pid_namespace);
    return test_main(suite);
}
