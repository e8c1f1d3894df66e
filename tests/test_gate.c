/* Gates, the barriers inside of barriers: what their one word goes through when
 * it wraps, breaks, is mended, and when more arrive than a round has room for.
 * Threads of this process stand for the parties. */
#include "meeting.h"

#include "base/point.h"
#include "registry/member.h"
#include "sync/gate.h"

#include <pthread.h>

#define PARTIES_MAX 8
#define GENERATION (UINT64_C(1) << 33)
#define MEND (UINT64_C(1) << 16)

static dsm_cluster *cluster;
static struct dsm__control *control;
static struct dsm__gate gate;
static pthread_t threads[MEETING_PLACES];

/* A gate lives off its cluster's being alive. */
static void
begin(unsigned parties)
{
    cluster = meeting_cluster(1);
    control = dsm__member(cluster)->control;
    dsm__gate_init(&gate, parties);
}

static void
end(void)
{
    dsm_cluster_destroy(cluster);
}

static int
arrive(void)
{
    uint64_t waited = 0;

    return dsm__gate_wait(control, &gate, NULL, &waited, NULL);
}

static void *
party(void *place)
{
    unsigned k = (unsigned)(uintptr_t)place;

    now_waits(k);
    meeting()->result[k] = arrive();
    return NULL;
}

/* One that has arrived at the gate, and waits. */
static void
send_party(unsigned place)
{
    ck_assert_int_eq(
        pthread_create(&threads[place], NULL, party, (void *)(uintptr_t)place),
        0);
}

static void
send_waiter(unsigned place)
{
    send_party(place);
    test_await(is_waiting, &place);
}

static void
ck_party(unsigned place, int result)
{
    ck_result(place, result);
    pthread_join(threads[place], NULL);
}

/* Asserts that a gate for two is whole, and nobody counted. */
static void
ck_whole(void)
{
    ck_assert(dsm__gate_at_rest(&gate));
    ck_assert(!dsm__gate_waited_at(&gate));
    meeting()->result[63] = NO_RESULT;
    meeting()->waiter[63] = 0;
    send_waiter(63);
    ck_assert(dsm__gate_waited_at(&gate));
    ck_assert_int_eq(arrive(), 1);
    ck_party(63, 0);
    ck_assert(dsm__gate_at_rest(&gate));
}

/* ---- Rounds. */

#define ROUNDS 2000

static int sums[PARTIES_MAX], last[PARTIES_MAX], wrong[PARTIES_MAX];

/* What the others wrote before a round is there after it. */
static void *
go_round(void *place)
{
    unsigned k = (unsigned)(uintptr_t)place;

    for (int n = 1; n <= ROUNDS; n++) {
        int result;

        sums[k] = n;
        result = arrive();
        wrong[k] += result != 0 && result != 1;
        last[k] += result == 1;
        for (unsigned other = 0; other < gate.parties; other++)
            wrong[k] += sums[other] != n;
        if (arrive() < 0)
            wrong[k]++;
    }
    return NULL;
}

static void
ck_rounds(unsigned parties)
{
    int lasts = 0;

    memset(last, 0, sizeof last);
    for (unsigned k = 0; k < parties; k++)
        ck_assert_int_eq(
            pthread_create(&threads[k], NULL, go_round, (void *)(uintptr_t)k),
            0);
    for (unsigned k = 0; k < parties; k++) {
        pthread_join(threads[k], NULL);
        ck_assert_int_eq(wrong[k], 0);
        lasts += last[k];
    }
    ck_assert_int_eq(lasts, ROUNDS);
    ck_assert(dsm__gate_at_rest(&gate));
}

START_TEST(rounds_separate_what_is_written)
{
    begin((unsigned)_i);
    ck_rounds((unsigned)_i);
    end();
}
END_TEST

START_TEST(generations_wrap_around)
{
    uint64_t before = 0 - ROUNDS * GENERATION;

    begin((unsigned)_i);
    gate.word = before;
    ck_rounds((unsigned)_i);
    /* Two rounds each. */
    ck_assert_uint_eq(gate.word, ROUNDS * GENERATION);
    end();
}
END_TEST

START_TEST(a_sleeper_wakes_across_the_wrap)
{
    begin(2);
    gate.word = 0 - GENERATION;
    ck_whole();
    ck_assert_uint_eq(gate.word, 0);
    end();
}
END_TEST

/* As many as are to meet in a round may have met, and not have been let through
 * yet, when the first of the next round arrives. */
START_TEST(an_early_arrival_waits_for_its_own_round)
{
    unsigned ahead = (unsigned)_i; /* rounds */

    begin(2);
    atomic_fetch_add(&gate.word, 2 * ahead);
    send_waiter(0);
    for (unsigned k = 0; k < ahead; k++) {
        ck_assert_int_eq(meeting()->result[0], NO_RESULT);
        atomic_fetch_add(&gate.word, GENERATION - 2);
    }
    ck_assert(await_waiting(0));
    ck_assert_int_eq(meeting()->result[0], NO_RESULT);
    ck_assert_int_eq(arrive(), 1);
    ck_party(0, 0);
    ck_assert_uint_eq(gate.word, (ahead + 1) * GENERATION);
    ck_whole();
    end();
}
END_TEST

/* ---- Breaking and mending. */

START_TEST(all_who_wait_or_come_learn_that_it_broke)
{
    begin(4);
    for (unsigned k = 0; k < 3; k++)
        send_waiter(k);
    ck_assert(dsm__gate_waited_at(&gate));
    dsm__gate_break(&gate);
    for (unsigned k = 0; k < 3; k++)
        ck_party(k, DSM_EBROKEN);
    for (unsigned k = 0; k < 9; k++)
        ck_assert_int_eq(arrive(), DSM_EBROKEN);
    ck_assert(!dsm__gate_at_rest(&gate));
    ck_assert(!dsm__gate_waited_at(&gate));
    dsm__gate_mend(&gate, false);
    ck_rounds(4);
    end();
}
END_TEST

