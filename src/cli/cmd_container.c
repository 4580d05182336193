/*
 * mica stop, kill, restart, pause, unpause, wait, rename, rm, port, container prune.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "container/container.h"
#include "store/container.h"

static const Option no_options[] = { OPTION_TABLE_END };

/* Prints the name that was given when the work on it succeeded, as docker does. */
static int done(Cli *cli, const char *name, int r)
{
        if (r >= 0)
                fprintf(cli->out, "%s\n", name);
        return r;
}

/* --- stop, restart --- */

typedef struct StopFlags {
        const char *signal;
        int64_t timeout;
} StopFlags;

static const Option stop_options[] = {
        { "signal", 's', OPTION_STRING, offsetof(StopFlags, signal), .help = "Signal to send to the container" },
        { "time", 0, OPTION_INT, offsetof(StopFlags, timeout), .help = "Seconds to wait before killing the container", .flags = OPTION_HIDDEN },
        { "timeout", 't', OPTION_INT, offsetof(StopFlags, timeout), .help = "Seconds to wait before killing the container" },
        OPTION_TABLE_END,
};

/* container_stop()'s seconds: -1 for the container's own, -2 for ever. */
static int stop_seconds(const Cli *cli, const StopFlags *flags)
{
        if (!cli_given(cli, "timeout") && !cli_given(cli, "time"))
                return -1;
        return flags->timeout < 0 ? -2 : (int)MIN(flags->timeout, INT64_C(1) << 30);
}

static int stop_one(Cli *cli, const char *name, void *user, Error *err)
{
        const StopFlags *flags = user;
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        return done(cli, name, container_stop(store, name, flags->signal, stop_seconds(cli, flags), err));
}

static int restart_one(Cli *cli, const char *name, void *user, Error *err)
{
        const StopFlags *flags = user;
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        return done(cli, name, container_restart(store, name, flags->signal, stop_seconds(cli, flags), err));
}

static int run_stop(Cli *cli, const void *data, const StrList *args, Error *err)
{
        return cli_each_argument(cli, args, stop_one, (void *)data);
}

static int run_restart(Cli *cli, const void *data, const StrList *args, Error *err)
{
        return cli_each_argument(cli, args, restart_one, (void *)data);
}

const Command command_stop = {
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Stop one or more running containers",
        .options = { stop_options },
        .options_size = sizeof(StopFlags),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS,
        .run = run_stop,
};

const Command command_restart = {
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Restart one or more containers",
        .options = { stop_options },
        .options_size = sizeof(StopFlags),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS | COMMAND_NAMESPACE,
        .run = run_restart,
};

/* --- kill --- */

typedef struct KillFlags {
        const char *signal;
} KillFlags;

static const Option kill_options[] = {
        { "signal", 's', OPTION_STRING, offsetof(KillFlags, signal), .help = "Signal to send to the container" },
        OPTION_TABLE_END,
};

static int kill_one(Cli *cli, const char *name, void *user, Error *err)
{
        const KillFlags *flags = user;
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        return done(cli, name, container_kill(store, name, flags->signal, err));
}

static int run_kill(Cli *cli, const void *data, const StrList *args, Error *err)
{
        return cli_each_argument(cli, args, kill_one, (void *)data);
}

const Command command_kill = {
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Kill one or more running containers",
        .options = { kill_options },
        .options_size = sizeof(KillFlags),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS,
        .run = run_kill,
};

/* --- pause, unpause, wait --- */

static int pause_one(Cli *cli, const char *name, void *user, Error *err)
{
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        return done(cli, name, container_pause(store, name, *(bool *)user, err));
}

static int run_pause(Cli *cli, const void *data, const StrList *args, Error *err)
{
        bool paused = true;

        return cli_each_argument(cli, args, pause_one, &paused);
}

static int run_unpause(Cli *cli, const void *data, const StrList *args, Error *err)
{
        bool paused = false;

        return cli_each_argument(cli, args, pause_one, &paused);
}

static int wait_one(Cli *cli, const char *name, void *user, Error *err)
{
        Store *store;
        int status;

        if (cli_store(cli, &store, err) < 0 || container_wait(store, name, &status, err) < 0)
                return -1;
        fprintf(cli->out, "%d\n", status);
        fflush(cli->out);
        return 0;
}

static int run_wait(Cli *cli, const void *data, const StrList *args, Error *err)
{
        return cli_each_argument(cli, args, wait_one, NULL);
}

const Command command_pause = {
        .usage = "CONTAINER [CONTAINER...]",
        .summary = "Pause all processes within one or more containers",
        .options = { no_options },
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS,
        .run = run_pause,
};

const Command command_unpause = {
        .usage = "CONTAINER [CONTAINER...]",
        .summary = "Unpause all processes within one or more containers",
        .options = { no_options },
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS,
        .run = run_unpause,
};

const Command command_wait = {
        .usage = "CONTAINER [CONTAINER...]",
        .summary = "Block until one or more containers stop, then print their exit codes",
        .options = { no_options },
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS,
        .run = run_wait,
};

/* --- rename, port --- */

static int run_rename(Cli *cli, const void *data, const StrList *args, Error *err)
{
        Store *store;

        return cli_store(cli, &store, err) < 0 ? -1 : container_rename(store, args->items[0], args->items[1], err);
}

