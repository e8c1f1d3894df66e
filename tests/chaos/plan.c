/* Plans of rounds: what the program is, and which signals it meets. */
#include "chaos.h"

#include <signal.h>
#include <string.h>

const char *const victim_name[VICTIMS] = {"worker", "supervisor", "controller",
                                          "guest"};

/* splitmix64 (Steele, Lea and Flood 2014). */
uint64_t
random_next(struct random *random)
{
    uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

unsigned
random_below(struct random *random, unsigned n)
{
    return (unsigned)(random_next(random) % n);
}

bool
random_percent(struct random *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

uint64_t
mixed(uint64_t a, uint64_t b)
{
    struct random random = {a};

    random.state = random_next(&random) ^ b;
    return random_next(&random);
}

struct random
plan_random(const struct plan *plan, unsigned actor)
{
    return (struct random){
        mixed(mixed(plan->seed, plan->round), UINT64_C(1) << 32 | actor)};
}

static void
add_blow(struct plan *plan, struct random *random, enum victim victim)
{
    struct blow *blow = &plan->blow[plan->blows++];
    unsigned kind = random_below(random, 100);

    blow->created = random_percent(random, 70);
    blow->at = random_below(random, 20000) * 1e-6;
    blow->victim = victim;
    blow->worker = random_below(random, WORKERS_MOST);
    blow->signal = kind < 60 ? SIGKILL : kind < 85 ? SIGSTOP : SIGTERM;
    blow->pause = random_below(random, 30000) * 1e-6;
}

static enum victim
some_victim(struct random *random, bool guest)
{
    unsigned k = random_below(random, guest ? 100 : 85);

    if (k < 45)
        return WORKER;
    if (k < 65)
        return SUPERVISOR;
    return k < 85 ? CONTROLLER : GUEST;
}

static void
plan_blows(struct plan *plan, struct random *random)
{
    unsigned kind = random_below(random, 100);
    unsigned n = kind < 15 ? 0 : kind < 70 ? 1 : kind < 85 ? 2 : 4;

    while (plan->blows < n)
        add_blow(plan, random, some_victim(random, plan->guest));
    if (kind < 95)
        return;
    /* Controller and supervisor at once: somebody else has to clean up. */
    plan->blows = 0;
    add_blow(plan, random, CONTROLLER);
    add_blow(plan, random, SUPERVISOR);
    plan->blow[0].signal = plan->blow[1].signal = SIGKILL;
    plan->blow[1].created = plan->blow[0].created;
    plan->blow[1].at = plan->blow[0].at;
}

void
plan_make(struct plan *plan, uint64_t seed, uint64_t round)
{
    static const unsigned sizes[] = {1, 2, 2, 2, 3, 3, 4, 6};
    struct random random = {mixed(seed, round)};

    memset(plan, 0, sizeof *plan);
    plan->seed = seed;
    plan->round = round;
    plan->workers = sizes[random_below(&random, 8)];
    plan->steps = 2 + random_below(&random, 10);
    plan->grace_ms = 5 + random_below(&random, 40);
    /* Jobs need another worker. */
    plan->controller_works = random_percent(&random, 15) && plan->workers > 1;
    plan->directory = random_percent(&random, 15);
    plan->guest = random_percent(&random, 40);
    plan->patient = random_percent(&random, 50);
    plan->stay = random_percent(&random, 80);
    plan->guest_delay = random_below(&random, 8000) * 1e-6;
    plan->guest_steps = 1 + random_below(&random, 8);
    plan_blows(plan, &random);
}

void
plan_print(const struct plan *plan)
{
    printf("  %u workers, %u steps, a grace of %u ms%s%s%s%s\n", plan->workers,
           plan->steps, plan->grace_ms,
           plan->controller_works ? ", the controller works" : "",
           plan->directory ? ", arrays in a directory" : "",
           plan->guest ? ", a guest" : "",
           plan->guest && plan->patient ? " that is waited for" : "");
    for (unsigned k = 0; k < plan->blows; k++) {
        const struct blow *blow = &plan->blow[k];

        printf("  at %.2f ms%s: SIG%s to %s", blow->at * 1e3,
               blow->created ? " after it was created" : "",
               sigabbrev_np(blow->signal), victim_name[blow->victim]);
        if (blow->victim == WORKER)
            printf(" %u", blow->worker % plan->workers);
        if (blow->signal == SIGSTOP)
            printf(", SIGCONT %.2f ms later", blow->pause * 1e3);
        printf("\n");
    }
}
