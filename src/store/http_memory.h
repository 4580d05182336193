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
int http_memory_put(Store *store, const char *url, const HttpMemory *memory, Error *err);
