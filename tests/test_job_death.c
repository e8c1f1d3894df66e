/* Jobs whose worker dies, in every manner: it costs this job alone, or only a
 * try of it; and what ends a job on purpose ends no other. */
#include "tries.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

/* ---- Manners of death. */

#define INNOCENT 20

static const struct deed manners[] = {
    {.what = DIE, .number = SIGSEGV, .deaths = 1},
    {.what = DIE, .number = SIGKILL, .deaths = 1},
    {.what = DIE, .number = SIGABRT, .deaths = 1},
    {.what = EXIT, .number = 3, .deaths = 1},
    {.what = LEAVE, .number = 0, .deaths = 1},
};

/* "died of SIGSEGV in job 'NAME'" */
static void
describe(char *text, size_t size, const dsm_job_info *info, struct deed deed)
{
    int n = snprintf(text, size, "worker %u (pid %ld) ", info->worker,
                     (long)tries()->pid);

    if (deed.what == DIE)
        n += snprintf(text + n, size - (size_t)n, "died of SIG%s",
                      sigabbrev_np(deed.number));
    else
        n += snprintf(text + n, size - (size_t)n, "called exit(%d)",
                      deed.number);
    snprintf(text + n, size - (size_t)n, " in job 'the one'");
}

static void
ck_death(dsm_job *job, struct deed deed, unsigned in_tries)
{
    dsm_job_info info;
    const void *result;
    char text[160];
    size_t size = 1;

    ck_dsm_error(dsm_job_result(job, &result, &size, wait_ms()), DSM_EWORKER,
                 "worker");
    ck_assert_ptr_null(result);
    ck_assert_uint_eq(size, 0);
    info = job_info(job);
    describe(text, sizeof text, &info, deed);
    ck_assert_msg(strstr(dsm_last_error(), text), "'%s' has no '%s'",
                  dsm_last_error(), text);
    ck_assert_str_eq(info.message, dsm_last_error());
    ck_assert_int_eq(info.state, DSM_JOB_FAILED);
    ck_assert_int_eq(info.code, DSM_EWORKER);
    ck_assert_int_eq(info.pid, tries()->pid);
    ck_assert_int_eq(info.signal, deed.what == DIE ? deed.number : 0);
    ck_assert_int_eq(info.exit_code, deed.what == DIE ? 0 : deed.number);
    ck_assert_uint_eq(info.tries, in_tries);
}

static dsm_job *
submit_the_one(dsm_cluster *cluster, struct deed deed, unsigned retries)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job;

    options.name = "the one";
    options.retries = retries;
    ck_dsm(
        dsm_job_submit(&job, cluster, do_deed, &deed, sizeof deed, &options));
    return job;
}

