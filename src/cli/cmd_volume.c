/*
 * mica volume create, ls, inspect, rm, prune.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "engine/filter.h"
#include "engine/volumes.h"
#include "format/table.h"

/* --- create --- */

typedef struct CreateOptions {
        const char *driver, *name;
        StrList labels, opts;
} CreateOptions;

static const Option create_options[] = {
        { "driver", 'd', OPTION_STRING, offsetof(CreateOptions, driver), .help = "Specify volume driver name: local", .value = "local" },
        { "label", 0, OPTION_LIST, offsetof(CreateOptions, labels), .help = "Set metadata for a volume" },
        { "name", 0, OPTION_STRING, offsetof(CreateOptions, name), .help = "Specify volume name", .flags = OPTION_HIDDEN },
        OPTION_TABLE_END,
};

static int run_create(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const CreateOptions *options = data;
        const char *typed = args->n_items ? args->items[0] : options->name, *name = str_empty(typed) ? NULL : typed;
        _cleanup_free_ char *made = NULL;
        Store *store;

        if (!streq(options->driver, "local"))
                return error_set(err, ERROR_UNSUPPORTED, "there is no volume driver '%s': the only one is local", options->driver);
        if (args->n_items && options->name)
                return error_set(err, ERROR_INVALID, "conflicting options: cannot specify a volume-name through both --name and as a positional arg");
        if (cli_store(cli, &store, err) < 0 || engine_volume_create(store, name, &options->labels, &made, err) < 0)
                return -1;
        fprintf(cli->out, "%s\n", made);
        return 0;
}

const Command command_volume_create = {
        .usage = "[OPTIONS] [VOLUME]",
        .summary = "Create a volume",
        .options = { create_options },
        .options_size = sizeof(CreateOptions),
        .max_args = 1,
        .run = run_create,
};

/* --- ls --- */

typedef struct LsOptions {
        bool quiet;
        const char *format;
        StrList filters;
} LsOptions;

