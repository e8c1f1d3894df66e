/* Several programs with jobs at one cluster: what they submit, that they share
 * the workers, and what becomes of their jobs when a program or the workers
 * go.  The functions are in a library that $CC compiles, as workers of another
 * program have to find them. */
#include "held.h"
#include "hosts.h"
#include "workers.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS 4

static char library_path[] = "/tmp/dsm-job-XXXXXX";

/* What the library's functions are given: what they count in, and what they
 * call, as the library does not know libdsm. */
struct order {
    _Atomic int *counter, *gate;
    int (*give)(dsm_worker *self, const void *result, size_t size);
    bool (*cancelled)(const dsm_worker *self);
    int number, spins, size;
};

static const char source[] =
    "#include <stdatomic.h>\n"
    "#include <stdbool.h>\n"
    "#include <stddef.h>\n"
    "#include <unistd.h>\n"
    "struct order { _Atomic int *counter, *gate;\n"
    "  int (*give)(void *, const void *, size_t);\n"
    "  bool (*cancelled)(const void *);\n"
    "  int number, spins, size; };\n"
    "int work(void *self, const void *arg, size_t size) {\n"
    "  const struct order *o = arg;\n"
    "  static int result[20000];\n"
    "  (void)size;\n"
    "  for (volatile int k = 0; k < o->spins; k++) ;\n"
    "  result[0] = 3 * o->number;\n"
    "  atomic_fetch_add(o->counter, 1);\n"
    "  return o->give(self, result, o->size); }\n"
    "int stay(void *self, const void *arg, size_t size) {\n"
    "  const struct order *o = arg;\n"
    "  (void)size;\n"
    "  atomic_fetch_add(o->counter, 1);\n"
    "  while (!*o->gate && !(o->cancelled && o->cancelled(self)))\n"
    "    usleep(1000);\n"
    "  return *o->gate != 1; }\n";

static void
compile_library(void)
{
    const char *compiler = getenv("CC");
    char *command;
    FILE *pipe;
    int fd = mkstemp(library_path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_gt(asprintf(&command, "%s -shared -fPIC -O1 -o %s -x c -",
                              compiler ? compiler : "cc", library_path),
                     0);
    pipe = popen(command, "w");
    ck_assert_ptr_nonnull(pipe);
    fputs(source, pipe);
    ck_assert_msg(pclose(pipe) == 0, "%s", command);
    free(command);
}

static void
remove_library(void)
{
    unlink(library_path);
}

/* ---- In the programs that attach. */

/* What a program is to do.  It is forked before the cluster is there, whose
 * addresses would be taken in it otherwise, and waits for its start. */
struct client {
    const char *name; /* of the cluster */
    int number, jobs;
    int (*body)(dsm_cluster *cluster, const struct client *client);
};

/* Places in held()->value: what its jobs count, that it may start, and that it
 * is as far as the test wants it. */
enum { COUNTED = 0, STARTED = CLIENTS, READY = 2 * CLIENTS };

struct value {
    int index, least;
};

static bool
value_reached(const void *arg)
{
    const struct value *value = arg;

    return held()->value[value->index] >= value->least;
}

static void
await_value(int index, int least)
{
    test_await(value_reached, (&(struct value){index, least}));
}

static int
run_client(void *arg)
{
    const struct client *client = arg;
    struct value start = {STARTED + client->number, 1};
    dsm_cluster *cluster;
    int result;

    host_begin();
    if (!test_poll(value_reached, &start) ||
        dsm_cluster_attach(&cluster, client->name) < 0)
        return 1;
    result = client->body(cluster, client);
    dsm_cluster_destroy(cluster);
    return result;
}

static void
start_client(int number)
{
    held()->value[STARTED + number] = 1;
}

static dsm_fn
find(const char *name)
{
    void *library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);

    return library ? (dsm_fn)dlsym(library, name) : NULL;
}

static struct order
order_of(int client, int number)
{
    return (struct order){
        .counter = &held()->value[client],
        .gate = &held()->go,
        .give = dsm_worker_return,
        .cancelled = dsm_worker_cancelled,
        .number = number,
        .size = sizeof(int),
    };
}

