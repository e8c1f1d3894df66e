/* Regions and their ends, with threads for processes: see threaded.h. */
#include "threaded.h"

/* ---- Regions. */

static long row[WORKERS], total;

/* Reads what the controller wrote, writes what it will read. */
static int
square(dsm_worker *self, const void *arg, size_t arg_size)
{
    const long *given = arg;

    if (arg_size != sizeof *given || *given != total)
        return 1;
    row[dsm_worker_id(self)] += *given;
    return 0;
}

START_TEST(regions_order_arguments_and_results)
{
    long sum = 0;

    spawn();
    memset(row, 0, sizeof row);
    for (total = 0; total < rounds(); total++) {
        ck_dsm(dsm_cluster_run(&cluster, square, &total, sizeof total));
        sum += total;
        for (unsigned w = 0; w < WORKERS; w++)
            ck_assert_int_eq(row[w], sum);
    }
    end_spawn();
}
END_TEST

/* Each writes its own and reads all others'. */
static int
shift(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned id = dsm_worker_id(self), next = (id + 1) % WORKERS;

    (void)arg_size;
    for (int k = 0; k < *(const int *)arg; k++) {
        long seen, sum = id;

        row[id] = k;
        if (dsm_worker_barrier(self) != 0)
            return 1;
        seen = row[next];
        if (dsm_worker_reduce(self, &sum, 1, DSM_INT64, &DSM_SUM) != 0)
            return 2;
        if (seen != k || sum != WORKERS * (WORKERS - 1) / 2)
            return 3;
    }
    return 0;
}

START_TEST(the_worker_barrier_orders)
{
    int n = rounds();

    spawn();
    for (int k = 0; k < 3; k++)
        ck_dsm(dsm_cluster_run(&cluster, shift, &n, sizeof n));
    end_spawn();
}
END_TEST

enum ending { LEAVE, RETURN, FAIL, DIE, ENDINGS };

struct loss {
    int k;
    enum ending ending;
    dsm_barrier *barrier;
};

/* One is lost to the others, who wait at one barrier or the other. */
static int
lose_one(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct loss *loss = arg;
    unsigned id = dsm_worker_id(self);

    (void)arg_size;
    row[id] = loss->k;
    if (id != (unsigned)loss->k % WORKERS) {
        if (loss->ending == LEAVE || id % 2)
            return dsm_worker_barrier(self) == DSM_EBROKEN ? 0 : 1;
        return dsm_barrier_wait(loss->barrier) == DSM_EBROKEN ? 0 : 1;
    }
    if (loss->ending == RETURN)
        return 7;
    if (loss->ending == FAIL)
        dsm_worker_fail(self, -EIO, "worker %u gives up", id);
    if (loss->ending == DIE)
        die();
    return 0;
}

START_TEST(regions_end_however_they_fail)
{
    static const int results[] = {DSM_EBROKEN, DSM_EFAILED, -EIO, DSM_EWORKER};
    struct loss loss = {.ending = (enum ending)_i};
    int n = 3;

    spawn();
    ck_dsm(dsm_barrier_create(&loss.barrier, &cluster, "B", WORKERS,
                              DSM_BARRIER_ROBUST));
    for (loss.k = 0; loss.k < rounds() / 4; loss.k++) {
        dsm_worker_info info = DSM_WORKER_INFO_INIT;

        ck_dsm_error(dsm_cluster_run(&cluster, lose_one, &loss, sizeof loss),
                     results[_i], "worker");
        ck_dsm(dsm_cluster_worker(&cluster, (unsigned)loss.k % WORKERS, &info));
        if (loss.ending == RETURN)
            ck_assert_int_eq(info.value, 7);
        ck_dsm(dsm_cluster_run(&cluster, shift, &n, sizeof n));
    }
    end_spawn();
}
END_TEST

static _Atomic int inside;

static int
until_cancelled(dsm_worker *self, const void *arg, size_t arg_size)
{
    unsigned id = dsm_worker_id(self);
    int message;

    (void)arg_size;
    row[id]++;
    atomic_fetch_add(&inside, 1);
    if (id == 0)
        return dsm_worker_barrier(self) != DSM_EBROKEN;
    if (id == 1)
        return dsm_queue_pop(*(dsm_queue *const *)arg, &message, DSM_FOREVER) !=
               DSM_ECANCELED;
    while (!dsm_worker_cancelled(self))
        dsm__pause();
    return 0;
}

