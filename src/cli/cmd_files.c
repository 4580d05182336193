/*
 * mica diff, export, commit, cp: the files of a container.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "container/files.h"
#include "engine/images.h"
#include "fs/output_file.h"

/* --- diff --- */

static const Option no_options[] = { OPTION_TABLE_END };

static int print_change(void *user, ChangeKind kind, const char *path, Error *err)
{
        static const char letters[] = { [CHANGE_MODIFIED] = 'C', [CHANGE_ADDED] = 'A', [CHANGE_DELETED] = 'D' };

        fprintf(((Cli *)user)->out, "%c %s\n", letters[kind], path);
        return 0;
}

static int run_diff(Cli *cli, const void *data, const StrList *args, Error *err)
{
        Store *store;

        return cli_store(cli, &store, err) < 0 ? -1 : container_diff(store, args->items[0], print_change, cli, err);
}

const Command command_diff = {
        .usage = "CONTAINER",
        .summary = "Inspect changes to files or directories on a container's filesystem",
        .options = { no_options },
        .min_args = 1,
        .max_args = 1,
        .flags = COMMAND_CONTAINERS | COMMAND_NAMESPACE,
        .run = run_diff,
};

/* --- export --- */

typedef struct ExportFlags {
        const char *output;
} ExportFlags;

static const Option export_options[] = {
        { "output", 'o', OPTION_STRING, offsetof(ExportFlags, output), .help = "Write to a file, instead of STDOUT", .flags = OPTION_FILE },
        OPTION_TABLE_END,
};

static int run_export(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const ExportFlags *flags = data;
        int out = STDOUT_FILENO, r;
        Sink sink = output_fd_sink(&out);
        OutputFile file;
        Store *store;

        if (str_empty(flags->output) && isatty(STDOUT_FILENO))
                return error_set(err, ERROR_INVALID, "cowardly refusing to save to a terminal: use the -o flag or redirect");
        if (cli_store(cli, &store, err) < 0)
                return -1;
        if (str_empty(flags->output))
                return container_export(store, args->items[0], &sink, err);
        sink = output_fd_sink(&file.fd);
        r = output_file_open(&file, flags->output, 0600, err);
        if (r >= 0)
                r = container_export(store, args->items[0], &sink, err);
        if (r >= 0)
                r = output_file_finish(&file, err);
        output_file_done(&file);
        return r;
}

const Command command_export = {
        .usage = "[OPTIONS] CONTAINER",
        .summary = "Export a container's filesystem as a tar archive",
        .options = { export_options },
        .options_size = sizeof(ExportFlags),
        .min_args = 1,
        .max_args = 1,
        .flags = COMMAND_CONTAINERS | COMMAND_NAMESPACE,
        .run = run_export,
};

/* --- commit --- */

typedef struct CommitFlags {
        const char *author, *message;
        StrList changes;
        bool no_pause, pause;
} CommitFlags;

static const Option commit_options[] = {
        { "author", 'a', OPTION_STRING, offsetof(CommitFlags, author), .help = "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")" },
        { "change", 'c', OPTION_LIST, offsetof(CommitFlags, changes), .help = "Apply Dockerfile instruction to the created image" },
        { "message", 'm', OPTION_STRING, offsetof(CommitFlags, message), .help = "Commit message" },
        { "no-pause", 0, OPTION_BOOL, offsetof(CommitFlags, no_pause), .help = "Disable pausing container during commit" },
        { "pause", 'p', OPTION_BOOL, offsetof(CommitFlags, pause), .help = "Pause container during commit", .value = "true" },
        OPTION_TABLE_END,
};

