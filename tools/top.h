/* What the parts of dsmctl top share: top.c, the command and its table;
 * watch.c, which reads the counters of clusters; screen.c, the live view. */
#ifndef DSMCTL_TOP_H
#define DSMCTL_TOP_H

#include "dsmctl.h"

/* A worker, or all of a cluster together. */
struct row {
    const char *cluster;
    bool sum;
    bool measured; /* busy, barrier and rate: there were two readings */
    unsigned id;
    pid_t pid;
    dsm_worker_state state;
    double busy, barrier; /* parts of the time; of a sum the average */
    double rate;          /* jobs a second */
    uint64_t jobs, deaths;
    uint64_t memory;    /* bytes of its own, without what is shared */
    double mean, worst; /* seconds of its jobs */
    char work[sizeof((dsm_worker_info *)0)->work];
};

/* A cluster that is watched. */
struct watch {
    dsm_cluster_info info;
    dsm_cluster *handle;        /* or NULL */
    char trouble[512];          /* why it cannot be read, or "" */
    double when;                /* of the last reading, 0 before the first */
    struct row *rows;           /* info.workers of them, and then the sum */
    dsm_worker_info *last_read; /* info.workers of them */
};

struct watch_list {
    const char *name; /* of the only one to watch, or NULL: all */
    struct watch *watches;
    size_t count;
};

/* ---- watch.c */

/* Seconds of a clock that is never set. */
double watch_clock(void);

/* Reads all live clusters that are to be watched; others are watched no more.
 * 0 or an error of dsm_cluster_list; what went wrong with one of the clusters
 * is in its `trouble`. */
int watch_update(struct watch_list *list);
void watch_free(struct watch_list *list);

/* ---- top.c */

/* The table of all workers, and what went wrong; allocated.  NULL: it could not
 * be made, and a message says so. */
char *top_text(const struct request *request, const struct watch_list *list);

/* ---- screen.c */

/* Shows the list on the terminal, anew every `delay` seconds, until the user
 * quits or, if it is for one cluster, that ends. */
int screen_run(const struct request *request, struct watch_list *list,
               double delay);

#endif
