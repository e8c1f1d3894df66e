/* See topics.h. */
#include "topics.h"

#include <math.h>
#include <stdio.h>

/* "10^6", or the digits of what is no power of ten. */
static void
size_text(char text[24], size_t size)
{
    int exponent = (int)lround(log10((double)size));
    if (size >= 1000 && fabs(pow(10, exponent) - (double)size) < 0.5)
        snprintf(text, 24, "10^%d", exponent);
    else
        snprintf(text, 24, "%zu", size);
}

static struct figure
expand_row(const struct topic *topic, const struct figure *row, size_t size,
           long count)
{
    struct figure figure = *row;
    figure.group = NULL;
    if (figure.size == 0)
        figure.size = size;
    if (figure.count == 0)
        figure.count = count;
    double items = (double)figure.size;
    figure.amount = topic->amount * (topic->squared ? items * items : items);
    figure.unit = topic->unit;
    if (topic->each) {
        figure.per = items;
        figure.amount = topic->amount;
    } else if (figure.size != size) {
        /* As if it were of the topic's size. */
        figure.per = items / (double)size;
        figure.amount *= (double)size / items;
    }
    return figure;
}

void
topics_expand(struct run *run, const struct topic *topics, size_t n)
{
    static struct figure figures[TOPIC_FIGURES_MAX];
    static char names[TOPIC_FIGURES_MAX][TOPIC_NAME_MAX];
    size_t made = 0;
    for (const struct topic *topic = topics; topic < topics + n; topic++) {
        for (int s = 0; s < TOPIC_SIZES && topic->sizes[s].size > 0; s++) {
            size_t size = topic->sizes[s].size, first = made;
            if (run->quick && !topic->fixed)
                size = (size + 9) / 10;
            if (made + topic->row_count > TOPIC_FIGURES_MAX)
                break;
            for (size_t r = 0; r < topic->row_count; r++)
                figures[made++] = expand_row(topic, &topic->rows[r], size,
                                             topic->sizes[s].count);
            char digits[24];
            size_text(digits, size);
            snprintf(names[first], TOPIC_NAME_MAX, topic->name, digits);
            figures[first].group = names[first];
        }
    }
    run->figures = figures;
    run->figure_count = made;
}
