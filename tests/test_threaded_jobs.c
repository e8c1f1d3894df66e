/* Jobs, with threads for workers and for the supervisor: see threaded.h.  What
 * jobs read and write is plain, so that every order which the pool owes is
 * looked for: from submit to the function, from its end to the program, and
 * from a try that died to the next. */
#define POOL ((size_t)64 << 20)
#define JOBS_MAX 256
#include "pool/ended.h"
#include "threaded.h"

#include "base/point.h"
#include "cluster/perform.h"
#include "cluster/remains.h"
#include "code/function.h"
#include "pool/recover.h"

#include <dsm/job.h>

#include <sched.h>
#include <signal.h>

#define JOBS 200

/* ---- Workers and their supervisor. */

static _Atomic bool deadly; /* workers die at random points */
static _Atomic unsigned starts;
static _Thread_local unsigned points_left; /* then it dies; 0: never */

static void
count_points(const char *point)
{
    (void)point;
    if (points_left > 0 && --points_left == 0)
        die();
}

static bool
has_jobs(const void *context)
{
    const dsm_worker *self = context;

    return control->stopping || self->taker.next < self->taker.count ||
           dsm__queued_any(control);
}

/* As a worker process does. */
static void
wait_for_jobs(dsm_worker *self)
{
    bool found;

    if (has_jobs(self))
        return;
    dsm__look(&self->taker, true);
    found = dsm__spin_until(control, has_jobs, self, control->spins);
    dsm__look(&self->taker, false);
    if (!found)
        (void)dsm__sleep_until(control, &control->work.event, has_jobs, self,
                               DSM__NO_DEADLINE);
}

static void *
job_worker_main(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    unsigned start = atomic_fetch_add(&starts, 1);
    static dsm_worker selves[WORKERS];
    dsm_worker *self = &selves[id];

    dsm__worker_init(self, &cluster, id);
    dsm__worker_become(control, self->slot, false);
    if (setjmp(death)) {
        dsm__crates_free(&self->crates);
        tell_supervisor(id);
        return NULL;
    }
    if (deadly)
        points_left = 1 + start * 7919 % 211;
    while (!control->stopping) {
        wait_for_jobs(self);
        dsm__perform(self);
    }
    dsm__crates_free(&self->crates); /* a process would just end */
    return NULL;
}

static void
start_job_worker(unsigned id)
{
    ck_assert_int_eq(pthread_create(&threads[id], NULL, job_worker_main,
                                    (void *)(uintptr_t)id),
                     0);
}

static void *
job_supervisor_main(void *argument)
{
    struct dsm__death how = {.signal = SIGKILL, .manner = "died of SIGKILL"};
    uint32_t seen = 0;

    (void)argument;
    while (!control->stopping) {
        while (atomic_load(&deaths.word) == seen && !control->stopping)
            (void)dsm__wait(control, &deaths.word, seen, &deaths.sleeping,
                            DSM__NO_DEADLINE);
        seen = deaths.word;
        for (unsigned id = 0; id < WORKERS; id++) {
            if (!dead[id])
                continue;
            pthread_join(threads[id], NULL);
            dead[id] = false;
            dsm__pool_bury(control, id, &how);
            start_job_worker(id);
        }
    }
    return NULL;
}

static void
spawn_with(void (*at_point)(const char *point))
{
    memset(&cluster, 0, sizeof cluster);
    memset(&deaths, 0, sizeof deaths);
    ck_assert_int_eq(dsm__identity_arm(), 0);
    cluster.member.role = DSM__CONTROLLER;
    cluster.member.command = -1;
    cluster.objects = dsm__objects_now();
    pthread_mutex_init(&cluster.commands, NULL);
    make_control(WORKERS);
    dsm__member_add(&cluster.member);
    dsm__point_hook = at_point;
    for (unsigned id = 0; id < WORKERS; id++)
        start_job_worker(id);
    ck_assert_int_eq(
        pthread_create(&supervisor, NULL, job_supervisor_main, NULL), 0);
}

static void
spawn_job_workers(bool die_at_points)
{
    deadly = die_at_points;
    spawn_with(count_points);
}

