#include "store/cache_items.h"

#include <stdlib.h>

#include "store/cache_mount.h"
#include "store/http_memory.h"
#include "store/internal.h"
#include "store/reach.h"

/* A digest in the `parents` column: as in other columns, one byte of algorithm and the bytes. All keys are sha256. */
#define PARENT_SIZE 33

static void item_done(CacheItem *item)
{
        free(item->kind);
        free(item->description);
        free(item->mount_id);
        free(item->parents);
}

void cache_items_done(CacheItems *items)
{
        for (size_t i = 0; i < items->n_items; i++)
                item_done(&items->items[i]);
        free(items->items);
        *items = (CacheItems){ 0 };
}

static CacheItem *add_item(CacheItems *items)
{
        GROW(items->items, items->capacity, items->n_items + 1);
        items->items[items->n_items] = (CacheItem){ 0 };
        return &items->items[items->n_items++];
}

static void read_parents(DbStmt *stmt, int column, CacheItem *item)
{
        size_t size;
        const uint8_t *data = db_column_blob(stmt, column, &size);

        if (!data || size % PARENT_SIZE)
                return;
        item->n_parents = size / PARENT_SIZE;
        item->parents = NEW_ARRAY(Digest, item->n_parents + 1);
        for (size_t i = 0; i < item->n_parents; i++) {
                item->parents[i].algorithm = DIGEST_SHA256;
                memcpy(item->parents[i].bytes, data + i * PARENT_SIZE + 1, PARENT_SIZE - 1);
        }
}

/* A record that leads to another one stands for that. */
static int read_aliases(Store *store, Map *aliases, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, "SELECT key, source_key FROM cache WHERE source_key IS NOT NULL", DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                Digest key = db_column_digest(stmt, 0), source = db_column_digest(stmt, 1);

                map_setn(aliases, &key, sizeof(key), xmemdup(&source, sizeof(source)));
        }
        return r;
}

static int resolve_parents(Store *store, CacheItems *items, Error *err)
{
        _cleanup_(map_freep) Map *aliases = map_new(free);

        if (read_aliases(store, aliases, err) < 0)
                return -1;
        for (size_t i = 0; i < items->n_items; i++)
                for (size_t k = 0; k < items->items[i].n_parents; k++) {
                        Digest *parent = &items->items[i].parents[k], *source = map_getn(aliases, parent, sizeof(*parent));

                        if (source)
                                *parent = *source;
                }
        return 0;
}

static int read_records(Store *store, const Map *held, CacheItems *items, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db,
                     "SELECT c.key, c.diff_id, c.kind, c.description, coalesce(l.disk_size, c.size), c.created, c.last_used, c.n_used, c.parents,"
                     " EXISTS (SELECT 1 FROM image_layer i WHERE i.diff_id = c.diff_id) OR EXISTS (SELECT 1 FROM container_layer k WHERE k.diff_id = c.diff_id)"
                     " FROM cache c LEFT JOIN layer l ON l.diff_id = c.diff_id"
                     " WHERE c.kind != '" CACHE_KIND_MOUNT "' AND (c.source_key IS NULL OR c.source_key NOT IN (SELECT key FROM cache))",
                     DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                CacheItem *item = add_item(items);
                char path[STORE_NAME_SIZE];

                item->key = db_column_digest(stmt, 0);
                item->diff_id = db_column_digest(stmt, 1);
                item->kind = xstrdup(db_column_text(stmt, 2));
                item->description = xstrdup(db_column_text(stmt, 3));
                item->size = (uint64_t)db_column_int(stmt, 4);
                item->created = db_column_int(stmt, 5);
                item->last_used = db_column_int(stmt, 6);
                item->n_used = (uint64_t)db_column_int(stmt, 7);
                read_parents(stmt, 8, item);
                item->shared = db_column_int(stmt, 9) != 0;
                item->in_use = digest_is_set(&item->diff_id) && map_has(held, layer_name(&item->diff_id, NULL, path));
        }
        return r;
}

