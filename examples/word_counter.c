/* Two regions.  In the first one each worker counts the words that begin in
 * its range of the text, and leaves them in shared memory, sorted by parts: the
 * part of a word is in its hash.  In the second one worker p merges part p of
 * all workers' words and sorts it.
 *
 * Arrays have the same address everywhere, so a word's text is never copied
 * again: the merged words point to where the first region has left it.
 */
#include "word_counter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a worker tells, on a cache line of its own. */
typedef struct share {
    _Alignas(64) _Atomic size_t done; /* bytes */
    uint64_t words;                   /* of its part, after merging */
} share;

typedef struct job {
    const text_files *files; /* known by fork */
    size_t top;
    share *shares;
    size_t *ends; /* of the parts in each worker's words */
} job;

typedef int compare_fn(const void *, const void *);

static int
by_alphabet(const void *a, const void *b)
{
    return word_compare(a, b);
}

static int
by_count(const void *a, const void *b)
{
    const word *v = a, *w = b;

    if (v->count != w->count)
        return v->count > w->count ? -1 : 1;
    return word_compare(v, w);
}

static compare_fn *
order(size_t top)
{
    return top ? by_count : by_alphabet;
}

/* ---- In the workers. */

/* The name of a worker's array. */
typedef struct array_name {
    char text[DSM_NAME_MAX + 1];
} array_name;

static array_name
name_of(const char *what, unsigned worker)
{
    array_name name;

    snprintf(name.text, sizeof name.text, "%s-%u", what, worker);
    return name;
}

static void *
create(dsm_worker *self, const char *what, dsm_type type, size_t n)
{
    array_name name = name_of(what, dsm_worker_id(self));
    dsm_array *array;
    int status = dsm_array_create(&array, dsm_worker_cluster(self), name.text,
                                  type, DSM_SHAPE(n));

    if (status < 0)
        dsm_worker_fail(self, status, "%s", dsm_last_error());
    return dsm_array_data(array);
}

static _Noreturn void
fail_memory(dsm_worker *self, size_t words)
{
    dsm_worker_fail(self, -ENOMEM, "worker %u has no memory for %zu words",
                    dsm_worker_id(self), words);
}

static word_table *
create_table(dsm_worker *self)
{
    word_table *table = word_table_create();

    if (!table)
        fail_memory(self, 0);
    return table;
}

/* The words of bytes begin .. end-1 of a file. */
static void
count_file(dsm_worker *self, const job *j, word_table *table,
           const text_file *file, dsm_range range)
{
    const size_t step = (size_t)4 << 20; /* between looks at the controller */
    share *mine = &j->shares[dsm_worker_id(self)];
    text_map map;
    const char *wrong = text_map_open(&map, j->files, file);

    if (wrong)
        dsm_worker_fail(self, -EIO, "%s: %s", file->name, wrong);
    for (size_t begin = range.begin, end; begin < range.end; begin = end) {
        end = range.end - begin < step ? range.end : begin + step;
        if (!word_table_read(table, map.text, file->size, begin, end))
            fail_memory(self, word_table_size(table) + 1);
        atomic_fetch_add_explicit(&mine->done, end - begin,
                                  memory_order_relaxed);
        if (dsm_worker_cancelled(self))
            break;
    }
    text_map_close(&map);
}

static size_t
part_of(const word *w, unsigned parts)
{
    return (size_t)((uint64_t)w->hash * parts >> 32);
}

/* Copies the table to shared memory, by parts. */
static void
publish(dsm_worker *self, const job *j, const word_table *table)
{
    unsigned parts = dsm_worker_count(self);
    size_t *ends = &j->ends[(size_t)parts * dsm_worker_id(self)];
    size_t n = word_table_size(table), pieces = 0, begin = 0;
    word *list = malloc((n + 1) * sizeof *list), *words;
    word_piece *text;

    if (!list)
        fail_memory(self, n);
    word_table_list(table, list);
    for (size_t k = 0; k < n; k++) {
        ends[part_of(&list[k], parts)]++;
        pieces += list[k].pieces;
    }
    /* Now they are sizes; they become beginnings, and by filling the parts
     * ends. */
    for (unsigned p = 0; p < parts; p++) {
        size_t size = ends[p];

        ends[p] = begin;
        begin += size;
    }
    words = create(self, "words", DSM_STRUCT(sizeof *words), n);
    text = create(self, "text", DSM_UINT64, pieces);
    for (const word *w = list; w < list + n; w++) {
        word *copy = &words[ends[part_of(w, parts)]++];

        *copy = *w;
        copy->text = memcpy(text, w->text, w->pieces * sizeof *text);
        text += w->pieces;
    }
    free(list);
}

static int
count_range(dsm_worker *self, const void *arg, size_t arg_size)
{
    const job *j = arg;
    const text_files *files = j->files;
    dsm_range mine = dsm_worker_range(self, files->size);
    word_table *table = create_table(self);

    (void)arg_size;
    for (const text_file *f = files->files; f < files->files + files->count;
         f++) {
        size_t begin = mine.begin > f->begin ? mine.begin - f->begin : 0;
        size_t end = mine.end > f->begin ? mine.end - f->begin : 0;

        if (end > f->size)
            end = f->size;
        if (begin < end && !dsm_worker_cancelled(self))
            count_file(self, j, table, f, (dsm_range){begin, end});
    }
    publish(self, j, table);
    word_table_free(table);
    return 0;
}

