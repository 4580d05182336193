/*
 * How much disk images, containers, volumes and the build cache take, and giving the cache's back.
 */
#pragma once

#include "base/str.h"
#include "store/cache.h"
#include "store/maintain.h"

typedef struct DfPart {
        uint64_t n_total, n_active;
        uint64_t size, reclaimable; /* bytes */
} DfPart;

typedef struct DfReport {
        DfPart images, containers, volumes, cache;
        StoreUsage usage; /* per image */
} DfReport;

void df_report_done(DfReport *report);
int engine_df(Store *store, DfReport *ret, Error *err);

/*
 * Removes build cache: records older than `until` (by last use) and of the wanted `type`/`description`, oldest use first, until the cache takes no more than
 * `keep` bytes. Without `all` records whose layer belongs to an image stay, because they cost nothing. Collects garbage. *ret_size: bytes given back.
 * Filters: until, unused-for, type, description.
 */
int engine_cache_prune(Store *store, bool all, const StrList *filters, uint64_t keep, void (*removed)(void *user, const CacheRecord *record), void *user,
                       uint64_t *ret_size, Error *err);
