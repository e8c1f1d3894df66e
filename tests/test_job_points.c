/* Jobs when a process is killed or stopped at the most harmful moments: of a
 * worker, the supervisor, or the program. */
#include "meeting.h"
#include "tries.h"

#include "base/point.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

/* No process is killed any more. */
static void
end_kills(void)
{
    test_kill_at("", 0, 0, 0);
}

/* ---- In a worker. */

#define JOBS 24
#define TIMES 3 /* n-th time */

static const struct place {
    const char *point;
    bool inside;  /* of a job, whose try it costs */
    bool large;   /* jobs return and publish much */
    bool suicide; /* jobs die by themselves */
    int processes;
} places[] = {
    {"job.claimed", false, true, false, 2},
    {"job.take", false, true, false, 2},
    {"job.again", false, true, true, 1},
    {"job.call", true, true, false, 2},
    {"job.publish", true, true, false, 2},
    {"parcel.write", true, true, false, 2},
    {"job.commit", true, true, false, 2},
    {"job.committed", false, true, false, 2},
    /* The supervisor tells, too. */
    {"job.tell", false, false, false, 1},
    {"job.telling", false, false, false, 1},
    {"job.empty", false, true, false, 2},
    {"job.emptied", false, true, false, 2},
};

#define PLACES (int)(sizeof places / sizeof *places)

static struct deed
deed_at(const struct place *place, int k)
{
    struct deed deed = {.k = k, .large = place->large && k % 2};

    if (place->suicide && k % 8 == 3)
        deed = (struct deed){k, DIE, SIGKILL, 1, true};
    return deed;
}

/* How many jobs failed. */
static int
count_failed(dsm_job **job, const struct place *place)
{
    int failed = 0;

    for (int k = 0; k < JOBS; k++) {
        struct deed deed = deed_at(place, k);
        int code = dsm_job_result(job[k], NULL, NULL, wait_ms());

        if (code == DSM_EWORKER) {
            ck_assert_ptr_nonnull(strstr(dsm_last_error(), "died of SIGKILL"));
            failed++;
        } else {
            ck_right(job[k], k, deed.large && deed.what == COMPUTE, 0);
        }
    }
    return failed;
}

/* Each job is given by next once. */
static void
release_all(dsm_cluster *cluster)
{
    dsm_job *job;

    for (int k = 0; k < JOBS; k++) {
        ck_dsm(dsm_job_next(&job, cluster, wait_ms()));
        dsm_job_release(job);
    }
    ck_dsm_error(dsm_job_next(&job, cluster, 0), -ECHILD, "");
}

static bool
one_was_killed(const void *arg)
{
    (void)arg;
    return test_killed() > 0;
}

