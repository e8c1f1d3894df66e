/* What all tests share: names unique to the run, waiting for a condition, kill
 * points, hosts to be killed, and a teardown that finds whatever was left. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <dsm.h>

#include <check.h>
#include <stdbool.h>
#include <sys/types.h>

/* Runs the suite: 0 if all tests passed. */
int test_main(Suite *suite);

/* A test case whose tests begin and end with test_setup and test_teardown. */
TCase *test_case(Suite *suite, const char *name);

/* A cluster's name that no other test and no other run has; each call another.
 * Static until the test ends. */
const char *test_name(void);

/* Asserts that the call succeeded, and says why not. */
#define ck_dsm(call)                                                           \
    do {                                                                       \
        int dsm_result = (call);                                               \
        ck_assert_msg(dsm_result >= 0, "%s: %s (%s)", #call,                   \
                      dsm_errname(dsm_result), dsm_last_error());              \
    } while (0)

/* Asserts that it failed with this code, and left a sentence that has `text`.
 */
#define ck_dsm_error(call, code, text)                                         \
    do {                                                                       \
        int dsm_result = (call);                                               \
        ck_assert_msg(dsm_result == (code), "%s: %s (%s), not %s", #call,      \
                      dsm_errname(dsm_result), dsm_last_error(),               \
                      dsm_errname(code));                                      \
        ck_assert_msg(strstr(dsm_last_error(), text), "%s: '%s' has no '%s'",  \
                      #call, dsm_last_error(), text);                          \
    } while (0)

/* Creates a cluster with a name of its own; destroyed by the test. */
dsm_cluster *test_cluster(unsigned workers);

/* Polls until the condition holds; asserts that it does within 10 seconds (60
 * under a sanitizer). */
bool test_poll(bool (*condition)(const void *arg), const void *arg);
#define test_await(condition, arg)                                             \
    ck_assert_msg(test_poll(condition, arg), "never: " #condition)

/* Conditions: the process is gone; no file of the cluster is left anywhere in
 * /dev/shm; no process but this one is in the test's process group. */
bool test_gone(const void *pid);          /* const pid_t * */
bool test_nothing_left(const void *name); /* const char * */
bool test_alone(const void *unused);

/* How many there are in it, but for this one. */
int test_processes(void);

/* Seconds of CLOCK_MONOTONIC. */
double test_now(void);

/* Kill points (src/base/point.h), set before the cluster is created.  The
 * process in which `point` is reached for the n-th time (1: first) gets the
 * signal; `times` processes at most, in all. */
void test_kill_at(const char *point, int n, int signal, int times);
/* How many were killed so. */
int test_killed(void);

/* Forks a host program that runs `body` and then exits by it; its pid.  It is
 * to be reaped by test_reap, which returns the wait status. */
pid_t test_host(int (*body)(void *arg), void *arg);
int test_reap(pid_t pid);

/* Memory that the host shares with the test, zeroed for each test: 4096
 * bytes. */
extern void *test_shared;

/* In a host, and in a program that a test starts, the leak checker would meet
 * what the test library holds, and as another user it does not work at all. */
void test_ignore_leaks(void);

/* Whether the process was built with a sanitizer, and is slow. */
bool test_sanitized(void);

/* Path of a directory of the test's own on a tmpfs of `megabytes`, mounted in a
 * mount namespace of this process's own; NULL where that cannot be had. */
const char *test_tmpfs(unsigned megabytes);
void test_tmpfs_end(const char *path);

#endif
