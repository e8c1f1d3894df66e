/* Steps that are regions: barriers, locks, queues, and how regions end. */
#include "chaos.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a worker's function is given. */
struct deed {
    dsm_array *cells, *pair;
    dsm_lock *lock;
    dsm_queue *queue;
    dsm_barrier *barrier;
    int rounds;
    unsigned who; /* is to fail */
    int how;
    uint64_t seed;
};

static struct deed
deed_of(const struct scene *scene)
{
    return (struct deed){.cells = scene->cells,
                         .pair = scene->pair,
                         .lock = scene->lock,
                         .queue = scene->queue};
}

static _Atomic int64_t *
items(const dsm_array *array)
{
    return dsm_array_data(array);
}

static void
clear(const dsm_array *array)
{
    memset(dsm_array_data(array), 0,
           dsm_array_count(array) * dsm_array_item_size(array));
}

/* What a worker's function returns when a call in it failed.  A death of
 * another one makes the region fail by itself; that of the supervisor may not.
 */
static int
given_up(int result)
{
    return result == DSM_ESTALE;
}

/* Runs the region and counts whether it lost a worker.  `may`: beside 0. */
static int
run(struct scene *scene, dsm_fn fn, const struct deed *deed, unsigned may)
{
    int result = note(
        CALL_RUN, dsm_cluster_run(scene->cluster, fn, deed, sizeof *deed), may);

    if (result == DSM_EWORKER)
        board->lost++;
    return result;
}

/* ---- Barriers: all see what all wrote before. */

static int
meet(dsm_worker *self, const struct deed *deed)
{
    return deed->barrier
               ? note(CALL_BARRIER_WAIT, dsm_barrier_wait(deed->barrier),
                      MAY(OK) | MAY(NOTE))
               : note(CALL_WORKER_BARRIER, dsm_worker_barrier(self), MAY(OK));
}

static int
march(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct deed *deed = arg;
    _Atomic int64_t *cell = items(deed->cells);
    unsigned workers = dsm_worker_count(self);

    (void)arg_size;
    for (int64_t k = 1; k <= deed->rounds; k++) {
        int result;

        cell[dsm_worker_id(self)] = k;
        result = meet(self, deed);
        if (result < 0)
            return given_up(result);
        if (result == 1)
            cell[workers]++;
        /* When the supervisor is dead the controller may be further. */
        for (unsigned w = 0; w < workers && !(board->harm & 1u << SUPERVISOR);
             w++)
            if (cell[w] != k && cell[w] != k + 1)
                wrong("worker %u is at %ld behind barrier %ld", w,
                      (long)cell[w], (long)k);
    }
    return 0;
}

static void
marching(struct scene *scene, dsm_barrier *barrier)
{
    struct deed deed = deed_of(scene);
    _Atomic int64_t *cell = items(deed.cells);

    deed.rounds = 1 + (int)random_below(&scene->random, 40);
    deed.barrier = barrier;
    clear(deed.cells);
    if (run(scene, march, &deed, MAY(OK)) != 0)
        return;
    for (unsigned w = 0; w < scene->workers; w++)
        if (cell[w] != deed.rounds)
            wrong("worker %u met the others %ld times, not %d", w,
                  (long)cell[w], deed.rounds);
    if (barrier && cell[scene->workers] != deed.rounds)
        wrong("%ld barriers of %d gave 1", (long)cell[scene->workers],
              deed.rounds);
}

static void
worker_barrier(struct scene *scene)
{
    marching(scene, NULL);
}

static void
robust_barrier(struct scene *scene)
{
    marching(scene, scene->robust);
}

static void
pthread_barrier(struct scene *scene)
{
    /* A controller that works may not wait at one. */
    marching(scene, scene->plan->controller_works ? NULL : scene->pthread);
}

/* ---- Locks: under one, both of a pair are the same. */

