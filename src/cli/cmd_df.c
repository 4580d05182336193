/*
 * mica system df, system prune.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "cli/df_verbose.h"
#include "container/container.h"
#include "engine/build_cache.h"
#include "engine/df.h"
#include "engine/images.h"
#include "engine/volumes.h"
#include "format/table.h"

/* --- df --- */

typedef struct DfFlags {
        bool verbose;
        const char *format;
} DfFlags;

static const Option df_options[] = {
        { "format", 0, OPTION_STRING, offsetof(DfFlags, format), .help = "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
        { "verbose", 'v', OPTION_BOOL, offsetof(DfFlags, verbose), .help = "Show detailed information on space usage" },
        OPTION_TABLE_END,
};

static const ListColumn df_columns[] = {
        { "Active", "ACTIVE" }, { "Reclaimable", "RECLAIMABLE" }, { "Size", "SIZE" }, { "TotalCount", "TOTAL" }, { "Type", "TYPE" }, { NULL, NULL },
};

static void set_number(JsonValue *row, const char *field, uint64_t number)
{
        char text[32];

        snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
        json_value_set_string(row, field, text);
}

static int add_df_row(List *list, const char *type, const DfPart *part, Error *err)
{
        JsonValue *row = json_value_new_object();
        _cleanup_free_ char *size = str_from_size_exact(part->size), *reclaimable = str_from_size_exact(part->reclaimable), *text = NULL;

        if (part->size)
                text = xasprintf("%s (%llu%%)", reclaimable, (unsigned long long)(part->reclaimable * 100 / part->size));
        json_value_set_string(row, "Type", type);
        set_number(row, "TotalCount", part->n_total);
        set_number(row, "Active", part->n_active);
        json_value_set_string(row, "Size", size);
        json_value_set_string(row, "Reclaimable", text ? text : reclaimable);
        return list_add(list, row, NULL, err);
}

static int print_summary(Cli *cli, const DfFlags *flags, const DfReport *report, Error *err)
{
        _cleanup_(list_freep) List *list = NULL;

        if (list_new(flags->format, "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}", NULL, df_columns, &list, err) < 0 ||
            add_df_row(list, "Images", &report->images, err) < 0 || add_df_row(list, "Containers", &report->containers, err) < 0 ||
            add_df_row(list, "Local Volumes", &report->volumes, err) < 0 || add_df_row(list, "Build Cache", &report->cache, err) < 0)
                return -1;
        return list_print(list, cli->out, err);
}

static int run_df(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const DfFlags *flags = data;
        _cleanup_(df_report_done) DfReport report = { 0 };
        Store *store;

        if (cli_store(cli, &store, err) < 0 || engine_df(store, &report, err) < 0)
                return -1;
        return flags->verbose ? df_print_verbose(cli, store, flags->format, &report, err) : print_summary(cli, flags, &report, err);
}

const Command command_system_df = {
        .usage = "[OPTIONS]",
        .summary = "Show disk usage",
        .options = { df_options },
        .options_size = sizeof(DfFlags),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_df,
};

/* --- system prune --- */

typedef struct SystemPruneFlags {
        bool all, force, volumes;
        StrList filters;
} SystemPruneFlags;

static const Option system_prune_options[] = {
        { "all", 'a', OPTION_BOOL, offsetof(SystemPruneFlags, all), .help = "Remove all unused images not just dangling ones" },
        { "filter", 0, OPTION_LIST, offsetof(SystemPruneFlags, filters), .meta = "filter",
          .help = "Provide filter values: until=, label=, label!=", .flags = OPTION_FILTER },
        { "force", 'f', OPTION_BOOL, offsetof(SystemPruneFlags, force), .help = "Do not prompt for confirmation" },
        { "volumes", 0, OPTION_BOOL, offsetof(SystemPruneFlags, volumes), .help = "Prune anonymous volumes" },
        OPTION_TABLE_END,
};

/* A headline in front of the first line of each part, an empty line between the parts. */
typedef struct PartReport {
        Cli *cli;
        const char *title;
        bool any;
} PartReport;

static void print_line(PartReport *report, const char *line)
{
        if (!report->any)
                fprintf(report->cli->out, "%s\n", report->title);
        report->any = true;
        fprintf(report->cli->out, "%s\n", line);
}

static void report_name(void *user, const char *name)
{
        print_line(user, name);
}

static void report_image(void *user, RemovalKind kind, const char *name)
{
        _cleanup_free_ char *line = xasprintf("%s: %s", kind == REMOVAL_UNTAGGED ? "untagged" : "deleted", name);

        print_line(user, line);
}

static void report_cache(void *user, const CacheItem *item)
{
        char id[DIGEST_TEXT_SIZE];

        print_line(user, digest_hex(&item->key, id));
}

static void end_part(PartReport *report)
{
        if (report->any)
                fputc('\n', report->cli->out);
}

static char *prune_question(const SystemPruneFlags *flags)
{
        return xasprintf("WARNING! This will remove:\n  - all stopped containers\n%s  - %s\n  - %s\n\nAre you sure you want to continue?",
                         flags->volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
                         flags->all ? "all images without at least one container associated to them" : "all dangling images",
                         flags->all ? "all build cache" : "unused build cache");
}

/* until= is for what has an age; volumes take labels only. */
static void label_filters(const StrList *filters, StrList *labels)
{
        for (size_t i = 0; i < filters->n_items; i++)
                if (str_starts(filters->items[i], "label"))
                        strlist_add(labels, filters->items[i]);
}

static int prune_parts(Cli *cli, Store *store, const SystemPruneFlags *flags, uint64_t *total, Error *err)
{
        PartReport containers = { cli, "Deleted Containers:", false }, volumes = { cli, "Deleted Volumes:", false }, images = { cli, "Deleted Images:", false },
                   cache = { cli, "Deleted build cache objects:", false };
        _cleanup_strlist_ StrList labels = { 0 }, until = { 0 };
        uint64_t size = 0;

        if (container_prune(store, &flags->filters, report_name, &containers, &size, err) < 0)
                return -1;
        *total += size;
        end_part(&containers);
        label_filters(&flags->filters, &labels);
        if (flags->volumes) {
                if (engine_volume_prune(store, false, &labels, report_name, &volumes, &size, err) < 0)
                        return -1;
                *total += size;
        }
        end_part(&volumes);
        if (engine_image_prune(store, flags->all, &flags->filters, report_image, &images, &size, err) < 0)
                return -1;
        *total += size;
        end_part(&images);
        for (size_t i = 0; i < flags->filters.n_items; i++)
                if (str_starts(flags->filters.items[i], "until="))
                        strlist_add(&until, flags->filters.items[i]);
        if (engine_cache_prune(store, flags->all, &until, NULL, report_cache, &cache, &size, err) < 0)
                return -1;
        *total += size;
        end_part(&cache);
        return 0;
}

static int run_system_prune(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const SystemPruneFlags *flags = data;
        _cleanup_free_ char *question = prune_question(flags), *text = NULL;
        uint64_t total = 0;
        Store *store;

        if (!flags->force && !cli_confirm(cli, question))
                return 0;
        if (cli_store(cli, &store, err) < 0 || prune_parts(cli, store, flags, &total, err) < 0)
                return -1;
        text = str_from_size_exact(total);
        fprintf(cli->out, "Total reclaimed space: %s\n", text);
        return 0;
}

const Command command_system_prune = {
        .usage = "[OPTIONS]",
        .summary = "Remove unused data",
        .options = { system_prune_options },
        .options_size = sizeof(SystemPruneFlags),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_system_prune,
};
