/* Counts primes for whoever asks on the standard input: a program with an event
 * loop of its own, in which the library is one descriptor among others.
 *
 * The loop sleeps in poll(2).  A line of input makes a job, and the end of a
 * job makes dsm_cluster_fd readable, upon which dsm_cluster_poll runs its
 * callback. Neither is waited for while the other is there, so commands are
 * answered while jobs run, and results are printed while nobody types.
 */
#include "support.h"

#include <dsm.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char HELP[] =
    "Usage: eventloop [-p WORKERS] [--max-jobs=JOBS]\n"
    "Reads lines from the standard input, each of them a number or a command:\n"
    "\n"
    "  N         counts the primes below N, in a job\n"
    "  cancel K  cancels job K\n"
    "  status    tells about the jobs that have not ended\n"
    "  stats     tells about the workers\n"
    "  quit      ends, as does the end of the input, after the last job\n"
    "\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "  -j, --max-jobs=JOBS    that have not ended; default 65536\n"
    "      --help             show this and exit\n";

/* A job, until its end. */
typedef struct request request;
struct request {
    struct service *service;
    dsm_job *job;
    size_t number, limit;
    request *next, **link; /* of the service's list, in order of submission */
};

/* The beginning of a line that is being read.  No command is as long. */
typedef struct line {
    char text[64];
    size_t length; /* of the whole line so far */
} line;

typedef struct service {
    dsm_cluster *cluster;
    request *first, **end;
    size_t submitted, failed;
    line line;
    bool over; /* there will be no more input */
} service;

_Noreturn static void
give_up(void)
{
    fail("%s", dsm_last_error());
}

/* ---- In a worker. */

static bool
is_prime(size_t n)
{
    if (n < 4)
        return n > 1;
    if (n % 2 == 0)
        return false;
    for (size_t d = 3; d <= n / d; d += 2)
        if (n % d == 0)
            return false;
    return true;
}

/* By trial, as this is about jobs; the example primes has a fast way. */
static int
count_primes(dsm_worker *self, const void *arg, size_t arg_size)
{
    size_t limit = *(const size_t *)arg, count = 0;

    (void)arg_size;
    for (size_t n = 0; n < limit; n++) {
        if (n % 1024 == 0 && dsm_worker_cancelled(self))
            return DSM_ECANCELED;
        count += is_prime(n);
    }
    return dsm_worker_return(self, &count, sizeof count);
}

/* ---- Jobs. */

static void
append(service *s, request *r)
{
    r->link = s->end;
    *r->link = r;
    s->end = &r->next;
}

static void
take_out(service *s, request *r)
{
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    else
        s->end = r->link;
}

/* The callback.  Nothing was published, so the job has ended. */
static void
tell_result(dsm_job *job, void *arg)
{
    request *r = arg;
    const void *result;
    int status = dsm_job_result(job, &result, NULL, 0);

    if (status == 0) {
        printf("job %zu: %zu primes below %zu\n", r->number,
               *(const size_t *)result, r->limit);
    } else if (status == DSM_ECANCELED) {
        printf("job %zu: cancelled\n", r->number);
    } else {
        printf("job %zu: %s\n", r->number, dsm_last_error());
        r->service->failed++;
    }
    dsm_job_release(job);
    take_out(r->service, r);
    free(r);
}

static void
submit(service *s, size_t limit)
{
    request *r = calloc(1, sizeof *r);
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    int status;

    if (!r)
        fail("no memory for a job");
    *r = (request){.service = s, .number = s->submitted + 1, .limit = limit};
    options.name = "primes";
    options.callback = tell_result;
    options.callback_arg = r;
    options.nowait = true; /* a full queue shall not block the loop */
    status = dsm_job_submit(&r->job, s->cluster, count_primes, &limit,
                            sizeof limit, &options);
    if (status == -EAGAIN) {
        printf("no room for %zu: try again when a job has ended\n", limit);
        free(r);
        return;
    }
    if (status < 0)
        give_up();
    s->submitted++;
    append(s, r);
}

/* ---- Commands. */

static void
cancel(const service *s, const char *text)
{
    size_t number = 0;
    request *r = NULL;

    if (parse_count(text, 1, &number))
        for (r = s->first; r && r->number != number;)
            r = r->next;
    if (!r)
        printf("'%s' is no job that could be cancelled\n", text);
    else if (dsm_job_cancel(r->job, DSM_GRACE) < 0)
        give_up();
}

