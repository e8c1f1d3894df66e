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

struct command {
    const char *name;
    const char *operands; /* for messages */
    int min_operands, max_operands;
    unsigned flags; /* the options that it takes */
    int (*run)(const struct request *request);
    const char *help;
};

static const struct command commands[] = {
    {"list", " [NAME]", 0, 1,
     FLAG_JSON | FLAG_OUTPUT | FLAG_NOHEADINGS | FLAG_BYTES | FLAG_CHECK,
     command_list, "show this user's clusters, or the objects of one"},
    {"delete", " NAME...", 1, INT_MAX, FLAG_FORCE, command_delete,
     "remove stale clusters, with --force live ones"},
    {"clean", "", 0, 0, FLAG_DRY_RUN, command_clean,
     "remove all that is stale, and say what"},
    {"export", " CLUSTER ARRAY FILE.npy", 3, 3, FLAG_FORCE, command_export,
     "save an array of a live cluster as a NumPy file"},
};

struct option_info {
    int code; /* a letter, or above all letters where there is none */
    const char *name;
    const char *argument; /* NULL: none */
    enum request_flag flag;
    const char *help;
};

enum { OPTION_CHECK = 256, OPTION_DRY_RUN, OPTION_FORCE };

static const struct option_info options[] = {
    {'J', "json", NULL, FLAG_JSON,
     "list: print JSON, with bytes and seconds as plain numbers"},
    {'o', "output", "COLUMNS", FLAG_OUTPUT,
     "list: these columns, or +COLUMNS beside the usual ones"},
    {'n', "noheadings", NULL, FLAG_NOHEADINGS, "list: print no headings"},
    {'b', "bytes", NULL, FLAG_BYTES, "list: print sizes in bytes"},
    {OPTION_CHECK, "check", NULL, FLAG_CHECK,
     "list: exit with 3 if a cluster is stale"},
    {OPTION_DRY_RUN, "dry-run", NULL, FLAG_DRY_RUN,
     "clean: remove nothing, exit with 3 if it would"},
    {OPTION_FORCE, "force", NULL, FLAG_FORCE,
     "delete: stop live clusters; export: replace FILE.npy"},
    {'h', "help", NULL, FLAG_HELP, "print this help"},
    {'V', "version", NULL, FLAG_VERSION, "print the version"},
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

/* The names of the options among `flags`, for a message. */
static void
name_options(char *list, size_t size, unsigned flags)
{
    char name[32];

    for (size_t i = 0; i < LENGTH(options); i++)
        if (flags & (unsigned)options[i].flag) {
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
    for (size_t i = 0; i < LENGTH(options); i++) {
        const struct option_info *option = &options[i];
        snprintf(usage, sizeof usage, "--%s%s%s", option->name,
                 option->argument ? " " : "",
                 option->argument ? option->argument : "");
        if (option->code < OPTION_CHECK)
            printf(" -%c, %-16s  %s\n", option->code, usage, option->help);
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

static const struct option_info *
find_option(int code)
{
    for (size_t i = 0; i < LENGTH(options); i++)
        if (options[i].code == code)
            return &options[i];
    return NULL;
}

static const struct command *
find_command(const char *name)
{
    for (size_t i = 0; i < LENGTH(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* getopt has met what is no option, or one without its argument or with one too
 * many; `word` is the argument that it looked at. */
static int
refuse_option(int result, const char *word)
{
    const struct option_info *option = find_option(optopt);
    char known[256] = "";

    if (option && result == ':') {
        complain("option --%s needs %s", option->name, option->argument);
    } else if (option) {
        complain("option --%s takes no argument", option->name);
    } else {
        name_options(known, sizeof known, ~0U);
        if (optopt != 0)
            complain("unknown option '-%c'; the options are %s", optopt, known);
        else
            complain("unknown option '%s'; the options are %s", word, known);
    }
    return EXIT_USAGE;
}

static int
parse_options(struct request *request, int argc, char **argv)
{
    struct option long_options[LENGTH(options) + 1] = {0};
    int result;

    for (size_t i = 0; i < LENGTH(options); i++)
        long_options[i] = (struct option){
            .name = options[i].name,
            .has_arg = options[i].argument ? required_argument : no_argument,
            .val = options[i].code};
    opterr = 0;
    while ((result = getopt_long(argc, argv, ":Jo:nbhV", long_options, NULL)) !=
           -1) {
        if (result == '?' || result == ':')
            return refuse_option(result, argv[optind - 1]);
        request->flags |= (unsigned)find_option(result)->flag;
        if (result == 'o')
            request->columns = optarg;
    }
    request->operands = argv + optind;
    request->operand_count = argc - optind;
    return EXIT_OK;
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
refuse_flags(const struct command *command, unsigned extra)
{
    char given[256] = "", known[256] = "";

    name_options(given, sizeof given, extra);
    name_options(known, sizeof known, command->flags);
    complain("%s does not take %s; its options are %s", command->name, given,
             known);
    return EXIT_USAGE;
}

static int
run_command(struct request *request)
{
    const char *name = request->operand_count > 0 ? *request->operands : NULL;
    const struct command *command = name ? find_command(name) : NULL;

    if (!command)
        return refuse_command(name);
    request->operands++;
    request->operand_count--;
    if (request->flags & ~command->flags)
        return refuse_flags(command, request->flags & ~command->flags);
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

static int
handle(struct request *request)
{
    if (has(request, FLAG_HELP))
        print_help();
    else if (has(request, FLAG_VERSION))
        printf("dsmctl (libdsm) %s\n", PACKAGE_VERSION);
    else
        return run_command(request);
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
    struct request request = {0};
    int code;

    setlocale(LC_CTYPE, ""); /* not LC_NUMERIC: JSON wants a point */
    code = parse_options(&request, argc, argv);
    if (code == EXIT_OK)
        code = handle(&request);
    return close_stdout(code);
}
