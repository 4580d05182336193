/*
 * mica system df, system prune.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/container_rows.h"
#include "cli/context.h"
#include "cli/format/table.h"
#include "engine/build_cache.h"
#include "engine/df.h"
#include "engine/images.h"
#include "engine/volumes.h"
#include "oci/reference.h"

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

static const ListColumn df_image_columns[] = {
        { "Containers", "CONTAINERS" },
        { "CreatedSince", "CREATED" },
        { "ID", "IMAGE ID" },
        { "Repository", "REPOSITORY" },
        { "SharedSize", "SHARED SIZE" },
        { "Size", "SIZE" },
        { "Tag", "TAG" },
        { "UniqueSize", "UNIQUE SIZE" },
        { NULL, NULL },
};

static int add_image_usage(List *list, const Image *image, const ImageUsage *usage, Error *err)
{
        JsonValue *row = json_value_new_object();
        _cleanup_reference_ Reference name = { 0 };
        _cleanup_free_ char *size = cli_size(usage->size), *shared = str_from_size_exact(usage->shared), *unique = str_from_size_exact(usage->unique),
                            *since = cli_ago(image->created), *repository = NULL;
        char id[DIGEST_TEXT_SIZE];

        if (image->names.n_items && reference_parse(image->names.items[0], &name, err) < 0) {
                json_value_unref(row);
                return -1;
        }
        repository = image->names.n_items ? reference_familiar_name(&name) : xstrdup("<none>");
        json_value_set_string(row, "Repository", repository);
        json_value_set_string(row, "Tag", name.tag ? name.tag : "<none>");
        json_value_set_string(row, "ID", cli_id(&image->id, false, id));
        json_value_set_string(row, "CreatedSince", since);
        json_value_set_string(row, "Size", size);
        json_value_set_string(row, "SharedSize", shared);
        json_value_set_string(row, "UniqueSize", unique);
        set_number(row, "Containers", usage->n_containers);
        return list_add(list, row, NULL, err);
}

static int print_images(Cli *cli, Store *store, const DfReport *report, Error *err)
{
        _cleanup_(list_freep) List *list = NULL;
        Image **images;
        size_t n;
        int r;

        fputs("Images space usage:\n\n", cli->out);
        if (list_new(NULL, "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}", NULL,
                     df_image_columns, &list, err) < 0 ||
            image_list(store, &images, &n, err) < 0)
                return -1;
        r = 0;
        for (size_t i = 0; i < n && r >= 0; i++)
                for (size_t k = 0; k < report->usage.n_images; k++)
                        if (digest_equal(&report->usage.images[k].id, &images[i]->id))
                                r = add_image_usage(list, images[i], &report->usage.images[k], err);
        image_list_free(images, n);
        return r < 0 ? -1 : list_print(list, cli->out, err);
}

static int add_container_usage(void *user, const ContainerInfo *info, Error *err)
{
        return container_row_add(user, info, false, err);
}

static int print_containers(Cli *cli, Store *store, Error *err)
{
        _cleanup_(list_freep) List *list = NULL;
        ListOptions options = { .all = true, .size = true };

        fputs("\nContainers space usage:\n\n", cli->out);
        if (list_new(NULL, "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}", NULL, container_columns,
                     &list, err) < 0 ||
            container_list(store, &options, add_container_usage, list, err) < 0)
                return -1;
        return list_print(list, cli->out, err);
}

static const ListColumn df_volume_columns[] = { { "Links", "LINKS" }, { "Name", "VOLUME NAME" }, { "Size", "SIZE" }, { NULL, NULL } };

static int add_volume_usage(void *user, const VolumeInfo *volume, Error *err)
{
        JsonValue *row = json_value_new_object();
        _cleanup_free_ char *size = cli_size(engine_tree_size(volume->path));

        json_value_set_string(row, "Name", volume->name);
        json_value_set_string(row, "Links", volume->used ? "1" : "0");
        json_value_set_string(row, "Size", size);
        return list_add(user, row, NULL, err);
}

static int print_volumes(Cli *cli, Store *store, Error *err)
{
        _cleanup_(list_freep) List *list = NULL;
        StrList none = { 0 };

        fputs("\nLocal Volumes space usage:\n\n", cli->out);
        if (list_new(NULL, "{{.Name}}\t{{.Links}}\t{{.Size}}", NULL, df_volume_columns, &list, err) < 0 ||
            engine_volumes(store, &none, add_volume_usage, list, err) < 0)
                return -1;
        return list_print(list, cli->out, err);
}

/* --- build cache --- */

static const ListColumn cache_columns[] = {
        { "CacheType", "CACHE TYPE" },
        { "CreatedSince", "CREATED" },
        { "Description", "DESCRIPTION" },
        { "ID", "CACHE ID" },
        { "InUse", "IN USE" },
        { "LastUsedSince", "LAST USED" },
        { "Shared", "SHARED" },
        { "Size", "SIZE" },
        { "UsageCount", "USAGE" },
        { NULL, NULL },
};

static int add_cache_row(List *list, const CacheItem *item, Error *err)
{
        JsonValue *row = json_value_new_object();
        _cleanup_free_ char *size = cli_size(item->size), *since = cli_ago(item->created), *used = cli_ago(item->last_used);
        char id[DIGEST_TEXT_SIZE];

        json_value_set_string(row, "ID", digest_short(&item->key, id));
        json_value_set_string(row, "CacheType", item->kind);
        json_value_set_string(row, "Size", size);
        json_value_set_string(row, "CreatedSince", since);
        json_value_set_string(row, "LastUsedSince", used);
        set_number(row, "UsageCount", item->n_used);
        json_value_set_string(row, "Shared", item->shared ? "true" : "false");
        json_value_set_string(row, "InUse", item->in_use ? "true" : "false");
        json_value_set_string(row, "Description", item->description);
        return list_add(list, row, NULL, err);
}

static int print_cache(Cli *cli, Store *store, const DfReport *report, Error *err)
{
        _cleanup_(list_freep) List *list = NULL;
        _cleanup_free_ char *size = str_from_size_exact(report->cache.size);
        _cleanup_(cache_items_done) CacheItems items = { 0 };

        fprintf(cli->out, "\nBuild cache usage: %s\n\n", size);
        if (list_new(NULL, "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}", NULL, cache_columns,
                     &list, err) < 0)
                return -1;
        if (cache_items_read(store, false, &items, err) < 0)
                return -1;
        for (size_t i = 0; i < items.n_items; i++)
                if (add_cache_row(list, &items.items[i], err) < 0)
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
        if (!flags->verbose)
                return print_summary(cli, flags, &report, err);
        if (print_images(cli, store, &report, err) < 0)
                return -1;
        if (print_containers(cli, store, err) < 0)
                return -1;
        return print_volumes(cli, store, err) < 0 ? -1 : print_cache(cli, store, &report, err);
}

const Command command_system_df = {
        .usage = "[OPTIONS]",
        .summary = "Show disk usage",
        .options = { df_options },
        .options_size = sizeof(DfFlags),
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
        .run = run_system_prune,
};