/* With the lock held, which was got with that result. */
static void
check_pair(dsm_array *array, int got)
{
    int64_t *pair = dsm_array_data(array);

    if (got == 1)
        pair[1] = pair[0];
    if (pair[0] != pair[1])
        wrong("under the lock %ld is not %ld", (long)pair[0], (long)pair[1]);
}

/* So that whoever dies in such a region mostly dies with the lock, and between
 * the two. */
static void
linger(void)
{
    for (volatile unsigned k = 0; k < 3000; k++)
        ;
}

static int
count_under_lock(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct deed *deed = arg;
    int64_t *pair = dsm_array_data(deed->pair);

    (void)self, (void)arg_size;
    for (int k = 0; k < deed->rounds; k++) {
        int got = note(CALL_LOCK_ACQUIRE,
                       dsm_lock_acquire(deed->lock, DSM_FOREVER), MAY(OK));

        if (got < 0)
            return given_up(got);
        check_pair(deed->pair, got);
        pair[0]++;
        linger();
        pair[1]++;
        note(CALL_LOCK_RELEASE, dsm_lock_release(deed->lock), MAY(OK));
    }
    return 0;
}

static void
locking(struct scene *scene)
{
    struct deed deed = deed_of(scene);
    int64_t *pair = dsm_array_data(scene->pair), before, expected;
    int got = note(CALL_LOCK_ACQUIRE, dsm_lock_acquire(scene->lock, 5000),
                   MAY(OK)),
        result;

    if (got < 0)
        return;
    check_pair(scene->pair, got);
    before = pair[0];
    note(CALL_LOCK_RELEASE, dsm_lock_release(scene->lock), MAY(OK));
    deed.rounds = 1 + (int)random_below(&scene->random, 100);
    result = run(scene, count_under_lock, &deed, MAY(OK));
    expected = before + (int64_t)scene->workers * deed.rounds;
    /* A guest counts as well. */
    if (result == 0 && !scene->plan->guest && pair[0] != expected)
        wrong("counted up to %ld, not %ld", (long)pair[0], (long)expected);
}

/* ---- Objects that come and go. */

static void
fresh_lock(struct scene *scene)
{
    struct deed deed = deed_of(scene);
    int64_t *pair;
    char name[16];

    snprintf(name, sizeof name, "l%d", scene->serial++);
    if (note(CALL_LOCK_CREATE,
             dsm_lock_create(&deed.lock, scene->cluster, name), MAY(OK)) < 0)
        return;
    deed.pair = scene->cells;
    pair = dsm_array_data(deed.pair);
    pair[0] = pair[1] = 0;
    deed.rounds = 1 + (int)random_below(&scene->random, 20);
    if (run(scene, count_under_lock, &deed, MAY(OK)) == 0 &&
        pair[0] != (int64_t)scene->workers * deed.rounds)
        wrong("under a new lock counted up to %ld", (long)pair[0]);
    note(CALL_LOCK_DESTROY, dsm_lock_destroy(deed.lock), MAY(OK));
}

static void
fresh_barrier(struct scene *scene)
{
    dsm_barrier *barrier;
    char name[16];

    snprintf(name, sizeof name, "b%d", scene->serial++);
    if (note(CALL_BARRIER_CREATE,
             dsm_barrier_create(&barrier, scene->cluster, name, scene->workers,
                                DSM_BARRIER_ROBUST),
             MAY(OK)) < 0)
        return;
    marching(scene, barrier);
    note(CALL_BARRIER_DESTROY, dsm_barrier_destroy(barrier), MAY(OK));
}

/* ---- Queues: each message arrives once. */

#define MESSAGE(worker, k) ((int64_t)(worker) << 32 | (int64_t)(k))

static bool
sound(int64_t message, unsigned workers)
{
    return message >= 0 && message >> 32 < workers &&
           (message & 0xffffffff) < 1000;
}