/* Takes what the program has submitted; 0 if all are its own, each once. */
static int
take_own(dsm_cluster *cluster, const struct client *client)
{
    char *seen = calloc((size_t)client->jobs, 1);
    dsm_job *job;

    for (int k = 0; k < client->jobs; k++) {
        const void *result;
        size_t size;
        int number;

        if (dsm_job_next(&job, cluster, DSM_FOREVER) < 0 ||
            dsm_job_result(job, &result, &size, 0) < 0)
            return 10;
        number = *(const int *)result / 3 - 1000000 * client->number;
        if (number < 0 || number >= client->jobs || seen[number]++)
            return 11;
        dsm_job_release(job);
    }
    free(seen);
    return dsm_job_next(&job, cluster, 0) == -ECHILD ? 0 : 12;
}

static int
submit_work(dsm_cluster *cluster, const struct client *client, int spins,
            int size)
{
    dsm_fn work = find("work");

    for (int k = 0; k < client->jobs; k++) {
        struct order order =
            order_of(client->number, 1000000 * client->number + k);

        order.spins = spins;
        order.size = size;
        if (dsm_job_submit(NULL, cluster, work, &order, sizeof order, NULL))
            return 1;
    }
    return 0;
}

/* Submits all, waits for the others, and takes all. */
static int
take_part(dsm_cluster *cluster, const struct client *client)
{
    if (submit_work(cluster, client, 5000, sizeof(int)) < 0)
        return 2;
    held()->value[READY + client->number] = 1;
    return take_own(cluster, client);
}

static int
be_refused(dsm_cluster *cluster, const struct client *client)
{
    dsm_job *job;

    (void)client;
    if (dsm_job_submit(&job, cluster, record, NULL, 0, NULL) != -ENOEXEC ||
        job || !strstr(dsm_last_error(), "shared library"))
        return 2;
    return dsm_job_next(&job, cluster, DSM_FOREVER) == -ECHILD ? 0 : 3;
}

/* ---- What is left of a program. */

/* Files of the cluster's whose names go on like that. */
static int
count_files(const char *cluster, const char *rest)
{
    char prefix[160];
    DIR *files = opendir("/dev/shm");
    struct dirent *file;
    int n = 0;

    ck_assert_ptr_nonnull(files);
    snprintf(prefix, sizeof prefix, "dsm.%lu.%s%s", (unsigned long)geteuid(),
             cluster, rest);
    while ((file = readdir(files)))
        n += strncmp(file->d_name, prefix, strlen(prefix)) == 0;
    closedir(files);
    return n;
}

static bool
no_parcels(const void *name)
{
    return count_files(name, "..j") == 0;
}

/* ---- Sharing. */

static dsm_cluster *
cluster_of_name(const char *name, int grace_ms)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    options.name = name;
    options.grace_ms = grace_ms;
    ck_dsm(dsm_cluster_create(&cluster, 2, &options));
    return cluster;
}

