/* fixture_region NAME: a cluster for tests of dsmctl top, with a region that
 * runs until stdin ends: worker 1 waits at the barrier for worker 0, which
 * sleeps before each.  Prints "ready" when it has begun. */
#include <dsm.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void
need(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "fixture_region: %s (%s)\n", dsm_last_error(),
            dsm_strerror(result));
    exit(EXIT_FAILURE);
}

static int
meet(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct timespec rest = {.tv_nsec = 20000000};

    (void)arg, (void)arg_size;
    while (!dsm_worker_cancelled(self)) {
        if (dsm_worker_id(self) == 0)
            nanosleep(&rest, NULL);
        (void)dsm_worker_barrier(self); /* broken when it is cancelled */
    }
    return 0;
}

int
main(int argc, char **argv)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    if (argc != 2) {
        fprintf(stderr, "usage: fixture_region NAME\n");
        return 2;
    }
    options.name = argv[1];
    need(dsm_cluster_create(&cluster, 2, &options));
    need(dsm_cluster_start(cluster, meet, NULL, 0));
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    need(dsm_cluster_cancel(cluster, DSM_FOREVER));
    need(dsm_cluster_wait(cluster, DSM_FOREVER));
    dsm_cluster_destroy(cluster);
    return 0;
}