START_TEST(killed_in_a_worker)
{
    const struct place *place = &places[_i / TIMES / 2];
    int n = _i / 2 % TIMES + 1, killed;
    unsigned retries = _i % 2 ? 5 : 0;
    dsm_cluster *cluster;
    dsm_job *job[JOBS];

    test_kill_at(place->point, n, SIGKILL, place->processes);
    cluster = tries_cluster(2);
    for (int k = 0; k < JOBS; k++) {
        struct deed deed = deed_at(place, k);

        job[k] = submit_deed(cluster, deed, deed.what == DIE ? 5 : retries);
    }
    killed = count_failed(job, place);
    ck_assert_int_eq(killed, place->inside && retries == 0 ? test_killed() : 0);
    /* A process takes more than one that is run again by chance only, and says
     * that there are none when the other is slow, perhaps after the last result
     * has come. */
    if (n == 1 || (strcmp(place->point, "job.again") != 0 &&
                   strncmp(place->point, "job.empt", 8) != 0 &&
                   strncmp(place->point, "job.t", 5) != 0))
        test_await(one_was_killed, NULL);
    end_kills();
    release_all(cluster);
    ck_assert_int_eq(parcels(cluster), 0);
    ck_jobs_run(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
wait_to_go(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg, (void)arg_size;
    while (!tries()->go)
        usleep(1000);
    return 0;
}

/* Nothing but the bell tells an event loop, which has no timeout. */
START_TEST(killed_before_it_rings)
{
    const char *point = _i == 0 ? "region.done" : "bell.ring";
    bool region = _i < 2;
    dsm_cluster *cluster;
    struct pollfd end = {.events = POLLIN};
    dsm_job *job;

    test_kill_at(point, 1, SIGKILL, 1);
    cluster = tries_cluster(2);
    end.fd = dsm_cluster_fd(cluster);
    if (region)
        ck_dsm(dsm_cluster_start(cluster, wait_to_go, NULL, 0));
    else
        ck_dsm(dsm_job_submit(&job, cluster, wait_to_go, NULL, 0, NULL));
    tries()->go = 1;
    ck_assert_int_eq(poll(&end, 1, 20000), 1);
    if (region)
        ck_dsm(dsm_cluster_wait(cluster, 20000));
    else
        ck_dsm(dsm_job_result(job, NULL, NULL, 20000));
    ck_assert_int_eq(test_killed(), 1);
    end_kills();
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Killed after it said that there are no jobs, while there is one: the
 * program came in between. */
static void
empty_when_it_is_not(const char *point)
{
    int before = 0;

    if (strcmp(point, "job.empty") == 0 &&
        atomic_compare_exchange_strong(&tries()->go, &before, 1))
        while (tries()->go != 2)
            usleep(1000);
    if (strcmp(point, "job.emptied") == 0 && tries()->go == 2) {
        tries()->go = 3;
        raise(SIGKILL);
    }
}

static bool
about_to_say_empty(const void *arg)
{
    (void)arg;
    return tries()->go == 1;
}

START_TEST(killed_when_it_had_said_so)
{
    dsm_cluster *cluster;
    dsm_job *job;

    dsm__point_hook = empty_when_it_is_not;
    cluster = tries_cluster(1);
    ck_right(submit_deed(cluster, (struct deed){.k = 1}, 0), 1, false, 1);
    test_await(about_to_say_empty, NULL);
    job = submit_deed(cluster, (struct deed){.k = 2}, 0);
    tries()->go = 2;
    ck_right(job, 2, false, 1);
    ck_assert_int_eq(tries()->go, 3);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The ring of ended jobs. */

static double
thread_cpu(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

struct halted {
    const dsm_cluster *cluster;
    pid_t pid;
};

static bool
one_is_stopped(const void *context)
{
    struct halted *halted = (struct halted *)(uintptr_t)context;

    for (unsigned w = 0; w < dsm_cluster_workers(halted->cluster); w++) {
        halted->pid = test_pid(halted->cluster, w);
        if (test_stopped(&halted->pid))
            return true;
    }
    return false;
}

/* A worker has a place in the ring and does not fill it, for a while or for
 * ever. */
START_TEST(stopped_with_a_place_in_the_ring)
{
    struct halted halted = {NULL, 0};
    dsm_cluster *cluster;
    dsm_job *first, *job;
    double cpu;

    test_kill_at("job.telling", 1, SIGSTOP, 1);
    halted.cluster = cluster = tries_cluster(2);
    first = submit_deed(cluster, (struct deed){.k = 77}, 0);
    test_await(one_is_stopped, &halted);
    for (int k = 0; k < JOBS; k++)
        submit_deed(cluster, (struct deed){.k = k}, 0);
    for (int k = 0; k < JOBS; k++) {
        ck_dsm(dsm_job_next(&job, cluster, wait_ms()));
        ck_assert_ptr_ne(job, first);
        dsm_job_release(job);
    }
    cpu = thread_cpu();
    ck_dsm_error(dsm_job_next(&job, cluster, 300), -ETIMEDOUT, "");
    ck_dsm_error(dsm_cluster_drain(cluster, 300), -ETIMEDOUT, "1 job");
    ck_assert_msg(thread_cpu() - cpu < 0.3, "busy for %.3f s",
                  thread_cpu() - cpu);
    ck_right(first, 77, false, 1);
    ck_assert_int_eq(kill(halted.pid, _i ? SIGKILL : SIGCONT), 0);
    ck_dsm(dsm_job_next(&job, cluster, wait_ms()));
    ck_assert_ptr_eq(job, first);
    dsm_job_release(job);
    ck_dsm(dsm_cluster_drain(cluster, 0));
    ck_jobs_run(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

#define PUBLISHED 300

static int
publish_often(dsm_worker *self, const void *arg, size_t arg_size)
{
    int n = *(const int *)arg;

    (void)arg_size;
    for (int k = 1; k <= n; k++) {
        int error = dsm_worker_publish(self, &k, sizeof k, DSM_FOREVER);

        if (error)
            return error;
        be_inside();
    }
    return 0;
}

/* Takes what was published, and notes it. */
static void
note(dsm_job *job, void *arg)
{
    const void *data;
    size_t size;

    if (dsm_job_provisional(job, &data, &size) == 0)
        *(int *)arg = *(const int *)data;
}

static dsm_job *
submit_publishing(dsm_cluster *cluster, int n, int *last)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *job;

    options.callback = note;
    options.callback_arg = last;
    ck_dsm(
        dsm_job_submit(&job, cluster, publish_often, &n, sizeof n, &options));
    return job;
}

/* Whoever takes provisional results unasked reads no ring, which runs full: but
 * nobody is forgotten for that. */
START_TEST(an_overflow_loses_nothing)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    int last[2] = {0}, count = PUBLISHED;
    double end = test_now() + wait_ms() / 1000.0;
    dsm_cluster *cluster;
    dsm_job *job;

    options.name = test_name();
    options.max_jobs = 64;
    ck_dsm(dsm_cluster_create(&cluster, 1, &options));
    job = submit_publishing(cluster, PUBLISHED, &last[0]);
    while (last[0] < PUBLISHED && test_now() < end)
        note(job, &last[0]);
    await_inside(count);
    submit_publishing(cluster, 2, &last[1]);
    count++;
    await_inside(count);
    while (last[1] < 2 && test_now() < end)
        ck_dsm(dsm_cluster_poll(cluster, 100));
    ck_assert_int_eq(last[1], 2);
    ck_dsm(dsm_cluster_drain(cluster, wait_ms()));
    ck_dsm(dsm_job_result(job, NULL, NULL, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- In the supervisor. */

static const struct {
    const char *point;
    unsigned retries;
} supervisors[] = {
    {"supervisor.bury_jobs", 0},
    {"supervisor.bury_jobs", 5},
    {"job.requeue", 5},
    {"job.failed", 0},
};

START_TEST(killed_in_the_supervisor)
{
    struct deed deed = {1, DIE, SIGKILL, 1, true};
    dsm_cluster *cluster;
    dsm_job *waits, *dies, *job;
    int code;

    test_kill_at(supervisors[_i].point, 1, SIGKILL, 1);
    cluster = tries_cluster(2);
    waits = submit_deed(cluster, (struct deed){.k = 2, .what = WAIT}, 0);
    await_inside(1);
    dies = submit_deed(cluster, deed, supervisors[_i].retries);
    ck_dsm_error(dsm_job_result(waits, NULL, NULL, wait_ms()), DSM_ESTALE,
                 "supervisor");
    ck_assert_int_eq(test_killed(), 1);
    code = dsm_job_result(dies, NULL, NULL, wait_ms());
    ck_assert(code == DSM_ESTALE || code == DSM_EWORKER);
    ck_dsm_error(dsm_cluster_drain(cluster, wait_ms()), DSM_ESTALE, "");
    ck_dsm_error(dsm_job_next(&job, cluster, wait_ms()), DSM_ESTALE, "");
    ck_dsm_error(
        dsm_job_submit(&job, cluster, do_deed, &deed, sizeof deed, NULL),
        DSM_ESTALE, "");
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- In the program. */

static const char *const programs[] = {"job.board", "job.shown",
                                       "parcel.write"};

#define PROGRAMS (int)(sizeof programs / sizeof *programs)

static int
killed_host(void *arg)
{
    static char large[LARGE];
    dsm_cluster *cluster;

    (void)arg;
    host_begin();
    if (scene_create(&cluster) < 0)
        return 1;
    scene()->ready = 1;
    return dsm_job_submit(NULL, cluster, compute, large, sizeof large, NULL);
}

START_TEST(killed_in_the_program)
{
    pid_t host;

    test_kill_at(programs[_i], 1, SIGKILL, 1);
    scene_begin();
    host = test_host(killed_host, NULL);
    ck_killed(host);
    ck_assert_int_eq(scene()->ready, 1);
    ck_assert_int_eq(test_killed(), 1);
    ck_scene_over(test_now());
}
END_TEST

/* One that has attached: its cluster lives on.  Workers find the function in
 * the C library. */
static int
killed_guest(void *arg)
{
    dsm_cluster *cluster = attach_to_meeting();
    void (*any)(void) = (void (*)(void))getppid;
    static char large[LARGE];

    if (!cluster)
        return 1;
    if (arg)
        test_kill_at(arg, 1, SIGKILL, 1);
    return dsm_job_submit(NULL, cluster, (dsm_fn)any, large, sizeof large,
                          NULL) != 0 ||
           dsm_cluster_drain(cluster, wait_ms()) != 0;
}

static bool
no_parcels(const void *cluster)
{
    return parcels(cluster) == 0;
}

START_TEST(killed_in_a_program_that_attached)
{
    pid_t guest = test_host(killed_guest, (void *)(uintptr_t)programs[_i]);
    pid_t other = test_host(killed_guest, NULL);
    dsm_cluster *cluster = meeting_cluster(2);

    next_step();
    ck_killed(guest);
    ck_assert_int_eq(test_reap(other), 0);
    test_await(no_parcels, cluster);
    memset(test_shared, 0, sizeof(struct meeting));
    ck_jobs_run(cluster);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("job, points");
    TCase *tests = test_case(suite, "worker");

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, killed_in_a_worker, 0, PLACES * TIMES * 2);
    tcase_add_loop_test(tests, killed_before_it_rings, 0, 3);
    tcase_add_test(tests, killed_when_it_had_said_so);
    tests = test_case(suite, "ring");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, stopped_with_a_place_in_the_ring, 0, 2);
    tcase_add_test(tests, an_overflow_loses_nothing);
    tests = test_case(suite, "supervisor");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, killed_in_the_supervisor, 0,
                        sizeof supervisors / sizeof *supervisors);
    tests = test_case(suite, "program");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, killed_in_the_program, 0, PROGRAMS);
    tcase_add_loop_test(tests, killed_in_a_program_that_attached, 0, PROGRAMS);
    return test_main(suite);
}
