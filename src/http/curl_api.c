/*
 * libcurl is not linked: with the thirty libraries behind it (GSSAPI, LDAP, SSH, ...) the dynamic loader would take 2.7 ms more at each start of the
 * program, measured on the reference machine with an otherwise empty one, and most commands never open a connection. A build without changes has
 * 10 ms in all.
 */
#include "http/curl_api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

static CurlApi api;
static bool available;

static void load(void)
{
        static const struct {
                const char *name;
                size_t offset;
        } functions[] = {
                { "curl_easy_init", offsetof(CurlApi, easy_init) },       { "curl_easy_cleanup", offsetof(CurlApi, easy_cleanup) },
                { "curl_easy_setopt", offsetof(CurlApi, easy_setopt) },   { "curl_easy_perform", offsetof(CurlApi, easy_perform) },
                { "curl_easy_getinfo", offsetof(CurlApi, easy_getinfo) }, { "curl_easy_strerror", offsetof(CurlApi, easy_strerror) },
                { "curl_slist_append", offsetof(CurlApi, slist_append) }, { "curl_slist_free_all", offsetof(CurlApi, slist_free_all) },
        };
        void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
        CURLcode (*init)(long flags);

        if (!library)
                return;
        *(void **)&init = dlsym(library, "curl_global_init");
        if (!init || init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return;
        for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
                void *function = dlsym(library, functions[i].name);

                if (!function)
                        return;
                *(void **)((char *)&api + functions[i].offset) = function;
        }
        available = true;
}

const CurlApi *curl_api(Error *err)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        pthread_once(&once, load);
        if (!available) {
                error_set(err, ERROR_UNSUPPORTED, "libcurl.so.4 cannot be loaded: install libcurl4 to use http and https");
                return NULL;
        }
        return &api;
}