static const Option ls_options[] = {
        { "filter", 'f', OPTION_LIST, offsetof(LsOptions, filters), .meta = "filter",
          .help = "Filter output: dangling=, driver=, label=, name=", .flags = OPTION_FILTER },
        { "format", 0, OPTION_STRING, offsetof(LsOptions, format), .help = "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
        { "quiet", 'q', OPTION_BOOL, offsetof(LsOptions, quiet), .help = "Only display volume names" },
        OPTION_TABLE_END,
};

static const ListColumn volume_columns[] = {
        { "Availability", "AVAILABILITY" },
        { "Driver", "DRIVER" },
        { "Group", "GROUP" },
        { "Labels", "LABELS" },
        { "Links", "LINKS" },
        { "Mountpoint", "MOUNTPOINT" },
        { "Name", "VOLUME NAME" },
        { "Scope", "SCOPE" },
        { "Size", "SIZE" },
        { "Status", "STATUS" },
        { NULL, NULL },
};

static int add_volume(void *user, const VolumeInfo *volume, Error *err)
{
        List *list = user;
        JsonValue *row = json_value_new_object();
        _cleanup_json_ JsonValue *labels = json_value_new_object();
        StrList texts = { 0 };
        char *joined;

        for (size_t i = 0; i < volume->labels.n_items; i++) {
                strlist_addf(&texts, "%s=%s", volume->labels.items[i].key, volume->labels.items[i].value);
                json_value_set_string(labels, volume->labels.items[i].key, volume->labels.items[i].value);
        }
        joined = strlist_join(&texts, ",");
        json_value_set_string(row, "Availability", "N/A"); /* of docker's clusters */
        json_value_set_string(row, "Driver", "local");
        json_value_set_string(row, "Group", "N/A");
        json_value_set_string(row, "Labels", joined);
        json_value_set_string(row, "Links", "N/A");
        json_value_set_string(row, "Mountpoint", volume->path);
        json_value_set_string(row, "Name", volume->name);
        json_value_set_string(row, "Scope", "local");
        json_value_set_string(row, "Size", "N/A");
        json_value_set_string(row, "Status", "N/A");
        free(joined);
        strlist_done(&texts);
        return list_add(list, row, labels, err);
}

static int run_ls(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const LsOptions *options = data;
        _cleanup_(list_freep) List *list = NULL;
        Store *store;

        if (list_new(options->format, "{{.Driver}}\t{{.Name}}", options->quiet ? "Name" : NULL, volume_columns, &list, err) < 0)
                return -1;
        if (cli_store(cli, &store, err) < 0 || engine_volumes(store, &options->filters, add_volume, list, err) < 0)
                return -1;
        return list_print(list, cli->out, err);
}

const Command command_volume_ls = {
        .usage = "[OPTIONS]",
        .summary = "List volumes",
        .options = { ls_options },
        .options_size = sizeof(LsOptions),
        .run = run_ls,
};

/* --- rm --- */

typedef struct RmOptions {
        bool force;
} RmOptions;

static const Option rm_options[] = {
        { "force", 'f', OPTION_BOOL, offsetof(RmOptions, force), .help = "Force the removal of one or more volumes" },
        OPTION_TABLE_END,
};

static int remove_volume(Cli *cli, const char *name, void *user, Error *err)
{
        const RmOptions *options = user;
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        if (engine_volume_remove(store, name, err) < 0) {
                if (!options->force || err->code != ERROR_NOT_FOUND)
                        return -1;
                error_done(err);
        }
        fprintf(cli->out, "%s\n", name);
        return 0;
}

static int run_rm(Cli *cli, const void *data, const StrList *args, Error *err)
{
        return cli_each_argument(cli, args, remove_volume, (void *)data);
}

const Command command_volume_rm = {
        .usage = "[OPTIONS] VOLUME [VOLUME...]",
        .summary = "Remove one or more volumes",
        .options = { rm_options },
        .options_size = sizeof(RmOptions),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_VOLUMES | COMMAND_NAMESPACE_TRY,
        .run = run_rm,
};

/* --- prune --- */

typedef struct VolumePruneOptions {
        bool all, force;
        StrList filters;
} VolumePruneOptions;

static const Option prune_options[] = {
        { "all", 'a', OPTION_BOOL, offsetof(VolumePruneOptions, all), .help = "Remove all unused volumes, not just anonymous ones" },
        { "filter", 0, OPTION_LIST, offsetof(VolumePruneOptions, filters), .meta = "filter",
          .help = "Provide filter values: label=, label!=", .flags = OPTION_FILTER },
        { "force", 'f', OPTION_BOOL, offsetof(VolumePruneOptions, force), .help = "Do not prompt for confirmation" },
        OPTION_TABLE_END,
};

typedef struct VolumeReport {
        Cli *cli;
        bool any;
} VolumeReport;

static void print_pruned(void *user, const char *name)
{
        VolumeReport *report = user;

        if (!report->any)
                fputs("Deleted Volumes:\n", report->cli->out);
        report->any = true;
        fprintf(report->cli->out, "%s\n", name);
}

static int run_prune(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const VolumePruneOptions *options = data;
        VolumeReport report = { .cli = cli };
        _cleanup_free_ char *text = NULL;
        uint64_t size;
        Store *store;

        if (!options->force &&
            !cli_confirm(cli, options->all
                                      ? "WARNING! This will remove all local volumes not used by at least one container.\nAre you sure you want to continue?"
                                      : "WARNING! This will remove anonymous local volumes not used by at least one container.\n"
                                        "Are you sure you want to continue?"))
                return 0;
        if (cli_store(cli, &store, err) < 0 || engine_volume_prune(store, options->all, &options->filters, print_pruned, &report, &size, err) < 0)
                return -1;
        text = str_from_size_exact(size);
        fprintf(cli->out, "%sTotal reclaimed space: %s\n", report.any ? "\n" : "", text);
        return 0;
}

const Command command_volume_prune = {
        .usage = "[OPTIONS]",
        .summary = "Remove unused local volumes",
        .options = { prune_options },
        .options_size = sizeof(VolumePruneOptions),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_prune,
};
