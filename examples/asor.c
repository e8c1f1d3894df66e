/* Solves a sparse or dense linear system by asynchronous over-relaxation; the
 * command line and the report.  asor_solver.c has the parallel part.
 */
#include "asor_solver.h"
#include "support.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
    "Usage: asor [OPTION]... MATRIX.mtx\n"
    "       asor [OPTION]... --poisson NXxNY[xNZ]\n"
    "       asor [OPTION]... --random N\n"
    "Solves A x = b with b = A (1, 2, ..., n) by successive over-relaxation.\n"
    "Each worker relaxes rows of its own on the shared x without waiting for\n"
    "the others, until |b - A x| / |b| is small enough.\n"
    "\n"
    "  -p, --workers=WORKERS  processes; default $DSM_WORKERS, else the CPUs\n"
    "  -w, --omega=OMEGA      relaxation factor between 0 and 2; default 1\n"
    "  -e, --tolerance=TOL    residual to reach; default 1e-8\n"
    "  -m, --max-sweeps=N     sweeps that a worker may do; default 10000000\n"
    "      --sync             a barrier after every sweep: block Gauss-Seidel\n"
    "      --dense            store all n x n numbers, multiply by BLAS\n"
    "  -o, --output=FILE.npy  save x, a NumPy file\n"
    "      --scaling          solve with 1 to WORKERS workers, print a table\n"
    "      --csv=FILE         write that table, or the one run, as CSV\n"
    "      --help             show this and exit\n"
    "\n"
    "MATRIX.mtx is a Matrix Market coordinate file, real or integer, general\n"
    "or symmetric, or has the plain form: a line 'n n entries', then lines\n"
    "'row column value', then '0 0 0'.\n"
    "--random makes a dense, symmetric, diagonally dominant matrix.\n";

typedef struct settings {
    unsigned workers; /* 0: the library's choice */
    asor_options solver;
    bool dense, scaling;
    const char *output, *csv;
    /* One of these: */
    const char *path, *grid;
    size_t random;
} settings;

/* What one run leaves for the tables. */
typedef struct run {
    unsigned workers;
    asor_result result;
    double error;
    uint64_t least, most;        /* sweeps of a worker */
    double compute, check, sync; /* means over the workers */
    double per_sweep;            /* seconds, also a mean */
    double reading;              /* the matrix once; 0: not measured */
} run;

/* Whether a progress line stands on the terminal. */
static bool line_shown;

static void
clear_line(void)
{
    if (line_shown)
        fputs("\r\033[K", stderr);
    line_shown = false;
}

static void
show(const progress_view *seen)
{
    static double next;

    if (!isatty(STDERR_FILENO) || seconds_now() < next)
        return;
    next = seconds_now() + 0.1;
    fprintf(stderr, "\r%" PRIu64 " .. %" PRIu64 " sweeps, residual %.2e\033[K",
            seen->slowest, seen->fastest, seen->residual);
    line_shown = true;
}

static void
tell_lowering(double omega)
{
    clear_line();
    printf("the residual does not fall at omega %g: lowering it towards 1\n",
           omega);
}

/* Long options without a letter. */
enum { SYNC = 256, DENSE, SCALING, CSV, POISSON, RANDOM, SHOW_HELP };

static const struct option OPTIONS[] = {
    {"workers", required_argument, NULL, 'p'},
    {"omega", required_argument, NULL, 'w'},
    {"tolerance", required_argument, NULL, 'e'},
    {"max-sweeps", required_argument, NULL, 'm'},
    {"output", required_argument, NULL, 'o'},
    {"sync", no_argument, NULL, SYNC},
    {"dense", no_argument, NULL, DENSE},
    {"scaling", no_argument, NULL, SCALING},
    {"csv", required_argument, NULL, CSV},
    {"poisson", required_argument, NULL, POISSON},
    {"random", required_argument, NULL, RANDOM},
    {"help", no_argument, NULL, SHOW_HELP},
    {0}};

static void
set_number(settings *set, int option)
{
    asor_options *o = &set->solver;
    size_t count;

    if (option == 'w') {
        if (!parse_real(optarg, &o->omega) || o->omega <= 0 || o->omega >= 2)
            misuse("'%s' is no omega between 0 and 2", optarg);
    } else if (option == 'e') {
        if (!parse_real(optarg, &o->tolerance) || o->tolerance <= 0)
            misuse("'%s' is no tolerance above 0", optarg);
    } else if (!parse_count(optarg, 1, &count)) {
        misuse("'%s' is no number above 0", optarg);
    } else if (option == 'm') {
        o->max_sweeps = count;
    } else if (count > INT_MAX) { /* BLAS counts with int */
        misuse("%zu are too many", count);
    } else if (option == 'p') {
        set->workers = (unsigned)count;
    } else {
        set->random = count;
    }
}

