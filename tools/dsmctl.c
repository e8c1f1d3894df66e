/* dsmctl: sees to the clusters of this user.
 *
 * This file knows the command line: one table of commands, one of options, from
 * which parsing, messages and --help all come.  Each command has a file of its
 * own and returns an exit code. */
#include "dsmctl.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "(unknown version)"
#endif

#define BIT(option) (1U << (option))

/* Behind the command's first operand there are no options. */
#define WORDS_FOLLOW BIT(OPTION_COUNT)

struct command {
    const char *name;
    const char *operands; /* for messages */
    int min_operands, max_operands;
    unsigned options; /* those that it takes, and WORDS_FOLLOW */
    int (*run)(const struct request *request);
    const char *help;
};

static const struct command commands[] = {
    {"list", " [NAME]", 0, 1,
     BIT(OPTION_JSON) | BIT(OPTION_OUTPUT) | BIT(OPTION_NOHEADINGS) |
         BIT(OPTION_BYTES) | BIT(OPTION_CHECK),
     command_list, "show this user's clusters, or the objects of one"},
    {"delete", " NAME...", 1, INT_MAX, BIT(OPTION_FORCE), command_delete,
     "remove stale clusters, with --force live ones"},
    {"clean", "", 0, 0, BIT(OPTION_DRY_RUN), command_clean,
     "remove all that is stale, and say what"},
    {"export", " CLUSTER ARRAY FILE.npy", 3, 3, BIT(OPTION_FORCE),
     command_export, "save an array of a live cluster as a NumPy file"},
    {"start", " NAME", 1, 1,
     BIT(OPTION_WORKERS) | BIT(OPTION_LOG) | BIT(OPTION_MAX_JOBS),
     command_start, "start a cluster that no program owns"},
    {"stop", " NAME...", 1, INT_MAX, 0, command_stop, "end live clusters"},
    {"refresh", " NAME", 1, 1, 0, command_refresh,
     "give a cluster fresh workers"},
    {"submit", " NAME FILE:FN [ARG...]", 2, INT_MAX,
     BIT(OPTION_NAME) | BIT(OPTION_RETRIES) | WORDS_FOLLOW, command_submit,
     "run a function of a library or a C file"},
    {"top", " [NAME]", 0, 1,
     BIT(OPTION_JSON) | BIT(OPTION_OUTPUT) | BIT(OPTION_NOHEADINGS) |
         BIT(OPTION_BYTES) | BIT(OPTION_DELAY) | BIT(OPTION_ONCE),
     command_top, "show what workers do, anew every second"},
};

struct option_info {
    char letter; /* or 0 */
    const char *name;
    const char *argument; /* NULL: none */
    const char *help;
};

/* A letter may mean one thing to one command and another to another. */
static const struct option_info options[OPTION_COUNT] = {
    [OPTION_JSON] = {'J', "json", NULL,
                     "list, top: JSON, with bytes and seconds as plain "
                     "numbers"},
    [OPTION_OUTPUT] = {'o', "output", "COLUMNS",
                       "list, top: these columns, or +COLUMNS beside "
                       "usual ones"},
    [OPTION_NOHEADINGS] = {'n', "noheadings", NULL,
                           "list, top: print no headings, and no sums"},
    [OPTION_BYTES] = {'b', "bytes", NULL, "list, top: print sizes in bytes"},
    [OPTION_CHECK] = {0, "check", NULL,
                      "list: exit with 3 if a cluster is stale"},
    [OPTION_DRY_RUN] = {0, "dry-run", NULL,
                        "clean: remove nothing, exit with 3 if it would"},
    [OPTION_FORCE] = {0, "force", NULL,
                      "delete: stop live clusters; export: replace FILE.npy"},
    [OPTION_WORKERS] = {'n', "workers", "N",
                        "start: so many; else one for each CPU"},
    [OPTION_LOG] = {0, "log", "FILE",
                    "start: add to it what the workers print"},
    [OPTION_MAX_JOBS] = {0, "max-jobs", "N",
                         "start: so many of a program at a time"},
    [OPTION_DELAY] = {'d', "delay", "SECONDS", "top: between two readings"},
    [OPTION_ONCE] = {0, "once", NULL, "top: print a table, and end"},
    [OPTION_NAME] = {0, "name", "JOB",
                     "submit: the job's name; else the function's"},
    [OPTION_RETRIES] = {0, "retries", "N",
                        "submit: run it again when its worker dies"},
    [OPTION_HELP] = {'h', "help", NULL, "print this help"},
    [OPTION_VERSION] = {'V', "version", NULL, "print the version"},
};

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* ---- Messages. */

