#include "build/http_source.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "build/intake.h"
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

/* The Authorization header, or NULL. As with BuildKit the token counts when both are there. */
static int find_credentials(Build *build, const char *url, char **ret, Error *err)
{
        _cleanup_free_ char *host = host_of(url), *header = xasprintf("HTTP_AUTH_HEADER_%s", host), *token = xasprintf("HTTP_AUTH_TOKEN_%s", host);
        const char *const names[] = { token, header };

        *ret = NULL;
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                _cleanup_secret_string_ char *text = NULL;
                int found = secret_find_line(build, names[i], &text, err);

                if (found < 0)
                        return -1;
                if (!found)
                        continue;
                *ret = xasprintf("Authorization: %s%s", i == 0 ? "Bearer " : "", text);
                return 0;
        }
        return 0;
}

static int check_digest(const Digest *got, const Digest *expected, const char *shown, Error *err)
{
        char a[DIGEST_TEXT_SIZE], b[DIGEST_TEXT_SIZE];

        if (!digest_is_set(expected) || digest_equal(got, expected))
                return 0;
        return error_set(err, ERROR_CORRUPT, "digest mismatch %s: '%s' was expected to be %s", digest_format(got, a), shown, digest_format(expected, b));
}

static int take_source(Build *build, const char *url, const Digest *digest, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(url);
        SourceRecord record = { .kind = SOURCE_HTTP, .uri = shown, .digest = *digest };

        return intake_take(build, &record, err);
}

/* What policies make of a URL and a checksum; a checksum that was given may not become another. */
static int ask_policy(Build *build, const char *url, const Digest *expected, char **ret_url, Digest *ret_expected, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(url);
        bool given = expected && digest_is_set(expected);

        *ret_expected = given ? *expected : (Digest){ 0 };
        if (intake_http(build, url, ret_url, ret_expected, err) < 0)
                return -1;
        return given ? check_digest(expected, ret_expected, shown, err) : 0;
}

int http_source_note(Build *build, const char *url, const Digest *digest, Error *err)
{
        _cleanup_free_ char *used = NULL;
        Digest wanted;

        return ask_policy(build, url, digest, &used, &wanted, err) < 0 ? -1 : take_source(build, used, digest, err);
}

/* Forgetting costs a download, so a failure is no failure of the build. */
static void remember(Build *build, const char *url, const char *shown, const HttpResponse *response, const HttpFile *file)
{
        HttpMemory memory = { .etag = response->etag, .digest = file->digest, .mtime_ns = file->mtime_ns };
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (file->digest.algorithm == DIGEST_SHA256 && http_memory_put(build->store, url, shown, &memory, &ignored) < 0)
                log_debug("cannot remember a URL: %s", error_message(&ignored));
}

static int fetch(Build *build, BuildVertex *vertex, const char *url, const Digest *expected, bool revalidate, const Sink *to, HttpFile *ret, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(url), *condition = NULL;
        _cleanup_secret_string_ char *credentials = NULL;
        _cleanup_(hash_freep) Hash *hash = hash_new(digest_is_set(expected) ? expected->algorithm : DIGEST_SHA256);
        _cleanup_http_response_ HttpResponse response = HTTP_RESPONSE_INIT;
        _cleanup_http_memory_ HttpMemory memory = { 0 };
        Fetch state = { .build = build, .vertex = vertex, .shown = shown, .to = to, .hash = hash };
        Sink sink = { .write = take, .user = &state };
        const char *headers[3] = { 0 };
        HttpRequest request = { .url = url, .headers = headers, .progress = tell, .user = &state };
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
        *ret = (HttpFile){ .size = state.size, .unchanged = response.status == 304 };
        ret->digest = ret->unchanged ? memory.digest : hash_digest(hash);
        ret->mtime_ns = ret->unchanged ? memory.mtime_ns : http_date(response.last_modified);
        if (check_digest(&ret->digest, expected, shown, err) < 0 || take_source(build, url, &ret->digest, err) < 0)
                return -1;
        if (ret->unchanged) {
                http_memory_touch(build->store, url);
                return 0;
        }
        if (vertex)
                progress_status(build->progress, vertex, shown, state.size, state.size, true);
        remember(build, url, shown, &response, ret);
        return 0;
}

int http_source_fetch(Build *build, BuildVertex *vertex, const char *url, const Digest *expected, bool revalidate, const Sink *to, HttpFile *ret, Error *err)
{
        _cleanup_free_ char *used = NULL;
        Digest wanted;

        return ask_policy(build, url, expected, &used, &wanted, err) < 0 ? -1 : fetch(build, vertex, used, &wanted, revalidate, to, ret, err);
}
