/* The live view of dsmctl top: the table of --once, by ncurses.
 *
 * Signals that would end the program are blocked and come by a descriptor, so
 * that the terminal is given back first; the program then ends of them. */
#include "top.h"

#include <curses.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct screen {
    const struct request *request;
    const struct watch_list *list;
    char *text;     /* the table: lines, with an end each */
    int line_count; /* without its heading */
    int first;      /* the one at the top: what came before is scrolled off */
    struct signals signals;
    bool quit;
};

/* ---- Drawing. */

static void
draw_title(const struct screen *screen)
{
    const struct watch_list *list = screen->list;
    unsigned workers = 0, running = 0;
    time_t now = time(NULL);
    char clock[16] = "";
    struct tm local;

    for (size_t k = 0; k < list->count; k++)
        for (unsigned id = 0; id < list->watches[k].info.workers; id++) {
            workers++;
            running += list->watches[k].rows[id].state == DSM_WORKER_RUNNING;
        }
    if (localtime_r(&now, &local))
        strftime(clock, sizeof clock, "%H:%M:%S", &local);
    mvprintw(0, 0, "dsmctl top %s, clusters: %zu, workers: %u, running: %u",
             clock, list->count, workers, running);
    if (COLS > 70)
        mvaddstr(0, COLS - 7, "q quits");
}

/* Lines 2 and on are the table, its heading first, which stays when the others
 * are scrolled. */
static void
draw(struct screen *screen)
{
    int headings = has(screen->request, OPTION_NOHEADINGS) ? 0 : 1;
    int room = LINES - 2 - headings, number = 0;
    int last = screen->line_count > room ? screen->line_count - room : 0;

    screen->first = screen->first > last ? last : screen->first;
    screen->first = screen->first < 0 ? 0 : screen->first;
    erase();
    draw_title(screen);
    for (const char *line = screen->text; line && *line; number++) {
        int length = (int)strcspn(line, "\n");
        int row = number < headings ? 2 : number - screen->first + 2;
        if (number < headings || row >= 2 + headings) {
            attrset(number < headings ? A_BOLD : A_NORMAL);
            mvaddnstr(row, 0, line, length);
        }
        line += length + (line[length] == '\n');
    }
    attrset(A_NORMAL);
    refresh();
}

/* The table's text, and below it what went wrong. */
static int
take_text(struct screen *screen)
{
    int lines = 0;

    free(screen->text);
    screen->text = top_text(screen->request, screen->list);
    if (!screen->text)
        return EXIT_FAILED;
    for (const char *at = screen->text; (at = strchr(at, '\n')); at++)
        lines++;
    screen->line_count =
        lines - (has(screen->request, OPTION_NOHEADINGS) ? 0 : 1);
    return EXIT_OK;
}

/* ---- Keys and signals. */

static void
take_key(struct screen *screen, int key)
{
    int page = LINES > 6 ? LINES - 4 : 1;

    switch (key) {
    case 'q':
    case 'Q':
        screen->quit = true;
        break;
    case KEY_UP:
        screen->first--;
        break;
    case KEY_DOWN:
        screen->first++;
        break;
    case KEY_PPAGE:
        screen->first -= page;
        break;
    case KEY_NPAGE:
        screen->first += page;
        break;
    case KEY_HOME:
        screen->first = 0;
        break;
    case KEY_END:
        screen->first = screen->line_count;
        break;
    default: /* KEY_RESIZE, too: all is drawn anew */
        break;
    }
}

/* Waits until it is time for a new reading, or the user wants to go. */
static void
attend(struct screen *screen, double until)
{
    double left;

    while (!screen->quit && !screen->signals.caught &&
           (left = until - watch_clock()) > 0) {
        struct pollfd polled[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                  {.fd = screen->signals.fd, .events = POLLIN}};
        int key;

        /* A signal that is not blocked, of a new size, ends it, too. */
        (void)poll(polled, 2, (int)(1000 * left) + 1);
        if (polled[1].revents & POLLIN)
            (void)signals_take(&screen->signals);
        else if (polled[0].revents & (POLLHUP | POLLERR | POLLNVAL))
            screen->signals.caught = SIGHUP; /* the terminal is gone */
        while ((key = getch()) != ERR)
            take_key(screen, key);
        draw(screen);
    }
}

/* ---- The terminal. */

/* Also when the program ends elsewhere, for want of memory. */
static void
give_terminal_back(void)
{
    if (!isendwin())
        endwin();
}

static SCREEN *
open_terminal(struct screen *screen)
{
    SCREEN *terminal;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        complain("this is no terminal; --once prints a table, --json JSON");
        return NULL;
    }
    signals_hold(&screen->signals);
    terminal = newterm(NULL, stdout, stdin);
    if (!terminal) {
        complain("cannot show a live view on a terminal of kind '%s'; --once "
                 "prints a table",
                 getenv("TERM") ? getenv("TERM") : "");
        return NULL;
    }
    atexit(give_terminal_back);
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    return terminal;
}

static void
close_terminal(struct screen *screen, SCREEN *terminal)
{
    give_terminal_back();
    delscreen(terminal);
    free(screen->text);
    signals_let_go(&screen->signals);
}

int
screen_run(const struct request *request, struct watch_list *list, double delay)
{
    struct screen screen = {.request = request, .list = list};
    SCREEN *terminal = open_terminal(&screen);
    double rest = delay < 0.5 ? delay : 0.5; /* the first rates come soon */
    int code = EXIT_OK, error = 0;
    bool ended = false;

    if (!terminal)
        return EXIT_FAILED;
    while (!ended && !error && (code = take_text(&screen)) == EXIT_OK) {
        draw(&screen);
        attend(&screen, watch_clock() + rest);
        if (screen.quit || screen.signals.caught)
            break;
        rest = delay;
        error = watch_update(list);
        ended = list->name && list->count == 0;
    }
    close_terminal(&screen, terminal);
    if (error < 0)
        complain_of(list->name, error);
    else if (ended)
        printf("cluster '%s' has ended\n", list->name);
    return error < 0 ? EXIT_FAILED : code;
}
