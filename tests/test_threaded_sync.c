/* Locks, barriers, queues and the registry, with threads for processes: see
 * threaded.h. */
#include "threaded.h"

/* ---- Locks. */

static long counter;

static int
count_up(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_lock *lock = dsm_worker_lock(self, "L");

    (void)arg_size;
    for (int k = 0; k < *(const int *)arg; k++) {
        int error = dsm_lock_acquire(lock, k % 3 ? DSM_FOREVER : 1);

        if (error == -ETIMEDOUT)
            error = dsm_lock_acquire(lock, DSM_FOREVER);
        if (error)
            return 1;
        counter++;
        if (dsm_lock_release(lock) != 0)
            return 2;
    }
    return 0;
}

START_TEST(locks_order)
{
    int n = rounds();
    dsm_lock *lock;

    spawn();
    counter = 0;
    ck_dsm(dsm_lock_create(&lock, &cluster, "L"));
    ck_dsm(dsm_cluster_start(&cluster, count_up, &n, sizeof n));
    for (int k = 0; k < n; k++) {
        ck_dsm(dsm_lock_acquire(lock, DSM_FOREVER));
        counter++;
        ck_dsm(dsm_lock_release(lock));
    }
    ck_dsm(dsm_cluster_wait(&cluster, DSM_FOREVER));
    ck_assert_int_eq(counter, (WORKERS + 1) * n);
    end_spawn();
}
END_TEST

/* Each thread ends with the lock, and so hands it to the next.  The kernel does
 * that unseen by ThreadSanitizer: here the counts are atomic. */
static _Atomic int heirs, acquired;

static int
die_inside(dsm_worker *self, const void *arg, size_t arg_size)
{
    int result = dsm_lock_acquire(*(dsm_lock *const *)arg, DSM_FOREVER);

    (void)self, (void)arg_size;
    if (result < 0)
        return result;
    heirs += result;
    acquired++;
    die();
}

START_TEST(locks_outlive_their_holders)
{
    dsm_lock *lock;

    spawn();
    heirs = acquired = 0;
    ck_dsm(dsm_lock_create(&lock, &cluster, "L"));
    for (int k = 1; k <= 20; k++) {
        ck_dsm_error(dsm_cluster_run(&cluster, die_inside, &lock, sizeof lock),
                     DSM_EWORKER, "died");
        ck_assert_int_eq(dsm_lock_acquire(lock, DSM_FOREVER), 1);
        ck_dsm(dsm_lock_release(lock));
        /* All but the first of each region were told of another's death. */
        ck_assert_int_eq(heirs, acquired - k);
    }
    end_spawn();
}
END_TEST

/* ---- Named barriers, with the controller. */

static long board[WORKERS + 1];

static int
post(dsm_barrier *barrier, unsigned place, int k)
{
    board[place] = k;
    if (dsm_barrier_wait(barrier) < 0)
        return 1;
    for (unsigned w = 0; w <= WORKERS; w++)
        if (board[w] != k)
            return 2;
    return dsm_barrier_wait(barrier) < 0 ? 3 : 0;
}

static int
post_all(dsm_worker *self, const void *arg, size_t arg_size)
{
    int wrong = 0;

    (void)arg_size;
    for (int k = 0; k < rounds() / 2 && !wrong; k++)
        wrong = post(*(dsm_barrier *const *)arg, dsm_worker_id(self), k);
    return wrong;
}

START_TEST(named_barriers_order)
{
    dsm_barrier *barrier;

    spawn();
    ck_dsm(dsm_barrier_create(&barrier, &cluster, "B", WORKERS + 1,
                              DSM_BARRIER_ROBUST));
    ck_dsm(dsm_cluster_start(&cluster, post_all, &barrier, sizeof barrier));
    for (int k = 0; k < rounds() / 2; k++)
        ck_assert_int_eq(post(barrier, WORKERS, k), 0);
    ck_dsm(dsm_cluster_wait(&cluster, DSM_FOREVER));
    end_spawn();
}
END_TEST

/* ---- Queues: a message points to what it is about. */

struct parcel {
    long weight;
    char padding[56];
};

static int
send_parcels(dsm_queue *queue, int n)
{
    int error = 0;

    for (int k = 1; k <= n && !error; k++) {
        struct parcel *parcel = malloc(sizeof *parcel);

        parcel->weight = k;
        do
            error = dsm_queue_push(queue, &parcel, k % 2 ? DSM_FOREVER : 1);
        while (error == -ETIMEDOUT);
    }
    return error;
}

static long
weigh_parcels(dsm_queue *queue, int n)
{
    struct parcel *parcel;
    long weight = 0;

    for (int k = 0; k < n; k++) {
        if (dsm_queue_pop(queue, &parcel, DSM_FOREVER) != 0)
            return -1;
        weight += parcel->weight;
        free(parcel);
    }
    return weight;
}

static long weighed[WORKERS];

static int
carry(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_queue *queue = *(dsm_queue *const *)arg;
    unsigned id = dsm_worker_id(self);

    (void)arg_size;
    if (id % 2)
        return send_parcels(queue, rounds());
    weighed[id] = weigh_parcels(queue, rounds());
    return weighed[id] < 0;
}

START_TEST(queues_order)
{
    long n = rounds();
    dsm_queue *queue;

    spawn();
    ck_dsm(dsm_queue_create(&queue, &cluster, "Q", (size_t)_i,
                            sizeof(struct parcel *)));
    ck_dsm(dsm_cluster_run(&cluster, carry, &queue, sizeof queue));
    ck_assert_int_eq(weighed[0] + weighed[2], WORKERS / 2 * (n * (n + 1) / 2));
    ck_dsm(dsm_queue_destroy(queue));
    end_spawn();
}
END_TEST

/* ---- Objects made and destroyed by all at once. */

static int
make_and_destroy(dsm_worker *self, const void *arg, size_t arg_size)
{
    char name[32];

    (void)arg_size;
    for (int k = 0; k < *(const int *)arg; k++) {
        dsm_lock *lock, *found;
        dsm_queue *queue;

        snprintf(name, sizeof name, "L%u-%d", dsm_worker_id(self), k);
        if (dsm_lock_create(&lock, &cluster, name) < 0 ||
            dsm_lock_open(&found, &cluster, name) < 0 || found != lock)
            return 1;
        name[0] = 'Q';
        if (dsm_queue_create(&queue, &cluster, name, 2, 8) < 0 ||
            dsm_queue_push(queue, name, 0) != 0)
            return 2;
        /* Not while a region runs. */
        if (dsm_lock_destroy(lock) != -EBUSY)
            return 3;
    }
    return 0;
}

START_TEST(the_registry_orders)
{
    int n = 50;

    spawn();
    ck_dsm(dsm_cluster_run(&cluster, make_and_destroy, &n, sizeof n));
    for (unsigned w = 0; w < WORKERS; w++)
        for (int k = 0; k < n; k++) {
            dsm_lock *lock;
            char name[32];

            snprintf(name, sizeof name, "L%u-%d", w, k);
            ck_dsm(dsm_lock_open(&lock, &cluster, name));
            ck_dsm(dsm_lock_destroy(lock));
        }
    end_spawn();
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("threaded, sync");
    TCase *sync = test_case(suite, "sync");

    tcase_add_test(sync, locks_order);
    tcase_add_test(sync, locks_outlive_their_holders);
    tcase_add_test(sync, named_barriers_order);
    tcase_add_loop_test(sync, queues_order, 1, 4);
    tcase_add_test(sync, the_registry_orders);
    return test_main(suite);
}
