/*
 * Private to http/: libcurl, opened on first use.
 */
#pragma once

#include <curl/curl.h>

#include "base/error.h"

typedef struct CurlApi {
        CURL *(*easy_init)(void);
        void (*easy_cleanup)(CURL *curl);
        CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
        CURLcode (*easy_perform)(CURL *curl);
        CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
        const char *(*easy_strerror)(CURLcode code);
        struct curl_slist *(*slist_append)(struct curl_slist *list, const char *s);
        void (*slist_free_all)(struct curl_slist *list);
} CurlApi;

/* NULL with UNSUPPORTED when the host has no libcurl. Static. Thread-safe. */
const CurlApi *curl_api(Error *err);