static void
end_job_workers(void)
{
    atomic_store(&control->stopping, 1);
    atomic_fetch_add(&deaths.word, 1);
    dsm__wake(&deaths.word, &deaths.sleeping);
    pthread_join(supervisor, NULL);
    dsm__event_reset(&control->work.event);
    for (unsigned id = 0; id < WORKERS; id++)
        pthread_join(threads[id], NULL);
    cluster.ledger_free(cluster.ledger);
    dsm__remains_clear(control->name, "");
    dsm__member_remove(&cluster.member);
    dsm__objects_free(cluster.objects);
    pthread_mutex_destroy(&cluster.commands);
    drop_control();
}

/* ---- What is asked, and answered. */

#define WORDS 16

struct question {
    int k, round;
    int words[WORDS];
};

static int ran[JOBS]; /* by one try at a time */
static int asked[JOBS];

static struct question
question(int k, int round)
{
    struct question question = {.k = k, .round = round};

    for (int i = 0; i < WORDS; i++)
        question.words[i] = k * round + i;
    return question;
}

static int
answer(dsm_worker *self, const void *arg, size_t arg_size)
{
    struct question question = *(const struct question *)arg;

    if (arg_size != sizeof question)
        return 1;
    ran[question.k]++;
    /* Some are slow, so that others come for what is behind them. */
    for (volatile int i = question.k % 50 == 3 ? 20000 : 0; i > 0;)
        i = i - 1;
    for (int i = 0; i < WORDS; i++)
        question.words[i]++;
    return dsm_worker_return(self, &question, sizeof question);
}

/* Asserts that it is the answer to that question. */
static void
ck_answer(dsm_job *job, int round)
{
    const struct question *answered;
    const void *result;
    size_t size;

    ck_dsm(dsm_job_result(job, &result, &size, DSM_FOREVER));
    ck_assert_uint_eq(size, sizeof *answered);
    answered = result;
    ck_assert_int_eq(answered->round, round);
    for (int i = 0; i < WORDS; i++)
        if (answered->words[i] != answered->k * round + i + 1)
            ck_abort_msg("job %d: word %d is %d", answered->k, i,
                         answered->words[i]);
}

static void
ask_all(dsm_job **jobs, int round, unsigned retries)
{
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    struct question questions[JOBS];

    options.retries = retries;
    for (int k = 0; k < JOBS; k++) {
        questions[k] = question(k, round);
        asked[k] = ran[k];
    }
    ck_dsm(dsm_job_map(jobs, &cluster, answer, questions, sizeof *questions,
                       JOBS, &options));
}

static void
release_all(dsm_job **jobs)
{
    for (int k = 0; k < JOBS; k++)
        dsm_job_release(jobs[k]);
}

START_TEST(each_is_run_once)
{
    dsm_job *jobs[JOBS], *job;

    spawn_job_workers(false);
    for (int round = 1; round <= rounds() / 10; round++) {
        ask_all(jobs, round, 0);
        for (int k = 0; k < JOBS; k++) {
            ck_dsm(dsm_job_next(&job, &cluster, DSM_FOREVER));
            ck_answer(job, round);
        }
        for (int k = 0; k < JOBS; k++)
            ck_assert_int_eq(ran[k], asked[k] + 1);
        release_all(jobs);
    }
    end_job_workers();
}
END_TEST

START_TEST(the_dead_are_buried)
{
    unsigned retries = _i ? 1000 : 0, failed = 0;
    dsm_job *jobs[JOBS];

    spawn_job_workers(true);
    for (int round = 1; round <= rounds() / 20; round++) {
        ask_all(jobs, round, retries);
        for (int k = 0; k < JOBS; k++) {
            int code = dsm_job_result(jobs[k], NULL, NULL, DSM_FOREVER);

            if (code == DSM_EWORKER && retries == 0)
                failed++;
            else
                ck_answer(jobs[k], round);
            ck_assert_int_le(ran[k], asked[k] + 1 + (int)retries);
        }
        ck_dsm(dsm_cluster_drain(&cluster, DSM_FOREVER));
        release_all(jobs);
    }
    ck_assert_uint_gt(starts, 2 * WORKERS);
    if (retries == 0)
        ck_assert_uint_gt(failed, 0);
    end_job_workers();
}
END_TEST

