/*
 * mica images / image ls, history.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "engine/images.h"
#include "format/table.h"
#include "oci/reference.h"

/* --- images --- */

typedef struct ImagesOptions {
        bool all, digests, no_trunc, quiet, tree;
        const char *format;
        StrList filters;
} ImagesOptions;

static const Option images_options[] = {
        { "all", 'a', OPTION_BOOL, offsetof(ImagesOptions, all), .help = "Show all images, also the single platforms of images that have several" },
        { "digests", 0, OPTION_BOOL, offsetof(ImagesOptions, digests), .help = "Show digests" },
        { "filter", 'f', OPTION_LIST, offsetof(ImagesOptions, filters), .meta = "filter",
          .help = "Filter output: before=, dangling=, label=, reference=, since=, until=", .flags = OPTION_FILTER },
        { "format", 0, OPTION_STRING, offsetof(ImagesOptions, format), .help = "Format output: 'table', 'table TEMPLATE', 'json', 'raw' or a Go template" },
        { "no-trunc", 0, OPTION_BOOL, offsetof(ImagesOptions, no_trunc), .help = "Don't truncate output" },
        { "quiet", 'q', OPTION_BOOL, offsetof(ImagesOptions, quiet), .help = "Only show image IDs" },
        OPTION_TABLE_END,
};

static const ListColumn image_columns[] = {
        { "Containers", "CONTAINERS" },
        { "CreatedAt", "CREATED AT" },
        { "CreatedSince", "CREATED" },
        { "Digest", "DIGEST" },
        { "ID", "IMAGE ID" },
        { "Repository", "REPOSITORY" },
        { "SharedSize", "SHARED SIZE" },
        { "Size", "SIZE" },
        { "Tag", "TAG" },
        { "UniqueSize", "UNIQUE SIZE" },
        { "VirtualSize", "SIZE" },
        { NULL, NULL },
};

#define IMAGES_TABLE "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
#define IMAGES_TABLE_DIGESTS "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"

typedef struct ImageRows {
        List *list;
        bool no_trunc;
} ImageRows;

static int add_image_row(const ImageRows *rows, const Image *image, const char *repository, const char *tag, const char *digest, Error *err)
{
        JsonValue *row = json_value_new_object();
        _cleanup_free_ char *size = cli_size(image->size), *exact = str_from_size_exact(image->size), *since = cli_ago(image->created),
                            *at = cli_time(image->created);
        char id[DIGEST_TEXT_SIZE];

        json_value_set_string(row, "Containers", "N/A");
        json_value_set_string(row, "CreatedAt", at);
        json_value_set_string(row, "CreatedSince", since);
        json_value_set_string(row, "Digest", digest);
        json_value_set_string(row, "ID", cli_id(&image->id, rows->no_trunc, id));
        json_value_set_string(row, "Repository", repository);
        json_value_set_string(row, "SharedSize", "N/A");
        json_value_set_string(row, "Size", size);
        json_value_set_string(row, "Tag", tag);
        json_value_set_string(row, "UniqueSize", "N/A");
        json_value_set_string(row, "VirtualSize", exact);
        return list_add(rows->list, row, NULL, err);
}

/* The digest under which `image` is known in the repository of `name`, or "<none>". New string. */
static char *digest_in_repository(const Image *image, const Reference *name)
{
        for (size_t i = 0; i < image->repo_digests.n_items; i++) {
                _cleanup_reference_ Reference other = { 0 };
                _cleanup_error_ Error ignored = ERROR_INIT;
                char text[DIGEST_TEXT_SIZE];

                if (reference_parse(image->repo_digests.items[i], &other, &ignored) == 0 && streq(other.domain, name->domain) && streq(other.path, name->path))
                        return xstrdup(digest_format(&other.digest, text));
        }
        return xstrdup("<none>");
}

/* A repository that is known by digest only: no tag of it points here. */
static bool has_tag_in_repository(const Image *image, const Reference *digest)
{
        for (size_t i = 0; i < image->names.n_items; i++) {
                _cleanup_reference_ Reference other = { 0 };
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (reference_parse(image->names.items[i], &other, &ignored) == 0 && streq(other.domain, digest->domain) && streq(other.path, digest->path))
                        return true;
        }
        return false;
}

static int add_image(const ImageRows *rows, const Image *image, Error *err)
{
        size_t n = 0;

        for (size_t i = 0; i < image->names.n_items; i++, n++) {
                _cleanup_reference_ Reference name = { 0 };
                _cleanup_free_ char *repository = NULL, *digest = NULL;

                if (reference_parse(image->names.items[i], &name, err) < 0)
                        return -1;
                repository = reference_familiar_name(&name);
                digest = digest_in_repository(image, &name);
                if (add_image_row(rows, image, repository, name.tag ? name.tag : "<none>", digest, err) < 0)
                        return -1;
        }
        for (size_t i = 0; i < image->repo_digests.n_items; i++) {
                _cleanup_reference_ Reference name = { 0 };
                _cleanup_free_ char *repository = NULL;
                char digest[DIGEST_TEXT_SIZE];

                if (reference_parse(image->repo_digests.items[i], &name, err) < 0)
                        return -1;
                if (has_tag_in_repository(image, &name))
                        continue;
                repository = reference_familiar_name(&name);
                if (add_image_row(rows, image, repository, "<none>", digest_format(&name.digest, digest), err) < 0)
                        return -1;
                n++;
        }
        return n ? 0 : add_image_row(rows, image, "<none>", "<none>", "<none>", err);
}

