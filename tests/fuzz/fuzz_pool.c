/* The pool of jobs in a control segment that is damaged: what workers, the
 * supervisor and programs make of it, all of them in this one process, on the
 * image's control segment, of which nobody has checked anything since it was
 * attached to.
 *
 * An input is steps of 12 bytes, in turn: damage somewhere in the pool; a
 * program submits, looks, cancels, releases or is gone; a worker takes jobs and
 * runs them, or dies on the way; the supervisor buries it.  A job's function
 * may itself take steps, which then happen while it runs.  There are two
 * workers and two programs, the first and the last: what is beyond the latter's
 * bodies is no memory.
 *
 * Only what a worker is to call is kept whole: the address of a function may be
 * anything, and the worker then dies of it. */
#include "image.h"

#include "base/point.h"
#include "cluster/command.h"
#include "cluster/perform.h"
#include "cluster/watch.h"
#include "cluster/work.h"
#include "code/function.h"
#include "job/ledger.h"
#include "pool/recover.h"

#include <dsm/error.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#define WORKERS 2
#define PROGRAMS 2
#define HANDLES 8
#define STEPS_MOST 40
#define LARGE 5000 /* bytes, of arguments and results */

struct step {
    uint8_t what, how;
    uint16_t place;
    uint64_t value;
};

struct program {
    dsm_cluster cluster;
    unsigned number;
    dsm_job *jobs[HANDLES];
    char *part; /* of the pool, as it was */
};

static struct dsm__control *control;
static struct program programs[PROGRAMS];
static _Atomic uint64_t generation; /* that all have seen */
static dsm_worker workers[WORKERS];
static bool dead[WORKERS];
static struct dsm__watch watch;
static dsm_fn exported; /* a function that has a name */
static char *head;      /* of the control segment, as it was, with the slots */
static bool any_part;   /* other programs' parts may have been written to */

static const uint8_t *input;
static size_t input_left;
static dsm_worker *performing; /* who takes jobs, or NULL */
static unsigned steps_in;      /* its job's function takes so many more */
static uint64_t acts;          /* what it does besides */
static unsigned points_left;   /* then the worker dies; 0: never */
static jmp_buf death;

static bool take_step(void);

/* Whatever fails says why. */
static void
tried(int result)
{
    fuzz_check(result >= 0 || *dsm_last_error());
}

static void
touch(const void *data, size_t size)
{
    const volatile char *bytes = data;

    fuzz_check(size == 0 || data);
    for (size_t k = 0; k < size; k += 512)
        (void)bytes[k];
    if (size)
        (void)bytes[size - 1];
}

/* ---- In place of what would reach beyond this process. */

int __wrap_pause(void);
void __wrap__exit(int status);
void __real__exit(int status) __attribute__((noreturn));
int __wrap_dup2(int fd, int to);
int __real_dup2(int fd, int to);
int __wrap_dsm__command(int fd, const struct dsm__control *of,
                        const struct dsm__request *request, int32_t *value,
                        int timeout_ms);
int __real_dsm__command(int fd, const struct dsm__control *of,
                        const struct dsm__request *request, int32_t *value,
                        int timeout_ms);
int __wrap_dsm__function_find(dsm_fn *fn, const char *text, size_t size);
int __real_dsm__function_find(dsm_fn *fn, const char *text, size_t size);

/* A worker waits to be killed, as somebody will. */
int
__wrap_pause(void)
{
    fuzz_check(dsm__word_phase(performing->job->word) == DSM__JOB_DOOMED);
    longjmp(death, 1);
}

void
__wrap__exit(int status)
{
    if (performing)
        longjmp(death, 1);
    __real__exit(status);
}

/* Where findings are printed nobody's output is captured. */
int
__wrap_dup2(int fd, int to)
{
    return control && to == STDERR_FILENO ? to : __real_dup2(fd, to);
}

/* As the supervisor does for a program, whose descriptor is its place here. */
int
__wrap_dsm__command(int fd, const struct dsm__control *of,
                    const struct dsm__request *request, int32_t *value,
                    int timeout_ms)
{
    if (of != control)
        return __real_dsm__command(fd, of, request, value, timeout_ms);
    fuzz_check(request->verb == DSM__CANCEL_JOB);
    dsm__errands_cancel(&watch, programs[fd].number, request->entry,
                        request->value);
    return 0;
}

