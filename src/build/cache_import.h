/*
 * Reading exported caches (--cache-from type=local): which steps they know, asked when the store does not, and layers and cache mounts taken as they are
 * needed.
 *
 * A cache that is not there or not sound is no failure of the build: it is told, and the steps run. What is taken is verified: blob, size and diffID of a
 * layer; a mount's tar never leaves its directory.
 *
 * Threads: every function may be called from any thread.
 */
#pragma once

#include "build/engine.h"

typedef struct CacheImports CacheImports;

void cache_imports_free(CacheImports *imports); /* NULL is fine */

/* The layer of a key, from the first cache that has it; held by the build's lease. 1, 0 when none has it, -1. */
int cache_imports_find(Build *build, const Digest *key, Layer *ret, Error *err);

/*
 * While a build only asks what is known (the probe), the layers of the answers are taken beside it, several at once: cache_imports_find() looks no further than
 * at the size of a blob. No layer that it named may be read before cache_imports_settle(), which waits for all of them; from then on, layers are taken at once.
 * Settling returns 0; 1 when a layer turned out to be unusable, so that what was answered with it is wrong (the next question about it is answered otherwise);
 * or -1 for a failure that is not the cache's.
 */
void cache_imports_defer(Build *build);
int cache_imports_settle(Build *build, Error *err);

/* Fills the directory of a cache mount from the first cache that has one, when it is missing or empty and nobody uses it. */
int cache_imports_fill_mount(Build *build, const char *id, Error *err);