START_TEST(it_costs_the_job_alone)
{
    dsm_cluster *cluster = tries_cluster(2);
    dsm_job *innocent[2 * INNOCENT], *job;
    struct replaced was = {.cluster = cluster};

    for (int k = 0; k < INNOCENT; k++)
        innocent[k] = submit_deed(cluster, (struct deed){.k = k}, 0);
    job = submit_the_one(cluster, manners[_i], 0);
    for (int k = INNOCENT; k < 2 * INNOCENT; k++)
        innocent[k] = submit_deed(cluster, (struct deed){.k = k}, 0);
    ck_death(job, manners[_i], 1);
    for (int k = 0; k < 2 * INNOCENT; k++)
        ck_right(innocent[k], k, false, 1);
    was.worker = job_info(job).worker;
    was.pid = tries()->pid;
    test_await(is_replaced, &was);
    ck_assert_uint_eq(test_info(cluster, was.worker).deaths, 1);
    ck_assert_uint_eq(test_info(cluster, 1 - was.worker).deaths, 0);
    ck_jobs_run(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* All are in one worker's block, once it knows that they are short. */
START_TEST(it_dies_among_many_of_its_own)
{
    enum { MANY = 300, SHORT = 100 };
    struct deed deed[MANY] = {{0}};
    dsm_cluster *cluster = tries_cluster(1);
    dsm_job *job[MANY];

    for (int k = 0; k < MANY; k++)
        deed[k].k = k;
    for (int k = SHORT; k < MANY; k += 37)
        deed[k] = (struct deed){k, DIE, SIGKILL, 1, false};
    ck_dsm(dsm_job_map(job, cluster, do_deed, deed, sizeof *deed, SHORT, NULL));
    ck_dsm(dsm_cluster_drain(cluster, wait_ms()));
    ck_dsm(dsm_job_map(job + SHORT, cluster, do_deed, deed + SHORT,
                       sizeof *deed, MANY - SHORT, NULL));
    for (int k = 0; k < MANY; k++)
        if (deed[k].what == DIE)
            ck_dsm_error(dsm_job_result(job[k], NULL, NULL, wait_ms()),
                         DSM_EWORKER, "SIGKILL");
        else
            ck_right(job[k], k, false, 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Tries. */

START_TEST(it_is_run_again)
{
    struct deed twice = {1, DIE, SIGSEGV, 2, false};
    struct deed ever = {2, EXIT, 3, 1000, false};
    dsm_cluster *cluster = tries_cluster(2);
    dsm_job *job = submit_the_one(cluster, twice, 2);

    ck_right(job, 1, false, 3);
    ck_assert_int_eq(tries()->count[1], 3);
    ck_assert_int_eq(job_info(job).exit_code, 0);
    ck_assert_str_eq(job_info(job).message, "");
    dsm_job_release(job);
    job = submit_the_one(cluster, ever, 2);
    ck_death(job, ever, 3);
    ck_assert_int_eq(tries()->count[2], 3);
    ck_jobs_run(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static dsm_job *
submit_large(dsm_cluster *cluster, struct deed deed, unsigned retries)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    char *arg = calloc(1, LARGE);
    dsm_job *job;

    ck_assert_ptr_nonnull(arg);
    memcpy(arg, &deed, sizeof deed);
    options.retries = retries;
    options.capture_output = true;
    ck_dsm(dsm_job_submit(&job, cluster, do_deed, arg, LARGE, &options));
    free(arg);
    return job;
}

START_TEST(tries_leave_no_parcels)
{
    struct deed deed = {3, DIE, SIGKILL, 2, true};
    dsm_cluster *cluster = tries_cluster(2);
    const void *result;
    dsm_job *job = submit_large(cluster, deed, 2);
    size_t size;

    /* Its argument, what its last try printed, and what the tries published,
     * which is good still; but not what they returned. */
    ck_right(job, 3, false, 3);
    ck_assert_int_eq(parcels(cluster), 5);
    ck_dsm(dsm_job_provisional(job, &result, &size));
    ck_assert_uint_eq(size, LARGE);
    ck_assert_uint_eq(*(const uint64_t *)result, right_result(1003));
    dsm_job_release(job);
    ck_assert_int_eq(parcels(cluster), 0);
    tries()->count[3] = 0;
    job = submit_large(cluster, deed, 0);
    ck_dsm_error(dsm_job_result(job, &result, &size, wait_ms()), DSM_EWORKER,
                 "SIGKILL");
    dsm_job_release(job);
    ck_assert_int_eq(parcels(cluster), 0);
    dsm_job_release(submit_large(cluster, deed, 0));
    ck_dsm(dsm_cluster_drain(cluster, wait_ms()));
    ck_assert_int_eq(parcels(cluster), 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- What it printed. */

static char
printed(int i)
{
    return (char)('a' + i % 23);
}

static int
print_and_die(dsm_worker *self, const void *arg, size_t arg_size)
{
    int n = *(const int *)arg;

    (void)self, (void)arg_size;
    for (int i = 0; i < n; i++) {
        char letter = printed(i);

        if (write(STDERR_FILENO, &letter, 1) != 1)
            return 1;
    }
    printf("said before\n");
    fflush(stdout);
    raise(SIGKILL);
    return 1;
}

START_TEST(its_last_words_are_kept)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_cluster *cluster = tries_cluster(2);
    int n = _i ? 10000 : 100, most = 4096;
    dsm_job_info info;
    dsm_job *job;

    options.capture_output = true;
    ck_dsm(
        dsm_job_submit(&job, cluster, print_and_die, &n, sizeof n, &options));
    ck_dsm_error(dsm_job_result(job, NULL, NULL, wait_ms()), DSM_EWORKER,
                 "SIGKILL");
    info = job_info(job);
    ck_assert_int_eq((int)info.err_size, n < most ? n : most);
    for (int i = 0; i < (int)info.err_size; i++)
        ck_assert_int_eq(info.err[i], printed(n - (int)info.err_size + i));
    ck_assert_int_eq(info.err[info.err_size], '\0');
    ck_assert_str_eq(info.out, "said before\n");
    dsm_job_release(job);
    ck_assert_int_eq(parcels(cluster), 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Cancelled. */

#define NEXT 40

/* One that waits inside, and others that the same worker would run next. */
static dsm_job *
submit_before_others(dsm_cluster *cluster, enum what what, dsm_job **next)
{
    struct deed deed[100 + NEXT] = {{0}};
    dsm_job *job[100 + NEXT];

    /* So that the worker finds jobs short, and takes many at once. */
    ck_dsm(dsm_job_map(NULL, cluster, do_deed, deed, sizeof *deed, 100, NULL));
    ck_dsm(dsm_cluster_drain(cluster, wait_ms()));
    for (int k = 0; k < NEXT; k++)
        deed[k].k = k;
    deed[3].what = what;
    ck_dsm(dsm_job_map(job, cluster, do_deed, deed, sizeof *deed, NEXT, NULL));
    memcpy(next, job, NEXT * sizeof *job);
    await_inside(1);
    return job[3];
}

static void
ck_others(dsm_job **next)
{
    for (int k = 0; k < NEXT; k++)
        if (k != 3)
            ck_right(next[k], k, false, 1);
}

START_TEST(a_cancelled_job_does_not_obey)
{
    dsm_cluster *cluster = tries_cluster(1);
    dsm_job *next[NEXT], *job = submit_before_others(cluster, IGNORE, next);
    struct replaced was = {cluster, 0, tries()->pid};
    double since = test_now();

    ck_dsm(dsm_job_cancel(job, _i));
    ck_dsm_error(dsm_job_result(job, NULL, NULL, wait_ms()), DSM_ECANCELED,
                 "which was cancelled");
    ck_assert(test_now() - since >= _i / 1000.0);
    ck_assert_int_eq(job_info(job).state, DSM_JOB_CANCELLED);
    ck_assert_int_eq(job_info(job).signal, SIGKILL);
    ck_assert_int_eq(job_info(job).pid, was.pid);
    ck_others(next);
    test_await(is_replaced, &was);
    ck_assert_uint_eq(test_info(cluster, 0).deaths, 1);
    ck_jobs_run(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_cancelled_job_obeys)
{
    dsm_cluster *cluster = tries_cluster(1);
    dsm_job *next[NEXT], *job = submit_before_others(cluster, OBEY, next);
    pid_t pid = tries()->pid;

    ck_dsm(dsm_job_cancel(job, 60000));
    ck_dsm_error(dsm_job_result(job, NULL, NULL, wait_ms()), DSM_ECANCELED,
                 "cancelled");
    ck_assert_int_eq(job_info(job).state, DSM_JOB_CANCELLED);
    ck_assert_int_eq(job_info(job).signal, 0);
    ck_others(next);
    ck_assert_int_eq(test_pid(cluster, 0), pid);
    ck_assert_uint_eq(test_info(cluster, 0).deaths, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* A retry would be in vain. */
START_TEST(a_cancelled_job_is_not_run_again)
{
    struct deed deed = {.k = 1, .what = IGNORE};
    dsm_cluster *cluster = tries_cluster(2);
    dsm_job *job = submit_deed(cluster, deed, 5);

    await_inside(1);
    ck_dsm(dsm_job_cancel(job, _i ? DSM_FOREVER : 0));
    if (_i)
        ck_assert_int_eq(kill(tries()->pid, SIGKILL), 0);
    ck_dsm_error(dsm_job_result(job, NULL, NULL, wait_ms()), DSM_ECANCELED,
                 "which was cancelled");
    ck_assert_uint_eq(job_info(job).tries, 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Cancelled at the moment of its end. */

static int
compute_for(dsm_worker *self, const void *arg, size_t arg_size)
{
    int n = *(const int *)arg;

    (void)arg_size;
    for (volatile int i = 0; i < n;)
        i = i + 1;
    return return_right(self, n, false);
}

static dsm_job *
submit_short(dsm_cluster *cluster, int n)
{
    dsm_job *job;

    ck_dsm(dsm_job_submit(&job, cluster, compute_for, &n, sizeof n, NULL));
    return job;
}

/* The one after it is run by the same worker, which is killed too late or not
 * at all.  The pause before the cancel follows the job's length, whatever the
 * machine: longer after a job that was cancelled, shorter after one that ended
 * first. */
START_TEST(a_late_cancel_kills_nobody)
{
    enum { LENGTH = 20000, ROUNDS = 400, MOST_ROUNDS = 100000 };
    dsm_cluster *cluster = tries_cluster(1);
    double end = test_now() + 3;
    int finished = 0, cancelled = 0, pause = 1000;

    for (int round = 0; round < MOST_ROUNDS; round++) {
        dsm_job *job, *next;
        int code;

        if (round >= ROUNDS && test_now() > end && finished && cancelled)
            break;
        job = submit_short(cluster, LENGTH);
        next = submit_short(cluster, 1);
        for (volatile int i = 0; i < pause;)
            i = i + 1;
        ck_dsm(dsm_job_cancel(job, 0));
        code = dsm_job_result(job, NULL, NULL, wait_ms());
        ck_assert_msg(code == 0 || code == DSM_ECANCELED, "%s: %s",
                      dsm_errname(code), dsm_last_error());
        if (code == 0) {
            ck_right(job, LENGTH, false, 1);
            finished++;
            pause -= pause / 8;
        } else {
            cancelled++;
            pause += pause / 8 + 1;
        }
        ck_right(next, 1, false, 1);
        dsm_job_release(job);
        dsm_job_release(next);
    }
    ck_assert_int_gt(finished, 0);
    ck_assert_int_gt(cancelled, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Refresh. */

START_TEST(a_refresh_runs_them_again)
{
    dsm_cluster *cluster = tries_cluster(2);
    dsm_job *again =
        submit_deed(cluster, (struct deed){.k = 1, .what = WAIT}, 1);
    dsm_job *fails =
        submit_deed(cluster, (struct deed){.k = 2, .what = WAIT}, 0);
    dsm_job *queued[10];
    pid_t before[2];

    for (int k = 0; k < 10; k++)
        queued[k] = submit_deed(cluster, (struct deed){.k = k}, 0);
    await_inside(2);
    for (unsigned w = 0; w < 2; w++)
        before[w] = test_pid(cluster, w);
    ck_dsm(dsm_cluster_refresh(cluster));
    for (unsigned w = 0; w < 2; w++)
        ck_assert_int_ne(test_pid(cluster, w), before[w]);
    ck_dsm_error(dsm_job_result(fails, NULL, NULL, wait_ms()), DSM_EWORKER,
                 "was replaced by a refresh in a job");
    tries()->go = 1;
    ck_right(again, 1, false, 2);
    for (int k = 0; k < 10; k++)
        ck_right(queued[k], k, false, 1);
    ck_jobs_run(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Many, while workers are killed all the time. */

#define STORM_WORKERS 3
#define STORM_MOST 3000

struct storm {
    dsm_cluster *cluster;
    bool large;
    int n, in_flight, submitted, ended, kills;
    unsigned char seen[STORM_MOST];
};

static int
toil(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct deed *deed = arg;

    (void)arg_size;
    for (volatile int i = 0; i < 5000;)
        i = i + 1;
    return return_right(self, deed->k, deed->large);
}

static void
storm_submit(struct storm *storm)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    struct deed deed = {.k = storm->submitted, .large = storm->large};
    char name[16];

    snprintf(name, sizeof name, "%d", storm->submitted++);
    options.name = name;
    options.retries = 1000000;
    ck_dsm(dsm_job_submit(NULL, storm->cluster, toil, &deed, sizeof deed,
                          &options));
}

/* Not one that starts: three that cannot start are the end of a cluster. */
static void
storm_kill(struct storm *storm)
{
    static unsigned next;
    dsm_worker_info info = test_info(storm->cluster, next++ % STORM_WORKERS);

    if (info.pid == 0 || info.state == DSM_WORKER_STARTING ||
        info.state == DSM_WORKER_DEAD)
        return;
    storm->kills += kill(info.pid, SIGKILL) == 0;
}

static void
storm_take(struct storm *storm, int timeout_ms)
{
    dsm_job *job;
    int code = dsm_job_next(&job, storm->cluster, timeout_ms), k;

    if (code == -ETIMEDOUT)
        return;
    ck_dsm(code);
    k = atoi(job_info(job).name);
    ck_assert_int_lt(k, storm->submitted);
    ck_right(job, k, storm->large, 0);
    storm->seen[k]++;
    storm->ended++;
    dsm_job_release(job);
}

static void
weather(struct storm *storm, int most_kills)
{
    double until = test_now() + 3, kill_at = 0, late = until + 60;
    dsm_job *job;

    while (storm->ended < storm->n) {
        double now = test_now();

        ck_assert_msg(now < late, "%d of %d jobs ended, after %d kills",
                      storm->ended, storm->n, storm->kills);
        if (storm->submitted < storm->n &&
            storm->submitted - storm->ended < storm->in_flight) {
            storm_submit(storm);
            continue;
        }
        if (now < until && now >= kill_at && storm->kills < most_kills) {
            storm_kill(storm);
            kill_at = now + 0.003;
        }
        storm_take(storm, 2);
    }
    ck_assert_int_gt(storm->kills, 3);
    for (int k = 0; k < storm->n; k++)
        ck_assert_uint_eq(storm->seen[k], 1);
    ck_dsm_error(dsm_job_next(&job, storm->cluster, 0), -ECHILD, "");
}

START_TEST(many_in_a_storm)
{
    static struct storm storm;
    bool large = _i;

    memset(&storm, 0, sizeof storm);
    storm.large = large;
    storm.n = (large ? 300 : STORM_MOST) / (test_sanitized() ? 3 : 1);
    storm.in_flight = large ? 40 : 500;
    storm.cluster = tries_cluster(STORM_WORKERS);
    weather(&storm, 300);
    ck_assert_int_eq(parcels(storm.cluster), 0);
    ck_jobs_run(storm.cluster);
    dsm_cluster_destroy(storm.cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("job, death");
    TCase *tests = test_case(suite, "manners");

    tcase_add_loop_test(tests, it_costs_the_job_alone, 0,
                        sizeof manners / sizeof *manners);
    tcase_add_test(tests, it_dies_among_many_of_its_own);
    tests = test_case(suite, "tries");
    tcase_add_test(tests, it_is_run_again);
    tcase_add_test(tests, tries_leave_no_parcels);
    tcase_add_loop_test(tests, its_last_words_are_kept, 0, 2);
    tests = test_case(suite, "cancelled");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, a_cancelled_job_does_not_obey, 0, 1);
    tcase_add_loop_test(tests, a_cancelled_job_does_not_obey, 50, 51);
    tcase_add_test(tests, a_cancelled_job_obeys);
    tcase_add_loop_test(tests, a_cancelled_job_is_not_run_again, 0, 2);
    tcase_add_test(tests, a_late_cancel_kills_nobody);
    tcase_add_test(tests, a_refresh_runs_them_again);
    tests = test_case(suite, "storm");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, many_in_a_storm, 0, 2);
    return test_main(suite);
}
