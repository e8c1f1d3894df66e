/* Processors: the places of workers, on this machine and on made ones, and
 * where pages come from. */
#include "os/cpu.h"

#include "support.h"

#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORKERS = 6 };

START_TEST(places_are_cores_of_this_process)
{
    struct dsm__cpu_place place[WORKERS];
    cpu_set_t mine, both;

    ck_assert_int_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
    ck_assert(dsm__cpu_places(place, WORKERS, false));
    for (unsigned k = 0; k < WORKERS; k++) {
        CPU_AND(&both, &mine, &place[k].cpus);
        ck_assert(CPU_EQUAL(&both, &place[k].cpus));
        ck_assert_int_gt(CPU_COUNT(&both), 0);
    }
}
END_TEST

/* hwloc takes a machine that there is not from the environment. */
START_TEST(workers_are_dealt_out_to_nodes_in_blocks)
{
    static const int nodes[WORKERS] = {0, 0, 1, 1, 2, 2};
    struct dsm__cpu_place place[WORKERS];

    setenv("HWLOC_SYNTHETIC", "node:3 core:2 pu:1", 1);
    ck_assert(dsm__cpu_places(place, WORKERS, true));
    for (int k = 0; k < WORKERS; k++) {
        ck_assert_int_eq(place[k].node, nodes[k]);
        ck_assert_int_eq(CPU_COUNT(&place[k].cpus), 2);
        ck_assert(CPU_ISSET((size_t)nodes[k] * 2, &place[k].cpus));
    }
    ck_assert(dsm__cpu_places(place, WORKERS, false));
    for (int k = 0; k < WORKERS; k++) {
        ck_assert_int_eq(place[k].node, k / 2);
        ck_assert_int_eq(CPU_COUNT(&place[k].cpus), 1);
        ck_assert(CPU_ISSET((size_t)k, &place[k].cpus));
    }
    unsetenv("HWLOC_SYNTHETIC");
}
END_TEST

START_TEST(pages_come_from_the_node)
{
    size_t size = 8 * (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned long nodes[16] = {0};
    int mode = -1;

    ck_assert_ptr_ne(pages, MAP_FAILED);
    dsm__cpu_put_pages(pages, size / 2, 0);
    dsm__cpu_put_pages(pages + size / 2, size / 2, -1);
    /* Not where the kernel knows of no nodes, or a sandbox forbids it. */
    if (syscall(SYS_get_mempolicy, &mode, nodes, 1024UL, pages, MPOL_F_ADDR) ==
        0) {
        ck_assert_int_eq(mode, MPOL_BIND);
        ck_assert_uint_eq(nodes[0], 1);
        ck_assert_int_eq(syscall(SYS_get_mempolicy, &mode, nodes, 1024UL,
                                 pages + size / 2, MPOL_F_ADDR),
                         0);
        ck_assert_int_eq(mode, MPOL_DEFAULT);
    }
    memset(pages, 1, size);
    munmap(pages, size);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cpu");
    TCase *tests = tcase_create("cpu");

    tcase_add_test(tests, places_are_cores_of_this_process);
    tcase_add_test(tests, workers_are_dealt_out_to_nodes_in_blocks);
    tcase_add_test(tests, pages_come_from_the_node);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