static int work(dsm_worker *self, const void *arg, size_t size);

int
__wrap_dsm__function_find(dsm_fn *fn, const char *text, size_t size)
{
    int error = __real_dsm__function_find(fn, text, size);

    fuzz_check(error || *fn);
    if (control)
        *fn = work;
    return error;
}

/* ---- Workers. */

enum {
    PUBLISHES = 1,
    PUBLISHES_MUCH = 2,
    WAITS = 4, /* until it was taken */
    RETURNS = 8,
    RETURNS_MUCH = 16,
    FAILS = 32,
    PRINTS = 64,
    ENDS = 128,
    /* What callbacks do. */
    LOOKS_AWAY = 256,
    RELEASES = 512
};

/* Where it dies it has no file open. */
static void
count_points(const char *point)
{
    if (strncmp(point, "parcel.", 7) != 0 &&
        strncmp(point, "segment.", 8) != 0 && points_left > 0 &&
        --points_left == 0)
        longjmp(death, 1);
}

/* What is damaged is not whom to call. */
static void
keep_functions(void)
{
    for (unsigned p = 0; p < PROGRAMS; p++)
        for (uint32_t k = 0; k < control->pool.jobs_max; k++)
            dsm__job(control, programs[p].number, k)->fn = work;
}

/* A job's function. */
static int
work(dsm_worker *self, const void *arg, size_t size)
{
    static const char data[LARGE];
    unsigned points = points_left;

    touch(arg, size);
    points_left = 0;
    dsm__worker_become(control, NULL, false);
    while (steps_in > 0 && take_step())
        steps_in--;
    keep_functions();
    dsm__worker_become(control, self->slot, false);
    points_left = points;
    if (acts & PRINTS)
        printf("printed\n");
    if (acts & PUBLISHES)
        tried(dsm_worker_publish(self, data, 8, acts & WAITS ? -1 : 0));
    if (acts & PUBLISHES_MUCH)
        tried(dsm_worker_publish(self, data, LARGE, acts & WAITS ? -1 : 0));
    if (acts & RETURNS_MUCH)
        tried(dsm_worker_return(self, data, LARGE));
    if (acts & RETURNS)
        tried(dsm_worker_return(self, data, 8));
    if (acts & ENDS)
        dsm_worker_fail(self, -1, "ends");
    return acts & FAILS ? -1 : 0;
}

/* What a dead process had open. */
static void
close_output(dsm_worker *self)
{
    for (int k = 0; k < 2; k++)
        if (self->saved_output[k] >= 0) {
            fflush(k == 0 ? stdout : stderr);
            dup2(self->saved_output[k], STDOUT_FILENO + k);
            close(self->saved_output[k]);
            self->saved_output[k] = -1;
        }
}

static void
check_worker(const dsm_worker *self)
{
    fuzz_check(self->taker.count <= DSM__BLOCK_MAX);
    fuzz_check(self->taker.next <= self->taker.count);
    fuzz_check(self->taker.program < DSM__PROGRAMS_MAX);
    fuzz_check(self->ended_count <= DSM__BLOCK_MAX);
}

static void
perform(const struct step *step)
{
    unsigned id = step->how % WORKERS;

    if (performing || dead[id])
        return;
    performing = &workers[id];
    steps_in = step->how >> 4;
    points_left = step->place % 64;
    acts = step->value;
    if (step->how & 8)
        performing->taker.misses = 100; /* as after a while */
    keep_functions();
    dsm__worker_become(control, performing->slot, false);
    if (setjmp(death) == 0) {
        dsm__perform(performing);
        check_worker(performing);
    } else {
        dead[performing->id] = true;
        close_output(performing);
    }
    performing = NULL;
    points_left = 0;
    dsm__worker_become(control, NULL, false);
}

/* ---- The supervisor. */

static void
start_worker(unsigned id)
{
    dsm__crates_free(&workers[id].crates);
    dsm__worker_init(&workers[id], &programs[0].cluster, id);
    dead[id] = false;
}

static void
bury(const struct step *step)
{
    struct dsm__death how = {.signal = 9, .manner = "died of SIGKILL"};
    unsigned id = step->how % WORKERS, failed;

    if (performing == &workers[id])
        return;
    failed = dsm__pool_bury(control, id, &how);
    fuzz_check(failed <= DSM__BLOCK_MAX);
    start_worker(id);
}

