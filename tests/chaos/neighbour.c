/* The neighbour: a cluster to which nothing may happen. */
#include "chaos.h"
#include "errand.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define ITEMS 1000

static int
add_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    int64_t *items = dsm_array_data(*(dsm_array *const *)arg);
    dsm_range mine = dsm_worker_range(self, ITEMS);

    (void)arg_size;
    for (size_t k = mine.begin; k < mine.end; k++)
        items[k]++;
    return 0;
}

static bool
job_runs(dsm_cluster *cluster)
{
    struct errand errand = {.give = dsm_worker_return, .number = 5, .words = 3};
    const void *result = NULL;
    size_t size;
    dsm_job *job;
    bool right;

    if (dsm_job_submit(&job, cluster, errand_run, &errand, sizeof errand,
                       NULL) < 0)
        return false;
    right = dsm_job_result(job, &result, &size, 20000) == 0 &&
            size == 3 * sizeof(uint64_t) &&
            ((const uint64_t *)result)[2] == errand_word(5, 2);
    dsm_job_release(job);
    return right;
}

/* Lives as before: the array is as it left it, a region and a job run. */
static void
answer(dsm_cluster *cluster, dsm_array *array, int64_t rounds)
{
    const int64_t *items = dsm_array_data(array);
    int result;

    for (size_t k = 0; k < ITEMS; k++)
        if (items[k] != (int64_t)k + rounds) {
            wrong("the neighbour's item %zu is %ld", k, (long)items[k]);
            break;
        }
    result = dsm_cluster_run(cluster, add_one, &array, sizeof array);
    if (result < 0)
        wrong("the neighbour's region: %s", dsm_last_error());
    if (!job_runs(cluster))
        wrong("the neighbour's job: %s", dsm_last_error());
}

void
neighbour_main(void)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;
    int64_t *items;
    char name[DSM_NAME_MAX + 1];

    snprintf(name, sizeof name, "neighbour-%ld", (long)getpid());
    options.name = name;
    options.address_space = (size_t)1 << 30;
    if (dsm_cluster_create(&cluster, 1, &options) < 0 ||
        dsm_array_create(&array, cluster, "A", DSM_INT64, DSM_SHAPE(ITEMS)) <
            0) {
        wrong("the neighbour: %s", dsm_last_error());
        _exit(1);
    }
    items = dsm_array_data(array);
    for (size_t k = 0; k < ITEMS; k++)
        items[k] = (int64_t)k;
    for (int64_t rounds = 0;; rounds++) {
        while (sem_wait(&board->neighbour_go) < 0)
            ;
        if (board->neighbour_leave)
            break;
        answer(cluster, array, rounds);
        board->neighbour_done++;
        kill(getppid(), SIGUSR1);
    }
    dsm_cluster_destroy(cluster);
    _exit(0);
}