/* All have submitted all of theirs before the workers begin. */
START_TEST(programs_share_the_workers)
{
    enum { JOBS = 2000 };
    const char *name = test_name();
    dsm_cluster *cluster;
    pid_t pids[CLIENTS];
    dsm_job *job;
    int most = 0;

    for (int k = 0; k < CLIENTS; k++) {
        struct client client = {name, k, JOBS, take_part};

        pids[k] = test_host(run_client, &client);
    }
    cluster = cluster_of_name(name, 0);
    hold_workers(cluster, 2);
    for (int k = 0; k < CLIENTS; k++)
        start_client(k);
    for (int k = 0; k < CLIENTS; k++)
        await_value(READY + k, 1);
    let_go(1);
    while (most < JOBS)
        for (int k = 0; k < CLIENTS; k++)
            if (held()->value[COUNTED + k] > most)
                most = held()->value[COUNTED + k];
    for (int k = 0; k < CLIENTS; k++)
        ck_assert_msg(held()->value[k] >= JOBS * 8 / 10,
                      "%d jobs of program %d", held()->value[k], k);
    for (int k = 0; k < CLIENTS; k++)
        ck_assert_int_eq(test_reap(pids[k]), 0);
    for (int k = 0; k < CLIENTS; k++)
        ck_assert_int_eq(held()->value[COUNTED + k], JOBS);
    ck_assert_int_eq(dsm_job_next(&job, cluster, 0), -ECHILD);
    test_await(no_parcels, name);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(functions_of_a_program_that_attached)
{
    struct client client = {test_name(), 0, 0, be_refused};
    pid_t pid = test_host(run_client, &client);
    dsm_cluster *cluster = cluster_of_name(client.name, 0);

    start_client(0);
    ck_assert_int_eq(test_reap(pid), 0);
    ck_assert_int_eq(held()->count, 0);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- The cluster goes first. */

/* Looks at its large result too late. */
static int
come_too_late(dsm_cluster *cluster, const struct client *client)
{
    struct order order = order_of(client->number, 1);
    const void *result;
    dsm_job *job;

    order.size = 20000;
    if (dsm_job_submit(&job, cluster, find("work"), &order, sizeof order,
                       NULL) < 0 ||
        !test_poll(has_ended, job))
        return 2;
    held()->value[READY + client->number] = 1;
    if (!test_poll(value_reached, &(struct value){STARTED + client->number, 2}))
        return 3;
    return dsm_job_result(job, &result, NULL, DSM_FOREVER) == DSM_ESTALE ? 0
                                                                         : 4;
}

/* In an event loop, whose descriptor alone tells it of the end. */
static int
await_the_end(dsm_cluster *cluster, const struct client *client)
{
    struct pollfd event = {dsm_cluster_fd(cluster), POLLIN, 0};
    int result;

    held()->value[READY + client->number] = 1;
    do {
        if (poll(&event, 1, 20000) != 1)
            return 2;
        result = dsm_cluster_poll(cluster, 0);
    } while (result >= 0);
    return result == DSM_ESTALE ? 0 : 3;
}

START_TEST(the_descriptor_tells_that_the_cluster_goes)
{
    struct client client = {test_name(), 0, 0, await_the_end};
    pid_t pid = test_host(run_client, &client);
    dsm_cluster *cluster = cluster_of_name(client.name, 0);

    start_client(0);
    await_value(READY, 1);
    dsm_cluster_destroy(cluster);
    ck_assert_int_eq(test_reap(pid), 0);
}
END_TEST

START_TEST(the_cluster_goes_before_a_result_is_read)
{
    struct client client = {test_name(), 0, 1, come_too_late};
    pid_t pid = test_host(run_client, &client);
    dsm_cluster *cluster = cluster_of_name(client.name, 0);

    start_client(0);
    await_value(READY, 1);
    dsm_cluster_destroy(cluster);
    held()->value[STARTED] = 2;
    ck_assert_int_eq(test_reap(pid), 0);
}
END_TEST

/* ---- A program dies. */

/* Submits jobs with large arguments and results, and stays. */
static int
stay_for_ever(dsm_cluster *cluster, const struct client *client)
{
    struct order orders[100];

    if (submit_work(cluster, client, 5000, 20000) < 0)
        return 1;
    for (int k = 0; k < 100; k++)
        orders[k] = order_of(client->number, k);
    for (int k = 0; k < 20; k++)
        if (dsm_job_submit(NULL, cluster, find("stay"), orders, sizeof orders,
                           NULL) < 0)
            return 2;
    held()->value[READY + client->number] = 1;
    pause_for_ever();
}

static void
kill_host(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(test_reap(pid), SIGKILL);
}

/* Its number is another's as soon as nothing of its is left. */
START_TEST(a_program_dies)
{
    enum { JOBS = 500 };
    const char *name = test_name();
    struct client clients[CLIENTS] = {{name, 0, 300, stay_for_ever},
                                      {name, 1, JOBS, take_part},
                                      {name, 2, 0, stay_for_ever},
                                      {name, 3, JOBS, take_part}};
    dsm_cluster *cluster;
    pid_t pids[CLIENTS];

    for (int k = 0; k < CLIENTS; k++)
        pids[k] = test_host(run_client, &clients[k]);
    cluster = cluster_of_name(name, 100);
    hold_workers(cluster, 2);
    for (int k = 0; k < 2; k++) {
        start_client(k);
        await_value(READY + k, 1);
    }
    ck_assert_int_gt(count_files(name, "..j1-"), 0);
    let_go(1);
    await_value(COUNTED + 0, 100);
    kill_host(pids[0]);
    ck_assert_int_eq(test_reap(pids[1]), 0);
    ck_assert_int_eq(held()->value[COUNTED + 1], JOBS);
    test_await(no_parcels, name);
    /* Another one, whose jobs run when it dies. */
    let_go(0);
    start_client(2);
    await_value(COUNTED + 2, 2);
    ck_assert_int_gt(count_files(name, "..j1-"), 0);
    kill_host(pids[2]);
    test_await(no_parcels, name);
    start_client(3);
    ck_assert_int_eq(test_reap(pids[3]), 0);
    ck_assert_int_eq(held()->value[COUNTED + 3], JOBS);
    ck_assert_int_eq(held()->value[COUNTED + 2], 2);
    ck_finished(submit(cluster, record, NULL, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Jobs that stay, of which some are running and others are queued.  Those of a
 * second kind do not listen, and are killed after the grace. */
static int
leave_jobs(dsm_cluster *cluster, const struct client *client)
{
    struct order order = order_of(client->number, 0);

    if (client->jobs)
        order.cancelled = NULL;
    for (int k = 0; k < 20; k++)
        if (dsm_job_submit(NULL, cluster, find("stay"), &order, sizeof order,
                           NULL) < 0)
            return 2;
    return !test_poll(value_reached, &(struct value){COUNTED, 2});
}

START_TEST(a_program_leaves_with_running_jobs)
{
    struct client client = {test_name(), 0, _i, leave_jobs};
    pid_t host = test_host(run_client, &client), pids[2];
    dsm_cluster *cluster = cluster_of_name(client.name, 100);

    for (unsigned w = 0; w < 2; w++)
        pids[w] = test_pid(cluster, w);
    start_client(0);
    ck_assert_int_eq(test_reap(host), 0);
    /* The workers are free again, and none of the queued ones has run. */
    ck_finished(submit(cluster, record, NULL, 0));
    test_whole(cluster);
    ck_assert_int_eq(held()->value[COUNTED], 2);
    for (unsigned w = 0; w < 2; w++)
        ck_assert((test_pid(cluster, w) == pids[w]) == (_i == 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Has a large result, which a worker keeps mapped. */
static int
leave_a_crate(dsm_cluster *cluster, const struct client *client)
{
    struct value go = {STARTED + client->number, 2};
    struct order order = order_of(client->number, 1);
    dsm_job *job;

    order.size = 80000;
    if (dsm_job_submit(&job, cluster, find("work"), &order, sizeof order,
                       NULL) < 0 ||
        dsm_job_result(job, NULL, NULL, DSM_FOREVER) < 0)
        return 2;
    held()->value[READY + client->number] = 1;
    return !test_poll(value_reached, &go);
}

START_TEST(a_program_leaves_no_memory)
{
    struct client client = {test_name(), 0, 0, leave_a_crate};
    pid_t host = test_host(run_client, &client);
    dsm_cluster *cluster = cluster_of_name(client.name, 0);
    struct stat status;
    char path[160];
    int fd;

    start_client(0);
    await_value(READY, 1);
    snprintf(path, sizeof path, "/dev/shm/dsm.%lu.%s..j1-c1",
             (unsigned long)geteuid(), client.name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_gt(status.st_blocks, 0);
    held()->value[STARTED] = 2;
    ck_assert_int_eq(test_reap(host), 0);
    test_await(no_parcels, client.name);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_eq(status.st_blocks, 0);
    close(fd);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Refresh. */

/* Is held up in its first try only. */
static int
first_try_hangs(dsm_worker *self, const void *arg, size_t arg_size)
{
    int tries = atomic_fetch_add(&held()->value[*(const int *)arg], 1);

    return tries == 0 ? hang(self, NULL, 0) : record(self, arg, arg_size);
}

static int
refresh(dsm_cluster *cluster, const struct client *client)
{
    (void)client;
    return dsm_cluster_refresh(cluster) != 0;
}

START_TEST(another_program_refreshes)
{
    struct client client = {test_name(), 3, 0, refresh};
    pid_t host = test_host(run_client, &client);
    dsm_cluster *cluster = cluster_of_name(client.name, 0);
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *jobs[2], *queued[50];
    dsm_job_info info;

    for (int k = 0; k < 2; k++) {
        options.retries = (unsigned)k;
        ck_dsm(dsm_job_submit(&jobs[k], cluster, first_try_hangs, &k, sizeof k,
                              &options));
    }
    test_await(inside_reached, &(int){2});
    for (int k = 0; k < 50; k++)
        queued[k] = submit(cluster, record, NULL, 0);
    start_client(3);
    ck_assert_int_eq(test_reap(host), 0);
    ck_dsm_error(dsm_job_result(jobs[0], NULL, NULL, DSM_FOREVER), DSM_EWORKER,
                 "refresh");
    ck_assert_uint_eq(job_info(jobs[0]).tries, 1);
    ck_dsm(dsm_job_result(jobs[1], NULL, NULL, DSM_FOREVER));
    info = job_info(jobs[1]);
    ck_assert_uint_eq(info.tries, 2);
    ck_assert_int_eq(info.pid, test_pid(cluster, info.worker));
    for (int k = 0; k < 50; k++)
        ck_finished(queued[k]);
    ck_assert_int_eq(held()->count, 51);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Detached clusters. */

static int
detaching_host(void *arg)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_cluster *cluster;

    host_begin();
    options.name = arg;
    options.detached = true;
    options.grace_ms = 50;
    if (dsm_cluster_create(&cluster, 2, &options) < 0)
        return 1;
    for (int k = 0; k < 5; k++)
        if (dsm_job_submit(NULL, cluster, hang, NULL, 0, NULL) < 0)
            return 2;
    return !test_poll(inside_reached, &(int){2});
}

START_TEST(a_detached_cluster_serves_on)
{
    char name[DSM_NAME_MAX + 1];
    struct client clients[2] = {{name, 0, 200, take_part},
                                {name, 1, 200, take_part}};
    pid_t pids[2];

    strcpy(name, test_name());
    for (int k = 0; k < 2; k++)
        pids[k] = test_host(run_client, &clients[k]);
    ck_assert_int_eq(test_reap(test_host(detaching_host, name)), 0);
    for (int k = 0; k < 2; k++) {
        start_client(k);
        ck_assert_int_eq(test_reap(pids[k]), 0);
        ck_assert_int_eq(held()->value[COUNTED + k], 200);
    }
    ck_dsm(dsm_cluster_remove(name, true));
}
END_TEST

/* ---- The end of the cluster. */

START_TEST(destroyed_with_jobs)
{
    dsm_cluster *cluster = cluster_of_name(test_name(), 200);
    unsigned char large[3000] = {0};
    double before;

    for (int k = 0; k < 2; k++)
        ck_dsm(
            dsm_job_submit(NULL, cluster, k < _i ? hang : obey, NULL, 0, NULL));
    test_await(inside_reached, &(int){2});
    for (int k = 0; k < 100; k++)
        ck_dsm(
            dsm_job_submit(NULL, cluster, record, large, sizeof large, NULL));
    ck_assert_int_ge(dsm_cluster_fd(cluster), 0);
    ck_assert_int_eq(count_files(dsm_cluster_name(cluster), "..j0-"), 100);
    before = test_now();
    dsm_cluster_destroy(cluster);
    ck_assert_double_lt(test_now() - before, test_grace(200));
    ck_assert_int_eq(held()->count, 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("jobs of several programs");
    TCase *share = test_case(suite, "share"), *gone = test_case(suite, "gone");

    tcase_add_unchecked_fixture(share, compile_library, remove_library);
    tcase_add_test(share, programs_share_the_workers);
    tcase_add_test(share, functions_of_a_program_that_attached);
    tcase_add_test(share, the_descriptor_tells_that_the_cluster_goes);
    tcase_add_test(share, the_cluster_goes_before_a_result_is_read);
    tcase_add_test(share, a_program_dies);
    tcase_add_loop_test(share, a_program_leaves_with_running_jobs, 0, 2);
    tcase_add_test(share, a_program_leaves_no_memory);
    tcase_add_test(share, a_detached_cluster_serves_on);
    tcase_add_test(gone, another_program_refreshes);
    tcase_add_loop_test(gone, destroyed_with_jobs, 0, 3);
    return test_main(suite);
}
