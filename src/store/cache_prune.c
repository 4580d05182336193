#include "store/cache_prune.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "store/cache_mount.h"
#include "store/http_memory.h"
#include "store/internal.h"
#include "store/maintain.h"

/* --- the plan --- */

bool cache_space_keep(const CacheSpace *space, uint64_t total, uint64_t free_size, uint64_t *ret)
{
        bool limited = space->max_used || (space->reserved && !space->min_free);
        uint64_t keep = space->max_used;

        if (space->min_free > free_size) {
                uint64_t excess = space->min_free - free_size, left = total > excess ? total - excess : 0;

                keep = limited && space->max_used ? MIN(keep, left) : left;
                limited = true;
        }
        if (!limited)
                return false;
        *ret = MAX(keep, space->reserved);
        return true;
}

typedef struct Candidate {
        const CacheItem *item;
        size_t at;
        unsigned depth; /* steps that it stands on */
} Candidate;

/* Bounds the search in a table that somebody has bent into a ring. */
#define DEPTH_MAX 10000

/* What is found on the way is kept: a long chain is walked once. `depths` has the depth of each item plus one, 0: not known yet. */
static unsigned depth_of(const CacheItems *items, const Map *by_key, unsigned *depths, const CacheItem *item)
{
        const CacheItem *at = item;
        unsigned steps = 0, depth;

        while (at && !depths[at - items->items] && at->n_parents && steps < DEPTH_MAX) {
                at = map_getn(by_key, &at->parents[0], sizeof(Digest));
                steps++;
        }
        depth = steps + (at && depths[at - items->items] ? depths[at - items->items] - 1 : 0);
        for (unsigned left = depth; item && item != at; item = map_getn(by_key, &item->parents[0], sizeof(Digest)))
                depths[item - items->items] = 1 + left--;
        return depth;
}

static int oldest_first(const void *a, const void *b)
{
        const Candidate *x = a, *y = b;

        if (x->item->last_used != y->item->last_used)
                return x->item->last_used < y->item->last_used ? -1 : 1;
        if (x->depth != y->depth)
                return x->depth > y->depth ? -1 : 1;
        if (x->item->created != y->item->created)
                return x->item->created < y->item->created ? -1 : 1;
        return digest_compare(&x->item->key, &y->item->key);
}

static bool may_go(const CachePrune *prune, const CacheItem *item)
{
        if (item->in_use || (item->shared && !prune->all))
                return false;
        if (prune->until && item->last_used >= prune->until)
                return false;
        return !prune->selected || prune->selected(prune->user, item);
}

/* How many items have the same layer: only with the last one does it go. */
static size_t *count_layers(const CacheItems *items, Map *counts)
{
        size_t *n = NEW_ARRAY(size_t, items->n_items + 1);

        for (size_t i = 0; i < items->n_items; i++) {
                size_t *one = map_getn(counts, &items->items[i].diff_id, sizeof(Digest));

                if (!one) {
                        one = &n[i];
                        map_setn(counts, &items->items[i].diff_id, sizeof(Digest), one);
                }
                ++*one;
        }
        return n;
}

static uint64_t freed_by(const CacheItem *item, const Map *counts)
{
        size_t *n;

        if (!digest_is_set(&item->diff_id))
                return item->size;
        n = map_getn(counts, &item->diff_id, sizeof(Digest));
        return --*n == 0 && !item->shared ? item->size : 0;
}

