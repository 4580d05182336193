#include "http/client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/curl_api.h"

#define CONNECT_TIMEOUT_SEC 30
#define STALL_TIMEOUT_SEC 60
#define REDIRECTS_MAX 10 /* as Go's client, which docker uses */
#define HEADER_MAX 8192  /* one header that we keep */
#define HEADERS_MAX 1000 /* lines of all responses: a server can send interim ones for ever */
#define URL_MAX 16384

typedef struct Transfer {
        const CurlApi *api;
        CURL *curl;
        const HttpRequest *request;
        const Sink *to;
        HttpResponse response;
        unsigned n_header_lines;
        bool over_limit, cancelled;
        Error sink_error;
} Transfer;

void http_response_done(HttpResponse *r)
{
        free(r->url);
        free(r->content_type);
        free(r->content_disposition);
        free(r->etag);
        free(r->last_modified);
        *r = HTTP_RESPONSE_INIT;
}

bool http_is_url(const char *s)
{
        return strncasecmp(s, "http://", 7) == 0 || strncasecmp(s, "https://", 8) == 0;
}

char *http_url_shown(const char *url)
{
        const char *start = strstr(url, "://"), *at = NULL;
        _cleanup_free_ char *text = NULL;

        if (start) {
                start += 3;
                /* The last '@' before the path: a password may hold one. */
                for (const char *p = start; *p && !strchr("/?#", *p); p++)
                        if (*p == '@')
                                at = p;
        }
        text = at ? xasprintf("%.*s%s", (int)(start - url), url, at + 1) : xstrdup(url);
        return str_printable(text, strnlen(text, 500));
}

/* --- callbacks --- */

static void keep_header(char **to, const char *value, size_t size)
{
        _cleanup_free_ char *text = xstrndup(value, size);

        free(*to);
        *to = str_trim(text);
}

static size_t on_header(char *data, size_t unit, size_t n, void *user)
{
        Transfer *t = user;
        HttpResponse *r = &t->response;
        const struct {
                const char *name;
                char **to;
        } wanted[] = {
                { "content-type", &r->content_type },
                { "content-disposition", &r->content_disposition },
                { "etag", &r->etag },
                { "last-modified", &r->last_modified },
        };
        size_t size = unit * n;

        if (++t->n_header_lines > HEADERS_MAX)
                return 0;
        /* A status line begins another response: what the redirect before it said does not count. */
        if (size > 5 && strncasecmp(data, "HTTP/", 5) == 0) {
                http_response_done(r);
                return size;
        }
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
                size_t name_size = strlen(wanted[i].name);

                if (size > name_size && size <= HEADER_MAX && data[name_size] == ':' && strncasecmp(data, wanted[i].name, name_size) == 0)
                        keep_header(wanted[i].to, data + name_size + 1, size - name_size - 1);
        }
        return size;
}

static bool report(Transfer *t)
{
        const HttpRequest *request = t->request;
        uint64_t total = t->response.content_length == UINT64_MAX ? 0 : t->response.content_length;

        if (request->progress && request->progress(request->user, t->response.size, total) != 0)
                t->cancelled = true;
        return !t->cancelled;
}

static size_t on_body(char *data, size_t unit, size_t n, void *user)
{
        Transfer *t = user;
        size_t size = unit * n;
        long status = 0;

        t->api->easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
        /* The page that explains an error is not the file. */
        if (status < 200 || status > 299 || !t->to)
                return size;
        if (t->request->max_size && size > t->request->max_size - t->response.size) {
                t->over_limit = true;
                return 0;
        }
        if (t->response.content_length == UINT64_MAX) {
                curl_off_t length = -1;

                t->api->easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
                if (length >= 0)
                        t->response.content_length = (uint64_t)length;
        }
        if (sink_write(t->to, data, size, &t->sink_error) < 0)
                return 0;
        t->response.size += size;
        return report(t) ? size : 0;
}

static int on_tick(void *user, curl_off_t total, curl_off_t received, curl_off_t upload_total, curl_off_t uploaded)
{
        return report(user) ? 0 : 1;
}

/* --- the request --- */

static const char *environment(const char *const *names)
{
        for (; *names; names++) {
                const char *value = getenv(*names);

                if (!str_empty(value))
                        return value;
        }
        return NULL;
}

static void set_trust(Transfer *t)
{
        static const char *const files[] = { "CURL_CA_BUNDLE", "SSL_CERT_FILE", NULL }, *const directories[] = { "SSL_CERT_DIR", NULL };
        const char *file = environment(files), *directory = environment(directories);

        if (file)
                t->api->easy_setopt(t->curl, CURLOPT_CAINFO, file);
        if (directory)
                t->api->easy_setopt(t->curl, CURLOPT_CAPATH, directory);
}

static void set_proxy(Transfer *t)
{
        static const char *const known[] = { "http_proxy", NULL }, *const upper[] = { "HTTP_PROXY", NULL };

        /*
         * libcurl reads the environment itself, all but HTTP_PROXY, which a CGI program must not trust (httpoxy). docker and Go read it unless they are
         * one. no_proxy counts in any case.
         */
        if (strncasecmp(t->request->url, "http://", 7) == 0 && !environment(known) && environment(upper) && !getenv("REQUEST_METHOD"))
                t->api->easy_setopt(t->curl, CURLOPT_PROXY, environment(upper));
}

