/*
 * mica run, create, start, attach: containers that a user starts or looks at.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "cli/run_options.h"
#include "cli/terminal.h"
#include "oci/reference.h"
#include "runtime/runtime.h"
#include "store/image.h"

#define EXIT_MICA 125                   /* mica's own failure, not the program's */
#define DETACHED "read escape sequence" /* docker's words */

/* --- creating --- */

/* Made before the container, so that none is there without it. `path` NULL: none is wanted, *ret_fd is -1. */
static int open_cidfile(const char *path, int *ret_fd, Error *err)
{
        *ret_fd = path ? sys_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644) : -1;
        if (!path || *ret_fd >= 0)
                return 0;
        return errno == EEXIST ? error_set(err, ERROR_EXISTS, "container ID file found, make sure the other container isn't running or delete %s", path)
                               : error_errno(err, errno, "cannot write the container ID to '%s'", path);
}

/* `id` NULL: there is no container. */
static int write_cidfile(const char *path, int fd, const char *id, Error *err)
{
        int r = fd < 0 || !id ? 0 : fd_write_all(fd, id, strlen(id));

        if (fd >= 0 && (!id || r < 0))
                sys_unlinkat(AT_FDCWD, path, 0);
        return r < 0 ? error_errno(err, r, "cannot write the container ID to '%s'", path) : 0;
}

/* What the user can do about an image that is not there. */
static int explain_missing_image(Cli *cli, const char *name, Error *err)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_strlist_ StrList names = { 0 };
        const char *near = NULL;
        Image **images;
        Store *store;
        size_t n;

        if (cli_store(cli, &store, &ignored) == 0 && image_list(store, &images, &n, &ignored) == 0) {
                for (size_t i = 0; i < n; i++) {
                        for (size_t k = 0; k < images[i]->names.n_items; k++) {
                                _cleanup_reference_ Reference reference = { 0 };

                                if (reference_parse(images[i]->names.items[k], &reference, &ignored) < 0)
                                        continue;
                                strlist_take(&names, reference_familiar(&reference));
                                if (streq_ptr(reference.tag, "latest"))
                                        strlist_take(&names, reference_familiar_name(&reference));
                        }
                }
                image_list_free(images, n);
                near = str_suggest(name, (const char *const *)names.items, names.n_items);
        }
        return error_set(
                err, ERROR_NOT_FOUND,
                "unable to find image '%s' locally%s%s%s. 'mica build -t %s DIR' builds it, 'mica load' reads it from an archive, 'mica import' makes it "
                "from a root file system, 'mica bootstrap' from Debian packages; mica cannot pull yet",
                name, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", name);
}

/* Prints what creation had to say, and explains why there is none. */
static int report_creation(Cli *cli, const char *image, const StrList *warnings, const char *id, Error *err)
{
        for (size_t i = 0; i < warnings->n_items; i++)
                cli_note(cli, "WARNING: %s", warnings->items[i]);
        if (id)
                return 0;
        return err->code == ERROR_NOT_FOUND && str_starts(error_message(err), "No such image") ? explain_missing_image(cli, image, err) : -1;
}

static int run_create(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const RunFlags *flags = data;
        _cleanup_container_spec_ ContainerSpec spec = { 0 };
        _cleanup_strlist_ StrList warnings = { 0 };
        _cleanup_error_ Error second = ERROR_INIT;
        _cleanup_free_ char *id = NULL;
        _cleanup_close_ int cidfile = -1;
        Store *store;
        int r;

        if (run_flags_to_spec(flags, &cli->parsed->given, args, &spec, err) < 0 || cli_store(cli, &store, err) < 0 ||
            open_cidfile(flags->cidfile, &cidfile, err) < 0)
                return -1;
        r = container_create(store, &spec, &id, &warnings, err);
        if (write_cidfile(flags->cidfile, cidfile, id, r < 0 ? &second : err) < 0 || report_creation(cli, args->items[0], &warnings, id, err) < 0)
                return -1;
        fprintf(cli->out, "%s\n", id);
        return 0;
}

const Command command_create = {
        .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        .summary = "Create a new container",
        .options = { run_shared_options, run_refused_options },
        .options_size = sizeof(RunFlags),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_IMAGES | COMMAND_NAMESPACE,
        .run = run_create,
};

/* --- running --- */

static const Option run_options[] = {
        { "detach", 'd', OPTION_BOOL, offsetof(RunFlags, detach), .help = "Run container in background and print container ID" },
        { "detach-keys", 0, OPTION_STRING, offsetof(RunFlags, detach_keys), .help = "Override the key sequence for detaching a container" },
        { "sig-proxy", 0, OPTION_BOOL, offsetof(RunFlags, sig_proxy), .help = "Proxy received signals to the process", .value = "true" },
        OPTION_TABLE_END,
};

