/*
 * mica builder du, mica builder prune: what the build cache holds, and giving it back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "engine/build_cache.h"
#include "format/table.h"

/* --- du --- */

typedef struct DuFlags {
        StrList filters;
        const char *format;
        bool verbose;
} DuFlags;

static const Option du_options[] = {
        { "filter", 0, OPTION_LIST, offsetof(DuFlags, filters), .meta = "filter",
          .help = "Provide filter values: id=, parents=, type=, description=, inuse, mutable, immutable, shared, private, until=" },
        { "format", 0, OPTION_STRING, offsetof(DuFlags, format), .help = "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
        { "verbose", 0, OPTION_BOOL, offsetof(DuFlags, verbose), .help = "Show everything about each record" },
        OPTION_TABLE_END,
};

static const ListColumn du_columns[] = {
        { "CreatedAt", "CREATED AT" },
        { "Description", "DESCRIPTION" },
        { "ID", "ID" },
        { "LastUsedAt", "LAST USED AT" },
        { "LastUsedSince", "LAST ACCESSED" },
        { "Mutable", "MUTABLE" },
        { "Parents", "PARENTS" },
        { "Reclaimable", "RECLAIMABLE" },
        { "Shared", "SHARED" },
        { "Size", "SIZE" },
        { "Tree", "DESCRIPTION" },
        { "Type", "TYPE" },
        { "UsageCount", "USAGE COUNT" },
        { NULL, NULL },
};

/* An item with what stands on it. */
typedef struct DuNode DuNode;
struct DuNode {
        const CacheItem *item;
        DuNode **children;
        size_t n_children, capacity;
        bool has_parent, shown;
};

typedef struct Du {
        const DuFlags *flags;
        FILE *out;
        List *list;
        DuNode *nodes;
        size_t n_nodes;
        StrList *rails; /* the lines of the tree on the way to the present node */
} Du;

static bool du_selected(CacheFilter *filter, const CacheItem *item)
{
        Timestamp until = cache_filter_until(filter);

        return (!until || item->last_used < until) && cache_filter_match(filter, item);
}

/* Each item hangs below the first of its parents that is listed too. */
static void du_link(Du *du)
{
        _cleanup_(map_freep) Map *by_key = map_new(NULL);

        for (size_t i = 0; i < du->n_nodes; i++)
                map_setn(by_key, &du->nodes[i].item->key, sizeof(Digest), &du->nodes[i]);
        for (size_t i = 0; i < du->n_nodes; i++) {
                const CacheItem *item = du->nodes[i].item;

                for (size_t k = 0; k < item->n_parents && !du->nodes[i].has_parent; k++) {
                        DuNode *parent = map_getn(by_key, &item->parents[k], sizeof(Digest));

                        if (!parent || parent == &du->nodes[i])
                                continue;
                        GROW(parent->children, parent->capacity, parent->n_children + 1);
                        parent->children[parent->n_children++] = &du->nodes[i];
                        du->nodes[i].has_parent = true;
                }
        }
}

static void print_verbose(FILE *out, const CacheItem *item)
{
        _cleanup_free_ char *size = cli_size(item->size), *created = cli_time(item->created), *used = cli_ago(item->last_used);
        char id[DIGEST_TEXT_SIZE];

        fprintf(out, "ID:\t\t%s\n", digest_hex(&item->key, id));
        for (size_t i = 0; i < item->n_parents; i++)
                fprintf(out, "%s\t%s\n", i ? "\t" : "Parents:", digest_hex(&item->parents[i], id));
        fprintf(out, "Created at:\t%s\nMutable:\t%s\nReclaimable:\t%s\nShared:\t\t%s\nSize:\t\t%s\n", created, cache_item_is_mount(item) ? "true" : "false",
                item->in_use ? "false" : "true", item->shared ? "true" : "false", size);
        fprintf(out, "Description:\t%s\nUsage count:\t%llu\nLast used:\t%s\nType:\t\t%s\n\n", item->description, (unsigned long long)item->n_used, used,
                item->kind);
}

static int add_row(Du *du, const CacheItem *item, const char *rails, Error *err)
{
        JsonValue *row = json_value_new_object(), *parents = json_value_new_array();
        bool marks = str_empty(du->flags->format) || str_starts(du->flags->format, "table"), json = du->flags->format && streq(du->flags->format, "json");
        _cleanup_free_ char *bytes = cli_size(item->size), *size = xasprintf("%s%s", bytes, marks && item->shared ? "*" : ""),
                            *since = cli_ago(item->last_used);
        _cleanup_free_ char *tree = xasprintf("%s%s", rails, item->description);
        char id[DIGEST_TEXT_SIZE], created[TIMESTAMP_TEXT_SIZE], used[TIMESTAMP_TEXT_SIZE], text[32];
        _cleanup_free_ char *name = NULL;

        if (json)
                digest_hex(&item->key, id);
        else
                digest_short(&item->key, id);
        name = xasprintf("%s%s", id, marks && cache_item_is_mount(item) ? "*" : "");
        snprintf(text, sizeof(text), "%llu", (unsigned long long)item->n_used);
        json_value_set_string(row, "CreatedAt", timestamp_format(item->created, created));
        json_value_set_string(row, "Description", item->description);
        json_value_set_string(row, "ID", name);
        json_value_set_string(row, "LastUsedAt", timestamp_format(item->last_used, used));
        json_value_set_string(row, "LastUsedSince", since);
        json_value_set_bool(row, "Mutable", cache_item_is_mount(item));
        for (size_t i = 0; i < item->n_parents; i++)
                json_value_append_string(parents, json ? digest_hex(&item->parents[i], id) : digest_short(&item->parents[i], id));
        json_value_set(row, "Parents", parents);
        json_value_set_bool(row, "Reclaimable", !item->in_use);
        json_value_set_bool(row, "Shared", item->shared);
        json_value_set_string(row, "Size", size);
        json_value_set_string(row, "Type", item->kind);
        json_value_set_int(row, "UsageCount", (int64_t)item->n_used);
        if (!json)
                json_value_set_string(row, "Tree", tree);
        return list_add(du->list, row, NULL, err);
}

static int show(Du *du, DuNode *node, const char *rails, const char *below, Error *err)
{
        if (node->shown)
                return 0;
        node->shown = true;
        if (du->flags->verbose)
                print_verbose(du->out, node->item);
        else if (add_row(du, node->item, rails, err) < 0)
                return -1;
        for (size_t i = 0; i < node->n_children; i++) {
                bool last = i + 1 == node->n_children;
                _cleanup_free_ char *next = xasprintf("%s%s", below, last ? "└─ " : "├─ "), *further = xasprintf("%s%s", below, last ? "   " : "│  ");

                if (show(du, node->children[i], next, further, err) < 0)
                        return -1;
        }
        return 0;
}

static int show_all(Du *du, Error *err)
{
        for (size_t i = 0; i < du->n_nodes; i++)
                if (!du->nodes[i].has_parent && show(du, &du->nodes[i], "", "", err) < 0)
                        return -1;
        /* Whatever a ring of parents would hide. */
        for (size_t i = 0; i < du->n_nodes; i++)
                if (show(du, &du->nodes[i], "", "", err) < 0)
                        return -1;
        return du->list ? list_print(du->list, du->out, err) : 0;
}

static void print_totals(const Du *du)
{
        _cleanup_(map_freep) Map *seen = map_new(NULL);
        uint64_t total = 0, shared = 0, reclaimable = 0;

        for (size_t i = 0; i < du->n_nodes; i++) {
                const CacheItem *item = du->nodes[i].item;

                if (!cache_item_counts(item, seen))
                        continue;
                total += item->size;
                shared += item->shared ? item->size : 0;
                reclaimable += !item->shared && !item->in_use ? item->size : 0;
        }
        {
                _cleanup_free_ char *all = cli_size(total), *with_images = cli_size(shared), *own = cli_size(total - shared), *back = cli_size(reclaimable);

                if (shared)
                        fprintf(du->out, "Shared:\t\t%s\nPrivate:\t%s\n", with_images, own);
                fprintf(du->out, "Reclaimable:\t%s\nTotal:\t\t%s\n", back, all);
        }
}

static void du_done(Du *du)
{
        for (size_t i = 0; i < du->n_nodes; i++)
                free(du->nodes[i].children);
        free(du->nodes);
        list_free(du->list);
}

static int run_du(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const DuFlags *flags = data;
        _cleanup_(cache_filter_freep) CacheFilter *filter = NULL;
        _cleanup_(cache_items_done) CacheItems items = { 0 };
        _cleanup_(du_done) Du du = { .flags = flags, .out = cli->out };
        Store *store;

        if (flags->verbose && flags->format)
                return error_set(err, ERROR_INVALID, "--format and --verbose cannot be used together");
        if (cache_filter_new(&flags->filters, &filter, err) < 0)
                return -1;
        if (!flags->verbose &&
            list_new(flags->format, "{{.ID}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastUsedSince}}\t{{.Tree}}", NULL, du_columns, &du.list, err) < 0)
                return -1;
        if (cli_store(cli, &store, err) < 0 || cache_items_read(store, true, &items, err) < 0)
                return -1;
        du.nodes = NEW_ARRAY(DuNode, items.n_items + 1);
        for (size_t i = 0; i < items.n_items; i++)
                if (du_selected(filter, &items.items[i]))
                        du.nodes[du.n_nodes++].item = &items.items[i];
        du_link(&du);
        if (show_all(&du, err) < 0)
                return -1;
        if (!flags->format)
                print_totals(&du);
        return 0;
}

const Command command_builder_du = {
        .usage = "[OPTIONS]",
        .summary = "Show what the build cache takes",
        .details = "Each step is listed below the one that it stands on. An ID with * is a directory of RUN --mount=type=cache, a size with * belongs to an "
                   "image too: removing the record gives nothing back.\n\nFilters are KEY=VALUE, KEY!=VALUE and KEY~=REGEX.",
        .example = "mica builder du\n"
                   "mica builder du --filter type=exec.cachemount\n"
                   "mica builder du --format json",
        .options = { du_options },
        .options_size = sizeof(DuFlags),
        .run = run_du,
};

/* --- prune --- */

typedef struct PruneFlags {
        bool all, force, verbose;
        StrList filters;
        int64_t keep_storage, max_used, min_free, reserved;
} PruneFlags;

static const Option prune_options[] = {
        { "all", 'a', OPTION_BOOL, offsetof(PruneFlags, all), .help = "Remove all unused build cache, not just what no image needs" },
        { "filter", 0, OPTION_LIST, offsetof(PruneFlags, filters), .meta = "filter",
          .help = "Provide filter values: until=, unused-for=, id=, parents=, type=, description=, mutable, immutable, shared, private" },
        { "force", 'f', OPTION_BOOL, offsetof(PruneFlags, force), .help = "Do not prompt for confirmation" },
        { "keep-storage", 0, OPTION_SIZE, offsetof(PruneFlags, keep_storage),
          .help = "Amount of disk space to keep for cache: older name of --reserved-space" },
        { "max-used-space", 0, OPTION_SIZE, offsetof(PruneFlags, max_used), .help = "Maximum amount of disk space that the cache may take" },
        { "min-free-space", 0, OPTION_SIZE, offsetof(PruneFlags, min_free), .help = "Amount of disk space to leave free" },
        { "reserved-space", 0, OPTION_SIZE, offsetof(PruneFlags, reserved), .help = "Amount of disk space to keep for cache in any case" },
        { "verbose", 0, OPTION_BOOL, offsetof(PruneFlags, verbose), .help = "Provide a more verbose output" },
        OPTION_TABLE_END,
};

typedef struct PruneReport {
        Cli *cli;
        bool any, verbose;
} PruneReport;

static void print_removed(void *user, const CacheItem *item)
{
        PruneReport *report = user;
        char id[DIGEST_TEXT_SIZE];

        if (report->verbose) {
                print_verbose(report->cli->out, item);
                report->any = true;
                return;
        }
        if (!report->any)
                fputs("Deleted build cache objects:\n", report->cli->out);
        report->any = true;
        fprintf(report->cli->out, "%s\n", digest_hex(&item->key, id));
}

static int check_sizes(const PruneFlags *flags, Error *err)
{
        if (flags->keep_storage < 0 || flags->max_used < 0 || flags->min_free < 0 || flags->reserved < 0)
                return error_set(err, ERROR_INVALID, "an amount of disk space cannot be negative");
        if (flags->keep_storage && flags->reserved)
                return error_set(err, ERROR_INVALID, "--keep-storage is an older name of --reserved-space: give one of them");
        return 0;
}

static int run_prune(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const PruneFlags *flags = data;
        CacheSpace space = { .max_used = (uint64_t)flags->max_used,
                             .min_free = (uint64_t)flags->min_free,
                             .reserved = (uint64_t)(flags->reserved ? flags->reserved : flags->keep_storage) };
        _cleanup_(cache_filter_freep) CacheFilter *filter = NULL;
        PruneReport report = { .cli = cli, .verbose = flags->verbose };
        _cleanup_free_ char *text = NULL;
        uint64_t size;
        Store *store;

        /* Wrong words are told before the question. */
        if (check_sizes(flags, err) < 0 || cache_filter_new(&flags->filters, &filter, err) < 0)
                return -1;
        if (!flags->force && !cli_confirm(cli, flags->all ? "WARNING! This will remove all build cache. Are you sure you want to continue?"
                                                          : "WARNING! This will remove all dangling build cache. Are you sure you want to continue?"))
                return 0;
        if (cli_store(cli, &store, err) < 0 || engine_cache_prune(store, flags->all, &flags->filters, &space, print_removed, &report, &size, err) < 0)
                return -1;
        text = str_from_size_exact(size);
        fprintf(cli->out, "%sTotal reclaimed space: %s\n", report.any ? "\n" : "", text);
        return 0;
}

const Command command_builder_prune = {
        .usage = "[OPTIONS]",
        .summary = "Remove build cache",
        .details = "What was not used for longest goes first. What a running build uses stays, and so does, without -a, what belongs to an image: it takes no "
                   "space of its own.\n\nFilters are KEY=VALUE, KEY!=VALUE and KEY~=REGEX.",
        .example = "mica builder prune -f --filter until=24h\n"
                   "mica builder prune -f --max-used-space 10GB\n"
                   "mica builder prune -f --filter type=exec.cachemount",
        .options = { prune_options },
        .options_size = sizeof(PruneFlags),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_prune,
};
