/*
 * Directories of RUN --mount=type=cache: <root>/cache/mounts/<hash>, <hash> being the sha256 of the id, and beside it <hash>.id, which holds the id.
 *
 * Who uses one holds a flock on the directory: shared, or exclusive where the mount's `sharing` asks for it. Who removes or replaces one holds it exclusively
 * and takes the name away; who opened it before and gets the lock afterwards sees that and opens the new one.
 *
 * A row in the table of cache records (key: the hash, kind: CACHE_KIND_MOUNT) says when a build last used it and how large it was; it may be missing.
 */
#pragma once

#include "store/store.h"

#define CACHE_MOUNT_ID_MAX 4096 /* bytes of an id: ids are mostly paths */

/* The id of the n-th private directory (sharing=private) of an id. New string. */
char *cache_mount_private_id(const char *id, unsigned n);

/*
 * Opens the directory of an id, made with mode/uid/gid when new, and locks it as `exclusive` or shared asks. Returns its descriptor; the lock is held while
 * that is open. *ret_path (may be NULL) is the absolute path. Does not wait. Errors: CONFLICT (somebody else has it locked in a way that excludes this), LIMIT
 * (id too long).
 */
int cache_mount_try_open(Store *store, const char *id, bool exclusive, uint32_t mode, uint32_t uid, uint32_t gid, char **ret_path, Error *err);
/* One that is there already: -1 with NOT_FOUND when it is not, CONFLICT when it is in use. */
int cache_mount_try_open_existing(Store *store, const char *id, bool exclusive, char **ret_path, Error *err);

/* Notes under the lease that a build uses the mount; `description` is what listings show. Written with the lease's other rows. */
int cache_mount_note(Lease *lease, const char *id, const char *description, Error *err);

typedef struct CacheMount {
        Digest key;
        char *id;
        char *description;
        bool in_use;   /* somebody has it locked */
        uint64_t size; /* bytes on disk; what a row says unless it was measured */
        bool measured; /* `size` is from now, or the mount was not used since it was measured */
        Timestamp created, last_used;
        uint64_t n_used;
} CacheMount;

void cache_mount_done(CacheMount *mount);

/* Calls `each` for every mount, in the order of their hashes. `measure`: walks through every one for its size, else only through those used since. */
int cache_mount_list(Store *store, bool measure, int (*each)(void *user, const CacheMount *mount, Error *err), void *user, Error *err);

/*
 * Removes a mount: the row at once, the directory into the lease's own, so that it goes with the lease. Returns 1, or 0 when it is in use or gone.
 */
int cache_mount_remove(Lease *lease, const Digest *key, Error *err);

/*
 * Puts the tree at `path` (below the lease's directory, complete) in the place of the mount's directory when that is missing or empty and nobody has it open.
 * Returns 1, or 0 when the mount has content already or is in use.
 */
int cache_mount_replace(Lease *lease, const char *id, const char *path, Error *err);
/* True when the mount has files in it, or somebody uses it: nothing is to be put there. */
bool cache_mount_has_content(Store *store, const char *id);
