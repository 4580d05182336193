/*
 * mica tag, rmi, image prune.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "engine/images.h"

static const Option no_options[] = { OPTION_TABLE_END };

static int run_tag(Cli *cli, const void *data, const StrList *args, Error *err)
{
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        return engine_image_tag(store, args->items[0], args->items[1], err);
}

const Command command_tag = {
        .usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        .summary = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
        .options = { no_options },
        .min_args = 2,
        .max_args = 2,
        .flags = COMMAND_IMAGES,
        .run = run_tag,
};

/* --- rmi --- */

typedef struct RmiOptions {
        bool force, no_prune;
        StrList platforms;
} RmiOptions;

static const Option rmi_options[] = {
        { "force", 'f', OPTION_BOOL, offsetof(RmiOptions, force), .help = "Force removal of the image" },
        { "no-prune", 0, OPTION_BOOL, offsetof(RmiOptions, no_prune), .help = "Keep the layers on disk until the next prune" },
        OPTION_TABLE_END,
};

static void print_removal(void *user, RemovalKind kind, const char *name)
{
        Cli *cli = user;

        fprintf(cli->out, "%s: %s\n", kind == REMOVAL_UNTAGGED ? "Untagged" : "Deleted", name);
}

static int remove_one(Cli *cli, const char *name, void *user, Error *err)
{
        const RmiOptions *options = user;
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        if (engine_image_remove(store, name, options->force, print_removal, cli, err) == 0)
                return 0;
        if (options->force && err->code == ERROR_NOT_FOUND) {
                cli_report(cli, err);
                return 0;
        }
        return -1;
}

static int run_rmi(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const RmiOptions *options = data;
        int status = cli_each_argument(cli, args, remove_one, (void *)options);
        GcResult collected;
        Store *store;

        if (cli_store(cli, &store, err) < 0 || (!options->no_prune && store_gc(store, false, &collected, err) < 0))
                return -1;
        return status;
}

const Command command_rmi = {
        .usage = "[OPTIONS] IMAGE [IMAGE...]",
        .summary = "Remove one or more images",
        .options = { rmi_options },
        .options_size = sizeof(RmiOptions),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_IMAGES | COMMAND_NAMESPACE_TRY,
        .run = run_rmi,
};

/* --- image prune --- */

typedef struct PruneOptions {
        bool all, force;
        StrList filters;
} PruneOptions;

static const Option prune_options[] = {
        { "all", 'a', OPTION_BOOL, offsetof(PruneOptions, all), .help = "Remove all unused images, not just dangling ones" },
        { "filter", 0, OPTION_LIST, offsetof(PruneOptions, filters), .meta = "filter",
          .help = "Provide filter values: until=, label=, label!=", .flags = OPTION_FILTER },
        { "force", 'f', OPTION_BOOL, offsetof(PruneOptions, force), .help = "Do not prompt for confirmation" },
        OPTION_TABLE_END,
};

typedef struct PruneReport {
        Cli *cli;
        bool any;
} PruneReport;

static void print_pruned(void *user, RemovalKind kind, const char *name)
{
        PruneReport *report = user;

        if (!report->any)
                fputs("Deleted Images:\n", report->cli->out);
        report->any = true;
        fprintf(report->cli->out, "%s: %s\n", kind == REMOVAL_UNTAGGED ? "untagged" : "deleted", name);
}

static int run_image_prune(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const PruneOptions *options = data;
        PruneReport report = { .cli = cli };
        _cleanup_free_ char *text = NULL;
        uint64_t size;
        Store *store;

        if (!options->force && !cli_confirm(cli, options->all ? "WARNING! This will remove all images without at least one container associated to them.\n"
                                                                "Are you sure you want to continue?"
                                                              : "WARNING! This will remove all dangling images.\nAre you sure you want to continue?"))
                return 0;
        if (cli_store(cli, &store, err) < 0 || engine_image_prune(store, options->all, &options->filters, print_pruned, &report, &size, err) < 0)
                return -1;
        text = str_from_size_exact(size);
        fprintf(cli->out, "%sTotal reclaimed space: %s\n", report.any ? "\n" : "", text);
        return 0;
}

const Command command_image_prune = {
        .usage = "[OPTIONS]",
        .summary = "Remove unused images",
        .options = { prune_options },
        .options_size = sizeof(PruneOptions),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_image_prune,
};
