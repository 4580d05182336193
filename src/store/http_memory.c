#include "store/http_memory.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/internal.h"

#define FIRST_LINE "mica http 1"

void http_memory_done(HttpMemory *memory)
{
        free(memory->etag);
        *memory = (HttpMemory){ 0 };
}

static char *path_of(const char *url)
{
        Digest digest = digest_of(url, strlen(url));
        char hex[2 * DIGEST_SIZE_MAX + 1];

        return xasprintf("cache/http/%s", digest_hex(&digest, hex));
}

/* Four lines: what it is, digest, date, validator. */
static bool parse(const StrList *lines, HttpMemory *ret)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (lines->n_items < 4 || !streq(lines->items[0], FIRST_LINE) || digest_parse(lines->items[1], &ret->digest, &ignored) < 0 ||
            str_to_i64(lines->items[2], &ret->mtime_ns) < 0 || !*lines->items[3])
                return false;
        ret->etag = xstrdup(lines->items[3]);
        return true;
}

int http_memory_get(Store *store, const char *url, HttpMemory *ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(2 * HTTP_MEMORY_ETAG_MAX);
        _cleanup_free_ char *path = path_of(url);
        _cleanup_strlist_ StrList lines = { 0 };
        int r = file_read(store->root_fd, path, &text);

        *ret = (HttpMemory){ 0 };
        if (r == -ENOENT || r == -EFBIG)
                return 0;
        if (r < 0)
                return error_errno(err, r, "cannot read '%s' of the store", path);
        strlist_split(&lines, buf_str(&text), '\n');
        return parse(&lines, ret);
}

int http_memory_put(Store *store, const char *url, const HttpMemory *memory, Error *err)
{
        _cleanup_free_ char *path = path_of(url), *text = NULL;
        char digest[DIGEST_TEXT_SIZE];
        int r;

        if (str_empty(memory->etag) || strlen(memory->etag) > HTTP_MEMORY_ETAG_MAX || strpbrk(memory->etag, "\r\n"))
                return 0;
        text = xasprintf(FIRST_LINE "\n%s\n%lld\n%s\n", digest_format(&memory->digest, digest), (long long)memory->mtime_ns, memory->etag);
        if ((sys_mkdirat(store->root_fd, "cache", 0700) < 0 && errno != EEXIST) || (sys_mkdirat(store->root_fd, "cache/http", 0700) < 0 && errno != EEXIST))
                return error_errno(err, errno, "cannot make 'cache/http' in the store");
        r = file_write_atomic(store->root_fd, path, text, strlen(text), 0600, false);
        return r < 0 ? error_errno(err, r, "cannot write '%s' of the store", path) : 0;
}