static void
look(const struct step *step)
{
    dsm__errands_look(&watch, step->how & 1 ? INT64_MAX / 2 : 0);
    fuzz_check(dsm__errands_next(&watch, 0) >= 0);
}

static void
errand(const struct step *step)
{
    unsigned program = programs[step->how % PROGRAMS].number;
    int worker;

    switch (step->how >> 1 & 3) {
    case 0:
        dsm__queued_check(control);
        break;
    case 1:
        dsm__programs_wake(control);
        break;
    case 2:
        dsm__program_welcome(control, program);
        break;
    default:
        dsm__errands_cancel(&watch, program, step->value, step->place % 2);
        worker = dsm__job_doom(control, program, step->value);
        fuzz_check(worker >= -1 && worker < WORKERS);
    }
}

/* ---- Programs. */

static struct program *
program_of(const struct step *step)
{
    return &programs[step->how % PROGRAMS];
}

static void
keep(struct program *program, dsm_job *job)
{
    dsm_job **free_place = NULL;

    for (unsigned k = 0; k < HANDLES; k++) {
        if (program->jobs[k] == job)
            return;
        if (!program->jobs[k])
            free_place = &program->jobs[k];
    }
    if (free_place)
        *free_place = job;
    else
        dsm_job_release(job);
}

static void
use_result(dsm_job *job)
{
    const void *data = NULL;
    size_t size = 0;

    if (dsm_job_result(job, &data, &size, 0) != DSM_EPENDING)
        touch(data, size);
    if (dsm_job_provisional(job, &data, &size) == 0)
        touch(data, size);
}

static void
use_status(dsm_job *job)
{
    dsm_job_info info = DSM_JOB_INFO_INIT;

    tried(dsm_job_status(job, &info));
    fuzz_check(strlen(info.name) < sizeof info.name);
    fuzz_check(strlen(info.message) < sizeof info.message);
    fuzz_check(info.state <= DSM_JOB_CANCELLED);
    if (info.out)
        touch(info.out, info.out_size);
    if (info.err)
        touch(info.err, info.err_size);
}

static void
release_one(dsm_job **job)
{
    dsm_job_release(*job);
    *job = NULL;
}

static void
called(dsm_job *job, void *arg)
{
    struct program *program = arg;

    if (acts & LOOKS_AWAY)
        return;
    use_status(job);
    use_result(job);
    for (unsigned k = 0; acts & RELEASES && k < HANDLES; k++)
        if (program->jobs[k] == job)
            release_one(&program->jobs[k]);
}

static void
submit(const struct step *step)
{
    static const char data[3 * LARGE];
    struct program *program = program_of(step);
    dsm_job_options options = DSM_JOB_OPTIONS_INIT;
    dsm_job *jobs[3] = {NULL};
    size_t size = step->how & 16 ? LARGE : step->how & 32 ? 16 : 0;

    options.nowait = true;
    options.callback = step->how & 2 ? called : NULL;
    options.callback_arg = program;
    options.capture_output = (step->how & 4) != 0;
    options.name = step->how & 8 ? "job" : NULL;
    options.retries = step->value & 3;
    options.priority = (int)(step->value >> 8 & 7) % 7 - 3;
    tried(dsm_job_map(step->how & 64 ? NULL : jobs, &program->cluster,
                      program->number ? exported : work, size ? data : NULL,
                      size, step->how & 128 ? 3 : 1, &options));
    for (unsigned k = 0; k < 3; k++)
        if (jobs[k])
            keep(program, jobs[k]);
}

static void
see(const struct step *step)
{
    dsm_job *job = program_of(step)->jobs[step->place % HANDLES];

    if (!job)
        return;
    use_status(job);
    use_result(job);
}

static void
next(const struct step *step)
{
    struct program *program = program_of(step);
    dsm_job *job;

    if (step->how & 2)
        tried(dsm_cluster_fd(&program->cluster));
    if (step->how & 4)
        tried(dsm_cluster_poll(&program->cluster, 0));
    else if (step->how & 8)
        tried(dsm_cluster_drain(&program->cluster, 0));
    else if (dsm_job_next(&job, &program->cluster, 0) == 0)
        keep(program, job);
}