/* docker's 'raw': a line for each field. */
static const char *raw_format(const ImagesOptions *options)
{
        if (!options->format || !streq(options->format, "raw"))
                return options->format;
        if (options->quiet)
                return "image_id: {{.ID}}";
        return options->digests ? "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\ncreated_at: "
                                  "{{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
                                : "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";
}

static int run_images(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const ImagesOptions *options = data;
        _cleanup_(list_freep) List *list = NULL;
        ImageRows rows = { .no_trunc = options->no_trunc };
        Image **images;
        size_t n;
        Store *store;
        int r = 0;

        if (list_new(raw_format(options), options->digests ? IMAGES_TABLE_DIGESTS : IMAGES_TABLE, options->quiet ? "ID" : NULL, image_columns, &list, err) < 0)
                return -1;
        rows.list = list;
        if (cli_store(cli, &store, err) < 0 ||
            engine_images(store, options->all, &options->filters, args->n_items && *args->items[0] ? args->items[0] : NULL, &images, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_image(&rows, images[i], err);
        image_list_free(images, n);
        return r < 0 ? -1 : list_print(list, cli->out, err);
}

const Command command_images = {
        .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
        .summary = "List images",
        .example = "$ mica images --filter dangling=true -q\n$ mica images --format 'table {{.Repository}}:{{.Tag}}\\t{{.Size}}'",
        .options = { images_options },
        .options_size = sizeof(ImagesOptions),
        .max_args = 1,
        .flags = COMMAND_IMAGES,
        .run = run_images,
};

/* --- history --- */

typedef struct HistoryOptions {
        bool human, no_trunc, quiet;
        const char *format;
        const char *platform;
} HistoryOptions;

static const Option history_options[] = {
        { "format", 0, OPTION_STRING, offsetof(HistoryOptions, format), .help = "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
        { "human", 'H', OPTION_BOOL, offsetof(HistoryOptions, human), .help = "Print sizes and dates in human readable format", .value = "true" },
        { "no-trunc", 0, OPTION_BOOL, offsetof(HistoryOptions, no_trunc), .help = "Don't truncate output" },
        { "quiet", 'q', OPTION_BOOL, offsetof(HistoryOptions, quiet), .help = "Only show image IDs" },
        OPTION_TABLE_END,
};

static const ListColumn history_columns[] = {
        { "Comment", "COMMENT" },
        { "CreatedAt", "CREATED AT" },
        { "CreatedBy", "CREATED BY" },
        { "CreatedSince", "CREATED" },
        { "ID", "IMAGE" },
        { "Size", "SIZE" },
        { NULL, NULL },
};

#define HISTORY_TABLE "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
#define HISTORY_TABLE_EXACT "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
#define CREATED_BY_WIDTH 45

typedef struct HistoryRows {
        const HistoryOptions *options;
        List *list;
} HistoryRows;

static int add_history_row(void *user, const HistoryRow *entry, Error *err)
{
        const HistoryRows *rows = user;
        const HistoryOptions *options = rows->options;
        JsonValue *row = json_value_new_object();
        _cleanup_free_ char *by = str_replace(entry->created_by, "\t", " "), *short_by = options->no_trunc ? NULL : cli_ellipsis(by, CREATED_BY_WIDTH);
        _cleanup_free_ char *since = cli_ago(entry->created),
                            *size = options->human ? cli_size(entry->size) : xasprintf("%llu", (unsigned long long)entry->size);
        char id[DIGEST_TEXT_SIZE], at[TIMESTAMP_TEXT_SIZE] = "";

        if (entry->created)
                timestamp_format(entry->created / NSEC_PER_SEC * NSEC_PER_SEC, at);
        json_value_set_string(row, "Comment", entry->comment);
        json_value_set_string(row, "CreatedAt", at);
        json_value_set_string(row, "CreatedBy", short_by ? short_by : by);
        json_value_set_string(row, "CreatedSince", since);
        json_value_set_string(row, "ID", digest_is_set(&entry->id) ? cli_id(&entry->id, options->no_trunc, id) : "<missing>");
        json_value_set_string(row, "Size", size);
        return list_add(rows->list, row, NULL, err);
}

static int run_history(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const HistoryOptions *options = data;
        _cleanup_(list_freep) List *list = NULL;
        HistoryRows rows = { .options = options };
        Store *store;

        if (list_new(options->format, options->human ? HISTORY_TABLE : HISTORY_TABLE_EXACT, options->quiet ? "ID" : NULL, history_columns, &list, err) < 0)
                return -1;
        rows.list = list;
        if (cli_store(cli, &store, err) < 0 || engine_image_history(store, args->items[0], add_history_row, &rows, err) < 0)
                return -1;
        return list_print(list, cli->out, err);
}

const Command command_history = {
        .usage = "[OPTIONS] IMAGE",
        .summary = "Show the history of an image",
        .options = { history_options },
        .options_size = sizeof(HistoryOptions),
        .min_args = 1,
        .max_args = 1,
        .flags = COMMAND_IMAGES,
        .run = run_history,
};
