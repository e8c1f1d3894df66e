/* What a program does with a cluster whose control segment is damaged: it lists
 * and removes it, attaches to it, and uses what it has.  The first byte says
 * what is done, the second who the program is told to be, two more how the file
 * is cut or extended; the rest is damage, some of which happens after jobs were
 * submitted.
 *
 * While it is listed, attached to or removed another thread may change it, too.
 * Whoever has it mapped shares memory with the cluster, as threads do: from
 * then on the library checks what it finds, but nobody may change it so that it
 * is wrong. */
#include "image.h"

#include <dsm.h>

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define HEAD 4

enum { CHANGES = 1, REMOVES = 2, CUTS = 4, REFRESHES = 8 };

static FILE *nowhere;
static dsm_fn function;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    image_make();
    nowhere = fopen("/dev/null", "we");
    *(void **)&function = dlsym(RTLD_DEFAULT, "getppid");
    fuzz_check(nowhere && function);
    return 0;
}

/* Whatever fails says why. */
static void
tried(int result)
{
    fuzz_check(result >= 0 || *dsm_last_error());
}

/* ---- From outside. */

static int
visit_object(const dsm_object_info *info, void *arg)
{
    (void)arg;
    fuzz_check(strlen(info->name) <= DSM_NAME_MAX);
    fuzz_check(strlen(info->path) < sizeof info->path);
    fuzz_check(info->ndim <= DSM_NDIM_MAX);
    return 0;
}

static int
visit_cluster(const dsm_cluster_info *info, void *arg)
{
    (void)arg;
    fuzz_check(strlen(info->name) <= DSM_NAME_MAX);
    fuzz_check(strlen(info->program) < sizeof info->program);
    fuzz_check(strlen(info->directory) < sizeof info->directory);
    return 0;
}

static void
look(void)
{
    tried(dsm_cluster_list(visit_cluster, NULL));
    tried(dsm_cluster_objects(image_name, visit_object, NULL));
}

/* ---- From inside. */

static void
use_array(dsm_cluster *cluster)
{
    dsm_array *array, *view;
    volatile char *data;
    size_t size, items = 1;

    if (dsm_array_open(&array, cluster, "A", DSM_ANY) < 0)
        return;
    fuzz_check(dsm_array_ndim(array) <= DSM_NDIM_MAX);
    for (unsigned k = 0; k < dsm_array_ndim(array); k++)
        items *= dsm_array_shape(array)[k];
    fuzz_check(items == dsm_array_count(array));
    fuzz_check(strcmp(dsm_array_name(array), "A") == 0);
    data = dsm_array_data(array);
    size = dsm_array_count(array) * dsm_array_item_size(array);
    if (size) {
        data[0] = 1;
        data[size - 1] = 1;
    }
    if (dsm_array_view(&view, array, 0, items > 0) == 0)
        tried(dsm_array_destroy(view));
    if (dsm_lock_acquire(dsm_array_lock(array), 0) >= 0)
        fuzz_check(dsm_lock_release(dsm_array_lock(array)) == 0);
    tried(dsm_array_destroy(array));
}

static void
use_others(dsm_cluster *cluster)
{
    char message[IMAGE_MESSAGE] = {0};
    dsm_queue *queue;
    dsm_lock *lock;

    if (dsm_lock_open(&lock, cluster, "L") == 0 &&
        dsm_lock_acquire(lock, 0) >= 0)
        fuzz_check(dsm_lock_release(lock) == 0);
    if (dsm_queue_open(&queue, cluster, "Q") == 0) {
        tried(dsm_queue_push(queue, message, 0));
        tried(dsm_queue_pop(queue, message, 0));
    }
}

static void
make_others(dsm_cluster *cluster)
{
    dsm_array *array;
    dsm_lock *lock;

    if (dsm_array_create(&array, cluster, "new", DSM_INT32, DSM_SHAPE(5)) ==
        0) {
        ((int32_t *)dsm_array_data(array))[4] = 1;
        tried(dsm_array_destroy(array));
    }
    if (dsm_lock_create(&lock, cluster, "new") == 0)
        tried(dsm_lock_destroy(lock));
}

