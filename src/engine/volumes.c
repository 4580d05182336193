#include "engine/volumes.h"

#include <ctype.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "crypto/random.h"
#include "engine/filter.h"

static const char *const list_filters[] = { "dangling", "driver", "label", "label!", "name", NULL };
static const char *const prune_filters[] = { "all", "label", "label!", NULL };

static int check_name(const char *name, Error *err)
{
        bool good = isalnum((unsigned char)*name) && name[1];

        for (const char *p = name; *p; p++)
                good &= isalnum((unsigned char)*p) || strchr("_.-", *p);
        if (!good || strlen(name) > 255)
                return error_set(
                        err, ERROR_INVALID,
                        "\"%s\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to "
                        "pass a host directory, use absolute path",
                        name);
        return 0;
}

static char *labels_text(const StrList *labels)
{
        _cleanup_json_ JsonValue *object = json_value_new_object();

        for (size_t i = 0; i < labels->n_items; i++) {
                const char *equals = strchr(labels->items[i], '=');
                _cleanup_free_ char *key = equals ? xstrndup(labels->items[i], (size_t)(equals - labels->items[i])) : xstrdup(labels->items[i]);

                json_value_set_string(object, key, equals ? equals + 1 : "");
        }
        return json_value_text(object, JSON_WRITE_SORTED);
}

int engine_volume_create(Store *store, const char *name, const StrList *labels, char **ret_name, Error *err)
{
        _cleanup_free_ char *text = labels_text(labels), *path = NULL;
        char random[RANDOM_ID_SIZE];
        VolumeRecord record = { .created = clock_now(), .anonymous = false, .labels = text };

        if (!name) {
                name = random_id(random);
                record.anonymous = true;
        }
        if (check_name(name, err) < 0)
                return -1;
        record.name = (char *)name;
        if (volume_make(store, &record, &path, err) < 0)
                return -1;
        *ret_name = xstrdup(name);
        return 0;
}

/* --- which volumes containers use --- */

static void add_mounts(const JsonValue *list, StrList *names)
{
        for (size_t i = 0; i < json_value_size(list); i++) {
                const JsonValue *mount = json_value_at(list, i);
                const char *type = json_value_string(json_value_get(mount, "Type")), *name = json_value_string(json_value_get(mount, "Name"));

                if (!name)
                        name = json_value_string(json_value_get(mount, "Source"));
                if (name && type && streq(type, "volume") && !strlist_has(names, name))
                        strlist_add(names, name);
        }
}

static void add_binds(const JsonValue *list, StrList *names)
{
        for (size_t i = 0; i < json_value_size(list); i++) {
                const char *bind = json_value_string(json_value_at(list, i));
                const char *colon = bind ? strchr(bind, ':') : NULL;

                if (colon && *bind != '/')
                        strlist_addn(names, bind, (size_t)(colon - bind));
        }
}

/* A container's config names its volumes in "Mounts" (resolved) and in HostConfig as the user gave them. */
static int collect_volumes(void *user, const ContainerRecord *record, Error *err)
{
        _cleanup_json_ JsonValue *config = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (!record->config || json_value_parse(record->config, strlen(record->config), NULL, &config, &ignored) < 0)
                return 0;
        add_mounts(json_value_get(config, "Mounts"), user);
        add_mounts(json_value_get(json_value_get(config, "HostConfig"), "Mounts"), user);
        add_binds(json_value_get(json_value_get(config, "HostConfig"), "Binds"), user);
        return 0;
}

static void read_labels(const char *text, StringMap *labels)
{
        _cleanup_json_ JsonValue *object = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        const char *key;
        JsonValue *value;

        if (!text || json_value_parse(text, strlen(text), NULL, &object, &ignored) < 0)
                return;
        for (void *at = NULL; json_value_next(object, &at, &key, &value);)
                string_map_set(labels, key, json_value_string(value) ? json_value_string(value) : "");
}

typedef struct Listing {
        Store *store;
        const StrList *filters;
        const StrList *used;
        int dangling; /* -1: either */
        int (*each)(void *user, const VolumeInfo *volume, Error *err);
        void *user;
} Listing;

static bool name_selected(const StrList *filters, const char *name)
{
        const char *value;
        bool any = false;

        for (size_t at = 0; (value = filters_next(filters, "name", &at));) {
                any = true;
                if (strstr(name, value))
                        return true;
        }
        return !any;
}

static int on_volume(void *data, const VolumeRecord *record, Error *err)
{
        Listing *listing = data;
        _cleanup_(volume_record_done) VolumeRecord found = { 0 };
        _cleanup_string_map_ StringMap labels = { 0 };
        _cleanup_free_ char *path = NULL;
        VolumeInfo info = {
                .name = record->name, .created = record->created, .anonymous = record->anonymous, .used = strlist_has(listing->used, record->name)
        };
        const char *driver;

        if (listing->dangling >= 0 && info.used == (listing->dangling == 1))
                return 0;
        for (size_t at = 0; (driver = filters_next(listing->filters, "driver", &at));)
                if (!streq(driver, "local"))
                        return 0;
        read_labels(record->labels, &labels);
        if (!name_selected(listing->filters, record->name) || !filters_match_labels(listing->filters, &labels))
                return 0;
        if (volume_find(listing->store, record->name, &found, &path, err) < 0)
                return -1;
        info.path = path;
        info.labels = labels;
        return listing->each(listing->user, &info, err);
}

