/*
 * --cache-to and --cache-from: buildx's comma-separated attributes.
 */
#pragma once

#include "base/error.h"
#include "build/cache_options.h"

/*
 * "type=local,dest=DIR[,tag=NAME][,mode=min|max][,compression=uncompressed|gzip|zstd][,compression-level=N][,force-compression=BOOL][,ignore-error=BOOL]
 * [,cache-mounts=BOOL|ID]". Errors: INVALID, UNSUPPORTED (another type).
 */
int build_cache_to_parse(const char *text, BuildCacheTo *ret, Error *err);
/* "type=local,src=DIR[,tag=NAME][,digest=DIGEST]" */
int build_cache_from_parse(const char *text, BuildCacheFrom *ret, Error *err);

void build_cache_to_done(BuildCacheTo *to);
void build_cache_from_done(BuildCacheFrom *from);
