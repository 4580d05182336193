/*
 * Removing build cache: which items go (a plan over what cache_items_read() gave), and doing it.
 *
 * The order is that of last use, the oldest first; of steps used at the same time, one goes before those it stands on. What a running build holds is never
 * removed, nor a mount that somebody has locked.
 */
#pragma once

#include "store/cache_items.h"

/* Bytes; 0: not asked for. BuildKit's words and arithmetic. */
typedef struct CacheSpace {
        uint64_t max_used; /* the cache takes at most this … */
        uint64_t reserved; /* … but always may take this much … */
        uint64_t min_free; /* … and leaves this much of the file system free */
} CacheSpace;

/*
 * How many bytes of cache may stay when it takes `total` and the file system has `free_size` left. False when nothing limits it: *ret is then not set.
 */
bool cache_space_keep(const CacheSpace *space, uint64_t total, uint64_t free_size, uint64_t *ret);

typedef struct CachePrune {
        bool all;                                            /* also items whose layer belongs to an image: they give nothing back */
        Timestamp until;                                     /* what was used at this time or later stays; 0: no limit */
        CacheSpace space;                                    /* nothing set: everything that the rest allows goes */
        bool (*selected)(void *user, const CacheItem *item); /* further conditions; may be NULL */
        void *user;
} CachePrune;

/*
 * The plan: fills `victims` (room for n_items) with the numbers of the items to remove, in order. Returns how many. Pure. `items` as cache_items_read() orders
 * them. *ret_size (may be NULL): bytes that go with them.
 */
size_t cache_prune_plan(const CacheItems *items, const CachePrune *prune, uint64_t free_size, size_t *victims, uint64_t *ret_size);

/*
 * Plans and removes, and collects garbage when something was removed or `collect` is set. `removed` (may be NULL) is told of each item. *ret_size (may be
 * NULL): bytes given back, with whatever else was garbage.
 */
int cache_prune(Store *store, const CachePrune *prune, bool collect, void (*removed)(void *user, const CacheItem *item), void *user, uint64_t *ret_size,
                Error *err);
