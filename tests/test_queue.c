/* Queues: order, every message once, sizes, timeouts, closing, the wrap of
 * indices, room.  What deaths and cancelled regions do is test_queue_death.c's.
 */
#include "meeting.h"

#include "registry/object.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>

static dsm_queue *
make_queue(dsm_cluster *cluster, size_t capacity, size_t message_size)
{
    dsm_queue *queue;

    ck_dsm(dsm_queue_create(&queue, cluster, "Q", capacity, message_size));
    ck_assert_ptr_nonnull(queue);
    return queue;
}

/* ---- The object. */

START_TEST(is_found_by_its_name)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_queue *queue = make_queue(cluster, 3, 5), *other;
    dsm_barrier *barrier;

    ck_dsm(dsm_queue_open(&other, cluster, "Q"));
    ck_assert_ptr_eq(other, queue);
    ck_dsm_error(dsm_queue_create(&other, cluster, "Q", 3, 5), -EEXIST, "'Q'");
    ck_assert_ptr_null(other);
    ck_dsm_error(dsm_queue_open(&other, cluster, "R"), -ENOENT, "'R'");
    ck_dsm_error(dsm_barrier_open(&barrier, cluster, "Q"), -EINVAL, "queue");
    ck_dsm_error(dsm_queue_create(&other, cluster, "R R", 3, 5), -EINVAL, "");
    ck_dsm(dsm_queue_destroy(queue));
    ck_dsm_error(dsm_queue_open(&other, cluster, "Q"), -ENOENT, "'Q'");
    ck_dsm_error(dsm_queue_destroy(queue), -ENOENT, "destroyed");
    ck_dsm(dsm_queue_destroy(NULL));
    dsm_cluster_destroy(cluster);
}
END_TEST

static const struct {
    size_t capacity, message_size;
    int error;
} impossible[] = {
    {0, 8, -EINVAL},
    {8, 0, -EINVAL},
    {(size_t)INT_MAX + 1, 1, -EINVAL},
    {SIZE_MAX, SIZE_MAX, -EINVAL},
    {1, SIZE_MAX, -EINVAL},
    {2, SIZE_MAX / 2, -EINVAL},
    {1, SIZE_MAX / 2, -ENOSPC},
    {INT_MAX, SIZE_MAX / 2 / INT_MAX, -ENOSPC},
    {1, (size_t)1 << 40, -ENOSPC},
    {INT_MAX, 1, -ENOSPC},
};

