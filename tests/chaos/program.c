/* The random program of a round: a cluster, what its steps need, and steps. */
#include "chaos.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define CELLS 64

/* Says who the processes are as soon as a worker begins to live. */
static int
introduce(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    log_choose(-1);
    board->supervisor = getppid();
    board->worker[dsm_worker_id(self)] = getpid();
    return 0;
}

static int
create_cluster(struct scene *scene)
{
    const struct plan *plan = scene->plan;
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

    options.name = board->name;
    options.setup = introduce;
    options.grace_ms = (int)plan->grace_ms;
    options.controller_works = plan->controller_works;
    options.directory = plan->directory ? board->directory : NULL;
    options.address_space = (size_t)16 << 30;
    /* So that the soak has soon gone through all places for jobs. */
    options.max_jobs = plan->calm ? 256 : 0;
    return note(CALL_CREATE,
                dsm_cluster_create(&scene->cluster, plan->workers, &options),
                MAY(OK));
}

static bool
create_objects(struct scene *scene)
{
    dsm_cluster *cluster = scene->cluster;

    return note(CALL_ARRAY_CREATE,
                dsm_array_create(&scene->cells, cluster, "cells", DSM_INT64,
                                 DSM_SHAPE(CELLS)),
                MAY(OK)) == 0 &&
           note(CALL_ARRAY_CREATE,
                dsm_array_create(&scene->pair, cluster, "pair", DSM_INT64,
                                 DSM_SHAPE(2)),
                MAY(OK)) == 0 &&
           note(CALL_LOCK_CREATE, dsm_lock_create(&scene->lock, cluster, "L"),
                MAY(OK)) == 0 &&
           note(CALL_QUEUE_CREATE,
                dsm_queue_create(&scene->queue, cluster, "Q",
                                 1 + random_below(&scene->random, 16),
                                 sizeof(int64_t)),
                MAY(OK)) == 0 &&
           note(CALL_BARRIER_CREATE,
                dsm_barrier_create(&scene->robust, cluster, "B", scene->workers,
                                   DSM_BARRIER_ROBUST),
                MAY(OK)) == 0 &&
           note(CALL_BARRIER_CREATE,
                dsm_barrier_create(&scene->pthread, cluster, "PB",
                                   scene->workers, DSM_BARRIER_PTHREAD),
                MAY(OK)) == 0;
}

bool
scene_begin(struct scene *scene, const struct plan *plan)
{
    *scene = (struct scene){.plan = plan, .random = plan_random(plan, 1)};
    if (create_cluster(scene) < 0)
        return false;
    scene->workers = dsm_cluster_workers(scene->cluster);
    if (scene->workers != plan->workers)
        wrong("%u workers in place of %u", scene->workers, plan->workers);
    board->created = now();
    board->ready = 1;
    kill(getppid(), SIGUSR1);
    return create_objects(scene);
}

/* The guest's end, or at the latest that of the watchdog. */
static void
await_guest(void)
{
    while (!board->guest_done)
        usleep(200);
}

void
scene_end(struct scene *scene)
{
    if (scene->cluster && scene->plan->guest && scene->plan->patient)
        await_guest();
    board->ended = 1;
    dsm_cluster_destroy(scene->cluster);
    log_line("destroyed");
}

static const struct step *const tables[] = {
    region_steps, array_steps, primitive_steps, job_steps, cluster_steps};

#define TABLES (sizeof tables / sizeof *tables)

/* How often a step is taken, beside the others. */
static unsigned
weight(const struct scene *scene, const struct step *step)
{
    return scene->plan->calm && step->replaces ? 0 : step->weight;
}

void
step_any(struct scene *scene)
{
    unsigned sum = 0, k;

    for (size_t t = 0; t < TABLES; t++)
        for (const struct step *step = tables[t]; step->name; step++)
            sum += weight(scene, step);
    k = random_below(&scene->random, sum);
    for (size_t t = 0; t < TABLES; t++)
        for (const struct step *step = tables[t]; step->name; step++) {
            if (k < weight(scene, step)) {
                log_line("-- %s", step->name);
                step->run(scene);
                return;
            }
            k -= weight(scene, step);
        }
}

static void
run_program(const struct plan *plan)
{
    struct scene scene;

    if (scene_begin(&scene, plan))
        for (unsigned k = 0; k < plan->steps && !board->wrong; k++)
            step_any(&scene);
    scene_end(&scene);
}

/* A controller that lasts must have no more descriptors than before, nor more
 * mappings than after some rounds, when the C library has made its own. */
static void
check_growth(unsigned rounds, unsigned files)
{
    static unsigned maps;
    enum { WARM = 5, SLACK = 4 };

    if (descriptors_of(getpid()) != files)
        wrong("the controller has %u descriptors in place of %u",
              descriptors_of(getpid()), files);
    if (rounds == WARM)
        maps = mappings_of(getpid());
    if (rounds > WARM && !sanitized() && mappings_of(getpid()) > maps + SLACK)
        wrong("after %u rounds the controller has %u mappings in place of %u",
              rounds, mappings_of(getpid()), maps);
    if (children_of(getpid(), &(pid_t){0}, 1) > 0)
        wrong("the controller has a child");
}

void
controller_main(void)
{
    unsigned files = descriptors_of(getpid());

    log_choose(LOG_CONTROLLER);
    for (unsigned rounds = 1;; rounds++) {
        struct plan plan;

        while (sem_wait(&board->go) < 0)
            ;
        plan = board->plan;
        run_program(&plan);
        check_growth(rounds, files);
        board->done = 1;
        kill(getppid(), SIGUSR1);
    }
}