static void
cancel(const struct step *step)
{
    dsm_job *job = program_of(step)->jobs[step->place % HANDLES];

    if (job)
        tried(dsm_job_cancel(job, step->how & 2   ? 0
                                  : step->how & 4 ? DSM_GRACE
                                                  : DSM_FOREVER));
}

static void
release(const struct step *step)
{
    release_one(&program_of(step)->jobs[step->place % HANDLES]);
}

/* Its process ends. */
static void
leave(struct program *program)
{
    struct dsm__ledger *ledger = program->cluster.ledger;

    memset(program->jobs, 0, sizeof program->jobs);
    if (ledger)
        program->cluster.ledger_free(ledger);
    program->cluster.ledger = NULL;
}

static void
be_gone(const struct step *step)
{
    leave(program_of(step));
    dsm__errands_program_gone(&watch, program_of(step)->number);
}

/* Each slot is free, or has a job, once. */
static void
check_ledger(const struct dsm__ledger *ledger)
{
    uint64_t seen = 0;
    unsigned unfinished = 0;

    fuzz_check(ledger->slots <= ledger->jobs_max);
    fuzz_check(ledger->free_count <= ledger->slots);
    for (uint32_t k = 0; k < ledger->free_count; k++) {
        fuzz_check(ledger->free[k] < ledger->slots);
        fuzz_check(!(seen >> ledger->free[k] & 1));
        seen |= UINT64_C(1) << ledger->free[k];
    }
    for (uint32_t k = 0; k < ledger->slots; k++)
        if (!(seen >> k & 1) && !ledger->jobs[k].over)
            unfinished++;
    fuzz_check(ledger->unfinished == unfinished);
    fuzz_check(ledger->unfinished_released + ledger->unfinished_next +
                   ledger->unfinished_due ==
               unfinished);
}

/* ---- Damage. */

struct area {
    char *at;
    size_t size;
};

enum { WORK, BLOCK, BOARD, AGAIN, ENDED, QUEUED, JOBS, BODIES, AREAS };

/* From the board on they are a program's part of the pool. */
static struct area
area_of(unsigned kind, unsigned which)
{
    const struct dsm__pool_layout *pool = &control->pool;
    unsigned program = programs[which].number;
    struct dsm__worker_slot *slot = dsm__worker_slot(control, which);

    switch (kind) {
    case WORK:
        return (struct area){(char *)&control->work, sizeof control->work};
    case BLOCK:
        return (struct area){
            (char *)slot->block,
            (size_t)((char *)&slot->pid - (char *)slot->block)};
    case BOARD:
        return (struct area){dsm__pool_at(control, program, 0),
                             sizeof(struct dsm__board)};
    case AGAIN:
        return (struct area){dsm__pool_at(control, program, pool->again),
                             pool->ring / 8};
    case ENDED:
        return (struct area){dsm__pool_at(control, program, pool->ended),
                             2 * pool->ring * 8};
    case QUEUED:
        return (struct area){dsm__pool_at(control, program, pool->rings),
                             DSM__PRIORITIES * pool->ring * 8};
    case JOBS:
        return (struct area){dsm__pool_at(control, program, pool->jobs),
                             pool->jobs_max * sizeof(struct dsm__job)};
    default:
        return (struct area){dsm__pool_at(control, program, pool->bodies),
                             pool->jobs_max * sizeof(struct dsm__body)};
    }
}

static void
damage(const struct step *step)
{
    struct area area = area_of(step->how % AREAS, step->how >> 3 & 1);
    size_t size = (size_t)1 << (step->how >> 4 & 3);
    char *at = area.at + (size_t)step->place * 4 % (area.size - 7);
    uint64_t value = step->value, old = 0;

    memcpy(&old, at, size);
    if (step->how & 64)
        value += old;
    memcpy(at, &value, size);
    any_part =
        any_part || control->work.boards[0] > 1 || control->work.boards[1] > 1;
}

/* ---- */

