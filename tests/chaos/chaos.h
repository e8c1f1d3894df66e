/* The chaos run: random programs, whose processes are killed and stopped at
 * random moments, and what must hold all the same.
 *
 * The runner is the parent of all others and is never killed.  For each round
 * it makes a plan, which depends on the seed and the round's number alone; lets
 * the controller, a process of its own, create a cluster and carry out the
 * program; lets a guest, in some rounds, attach to it; sends the signals; and
 * looks at what is left.  A controller that survives does the next round, too,
 * and must not grow.  All along a neighbour has a cluster of its own, to which
 * nothing may happen.
 *
 * They share the board.  Each call of the library is noted there (calls.c): how
 * it ended is counted, and must be what its page allows after the harm that the
 * runner has done up to then.
 */
#ifndef CHAOS_H
#define CHAOS_H

#include <dsm.h>

#include <errno.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "calls.h"

#define WORKERS_MOST 6
#define SIGNALS_MOST 6

/* ---- Random numbers: plan.c. */

struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
/* 0 .. n-1 */
unsigned random_below(struct random *random, unsigned n);
/* True in so many of a hundred cases. */
bool random_percent(struct random *random, unsigned percent);
/* A number that depends on both, and looks like any other. */
uint64_t mixed(uint64_t a, uint64_t b);

/* ---- Plans: plan.c. */

enum victim { WORKER, SUPERVISOR, CONTROLLER, GUEST, VICTIMS };

extern const char *const victim_name[VICTIMS];

/* Beside those, in board.harm: somebody may have died holding a lock. */
#define HOLDER (1u << VICTIMS)

struct blow {
    double at;    /* seconds since the round began */
    bool created; /* no: since the cluster was there */
    double pause; /* SIGSTOP: until SIGCONT */
    enum victim victim;
    unsigned worker; /* which, modulo their number */
    int signal;
};

struct plan {
    uint64_t seed, round;
    unsigned workers, steps, grace_ms;
    bool controller_works, directory;
    bool guest;   /* a second program attaches */
    bool patient; /* the controller waits for its end */
    bool stay;    /* its controller may be that of the last round */
    bool calm;    /* no step that replaces workers */
    double guest_delay;
    unsigned guest_steps;
    unsigned blows;
    struct blow blow[SIGNALS_MOST];
};

void plan_make(struct plan *plan, uint64_t seed, uint64_t round);
void plan_print(const struct plan *plan);
/* A stream of random numbers for one of the processes of a round. */
struct random plan_random(const struct plan *plan, unsigned actor);

/* ---- The board. */

enum { LOG_CONTROLLER, LOG_GUEST, LOGS };

struct log {
    _Atomic uint32_t size;
    char text[16384];
};

struct board {
    struct plan plan;
    double began, created;       /* the round, its cluster */
    char directory[64];          /* a directory of the run's own */
    sem_t go, neighbour_go;      /* to controller and neighbour */
    _Atomic int done;            /* the round, of the controller */
    _Atomic int guest_done;      /* or dead */
    _Atomic int neighbour_done;  /* so many times */
    _Atomic int neighbour_leave; /* it is to end */
    _Atomic int ready, ended;    /* the cluster: there, about to go */
    _Atomic int twin;            /* the second one is there */
    _Atomic unsigned harm;       /* victims that were or may be lost */
    _Atomic unsigned deaths;     /* of workers, by whatever hand */
    _Atomic unsigned lost;       /* regions that lost a worker */
    char name[DSM_NAME_MAX + 1]; /* of the cluster */
    _Atomic pid_t supervisor, worker[WORKERS_MOST];
    double soak_seconds;
    _Atomic unsigned long soak_steps;
    _Atomic int wrong; /* something is; the first: */
    char what[1024];
    struct log log[LOGS];
    _Atomic uint64_t count[CALLS][CODES];
};

extern struct board *board;

/* Seconds of CLOCK_MONOTONIC. */
double now(void);
bool sanitized(void);

/* Says that something is wrong, in whichever process. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Adds a line to the log of this process, if it has one. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_choose(int which);

/* ---- The processes. */

struct scene {
    const struct plan *plan;
    struct random random;
    dsm_cluster *cluster;
    unsigned workers;
    int serial; /* for names */
    /* Of the cluster, as long as it lives. */
    dsm_array *cells, *pair;
    dsm_lock *lock;
    dsm_queue *queue;
    dsm_barrier *robust, *pthread;
};

struct step {
    const char *name;
    void (*run)(struct scene *scene);
    unsigned weight;
    bool replaces; /* workers */
};

extern const struct step region_steps[], array_steps[], primitive_steps[],
    job_steps[], cluster_steps[];

/* The name of the round's second cluster. */
void twin_name(char name[DSM_NAME_MAX + 1]);

/* Chooses one of the tables' steps and takes it. */
void step_any(struct scene *scene);
/* As many large results at once as no step has. */
void jobs_burst(struct scene *scene);
/* A cluster and what its steps need; false when there is none. */
bool scene_begin(struct scene *scene, const struct plan *plan);
void scene_end(struct scene *scene);

_Noreturn void controller_main(void);
_Noreturn void guest_main(void);
_Noreturn void neighbour_main(void);
_Noreturn void soak_main(void); /* the soak's controller */

/* ---- What the runner does. */

extern struct tally {
    unsigned long rounds, hangs, wrongs, leftovers, cleaned;
    unsigned long sent[VICTIMS][3]; /* SIGKILL, SIGSTOP, SIGTERM */
    double slowest;
    uint64_t slowest_round;
} tally;

void tally_signal(const struct blow *blow);

/* Starts the neighbour; ends all. */
bool round_begin(void);
bool round_end(void);
/* Whether all was right; with `freeze` it does not return else. */
bool round_run(const struct plan *plan, bool freeze);
void round_print(const struct plan *plan);
/* The soak; whether all was flat and right. */
bool soak_run(double minutes, uint64_t seed);
/* Removes what programs that were killed left in the run's directory. */
void clear_directory(void);

/* Who takes part; 0: nobody.  `group` is the process group of the controller
 * and its cluster, also when the controller is gone. */
struct players {
    pid_t controller, group, guest;
    pid_t neighbour, supervisor; /* and its */
};

bool players_has(const struct players *players, pid_t pid);
/* A child of this process that is none of them, or 0. */
pid_t killer_stranger(const struct players *players);

/* Whom the blow is for; 0: nobody yet. */
pid_t killer_victim(const struct blow *blow, const struct players *players);
/* 1 if it was there, and one of the round's. */
int killer_send(pid_t victim, const struct players *players, int signal);

/* The children of a process; how many there are, at most `most` of them. */
unsigned children_of(pid_t pid, pid_t *children, unsigned most);
unsigned descriptors_of(pid_t pid);
unsigned mappings_of(pid_t pid);
/* Files in /dev/shm, and in the run's directory, of that cluster. */
unsigned files_of(const char *cluster, char *first, size_t size);
/* Runs dsmctl; its exit status. */
int dsmctl(const char *a, const char *b);
/* A file beside this program: its path. */
const char *beside(const char *file);
/* Prints all that can be known of where these processes are. */
void print_processes(pid_t group);

/* Why the run cannot have a /dev/shm of its own, or NULL. */
const char *own_shm(void);

#endif
