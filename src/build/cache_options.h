/*
 * --cache-to and --cache-from as BuildOptions carry them.
 */
#pragma once

#include "base/str.h"
#include "codec/codec.h"
#include "crypto/digest.h"

typedef struct BuildCacheTo {
        char *dest; /* directory */
        char *tag;  /* "latest" */
        bool max;   /* every step, not only those whose layers are in the result */
        Codec codec;
        int level; /* -1: the codec's default */
        bool force_compression;
        bool ignore_error;
        bool mounts;       /* also the cache mounts that the steps use … */
        StrList mount_ids; /* … or these only */
} BuildCacheTo;

typedef struct BuildCacheFrom {
        char *src;
        char *tag;     /* "latest" */
        Digest digest; /* of a manifest; has precedence */
} BuildCacheFrom;
