/*
 * What is named by whom: the question that garbage collection and fsck ask. Not for other rooms.
 */
#pragma once

#include "base/map.h"
#include "store/internal.h"

/* Paths below the root ("layers/<hex>", "blobs/sha256/<hex>", "chains/<hex>") that leases name. Values are not NULL. */
typedef struct HeldNames {
        Map *live, *dead; /* by leases of living, and of dead processes */
        StrList dead_ids; /* the leases of dead processes: directories below tmp/ */
} HeldNames;

int held_names_read(Store *store, const char *own_id, HeldNames *ret, Error *err);
void held_names_done(HeldNames *names);

/* Chains (layers bottom first) of all images and containers: calls `each` for every one. */
int chains_each(Store *store, int (*each)(void *user, const Digest *diff_ids, size_t n, Error *err), void *user, Error *err);

/* Names in a directory below the root that look like a digest; sorted. A directory that is missing has none. */
int names_in(Store *store, const char *directory, StrList *ret, Error *err);

/* What gc and fsck ask about a file in layers/ or blobs/. 1, 0, -1. */
int layer_is_recorded(Store *store, const Digest *diff_id, Error *err);
/* Also for the second name that the tar of a recorded layer has in blobs/. */
int blob_is_recorded(Store *store, const Digest *digest, Error *err);

/* Renames root/<name> into the lease's directory, to be removed with it, and adds what it takes on disk to *size (may be NULL). Missing is fine. */
int trash(Lease *lease, const char *name, uint64_t *size, Error *err);