const Command command_rename = {
        .usage = "CONTAINER NEW_NAME",
        .summary = "Rename a container",
        .options = { no_options },
        .min_args = 2,
        .max_args = 2,
        .flags = COMMAND_CONTAINERS,
        .run = run_rename,
};

/* Prints the bindings of one port; `key` in front when all are listed. */
static size_t print_bindings(Cli *cli, const char *key, const JsonValue *bindings, bool with_key)
{
        for (size_t i = 0; i < json_value_size(bindings); i++) {
                const JsonValue *binding = json_value_at(bindings, i);
                const char *ip = json_value_string(json_value_get(binding, "HostIp")), *port = json_value_string(json_value_get(binding, "HostPort"));

                if (with_key)
                        fprintf(cli->out, "%s -> ", key);
                fprintf(cli->out, "%s:%s\n", str_empty(ip) ? "0.0.0.0" : ip, port ? port : "");
        }
        return json_value_size(bindings);
}

static int run_port(Cli *cli, const void *data, const StrList *args, Error *err)
{
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_free_ char *wanted = NULL;
        const JsonValue *ports;
        const char *key;
        JsonValue *bindings;
        size_t n = 0;
        Store *store;

        if (cli_store(cli, &store, err) < 0 || container_inspect(store, args->items[0], false, &value, err) < 0)
                return -1;
        ports = json_value_get(json_value_get(value, "NetworkSettings"), "Ports");
        if (args->n_items > 1)
                wanted = xasprintf("%s%s", args->items[1], strchr(args->items[1], '/') ? "" : "/tcp");
        for (void *at = NULL; json_value_next(ports, &at, &key, &bindings);)
                if (!wanted || streq(wanted, key))
                        n += print_bindings(cli, key, bindings, !wanted);
        if (wanted && n == 0)
                return error_set(err, ERROR_NOT_FOUND, "no public port '%s' published for %s", args->items[1], args->items[0]);
        return 0;
}

const Command command_port = {
        .usage = "CONTAINER [PRIVATE_PORT[/PROTO]]",
        .summary = "List port mappings or a specific mapping for the container",
        .options = { no_options },
        .min_args = 1,
        .max_args = 2,
        .flags = COMMAND_CONTAINERS,
        .run = run_port,
};

/* --- rm --- */

typedef struct RmFlags {
        bool force, volumes;
} RmFlags;

static const Option rm_options[] = {
        { "force", 'f', OPTION_BOOL, offsetof(RmFlags, force), .help = "Force the removal of a running container (uses SIGKILL)" },
        { "volumes", 'v', OPTION_BOOL, offsetof(RmFlags, volumes), .help = "Remove anonymous volumes associated with the container" },
        OPTION_TABLE_END,
};

static int remove_one(Cli *cli, const char *name, void *user, Error *err)
{
        const RmFlags *flags = user;
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        if (container_remove(store, name, &(RemoveOptions){ .force = flags->force, .volumes = flags->volumes }, err) == 0)
                return done(cli, name, 0);
        if (flags->force && err->code == ERROR_NOT_FOUND) {
                cli_report(cli, err);
                return 0;
        }
        return -1;
}

static int run_rm(Cli *cli, const void *data, const StrList *args, Error *err)
{
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        container_dirs_sweep(store);
        return cli_each_argument(cli, args, remove_one, (void *)data);
}

const Command command_rm = {
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Remove one or more containers",
        .options = { rm_options },
        .options_size = sizeof(RmFlags),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS | COMMAND_NAMESPACE_TRY,
        .run = run_rm,
};

/* --- container prune --- */

typedef struct ContainerPruneFlags {
        bool force;
        StrList filters;
} ContainerPruneFlags;

static const Option prune_options[] = {
        { "filter", 0, OPTION_LIST, offsetof(ContainerPruneFlags, filters), .meta = "filter",
          .help = "Provide filter values: until=, label=, label!=", .flags = OPTION_FILTER },
        { "force", 'f', OPTION_BOOL, offsetof(ContainerPruneFlags, force), .help = "Do not prompt for confirmation" },
        OPTION_TABLE_END,
};

typedef struct PruneReport {
        Cli *cli;
        bool any;
} PruneReport;

static void print_removed(void *user, const char *id)
{
        PruneReport *report = user;

        if (!report->any)
                fputs("Deleted Containers:\n", report->cli->out);
        report->any = true;
        fprintf(report->cli->out, "%s\n", id);
}

static int run_prune(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const ContainerPruneFlags *flags = data;
        PruneReport report = { .cli = cli };
        _cleanup_free_ char *text = NULL;
        uint64_t size = 0;
        Store *store;

        if (!flags->force && !cli_confirm(cli, "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?"))
                return 0;
        if (cli_store(cli, &store, err) < 0 || container_prune(store, &flags->filters, print_removed, &report, &size, err) < 0)
                return -1;
        text = str_from_size_exact(size);
        fprintf(cli->out, "%sTotal reclaimed space: %s\n", report.any ? "\n" : "", text);
        return 0;
}

const Command command_container_prune = {
        .usage = "[OPTIONS]",
        .summary = "Remove all stopped containers",
        .options = { prune_options },
        .options_size = sizeof(ContainerPruneFlags),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_prune,
};