static bool
take_step(void)
{
    static void (*const steps[])(const struct step *) = {
        damage, submit, perform, bury,    see,  next,
        damage, cancel, release, be_gone, look, errand};
    struct step step;

    if (input_left < 12)
        return false;
    step.what = input[0] % (sizeof steps / sizeof *steps);
    step.how = input[1];
    memcpy(&step.place, input + 2, sizeof step.place);
    memcpy(&step.value, input + 4, sizeof step.value);
    input += 12;
    input_left -= 12;
    steps[step.what](&step);
    for (unsigned p = 0; p < PROGRAMS; p++)
        if (programs[p].cluster.ledger)
            check_ledger(programs[p].cluster.ledger);
    return true;
}

static char *
copy_of(const void *at, size_t size)
{
    char *copy = malloc(size);

    fuzz_check(copy);
    return memcpy(copy, at, size);
}

/* Copies what is mostly written to: new pages take longer. */
static void
renew(void)
{
    image_renew(control, any_part);
    any_part = false;
    memcpy(control, head, control->scratch_offset);
    for (unsigned which = 0; which < PROGRAMS; which++)
        for (unsigned kind = BOARD; kind < AREAS; kind++) {
            struct area area = area_of(kind, which),
                        first = area_of(BOARD, which);

            memcpy(area.at, programs[which].part + (area.at - first.at),
                   area.size);
        }
}

/* What is behind each area in its last page belongs to nobody. */
static void
poison(unsigned which)
{
    char *end = area_of(BOARD, which).at + control->pool.size;

    for (unsigned kind = AREAS - 1; kind >= BOARD; kind--) {
        struct area area = area_of(kind, which);

        ASAN_POISON_MEMORY_REGION(area.at + area.size,
                                  (size_t)(end - area.at) - area.size);
        end = area.at;
    }
}

static void
make_program(unsigned which, unsigned number, int fd)
{
    struct program *program = &programs[which];
    struct dsm__member *member = &program->cluster.member;

    program->number = number;
    strcpy(program->cluster.name, image_name);
    pthread_mutex_init(&program->cluster.commands, NULL);
    program->cluster.objects = dsm__objects_now();
    member->role = number ? DSM__ATTACHED : DSM__CONTROLLER;
    member->index = number ? number - 1 : 0;
    member->command = (int)which;
    member->control = control;
    member->space.base = (char *)control;
    member->space.size = control->space_size;
    member->fd = fd;
    member->seen = &generation;
    program->part = copy_of(area_of(BOARD, which).at, control->pool.size);
    poison(which);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char path[DSM__PATH_SIZE];
    int fd;

    (void)argc, (void)argv;
    image_make();
    image_restore();
    control = image_map();
    fuzz_check(control->workers == WORKERS && control->first == 0);
    fuzz_check(control->pool.jobs_max > 0 && control->pool.jobs_max <= 64);
    dsm__path(path, NULL, image_name, NULL);
    fd = open(path, O_RDWR | O_CLOEXEC);
    fuzz_check(fd >= 0);
    generation = control->generation;
    control->work.boards[0] = 0; /* of the image's program */
    head = copy_of(control, control->scratch_offset);
    *(void **)&exported = dlsym(RTLD_DEFAULT, "getppid");
    make_program(0, 0, fd);
    make_program(1, DSM__PROGRAMS_MAX - 1, fd);
    watch.cluster = &programs[0].cluster;
    watch.control = control;
    watch.pids = calloc(WORKERS, sizeof *watch.pids);
    watch.dooms = calloc(WORKERS, sizeof *watch.dooms);
    fuzz_check(exported && watch.pids && watch.dooms);
    dsm__point_hook = count_points;
    /* What jobs print, and what of it their process is to print. */
    fuzz_check(freopen("/dev/null", "we", stdout));
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    renew();
    memset(watch.dooms, 0, WORKERS * sizeof *watch.dooms);
    memset(watch.gone, 0, sizeof watch.gone);
    for (unsigned id = 0; id < WORKERS; id++)
        start_worker(id);
    for (unsigned p = 0; p < PROGRAMS; p++)
        dsm__member_add(&programs[p].cluster.member);
    acts = 0;
    input = data;
    input_left = size < 12 * STEPS_MOST ? size : 12 * STEPS_MOST;
    while (take_step())
        ;
    for (unsigned p = 0; p < PROGRAMS; p++) {
        leave(&programs[p]);
        dsm__member_remove(&programs[p].cluster.member);
    }
    image_end();
    return 0;
}
