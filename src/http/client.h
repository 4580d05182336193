/*
 * HTTP client: one GET or HEAD into a Sink. http and https only; TLS is checked against the host's certificates (CURL_CA_BUNDLE, SSL_CERT_FILE and
 * SSL_CERT_DIR override them), proxies come from the environment (http_proxy, https_proxy, all_proxy, no_proxy, in either case).
 *
 * Not here: what registries need on top (tokens, scopes, uploads).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/sink.h"

typedef struct HttpRequest {
        const char *url;
        bool head;                    /* HEAD instead of GET */
        const char *const *headers;   /* "Name: value", NULL-terminated, or NULL; "Authorization" is not sent on to another host after a redirect */
        uint64_t max_size;            /* of the body, in bytes; 0: no limit */
        unsigned connect_timeout_sec; /* 0: 30 */
        unsigned stall_timeout_sec;   /* without a byte; 0: 60 */

        /* Called about once a second and at each piece of the body. `total` is 0 while unknown. A result other than 0 cancels. May be NULL. */
        int (*progress)(void *user, uint64_t received, uint64_t total);
        void *user;
} HttpRequest;

/* Of the last response, after redirects. Strings are NULL when the header was not there. */
typedef struct HttpResponse {
        int status;
        char *url; /* where it came from in the end */
        char *content_type, *content_disposition, *etag, *last_modified;
        uint64_t content_length; /* UINT64_MAX when not said */
        uint64_t size;           /* bytes of body that went to the sink */
} HttpResponse;

#define HTTP_RESPONSE_INIT ((HttpResponse){ .content_length = UINT64_MAX })
#define _cleanup_http_response_ _cleanup_(http_response_done)
void http_response_done(HttpResponse *response);

/*
 * Fetches. `to` gets the body of a 2xx answer only, and may be NULL for HEAD. Success is a 2xx status, or 304 when the request had a condition.
 * *ret is valid on success only; call http_response_done().
 * Errors: INVALID (not an http or https URL), NOT_FOUND (404, 410), DENIED (401, 403), NETWORK (other statuses; names, connections, TLS, timeouts, bodies cut
 * short; more than 10 redirects), LIMIT (max_size), CANCELLED, UNSUPPORTED (no libcurl on this host), and whatever the sink says. `err->status` is the HTTP
 * status when there is one. Passwords in URLs do not appear in messages.
 * Threads: any number at once.
 */
int http_fetch(const HttpRequest *request, const Sink *to, HttpResponse *ret, Error *err);

/* True for "http://" and "https://" in either case. */
bool http_is_url(const char *s);

/* The URL without user name and password, control characters escaped; for messages and logs. New string. */
char *http_url_shown(const char *url);
