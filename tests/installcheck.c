/* Compiled and run by "make installcheck" against the installed library, once
 * as C11 and once as C++17. */
#include <dsm.h>

#include <stdio.h>

static int
fail(const char *call)
{
    fprintf(stderr, "installcheck: %s: %s\n", call, dsm_last_error());
    return 1;
}

static int
fill(dsm_worker *self, const void *arg, size_t arg_size)
{
    int *numbers = (int *)dsm_array_data(dsm_worker_array(self, "numbers"));
    dsm_range mine = dsm_worker_range(self, *(const size_t *)arg);
    size_t i;

    (void)arg_size;
    for (i = mine.begin; i < mine.end; i++)
        numbers[i] = (int)i;
    return 0;
}

int
main(void)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;
    dsm_array *numbers;
    size_t n = 1000, i;
    int status = 0;

    options.grace_ms = 500;
    if (dsm_cluster_create(&cluster, 2, &options) < 0)
        return fail("dsm_cluster_create");
    if (dsm_array_create(&numbers, cluster, "numbers", DSM_INT32,
                         DSM_SHAPE(n / 10, 10)) < 0)
        status = fail("dsm_array_create");
    else if (dsm_cluster_run(cluster, fill, &n, sizeof n) < 0)
        status = fail("dsm_cluster_run");
    for (i = 0; !status && i < n; i++) {
        if (((int *)dsm_array_data(numbers))[i] != (int)i) {
            fprintf(stderr, "installcheck: element %zu is wrong\n", i);
            status = 1;
        }
    }
    dsm_cluster_destroy(cluster);
    return status;
}
