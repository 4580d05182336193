/*
 * mica exec, logs, top.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "cli/run_options.h"
#include "format/table.h"

/* --- exec --- */

typedef struct ExecFlags {
        bool detach, interactive, privileged, tty;
        const char *detach_keys, *user, *workdir;
        StrList env, env_files;
} ExecFlags;

static const Option exec_options[] = {
        { "detach", 'd', OPTION_BOOL, offsetof(ExecFlags, detach), .help = "Detached mode: run command in the background" },
        { "detach-keys", 0, OPTION_STRING, offsetof(ExecFlags, detach_keys), .help = "Override the key sequence for detaching a container" },
        { "env", 'e', OPTION_LIST, offsetof(ExecFlags, env), .help = "Set environment variables" },
        { "env-file", 0, OPTION_LIST, offsetof(ExecFlags, env_files), .help = "Read in a file of environment variables", .flags = OPTION_FILE },
        { "interactive", 'i', OPTION_BOOL, offsetof(ExecFlags, interactive), .help = "Keep STDIN open even if not attached" },
        { "privileged", 0, OPTION_BOOL, offsetof(ExecFlags, privileged), .help = "Give extended privileges to the command" },
        { "tty", 't', OPTION_BOOL, offsetof(ExecFlags, tty), .help = "Allocate a pseudo-TTY" },
        { "user", 'u', OPTION_STRING, offsetof(ExecFlags, user), .help = "Username or UID (format: <name|uid>[:<group|gid>])" },
        { "workdir", 'w', OPTION_STRING, offsetof(ExecFlags, workdir), .help = "Working directory inside the container" },
        OPTION_TABLE_END,
};

static int run_exec(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const ExecFlags *flags = data;
        ExecOptions exec = { .user = flags->user,
                             .workdir = flags->workdir,
                             .tty = flags->tty,
                             .privileged = flags->privileged,
                             .detach = flags->detach,
                             .with_stdin = flags->interactive,
                             .detach_keys = flags->detach_keys,
                             .io = ATTACH_IO_INIT };
        int status = 0, r;
        Store *store;

        if (flags->detach_keys && detach_keys_check(flags->detach_keys, err) < 0)
                return -1;
        if (flags->tty && flags->interactive && !flags->detach && !isatty(STDIN_FILENO))
                return error_set(err, ERROR_INVALID, "the input device is not a TTY");
        if (cli_store(cli, &store, err) < 0)
                return -1;
        if (!flags->detach) {
                exec.io.stdin_fd = flags->interactive ? STDIN_FILENO : -1;
                exec.io.stdout_fd = STDOUT_FILENO;
                exec.io.stderr_fd = STDERR_FILENO;
                exec.io.raw_terminal = flags->tty && flags->interactive;
                exec.io.detach_keys = flags->detach_keys;
        }
        for (size_t i = 1; i < args->n_items; i++)
                strlist_add(&exec.args, args->items[i]);
        r = env_from_options(&flags->env_files, &flags->env, &exec.env, err);
        if (r >= 0)
                r = container_exec(store, args->items[0], &exec, &status, err);
        strlist_done(&exec.args);
        strlist_done(&exec.env);
        if (r > 0) { /* docker's exec ends with 1 then */
                cli_note(cli, "read escape sequence");
                return 1;
        }
        if (r < 0 && err->status && !flags->detach) {
                status = err->status;
                cli_report(cli, err); /* without a terminal the runtime has said it on the same standard error, but not always which program it means */
                error_done(err);
                return status;
        }
        return r < 0 ? -1 : status;
}

const Command command_exec = {
        .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
        .summary = "Execute a command in a running container",
        .options = { exec_options },
        .options_size = sizeof(ExecFlags),
        .min_args = 2,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_CONTAINERS | COMMAND_NAMESPACE,
        .run = run_exec,
};

/* --- logs --- */

typedef struct LogsFlags {
        bool details, follow, timestamps;
        const char *since, *tail, *until;
} LogsFlags;

