/* Waiting: who is counted as a sleeper when others are forgotten meanwhile.
 * Threads of this process sleep. */
#include "meeting.h"

#include "base/clock.h"
#include "base/point.h"
#include "registry/member.h"
#include "sync/wait.h"

#include <pthread.h>

enum { OLD, NEW };

static struct dsm__control *control;
static struct dsm__event event;
static _Atomic bool go_on;     /* it has come what they wait for */
static _Atomic bool forgotten; /* those who slept were */
static pthread_t threads[2];

static bool
goes_on(const void *unused)
{
    (void)unused;
    return go_on;
}

static void *
sleep_long(void *unused)
{
    (void)unused;
    now_waits(OLD);
    while (!forgotten)
        (void)dsm__sleep_until(control, &event, goes_on, NULL,
                               DSM__NO_DEADLINE);
    return NULL;
}

/* This one is counted, and not asleep yet. */
static bool
lingers(const void *unused)
{
    meeting()->result[NEW] = 0;
    return test_poll(goes_on, unused);
}

static void *
linger(void *unused)
{
    (void)unused;
    (void)dsm__sleep_until(control, &event, lingers, NULL, DSM__NO_DEADLINE);
    return NULL;
}

static bool
is_counted(const void *unused)
{
    (void)unused;
    return meeting()->result[NEW] == 0;
}

/* The waker has woken one, and has not taken it off yet. */
static void
forget_the_old(const char *point)
{
    if (strcmp(point, "wait.woken") != 0)
        return;
    dsm__point_hook = NULL;
    forgotten = true;
    dsm__event_reset(&event);
    pthread_join(threads[OLD], NULL);
    ck_assert_int_eq(pthread_create(&threads[NEW], NULL, linger, NULL), 0);
    test_await(is_counted, NULL);
}

START_TEST(a_late_waker_takes_off_nobody_new)
{
    dsm_cluster *cluster = meeting_cluster(1);
    unsigned old = OLD;

    control = dsm__member(cluster)->control;
    dsm__point_hook = forget_the_old;
    ck_assert_int_eq(pthread_create(&threads[OLD], NULL, sleep_long, NULL), 0);
    test_await(is_waiting, &old);
    while (!forgotten) /* its slice may just have ended */
        dsm__signal(&event, 1);
    ck_assert_uint_eq(dsm__sleepers(&event.sleeping), 1);
    go_on = true;
    pthread_join(threads[NEW], NULL);
    ck_assert_uint_eq(dsm__sleepers(&event.sleeping), 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("wait");
    TCase *counts = test_case(suite, "counts");

    tcase_add_test(counts, a_late_waker_takes_off_nobody_new);
    return test_main(suite);
}
