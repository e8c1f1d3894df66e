/* A threaded spawn: threads stand for a cluster's processes, so that
 * ThreadSanitizer, which is blind across processes, sees how regions, gates,
 * locks and queues order what is written.  The tests' data are plain on
 * purpose: whatever is not ordered by the library is a race that it reports.
 *
 * The control segment is a memfd that the library lays out as ever.  Worker
 * threads wait for regions and end their parts with the library's own calls,
 * and the main thread is the controller.  A thread that ends in the middle is a
 * worker that died: a supervisor thread reaps it, ends its part, and starts
 * another. */
#ifndef TESTS_THREADED_H
#define TESTS_THREADED_H

#include "support.h"

#include "base/clock.h"
#include "cluster/cluster.h"
#include "cluster/outcome.h"
#include "cluster/work.h"
#include "os/identity.h"
#include "pool/pool.h"
#include "registry/mutex.h"
#include "registry/object.h"
#include "sync/gate.h"
#include "sync/lock.h"
#include "sync/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORKERS 4
#define SIZE ((size_t)8 << 20)

/* Of the pool, behind that, and of the jobs in it; for a test that has some. */
#ifndef POOL
#define POOL ((size_t)0)
#define JOBS_MAX 0
#endif

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer does not know this call, and would take the mutex for free.
 */