/* The exit status for a failed start, with the message printed. */
static int start_failed(Cli *cli, Error *err)
{
        int status = err->code == ERROR_EXIT && (err->status == 126 || err->status == 127) ? err->status : EXIT_MICA;

        cli_report(cli, err);
        return status;
}

/* The monitor has removed it, unless it was killed. */
static void remove_failed(Cli *cli, const char *id)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        Store *store;

        if (cli_store(cli, &store, &ignored) == 0)
                container_remove(store, id, &(RemoveOptions){ .force = true, .volumes = true }, &ignored);
}

static StartOptions attached_start(const ContainerConfig *config)
{
        StartOptions start = { .attach = true, .attach_stdin = config->attach_stdin && config->open_stdin };
        unsigned columns, rows;

        if (config->tty && terminal_size(STDOUT_FILENO, &columns, &rows)) {
                start.columns = (unsigned short)columns;
                start.rows = (unsigned short)rows;
        }
        return start;
}

/* Copies the streams of a container that was started until it ends, and returns its exit code. */
static int follow(Cli *cli, Attachment *attachment, const ContainerConfig *config, bool with_stdin, bool sig_proxy, const char *detach_keys, Error *err)
{
        AttachIo io = ATTACH_IO_INIT;
        AttachEnd end;
        int status;

        io.stdin_fd = with_stdin ? STDIN_FILENO : -1;
        io.stdout_fd = config->attach_stdout ? STDOUT_FILENO : -1;
        io.stderr_fd = config->attach_stderr ? STDERR_FILENO : -1;
        io.raw_terminal = config->tty && with_stdin && isatty(STDIN_FILENO);
        io.proxy_signals = sig_proxy;
        io.detach_keys = detach_keys;
        if (attachment_run(attachment, &io, &end, &status, err) < 0)
                return -1;
        if (end == ATTACH_DETACHED)
                cli_note(cli, DETACHED);
        return end == ATTACH_DETACHED ? 0 : status;
}

/* What docker's client refuses itself, with 1 and not with the 125 of what fails afterwards. */
static int check_streams(const RunFlags *flags, Error *err)
{
        if (flags->detach && flags->attach.n_items)
                return error_set(err, ERROR_INVALID, "conflicting options: cannot specify both --attach and --detach");
        if (!flags->detach && flags->tty && flags->interactive && !isatty(STDIN_FILENO))
                return error_set(err, ERROR_INVALID, "the input device is not a TTY");
        return 0;
}

static int run_run(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const RunFlags *flags = data;
        _cleanup_(attachment_freep) Attachment *attachment = NULL;
        _cleanup_container_spec_ ContainerSpec spec = { 0 };
        _cleanup_strlist_ StrList warnings = { 0 };
        _cleanup_free_ char *id = NULL;
        _cleanup_error_ Error second = ERROR_INIT; /* the first one is told */
        _cleanup_close_ int cidfile = -1;
        StoreOptions store = { .root = cli->root };
        StartOptions start = { 0 };
        int r;

        if (check_streams(flags, err) < 0) {
                cli_report(cli, err);
                return EXIT_FAILURE;
        }
        runtime_announce_start();
        if (run_flags_to_spec(flags, &cli->parsed->given, args, &spec, err) < 0 || open_cidfile(flags->cidfile, &cidfile, err) < 0)
                return -1;
        spec.started_at_once = true;
        if (!flags->detach)
                start = attached_start(&spec.config);
        fflush(cli->out);
        r = container_run(&store, &spec, &start, &id, &warnings, &attachment, err);
        if (write_cidfile(flags->cidfile, cidfile, id, r < 0 ? &second : err) < 0 || report_creation(cli, args->items[0], &warnings, id, err) < 0)
                return -1;
        /* Also of one that did not start: it is there, and a script has to remove it */
        if (!spec.config.attach_stdout && !spec.config.attach_stderr) {
                fprintf(cli->out, "%s\n", id);
                fflush(cli->out);
        }
        if (r < 0) {
                if (flags->rm)
                        remove_failed(cli, id);
                return start_failed(cli, err);
        }
        if (flags->detach)
                return 0;
        r = follow(cli, attachment, &spec.config, start.attach_stdin, flags->sig_proxy, flags->detach_keys, err);
        return r < 0 ? start_failed(cli, err) : r;
}

const Command command_run = {
        .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        .summary = "Create and run a new container from an image",
        .example = "$ mica run --rm -it debian:bookworm-slim bash\n$ mica run -d --name web --network host app",
        .options = { run_options, run_shared_options, run_refused_options },
        .options_size = sizeof(RunFlags),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_EXIT_125 | COMMAND_IMAGES | COMMAND_NAMESPACE,
        .run = run_run,
};

/* --- start --- */

typedef struct StartFlags {
        bool attach, interactive;
        const char *detach_keys;
} StartFlags;