static int add_mount(void *user, const CacheMount *mount, Error *err)
{
        CacheItem *item = add_item(user);

        item->key = mount->key;
        item->kind = xstrdup(CACHE_KIND_MOUNT);
        item->description = xstrdup(mount->description);
        item->mount_id = xstrdup(mount->id);
        item->size = mount->size;
        item->created = mount->created;
        item->last_used = mount->last_used;
        item->n_used = mount->n_used;
        item->in_use = mount->in_use;
        return 0;
}

static int add_memory(void *user, const HttpMemoryEntry *entry, Error *err)
{
        CacheItem *item = add_item(user);

        item->key = entry->key;
        item->kind = xstrdup("source.http");
        item->description = *entry->shown ? xasprintf("remembered answer of %s", entry->shown) : xstrdup("remembered answer of a URL");
        item->is_memory = true;
        item->size = entry->size;
        item->created = item->last_used = entry->last_used;
        item->n_used = 1;
        return 0;
}

static int latest_first(const void *a, const void *b)
{
        const CacheItem *x = a, *y = b;

        if (x->last_used != y->last_used)
                return x->last_used < y->last_used ? 1 : -1;
        if (x->created != y->created)
                return x->created < y->created ? 1 : -1;
        return digest_compare(&x->key, &y->key);
}

int cache_items_read(Store *store, bool measure, CacheItems *ret, Error *err)
{
        CacheItems items = { 0 };
        HeldNames held = { 0 };
        int r = held_names_read(store, NULL, &held, err);

        if (r == 0)
                r = read_records(store, held.live, &items, err);
        if (r == 0)
                r = resolve_parents(store, &items, err);
        if (r == 0)
                r = cache_mount_list(store, measure, add_mount, &items, err);
        if (r == 0)
                r = http_memory_list(store, add_memory, &items, err);
        held_names_done(&held);
        if (r < 0) {
                cache_items_done(&items);
                return -1;
        }
        if (items.n_items)
                qsort(items.items, items.n_items, sizeof(*items.items), latest_first);
        *ret = items;
        return 0;
}

bool cache_item_counts(const CacheItem *item, Map *seen)
{
        if (!digest_is_set(&item->diff_id))
                return true;
        if (map_getn(seen, &item->diff_id, sizeof(item->diff_id)))
                return false;
        map_setn(seen, &item->diff_id, sizeof(item->diff_id), seen);
        return true;
}

CacheTotals cache_items_totals(const CacheItems *items)
{
        _cleanup_(map_freep) Map *seen = map_new(NULL);
        CacheTotals totals = { 0 };

        for (size_t i = 0; i < items->n_items; i++) {
                const CacheItem *item = &items->items[i];

                if (!cache_item_counts(item, seen))
                        continue;
                totals.total += item->size;
                if (item->shared)
                        totals.shared += item->size;
                else if (!item->in_use)
                        totals.reclaimable += item->size;
        }
        return totals;
}

int cache_size_bound(Store *store, uint64_t *ret, Error *err)
{
        int64_t layers = 0, mounts = 0, unknown = 0;

        if (db_query_int(store->db, "SELECT coalesce(sum(disk_size), 0) FROM layer", DB_NO_ARGS, &layers, err) < 0 ||
            db_query_int(store->db, "SELECT coalesce(sum(size), 0) FROM cache WHERE kind = '" CACHE_KIND_MOUNT "'", DB_NO_ARGS, &mounts, err) < 0 ||
            db_query_int(store->db, "SELECT count(*) FROM cache WHERE kind = '" CACHE_KIND_MOUNT "' AND size < 0", DB_NO_ARGS, &unknown, err) < 0)
                return -1;
        *ret = (uint64_t)layers + (uint64_t)MAX(mounts, (int64_t)0);
        return unknown == 0;
}
