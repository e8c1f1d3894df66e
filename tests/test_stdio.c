/* The host's streams: what stands in a buffer at the moment of the fork comes
 * out once; a thread that reads or holds a stream is neither waited for nor
 * disturbed; descriptors 0 to 2 may be closed. */
#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- A host whose output is read. */

static char output[65536];

static unsigned
times_in_output(const char *text)
{
    unsigned n = 0;

    for (const char *at = output; (at = strstr(at, text)); at++)
        n++;
    return n;
}

/* Runs it with stdout and stderr to a pipe; its wait status.  The output ends
 * when all who have it open have ended, supervisor and workers too. */
static int
read_host(int (*body)(void *arg))
{
    size_t length = 0;
    int ends[2];
    ssize_t n;
    pid_t host;

    scene_begin();
    ck_assert_int_eq(pipe(ends), 0);
    fflush(stdout);
    fflush(stderr);
    host = test_host(body, ends);
    close(ends[1]);
    while ((n = read(ends[0], output + length, sizeof output - 1 - length)) !=
           0) {
        ck_assert(n > 0 || errno == EINTR);
        length += n > 0 ? (size_t)n : 0;
    }
    output[length] = '\0';
    close(ends[0]);
    return test_reap(host);
}

static void
write_to_pipe(const int ends[2])
{
    host_begin();
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    setvbuf(stdout, NULL, _IOFBF, 8192);
    setvbuf(stderr, NULL, _IOFBF, 8192);
}

/* A worker prints, without a newline or a flush, and may end in the middle. */
static int
print_in_worker(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)arg_size;
    printf("<worker %u>", dsm_worker_id(self));
    fprintf(stderr, "<error %u>", dsm_worker_id(self));
    if (dsm_worker_barrier(self) == 0 && arg && dsm_worker_id(self) == 0)
        exit(3);
    return 0;
}

/* A region, a death and a refresh. */
static bool
print_and_die(dsm_cluster *cluster)
{
    int die = 1;

    return dsm_cluster_run(cluster, print_in_worker, NULL, 0) == 0 &&
           dsm_cluster_run(cluster, print_in_worker, &die, sizeof die) ==
               DSM_EWORKER &&
           dsm_cluster_refresh(cluster) == 0;
}

/* ---- What is buffered comes out once. */

static int
host_with_text(void *argument)
{
    dsm_cluster *cluster;

    write_to_pipe(argument);
    printf("<before>");
    fprintf(stderr, "<error before>");
    if (scene_create(&cluster) < 0)
        return 1;
    printf("<between>");
    if (!print_and_die(cluster))
        return 2;
    dsm_cluster_destroy(cluster);
    printf("<after>");
    return 0;
}

START_TEST(buffered_text_comes_out_once)
{
    ck_assert_int_eq(read_host(host_with_text), 0);
    ck_assert_uint_eq(times_in_output("<before>"), 1);
    ck_assert_uint_eq(times_in_output("<error before>"), 1);
    ck_assert_uint_eq(times_in_output("<between>"), 1);
    ck_assert_uint_eq(times_in_output("<after>"), 1);
    /* What was printed before comes before. */
    ck_assert(strstr(output, "<before>") < strstr(output, "<worker 0>"));
    /* A worker's own comes out when its function is over, or by its exit. */
    for (int w = 0; w < SCENE_WORKERS; w++) {
        char text[32];

        snprintf(text, sizeof text, "<worker %d>", w);
        ck_assert_uint_eq(times_in_output(text), 2);
        snprintf(text, sizeof text, "<error %d>", w);
        ck_assert_uint_eq(times_in_output(text), 2);
    }
}
END_TEST

/* Other streams than stdout and stderr are the host's alone. */
static int
host_with_stream(void *argument)
{
    const int *ends = argument;
    FILE *stream = fdopen(dup(ends[1]), "w");
    dsm_cluster *cluster;

    write_to_pipe(argument);
    if (!stream || fputs("<stream>", stream) < 0 || scene_create(&cluster) < 0)
        return 1;
    scene()->value[0] = (int)__fpending(stream);
    if (!print_and_die(cluster))
        return 2;
    dsm_cluster_destroy(cluster);
    return fclose(stream) != 0;
}

START_TEST(other_streams_are_let_alone)
{
    ck_assert_int_eq(read_host(host_with_stream), 0);
    ck_assert_uint_eq(times_in_output("<stream>"), 1);
    ck_assert_int_eq(scene()->value[0], (int)strlen("<stream>"));
}
END_TEST

/* A file that the host has read to its middle: nobody's exit sets it back. */
static int
host_reading_a_file(void *argument)
{
    dsm_cluster *cluster;
    char line[32];
    FILE *file = tmpfile();

    write_to_pipe(argument);
    if (!file)
        return 1;
    for (int k = 0; k < 5; k++)
        fprintf(file, "line %d\n", k);
    rewind(file);
    if (dup2(fileno(file), STDIN_FILENO) < 0 ||
        !fgets(line, sizeof line, stdin) || scene_create(&cluster) < 0 ||
        !print_and_die(cluster))
        return 2;
    dsm_cluster_destroy(cluster);
    do
        printf("[%.6s]", line);
    while (fgets(line, sizeof line, stdin));
    return 0;
}

START_TEST(input_is_read_once)
{
    ck_assert_int_eq(read_host(host_reading_a_file), 0);
    ck_assert_ptr_nonnull(
        strstr(output, "[line 0][line 1][line 2][line 3][line 4]"));
    ck_assert_uint_eq(times_in_output("[line"), 5);
}
END_TEST

/* ---- Threads that use a stream meanwhile. */

static void *
read_line(void *line)
{
    scene()->waiting = gettid();
    scene()->value[0] = fgets(line, 32, stdin) != NULL;
    return NULL;
}

