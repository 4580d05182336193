/*
 * A directory that holds exported build caches: an OCI image layout (docs/formats/build-cache.md). Whatever is in it may have been put there by anybody: files
 * are opened below the directory only and never through a symbolic link, sizes are bounded, and what is read whole is verified against its digest.
 */
#pragma once

#include "base/map.h"
#include "build/cache_document.h"
#include "oci/manifest.h"

typedef struct CacheDir {
        char *path; /* for messages */
        int fd;     /* of the directory; -1: not open */
        Index index;
} CacheDir;

/* Reads index.json. NOT_FOUND when the directory or the file is not there; INVALID when it is no OCI layout. */
int cache_dir_open(const char *path, CacheDir *ret, Error *err);
void cache_dir_done(CacheDir *dir);

/* The manifest with this digest, or else (when `digest` is unset) this tag. NOT_FOUND says what there is. Borrowed; NULL on error. */
const Descriptor *cache_dir_find(const CacheDir *dir, const char *tag, const Digest *digest, Error *err);

/* Reads the cache that a manifest describes. Errors: INVALID (not a cache of mica's), CORRUPT, LIMIT, NOT_FOUND. */
int cache_dir_read(const CacheDir *dir, const Descriptor *manifest, CacheDocument *ret, Error *err);

/* A blob for streaming; its size must be `size`. Returns the descriptor, or -1. */
int cache_dir_open_blob(const CacheDir *dir, const Digest *digest, int64_t size, Error *err);

/*
 * Adds the paths ("blobs/sha256/<hex>") of everything that the index leads to. 1 when that is all; 0 when some manifest could not be read, so that there may be
 * more. Never fails.
 */
int cache_dir_reachable(const CacheDir *dir, Map *paths);