static const Option start_options[] = {
        { "attach", 'a', OPTION_BOOL, offsetof(StartFlags, attach), .help = "Attach STDOUT/STDERR and forward signals" },
        { "detach-keys", 0, OPTION_STRING, offsetof(StartFlags, detach_keys), .help = "Override the key sequence for detaching a container" },
        { "interactive", 'i', OPTION_BOOL, offsetof(StartFlags, interactive), .help = "Attach container's STDIN" },
        OPTION_TABLE_END,
};

static int start_one(Cli *cli, const char *name, void *user, Error *err)
{
        Store *store;

        if (cli_store(cli, &store, err) < 0 || container_start(store, name, NULL, NULL, err) < 0)
                return -1;
        fprintf(cli->out, "%s\n", name);
        return 0;
}

/* What of a container's config decides how to attach to it. */
static int attach_config(Store *store, const char *name, ContainerConfig *ret, Error *err)
{
        _cleanup_json_ JsonValue *value = NULL;
        const JsonValue *config;

        if (container_inspect(store, name, false, &value, err) < 0)
                return -1;
        config = json_value_get(value, "Config");
        ret->tty = json_value_bool(json_value_get(config, "Tty"));
        ret->open_stdin = json_value_bool(json_value_get(config, "OpenStdin"));
        ret->attach_stdout = ret->attach_stderr = true;
        return 0;
}

static int run_start(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const StartFlags *flags = data;
        _cleanup_(attachment_freep) Attachment *attachment = NULL;
        ContainerConfig config = { 0 };
        StartOptions start;
        Store *store;

        if (!flags->attach && !flags->interactive)
                return cli_each_argument(cli, args, start_one, NULL);
        if (flags->detach_keys && detach_keys_check(flags->detach_keys, err) < 0)
                return -1;
        if (args->n_items > 1)
                return error_set(err, ERROR_INVALID, "you cannot start and attach multiple containers at once");
        if (cli_store(cli, &store, err) < 0 || attach_config(store, args->items[0], &config, err) < 0)
                return -1;
        config.attach_stdin = flags->interactive;
        start = attached_start(&config);
        fflush(cli->out);
        if (container_start(store, args->items[0], &start, &attachment, err) < 0)
                return -1;
        return follow(cli, attachment, &config, start.attach_stdin, true, flags->detach_keys, err);
}

const Command command_start = {
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Start one or more stopped containers",
        .options = { start_options },
        .options_size = sizeof(StartFlags),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS | COMMAND_NAMESPACE,
        .run = run_start,
};

/* --- attach --- */

typedef struct AttachFlags {
        const char *detach_keys;
        bool no_stdin, sig_proxy;
} AttachFlags;

static const Option attach_options[] = {
        { "detach-keys", 0, OPTION_STRING, offsetof(AttachFlags, detach_keys), .help = "Override the key sequence for detaching a container" },
        { "no-stdin", 0, OPTION_BOOL, offsetof(AttachFlags, no_stdin), .help = "Do not attach STDIN" },
        { "sig-proxy", 0, OPTION_BOOL, offsetof(AttachFlags, sig_proxy), .help = "Proxy all received signals to the process", .value = "true" },
        OPTION_TABLE_END,
};

static int run_attach(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const AttachFlags *flags = data;
        _cleanup_(attachment_freep) Attachment *attachment = NULL;
        AttachIo io = ATTACH_IO_INIT;
        ContainerConfig config = { 0 };
        AttachEnd end;
        Store *store;
        int status;
        bool with_stdin;

        if ((flags->detach_keys && detach_keys_check(flags->detach_keys, err) < 0) || cli_store(cli, &store, err) < 0 ||
            attach_config(store, args->items[0], &config, err) < 0)
                return -1;
        with_stdin = config.open_stdin && !flags->no_stdin;
        if (config.tty && with_stdin && !isatty(STDIN_FILENO))
                return error_set(err, ERROR_INVALID, "the input device is not a TTY");
        if (container_attach(store, args->items[0], with_stdin, &attachment, err) < 0)
                return -1;
        io.stdin_fd = with_stdin ? STDIN_FILENO : -1;
        io.stdout_fd = STDOUT_FILENO;
        io.stderr_fd = STDERR_FILENO;
        io.raw_terminal = config.tty && with_stdin;
        io.proxy_signals = flags->sig_proxy;
        io.detach_keys = flags->detach_keys;
        if (attachment_run(attachment, &io, &end, &status, err) < 0)
                return -1;
        if (end == ATTACH_DETACHED) /* docker's attach and exec end with 1 then, its run with 0 */
                cli_note(cli, DETACHED);
        return end == ATTACH_DETACHED ? 1 : status;
}

const Command command_attach = {
        .usage = "[OPTIONS] CONTAINER",
        .summary = "Attach local standard input, output, and error streams to a running container",
        .options = { attach_options },
        .options_size = sizeof(AttachFlags),
        .min_args = 1,
        .max_args = 1,
        .flags = COMMAND_CONTAINERS,
        .run = run_attach,
};
