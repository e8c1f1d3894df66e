/* Errors: names and texts of all codes, the last failure's sentence and whose
 * it is, structures that are older or newer than the library, and the types'
 * sizes and names. */
#include "support.h"

#include "base/error.h"
#include "base/versioned.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Codes. */

static const struct {
    int code;
    const char *name, *text;
} codes[] = {
    {DSM_EWORKER, "DSM_EWORKER", "a worker process died while it had work"},
    {DSM_EFAILED, "DSM_EFAILED", "a worker's function returned non-zero"},
    {DSM_EBROKEN, "DSM_EBROKEN", "a barrier lost a participant"},
    {DSM_EFORMAT, "DSM_EFORMAT",
     "not a libdsm segment, or not a .npy file that it can hold"},
    {DSM_ESTALE, "DSM_ESTALE", "the cluster's owner is gone"},
    {DSM_EPENDING, "DSM_EPENDING", "the result has not been computed yet"},
    {DSM_ECANCELED, "DSM_ECANCELED", "the work was cancelled"},
    {-ENOSPC, "ENOSPC", "No space left on device"},
    {-ETIMEDOUT, "ETIMEDOUT", "Connection timed out"},
    {-EINVAL, "EINVAL", "Invalid argument"},
    {EINVAL, "EINVAL", "Invalid argument"},
    {-EPERM, "EPERM", "Operation not permitted"},
    {0, "0", "success"},
};

START_TEST(every_code_has_its_name_and_text)
{
    ck_assert_str_eq(dsm_errname(codes[_i].code), codes[_i].name);
    ck_assert_str_eq(dsm_strerror(codes[_i].code), codes[_i].text);
}
END_TEST

/* Programs that were compiled with these go on to mean the same. */
START_TEST(the_codes_are_what_they_were)
{
    ck_assert_int_eq(DSM_EWORKER, -10001);
    ck_assert_int_eq(DSM_EFAILED, -10002);
    ck_assert_int_eq(DSM_EBROKEN, -10003);
    ck_assert_int_eq(DSM_EFORMAT, -10004);
    ck_assert_int_eq(DSM_ESTALE, -10005);
    ck_assert_int_eq(DSM_EPENDING, -10006);
    ck_assert_int_eq(DSM_ECANCELED, -10007);
}
END_TEST

START_TEST(errno_codes_read_as_the_system_has_them)
{
    for (int code = 1; code < 134; code++) {
        const char *name = strerrorname_np(code);

        ck_assert_str_eq(dsm_errname(-code), name ? name : "?");
        ck_assert_str_eq(dsm_strerror(-code), strerror(code));
    }
}
END_TEST

START_TEST(unknown_codes_read_as_such)
{
    static const int unknown[] = {-4000,  -10000,  -10008, 10001,
                                  -99999, INT_MIN, INT_MAX};

    for (size_t k = 0; k < sizeof unknown / sizeof *unknown; k++) {
        ck_assert_str_eq(dsm_errname(unknown[k]), "?");
        ck_assert(strstr(dsm_strerror(unknown[k]), "Unknown error"));
    }
    ck_assert(strstr(dsm_strerror(-4000), "4000"));
}
END_TEST

/* ---- The last error. */

START_TEST(there_is_no_failure_at_first)
{
    ck_assert_str_eq(dsm_last_error(), "");
}
END_TEST

START_TEST(a_failure_leaves_a_sentence_and_success_keeps_it)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array;

    ck_assert_str_eq(dsm_last_error(), "");
    ck_dsm_error(dsm_array_open(&array, cluster, "A", DSM_ANY), -ENOENT,
                 "no array 'A'");
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(3)));
    ck_dsm(dsm_array_open(&array, cluster, "A", DSM_ANY));
    ck_assert(strstr(dsm_last_error(), "no array 'A'"));
    ck_dsm_error(dsm_array_open(&array, cluster, "B", DSM_ANY), -ENOENT,
                 "no array 'B'");
    ck_assert_ptr_null(strstr(dsm_last_error(), "'A'"));
    ck_dsm(dsm_cluster_refresh(cluster));
    ck_assert_int_eq(dsm_cluster_worker(cluster, 0, &DSM_WORKER_INFO_INIT), 0);
    dsm_cluster_destroy(cluster);
    ck_assert(strstr(dsm_last_error(), "no array 'B'"));
}
END_TEST