size_t cache_prune_plan(const CacheItems *items, const CachePrune *prune, uint64_t free_size, size_t *victims, uint64_t *ret_size)
{
        _cleanup_(map_freep) Map *by_key = map_new(NULL);
        _cleanup_(map_freep) Map *counts = map_new(NULL);
        _cleanup_free_ _unused_ size_t *n_layers = count_layers(items, counts);
        _cleanup_free_ Candidate *candidates = NEW_ARRAY(Candidate, items->n_items + 1);
        _cleanup_free_ unsigned *depths = NEW_ARRAY(unsigned, items->n_items + 1);
        CacheTotals totals = cache_items_totals(items);
        uint64_t own = totals.total - totals.shared, keep = 0, size = 0;
        bool limited = cache_space_keep(&prune->space, own, free_size, &keep);
        size_t n = 0, n_victims = 0;

        if (ret_size)
                *ret_size = 0;
        if (!limited && (prune->space.max_used || prune->space.reserved || prune->space.min_free))
                return 0;
        for (size_t i = 0; i < items->n_items; i++)
                map_setn(by_key, &items->items[i].key, sizeof(Digest), &items->items[i]);
        for (size_t i = 0; i < items->n_items; i++)
                if (may_go(prune, &items->items[i]))
                        candidates[n++] = (Candidate){ &items->items[i], i, depth_of(items, by_key, depths, &items->items[i]) };
        qsort(candidates, n, sizeof(*candidates), oldest_first);
        for (size_t i = 0; i < n && !(limited && own - size <= keep); i++) {
                size += freed_by(candidates[i].item, counts);
                victims[n_victims++] = candidates[i].at;
        }
        if (ret_size)
                *ret_size = size;
        return n_victims;
}

/* --- doing it --- */

static int remove_memories(Store *store, const CacheItems *items, const size_t *victims, size_t n, uint64_t *size, Error *err)
{
        for (size_t i = 0; i < n; i++) {
                const CacheItem *item = &items->items[victims[i]];
                int r = item->is_memory ? http_memory_remove(store, &item->key, err) : 0;

                if (r < 0)
                        return -1;
                *size += r > 0 ? item->size : 0;
        }
        return 0;
}

static int remove_mounts(Store *store, const CacheItems *items, size_t *victims, size_t n, uint64_t *size, Error *err)
{
        _cleanup_(lease_freep) Lease *lease = NULL;

        for (size_t i = 0; i < n; i++) {
                const CacheItem *item = &items->items[victims[i]];
                int r;

                if (!cache_item_is_mount(item))
                        continue;
                if (!lease && lease_new(store, "prune", &lease, err) < 0)
                        return -1;
                r = cache_mount_remove(lease, &item->key, err);
                if (r < 0)
                        return -1;
                if (r > 0)
                        *size += item->size;
                else
                        victims[i] = SIZE_MAX; /* somebody has begun to use it */
        }
        return 0;
}

static int remove_records(Store *store, const CacheItems *items, const size_t *victims, size_t n, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;

        if (db_begin(store->db, DB_DURABLE, &tx, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++) {
                const CacheItem *item = victims[i] == SIZE_MAX ? NULL : &items->items[victims[i]];

                if (item && !cache_item_is_mount(item) && !item->is_memory &&
                    db_exec(store->db, "DELETE FROM cache WHERE key = ?1 OR source_key = ?1", DB_ARGS(DB_DIGEST(&item->key)), err) < 0)
                        return -1;
        }
        return db_commit(&tx, err);
}

static int remove_all(Store *store, const CacheItems *items, size_t *victims, size_t n, bool collect, uint64_t *size, Error *err)
{
        GcResult collected = { 0 };

        if (n && (remove_records(store, items, victims, n, err) < 0 || remove_memories(store, items, victims, n, size, err) < 0 ||
                  remove_mounts(store, items, victims, n, size, err) < 0))
                return -1;
        if (!n && !collect)
                return 0;
        if (store_gc(store, false, &collected, err) < 0)
                return -1;
        *size += collected.size;
        return 0;
}

int cache_prune(Store *store, const CachePrune *prune, bool collect, void (*removed)(void *user, const CacheItem *item), void *user, uint64_t *ret_size,
                Error *err)
{
        _cleanup_(cache_items_done) CacheItems items = { 0 };
        _cleanup_free_ size_t *victims = NULL;
        struct statvfs fs;
        uint64_t size = 0;
        size_t n;

        if (cache_items_read(store, false, &items, err) < 0)
                return -1;
        if (fstatvfs(store->root_fd, &fs) < 0)
                return error_errno(err, errno, "cannot see how much is free in '%s'", store->root);
        victims = NEW_ARRAY(size_t, items.n_items + 1);
        n = cache_prune_plan(&items, prune, (uint64_t)fs.f_bavail * fs.f_frsize, victims, NULL);
        if (remove_all(store, &items, victims, n, collect, &size, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++)
                if (removed && victims[i] != SIZE_MAX)
                        removed(user, &items.items[victims[i]]);
        if (ret_size)
                *ret_size = size;
        return 0;
}
