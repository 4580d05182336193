#include "engine/df.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "engine/filter.h"
#include "engine/volumes.h"
#include "store/container.h"
#include "store/image.h"
#include "json/json.h"

void df_report_done(DfReport *report)
{
        store_usage_done(&report->usage);
}

/* --- containers and volumes --- */

typedef struct ContainerUsage {
        Store *store;
        DfPart *part;
} ContainerUsage;

static int add_container(void *user, const ContainerRecord *record, Error *err)
{
        const ContainerUsage *usage = user;
        _cleanup_free_ char *upper = xasprintf("%s/containers/%s/upper", store_root(usage->store), record->id);
        _cleanup_json_ JsonValue *state = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        uint64_t size = engine_tree_size(upper);
        const char *status;

        if (record->state)
                json_value_parse(record->state, strlen(record->state), NULL, &state, &ignored);
        status = json_value_string(json_value_get(state, "Status"));
        usage->part->n_total++;
        usage->part->size += size;
        if (status && (streq(status, "running") || streq(status, "paused")))
                usage->part->n_active++;
        else
                usage->part->reclaimable += size;
        return 0;
}

static int add_volume(void *user, const VolumeInfo *volume, Error *err)
{
        DfPart *part = user;
        uint64_t size = engine_tree_size(volume->path);

        part->n_total++;
        part->size += size;
        if (volume->used)
                part->n_active++;
        else
                part->reclaimable += size;
        return 0;
}

int engine_df(Store *store, DfReport *ret, Error *err)
{
        ContainerUsage containers = { store, &ret->containers };
        StrList none = { 0 };

        if (store_usage(store, &ret->usage, err) < 0)
                return -1;
        ret->images.n_total = ret->usage.n_images;
        for (size_t i = 0; i < ret->usage.n_images; i++)
                ret->images.n_active += ret->usage.images[i].n_containers > 0;
        ret->images.size = ret->usage.layers_size;
        ret->images.reclaimable = MIN(ret->usage.images_reclaimable, ret->usage.layers_size);
        ret->cache.n_total = ret->usage.n_cache;
        ret->cache.size = ret->usage.cache_size;
        ret->cache.reclaimable = MIN(ret->usage.cache_reclaimable, ret->usage.cache_size);
        if (container_record_list(store, add_container, &containers, err) < 0)
                return -1;
        return engine_volumes(store, &none, add_volume, &ret->volumes, err);
}

/* --- pruning the build cache --- */

typedef struct CacheList {
        CacheRecord *records;
        size_t n, capacity;
} CacheList;

static int collect_record(void *user, const CacheRecord *record, Error *err)
{
        CacheList *list = user;
        CacheRecord *copy;

        GROW(list->records, list->capacity, list->n + 1);
        copy = &list->records[list->n++];
        *copy = *record;
        copy->description = xstrdup_or_null(record->description);
        copy->kind = xstrdup_or_null(record->kind);
        return 0;
}

static void cache_list_done(CacheList *list)
{
        for (size_t i = 0; i < list->n; i++)
                cache_record_done(&list->records[i]);
        free(list->records);
}

static int older_first(const void *a, const void *b)
{
        const CacheRecord *x = a, *y = b;

        return (x->last_used > y->last_used) - (x->last_used < y->last_used);
}

/* The layers that images have, by digest. */
static int image_layers(Store *store, Map *layers, Error *err)
{
        Image **images;
        size_t n;

        if (image_list(store, &images, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < images[i]->n_diff_ids; k++)
                        map_setn(layers, &images[i]->diff_ids[k], sizeof(Digest), layers);
        image_list_free(images, n);
        return 0;
}

static bool text_selected(const StrList *filters, const char *key, const char *text, bool part)
{
        const char *value;
        bool any = false;

        for (size_t at = 0; (value = filters_next(filters, key, &at));) {
                any = true;
                if (text && (part ? strstr(text, value) != NULL : streq(text, value)))
                        return true;
        }
        return !any;
}

typedef struct CachePruning {
        Store *store;
        bool all;
        const StrList *filters;
        Timestamp until;
        uint64_t keep;
        Map *image_layers;
        void (*removed)(void *user, const CacheRecord *record);
        void *user;
} CachePruning;

static int prune_records(const CachePruning *pruning, CacheList *list, Error *err)
{
        uint64_t left = 0;

        for (size_t i = 0; i < list->n; i++)
                left += list->records[i].size;
        for (size_t i = 0; i < list->n; i++) {
                const CacheRecord *record = &list->records[i];

                if (pruning->keep && left <= pruning->keep)
                        return 0;
                if (pruning->until && record->last_used >= pruning->until)
                        continue;
                if (!text_selected(pruning->filters, "type", record->kind, false) || !text_selected(pruning->filters, "description", record->description, true))
                        continue;
                if (!pruning->all && (!digest_is_set(&record->diff_id) || map_getn(pruning->image_layers, &record->diff_id, sizeof(Digest))))
                        continue;
                if (cache_remove(pruning->store, &record->key, err) < 0)
                        return -1;
                left -= record->size;
                if (pruning->removed)
                        pruning->removed(pruning->user, record);
        }
        return 0;
}

static const char *const cache_filters[] = { "description", "type", "unused-for", "until", NULL };

/* until= or its older name. */
static int parse_until(const StrList *filters, Timestamp *ret, Error *err)
{
        size_t at = 0;
        const char *value = filters_next(filters, "unused-for", &at);

        if (value && timestamp_parse_any(value, clock_now(), ret) < 0)
                return error_set(err, ERROR_INVALID, "invalid filter 'unused-for=%s'", value);
        return filters_until(filters, ret, err) < 0 ? -1 : 0;
}

int engine_cache_prune(Store *store, bool all, const StrList *filters, uint64_t keep, void (*removed)(void *user, const CacheRecord *record), void *user,
                       uint64_t *ret_size, Error *err)
{
        CachePruning pruning = { .store = store, .all = all, .filters = filters, .keep = keep, .removed = removed, .user = user };
        _cleanup_(map_freep) Map *layers = map_new(NULL);
        CacheList list = { 0 };
        GcResult collected = { 0 };
        int r;

        pruning.image_layers = layers;
        if (filters_check(filters, cache_filters, err) < 0 || parse_until(filters, &pruning.until, err) < 0 || image_layers(store, layers, err) < 0)
                return -1;
        r = cache_list(store, collect_record, &list, err);
        if (r >= 0) {
                if (list.n)
                        qsort(list.records, list.n, sizeof(*list.records), older_first);
                r = prune_records(&pruning, &list, err);
        }
        cache_list_done(&list);
        if (r < 0 || store_gc(store, false, &collected, err) < 0)
                return -1;
        *ret_size = collected.size;
        return 0;
}
