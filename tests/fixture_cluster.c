/* fixture_cluster NAME: a cluster for tests of dsmctl.  It has 2 workers, an
 * array A (0, 0.5, 1, … as 3x4 float64), a lock L, a barrier B and a queue Q.
 * Prints "ready SUPERVISOR", the supervisor's pid, and ends with its stdin. */
#include <dsm.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
need(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "fixture_cluster: %s (%s)\n", dsm_last_error(),
            dsm_strerror(result));
    exit(EXIT_FAILURE);
}

/* The supervisor is the parent of every worker. */
static int
note_parent(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg, (void)arg_size;
    if (dsm_worker_id(self) == 0)
        *(double *)dsm_array_data(dsm_worker_array(self, "A")) =
            (double)getppid();
    return 0;
}

static void
create_objects(dsm_cluster *cluster)
{
    dsm_array *array;
    dsm_lock *lock;
    dsm_barrier *barrier;
    dsm_queue *queue;

    need(dsm_array_create(&array, cluster, "A", DSM_FLOAT64, DSM_SHAPE(3, 4)));
    need(dsm_lock_create(&lock, cluster, "L"));
    need(dsm_barrier_create(&barrier, cluster, "B", 2, DSM_BARRIER_ROBUST));
    need(dsm_queue_create(&queue, cluster, "Q", 8, 64));
}

static long
find_supervisor(dsm_cluster *cluster, const double *items)
{
    need(dsm_cluster_run(cluster, note_parent, NULL, 0));
    return (long)items[0];
}

static void
wait_for_end_of_stdin(void)
{
    while (getchar() != EOF)
        ;
}

int
main(int argc, char **argv)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *array;
    double *items;
    long supervisor;

    if (argc != 2) {
        fprintf(stderr, "usage: fixture_cluster NAME\n");
        return 2;
    }
    options.name = argv[1];
    need(dsm_cluster_create(&cluster, 2, &options));
    create_objects(cluster);
    need(dsm_array_open(&array, cluster, "A", DSM_FLOAT64));
    items = dsm_array_data(array);
    supervisor = find_supervisor(cluster, items);
    for (size_t i = 0; i < dsm_array_count(array); i++)
        items[i] = (double)i / 2;
    printf("ready %ld\n", supervisor);
    fflush(stdout);
    wait_for_end_of_stdin();
    dsm_cluster_destroy(cluster);
    return 0;
}
