/*
 * The config of an exported build cache (docs/formats/build-cache.md): which steps are in it, by key, and which layer each one made; and the cache mounts.
 * Its members `layers` and `records` are those of BuildKit's cache config (solver/remotecache/v1 CacheConfig); what BuildKit has no word for is beside them.
 *
 * Text in, struct out: no I/O. What is read is checked to be consistent: numbers in range, no layer or record twice.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "codec/codec.h"
#include "crypto/digest.h"
#include "json/dispatch.h"

#define CACHE_CONFIG_MEDIA_TYPE "application/vnd.mica.buildcache.config.v1+json"
/* Steps and layers in one cache: a build of some thousand steps is the largest seen. 16 MiB hold 40,000. */
#define CACHE_RECORDS_MAX 50000
#define CACHE_DOCUMENT_MAX ((size_t)16 << 20)

typedef struct CacheLayer {
        Digest blob;
        int64_t parent; /* the layer below, -1: none, or one of a base image */
        struct {
                char *media_type;
                Digest diff_id;
                int64_t size; /* bytes of the blob */
                char *created;
                int64_t level; /* of the compression that was asked for; -1: its default */
        } annotations;
} CacheLayer;

typedef struct CacheResult {
        int64_t layer;
        char *created;
} CacheResult;

typedef struct CacheLinks {
        int64_t *items;
        size_t n_items, capacity;
} CacheLinks;

typedef struct CacheStep {
        Digest key;
        JSON_ITEMS(CacheResult) results; /* exactly one */
        CacheLinks inputs;               /* records that it stands on */
        char *description, *kind;
        Digest source; /* the record is a second key of that one; or unset */
} CacheStep;

typedef struct CacheMountEntry {
        char *id;
        int64_t layer;
        int64_t mode, uid, gid; /* of the directory itself */
        Digest stamp;           /* over names, inodes, sizes and times on the machine that wrote it: whether to write it anew */
} CacheMountEntry;

typedef struct CacheDocument {
        int64_t version; /* 1 */
        JSON_ITEMS(CacheLayer) layers;
        JSON_ITEMS(CacheStep) records;
        JSON_ITEMS(CacheMountEntry) mounts;
} CacheDocument;

/* Errors: INVALID, LIMIT, UNSUPPORTED (a newer version). */
int cache_document_parse(const void *text, size_t size, CacheDocument *ret, Error *err);
int cache_document_text(const CacheDocument *document, Buf *out, Error *err);
void cache_document_done(CacheDocument *document);

void cache_links_add(CacheLinks *links, int64_t record);

/* The layer's codec by its media type; -1 when that is no layer. */
int cache_layer_codec(const CacheLayer *layer, Codec *ret);