/* What nobody else will end, last: after some waits the supervisor is dead. */
static void
wait_in_vain(dsm_cluster *cluster)
{
    char message[IMAGE_MESSAGE];
    dsm_barrier *barrier;
    dsm_queue *queue;

    if (dsm_queue_open(&queue, cluster, "Q") == 0) {
        tried(dsm_queue_pop(queue, message, 1));
        tried(dsm_queue_destroy(queue));
    }
    if (dsm_barrier_open(&barrier, cluster, "B") == 0)
        tried(dsm_barrier_wait(barrier));
    tried(dsm_cluster_drain(cluster, DSM_FOREVER));
}

static void
use_job(dsm_job *job)
{
    dsm_job_info info = DSM_JOB_INFO_INIT;
    const volatile char *bytes;
    const void *result;
    size_t size;

    if (dsm_job_status(job, &info) == 0)
        fuzz_check(strlen(info.name) < sizeof info.name &&
                   strlen(info.message) < sizeof info.message);
    tried(dsm_job_result(job, &result, &size, 0));
    if (result && size) {
        bytes = result;
        (void)bytes[0], (void)bytes[size - 1];
    }
    if (dsm_job_provisional(job, &result, &size) == 0 && size) {
        bytes = result;
        (void)bytes[0], (void)bytes[size - 1];
    }
    tried(dsm_job_cancel(job, DSM_GRACE));
    dsm_job_release(job);
}

static void
use_jobs(dsm_cluster *cluster, const uint8_t *data, size_t size)
{
    static const char large[2000];
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *jobs[3] = {NULL};

    options.nowait = true;
    options.capture_output = true;
    options.name = "job";
    tried(dsm_job_submit(&jobs[0], cluster, function, NULL, 0, &options));
    tried(dsm_job_submit(&jobs[1], cluster, function, large, sizeof large,
                         &options));
    /* As if workers had run them. */
    image_damage(data, size, true);
    if (jobs[0])
        use_job(jobs[0]);
    if (dsm_job_next(&jobs[2], cluster, 0) == 0)
        use_job(jobs[2]);
    tried(dsm_cluster_poll(cluster, 0));
    tried(dsm_cluster_drain(cluster, 0));
}

static void
use(dsm_cluster *cluster, const uint8_t *data, size_t size)
{
    dsm_worker_info info = DSM_WORKER_INFO_INIT;
    unsigned workers = dsm_cluster_workers(cluster);

    fuzz_check(workers >= 1 && workers <= DSM_WORKERS_MAX);
    fuzz_check(strcmp(dsm_cluster_name(cluster), image_name) == 0);
    for (unsigned id = 0; id < workers; id++)
        fuzz_check(dsm_cluster_worker(cluster, id, &info) == 0 &&
                   strlen(info.message) < sizeof info.message);
    tried(dsm_cluster_print_stats(cluster, nowhere));
    use_array(cluster);
    use_others(cluster);
    make_others(cluster);
    use_jobs(cluster, data, size);
    wait_in_vain(cluster);
}

/* ---- Meanwhile. */

struct changer {
    pthread_t thread;
    const uint8_t *data;
    size_t size;
    _Atomic bool end;
};

static void *
change(void *argument)
{
    struct changer *changer = argument;

    while (!changer->end)
        image_damage(changer->data, changer->size, false);
    return NULL;
}

static void
run(const uint8_t *data, size_t size)
{
    struct changer changer = {.data = data + HEAD, .size = size - HEAD};
    dsm_cluster *cluster;

    if (data[0] & CHANGES)
        fuzz_check(pthread_create(&changer.thread, NULL, change, &changer) ==
                   0);
    else
        image_damage(changer.data, changer.size, false);
    look();
    if (dsm_cluster_attach(&cluster, image_name) == 0) {
        if (!(data[0] & CHANGES))
            use(cluster, changer.data, changer.size);
        if (data[0] & REFRESHES && !(data[0] & CHANGES))
            tried(dsm_cluster_refresh(cluster));
        dsm_cluster_destroy(cluster);
    }
    if (data[0] & CHANGES) {
        changer.end = true;
        pthread_join(changer.thread, NULL);
    }
    if (data[0] & REMOVES) {
        tried(dsm_cluster_remove(image_name, false));
        look();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    image_restore();
    image_client = (int8_t)data[1];
    if (data[0] & CUTS)
        image_cut((int16_t)(data[2] | data[3] << 8));
    run(data, size);
    image_end();
    return 0;
}