static double
seconds_since(double time_of_day)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - time_of_day;
}

static void
print_status(const service *s)
{
    if (!s->first)
        printf("all %zu jobs have ended\n", s->submitted);
    for (const request *r = s->first; r; r = r->next) {
        dsm_job_info info = DSM_JOB_INFO_INIT;

        if (dsm_job_status(r->job, &info) < 0)
            give_up();
        if (info.state == DSM_JOB_RUNNING)
            printf("job %zu: %zu, for %.1f s on worker %u\n", r->number,
                   r->limit, seconds_since(info.started), info.worker);
        else
            printf("job %zu: %zu, %s\n", r->number, r->limit,
                   info.state == DSM_JOB_QUEUED ? "queued" : "ended just now");
    }
}

static void
obey(service *s, const char *text)
{
    size_t limit;

    if (parse_count(text, 0, &limit))
        submit(s, limit);
    else if (strncmp(text, "cancel ", 7) == 0)
        cancel(s, text + 7);
    else if (strcmp(text, "status") == 0)
        print_status(s);
    else if (strcmp(text, "stats") == 0)
        dsm_cluster_print_stats(s->cluster, stdout);
    else if (strcmp(text, "quit") == 0)
        s->over = true;
    else
        printf("'%s' is no number and no command; try --help\n", text);
}

/* ---- Input. */

static void
end_line(service *s)
{
    line *l = &s->line;

    if (l->length < sizeof l->text) {
        l->text[l->length] = '\0';
        if (l->length > 0)
            obey(s, l->text);
    } else {
        printf("'%.40s...' is longer than any command\n", l->text);
    }
    l->length = 0;
}

static void
read_byte(service *s, char byte)
{
    line *l = &s->line;

    if (byte == '\n') {
        end_line(s);
        return;
    }
    if (l->length < sizeof l->text)
        l->text[l->length] = byte ? byte : '?';
    l->length++;
}

/* Only what is there: a read(2) after poll(2) does not wait. */
static void
read_input(service *s)
{
    char bytes[4096];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

    if (n < 0 && errno != EINTR && errno != EAGAIN)
        fail("reading the standard input: %s", strerror(errno));
    if (n == 0) {
        end_line(s);
        s->over = true;
    }
    for (ssize_t k = 0; k < n && !s->over; k++)
        read_byte(s, bytes[k]);
}

static void
serve(service *s)
{
    struct pollfd sources[] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = dsm_cluster_fd(s->cluster), .events = POLLIN}};

    if (sources[1].fd < 0)
        give_up();
    while (!s->over) {
        if (poll(sources, 2, -1) < 0) {
            if (errno != EINTR)
                fail("poll: %s", strerror(errno));
            continue;
        }
        if (sources[1].revents && dsm_cluster_poll(s->cluster, 0) < 0)
            give_up();
        if (sources[0].revents)
            read_input(s);
    }
    if (dsm_cluster_drain(s->cluster, DSM_FOREVER) < 0)
        give_up();
}

static void
parse(int argc, char **argv, size_t *workers, size_t *max_jobs)
{
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'p'},
        {"max-jobs", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0}};
    int option;

    while ((option = getopt_long(argc, argv, "p:j:", options, NULL)) >= 0)
        switch (option) {
        case 'p':
            *workers = whole_number(optarg, 1, UINT_MAX);
            break;
        case 'j':
            *max_jobs = whole_number(optarg, 1, UINT_MAX);
            break;
        case 'h':
            fputs(HELP, stdout);
            exit(EXIT_SUCCESS);
        default:
            misuse("try --help");
        }
    if (optind < argc)
        misuse("unexpected argument '%s'; try --help", argv[optind]);
}

int
main(int argc, char **argv)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    size_t workers = 0, max_jobs = 0;
    service s = {.end = &s.first};

    program = "eventloop";
    parse(argc, argv, &workers, &max_jobs);
    setvbuf(stdout, NULL, _IOLBF, 0); /* whoever asks may read by a pipe */
    options.max_jobs = (unsigned)max_jobs;
    if (dsm_cluster_create(&s.cluster, (unsigned)workers, &options) < 0)
        give_up();
    serve(&s);
    dsm_cluster_destroy(s.cluster);
    if (fflush(stdout) || ferror(stdout))
        fail("not all results could be written");
    return s.failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