/* Creating sweeps and probes, of which much may fail without any harm. */
START_TEST(a_create_that_succeeds_keeps_it_too)
{
    ck_assert_int_eq(dsm__fail(-EIO, "an old failure"), -EIO);
    dsm_cluster_destroy(test_cluster(2));
    ck_assert_str_eq(dsm_last_error(), "an old failure");
}
END_TEST

/* The supervisor is the parent of every worker, and they die with it. */
static int
kill_parent(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    kill(getppid(), SIGKILL);
    while (pause() < 0)
        ;
    return 0;
}

/* Destroying has no result, whatever fails in it. */
START_TEST(a_destroy_keeps_it_in_any_case)
{
    dsm_cluster *cluster = test_cluster(1);

    ck_dsm_error(dsm_cluster_run(cluster, kill_parent, NULL, 0), DSM_ESTALE,
                 "supervisor");
    dsm__fail(-EIO, "an old failure");
    dsm_cluster_destroy(cluster);
    ck_assert_str_eq(dsm_last_error(), "an old failure");
}
END_TEST

static void *
fail_elsewhere(void *argument)
{
    _Atomic int *wrong = argument;

    *wrong = *dsm_last_error() != '\0';
    dsm__fail(-EIO, "the other thread's");
    *wrong |= strcmp(dsm_last_error(), "the other thread's") != 0;
    return NULL;
}