/* However late a waiter looks, mending swallows no break. */
START_TEST(whoever_slept_through_the_mending_learns_it_too)
{
    begin(2);
    for (int k = 0; k < 100; k++) {
        meeting()->result[0] = NO_RESULT;
        meeting()->waiter[0] = 0;
        send_waiter(0);
        if (k % 2)
            dsm__gate_break(&gate);
        dsm__gate_mend(&gate, k % 2 == 0);
        ck_party(0, DSM_EBROKEN);
        ck_assert(dsm__gate_at_rest(&gate));
    }
    ck_whole();
    end();
}
END_TEST

START_TEST(a_whole_gate_needs_no_mending)
{
    begin(2);
    send_waiter(0);
    dsm__gate_mend(&gate, false);
    ck_assert(dsm__gate_waited_at(&gate));
    ck_assert_int_eq(arrive(), 1);
    ck_party(0, 0);
    end();
}
END_TEST

START_TEST(mends_wrap_around)
{
    begin(2);
    gate.word = 0 - GENERATION + 0xffff * MEND;
    send_waiter(0);
    dsm__gate_break(&gate);
    dsm__gate_mend(&gate, false);
    ck_party(0, DSM_EBROKEN);
    ck_assert_uint_eq(gate.word, 0);
    ck_whole();
    end();
}
END_TEST

#define HAMMERING 100000

static void *
hammer(void *argument)
{
    int *others = argument;

    for (int k = 0; k < HAMMERING; k++)
        *others += arrive() != DSM_EBROKEN;
    return NULL;
}

START_TEST(hammering_at_a_broken_gate_harms_nothing)
{
    pthread_t second;
    int others[2] = {0, 0};
    uint64_t word;

    begin(2);
    send_waiter(0);
    dsm__gate_break(&gate);
    word = gate.word;
    ck_assert_int_eq(pthread_create(&second, NULL, hammer, &others[1]), 0);
    hammer(&others[0]);
    pthread_join(second, NULL);
    ck_assert_int_eq(others[0] + others[1], 0);
    ck_party(0, DSM_EBROKEN);
    /* Neither is it mended by that, nor another generation. */
    ck_assert_uint_eq(word >> 16, gate.word >> 16);
    dsm__gate_mend(&gate, false);
    ck_whole();
    end();
}
END_TEST

/* ---- The last one of a round has come, and something happens before it lets
 * the others through. */

static void (*meanwhile)(void);
static int happened;

static void
at_point(const char *point)
{
    if (strcmp(point, "gate.complete") != 0 || !meanwhile)
        return;
    happened++;
    meanwhile();
    meanwhile = NULL;
}

static void
break_gate(void)
{
    dsm__gate_break(&gate);
}

static void
break_and_mend(void)
{
    dsm__gate_break(&gate);
    dsm__gate_mend(&gate, false);
}

static void
mend_whole(void)
{
    dsm__gate_mend(&gate, true);
}

static void
hammer_broken(void)
{
    dsm__gate_break(&gate);
    for (int k = 0; k < HAMMERING; k++)
        ck_assert_int_eq(arrive(), DSM_EBROKEN);
}

START_TEST(all_pass_or_none)
{
    void (*const events[])(void) = {break_gate, break_and_mend, mend_whole,
                                    hammer_broken};

    dsm__point_hook = at_point;
    begin(3);
    send_waiter(0);
    send_waiter(1);
    meanwhile = events[_i];
    ck_assert_int_eq(arrive(), DSM_EBROKEN);
    ck_assert_int_eq(happened, 1);
    ck_party(0, DSM_EBROKEN);
    ck_party(1, DSM_EBROKEN);
    dsm__gate_mend(&gate, false);
    ck_rounds(3);
    end();
}
END_TEST

static void
one_more_arrives(void)
{
    send_waiter(2);
}

START_TEST(the_next_round_may_begin_before_the_last_has_ended)
{
    dsm__point_hook = at_point;
    begin(2);
    send_waiter(0);
    meanwhile = one_more_arrives;
    ck_assert_int_eq(arrive(), 1);
    ck_assert_int_eq(happened, 1);
    ck_party(0, 0);
    ck_assert(await_waiting(2));
    ck_assert_int_eq(arrive(), 1);
    ck_party(2, 0);
    ck_assert(dsm__gate_at_rest(&gate));
    end();
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("gate");
    TCase *rounds = test_case(suite, "rounds");
    TCase *breaks = test_case(suite, "breaks");

    tcase_add_loop_test(rounds, rounds_separate_what_is_written, 1,
                        PARTIES_MAX + 1);
    tcase_add_loop_test(rounds, generations_wrap_around, 1, 5);
    tcase_add_test(rounds, a_sleeper_wakes_across_the_wrap);
    tcase_add_loop_test(rounds, an_early_arrival_waits_for_its_own_round, 1, 4);
    tcase_add_test(breaks, all_who_wait_or_come_learn_that_it_broke);
    tcase_add_test(breaks, whoever_slept_through_the_mending_learns_it_too);
    tcase_add_test(breaks, a_whole_gate_needs_no_mending);
    tcase_add_test(breaks, mends_wrap_around);
    tcase_add_test(breaks, hammering_at_a_broken_gate_harms_nothing);
    tcase_add_loop_test(breaks, all_pass_or_none, 0, 4);
    tcase_add_test(breaks, the_next_round_may_begin_before_the_last_has_ended);
    return test_main(suite);
}
