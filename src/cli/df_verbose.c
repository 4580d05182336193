#include "cli/df_verbose.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/container_rows.h"
#include "cli/context.h"
#include "engine/build_cache.h"
#include "engine/volumes.h"
#include "format/table.h"
#include "oci/reference.h"

typedef struct Filling {
        Store *store;
        const DfReport *report;
        bool whole_ids; /* JSON and templates have them, tables the first digits */
        List *list;
} Filling;

static void set_number(JsonValue *row, const char *field, uint64_t number)
{
        char text[32];

        snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
        json_value_set_string(row, field, text);
}

/* --- images --- */

static const ListColumn image_columns[] = {
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

static int add_image(const Filling *filling, const Image *image, const ImageUsage *usage, Error *err)
{
        _cleanup_reference_ Reference name = { 0 };
        _cleanup_free_ char *size = cli_size(usage->size), *shared = str_from_size_exact(usage->shared), *unique = str_from_size_exact(usage->unique),
                            *exact = str_from_size_exact(usage->size), *since = cli_ago(image->created), *at = cli_time(image->created), *repository = NULL;
        char id[DIGEST_TEXT_SIZE];
        JsonValue *row;

        if (image->names.n_items && reference_parse(image->names.items[0], &name, err) < 0)
                return -1;
        row = json_value_new_object();
        repository = image->names.n_items ? reference_familiar_name(&name) : xstrdup("<none>");
        set_number(row, "Containers", usage->n_containers);
        json_value_set_string(row, "CreatedAt", at);
        json_value_set_string(row, "CreatedSince", since);
        json_value_set_string(row, "Digest", "");
        json_value_set_string(row, "ID", cli_id(&image->id, filling->whole_ids, id));
        json_value_set_string(row, "Repository", repository);
        json_value_set_string(row, "SharedSize", shared);
        json_value_set_string(row, "Size", size);
        json_value_set_string(row, "Tag", name.tag ? name.tag : "<none>");
        json_value_set_string(row, "UniqueSize", unique);
        json_value_set_string(row, "VirtualSize", exact);
        return list_add(filling->list, row, NULL, err);
}

static int fill_images(const Filling *filling, Error *err)
{
        const StoreUsage *usage = &filling->report->usage;
        Image **images;
        size_t n;
        int r = 0;

        if (image_list(filling->store, &images, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n && r >= 0; i++)
                for (size_t k = 0; k < usage->n_images && r >= 0; k++)
                        if (digest_equal(&usage->images[k].id, &images[i]->id))
                                r = add_image(filling, images[i], &usage->images[k], err);
        image_list_free(images, n);
        return r;
}

/* --- containers --- */

static int add_container(void *user, const ContainerInfo *info, Error *err)
{
        const Filling *filling = user;

        return container_row_add(filling->list, info, filling->whole_ids, err);
}

static int fill_containers(const Filling *filling, Error *err)
{
        ListOptions options = { .all = true, .size = true };

        return container_list(filling->store, &options, add_container, (void *)(uintptr_t)filling, err);
}

/* --- volumes --- */

static const ListColumn volume_columns[] = { { "Links", "LINKS" }, { "Name", "VOLUME NAME" }, { "Size", "SIZE" }, { NULL, NULL } };

static int add_volume(void *user, const VolumeInfo *volume, Error *err)
{
        const Filling *filling = user;
        JsonValue *row = json_value_new_object();
        _cleanup_free_ char *size = cli_size(engine_tree_size(volume->path));

        json_value_set_string(row, "Driver", "local");
        json_value_set_string(row, "Links", volume->used ? "1" : "0");
        json_value_set_string(row, "Mountpoint", volume->path);
        json_value_set_string(row, "Name", volume->name);
        json_value_set_string(row, "Scope", "local");
        json_value_set_string(row, "Size", size);
        return list_add(filling->list, row, NULL, err);
}

static int fill_volumes(const Filling *filling, Error *err)
{
        StrList none = { 0 };

        return engine_volumes(filling->store, &none, add_volume, (void *)(uintptr_t)filling, err);
}

/* --- build cache --- */

static const ListColumn cache_columns[] = {
        { "CacheType", "CACHE TYPE" }, { "CreatedSince", "CREATED" },
        { "ID", "CACHE ID" },          { "LastUsedSince", "LAST USED" },
        { "Shared", "SHARED" },        { "Size", "SIZE" },
        { "UsageCount", "USAGE" },     { NULL, NULL },
};

static int fill_cache(const Filling *filling, Error *err)
{
        _cleanup_(cache_items_done) CacheItems items = { 0 };

        if (cache_items_read(filling->store, false, &items, err) < 0)
                return -1;
        for (size_t i = 0; i < items.n_items; i++) {
                const CacheItem *item = &items.items[i];
                JsonValue *row = json_value_new_object();
                _cleanup_free_ char *size = cli_size(item->size), *since = cli_ago(item->created), *used = cli_ago(item->last_used);
                char id[DIGEST_TEXT_SIZE];

                json_value_set_string(row, "CacheType", item->kind);
                json_value_set_string(row, "CreatedSince", since);
                json_value_set_string(row, "Description", item->description);
                json_value_set_string(row, "ID", filling->whole_ids ? digest_hex(&item->key, id) : digest_short(&item->key, id));
                json_value_set_string(row, "InUse", item->in_use ? "true" : "false");
                json_value_set_string(row, "LastUsedSince", used);
                json_value_set_string(row, "Shared", item->shared ? "true" : "false");
                json_value_set_string(row, "Size", size);
                set_number(row, "UsageCount", item->n_used);
                if (list_add(filling->list, row, NULL, err) < 0)
                        return -1;
        }
        return 0;
}

/* --- all of them --- */

static const struct Part {
        const char *field, *title, *table; /* of the JSON object; above the table; columns of it */
        const ListColumn *columns;
        int (*fill)(const Filling *filling, Error *err);
} parts[] = {
        { "Images", "Images space usage:",
          "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}", image_columns, fill_images },
        { "Containers", "Containers space usage:", "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
          container_columns, fill_containers },
        { "Volumes", "Local Volumes space usage:", "{{.Name}}\t{{.Links}}\t{{.Size}}", volume_columns, fill_volumes },
        { "BuildCache", NULL, "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}", cache_columns,
          fill_cache },
};

static int print_tables(Cli *cli, Filling *filling, Error *err)
{
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
                _cleanup_(list_freep) List *list = NULL;
                _cleanup_free_ char *cache = str_from_size_exact(filling->report->cache.size);

                if (parts[i].title)
                        fprintf(cli->out, "%s%s\n\n", i ? "\n" : "", parts[i].title);
                else
                        fprintf(cli->out, "\nBuild cache usage: %s\n\n", cache);
                if (list_new(NULL, parts[i].table, NULL, parts[i].columns, &list, err) < 0)
                        return -1;
                filling->list = list;
                if (parts[i].fill(filling, err) < 0 || list_print(list, cli->out, err) < 0)
                        return -1;
        }
        return 0;
}

int df_print_verbose(Cli *cli, Store *store, const char *format, const DfReport *report, Error *err)
{
        Filling filling = { .store = store, .report = report, .whole_ids = !str_empty(format) && !streq(format, "table") };
        _cleanup_json_ JsonValue *all = json_value_new_object();
        _cleanup_buf_ Buf out = BUF_INIT(256 * MIB);

        if (!filling.whole_ids)
                return print_tables(cli, &filling, err);
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
                JsonValue *rows = json_value_new_array();
                _cleanup_(list_freep) List *list = list_new_collecting(rows);

                json_value_set(all, parts[i].field, rows);
                filling.list = list;
                if (parts[i].fill(&filling, err) < 0)
                        return -1;
        }
        if (format_value(format, all, &out, err) < 0)
                return -1;
        fputs(buf_str(&out), cli->out);
        return 0;
}
