/*
 * The build cache as commands see it: filters, pruning, and the limit that is kept after each build.
 */
#pragma once

#include "base/str.h"
#include "engine/config.h"
#include "store/cache_prune.h"

/*
 * buildx's filters: KEY=VALUE (equal; an id also by its beginning), KEY!=VALUE, KEY~=REGEX, and KEY alone for what is true or false.
 * Keys: id, parents, type, description, inuse, mutable, immutable, shared, private, until, unused-for. Values of the same key are alternatives.
 */
typedef struct CacheFilter CacheFilter;

/* Errors: INVALID (unknown key, bad value or expression). */
int cache_filter_new(const StrList *filters, CacheFilter **ret, Error *err);
void cache_filter_free(CacheFilter *filter);
DEFINE_CLEANUP(CacheFilter *, cache_filter_free)
/* Matches a CacheFilter (as `user`): for CachePrune.selected. */
bool cache_filter_match(void *filter, const CacheItem *item);
/* What until= or unused-for= say: items used at that time or later are not meant. 0: nothing. */
Timestamp cache_filter_until(const CacheFilter *filter);

/*
 * Removes build cache and collects garbage. Without `all` what belongs to images stays, because it costs nothing. *ret_size: bytes given back.
 */
int engine_cache_prune(Store *store, bool all, const StrList *filters, const CacheSpace *space, void (*removed)(void *user, const CacheItem *item), void *user,
                       uint64_t *ret_size, Error *err);

/*
 * After a build that did something: removes the cache that was not used for longest until it keeps the limits of the configuration (builder.gc.*). What running
 * builds use stays. Cheap when there is nothing to do. *ret_n (may be NULL): items removed.
 */
int engine_cache_gc(Store *store, const Config *config, size_t *ret_n, Error *err);