static const Option logs_options[] = {
        { "details", 0, OPTION_BOOL, offsetof(LogsFlags, details), .help = "Show extra details provided to logs" },
        { "follow", 'f', OPTION_BOOL, offsetof(LogsFlags, follow), .help = "Follow log output" },
        { "since", 0, OPTION_STRING, offsetof(LogsFlags, since), .help = "Show logs since timestamp (2013-01-02T13:23:37Z) or relative (42m for 42 minutes)" },
        { "tail", 'n', OPTION_STRING, offsetof(LogsFlags, tail), .help = "Number of lines to show from the end of the logs", .value = "all" },
        { "timestamps", 't', OPTION_BOOL, offsetof(LogsFlags, timestamps), .help = "Show timestamps" },
        { "until", 0, OPTION_STRING, offsetof(LogsFlags, until),
          .help = "Show logs before a timestamp (2013-01-02T13:23:37Z) or relative (42m for 42 minutes)" },
        OPTION_TABLE_END,
};

static int write_log(void *user, const void *data, size_t size, Error *err)
{
        int r = fd_write_all(*(int *)user, data, size);

        return r < 0 ? error_errno(err, r, "cannot write the log") : 0;
}

static int parse_bound(const char *name, const char *text, Timestamp *ret, Error *err)
{
        if (str_empty(text))
                return 0;
        if (timestamp_parse_any(text, clock_now(), ret) < 0)
                return error_set(err, ERROR_INVALID, "invalid value for \"%s\": '%s' is no time and no duration", name, text);
        return 0;
}

static int run_logs(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const LogsFlags *flags = data;
        LogOptions options = LOG_OPTIONS_INIT;
        int out = STDOUT_FILENO, errors = STDERR_FILENO;
        Store *store;

        options.follow = flags->follow;
        options.timestamps = flags->timestamps;
        options.details = flags->details;
        if (parse_bound("since", flags->since, &options.since, err) < 0 || parse_bound("until", flags->until, &options.until, err) < 0)
                return -1;
        if (*flags->tail && !streq(flags->tail, "all") && str_to_i64(flags->tail, &options.tail) < 0)
                return error_set(err, ERROR_INVALID, "invalid value for \"tail\": '%s'", flags->tail);
        if (cli_store(cli, &store, err) < 0)
                return -1;
        return container_logs(store, args->items[0], &options, &(Sink){ write_log, &out }, &(Sink){ write_log, &errors }, err) < 0 ? -1 : 0;
}

const Command command_logs = {
        .usage = "[OPTIONS] CONTAINER",
        .summary = "Fetch the logs of a container",
        .options = { logs_options },
        .options_size = sizeof(LogsFlags),
        .min_args = 1,
        .max_args = 1,
        .flags = COMMAND_CONTAINERS,
        .run = run_logs,
};

/* --- top --- */

static const Option no_options[] = { OPTION_TABLE_END };

/* Splits a line of ps at white space into as many cells as the header has; the last one keeps its spaces. */
static void add_cells(Buf *to, const char *line, size_t size, size_t n_columns)
{
        const char *end = line + size;

        for (size_t column = 0; line < end; column++) {
                size_t n;

                line += strspn(line, " ");
                if (line >= end)
                        break;
                n = column + 1 >= n_columns ? (size_t)(end - line) : strcspn(line, " \n");
                if (column)
                        buf_putc(to, '\t');
                buf_put(to, line, n);
                line += n;
        }
        buf_putc(to, '\n');
}

static size_t count_words(const char *line, size_t size)
{
        size_t n = 0;

        for (size_t i = 0; i < size; i++)
                n += line[i] != ' ' && (i == 0 || line[i - 1] == ' ');
        return n;
}

static int run_top(Cli *cli, const void *data, const StrList *args, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(MIB * 16), cells = BUF_INIT(MIB * 16), aligned = BUF_INIT(MIB * 32);
        _cleanup_free_ char *ps_args = args->n_items > 1 ? str_join(args->items + 1, args->n_items - 1, " ") : NULL;
        size_t n_columns = 0;
        Store *store;

        if (cli_store(cli, &store, err) < 0 || container_top(store, args->items[0], ps_args, &text, err) < 0)
                return -1;
        for (const char *line = buf_str(&text); *line;) {
                size_t size = strcspn(line, "\n");

                if (!n_columns)
                        n_columns = count_words(line, size);
                add_cells(&cells, line, size, n_columns);
                line += size + (line[size] == '\n');
        }
        table_align(buf_str(&cells), TABLE_MIN_WIDTH_TOP, &aligned);
        fputs(buf_str(&aligned), cli->out);
        return 0;
}

const Command command_top = {
        .usage = "CONTAINER [ps OPTIONS]",
        .summary = "Display the running processes of a container",
        .options = { no_options },
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_CONTAINERS,
        .run = run_top,
};