int
pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
                        const struct timespec *until)
{
    struct timespec now, moment = {.tv_nsec = 50000};
    int error;

    while ((error = pthread_mutex_trylock(mutex)) == EBUSY) {
        clock_gettime(clock, &now);
        if (now.tv_sec > until->tv_sec ||
            (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
            return ETIMEDOUT;
        nanosleep(&moment, NULL);
    }
    return error;
}
#endif

/* ---- The spawn. */

static dsm_cluster cluster;
static struct dsm__control *control;
static pthread_t threads[WORKERS], supervisor;
static struct dsm__event deaths; /* counts dead threads */
static _Atomic bool dead[WORKERS];
static _Thread_local jmp_buf death;

static inline bool
region_begins(const void *context)
{
    const dsm_worker *self = context;

    return dsm__region_now(control) != self->slot->began;
}

/* As worker processes do, whom jobs may wake, too. */
static inline void
wait_for_region(const dsm_worker *self)
{
    while (!region_begins(self))
        if (!dsm__spin_until(control, region_begins, self, control->spins))
            (void)dsm__sleep_until(control, &control->work.event, region_begins,
                                   self, DSM__NO_DEADLINE);
}

/* This thread's function ends here, and its part does not. */
static inline _Noreturn void
die(void)
{
    longjmp(death, 1);
}

static inline void
tell_supervisor(unsigned id)
{
    dead[id] = true;
    atomic_fetch_add(&deaths.word, 1);
    dsm__wake(&deaths.word, &deaths.sleeping);
}

static inline void *
worker_main(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    dsm_worker self;
    jmp_buf failed;

    dsm__worker_init(&self, &cluster, id);
    dsm__worker_become(control, self.slot, false);
    dsm__locks_reset();
    self.failed = &failed;
    atomic_store(&self.slot->state, DSM_WORKER_IDLE);
    for (;;) {
        wait_for_region(&self);
        if (control->stopping)
            return NULL;
        /* As a process would: it fails or forgets a lock, and is replaced. */
        if (setjmp(death) || setjmp(failed) || !dsm__part_run(&self)) {
            tell_supervisor(id);
            return NULL;
        }
        dsm__part_end(control, id, self.region);
    }
}

static inline void
start_worker(unsigned id)
{
    ck_assert_int_eq(
        pthread_create(&threads[id], NULL, worker_main, (void *)(uintptr_t)id),
        0);
}

/* What the supervisor does for a dead process. */
static inline void
bury(unsigned id)
{
    struct dsm__worker_slot *slot = dsm__worker_slot(control, id);
    uint32_t region = slot->began;

    pthread_join(threads[id], NULL);
    dead[id] = false;
    dsm__outcome_fail(control, slot, DSM_EWORKER, "worker %u died in region %u",
                      id, region);
    dsm__region_interrupt(control, region, DSM__LOST);
    dsm__part_end(control, id, region);
    start_worker(id);
}

static inline void *
supervisor_main(void *argument)
{
    uint32_t seen = 0;

    (void)argument;
    while (!control->stopping) {
        while (atomic_load(&deaths.word) == seen && !control->stopping)
            (void)dsm__wait(control, &deaths.word, seen, &deaths.sleeping,
                            DSM__NO_DEADLINE);
        seen = deaths.word;
        for (unsigned id = 0; id < WORKERS; id++)
            if (dead[id])
                bury(id);
    }
    return NULL;
}

static inline void
make_control(unsigned workers)
{
    struct dsm__member *member = &cluster.member;
    size_t first = dsm__control_layout(NULL, workers, SIZE);

    member->fd = memfd_create("dsm-threaded", MFD_CLOEXEC);
    ck_assert_int_ge(member->fd, 0);
    ck_assert_int_eq(ftruncate(member->fd, SIZE + POOL), 0);
    ck_assert_int_eq(posix_fallocate(member->fd, 0, (off_t)first), 0);
    control = mmap(NULL, SIZE + POOL, PROT_READ | PROT_WRITE, MAP_SHARED,
                   member->fd, 0);
    ck_assert_ptr_ne(control, MAP_FAILED);
    member->space.base = (char *)control;
    member->space.size = SIZE + POOL;
    member->control = control;
    member->seen = &control->controller_seen;
    dsm__control_layout(control, workers, SIZE);
    control->space_size = SIZE + POOL;
    dsm__pool_layout(&control->pool, JOBS_MAX, POOL);
    control->ticks_then = dsm__ticks();
    control->ns_then = dsm__now() - 1;
    strcpy(control->name, test_name());
    dsm__gate_init(&control->region.gate, workers);
    dsm__wait_tune(control, workers);
    ck_assert_int_eq(dsm__mutex_init(&control->alive), 0);
    ck_assert_int_eq(dsm__mutex_init(&control->registry), 0);
    /* Whoever has this is the supervisor, and lives. */
    pthread_mutex_lock(&control->alive);
}

static inline void
drop_control(void)
{
    pthread_mutex_unlock(&control->alive);
    munmap(control, SIZE + POOL);
    close(cluster.member.fd);
}

static inline void
spawn(void)
{
    memset(&cluster, 0, sizeof cluster);
    memset(&deaths, 0, sizeof deaths);
    ck_assert_int_eq(dsm__identity_arm(), 0);
    cluster.member.role = DSM__CONTROLLER;
    cluster.member.command = -1;
    pthread_mutex_init(&cluster.regions, NULL);
    pthread_mutex_init(&cluster.commands, NULL);
    make_control(WORKERS);
    dsm__member_add(&cluster.member);
    for (unsigned id = 0; id < WORKERS; id++)
        start_worker(id);
    ck_assert_int_eq(pthread_create(&supervisor, NULL, supervisor_main, NULL),
                     0);
}

static inline void
end_spawn(void)
{
    atomic_store(&control->stopping, 1);
    atomic_fetch_add(&control->region.epoch, 1);
    dsm__event_reset(&control->work.event);
    atomic_fetch_add(&deaths.word, 1);
    dsm__wake(&deaths.word, &deaths.sleeping);
    pthread_join(supervisor, NULL);
    for (unsigned id = 0; id < WORKERS; id++)
        pthread_join(threads[id], NULL);
    dsm__member_remove(&cluster.member);
    pthread_mutex_destroy(&cluster.regions);
    pthread_mutex_destroy(&cluster.commands);
    drop_control();
}

static inline int
rounds(void)
{
    return test_sanitized() ? 200 : 1000;
}

#endif
