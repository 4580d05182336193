/*
 * What a URL held when it was last asked: validator, digest and date, so that a server can say "not modified" instead of sending it again.
 * One small file for each URL in cache/http/, named by the SHA-256 of the URL (docs/formats/http-memory.md). Losing it costs time only.
 */
#pragma once

#include "store/store.h"

/* Longer validators are not remembered. */
#define HTTP_MEMORY_ETAG_MAX ((size_t)1024)

typedef struct HttpMemory {
        char *etag; /* as the server wrote it, with quotes and "W/" */
        Digest digest;
        int64_t mtime_ns; /* Last-Modified; 0: none */
} HttpMemory;

void http_memory_done(HttpMemory *memory);
#define _cleanup_http_memory_ _cleanup_(http_memory_done)

/* 1, or 0 when nothing (or nothing readable) is remembered. */
int http_memory_get(Store *store, const char *url, HttpMemory *ret, Error *err);
/* `shown`: the URL as people may see it. */
int http_memory_put(Store *store, const char *url, const char *shown, const HttpMemory *memory, Error *err);
/* Says that it was of use just now. */
void http_memory_touch(Store *store, const char *url);

/* One of them, as the listings of the cache need it. */
typedef struct HttpMemoryEntry {
        Digest key;  /* SHA-256 of the URL */
        char *shown; /* "" when it was written before this was noted */
        uint64_t size;
        Timestamp last_used;
} HttpMemoryEntry;

int http_memory_list(Store *store, int (*each)(void *user, const HttpMemoryEntry *entry, Error *err), void *user, Error *err);
/* 1, or 0 when it is gone already. */
int http_memory_remove(Store *store, const Digest *key, Error *err);
