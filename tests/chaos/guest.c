/* The second program: it attaches at some moment, uses what it finds and makes
 * some of its own, submits jobs, and lets go; or it is killed before. */
#include "chaos.h"
#include "errand.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct guest {
    struct random random;
    dsm_cluster *cluster;
    void *library;
    int serial;
};

static bool
attach(struct guest *guest)
{
    bool blind = random_percent(&guest->random, 20);
    unsigned may = MAY(OK);

    while (!blind && !board->ready && !board->done)
        usleep(200);
    /* There is nothing yet, or half of it. */
    if (blind || board->done)
        may |= MAY(NOENT) | MAY(ESTALE);
    return note(CALL_ATTACH, dsm_cluster_attach(&guest->cluster, board->name),
                may) == 0;
}

static void
use_array(struct guest *guest)
{
    size_t n = 1 + random_below(&guest->random, 20000);
    bool keep = random_percent(&guest->random, 30) && !board->plan.calm;
    dsm_array *array;
    char name[32];
    int result;

    snprintf(name, sizeof name, "g%ld-%d", (long)getpid(), guest->serial++);
    if (note(CALL_ARRAY_CREATE,
             dsm_array_create(&array, guest->cluster, name, DSM_INT64,
                              DSM_SHAPE(n)),
             MAY(OK)) < 0)
        return;
    ((int64_t *)dsm_array_data(array))[n - 1] = 1;
    if (keep)
        return;
    /* Who goes on for long gets its turn between two regions. */
    do
        result = note(CALL_ARRAY_DESTROY, dsm_array_destroy(array),
                      MAY(OK) | MAY(BUSY));
    while (result == -EBUSY && board->plan.calm && usleep(100) == 0);
}

static void
open_array(struct guest *guest)
{
    dsm_array *array;

    note(CALL_ARRAY_OPEN,
         dsm_array_open(&array, guest->cluster, "cells", DSM_INT64),
         MAY(OK) | MAY(NOENT));
}

/* The lock under which workers count. */
static void
use_lock(struct guest *guest)
{
    dsm_array *array;
    dsm_lock *lock;
    int64_t *pair;

    if (dsm_array_open(&array, guest->cluster, "pair", DSM_INT64) < 0 ||
        dsm_lock_open(&lock, guest->cluster, "L") < 0)
        return;
    pair = dsm_array_data(array);
    for (unsigned k = random_below(&guest->random, 50); k > 0; k--) {
        int got =
            note(CALL_LOCK_ACQUIRE, dsm_lock_acquire(lock, 5000), MAY(OK));

        if (got < 0)
            return;
        if (got == 1)
            pair[1] = pair[0];
        if (pair[0] != pair[1])
            wrong("under the lock the guest sees %ld and %ld", (long)pair[0],
                  (long)pair[1]);
        pair[0]++;
        pair[1]++;
        note(CALL_LOCK_RELEASE, dsm_lock_release(lock), MAY(OK));
    }
}

static void
use_queue(struct guest *guest)
{
    dsm_queue *queue;
    int64_t message = 7;

    if (dsm_queue_open(&queue, guest->cluster, "Q") < 0)
        return;
    for (unsigned k = random_below(&guest->random, 30); k > 0; k--)
        if (note(CALL_QUEUE_PUSH, dsm_queue_push(queue, &message, 1),
                 MAY(OK) | MAY(TIMEDOUT)) == 0 &&
            note(CALL_QUEUE_POP, dsm_queue_pop(queue, &message, 1),
                 MAY(OK) | MAY(TIMEDOUT)) == 0 &&
            message != 7)
            wrong("the guest received %ld", (long)message);
}

static void
refresh(struct guest *guest)
{
    /* What runs just now is lost. */
    atomic_fetch_or(&board->harm, 1u << WORKER);
    board->deaths += board->plan.workers;
    note(CALL_REFRESH, dsm_cluster_refresh(guest->cluster),
         MAY(OK) | MAY(BUSY));
}

static dsm_fn
find(struct guest *guest, const char *name)
{
    if (!guest->library)
        guest->library = dlopen(beside("errand.so"), RTLD_NOW | RTLD_LOCAL);
    if (!guest->library)
        wrong("%s", dlerror());
    return guest->library ? (dsm_fn)dlsym(guest->library, name) : NULL;
}

static void
use_jobs(struct guest *guest)
{
    enum { MOST = 8 };
    unsigned large = board->plan.calm ? 60 : 20;
    unsigned n = 1 + random_below(&guest->random, MOST), made = 0;
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_fn run = find(guest, "errand_run");
    struct errand errand[MOST];
    dsm_job *job[MOST];

    options.retries = random_below(&guest->random, 3);
    while (run && made < n) {
        errand[made] = (struct errand){
            .give = dsm_worker_return,
            .publish = dsm_worker_publish,
            .cancelled = dsm_worker_cancelled,
            .number = random_next(&guest->random),
            .words = random_percent(&guest->random, large) ? 25000 : 2,
        };
        if (note(CALL_SUBMIT,
                 dsm_job_submit(&job[made], guest->cluster, run, &errand[made],
                                sizeof *errand, &options),
                 MAY(OK)) < 0)
            break;
        made++;
    }
    for (unsigned k = 0; k < made; k++) {
        errand_check(job[k], &errand[k], MAY(OK));
        dsm_job_release(job[k]);
    }
}

void
guest_main(void)
{
    static void (*const deeds[])(struct guest *) = {
        use_array, open_array, use_lock, use_queue, use_jobs,
        use_jobs,  use_array,  use_lock, refresh,
    };
    struct guest guest = {.random = plan_random(&board->plan, 2)};
    unsigned n = sizeof deeds / sizeof *deeds - board->plan.calm;

    log_choose(LOG_GUEST);
    usleep((unsigned)(board->plan.guest_delay * 1e6));
    if (attach(&guest))
        for (unsigned k = 0; k < board->plan.guest_steps && !board->wrong; k++)
            deeds[random_below(&guest.random, n)](&guest);
    dsm_cluster_destroy(guest.cluster);
    log_line("detached");
    _exit(0);
}