static void
set_option(settings *set, int option)
{
    switch (option) {
    case 'o':
        set->output = optarg;
        break;
    case SYNC:
        set->solver.synchronous = true;
        break;
    case DENSE:
        set->dense = true;
        break;
    case SCALING:
        set->scaling = true;
        break;
    case CSV:
        set->csv = optarg;
        break;
    case POISSON:
        set->grid = optarg;
        break;
    case SHOW_HELP:
        fputs(HELP, stdout);
        exit(EXIT_SUCCESS);
    case '?':
        misuse("try --help");
    default:
        set_number(set, option);
    }
}

static void
parse(int argc, char **argv, settings *set)
{
    int option;

    while ((option = getopt_long(argc, argv, "p:w:e:m:o:", OPTIONS, NULL)) >= 0)
        set_option(set, option);
    if (optind < argc)
        set->path = argv[optind++];
    if (optind < argc || !!set->path + !!set->grid + !!set->random != 1)
        misuse("expected one matrix: a file, --poisson or --random; try "
               "--help");
}

static void
read_matrix(matrix *m, const settings *set)
{
    char message[MATRIX_MESSAGE_MAX];
    int status = 0;

    *m = (matrix){.n = set->random};
    if (set->path)
        status = matrix_read(m, set->path, MATRIX_DIAGONAL, message);
    else if (set->grid)
        status = matrix_poisson(m, set->grid, message);
    if (status < 0)
        fail("%s", message);
}

static void
create_system(linear_system *s, dsm_cluster *cluster, const settings *set,
              const matrix *m)
{
    int status = set->random ? linear_system_random(s, cluster, set->random)
                             : linear_system_create(s, cluster, m, set->dense);

    if (status < 0)
        fail("%s", dsm_last_error());
    /* Its square must be a double, too. */
    if (!(s->norm < 1e150))
        fail("b = A (1, 2, ..., n) is too large: |b| = %g", s->norm);
}

/* Before the cluster, and with it the workers' progress, goes. */
static void
summarize(run *r)
{
    r->least = UINT64_MAX;
    for (unsigned w = 0; w < r->workers; w++) {
        const progress *p = &r->result.workers[w];
        uint64_t sweeps = progress_sweeps(p);

        r->least = sweeps < r->least ? sweeps : r->least;
        r->most = sweeps > r->most ? sweeps : r->most;
        r->compute += p->compute / r->workers;
        r->per_sweep += p->compute / (double)sweeps / r->workers;
        r->check += p->check / r->workers;
        r->sync += p->sync / r->workers;
    }
}

static void
report(const run *r)
{
    printf("worker      sweeps  compute s    check s     sync s\n");
    for (unsigned w = 0; w < r->workers; w++) {
        const progress *p = &r->result.workers[w];

        printf("%6u %11" PRIu64 " %10.3f %10.3f %10.3f\n", w,
               progress_sweeps(p), p->compute, p->check, p->sync);
    }
    printf("total time %.4f s; the observer's checks: %u in %.4f s\n"
           "a sweep takes %.3g ms",
           r->result.seconds, r->result.checks, r->result.check,
           1e3 * r->per_sweep);
    if (r->reading > 0)
        printf(", reading the matrix once %.3g ms", 1e3 * r->reading);
    printf("\ntrue residual %.2e, error %.2e, omega %g\n", r->result.residual,
           r->error, r->result.omega);
}

/* A row of the table; NULL: its head.  `first` is the run with one worker. */
static void
report_row(const run *r, const run *first)
{
    char sweeps[48];

    if (!r) {
        printf("workers  omega                 sweeps    time s  speed-up  "
               "residual     error\n");
        return;
    }
    snprintf(sweeps, sizeof sweeps, "%" PRIu64 "..%" PRIu64, r->least, r->most);
    printf("%7u %6g %22s %9.3f %9.2f  %.2e  %.2e\n", r->workers,
           r->result.omega, sweeps, r->result.seconds,
           first->result.seconds / r->result.seconds, r->result.residual,
           r->error);
}