static int list_volumes(Store *store, const StrList *filters, const char *const *allowed, int dangling,
                        int (*each)(void *user, const VolumeInfo *volume, Error *err), void *user, Error *err)
{
        _cleanup_strlist_ StrList used = { 0 };
        Listing listing = { .store = store, .filters = filters, .used = &used, .dangling = dangling, .each = each, .user = user };

        if (filters_check(filters, allowed, err) < 0 || container_record_list(store, collect_volumes, &used, err) < 0)
                return -1;
        return volume_list(store, on_volume, &listing, err);
}

int engine_volumes(Store *store, const StrList *filters, int (*each)(void *user, const VolumeInfo *volume, Error *err), void *user, Error *err)
{
        bool dangling;
        int r = filters_bool(filters, "dangling", &dangling, err);

        return r < 0 ? -1 : list_volumes(store, filters, list_filters, r ? dangling : -1, each, user, err);
}

int engine_volume_inspect(Store *store, const char *name, JsonValue **ret, Error *err)
{
        _cleanup_(volume_record_done) VolumeRecord record = { 0 };
        _cleanup_string_map_ StringMap labels = { 0 };
        _cleanup_free_ char *path = NULL;
        JsonValue *object, *map;
        char when[TIMESTAMP_TEXT_SIZE];

        if (volume_find(store, name, &record, &path, err) < 0)
                return -1;
        read_labels(record.labels, &labels);
        object = json_value_new_object();
        map = labels.n_items ? json_value_new_object() : json_value_new_null();
        for (size_t i = 0; i < labels.n_items; i++)
                json_value_set_string(map, labels.items[i].key, labels.items[i].value);
        json_value_set_string(object, "CreatedAt", timestamp_format(record.created / NSEC_PER_SEC * NSEC_PER_SEC, when));
        json_value_set_string(object, "Driver", "local");
        json_value_set(object, "Labels", map);
        json_value_set_string(object, "Mountpoint", path);
        json_value_set_string(object, "Name", record.name);
        json_value_set(object, "Options", json_value_new_null());
        json_value_set_string(object, "Scope", "local");
        *ret = object;
        return 0;
}

typedef struct UserSearch {
        const char *volume;
        StrList containers;
} UserSearch;

static int find_user(void *data, const ContainerRecord *record, Error *err)
{
        UserSearch *search = data;
        _cleanup_strlist_ StrList names = { 0 };

        if (collect_volumes(&names, record, err) < 0)
                return -1;
        if (strlist_has(&names, search->volume))
                strlist_add(&search->containers, record->id);
        return 0;
}

int engine_volume_remove(Store *store, const char *name, Error *err)
{
        UserSearch search = { .volume = name };
        _cleanup_free_ char *users = NULL;
        int r;

        r = container_record_list(store, find_user, &search, err);
        if (search.containers.n_items)
                users = strlist_join(&search.containers, ", ");
        strlist_done(&search.containers);
        if (r < 0)
                return -1;
        if (users)
                return error_set(err, ERROR_CONFLICT, "remove %s: volume is in use - [%s]", name, users);
        return volume_remove(store, name, err);
}

uint64_t engine_tree_size(const char *path)
{
        char *const roots[] = { (char *)path, NULL };
        FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
        uint64_t size = 0;
        FTSENT *entry;

        while (walk && (entry = fts_read(walk)))
                if (entry->fts_info == FTS_F || entry->fts_info == FTS_SL || entry->fts_info == FTS_DEFAULT)
                        size += entry->fts_statp->st_nlink > 0 ? (uint64_t)entry->fts_statp->st_size / entry->fts_statp->st_nlink : 0;
        if (walk)
                fts_close(walk);
        return size;
}

typedef struct Pruning {
        bool all;
        StrList names;
        uint64_t size;
} Pruning;

static int on_unused(void *user, const VolumeInfo *volume, Error *err)
{
        Pruning *pruning = user;

        if (!pruning->all && !volume->anonymous)
                return 0;
        strlist_add(&pruning->names, volume->name);
        pruning->size += engine_tree_size(volume->path);
        return 0;
}

int engine_volume_prune(Store *store, bool all, const StrList *filters, void (*removed)(void *user, const char *name), void *user, uint64_t *ret_size,
                        Error *err)
{
        Pruning pruning = { .all = all };
        bool filter_all = false;
        int r = filters_bool(filters, "all", &filter_all, err);

        pruning.all |= filter_all;
        if (r >= 0)
                r = list_volumes(store, filters, prune_filters, 1, on_unused, &pruning, err);
        for (size_t i = 0; i < pruning.names.n_items && r >= 0; i++) {
                r = engine_volume_remove(store, pruning.names.items[i], err);
                if (r >= 0 && removed)
                        removed(user, pruning.names.items[i]);
        }
        strlist_done(&pruning.names);
        *ret_size = pruning.size;
        return r;
}