static bool set_options(Transfer *t, struct curl_slist *headers)
{
        const HttpRequest *r = t->request;
        const struct {
                CURLoption option;
                long value;
        } numbers[] = {
                { CURLOPT_FOLLOWLOCATION, 1 },
                { CURLOPT_MAXREDIRS, REDIRECTS_MAX },
                { CURLOPT_NOBODY, r->head },
                { CURLOPT_NOSIGNAL, 1 },
                { CURLOPT_NOPROGRESS, 0 },
                { CURLOPT_CONNECTTIMEOUT, r->connect_timeout_sec ? (long)r->connect_timeout_sec : CONNECT_TIMEOUT_SEC },
                { CURLOPT_LOW_SPEED_LIMIT, 1 },
                { CURLOPT_LOW_SPEED_TIME, r->stall_timeout_sec ? (long)r->stall_timeout_sec : STALL_TIMEOUT_SEC },
                { CURLOPT_BUFFERSIZE, 256 << 10 },
                { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
                { CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
        };
        const struct {
                CURLoption option;
                const void *value;
        } pointers[] = {
                { CURLOPT_URL, r->url },
                { CURLOPT_USERAGENT, "mica/" MICA_VERSION },
                { CURLOPT_HTTPHEADER, headers },
                { CURLOPT_HEADERDATA, t },
                { CURLOPT_WRITEDATA, t },
                { CURLOPT_XFERINFODATA, t },
                { CURLOPT_PROTOCOLS_STR, "http,https" },
                { CURLOPT_REDIR_PROTOCOLS_STR, "http,https" },
        };
        bool ok = true;

        for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
                ok &= t->api->easy_setopt(t->curl, numbers[i].option, numbers[i].value) == CURLE_OK;
        for (size_t i = 0; i < ARRAY_LEN(pointers); i++)
                ok &= t->api->easy_setopt(t->curl, pointers[i].option, pointers[i].value) == CURLE_OK;
        ok &= t->api->easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
        ok &= t->api->easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
        ok &= t->api->easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, on_tick) == CURLE_OK;
        set_trust(t);
        set_proxy(t);
        return ok;
}

static int transfer_error(Transfer *t, CURLcode code, long status, const char *detail, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(t->request->url);

        if (error_is_set(&t->sink_error))
                return error_move(err, &t->sink_error);
        if (t->cancelled)
                return error_set(err, ERROR_CANCELLED, "fetching '%s' was cancelled", shown);
        if (t->over_limit)
                return error_set(err, ERROR_LIMIT, "'%s' is larger than the %" PRIu64 " bytes that are allowed", shown, t->request->max_size);
        if (code != CURLE_OK)
                return error_set(err, ERROR_NETWORK, "cannot fetch '%s': %s", shown, *detail ? detail : t->api->easy_strerror(code));
        error_set(err,
                  status == 404 || status == 410   ? ERROR_NOT_FOUND
                  : status == 401 || status == 403 ? ERROR_DENIED
                                                   : ERROR_NETWORK,
                  "cannot fetch '%s': the server answers with status %ld", shown, status);
        err->status = (int)status;
        return -1;
}

static int run(Transfer *t, struct curl_slist *headers, Error *err)
{
        char detail[CURL_ERROR_SIZE] = "";
        const char *url = NULL;
        curl_off_t length = -1;
        long status = 0;
        CURLcode code;

        if (!set_options(t, headers))
                return error_set(err, ERROR_UNSUPPORTED, "this host's libcurl is too old: 7.85 is needed");
        t->api->easy_setopt(t->curl, CURLOPT_ERRORBUFFER, detail);
        code = t->api->easy_perform(t->curl);
        t->api->easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK || ((status < 200 || status > 299) && status != 304))
                return transfer_error(t, code, status, detail, err);
        t->api->easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        t->api->easy_getinfo(t->curl, CURLINFO_EFFECTIVE_URL, &url);
        t->response.status = (int)status;
        t->response.content_length = length >= 0 ? (uint64_t)length : UINT64_MAX;
        t->response.url = xstrdup_or_null(url);
        return 0;
}

static int check_url(const char *url, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(url);

        if (!http_is_url(url))
                return error_set(err, ERROR_INVALID, "'%s' is not an http or https URL", shown);
        if (strlen(url) > URL_MAX)
                return error_set(err, ERROR_LIMIT, "URL '%s' is longer than %d bytes", shown, URL_MAX);
        for (const char *p = url; *p; p++)
                if ((unsigned char)*p <= ' ' || *p == 0x7f)
                        return error_set(err, ERROR_INVALID, "URL '%s' has white space or control characters; write them as %%20", shown);
        return 0;
}

int http_fetch(const HttpRequest *request, const Sink *to, HttpResponse *ret, Error *err)
{
        struct curl_slist *headers = NULL;
        Transfer t = { .request = request, .to = to, .response = HTTP_RESPONSE_INIT };
        int r;

        if (check_url(request->url, err) < 0)
                return -1;
        t.api = curl_api(err);
        if (!t.api)
                return -1;
        t.curl = t.api->easy_init();
        if (!t.curl)
                return error_set(err, ERROR_INTERNAL, "libcurl cannot start a transfer");
        for (const char *const *h = request->headers; h && *h; h++) {
                struct curl_slist *longer = t.api->slist_append(headers, *h);

                if (!longer)
                        abort();
                headers = longer;
        }
        r = run(&t, headers, err);
        t.api->easy_cleanup(t.curl);
        t.api->slist_free_all(headers);
        error_done(&t.sink_error);
        if (r < 0) {
                http_response_done(&t.response);
                return -1;
        }
        *ret = t.response;
        return 0;
}
