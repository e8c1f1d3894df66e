/* Tables of figures by topic, each measured at several sizes. */
#ifndef TOPICS_H
#define TOPICS_H

#include "measure.h"

enum { TOPIC_SIZES = 8 };

/* One group of figures for each size.  A row's own size and count, where they
 * are not 0, stand for the topic's. */
struct topic {
    const char *name; /* of the group, with %s for the size */
    const struct figure *rows;
    size_t row_count;
    struct {
        size_t size; /* a tenth of it with --quick */
        long count;
    } sizes[TOPIC_SIZES];
    double amount;    /* for each of size: see struct figure */
    const char *unit; /* of that */
    bool each;        /* figures are of one item */
    bool squared;     /* amount counts size * size */
    bool fixed;       /* sizes are the same with --quick */
};

/* The most figures and characters of names that topics make. */
enum { TOPIC_FIGURES_MAX = 512, TOPIC_NAME_MAX = 64 };

/* Sets run's figures.  They last as long as the program. */
void topics_expand(struct run *run, const struct topic *topics, size_t n);

#endif
