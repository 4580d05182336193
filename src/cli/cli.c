/*
 * From argv to a command: global options, finding the command, its options and arguments, and the one place where errors are printed.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/context.h"
#include "cli/docker_commands.h"
#include "cli/terminal.h"
#include "fs/userns.h"
#include "runtime/state_dir.h"

#define EXIT_USAGE 125 /* docker's status for bad options of any command */

typedef struct GlobalOptions {
        const char *root;
        const char *log_level;
        bool debug, version;
} GlobalOptions;

static const Option global_table[] = {
        { "debug", 'D', OPTION_BOOL, offsetof(GlobalOptions, debug), .help = "Enable debug mode" },
        { "log-level", 'l', OPTION_STRING, offsetof(GlobalOptions, log_level), .help = "Set the logging level (debug, info, warn, error)",
          .choices = "debug|info|warn|error" },
        { "root", 0, OPTION_STRING, offsetof(GlobalOptions, root), .meta = "dir", .help = "Directory of the store (MICA_ROOT)", .flags = OPTION_DIRECTORY },
        { "version", 'v', OPTION_BOOL, offsetof(GlobalOptions, version), .help = "Print version information and quit" },
        OPTION_TABLE_END,
};

const Option *const cli_global_options[] = { global_table, NULL };

bool cli_given(const Cli *cli, const char *option)
{
        return strlist_has(&cli->parsed->given, option);
}

/* A message may quote what came from outside: lines stay, everything else that could drive the terminal is made visible. */
static void print_error(const char *message)
{
        fputs("mica: ", stderr);
        for (const char *p = message; *p;) {
                size_t n = strcspn(p, "\n");
                _cleanup_free_ char *line = str_printable(p, n);

                fprintf(stderr, "%s\n", line);
                p += n + (p[n] == '\n');
        }
        if (!*message)
                fputc('\n', stderr);
}

void cli_report(Cli *cli, Error *err)
{
        fflush(cli->out);
        print_error(error_message(err));
        error_done(err);
}

void cli_note(Cli *cli, const char *format, ...)
{
        va_list args;

        fflush(cli->out);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
}

bool cli_confirm(Cli *cli, const char *question)
{
        char answer[16];

        fprintf(cli->out, "%s [y/N] ", question);
        fflush(cli->out);
        if (!fgets(answer, sizeof(answer), stdin))
                return false;
        return (answer[0] == 'y' || answer[0] == 'Y') && (answer[1] == '\n' || answer[1] == '\0');
}

static int set_log_level(const char *name, Error *err)
{
        static const struct {
                const char *name;
                LogLevel level;
        } levels[] = { { "debug", LOG_LEVEL_DEBUG },     { "info", LOG_LEVEL_INFO },   { "warn", LOG_LEVEL_WARNING },
                       { "warning", LOG_LEVEL_WARNING }, { "error", LOG_LEVEL_ERROR }, { "fatal", LOG_LEVEL_ERROR } };

        for (size_t i = 0; i < ARRAY_LEN(levels); i++)
                if (streq(levels[i].name, name)) {
                        log_set_level(levels[i].level);
                        return 0;
                }
        return error_set(err, ERROR_INVALID, "unable to parse logging level: %s", name);
}

/* --- finding the command --- */

/* Takes the leading words of `words` that name a command. *ret_used counts them. NULL when the first word names nothing. */
static const CommandEntry *find_command(const char *const *words, size_t n_words, size_t *ret_used)
{
        const CommandEntry *found = NULL;
        Buf name = BUF_INIT(KIB);

        for (size_t i = 0; i < n_words && words[i][0] != '-'; i++) {
                const CommandEntry *entry;

                if (buf_addf(&name, "%s%s", i ? " " : "", words[i]) < 0)
                        break;
                entry = command_entry_find(buf_str(&name));
                if (!entry)
                        break;
                found = entry;
                *ret_used = i + 1;
                if (!(entry->flags & ENTRY_GROUP))
                        break;
        }
        buf_done(&name);
        return found;
}

static int report_unknown(const char *group, const char *word)
{
        const char *nearest = command_suggest(group, word), *hint = docker_command_hint(word);

        fprintf(stderr, "mica: unknown command: mica %s%s%s\n", group, *group ? " " : "", word);
        if (hint)
                fprintf(stderr, "\n%s\n", hint);
        else if (nearest)
                fprintf(stderr, "\nDid you mean this?\n  mica %s%s%s\n", group, *group ? " " : "", nearest);
        if (*group)
                fprintf(stderr, "\nUsage:  mica %s COMMAND\n", group);
        fprintf(stderr, "\nRun 'mica %s%s--help' for more information\n", group, *group ? " " : "");
        return EXIT_FAILURE;
}

static int report_usage(const CommandEntry *entry, const char *message, int status)
{
        _cleanup_free_ char *usage = help_usage_line(entry);

        fprintf(stderr, "mica: %s\n\nUsage:  %s\n\nRun 'mica %s --help' for more information\n", message, usage, entry->name);
        return status;
}

static const char *plural(int n)
{
        return n == 1 ? "argument" : "arguments";
}

