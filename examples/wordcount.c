/* Counts words in files; the command line and the report.  word_counter.c has
 * the parallel part.
 */
#include "support.h"
#include "word_counter.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
    "Usage: wordcount [OPTION]... [FILE]...\n"
    "Counts the words of the files, or of the standard input, and prints each\n"
    "with its count, in the order of the alphabet, as does\n"
    "\n"
    "  tr -cs A-Za-z '\\n' | tr A-Z a-z | sort | uniq -c\n"
    "\n"
    "in the C locale, but for the empty word that tr makes at the beginning "
    "of\n"
    "a text.  A word is a run of the letters A to Z; capitals count as small\n"
    "letters, other bytes separate words, and so does the end of a file.\n"
    "\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "  -k, --top=TOP          only the TOP most frequent words, most frequent\n"
    "                         first, those as frequent by the alphabet\n"
    "      --check            count again with one worker, and compare\n"
    "      --time             tell in the end how long it took\n"
    "      --help             show this and exit\n"
    "\n"
    "FILE - is the standard input.  What is no plain file is first copied to\n"
    "$TMPDIR, or /tmp.\n";

typedef struct settings {
    unsigned workers; /* 0: the library's choice */
    size_t top;
    bool check, time;
} settings;

static double began;
static void
show(size_t done, size_t size)
{
    show_progress((double)done / (double)size);
}

static void
parse(int argc, char **argv, settings *set)
{
    enum { CHECK = 256, TIME, SHOW_HELP };
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'p'},
        {"top", required_argument, NULL, 'k'},
        {"check", no_argument, NULL, CHECK},
        {"time", no_argument, NULL, TIME},
        {"help", no_argument, NULL, SHOW_HELP},
        {0}};
    size_t workers;
    int option;

    while ((option = getopt_long(argc, argv, "p:k:", options, NULL)) >= 0)
        switch (option) {
        case 'p':
            if (!parse_count(optarg, 1, &workers) || workers > UINT_MAX)
                misuse("'%s' is no number of workers", optarg);
            set->workers = (unsigned)workers;
            break;
        case 'k':
            if (!parse_count(optarg, 1, &set->top))
                misuse("'%s' is no number of words", optarg);
            break;
        case CHECK:
            set->check = true;
            break;
        case TIME:
            set->time = true;
            break;
        case SHOW_HELP:
            fputs(HELP, stdout);
            exit(EXIT_SUCCESS);
        default:
            misuse("try --help");
        }
}

/* A file that was cut short while a worker had it mapped is a SIGBUS. */
static const char *
hint(const dsm_cluster *cluster)
{
    dsm_worker_info info = DSM_WORKER_INFO_INIT;

    for (unsigned k = 0; k < dsm_cluster_workers(cluster); k++)
        if (dsm_cluster_worker(cluster, k, &info) == 0 && info.signal == SIGBUS)
            return ": was a file cut short while it was counted?";
    return "";
}

/* Counts with a new cluster, which the counts need. */
static dsm_cluster *
count(word_counts *counts, unsigned workers, const text_files *files,
      const settings *set)
{
    word_counter_options options = {.top = set->top, .show = show};
    dsm_cluster *cluster;
    int status;

    if (dsm_cluster_create(&cluster, workers, NULL) < 0)
        fail("%s", dsm_last_error());
    status = word_counter_run(counts, cluster, files, &options);
    clear_progress();
    if (status < 0)
        fail("%s%s", dsm_last_error(), hint(cluster));
    return cluster;
}

static void
compare(const word *w, const word *serial)
{
    if (!w && !serial)
        return;
    if (!w || !serial || word_compare(w, serial) || w->count != serial->count)
        fail("a serial count differs, by '%.*s', say: that is a bug",
             (int)word_length(w ? w : serial),
             (const char *)(w ? w : serial)->text);
}

/* `serial` is NULL, or must be the same. */
static void
print(word_counts *counts, word_counts *serial)
{
    const word *w;

    do {
        w = word_counts_next(counts);
        if (serial)
            compare(w, word_counts_next(serial));
        if (w) {
            printf("%7" PRIu64 " ", w->count);
            fwrite(w->text, 1, word_length(w), stdout);
            putchar('\n');
        }
    } while (w);
    if (fflush(stdout) || ferror(stdout))
        fail("writing the words: %s", strerror(errno));
}

int
main(int argc, char **argv)
{
    static char *standard_input[] = {"-"};
    settings set = {0};
    text_files files;
    word_counts counts, serial = {0};
    dsm_cluster *cluster, *alone = NULL;
    double seconds;

    program = "wordcount";
    parse(argc, argv, &set);
    if (optind < argc)
        text_files_open(&files, argv + optind, (size_t)(argc - optind));
    else
        text_files_open(&files, standard_input, 1);
    began = seconds_now();
    show_progress(0);
    cluster = count(&counts, set.workers, &files, &set);
    seconds = seconds_now() - began;
    if (set.check) {
        began = seconds_now();
        alone = count(&serial, 1, &files, &set);
    }
    print(&counts, alone ? &serial : NULL);
    if (alone)
        fprintf(stderr, "a serial count gives the same\n");
    if (set.time)
        fprintf(stderr,
                "%" PRIu64 " words, %zu different, in %.1f MB; %u workers: "
                "%.3f s, %.0f MB/s\n",
                counts.words, counts.different, 1e-6 * (double)files.size,
                dsm_cluster_workers(cluster), seconds,
                1e-6 * (double)files.size / seconds);
    word_counts_free(&serial);
    word_counts_free(&counts);
    dsm_cluster_destroy(alone);
    dsm_cluster_destroy(cluster);
    text_files_close(&files);
    return EXIT_SUCCESS;
}