START_TEST(too_large_a_ring_is_refused)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_queue *queue;
    int message = 7;

    ck_dsm_error(dsm_queue_create(&queue, cluster, "Q", impossible[_i].capacity,
                                  impossible[_i].message_size),
                 impossible[_i].error, "queue");
    ck_assert_ptr_null(queue);
    /* Nothing was taken by it. */
    queue = make_queue(cluster, 1, sizeof message);
    ck_dsm(dsm_queue_push(queue, &message, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Here /dev/shm is a tmpfs of the test's own that has no room, where such a one
 * can be had. */
START_TEST(what_does_not_fit_takes_nothing)
{
    dsm_cluster *cluster;
    dsm_queue *queue;
    char message[1000] = "";

    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=16m,mode=0700") < 0)
        return;
    cluster = test_cluster(1);
    ck_dsm_error(dsm_queue_create(&queue, cluster, "Q", 100, 1 << 20), -ENOSPC,
                 "has");
    ck_assert_ptr_null(queue);
    queue = make_queue(cluster, 4, sizeof message);
    ck_dsm(dsm_queue_push(queue, message, 0));
    ck_dsm(dsm_queue_pop(queue, message, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Makes queues of `size` bytes until there is no more room; how many. */
static int
fill_room(dsm_cluster *cluster, dsm_queue *queue[256], size_t size)
{
    char name[32];
    int n = 0;

    for (; n < 256; n++) {
        snprintf(name, sizeof name, "Q%zu-%d", size, n);
        if (dsm_queue_create(&queue[n], cluster, name, 1, size) == -ENOSPC)
            break;
    }
    ck_assert_int_lt(n, 256);
    return n;
}

static int
count_objects(const dsm_object_info *info, void *counter)
{
    (void)info;
    ++*(int *)counter;
    return 0;
}

/* All room may be taken, to the last page, and is there again afterwards. */
START_TEST(room_is_used_again)
{
    static const size_t size = (size_t)4 << 20;
    dsm_cluster *cluster = test_cluster(1);
    dsm_queue *large[256], *small[256];
    int n = fill_room(cluster, large, size), more, objects = 0;
    char *message = calloc(1, size);

    ck_assert_int_gt(n, 16);
    more = fill_room(cluster, small, 1 << 15);
    /* Others still find it in good order. */
    ck_dsm(dsm_cluster_objects(dsm_cluster_name(cluster), count_objects,
                               &objects));
    ck_assert_int_eq(objects, n + more);
    for (int k = 1; k < n; k += 2)
        ck_dsm(dsm_queue_destroy(large[k]));
    for (int k = 1; k < n; k += 2) {
        char name[16];

        snprintf(name, sizeof name, "R%d", k);
        ck_dsm(dsm_queue_create(&large[k], cluster, name, 1, size));
        ck_dsm(dsm_queue_push(large[k], message, 0));
    }
    /* Those in between were not touched. */
    for (int k = 0; k < n; k += 2)
        ck_dsm_error(dsm_queue_pop(large[k], message, 0), -ETIMEDOUT, "empty");
    free(message);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- First in, first out. */

START_TEST(messages_keep_their_order)
{
    unsigned capacity = (unsigned)_i;
    dsm_cluster *cluster = test_cluster(1);
    dsm_queue *queue = make_queue(cluster, capacity, sizeof(int));
    int pushed = 0, popped = 0, message;

    for (int k = 0; k < 100; k++) {
        /* In and out in groups of all sizes that fit. */
        for (unsigned n = 0; n <= (unsigned)k % (capacity + 1); n++)
            if (dsm_queue_push(queue, &pushed, 0) == 0)
                pushed++;
            else
                ck_assert_int_eq(pushed - popped, (int)capacity);
        for (unsigned n = 0; n <= (unsigned)(k / 2) % (capacity + 1); n++)
            if (dsm_queue_pop(queue, &message, 0) == 0)
                ck_assert_int_eq(message, popped++);
            else
                ck_assert_int_eq(popped, pushed);
    }
    ck_assert_int_gt(popped, 50);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(a_full_and_an_empty_queue_time_out)
{
    static const int timeouts[] = {0, 1, 30, 250};
    int timeout = timeouts[_i], message = 1;
    dsm_cluster *cluster = test_cluster(1);
    dsm_queue *queue = make_queue(cluster, 1, sizeof message);
    double start = test_now();

    ck_dsm_error(dsm_queue_pop(queue, &message, timeout), -ETIMEDOUT, "empty");
    ck_assert_double_ge(test_now() - start, 1e-3 * timeout);
    ck_assert_int_eq(message, 1);
    ck_dsm(dsm_queue_push(queue, &message, timeout));
    message = 2;
    start = test_now();
    ck_dsm_error(dsm_queue_push(queue, &message, timeout), -ETIMEDOUT, "full");
    ck_assert_double_ge(test_now() - start, 1e-3 * timeout);
    ck_dsm(dsm_queue_pop(queue, &message, timeout));
    ck_assert_int_eq(message, 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(who_gave_up_does_not_wait)
{
    bool push = _i == 1;
    dsm_cluster *cluster = test_cluster(1);
    dsm_queue *queue = make_queue(cluster, 1, sizeof(int));
    int message = 1;

    if (push)
        ck_dsm(dsm_queue_push(queue, &message, 0));
    ck_assert_int_eq(push ? dsm_queue_push(queue, &message, 20)
                          : dsm_queue_pop(queue, &message, 20),
                     -ETIMEDOUT);
    ck_dsm(dsm_queue_destroy(queue));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Sizes. */

static void
fill(unsigned char *message, size_t size, unsigned seed)
{
    for (size_t k = 0; k < size; k++)
        message[k] = (unsigned char)(seed + k * 7 + (k >> 8));
}

/* What came in at one end, and nothing beyond it. */
static bool
matches(const unsigned char *message, size_t size, unsigned seed)
{
    for (size_t k = 0; k < size; k++)
        if (message[k] != (unsigned char)(seed + k * 7 + (k >> 8)))
            return false;
    return message[size] == 0xa5;
}

static int
push_all(dsm_worker *self, const void *arg, size_t arg_size)
{
    size_t size = *(const size_t *)arg;
    unsigned char *message = malloc(size + 1);
    dsm_queue *queue;
    int error = dsm_queue_open(&queue, dsm_worker_cluster(self), "Q");

    (void)arg_size;
    for (unsigned k = 0; k < 20 && !error; k++) {
        fill(message, size, k);
        error = dsm_queue_push(queue, message, DSM_FOREVER);
    }
    free(message);
    return error;
}

START_TEST(messages_of_any_size_pass_whole)
{
    static const size_t sizes[] = {1,  2,    3,    7,    8,     9,
                                   63, 1000, 4096, 4097, 65536, 1 << 20};
    size_t size = sizes[_i];
    dsm_cluster *cluster = test_cluster(1);
    dsm_queue *queue = make_queue(cluster, 3, size);
    unsigned char *message = malloc(size + 1);

    message[size] = 0xa5;
    ck_dsm(dsm_cluster_start(cluster, push_all, &size, sizeof size));
    for (unsigned k = 0; k < 20; k++) {
        ck_dsm(dsm_queue_pop(queue, message, DSM_FOREVER));
        ck_assert(matches(message, size, k));
    }
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    free(message);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Many producers and consumers. */

#define EACH 2000

struct traffic {
    dsm_queue *queue;
    unsigned producers;
    uint8_t *seen; /* how often each message was popped */
};

struct letter {
    uint32_t from, number;
};

static int
produce(const struct traffic *traffic, unsigned id)
{
    struct letter letter = {id, 0};

    for (; letter.number < EACH; letter.number++) {
        int error = dsm_queue_push(traffic->queue, &letter,
                                   letter.number % 2 ? DSM_FOREVER : 60000);

        if (error)
            return error;
    }
    return 0;
}

static int
consume(const struct traffic *traffic)
{
    int64_t newest[MEETING_PLACES];
    struct letter letter;
    int error;

    for (unsigned k = 0; k < traffic->producers; k++)
        newest[k] = -1;
    while ((error = dsm_queue_pop(traffic->queue, &letter, DSM_FOREVER)) == 0) {
        _Atomic uint8_t *seen = (_Atomic uint8_t *)&traffic
                                    ->seen[letter.from * EACH + letter.number];

        /* What one consumer gets of one producer is in order. */
        if (letter.number <= newest[letter.from] && newest[letter.from] >= 0)
            return 1;
        newest[letter.from] = letter.number;
        atomic_fetch_add(seen, 1);
    }
    return error == -EPIPE ? 0 : error;
}

static int
take_part(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct traffic *traffic = arg;
    unsigned id = dsm_worker_id(self);
    int error;

    (void)arg_size;
    if (id >= traffic->producers)
        return consume(traffic);
    error = produce(traffic, id);
    /* The last one to be done closes it. */
    if (atomic_fetch_add(&meeting()->count[0], 1) + 1 ==
        (int)traffic->producers)
        dsm_queue_close(traffic->queue);
    return error;
}

START_TEST(every_message_arrives_once)
{
    static const struct {
        unsigned producers, consumers;
        size_t capacity;
    } cases[] = {{1, 1, 1},  {1, 1, 16}, {2, 1, 3}, {1, 2, 3},
                 {2, 2, 10}, {3, 3, 1},  {4, 4, 7}};
    unsigned producers = cases[_i].producers;
    dsm_cluster *cluster = meeting_cluster(producers + cases[_i].consumers);
    struct traffic traffic = {
        make_queue(cluster, cases[_i].capacity, sizeof(struct letter)),
        producers, NULL};
    dsm_array *seen;

    ck_dsm(dsm_array_create(&seen, cluster, "S", DSM_UINT8,
                            DSM_SHAPE(producers * EACH)));
    traffic.seen = dsm_array_data(seen);
    ck_dsm(dsm_cluster_run(cluster, take_part, &traffic, sizeof traffic));
    for (unsigned k = 0; k < producers * EACH; k++)
        ck_assert_uint_eq(traffic.seen[k], 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Closing. */

START_TEST(a_closed_queue_drains)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_queue *queue = make_queue(cluster, 3, sizeof(int));
    int message;

    for (message = 1; message <= 2; message++)
        ck_dsm(dsm_queue_push(queue, &message, 0));
    ck_dsm(dsm_queue_close(queue));
    ck_dsm_error(dsm_queue_push(queue, &message, 0), -EPIPE, "'Q' is closed");
    ck_dsm_error(dsm_queue_push(queue, &message, DSM_FOREVER), -EPIPE, "'Q'");
    for (int k = 1; k <= 2; k++) {
        ck_dsm(dsm_queue_pop(queue, &message, k == 1 ? 0 : DSM_FOREVER));
        ck_assert_int_eq(message, k);
    }
    ck_dsm_error(dsm_queue_pop(queue, &message, 0), -EPIPE, "drained");
    ck_dsm_error(dsm_queue_pop(queue, &message, DSM_FOREVER), -EPIPE, "'Q'");
    ck_dsm(dsm_queue_close(queue));
    ck_dsm(dsm_queue_destroy(queue));
    /* The next of that name is open. */
    queue = make_queue(cluster, 1, sizeof(int));
    ck_dsm(dsm_queue_push(queue, &message, 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* Whoever waits, in a worker or a thread of the controller. */
static int
wait_in_queue(dsm_queue *queue, bool push, unsigned place)
{
    int message = 5;

    now_waits(place);
    meeting()->result[place] =
        push ? dsm_queue_push(queue, &message, DSM_FOREVER)
             : dsm_queue_pop(queue, &message, DSM_FOREVER);
    return 0;
}

struct waiting {
    dsm_queue *queue;
    bool push;
};

static int
wait_as_worker(dsm_worker *self, const void *arg, size_t arg_size)
{
    const struct waiting *waiting = arg;

    (void)arg_size;
    return wait_in_queue(waiting->queue, waiting->push, dsm_worker_id(self));
}

START_TEST(closing_wakes_who_waits)
{
    dsm_cluster *cluster = meeting_cluster(2);
    struct waiting waiting = {make_queue(cluster, 1, sizeof(int)), _i == 1};
    int message = 4;

    if (waiting.push)
        ck_dsm(dsm_queue_push(waiting.queue, &message, 0));
    ck_dsm(
        dsm_cluster_start(cluster, wait_as_worker, &waiting, sizeof waiting));
    ck_assert(await_waiting(0) && await_waiting(1));
    ck_dsm(dsm_queue_close(waiting.queue));
    ck_dsm(dsm_cluster_wait(cluster, DSM_FOREVER));
    ck_result(0, -EPIPE);
    ck_result(1, -EPIPE);
    if (waiting.push) {
        ck_dsm(dsm_queue_pop(waiting.queue, &message, 0));
        ck_assert_int_eq(message, 4);
    }
    ck_dsm_error(dsm_queue_pop(waiting.queue, &message, 0), -EPIPE, "drained");
    dsm_cluster_destroy(cluster);
}
END_TEST

static void *
wait_in_thread(void *argument)
{
    const struct waiting *waiting = argument;

    wait_in_queue(waiting->queue, waiting->push, 0);
    return NULL;
}

START_TEST(destroy_leaves_no_waiter)
{
    dsm_cluster *cluster = meeting_cluster(1);
    struct waiting waiting = {make_queue(cluster, 1, sizeof(int)), _i == 1};
    unsigned place = 0;
    pthread_t thread;
    int message = 4;

    if (waiting.push)
        ck_dsm(dsm_queue_push(waiting.queue, &message, 0));
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_in_thread, &waiting),
                     0);
    test_await(is_waiting, &place);
    ck_dsm_error(dsm_queue_destroy(waiting.queue), -EBUSY, "'Q'");
    if (waiting.push)
        ck_dsm(dsm_queue_pop(waiting.queue, &message, 0));
    else
        ck_dsm(dsm_queue_push(waiting.queue, &message, 0));
    pthread_join(thread, NULL);
    ck_result(0, 0);
    ck_dsm(dsm_queue_destroy(waiting.queue));
    dsm_cluster_destroy(cluster);
}
END_TEST

/* ---- Indices. */

/* Moves the counts of what was pushed and popped, which are equal now, to
 * `value`: they are the two words of the slot that hold `popped`. */
static void
move_counts(dsm_queue *queue, uint64_t popped, uint64_t value)
{
    uint64_t *word = (uint64_t *)queue;
    int found = 0;

    for (size_t k = 0; k < sizeof(union dsm__slot) / sizeof *word; k++)
        if (word[k] == popped) {
            word[k] = value;
            found++;
        }
    ck_assert_int_eq(found, 2);
}

START_TEST(indices_wrap_around)
{
    static const uint64_t before[] = {UINT32_MAX - 2000, UINT64_MAX - 2000};
    dsm_cluster *cluster = meeting_cluster(2);
    dsm_queue *queue = make_queue(cluster, 4, sizeof(struct letter));
    struct traffic traffic = {queue, 1, NULL};
    struct letter letter = {0, 0};
    dsm_array *seen;

    for (int k = 0; k < 77777; k++) {
        ck_dsm(dsm_queue_push(queue, &letter, 0));
        ck_dsm(dsm_queue_pop(queue, &letter, 0));
    }
    move_counts(queue, 77777, before[_i]);
    ck_dsm_error(dsm_queue_pop(queue, &letter, 0), -ETIMEDOUT, "empty");
    ck_dsm(
        dsm_array_create(&seen, cluster, "S", DSM_UINT8, DSM_SHAPE(2 * EACH)));
    traffic.seen = dsm_array_data(seen);
    ck_dsm(dsm_cluster_run(cluster, take_part, &traffic, sizeof traffic));
    for (unsigned k = 0; k < EACH; k++)
        ck_assert_uint_eq(traffic.seen[k], 1);
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("queue");
    TCase *object = test_case(suite, "object");
    TCase *order = test_case(suite, "order");
    TCase *closing = test_case(suite, "closing");

    tcase_add_test(object, is_found_by_its_name);
    tcase_add_loop_test(object, too_large_a_ring_is_refused, 0,
                        sizeof impossible / sizeof *impossible);
    tcase_add_test(object, what_does_not_fit_takes_nothing);
    tcase_add_test(object, room_is_used_again);
    tcase_add_loop_test(order, messages_keep_their_order, 1, 6);
    tcase_add_loop_test(order, a_full_and_an_empty_queue_time_out, 0, 4);
    tcase_add_loop_test(order, who_gave_up_does_not_wait, 0, 2);
    tcase_add_loop_test(order, messages_of_any_size_pass_whole, 0, 12);
    tcase_add_loop_test(order, every_message_arrives_once, 0, 7);
    tcase_add_loop_test(order, indices_wrap_around, 0, 2);
    tcase_add_test(closing, a_closed_queue_drains);
    tcase_add_loop_test(closing, closing_wakes_who_waits, 0, 2);
    tcase_add_loop_test(closing, destroy_leaves_no_waiter, 0, 2);
    return test_main(suite);
}