static bool
reader_sleeps(const void *arg)
{
    pid_t thread = scene()->waiting;

    (void)arg;
    return thread && test_asleep(&thread);
}

/* It sits in fgets, with stdin locked, until the cluster is gone again. */
START_TEST(a_thread_reads_stdin)
{
    static char line[32];
    dsm_cluster *cluster;
    pthread_t thread;
    int ends[2];

    scene_begin();
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_line, line), 0);
    test_await(reader_sleeps, NULL);
    ck_dsm(scene_create(&cluster));
    test_whole(cluster);
    ck_dsm(dsm_cluster_refresh(cluster));
    dsm_cluster_destroy(cluster);
    ck_assert(test_nothing_left(scene()->name));
    ck_assert_int_eq(write(ends[1], "hello\n", 6), 6);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(scene()->value[0], 1);
    ck_assert_str_eq(line, "hello\n");
}
END_TEST

static void *
hold_stdout(void *argument)
{
    (void)argument;
    flockfile(stdout);
    scene()->waiting = 1;
    while (!scene()->go)
        pause_briefly();
    funlockfile(stdout);
    return NULL;
}

static int
host_with_held_stdout(void *argument)
{
    dsm_cluster *cluster;
    pthread_t thread;

    write_to_pipe(argument);
    printf("<pending>");
    if (pthread_create(&thread, NULL, hold_stdout, NULL) != 0)
        return 1;
    while (!scene()->waiting)
        pause_briefly();
    if (scene_create(&cluster) < 0)
        return 2;
    /* It could not be flushed without waiting for the thread. */
    scene()->value[0] = (int)__fpending(stdout);
    if (!print_and_die(cluster))
        return 3;
    dsm_cluster_destroy(cluster);
    scene()->go = 1;
    return pthread_join(thread, NULL) != 0;
}

/* A stream that a thread holds is not flushed before the fork; workers forget
 * what it has, and can print nevertheless. */
START_TEST(a_thread_holds_stdout)
{
    ck_assert_int_eq(read_host(host_with_held_stdout), 0);
    ck_assert_int_eq(scene()->value[0], (int)strlen("<pending>"));
    ck_assert_uint_eq(times_in_output("<pending>"), 1);
    ck_assert_uint_eq(times_in_output("<worker 0>"), 2);
    ck_assert_uint_eq(times_in_output("<worker 1>"), 2);
}
END_TEST

/* ---- Descriptors 0 to 2 are closed, in each combination. */

static const char *log_path;

static bool
closed_still(int which)
{
    int closed = 0;

    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1)
            closed |= 1 << fd;
    return closed == which;
}

static int
host_with_closed_streams(void *argument)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    int which = *(const int *)argument;
    dsm_cluster *cluster;
    dsm_array *array;
    int null = open("/dev/null", O_RDWR);

    host_begin();
    for (int fd = 0; fd <= 2; fd++)
        if ((which >> fd & 1 ? close(fd) : dup2(null, fd)) < 0)
            return 1;
    options.name = scene()->name;
    options.log = log_path;
    if (dsm_cluster_create(&cluster, SCENE_WORKERS, &options) < 0 ||
        scene_populate(cluster) < 0)
        return 2;
    /* What the host prints by mistake must not get into a segment. */
    printf("<host>");
    fflush(stdout);
    fprintf(stderr, "<host error>");
    if (!closed_still(which))
        return 3;
    if (!print_and_die(cluster) ||
        dsm_array_create(&array, cluster, "C", DSM_INT8, DSM_SHAPE(9)) < 0 ||
        dsm_cluster_run(cluster, test_whole_part, NULL, 0) < 0 ||
        dsm_cluster_cancel(cluster, 0) < 0)
        return 4;
    scene()->ready = 1;
    while (!scene()->go)
        pause_briefly();
    if (!closed_still(which))
        return 5;
    dsm_cluster_destroy(cluster);
    return closed_still(which) ? 0 : 6;
}

static int
count_live(const dsm_cluster_info *info, void *arg)
{
    *(int *)arg += strcmp(info->name, scene()->name) == 0 &&
                   info->state == DSM_CLUSTER_LIVE && info->objects == 7;
    return 0;
}

START_TEST(closed_descriptors)
{
    int which = _i % 8, found = 0;
    double since;
    pid_t host;

    scene_begin();
    log_path = _i < 8 ? NULL : "/dev/null";
    host = test_host(host_with_closed_streams, &which);
    test_await(host_is_ready, NULL);
    /* Others can read it. */
    ck_dsm(dsm_cluster_list(count_live, &found));
    ck_assert_int_eq(found, 1);
    scene()->go = 1;
    ck_assert_int_eq(test_reap(host), 0);
    test_await(scene_over, NULL);
    /* And its controller's death is seen. */
    memset(scene(), 0, sizeof *scene());
    scene_begin();
    host = test_host(host_with_closed_streams, &which);
    test_await(host_is_ready, NULL);
    since = test_now();
    kill(host, SIGKILL);
    ck_scene_over(since);
    ck_assert_int_eq(test_reap(host), SIGKILL);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("stdio");
    TCase *tests = test_case(suite, "streams");

    tcase_add_test(tests, buffered_text_comes_out_once);
    tcase_add_test(tests, other_streams_are_let_alone);
    tcase_add_test(tests, input_is_read_once);
    tests = test_case(suite, "threads");
    tcase_add_test(tests, a_thread_reads_stdin);
    tcase_add_test(tests, a_thread_holds_stdout);
    tests = test_case(suite, "closed");
    tcase_add_loop_test(tests, closed_descriptors, 0, 16);
    return test_main(suite);
}