/* And looked at, while they are queued, or run, or have ended. */
START_TEST(some_are_cancelled)
{
    dsm_job_info info = DSM_JOB_INFO_INIT;
    int finished = 0;
    dsm_job *jobs[JOBS];

    spawn_job_workers(_i);
    for (int round = 1; round <= rounds() / 10; round++) {
        ask_all(jobs, round, 0);
        for (int k = JOBS - 1; k > 0; k -= 3)
            ck_dsm(dsm_job_cancel(jobs[k], DSM_FOREVER));
        for (int k = 0; k < JOBS; k++) {
            ck_dsm(dsm_job_status(jobs[k], &info));
            ck_assert_int_eq(info.code == DSM_EPENDING,
                             info.state <= DSM_JOB_RUNNING);
        }
        for (int k = 0; k < JOBS; k++) {
            int code = dsm_job_result(jobs[k], NULL, NULL, DSM_FOREVER);

            if (code == 0)
                ck_answer(jobs[k], round);
            else
                ck_assert(code == DSM_ECANCELED || (_i && code == DSM_EWORKER));
            finished += code == 0;
        }
        release_all(jobs);
    }
    ck_assert_int_gt(finished, 0);
    end_job_workers();
}
END_TEST

/* ---- The ring of ended jobs. */

static _Atomic bool lost, passed_over;

/* The first that tells of an end loses its place, which the supervisor makes
 * void by what another left that died, and goes on when the program has read
 * that. */
static void
lose_place(const char *point)
{
    struct dsm__board *board = dsm__board(control, 0);
    struct dsm__worker_slot *dead_one = dsm__worker_slot(control, 0);
    uint64_t at = 0;

    if (strcmp(point, "job.telling") != 0 || atomic_exchange(&lost, true))
        return;
    for (unsigned id = 0; id < WORKERS; id++)
        if (dsm__worker_slot(control, id)->filling) {
            at = dsm__worker_slot(control, id)->filling;
            dead_one = dsm__worker_slot(control, (id + 1) % WORKERS);
        }
    dead_one->filling = at;
    dsm__ended_mend(control, 0, dead_one);
    while (atomic_load(&board->ended_head) < at)
        sched_yield();
    atomic_store(&passed_over, true);
}

START_TEST(who_loses_its_place_takes_another)
{
    struct question one = question(1, 1);
    dsm_job *job, *told;

    spawn_with(lose_place);
    ck_dsm(dsm_job_submit(&job, &cluster, answer, &one, sizeof one, NULL));
    while (!atomic_load(&passed_over))
        ck_dsm(dsm_cluster_poll(&cluster, 0));
    ck_dsm(dsm_job_next(&told, &cluster, 20000));
    ck_assert_ptr_eq(told, job);
    ck_answer(job, 1);
    dsm_job_release(job);
    end_job_workers();
}
END_TEST

/* ---- Arguments and results that do not fit into a job. */

#define LARGE (2 * DSM__ARG_INLINE)
#define LARGE_JOBS 24

static size_t
large_size(int k, int round)
{
    return LARGE + (size_t)((k * 31 + round * 17) % 40) * 512;
}

/* Turns each byte over. */
static int
turn_over(dsm_worker *self, const void *arg, size_t arg_size)
{
    static _Thread_local unsigned char turned[LARGE + 40 * 512];
    const unsigned char *bytes = arg;

    for (size_t i = 0; i < arg_size; i++)
        turned[i] = (unsigned char)~bytes[i];
    return dsm_worker_return(self, turned, arg_size);
}

static void
ck_turned_over(dsm_job *job, int k, int round)
{
    const unsigned char *bytes;
    const void *result;
    size_t size, wrong = 0;

    ck_dsm(dsm_job_result(job, &result, &size, DSM_FOREVER));
    ck_assert_uint_eq(size, large_size(k, round));
    bytes = result;
    for (size_t i = 0; i < size; i++)
        wrong += bytes[i] != (unsigned char)~(k + round);
    ck_assert_uint_eq(wrong, 0);
}

