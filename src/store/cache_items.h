/*
 * What the build cache holds, as people see it: one item for each step's result, each directory of RUN --mount=type=cache, and each URL that is remembered.
 *
 * A record that only leads to another one by a second key (source_key) is no item of its own while that one is there.
 */
#pragma once

#include "base/map.h"
#include "store/cache.h"

typedef struct CacheItem {
        Digest key;     /* its id */
        Digest diff_id; /* the layer; unset for a mount */
        char *kind;     /* "regular", "source.local", "exec.cachemount" */
        char *description;
        char *mount_id; /* of a mount, else NULL */
        bool is_memory; /* what a URL held when it was last asked (http_memory.h): no record and no layer */
        Digest *parents;
        size_t n_parents;
        uint64_t size; /* bytes on disk */
        Timestamp created, last_used;
        uint64_t n_used;
        bool in_use; /* a running build, or another command, has it */
        bool shared; /* its layer belongs to an image or a container too, so that removing the item gives nothing back */
} CacheItem;

typedef struct CacheItems {
        CacheItem *items; /* by last use, the latest first */
        size_t n_items, capacity;
} CacheItems;

static inline bool cache_item_is_mount(const CacheItem *item)
{
        return item->mount_id != NULL;
}

/* Reads all items. `measure`: mounts are walked through for their size; otherwise only those that were used since they were measured. */
int cache_items_read(Store *store, bool measure, CacheItems *ret, Error *err);
void cache_items_done(CacheItems *items);

typedef struct CacheTotals {
        uint64_t total;       /* every layer once, and the mounts */
        uint64_t shared;      /* of that, layers of images and containers */
        uint64_t reclaimable; /* of that, neither shared nor in use */
} CacheTotals;

CacheTotals cache_items_totals(const CacheItems *items);

/*
 * An upper bound of what the cache takes, from two sums and without looking at any item: every layer of the store, and the mounts as they were last measured.
 * Remembered URLs, some 4 KiB each, are left out.
 * 1, or 0 when a mount was used since, so that nothing is known; -1.
 */
int cache_size_bound(Store *store, uint64_t *ret, Error *err);

/* The first item of the same layer counts for its size; true for it. `seen` is an empty map before the first call. */
bool cache_item_counts(const CacheItem *item, Map *seen);