static void
write_csv(FILE *file, const run *runs, size_t count)
{
    fputs("workers,omega,sweeps_min,sweeps_max,compute_s,check_s,sync_s,"
          "observer_check_s,total_s,speedup,residual,error\n",
          file);
    for (const run *r = runs; r < runs + count; r++)
        fprintf(file,
                "%u,%g,%" PRIu64 ",%" PRIu64 ",%.6f,%.6f,%.6f,%.6f,%.6f,%.4f,"
                "%.6e,%.6e\n",
                r->workers, r->result.omega, r->least, r->most, r->compute,
                r->check, r->sync, r->result.check, r->result.seconds,
                runs->result.seconds / r->result.seconds, r->result.residual,
                r->error);
}

static void
judge(const run *r, const settings *set)
{
    if (r->result.outcome == ASOR_DIVERGED)
        fail("the iteration diverges: at omega %g the residual grows without "
             "bound",
             r->result.omega);
    if (r->result.outcome == ASOR_LIMIT)
        fail("not converged: residual %.2e after %" PRIu64
             " sweeps, tolerance %g",
             r->result.residual, set->solver.max_sweeps, set->solver.tolerance);
}

/* One solution, by a cluster of its own; fills *r and prints it. */
static void
solve(run *r, unsigned workers, const settings *set, const matrix *m)
{
    dsm_cluster *cluster;
    linear_system s;
    int status;

    if (dsm_cluster_create(&cluster, workers, NULL) < 0)
        fail("%s", dsm_last_error());
    create_system(&s, cluster, set, m);
    *r = (run){.workers = dsm_cluster_workers(cluster)};
    status = s.dense ? linear_system_read_time(&s, cluster, &r->reading) : 0;
    if (status >= 0)
        status = asor_solve(&r->result, cluster, &s, &set->solver);
    clear_line();
    if (status < 0)
        fail("%s", dsm_last_error());
    r->error = linear_system_error(&s, dsm_array_data(r->result.solution));
    summarize(r);
    if (!set->scaling && r->result.outcome != ASOR_DIVERGED)
        report(r);
    judge(r, set);
    if (set->output && dsm_array_save(r->result.solution, set->output) < 0)
        fail("%s", dsm_last_error());
    dsm_cluster_destroy(cluster);
}

static unsigned
choose_workers(const settings *set)
{
    dsm_cluster *cluster;
    unsigned workers = set->workers;

    if (workers)
        return workers;
    if (dsm_cluster_create(&cluster, 0, NULL) < 0)
        fail("%s", dsm_last_error());
    workers = dsm_cluster_workers(cluster);
    dsm_cluster_destroy(cluster);
    return workers;
}

static void
solve_all(FILE *csv, const settings *set, const matrix *m)
{
    unsigned count = set->scaling ? choose_workers(set) : 1;
    run *runs = calloc(count, sizeof *runs);

    if (!runs)
        fail("no memory for %u results", count);
    if (!set->scaling)
        solve(&runs[0], set->workers, set, m);
    for (unsigned k = 0; set->scaling && k < count; k++) {
        solve(&runs[k], k + 1, set, m);
        if (k == 0)
            report_row(NULL, NULL);
        report_row(&runs[k], &runs[0]);
    }
    if (csv)
        write_csv(csv, runs, count);
    free(runs);
}

static void
describe(const settings *set, const matrix *m)
{
    if (set->random || set->dense)
        printf("%zu unknowns, dense, ", m->n);
    else
        printf("%zu unknowns, %zu entries, ", m->n, m->entries);
    printf("%s, omega %g, tolerance %g\n",
           set->solver.synchronous ? "synchronous" : "asynchronous",
           set->solver.omega, set->solver.tolerance);
}

int
main(int argc, char **argv)
{
    settings set = {.solver = {.omega = 1,
                               .tolerance = 1e-8,
                               .max_sweeps = 10000000,
                               .show = show,
                               .lowering = tell_lowering}};
    FILE *csv = NULL;
    matrix m;

    program = "asor";
    parse(argc, argv, &set);
    read_matrix(&m, &set);
    /* Before the work, so that it is not done in vain. */
    if (set.csv && !(csv = fopen(set.csv, "w")))
        fail("%s: %s", set.csv, strerror(errno));
    describe(&set, &m);
    solve_all(csv, &set, &m);
    if (csv && fclose(csv))
        fail("%s: %s", set.csv, strerror(errno));
    matrix_free(&m);
    return EXIT_SUCCESS;
}