static void *
look_on(void *over)
{
    while (!atomic_load((_Atomic bool *)over))
        for (unsigned w = 0; w < WORKERS; w++) {
            dsm_worker_info info = DSM_WORKER_INFO_INIT;

            (void)dsm_cluster_worker(&cluster, w, &info);
        }
    return NULL;
}

/* Another thread of the controller looks at the workers meanwhile. */
START_TEST(regions_are_cancelled_and_watched)
{
    _Atomic bool over = false;
    dsm_queue *queue;
    pthread_t watcher;

    spawn();
    memset(row, 0, sizeof row);
    ck_dsm(dsm_queue_create(&queue, &cluster, "Q", 1, sizeof(int)));
    ck_assert_int_eq(pthread_create(&watcher, NULL, look_on, &over), 0);
    for (int k = 1; k <= rounds() / 10; k++) {
        inside = 0;
        ck_dsm(
            dsm_cluster_start(&cluster, until_cancelled, &queue, sizeof queue));
        while (inside < WORKERS)
            dsm__pause();
        ck_dsm(dsm_cluster_cancel(&cluster, DSM_FOREVER));
        ck_dsm(dsm_cluster_wait(&cluster, DSM_FOREVER));
        for (unsigned w = 0; w < WORKERS; w++)
            ck_assert_int_eq(row[w], k);
    }
    atomic_store(&over, true);
    pthread_join(watcher, NULL);
    end_spawn();
}
END_TEST

/* ---- The map of ended parts, of more workers than a word has bits. */

#define MANY 200
#define ENDERS 4

static long results[MANY];

static void
begin_region(uint32_t region)
{
    _Atomic uint32_t *epoch = &control->region.epoch;
    _Atomic uint32_t *sleeping = &control->work.event.sleeping;

    dsm__parts_reset(control, region);
    atomic_store_explicit(epoch, region, memory_order_seq_cst);
    dsm__wake(epoch, sleeping);
}

/* Ends the parts of every fourth worker, region by region; some twice, as when
 * a worker dies just after it ended. */
static void *
end_parts(void *argument)
{
    unsigned first = (unsigned)(uintptr_t)argument;
    _Atomic uint32_t *epoch = &control->region.epoch;
    _Atomic uint32_t *sleeping = &control->work.event.sleeping;

    for (uint32_t region = 1; region <= (uint32_t)rounds(); region++) {
        while (atomic_load_explicit(epoch, memory_order_acquire) < region)
            (void)dsm__wait(control, epoch, region - 1, sleeping,
                            DSM__NO_DEADLINE);
        for (unsigned k = 0; k < MANY; k += ENDERS) {
            unsigned id = (k * 7 + region * ENDERS + first) % MANY;

            results[id] = (long)region * id;
            dsm__part_end(control, id, region);
            if (k % 8 == 0 && k + ENDERS < MANY)
                dsm__part_end(control, id, region);
        }
    }
    return NULL;
}

static void
ck_region(uint32_t region)
{
    struct dsm__event *done = &control->region.done;

    while (atomic_load_explicit(&done->word, memory_order_acquire) != region)
        (void)dsm__wait(control, &done->word, region - 1, &done->sleeping,
                        DSM__NO_DEADLINE);
    for (unsigned id = 0; id < MANY; id++) {
        ck_assert_int_eq(results[id], (long)region * id);
        ck_assert(dsm__part_ended(control, id, region));
    }
}

START_TEST(the_last_part_of_many_ends_the_region)
{
    pthread_t enders[ENDERS];

    memset(&cluster, 0, sizeof cluster);
    make_control(MANY);
    for (unsigned k = 0; k < ENDERS; k++)
        ck_assert_int_eq(
            pthread_create(&enders[k], NULL, end_parts, (void *)(uintptr_t)k),
            0);
    for (uint32_t region = 1; region <= (uint32_t)rounds(); region++) {
        begin_region(region);
        ck_region(region);
    }
    for (unsigned k = 0; k < ENDERS; k++)
        pthread_join(enders[k], NULL);
    drop_control();
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("threaded");
    TCase *regions = test_case(suite, "regions");

    tcase_add_test(regions, regions_order_arguments_and_results);
    tcase_add_test(regions, the_worker_barrier_orders);
    tcase_add_loop_test(regions, regions_end_however_they_fail, 0, ENDINGS);
    tcase_add_test(regions, regions_are_cancelled_and_watched);
    tcase_add_test(regions, the_last_part_of_many_ends_the_region);
    return test_main(suite);
}
