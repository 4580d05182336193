#include "engine/df.h"

#include <string.h>

#include "base/mem.h"
#include "engine/volumes.h"
#include "store/cache_items.h"
#include "store/container.h"
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

/* docker counts what the cache has to itself: layers of images are theirs. */
static int cache_usage(Store *store, DfPart *part, Error *err)
{
        _cleanup_(cache_items_done) CacheItems items = { 0 };
        CacheTotals totals;

        if (cache_items_read(store, true, &items, err) < 0)
                return -1;
        totals = cache_items_totals(&items);
        part->n_total = items.n_items;
        for (size_t i = 0; i < items.n_items; i++)
                part->n_active += items.items[i].in_use;
        part->size = totals.total - totals.shared;
        part->reclaimable = totals.reclaimable;
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
        if (cache_usage(store, &ret->cache, err) < 0)
                return -1;
        if (container_record_list(store, add_container, &containers, err) < 0)
                return -1;
        return engine_volumes(store, &none, add_volume, &ret->volumes, err);
}
