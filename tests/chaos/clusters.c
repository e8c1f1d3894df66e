/* Steps with clusters: a second one beside the round's, and their list. */
#include "chaos.h"

#include <string.h>
#include <unistd.h>

/* Its workers are no victims; whoever else dies, nothing of it is left. */
void
twin_name(char name[DSM_NAME_MAX + 1])
{
    snprintf(name, DSM_NAME_MAX + 1, "twin-%.40s", board->name);
}

static int
count_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *ones = *(dsm_array *const *)arg;

    (void)arg_size;
    ((int64_t *)dsm_array_data(ones))[dsm_worker_id(self)] = 1;
    return 0;
}

static void
use_twin(dsm_cluster *twin, unsigned workers)
{
    dsm_array *ones;
    int64_t *item;

    if (note(CALL_ARRAY_CREATE,
             dsm_array_create(&ones, twin, "ones", DSM_INT64,
                              DSM_SHAPE(workers)),
             MAY(OK)) < 0 ||
        note(CALL_RUN, dsm_cluster_run(twin, count_one, &ones, sizeof ones),
             MAY(OK)) < 0)
        return;
    item = dsm_array_data(ones);
    for (unsigned w = 0; w < workers; w++)
        if (item[w] != 1)
            wrong("worker %u of the second cluster did nothing", w);
}

static void
two_at_once(struct scene *scene)
{
    unsigned workers = 1 + random_below(&scene->random, 2);
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    char name[DSM_NAME_MAX + 1];
    dsm_cluster *twin;

    twin_name(name);
    options.name = name;
    options.grace_ms = (int)scene->plan->grace_ms;
    options.address_space = (size_t)1 << 30;
    if (note(CALL_CREATE, dsm_cluster_create(&twin, workers, &options),
             MAY(OK)) < 0)
        return;
    board->twin = 1;
    use_twin(twin, workers);
    dsm_cluster_destroy(twin);
    board->twin = 0;
}

static int
visit(const dsm_cluster_info *info, void *found)
{
    if (strcmp(info->name, board->name) == 0) {
        ++*(int *)found;
        if (info->workers != board->plan.workers)
            wrong("the list has %u workers", info->workers);
    }
    return 0;
}

static void
list(struct scene *scene)
{
    int found = 0;

    (void)scene;
    note(CALL_LIST, dsm_cluster_list(visit, &found), MAY(OK));
    /* Its supervisor takes the files away when the controller is killed. */
    if (found != 1 && !(board->harm & (1u << SUPERVISOR | 1u << CONTROLLER)))
        wrong("the cluster is %d times in the list", found);
}

const struct step cluster_steps[] = {
    {"a second cluster", two_at_once, 2, false},
    {"a list of clusters", list, 1, false},
    {NULL, NULL, 0, false},
};