/* Checks the number of arguments. NULL when it is right, else what is wrong (new string). */
static char *check_arguments(const CommandEntry *entry, size_t n_args)
{
        const Command *command = entry->command;
        int min = command->min_args, max = command->max_args;

        if ((int)n_args >= min && (max == COMMAND_ARGS_ANY || (int)n_args <= max))
                return NULL;
        if (max == 0)
                return xasprintf("'mica %s' accepts no arguments", entry->name);
        if (min == max)
                return xasprintf("'mica %s' requires %d %s", entry->name, min, plural(min));
        if ((int)n_args < min)
                return xasprintf("'mica %s' requires at least %d %s", entry->name, min, plural(min));
        return xasprintf("'mica %s' requires at most %d %s", entry->name, max, plural(max));
}

/* --- running it --- */

static int finish_output(Cli *cli, int status)
{
        if (fflush(cli->out) == 0 && !ferror(cli->out))
                return status;
        if (errno == EPIPE)
                return status;
        fprintf(stderr, "mica: cannot write to standard output: %s\n", strerror(errno));
        return status ? status : EXIT_FAILURE;
}

/* What root does as root, others do as root of a user namespace. */
static int get_rights(const Command *command, Error *err)
{
        _cleanup_free_ char *state_dir = NULL;

        if (!(command->flags & (COMMAND_NAMESPACE | COMMAND_NAMESPACE_TRY)) || geteuid() == 0)
                return 0;
        if (state_dir_make(NULL, &state_dir, err) == 0 && userns_enter(state_dir, err) == 0)
                return 0;
        if (command->flags & COMMAND_NAMESPACE)
                return -1;
        log_debug("%s", error_message(err));
        error_done(err);
        return 0;
}

static int run_command(Cli *cli, int n_args, char *const *args)
{
        const CommandEntry *entry = cli->entry;
        const Command *command = entry->command;
        _cleanup_(option_result_done) OptionResult parsed = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_free_ char *wrong = NULL;
        void *options = xcalloc(1, command->options_size ? command->options_size : 1);
        int status;

        cli->parsed = &parsed;
        if (options_parse(command->options, options, command->flags & COMMAND_STOP_AT_ARGUMENT, n_args, args, &parsed, &err) < 0) {
                status = report_usage(entry, error_message(&err), EXIT_USAGE);
        } else if (parsed.help) {
                help_print_command(cli->out, entry, terminal_width(STDOUT_FILENO) - 1);
                status = finish_output(cli, 0);
        } else if ((wrong = check_arguments(entry, parsed.args.n_items))) {
                status = report_usage(entry, wrong, EXIT_FAILURE);
        } else {
                status = get_rights(command, &err) < 0 ? -1 : command->run(cli, options, &parsed.args, &err);
                if (status < 0) {
                        if (error_is_set(&err))
                                cli_report(cli, &err);
                        status = command->flags & COMMAND_EXIT_125 ? EXIT_USAGE : EXIT_FAILURE;
                }
                status = finish_output(cli, status);
        }
        options_done(command->options, options);
        free(options);
        cli->parsed = NULL;
        return status;
}

static int run_group(Cli *cli, int n_args, char *const *args)
{
        const char *group = cli->entry->name;

        if (n_args > 0 && args[0][0] != '-')
                return report_unknown(group, args[0]);
        if (n_args > 0 && !streq(args[0], "--help") && !streq(args[0], "-h")) {
                fprintf(stderr, "mica: unknown flag: %s\n\nUsage:  mica %s COMMAND\n\nRun 'mica %s --help' for more information\n", args[0], group, group);
                return EXIT_USAGE;
        }
        help_print_group(cli->out, group, terminal_width(STDOUT_FILENO) - 1);
        return finish_output(cli, 0);
}

int cli_main(int argc, char **argv)
{
        Cli cli = { .out = stdout };
        GlobalOptions global = { 0 };
        _cleanup_(option_result_done) OptionResult parsed = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;
        size_t used = 0;
        int status, n_args, r;
        char *const *args;

        r = fd_fill_standard();
        if (r < 0)
                return EXIT_FAILURE; /* and nowhere to say why */
        /* A reader that went away ends us through a write error, after cleaning up, and not by a signal in the middle of a transaction. */
        signal(SIGPIPE, SIG_IGN);
        if (argc < 1)
                return EXIT_FAILURE;
        if (options_parse(cli_global_options, &global, true, argc - 1, argv + 1, &parsed, &err) < 0 ||
            (global.log_level && set_log_level(global.log_level, &err) < 0)) {
                fprintf(stderr, "mica: %s\n\nUsage:  mica [OPTIONS] COMMAND\n\nRun 'mica --help' for more information\n", error_message(&err));
                return EXIT_USAGE;
        }
        if (global.debug) {
                log_set_level(LOG_LEVEL_DEBUG);
                cli.debug = true;
        }
        cli.root = global.root;
        if (global.version) {
                printf("mica version %s\n", MICA_VERSION);
                return finish_output(&cli, 0);
        }
        if (parsed.help || parsed.args.n_items == 0) {
                help_print_group(stdout, "", terminal_width(STDOUT_FILENO) - 1);
                return finish_output(&cli, 0);
        }
        cli.entry = find_command((const char *const *)parsed.args.items, parsed.args.n_items, &used);
        if (!cli.entry)
                return report_unknown("", parsed.args.items[0]);
        /* Options keep pointing into argv, so take the arguments from there and not from the copies. */
        n_args = (int)(parsed.args.n_items - used);
        args = argv + argc - n_args;
        status = cli.entry->command ? run_command(&cli, n_args, args) : run_group(&cli, n_args, args);
        cli_context_done(&cli);
        return status;
}
