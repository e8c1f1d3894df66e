/* Each segment's text is made by some worker in one of a few slots in shared
 * memory.  Two queues join them: the controller hands out a segment when its
 * slot is free, and is told when the text is there.  So memory is bounded, and
 * the workers are at most as far ahead as there are slots.
 */
#include "primes_list.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef struct slot {
    size_t length;
    bool filled; /* the controller's note */
} slot;

/* Segment k is for slot k % slot_count, which has its row of `text`. */
typedef struct listing {
    sieve *sieve;
    dsm_queue *wanted, *made; /* numbers of segments */
    size_t slot_count, row;
    slot *slots;
    char *text;
} listing;

/* Numbers as text.  They are made one after the other, and most differ from the
 * one before in the last four digits only. */
typedef struct printer {
    char pairs[100][2];
    uint64_t begin; /* a multiple of 10000 */
    size_t length;  /* of what comes before the last four digits */
    char head[24];
} printer;

static void
init_printer(printer *p)
{
    *p = (printer){.begin = UINT64_MAX};
    for (int k = 0; k < 100; k++) {
        p->pairs[k][0] = (char)('0' + k / 10);
        p->pairs[k][1] = (char)('0' + k % 10);
    }
}

/* Needs room for 24 bytes; returns the end of the line. */
static char *
print_number(printer *p, char *to, uint64_t number)
{
    uint64_t low = number - p->begin;

    if (number < 10000)
        return to + sprintf(to, "%" PRIu64 "\n", number);
    if (low >= 10000) {
        p->begin = number / 10000 * 10000;
        p->length = (size_t)sprintf(p->head, "%" PRIu64, number / 10000);
        low = number - p->begin;
    }
    memcpy(to, p->head, 16); /* a fixed length is faster, and not more */
    to += p->length;
    memcpy(to, p->pairs[low / 100], 2);
    memcpy(to + 2, p->pairs[low % 100], 2);
    to[4] = '\n';
    return to + 5;
}

static size_t
print_segment(char *text, sieve *s, size_t segment)
{
    uint64_t begin = segment * sieve_span(s), word;
    size_t size;
    const uint8_t *bytes = sieve_segment(s, segment, &size);
    char *to = text;
    printer p;

    init_printer(&p);
    for (size_t at = 0; at < size; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        for (; word != 0; word &= word - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(word);

            to = print_number(
                &p, to, begin + 30 * (at + bit / 8) + SIEVE_WHEEL[bit % 8]);
        }
    }
    return (size_t)(to - text);
}

static int
print_segments(dsm_worker *self, const void *arg, size_t arg_size)
{
    const listing *l = arg;
    size_t segment;
    int status;

    (void)self, (void)arg_size;
    while ((status = dsm_queue_pop(l->wanted, &segment, DSM_FOREVER)) == 0) {
        size_t k = segment % l->slot_count;

        l->slots[k].length =
            print_segment(l->text + k * l->row, l->sieve, segment);
        status = dsm_queue_push(l->made, &segment, DSM_FOREVER);
        if (status < 0)
            break;
    }
    return status == -EPIPE ? 0 : status;
}

/* Bytes that a segment's text may need: by Montgomery and Vaughan (1973) fewer
 * than 2 n / ln n of any n numbers in a row are primes. */
static size_t
text_size(uint64_t numbers, uint64_t limit)
{
    double n = (double)numbers;
    int line = snprintf(NULL, 0, "%" PRIu64 "\n", limit);

    return (size_t)(2 * n / log(n)) * (size_t)line + 64;
}

static int
create(listing *l, dsm_cluster *cluster, uint64_t limit)
{
    uint64_t span = sieve_span(l->sieve);
    dsm_array *slots, *text;
    int status;

    l->slot_count = 2 * dsm_cluster_workers(cluster) + 1;
    if (l->slot_count > sieve_segments(l->sieve))
        l->slot_count = sieve_segments(l->sieve);
    l->row = text_size(limit < 30 ? 30 : limit < span ? limit : span, limit);
    if ((status = dsm_array_create(&slots, cluster, "slots",
                                   DSM_STRUCT(sizeof(slot)),
                                   DSM_SHAPE(l->slot_count))) < 0 ||
        (status = dsm_array_create(&text, cluster, "text", DSM_UINT8,
                                   DSM_SHAPE(l->slot_count, l->row))) < 0 ||
        (status = dsm_queue_create(&l->wanted, cluster, "wanted", l->slot_count,
                                   sizeof(size_t))) < 0 ||
        (status = dsm_queue_create(&l->made, cluster, "made", l->slot_count,
                                   sizeof(size_t))) < 0)
        return status;
    l->slots = dsm_array_data(slots);
    l->text = dsm_array_data(text);
    return 0;
}

/* Those whose turn it is. */
static int
write_filled(FILE *out, listing *l, size_t *written)
{
    slot *from = &l->slots[*written % l->slot_count];

    for (; from->filled; from = &l->slots[*written % l->slot_count]) {
        const char *text = l->text + *written % l->slot_count * l->row;

        if (fwrite(text, 1, from->length, out) < from->length)
            return -errno;
        from->filled = false;
        ++*written;
    }
    return 0;
}

static int
write_all(FILE *out, listing *l, void (*show)(size_t done, size_t all))
{
    size_t segments = sieve_segments(l->sieve);
    size_t asked = 0, written = 0, made;
    int status = 0;

    while (written < segments && status == 0) {
        for (; asked < segments && asked < written + l->slot_count; asked++)
            if ((status = dsm_queue_push(l->wanted, &asked, DSM_FOREVER)) < 0)
                return status;
        if ((status = dsm_queue_pop(l->made, &made, DSM_FOREVER)) < 0)
            return status;
        l->slots[made % l->slot_count].filled = true;
        status = write_filled(out, l, &written);
        if (show)
            show(written, segments);
    }
    return status;
}

int
primes_list(FILE *out, dsm_cluster *cluster, sieve *s, uint64_t limit,
            void (*show)(size_t done, size_t all))
{
    listing l = {.sieve = s};
    int status = create(&l, cluster, limit);

    if (status < 0 ||
        (status = dsm_cluster_start(cluster, print_segments, &l, sizeof l)) < 0)
        return status;
    if ((limit >= 2 && fputs("2\n", out) < 0) ||
        (limit >= 3 && fputs("3\n", out) < 0) ||
        (limit >= 5 && fputs("5\n", out) < 0))
        return -errno;
    status = write_all(out, &l, show);
    dsm_queue_close(l.wanted);
    /* A lost worker cancels the queues; the region knows why. */
    if (status == 0 || status == DSM_ECANCELED)
        status = dsm_cluster_wait(cluster, DSM_FOREVER);
    if (status == 0 && fflush(out) != 0)
        status = -errno;
    return status;
}