void
complain(const char *format, ...)
{
    va_list arguments;

    fputs("dsmctl: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void
complain_of(const char *name, int error)
{
    const char *sentence = dsm_last_error();

    if (*sentence)
        complain("%s", sentence);
    else if (name)
        complain("cluster '%s': %s", name, dsm_strerror(error));
    else
        complain("%s", dsm_strerror(error));
}

void
append_name(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);

    snprintf(list + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

/* The names of the options among `some`, for a message. */
static void
name_options(char *list, size_t size, unsigned some)
{
    char name[32];

    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (some & BIT(i)) {
            snprintf(name, sizeof name, "--%s", options[i].name);
            append_name(list, size, name);
        }
}

/* ---- Help. */

static void
print_commands(void)
{
    char usage[64];

    printf("\nCommands:\n");
    for (size_t i = 0; i < LENGTH(commands); i++) {
        snprintf(usage, sizeof usage, "%s%s", commands[i].name,
                 commands[i].operands);
        printf(" %-29s  %s\n", usage, commands[i].help);
    }
}

static void
print_options(void)
{
    char usage[64];

    printf("\nOptions, before or after the command:\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *option = &options[i];
        snprintf(usage, sizeof usage, "--%s%s%s", option->name,
                 option->argument ? " " : "",
                 option->argument ? option->argument : "");
        if (option->letter)
            printf(" -%c, %-16s  %s\n", option->letter, usage, option->help);
        else
            printf("     %-16s  %s\n", usage, option->help);
    }
}

static void
print_help(void)
{
    printf("Usage:\n"
           " dsmctl [OPTION...] COMMAND [ARGUMENT...]\n"
           "\n"
           "Sees to the libdsm clusters of this user.\n");
    print_commands();
    print_options();
    list_print_columns();
    top_print_columns();
    printf("\n"
           "Exit codes:\n"
           " 0  done\n"
           " 1  something failed\n"
           " 2  wrong usage\n"
           " 3  'list --check' or 'clean --dry-run' found stale clusters\n"
           " 4  'delete' refused, because a cluster is live\n"
           "\n"
           "See dsmctl(1).\n");
}

/* ---- The command line. */

/* What getopt has for an option is its number behind all letters. */
#define CODE(option) (256 + (int)(option))

static const struct command *
find_command(const char *name)
{
    for (size_t i = 0; i < LENGTH(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static bool
takes(const struct command *command, size_t option)
{
    return command && command->options & BIT(option);
}

/* The option that getopt's `code` stands for: of several with the letter the
 * command's own.  OPTION_COUNT: there is none. */
static size_t
find_option(int code, const struct command *command)
{
    size_t found = OPTION_COUNT;

    if (code >= CODE(0))
        return (size_t)(code - CODE(0));
    for (size_t i = 0; code != 0 && i < OPTION_COUNT; i++)
        if (options[i].letter == code &&
            (found == OPTION_COUNT || takes(command, i)))
            found = i;
    return found;
}

/* getopt has met what is no option, or one without its argument or with one too
 * many; `word` is the argument that it looked at. */
static int
refuse_option(int result, size_t option, const char *word)
{
    char known[256] = "";

    if (option < OPTION_COUNT && result == ':') {
        complain("option --%s needs %s", options[option].name,
                 options[option].argument);
    } else if (option < OPTION_COUNT) {
        complain("option --%s takes no argument", options[option].name);
    } else {
        name_options(known, sizeof known, ~0U);
        if (optopt != 0)
            complain("unknown option '-%c'; the options are %s", optopt, known);
        else
            complain("unknown option '%s'; the options are %s", word, known);
    }
    return EXIT_USAGE;
}

/* The letters that getopt is to know; with '+' it stops at the first word that
 * is no option, with ':' it tells of an argument that is missing. */
static void
list_letters(char *letters, const struct command *command)
{
    bool stop = !command || command->options & WORDS_FOLLOW;

    letters += sprintf(letters, "%s", stop ? "+:" : ":");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (options[i].letter && find_option(options[i].letter, command) == i)
            letters += sprintf(letters, "%c%s", options[i].letter,
                               options[i].argument ? ":" : "");
}

/* Goes through the options from argv[1] on; the operands are what is left. */
static int
parse_options(struct request *request, const struct command *command, int argc,
              char **argv)
{
    struct option long_options[OPTION_COUNT + 1] = {0};
    char letters[2 * OPTION_COUNT + 3];
    int result;

    for (size_t i = 0; i < OPTION_COUNT; i++)
        long_options[i] = (struct option){
            .name = options[i].name,
            .has_arg = options[i].argument ? required_argument : no_argument,
            .val = CODE(i)};
    list_letters(letters, command);
    opterr = 0;
    optind = 0; /* anew */
    while ((result = getopt_long(argc, argv, letters, long_options, NULL)) !=
           -1) {
        bool bad = result == '?' || result == ':';
        size_t option = find_option(bad ? optopt : result, command);
        if (bad)
            return refuse_option(result, option, argv[optind - 1]);
        request->options[option] = optarg ? optarg : "";
    }
    request->operands = argv + optind;
    request->operand_count = argc - optind;
    return EXIT_OK;
}

bool
parse_number(const struct request *request, enum request_option option,
             unsigned least, unsigned most, unsigned *number)
{
    const char *text = request->options[option];
    unsigned long value;
    char *end;

    if (!text)
        return true;
    errno = 0;
    value = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
        value >= least && value <= most) {
        *number = (unsigned)value;
        return true;
    }
    complain("option --%s needs a number from %u to %u, not '%s'",
             options[option].name, least, most, text);
    return false;
}

static int
refuse_command(const char *name)
{
    char known[128] = "";

    for (size_t i = 0; i < LENGTH(commands); i++)
        append_name(known, sizeof known, commands[i].name);
    if (name)
        complain("unknown command '%s'; the commands are %s", name, known);
    else
        complain("no command given; the commands are %s", known);
    return EXIT_USAGE;
}

static int
refuse_extra(const struct command *command, unsigned extra)
{
    char given[256] = "", known[256] = "";

    name_options(given, sizeof given, extra);
    name_options(known, sizeof known, command->options);
    if (command->options)
        complain("%s does not take %s; its options are %s", command->name,
                 given, known);
    else
        complain("%s takes no options, not %s", command->name, given);
    return EXIT_USAGE;
}

static int
run_command(const struct command *command, const struct request *request)
{
    unsigned extra = 0;

    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (request->options[i] && !takes(command, i))
            extra |= BIT(i);
    if (extra)
        return refuse_extra(command, extra);
    if (request->operand_count < command->min_operands ||
        request->operand_count > command->max_operands) {
        complain("too %s arguments; usage: dsmctl %s%s",
                 request->operand_count < command->min_operands ? "few"
                                                                : "many",
                 command->name, command->operands);
        return EXIT_USAGE;
    }
    return command->run(request);
}

/* What options mean may depend on the command, so it is found first: it is the
 * first word that is no option. */
static int
handle(int argc, char **argv)
{
    struct request request = {0};
    const struct command *command = NULL;
    int code = parse_options(&request, NULL, argc, argv);
    const char *name = request.operand_count > 0 ? *request.operands : NULL;

    if (code == EXIT_OK && name) {
        command = find_command(name);
        code = parse_options(&request, command, request.operand_count,
                             request.operands);
    }
    if (code != EXIT_OK)
        return code;
    if (has(&request, OPTION_HELP))
        print_help();
    else if (has(&request, OPTION_VERSION))
        printf("dsmctl (libdsm) %s\n", PACKAGE_VERSION);
    else if (!command)
        return refuse_command(name);
    else
        return run_command(command, &request);
    return EXIT_OK;
}

/* A full disk shows up only when the buffer is written out.  That stdout was
 * closed from the start matters only to who has something to print. */
static int
close_stdout(int code)
{
    bool failed;

    errno = 0;
    failed = fflush(stdout) != 0 || ferror(stdout);
    if (!failed && fclose(stdout) != 0 && errno != EBADF)
        failed = true;
    if (!failed)
        return code;
    if (errno != 0)
        complain("cannot write the output: %s", strerror(errno));
    else
        complain("cannot write the output");
    return EXIT_FAILED;
}

int
main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* not LC_NUMERIC: JSON wants a point */
    return close_stdout(handle(argc, argv));
}