START_TEST(crates_are_used_again)
{
    static unsigned char bytes[LARGE + 40 * 512];
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *jobs[LARGE_JOBS];

    options.retries = 1000;
    spawn_job_workers(_i);
    for (int round = 1; round <= rounds() / 20; round++) {
        for (int k = 0; k < LARGE_JOBS; k++) {
            memset(bytes, k + round, sizeof bytes);
            ck_dsm(dsm_job_submit(&jobs[k], &cluster, turn_over, bytes,
                                  large_size(k, round), &options));
        }
        for (int k = 0; k < LARGE_JOBS; k++)
            ck_turned_over(jobs[k], k, round);
        /* Not while somebody is yet to be buried who has one of them. */
        ck_dsm(dsm_cluster_drain(&cluster, DSM_FOREVER));
        for (int k = 0; k < LARGE_JOBS; k++)
            dsm_job_release(jobs[k]);
    }
    if (_i)
        ck_assert_uint_gt(starts, 2 * WORKERS);
    end_job_workers();
}
END_TEST

/* ---- Several threads of the program. */

static void *
ask_alone(void *argument)
{
    int k = (int)(intptr_t)argument;

    for (int round = 1; round <= rounds(); round++) {
        struct question one = question(k, round);
        dsm_job *job;

        ck_dsm(dsm_job_submit(&job, &cluster, answer, &one, sizeof one, NULL));
        ck_answer(job, round);
        dsm_job_release(job);
    }
    return NULL;
}

START_TEST(threads_submit_side_by_side)
{
    pthread_t other[2];

    spawn_job_workers(false);
    for (intptr_t t = 0; t < 2; t++)
        ck_assert_int_eq(pthread_create(&other[t], NULL, ask_alone, (void *)t),
                         0);
    ask_alone((void *)(intptr_t)2);
    for (int t = 0; t < 2; t++)
        pthread_join(other[t], NULL);
    end_job_workers();
}
END_TEST

/* ---- Provisional results. */

struct letter {
    int words[14];
};

struct post {
    int n, timeout_ms;
};

static int
send_letters(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct post *post = arg;
    struct letter letter;
    int error = 0;

    (void)arg_size;
    for (int k = 1; !error && k <= post->n; k++) {
        for (int i = 0; i < 14; i++)
            letter.words[i] = k + i;
        error =
            dsm_worker_publish(self, &letter, sizeof letter, post->timeout_ms);
    }
    return error;
}

/* Asserts that it is whole, and newer. */
static void
read_letter(dsm_job *job, int *last)
{
    const struct letter *letter;
    const void *data;
    size_t size;
    int before = *last;

    if (dsm_job_provisional(job, &data, &size) < 0)
        return;
    letter = data;
    ck_assert_uint_eq(size, sizeof *letter);
    *last = letter->words[0];
    ck_assert_int_gt(*last, before);
    for (int i = 0; i < 14; i++)
        ck_assert_int_eq(letter->words[i], *last + i);
}

static void
on_letter(dsm_job *job, void *arg)
{
    read_letter(job, arg);
}

START_TEST(letters_are_whole)
{
    struct post post = {rounds() * 5, _i & 1 ? DSM_FOREVER : 0};
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    bool polls = _i & 2;
    int last = 0;
    dsm_job *job;

    spawn_job_workers(false);
    if (polls)
        options.callback = on_letter;
    options.callback_arg = &last;
    ck_dsm(dsm_job_submit(&job, &cluster, send_letters, &post, sizeof post,
                          &options));
    while (last < post.n)
        if (polls)
            ck_dsm(dsm_cluster_poll(&cluster, DSM_FOREVER));
        else
            read_letter(job, &last);
    ck_dsm(dsm_job_result(job, NULL, NULL, DSM_FOREVER));
    dsm_job_release(job);
    end_job_workers();
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("threaded, jobs");
    TCase *tests = test_case(suite, "jobs");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, each_is_run_once);
    tcase_add_loop_test(tests, the_dead_are_buried, 0, 2);
    tcase_add_loop_test(tests, some_are_cancelled, 0, 2);
    tcase_add_loop_test(tests, crates_are_used_again, 0, 2);
    tcase_add_test(tests, threads_submit_side_by_side);
    tcase_add_test(tests, who_loses_its_place_takes_another);
    tests = test_case(suite, "provisional");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, letters_are_whole, 0, 4);
    return test_main(suite);
}