static int run_commit(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const CommitFlags *flags = data;
        CommitOptions options = { .changes = flags->changes,
                                  .apply_changes = engine_apply_changes,
                                  .author = flags->author,
                                  .message = flags->message,
                                  .reference = args->n_items > 1 ? args->items[1] : NULL,
                                  .no_pause = flags->no_pause || !flags->pause };
        char text[DIGEST_TEXT_SIZE];
        Digest id;
        Store *store;

        if (cli_store(cli, &store, err) < 0 || container_commit(store, args->items[0], &options, &id, err) < 0)
                return -1;
        fprintf(cli->out, "%s\n", digest_format(&id, text));
        return 0;
}

const Command command_commit = {
        .usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        .summary = "Create a new image from a container's changes",
        .options = { commit_options },
        .options_size = sizeof(CommitFlags),
        .min_args = 1,
        .max_args = 2,
        .flags = COMMAND_CONTAINERS | COMMAND_NAMESPACE,
        .run = run_commit,
};

/* --- cp --- */

typedef struct CpFlags {
        bool archive, follow, quiet;
} CpFlags;

static const Option cp_options[] = {
        { "archive", 'a', OPTION_BOOL, offsetof(CpFlags, archive), .help = "Archive mode (copy all uid/gid information)" },
        { "follow-link", 'L', OPTION_BOOL, offsetof(CpFlags, follow), .help = "Always follow symbol link in SRC_PATH" },
        { "quiet", 'q', OPTION_BOOL, offsetof(CpFlags, quiet), .help = "Suppress progress output during copy" },
        OPTION_TABLE_END,
};

/* "name:path" -> the name (new string) and *ret_path; NULL for a local path: absolute, relative with "./", or without a colon. */
static char *split_container(const char *arg, const char **ret_path)
{
        const char *colon = strchr(arg, ':');

        *ret_path = arg;
        if (*arg == '/' || *arg == '.' || !colon || colon == arg)
                return NULL;
        *ret_path = colon + 1;
        return xstrndup(arg, (size_t)(colon - arg));
}

static int copy_out(Store *store, const CpFlags *flags, const char *container, const char *path, const char *to, Error *err)
{
        int out = STDOUT_FILENO;
        Sink sink = output_fd_sink(&out);

        if (!streq(to, "-"))
                return container_copy_to_host(store, container, path, to, flags->follow, err);
        if (isatty(STDOUT_FILENO))
                return error_set(err, ERROR_INVALID, "cowardly refusing to write a tar to a terminal: redirect it");
        return container_copy_out(store, container, path, flags->follow, &sink, err);
}

static int copy_in(Store *store, const CpFlags *flags, const char *from, const char *container, const char *path, Error *err)
{
        if (streq(from, "-"))
                return container_copy_in(store, container, path, STDIN_FILENO, flags->archive, err);
        return container_copy_from_host(store, from, container, path, flags->follow, flags->archive, err);
}

static int run_cp(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const CpFlags *flags = data;
        const char *from, *to;
        _cleanup_free_ char *from_container = split_container(args->items[0], &from), *to_container = split_container(args->items[1], &to);
        Store *store;

        if (!*from || !*to)
                return error_set(err, ERROR_INVALID, "%s can not be empty", *from ? "destination" : "source");
        if (from_container && to_container)
                return error_set(err, ERROR_UNSUPPORTED, "copying between containers is not supported");
        if (!from_container && !to_container)
                return error_set(err, ERROR_INVALID, "must specify at least one container source");
        if (cli_store(cli, &store, err) < 0)
                return -1;
        fflush(cli->out);
        return from_container ? copy_out(store, flags, from_container, from, to, err) : copy_in(store, flags, from, to_container, to, err);
}

const Command command_cp = {
        .usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH",
        .summary = "Copy files/folders between a container and the local filesystem",
        .details =
                "Use '-' as the source to read a tar archive from stdin and extract it to a directory of the container, and '-' as the destination to write a "
                "tar archive of the source to stdout.",
        .options = { cp_options },
        .options_size = sizeof(CpFlags),
        .min_args = 2,
        .max_args = 2,
        .flags = COMMAND_CONTAINERS | COMMAND_FILES | COMMAND_NAMESPACE,
        .run = run_cp,
};