START_TEST(each_thread_has_a_last_error_of_its_own)
{
    _Atomic int wrong = -1;
    pthread_t thread;

    dsm__fail(-EIO, "this thread's");
    ck_assert_int_eq(
        pthread_create(&thread, NULL, fail_elsewhere, (void *)&wrong), 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(wrong, 0);
    ck_assert_str_eq(dsm_last_error(), "this thread's");
}
END_TEST

static int
fail_in_worker(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array;

    (void)arg, (void)arg_size;
    return dsm_array_open(&array, dsm_worker_cluster(self), "A", DSM_ANY) ==
                       -ENOENT &&
                   strstr(dsm_last_error(), "'A'")
               ? 0
               : 1;
}

START_TEST(a_workers_last_error_is_its_own)
{
    dsm_cluster *cluster = test_cluster(1);

    dsm__fail(-EIO, "the controller's");
    ck_dsm(dsm_cluster_run(cluster, fail_in_worker, NULL, 0));
    ck_assert_str_eq(dsm_last_error(), "the controller's");
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_sentence_may_quote_the_one_before)
{
    dsm__fail(-EIO, "inner %d", 1);
    ck_assert_int_eq(dsm__fail(-EBUSY, "outer: %s", dsm_last_error()), -EBUSY);
    ck_assert_str_eq(dsm_last_error(), "outer: inner 1");
}
END_TEST

START_TEST(long_sentences_are_cut)
{
    char text[2 * DSM__SENTENCE];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    dsm__fail(-EIO, "%s", text);
    ck_assert_uint_eq(strlen(dsm_last_error()), DSM__SENTENCE - 1);
    errno = ENOSPC;
    ck_assert_int_eq(dsm__fail_errno("%s", text), -ENOSPC);
    ck_assert_uint_eq(strlen(dsm_last_error()), DSM__SENTENCE - 1);
}
END_TEST

START_TEST(a_system_error_adds_its_text)
{
    errno = EACCES;
    ck_assert_int_eq(dsm__fail_errno("cannot open %s", "x"), -EACCES);
    ck_assert_str_eq(dsm_last_error(), "cannot open x: Permission denied");
    ck_assert_int_eq(errno, EACCES);
    errno = ENODEV;
    dsm__fail(-EIO, "something");
    ck_assert_int_eq(errno, ENODEV);
}
END_TEST

START_TEST(a_kept_sentence_comes_back)
{
    char kept[DSM__SENTENCE];

    dsm__fail(-EIO, "what matters");
    dsm__error_keep(kept);
    dsm__fail(-EIO, "what does not");
    dsm__error_restore(kept);
    ck_assert_str_eq(dsm_last_error(), "what matters");
}
END_TEST

/* ---- Structures that begin with their size. */

struct grown {
    size_t size;
    int value;
    char tail[200];
};

struct now {
    size_t size;
    int value, added;
};

START_TEST(older_and_newer_structures_are_read)
{
    struct now now = {.size = 99, .value = 99, .added = 99};
    struct grown grown = {.size = sizeof grown, .value = 7};

    ck_assert_int_eq(
        dsm__versioned_copy(&now, sizeof now, &grown, "GROWN_INIT"), 0);
    ck_assert_int_eq(now.value, 7);
    ck_assert_int_eq(now.added, 0);
    /* As large as it was before `added` came. */
    now.added = 99;
    grown.size = offsetof(struct now, added);
    grown.value = 8;
    memset(grown.tail, 1, sizeof grown.tail);
    ck_assert_int_eq(
        dsm__versioned_copy(&now, sizeof now, &grown, "GROWN_INIT"), 0);
    ck_assert_int_eq(now.value, 8);
    ck_assert_int_eq(now.added, 0);
}
END_TEST

START_TEST(unknown_fields_that_are_set_are_refused)
{
    struct grown grown = {.size = sizeof grown};
    struct now now;

    grown.tail[199] = 1;
    ck_dsm_error(dsm__versioned_copy(&now, sizeof now, &grown, "GROWN_INIT"),
                 -EINVAL, "GROWN_INIT");
    grown.size--;
    grown.tail[199] = 0;
    ck_dsm(dsm__versioned_copy(&now, sizeof now, &grown, "GROWN_INIT"));
    for (size_t size = 0; size < sizeof size; size++) {
        grown.size = size;
        ck_dsm_error(
            dsm__versioned_copy(&now, sizeof now, &grown, "GROWN_INIT"),
            -EINVAL, "initialise the structure with GROWN_INIT");
    }
    grown.size = SIZE_MAX;
    ck_dsm_error(dsm__versioned_copy(&now, sizeof now, &grown, "GROWN_INIT"),
                 -EINVAL, "GROWN_INIT");
}
END_TEST

START_TEST(a_newer_programs_options_are_read)
{
    struct {
        dsm_cluster_options options;
        long unknown;
    } newer = {.options = DSM_CLUSTER_OPTIONS_INIT};
    dsm_cluster *cluster;

    newer.options.size = sizeof newer;
    newer.options.name = test_name();
    ck_dsm(dsm_cluster_create(&cluster, 1, &newer.options));
    ck_assert_str_eq(dsm_cluster_name(cluster), newer.options.name);
    dsm_cluster_destroy(cluster);
    newer.unknown = 1;
    ck_dsm_error(dsm_cluster_create(&cluster, 1, &newer.options), -EINVAL,
                 "DSM_CLUSTER_OPTIONS_INIT");
    newer.options.size = 0;
    ck_dsm_error(dsm_cluster_create(&cluster, 1, &newer.options), -EINVAL,
                 "DSM_CLUSTER_OPTIONS_INIT");
    ck_assert_ptr_null(cluster);
}
END_TEST

/* An older program has no room for what came later. */
START_TEST(an_older_programs_info_is_not_overrun)
{
    dsm_cluster *cluster = test_cluster(2);
    dsm_worker_info info;

    memset(&info, 0x5a, sizeof info);
    info.size = offsetof(dsm_worker_info, pid);
    ck_dsm(dsm_cluster_worker(cluster, 1, &info));
    ck_assert_uint_eq(info.id, 1);
    ck_assert_uint_eq(info.size, offsetof(dsm_worker_info, pid));
    for (size_t k = info.size; k < sizeof info; k++)
        ck_assert_uint_eq(((unsigned char *)&info)[k], 0x5a);
    info.size = 0;
    ck_dsm_error(dsm_cluster_worker(cluster, 1, &info), -EINVAL,
                 "DSM_WORKER_INFO_INIT");
    ck_dsm_error(dsm_cluster_worker(cluster, 2, &DSM_WORKER_INFO_INIT), -EINVAL,
                 "no worker 2");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Types. */

static const struct {
    dsm_type type;
    size_t size;
    const char *name;
} types[] = {
    {DSM_BOOL, 1, "bool"},
    {DSM_INT8, 1, "int8"},
    {DSM_INT16, 2, "int16"},
    {DSM_INT32, 4, "int32"},
    {DSM_INT64, 8, "int64"},
    {DSM_UINT8, 1, "uint8"},
    {DSM_UINT16, 2, "uint16"},
    {DSM_UINT32, 4, "uint32"},
    {DSM_UINT64, 8, "uint64"},
    {DSM_FLOAT32, 4, "float32"},
    {DSM_FLOAT64, 8, "float64"},
    {DSM_COMPLEX64, 8, "complex64"},
    {DSM_COMPLEX128, 16, "complex128"},
    {DSM_STRUCT(1), 1, "struct"},
    {DSM_STRUCT(24), 24, "struct"},
    {DSM_STRUCT(INT32_MAX), INT32_MAX, "struct"},
    {DSM_ANY, 0, "?"},
    {14, 0, "?"},
    {INT32_MAX, 0, "?"},
    {DSM_STRUCT(0), 0, "?"},
};

START_TEST(types_have_size_and_name)
{
    ck_assert_uint_eq(dsm_type_size(types[_i].type), types[_i].size);
    ck_assert_str_eq(dsm_type_name(types[_i].type), types[_i].name);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("error");
    TCase *code = test_case(suite, "codes");
    TCase *last = test_case(suite, "last_error");
    TCase *versioned = test_case(suite, "versioned");
    TCase *type = test_case(suite, "types");

    tcase_add_loop_test(code, every_code_has_its_name_and_text, 0,
                        sizeof codes / sizeof *codes);
    tcase_add_test(code, the_codes_are_what_they_were);
    tcase_add_test(code, errno_codes_read_as_the_system_has_them);
    tcase_add_test(code, unknown_codes_read_as_such);
    tcase_add_test(last, there_is_no_failure_at_first);
    tcase_add_test(last, a_failure_leaves_a_sentence_and_success_keeps_it);
    tcase_add_test(last, a_create_that_succeeds_keeps_it_too);
    tcase_add_test(last, a_destroy_keeps_it_in_any_case);
    tcase_add_test(last, each_thread_has_a_last_error_of_its_own);
    tcase_add_test(last, a_workers_last_error_is_its_own);
    tcase_add_test(last, a_sentence_may_quote_the_one_before);
    tcase_add_test(last, long_sentences_are_cut);
    tcase_add_test(last, a_system_error_adds_its_text);
    tcase_add_test(last, a_kept_sentence_comes_back);
    tcase_add_test(versioned, older_and_newer_structures_are_read);
    tcase_add_test(versioned, unknown_fields_that_are_set_are_refused);
    tcase_add_test(versioned, a_newer_programs_options_are_read);
    tcase_add_test(versioned, an_older_programs_info_is_not_overrun);
    tcase_add_loop_test(type, types_have_size_and_name, 0,
                        sizeof types / sizeof *types);
    return test_main(suite);
}