static int
pass_on(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct deed *deed = arg;
    _Atomic int64_t *cell = items(deed->cells);

    (void)arg_size;
    for (int k = 0; k < deed->rounds; k++) {
        int64_t message = MESSAGE(dsm_worker_id(self), k);
        int result =
            note(CALL_QUEUE_PUSH,
                 dsm_queue_push(deed->queue, &message, DSM_FOREVER), MAY(OK));

        if (result < 0)
            return given_up(result);
        cell[0] += message;
        result =
            note(CALL_QUEUE_POP,
                 dsm_queue_pop(deed->queue, &message, DSM_FOREVER), MAY(OK));
        if (result < 0)
            return given_up(result);
        if (!sound(message, dsm_worker_count(self)))
            wrong("a message that nobody sent: %lx", (long)message);
        cell[1] += message;
        cell[2]++;
    }
    return 0;
}

static void
queueing(struct scene *scene)
{
    struct deed deed = deed_of(scene);
    _Atomic int64_t *cell = items(deed.cells);
    int64_t message;
    char name[16];

    snprintf(name, sizeof name, "q%d", scene->serial++);
    if (note(CALL_QUEUE_CREATE,
             dsm_queue_create(&deed.queue, scene->cluster, name,
                              1 + random_below(&scene->random, 8),
                              sizeof message),
             MAY(OK)) < 0)
        return;
    deed.rounds = 1 + (int)random_below(&scene->random, 60);
    clear(deed.cells);
    if (run(scene, pass_on, &deed, MAY(OK)) == 0 &&
        (cell[0] != cell[1] ||
         cell[2] != (int64_t)scene->workers * deed.rounds))
        wrong("sent %ld, received %ld in %ld messages", (long)cell[0],
              (long)cell[1], (long)cell[2]);
    note(CALL_QUEUE_CLOSE, dsm_queue_close(deed.queue), MAY(OK));
    /* Of workers that died there may be some left. */
    while (note(CALL_QUEUE_POP, dsm_queue_pop(deed.queue, &message, 0),
                MAY(OK) | MAY(PIPE)) == 0)
        if (!sound(message, scene->workers))
            wrong("a message that nobody sent: %lx", (long)message);
    note(CALL_QUEUE_DESTROY, dsm_queue_destroy(deed.queue), MAY(OK));
}

/* ---- How regions end. */

static int
wait_for_word(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct deed *deed = arg;

    (void)arg_size;
    while (!items(deed->cells)[0] && !dsm_worker_cancelled(self))
        usleep(100);
    return 0;
}

static void
started(struct scene *scene)
{
    static const int graces[] = {0, DSM_GRACE, DSM_FOREVER, 10};
    struct deed deed = deed_of(scene);
    unsigned choice = random_below(&scene->random, 6), may = MAY(OK);
    int result;

    if (scene->plan->controller_works)
        return;
    clear(deed.cells);
    result = note(
        CALL_START,
        dsm_cluster_start(scene->cluster, wait_for_word, &deed, sizeof deed),
        MAY(OK));
    if (result < 0)
        return;
    result = note(
        CALL_WAIT,
        dsm_cluster_wait(scene->cluster, (int)random_below(&scene->random, 4)),
        MAY(TIMEDOUT));
    if (result == -ETIMEDOUT && choice < 4) {
        note(CALL_CANCEL, dsm_cluster_cancel(scene->cluster, graces[choice]),
             MAY(OK));
        /* Whoever is late, perhaps because it was stopped, is killed, or does
         * not begin it. */
        may |= MAY(ECANCELED);
    }
    items(deed.cells)[0] = 1;
    if (result == -ETIMEDOUT)
        result =
            note(CALL_WAIT, dsm_cluster_wait(scene->cluster, DSM_FOREVER), may);
    if (result == DSM_EWORKER)
        board->lost++;
}

enum { FAIL, GIVE_UP, KILL, EXIT, KEEP_LOCK, MANNERS };