static int
merge_part(dsm_worker *self, const void *arg, size_t arg_size)
{
    const job *j = arg;
    unsigned part = dsm_worker_id(self), parts = dsm_worker_count(self);
    share *mine = &j->shares[part];
    word_table *table = create_table(self);
    word *merged;

    (void)arg_size;
    for (unsigned k = 0; k < parts; k++) {
        const size_t *ends = &j->ends[(size_t)parts * k];
        const word *words =
            dsm_array_data(dsm_worker_array(self, name_of("words", k).text));

        for (size_t i = part ? ends[part - 1] : 0; i < ends[part]; i++) {
            if (!word_table_add(table, &words[i]))
                fail_memory(self, word_table_size(table) + 1);
            mine->words += words[i].count;
        }
    }
    merged = create(self, "merged", DSM_STRUCT(sizeof *merged),
                    word_table_size(table));
    word_table_list(table, merged);
    qsort(merged, word_table_size(table), sizeof *merged, order(j->top));
    word_table_free(table);
    return 0;
}

/* ---- In the controller. */

static size_t
bytes_done(const job *j, unsigned workers)
{
    size_t sum = 0;

    for (unsigned k = 0; k < workers; k++)
        sum += atomic_load_explicit(&j->shares[k].done, memory_order_relaxed);
    return sum;
}

static int
count_all(dsm_cluster *cluster, const job *j,
          void (*show)(size_t done, size_t size))
{
    int status = dsm_cluster_start(cluster, count_range, j, sizeof *j);

    if (status < 0)
        return status;
    while ((status = dsm_cluster_wait(cluster, 100)) == -ETIMEDOUT)
        show(bytes_done(j, dsm_cluster_workers(cluster)), j->files->size);
    return status;
}

static void
sift_down(word_counts *counts, unsigned k)
{
    compare_fn *compare = order(counts->top);
    word_list moved = counts->heap[k];

    for (unsigned child; (child = 2 * k + 1) < counts->lists; k = child) {
        const word_list *c = &counts->heap[child];

        if (child + 1 < counts->lists && compare(c[1].next, c->next) < 0) {
            child++;
            c++;
        }
        if (compare(moved.next, c->next) <= 0)
            break;
        counts->heap[k] = *c;
    }
    counts->heap[k] = moved;
}

static int
collect(word_counts *counts, dsm_cluster *cluster, const job *j)
{
    unsigned workers = dsm_cluster_workers(cluster);

    counts->heap = calloc(workers, sizeof *counts->heap);
    if (!counts->heap)
        return -ENOMEM;
    for (unsigned k = 0; k < workers; k++) {
        dsm_array *merged;
        int status = dsm_array_open(&merged, cluster, name_of("merged", k).text,
                                    DSM_ANY);
        size_t n;

        if (status < 0)
            return status;
        n = dsm_array_count(merged);
        counts->words += j->shares[k].words;
        counts->different += n;
        if (n > 0) {
            const word *first = dsm_array_data(merged);

            counts->heap[counts->lists++] = (word_list){first, first + n};
        }
    }
    for (unsigned k = counts->lists / 2; k-- > 0;)
        sift_down(counts, k);
    counts->left =
        j->top && j->top < counts->different ? j->top : counts->different;
    return 0;
}

int
word_counter_run(word_counts *counts, dsm_cluster *cluster,
                 const text_files *files, const word_counter_options *options)
{
    const size_t workers = dsm_cluster_workers(cluster);
    job j = {.files = files, .top = options->top};
    dsm_array *shares, *ends;
    int status =
        dsm_array_create(&shares, cluster, "shares", DSM_STRUCT(sizeof(share)),
                         DSM_SHAPE(workers));

    *counts = (word_counts){.top = options->top};
    if (status >= 0)
        status = dsm_array_create(&ends, cluster, "ends", DSM_UINT64,
                                  DSM_SHAPE(workers, workers));
    if (status < 0)
        return status;
    j.shares = dsm_array_data(shares);
    j.ends = dsm_array_data(ends);
    status = count_all(cluster, &j, options->show);
    if (status >= 0)
        status = dsm_cluster_run(cluster, merge_part, &j, sizeof j);
    if (status >= 0)
        status = collect(counts, cluster, &j);
    return status;
}

const word *
word_counts_next(word_counts *counts)
{
    const word *w;

    if (counts->left == 0)
        return NULL;
    counts->left--;
    w = counts->heap->next++;
    if (counts->heap->next == counts->heap->end)
        counts->heap[0] = counts->heap[--counts->lists];
    if (counts->lists > 0)
        sift_down(counts, 0);
    return w;
}

void
word_counts_free(word_counts *counts)
{
    free(counts->heap);
}
