/* dsmctl submit: runs a function of a shared object, or of a C file, as a job
 * of a cluster that another program has made. */
#include "submit.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct submission {
    const char *cluster;
    char *file; /* of the operand FILE:FUNCTION */
    const char *function;
    char *words; /* the function's argument: words, a zero behind each */
    size_t words_size;
    dsm_job_options options;
    struct object object;
    struct signals signals;
};

/* ---- What to run. */

static int
split_operand(struct submission *submission, char *operand)
{
    char *colon = strrchr(operand, ':');

    if (!colon || colon == operand || colon[1] == '\0') {
        complain("'%s' is not FILE:FUNCTION", operand);
        return EXIT_USAGE;
    }
    *colon = '\0';
    submission->file = operand;
    submission->function = colon + 1;
    return EXIT_OK;
}

static void
join_words(struct submission *submission, char **words, int count)
{
    char *end;

    for (int k = 0; k < count; k++)
        submission->words_size += strlen(words[k]) + 1;
    if (count == 0)
        return;
    submission->words = end = malloc(submission->words_size);
    if (!end) {
        complain("out of memory");
        exit(EXIT_FAILED);
    }
    for (int k = 0; k < count; k++)
        end = stpcpy(end, words[k]) + 1;
}

static bool
is_c_file(const char *file)
{
    size_t length = strlen(file);

    return length > 2 && strcmp(file + length - 2, ".c") == 0;
}

/* A path must do for the workers, too, which may be in another directory.  What
 * is no file here is for the loader to find. */
static int
find_object(struct submission *submission)
{
    struct object *object = &submission->object;
    const char *file = submission->file;

    if (is_c_file(file))
        return object_compile(object, file, &submission->signals.old_mask);
    if (realpath(file, object->path))
        return EXIT_OK;
    if (strchr(file, '/') || strlen(file) >= sizeof object->path) {
        complain("%s: %s", file, strerror(errno));
        return EXIT_FAILED;
    }
    strcpy(object->path, file);
    return EXIT_OK;
}

/* It is not closed again: the process ends soon. */
static dsm_fn
load_function(const struct submission *submission)
{
    void *library = dlopen(submission->object.path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, submission->function) : NULL;
    dsm_fn function = NULL;

    if (!library)
        complain("cannot load %s", dlerror());
    else if (!symbol)
        complain("%s has no function %s", submission->file,
                 submission->function);
    memcpy(&function, &symbol, sizeof function); /* as POSIX wants it */
    return function;
}

/* ---- Running it. */

/* The first signal asks the job to end, another kills it. */
static void
attend(struct submission *submission, dsm_cluster *cluster, dsm_job *job)
{
    struct pollfd polled[] = {{.fd = dsm_cluster_fd(cluster), .events = POLLIN},
                              {.fd = submission->signals.fd, .events = POLLIN}};
    bool again = submission->signals.caught != 0;

    /* Not for ever: that the supervisor is gone shows only in a call. */
    (void)poll(polled, 2, 100);
    if (signals_take(&submission->signals))
        (void)dsm_job_cancel(job, again ? 0 : DSM_GRACE);
}

static int
print_bytes(FILE *stream, const void *bytes, size_t size)
{
    if (size == 0 || fwrite(bytes, 1, size, stream) == size)
        return EXIT_OK;
    return EXIT_FAILED; /* close_stdout tells */
}

/* What it printed, its result, and how it failed. */
static int
finish(struct submission *submission, dsm_cluster *cluster, dsm_job *job)
{
    dsm_job_info info = DSM_JOB_INFO_INIT;
    const void *result = NULL;
    size_t size = 0;
    int error, code = EXIT_OK;
    char sentence[512];

    while ((error = dsm_job_result(job, &result, &size, 0)) == DSM_EPENDING)
        attend(submission, cluster, job);
    /* Before it prints: that may be its end (SIGPIPE). */
    object_remove(&submission->object);
    snprintf(sentence, sizeof sentence, "%s",
             error < 0 ? dsm_last_error() : "");
    if (dsm_job_status(job, &info) == 0) {
        code = print_bytes(stdout, info.out, info.out_size);
        (void)print_bytes(stderr, info.err, info.err_size);
    }
    if (print_bytes(stdout, result, size) != EXIT_OK)
        code = EXIT_FAILED;
    if (error == 0)
        return code;
    complain("%s", *sentence ? sentence : dsm_strerror(error));
    return EXIT_FAILED;
}

static int
run(struct submission *submission, dsm_fn function)
{
    dsm_cluster *cluster;
    dsm_job *job = NULL;
    int error = dsm_cluster_attach(&cluster, submission->cluster);
    int code = EXIT_FAILED;

    if (error >= 0)
        error = dsm_job_submit(&job, cluster, function, submission->words,
                               submission->words_size, &submission->options);
    if (error < 0)
        complain_of(submission->cluster, error);
    else
        code = finish(submission, cluster, job);
    dsm_job_release(job);
    dsm_cluster_destroy(cluster);
    return code;
}

static int
submit(struct submission *submission)
{
    dsm_fn function = NULL;
    int code;

    signals_hold(&submission->signals);
    code = find_object(submission);
    /* The terminal's Ctrl-C ends the compiler, too. */
    if (!signals_take(&submission->signals) && code == EXIT_OK) {
        function = load_function(submission);
        code = function ? run(submission, function) : EXIT_FAILED;
    }
    object_remove(&submission->object);
    signals_let_go(&submission->signals);
    return code;
}

int
command_submit(const struct request *request)
{
    struct submission submission = {.cluster = request->operands[0],
                                    .options = DSM_JOB_OPTIONS_INIT};
    int code = split_operand(&submission, request->operands[1]);

    if (!parse_number(request, OPTION_RETRIES, 0, UINT_MAX,
                      &submission.options.retries))
        code = EXIT_USAGE;
    if (code != EXIT_OK)
        return code;
    submission.options.name = request->options[OPTION_NAME];
    if (!submission.options.name)
        submission.options.name = submission.function;
    submission.options.capture_output = true;
    join_words(&submission, request->operands + 2, request->operand_count - 2);
    code = submit(&submission);
    free(submission.words);
    return code;
}