static int
end_badly(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct deed *deed = arg;
    int got;

    (void)arg_size;
    if (dsm_worker_id(self) != deed->who) {
        note(CALL_WORKER_BARRIER, dsm_worker_barrier(self),
             MAY(OK) | MAY(EBROKEN));
        return 0;
    }
    switch (deed->how) {
    case FAIL:
        return 3;
    case GIVE_UP:
        dsm_worker_fail(self, -E2BIG, "as told");
    case KILL:
        kill(getpid(), SIGKILL);
        break;
    case EXIT:
        exit(0);
    case KEEP_LOCK:
        got = note(CALL_LOCK_ACQUIRE, dsm_lock_acquire(deed->lock, DSM_FOREVER),
                   MAY(OK));
        if (got < 0)
            break;
        check_pair(deed->pair, got);
        ((int64_t *)dsm_array_data(deed->pair))[0]++;
        break;
    }
    return 0;
}

static void
ending(struct scene *scene)
{
    static const unsigned may[MANNERS] = {
        MAY(EFAILED), MAY(TOOBIG), MAY(EWORKER), MAY(EWORKER), MAY(EFAILED)};
    struct deed deed = deed_of(scene);

    deed.who = random_below(&scene->random, scene->workers);
    if (scene->plan->controller_works)
        deed.who = scene->workers - 1;
    if (deed.who == 0 && scene->plan->controller_works)
        return; /* it is the controller */
    deed.how = (int)random_below(&scene->random, MANNERS);
    /* Who dies and was holding something: the next is told. */
    board->deaths++;
    atomic_fetch_or(&board->harm, deed.how == KEEP_LOCK ? HOLDER : 0);
    run(scene, end_badly, &deed, may[deed.how]);
    if (deed.how == KEEP_LOCK)
        locking(scene);
}

/* ---- Collective calls in a region. */

static int
reduce_together(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct deed *deed = arg;
    uint32_t workers = dsm_worker_count(self);

    (void)arg_size;
    for (int k = 0; k < deed->rounds; k++) {
        uint32_t mine[2] = {1, dsm_worker_id(self)};

        if (note(CALL_WORKER_REDUCE,
                 dsm_worker_reduce(self, mine, 2, DSM_UINT32, &DSM_SUM),
                 MAY(OK)) < 0)
            return 0;
        if (mine[0] != workers || mine[1] != workers * (workers - 1) / 2)
            wrong("a worker's reduction gave %u and %u", mine[0], mine[1]);
    }
    return 0;
}

static void
together(struct scene *scene)
{
    struct deed deed = deed_of(scene);

    deed.rounds = 1 + (int)random_below(&scene->random, 20);
    run(scene, reduce_together, &deed, MAY(OK));
}

static void
refresh(struct scene *scene)
{
    unsigned may = MAY(OK);

    if (scene->plan->guest) {
        may |= MAY(BUSY); /* it refreshes, too */
        /* Its jobs that run just now are lost. */
        atomic_fetch_or(&board->harm, 1u << WORKER);
        board->deaths += scene->workers;
    }
    note(CALL_REFRESH, dsm_cluster_refresh(scene->cluster), may);
}

static void
look(struct scene *scene)
{
    for (unsigned w = 0; w < scene->workers; w++) {
        dsm_worker_info info = DSM_WORKER_INFO_INIT;

        note(CALL_WORKER_INFO, dsm_cluster_worker(scene->cluster, w, &info),
             MAY(OK));
    }
}

const struct step region_steps[] = {
    {"worker barriers", worker_barrier, 4, false},
    {"robust barriers", robust_barrier, 4, false},
    {"pthread barriers", pthread_barrier, 3, false},
    {"a lock", locking, 5, false},
    {"a new lock", fresh_lock, 2, false},
    {"a new barrier", fresh_barrier, 2, false},
    {"a queue", queueing, 5, false},
    {"a started region", started, 4, true},
    {"a bad end", ending, 3, true},
    {"reductions of workers", together, 3, false},
    {"refresh", refresh, 2, true},
    {"worker information", look, 1, false},
    {NULL, NULL, 0, false},
};
