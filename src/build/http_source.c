#include "build/http_source.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "build/secret.h"
#include "store/http_memory.h"

/* Progress is told this often. */
#define TELL_EVERY (4 * MIB)

typedef struct Fetch {
        Build *build;
        BuildVertex *vertex;
        const char *shown;
        const Sink *to;
        Hash *hash;
        uint64_t size, told;
} Fetch;

static int take(void *user, const void *data, size_t size, Error *err)
{
        Fetch *fetch = user;

        hash_add(fetch->hash, data, size);
        fetch->size += size;
        return sink_write(fetch->to, data, size, err);
}

static int tell(void *user, uint64_t received, uint64_t total)
{
        Fetch *fetch = user;
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (received - fetch->told >= TELL_EVERY && fetch->vertex) {
                fetch->told = received;
                progress_status(fetch->build->progress, fetch->vertex, fetch->shown, received, total, false);
        }
        return build_check(fetch->build, &ignored);
}

/* "Tue, 15 Nov 1994 12:45:26 GMT", the one form that servers must send. 0 when there is none. */
static int64_t http_date(const char *text)
{
        struct tm tm = { 0 };
        const char *rest = text ? strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;

        return rest && !*rest ? timegm(&tm) * NSEC_PER_SEC : 0;
}

/* The host of a URL, without user and port. New string. */
static char *host_of(const char *url)
{
        const char *rest = strstr(url, "://"), *at;
        _cleanup_free_ char *authority = rest ? xstrndup(rest + 3, strcspn(rest + 3, "/?#")) : xstrdup("");
        const char *host;

        at = strrchr(authority, '@');
        host = at ? at + 1 : authority;
        if (*host == '[')
                return xstrndup(host + 1, strcspn(host + 1, "]"));
        return xstrndup(host, strcspn(host, ":"));
}

/* The Authorization header, or NULL. */
static int find_credentials(Build *build, const char *url, char **ret, Error *err)
{
        _cleanup_free_ char *host = host_of(url), *header = xasprintf("HTTP_AUTH_HEADER_%s", host), *token = xasprintf("HTTP_AUTH_TOKEN_%s", host);
        const char *const names[] = { header, token };

        *ret = NULL;
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                _cleanup_secret_string_ char *text = NULL;
                int found = secret_find_line(build, names[i], &text, err);

                if (found < 0)
                        return -1;
                if (!found)
                        continue;
                *ret = xasprintf("Authorization: %s%s", i == 0 ? "" : "Bearer ", text);
                return 0;
        }
        return 0;
}

static int check_digest(const Digest *got, const Digest *expected, const char *shown, Error *err)
{
        char a[DIGEST_TEXT_SIZE], b[DIGEST_TEXT_SIZE];

        if (!expected || !digest_is_set(expected) || digest_equal(got, expected))
                return 0;
        return error_set(err, ERROR_CORRUPT, "digest mismatch %s: '%s' was expected to be %s", digest_format(got, a), shown, digest_format(expected, b));
}

int http_source_note(Build *build, const char *url, const Digest *digest, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(url);
        SourceRecord record = { .kind = SOURCE_HTTP, .uri = shown, .digest = *digest };

        (void)err;
        sources_add(build->sources, &record);
        return 0;
}

/* Forgetting costs a download, so a failure is no failure of the build. */
static void remember(Build *build, const char *url, const HttpResponse *response, const HttpFile *file)
{
        HttpMemory memory = { .etag = response->etag, .digest = file->digest, .mtime_ns = file->mtime_ns };
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (file->digest.algorithm == DIGEST_SHA256 && http_memory_put(build->store, url, &memory, &ignored) < 0)
                log_debug("cannot remember a URL: %s", error_message(&ignored));
}

int http_source_fetch(Build *build, BuildVertex *vertex, const char *url, const Digest *expected, bool revalidate, const Sink *to, HttpFile *ret, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(url), *condition = NULL;
        _cleanup_secret_string_ char *credentials = NULL;
        _cleanup_(hash_freep) Hash *hash = hash_new(expected && digest_is_set(expected) ? expected->algorithm : DIGEST_SHA256);
        _cleanup_http_response_ HttpResponse response = HTTP_RESPONSE_INIT;
        _cleanup_http_memory_ HttpMemory memory = { 0 };
        Fetch fetch = { .build = build, .vertex = vertex, .shown = shown, .to = to, .hash = hash };
        Sink sink = { .write = take, .user = &fetch };
        const char *headers[3] = { 0 };
        HttpRequest request = { .url = url, .headers = headers, .progress = tell, .user = &fetch };
        size_t n_headers = 0;

        if (find_credentials(build, url, &credentials, err) < 0)
                return -1;
        if (credentials)
                headers[n_headers++] = credentials;
        if (revalidate && http_memory_get(build->store, url, &memory, err) < 0)
                return -1;
        if (memory.etag) {
                condition = xasprintf("If-None-Match: %s", memory.etag);
                headers[n_headers++] = condition;
        }
        if (http_fetch(&request, &sink, &response, err) < 0)
                return -1;
        *ret = (HttpFile){ .size = fetch.size, .unchanged = response.status == 304 };
        ret->digest = ret->unchanged ? memory.digest : hash_digest(hash);
        ret->mtime_ns = ret->unchanged ? memory.mtime_ns : http_date(response.last_modified);
        if (check_digest(&ret->digest, expected, shown, err) < 0 || http_source_note(build, url, &ret->digest, err) < 0)
                return -1;
        if (ret->unchanged)
                return 0;
        if (vertex)
                progress_status(build->progress, vertex, shown, fetch.size, fetch.size, true);
        remember(build, url, &response, ret);
        return 0;
}
