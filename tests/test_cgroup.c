/* Control groups: which limit counts, in made trees of /proc and /sys. */
#include "os/cgroup.h"

#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void
make_root(void)
{
    strcpy(root, "/tmp/test_cgroup.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void
remove_root(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

/* A file of the tree, with the directories above it. */
static void
put(const char *path, const char *text)
{
    char whole[256];
    FILE *file;

    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/'));
         *slash++ = '/') {
        *slash = '\0';
        mkdir(whole, 0700);
    }
    file = fopen(whole, "w");
    ck_assert_msg(file != NULL, "%s", whole);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(without_groups_there_is_no_limit)
{
    ck_assert_int_eq(dsm__cgroup_memory(root), -1);
    ck_assert_uint_eq(dsm__cgroup_cpus(root), 0);
    put("/proc/self/cgroup", "nonsense\n7:memory\n0::/none\n4:memory:/none\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), -1);
    ck_assert_uint_eq(dsm__cgroup_cpus(root), 0);
}
END_TEST

START_TEST(limits_above_count)
{
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    put("/sys/fs/cgroup/a/b/c/memory.current", "10\n");
    put("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), -1);
    ck_assert_uint_eq(dsm__cgroup_cpus(root), 0);
    put("/sys/fs/cgroup/a/b/memory.max", "5000\n");
    put("/sys/fs/cgroup/a/b/memory.current", "1000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "350000 100000\n");
    put("/sys/fs/cgroup/a/memory.max", "90000\n");
    put("/sys/fs/cgroup/a/memory.current", "87000\n");
    put("/sys/fs/cgroup/a/cpu.max", "800000 100000\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), 3000);
    ck_assert_uint_eq(dsm__cgroup_cpus(root), 4);
}
END_TEST

START_TEST(file_pages_can_be_had_back)
{
    put("/proc/self/cgroup", "0::/a\n");
    put("/sys/fs/cgroup/a/memory.max", "5000\n");
    put("/sys/fs/cgroup/a/memory.current", "5000\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), 0);
    put("/sys/fs/cgroup/a/memory.stat",
        "anon 900\nfile 2000\nshmem 500\ninactive_anon 11\nactive_anon 12\n"
        "inactive_file 1000\nactive_file 300\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), 1300);
    put("/sys/fs/cgroup/a/memory.current", "6301\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), 0);
}
END_TEST

START_TEST(version_1_has_limits_too)
{
    put("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a/b\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "123456789\n");
    ck_assert_int_gt(dsm__cgroup_memory(root), 1LL << 60);
    put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "7000\n");
    put("/sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "6000\n");
    put("/sys/fs/cgroup/memory/a/b/memory.stat",
        "inactive_file 1\nactive_file 2\ntotal_inactive_file 500\n"
        "total_active_file 250\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), 1750);
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "7000\n");
    put("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "6900\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), 100);
}
END_TEST

/* A container whose /proc tells the host's path. */
START_TEST(what_is_not_mounted_is_passed_over)
{
    put("/proc/self/cgroup", "4:memory:/docker/0123456789abcdef\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "6000\n");
    ck_assert_int_eq(dsm__cgroup_memory(root), 1000);
}
END_TEST

/* Of both versions: a group of this machine is not there, so the root's limit
 * is met. */
START_TEST(arrays_keep_to_the_limit)
{
    const char *groups = test_tmpfs(1);
    dsm_cluster *cluster;
    dsm_array *array;

    if (!groups)
        return; /* not allowed to make one */
    snprintf(root, sizeof root, "%s", groups);
    put("/memory.max", "50000000\n");
    put("/memory.current", "0\n");
    put("/memory/memory.limit_in_bytes", "50000000\n");
    put("/memory/memory.usage_in_bytes", "0\n");
    ck_assert_int_eq(mount(groups, "/sys/fs/cgroup", NULL, MS_BIND, NULL), 0);
    cluster = test_cluster(1);
    ck_dsm_error(dsm_array_create(&array, cluster, "large", DSM_UINT8,
                                  DSM_SHAPE(70000000)),
                 -ENOMEM, "may take only 50 MB more");
    ck_dsm(dsm_array_create(&array, cluster, "large", DSM_UINT8,
                            DSM_SHAPE(1000000)));
    dsm_cluster_destroy(cluster);
    umount("/sys/fs/cgroup");
    umount(groups);
    rmdir(groups);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cgroup");
    TCase *tests = tcase_create("cgroup");
    TCase *clusters = test_case(suite, "clusters");

    tcase_add_checked_fixture(tests, make_root, remove_root);
    tcase_add_test(tests, without_groups_there_is_no_limit);
    tcase_add_test(tests, limits_above_count);
    tcase_add_test(tests, file_pages_can_be_had_back);
    tcase_add_test(tests, version_1_has_limits_too);
    tcase_add_test(tests, what_is_not_mounted_is_passed_over);
    tcase_add_test(clusters, arrays_keep_to_the_limit);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
