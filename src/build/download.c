#include "build/download.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "http/client.h"

typedef struct Download {
        Build *build;
        BuildVertex *vertex;
        const char *shown;
        int fd;
        Hash *hash;
        uint64_t size, told;
} Download;

static int take(void *user, const void *data, size_t size, Error *err)
{
        Download *download = user;
        int r = fd_write_all(download->fd, data, size);

        if (r < 0)
                return error_errno(err, r, "cannot write a temporary file");
        hash_add(download->hash, data, size);
        download->size += size;
        return 0;
}

static int tell(void *user, uint64_t received, uint64_t total)
{
        Download *download = user;
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (received - download->told >= 4 * MIB) {
                download->told = received;
                progress_status(download->build->progress, download->vertex, download->shown, received, total, false);
        }
        return build_check(download->build, &ignored);
}

static int hex_value(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* The last component of the path of a URL, with %xx decoded; never a name that would lead elsewhere. New string. */
static char *url_name(const char *url)
{
        const char *path = strstr(url, "://");
        size_t size;
        _cleanup_buf_ Buf name = BUF_INIT(BUF_MAX_DEFAULT);

        path = path ? strchr(path + 3, '/') : NULL;
        size = path ? strcspn(path, "?#") : 0;
        while (size && path[size - 1] == '/')
                size--;
        for (size_t i = 0; i < size; i++) {
                int high = path[i] == '%' && i + 2 < size ? hex_value(path[i + 1]) : -1, low = high >= 0 ? hex_value(path[i + 2]) : -1;
                char c = low >= 0 ? (char)(high << 4 | low) : path[i];

                if (low >= 0)
                        i += 2;
                if (c == '/')
                        buf_reset(&name);
                else if (c)
                        buf_putc(&name, c);
        }
        if (!name.size || streq(buf_str(&name), ".") || streq(buf_str(&name), ".."))
                return xstrdup("__unnamed__");
        return buf_detach(&name);
}

/* "Tue, 15 Nov 1994 12:45:26 GMT", the one form that servers must send. 0 when there is none. */
static int64_t http_date(const char *text)
{
        struct tm tm = { 0 };
        const char *rest = text ? strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;

        return rest && !*rest ? timegm(&tm) * NSEC_PER_SEC : 0;
}

static int check_digest(const Digest *got, const Digest *expected, const char *shown, Error *err)
{
        char a[DIGEST_TEXT_SIZE], b[DIGEST_TEXT_SIZE];

        if (!digest_is_set(expected) || digest_equal(got, expected))
                return 0;
        return error_set(err, ERROR_CORRUPT, "digest mismatch %s: '%s' was expected to be %s", digest_format(got, a), shown, digest_format(expected, b));
}

/* Also of a step that the cache answers: it is part of the image all the same. */
static void note_source(Build *build, const char *url, const Digest *digest)
{
        _cleanup_free_ char *shown = http_url_shown(url);

        sources_add(build->sources, &(SourceRecord){ .kind = SOURCE_HTTP, .uri = shown, .digest = *digest });
}

static int fetch(Build *build, Work *work, CopyItem *item, const Digest *expected, Error *err)
{
        _cleanup_free_ char *shown = http_url_shown(item->url);
        _cleanup_(hash_freep) Hash *hash = hash_new(digest_is_set(expected) ? expected->algorithm : DIGEST_SHA256);
        _cleanup_http_response_ HttpResponse response = HTTP_RESPONSE_INIT;
        _cleanup_close_ int fd = open(work->plan.tmp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        Download download = { .build = build, .vertex = work->vertex, .shown = shown, .fd = fd, .hash = hash };
        Sink sink = { .write = take, .user = &download };
        HttpRequest request = { .url = item->url, .progress = tell, .user = &download };
        Digest digest;

        if (fd < 0)
                return error_errno(err, errno, "cannot make a temporary file in '%s'", work->plan.tmp);
        progress_start(build->progress, work->vertex);
        if (http_fetch(&request, &sink, &response, err) < 0)
                return -1;
        progress_status(build->progress, work->vertex, shown, download.size, download.size, true);
        digest = hash_digest(hash);
        if (check_digest(&digest, expected, shown, err) < 0)
                return -1;
        item->fd = TAKE_FD(fd);
        item->size = download.size;
        item->digest = digest;
        note_source(build, item->url, &digest);
        item->mtime_ns = http_date(response.last_modified);
        return 0;
}

int download_add(Build *build, Work *work, const char *url, Error *err)
{
        const CopyInstruction *copy = &work->instruction->copy;
        _cleanup_free_ char *name = url_name(url);
        Digest expected = { 0 };
        CopyItem *item;

        if (!str_empty(copy->checksum) && digest_parse(copy->checksum, &expected, err) < 0)
                return error_wrap(err, "--checksum=%s", copy->checksum);
        item = copy_plan_add_download(&work->plan, name, url, copy->unpack == TRISTATE_TRUE);
        if (digest_is_set(&expected)) {
                item->digest = expected;
                item->expected = true;
                note_source(build, url, &expected);
                return 0;
        }
        return fetch(build, work, item, &expected, err);
}

int download_missing(Build *build, Work *work, Error *err)
{
        for (size_t i = 0; i < work->plan.n_items; i++) {
                CopyItem *item = &work->plan.items[i];

                if (item->kind == COPY_FILE && item->fd < 0) {
                        Digest expected = item->digest;

                        if (fetch(build, work, item, &expected, err) < 0)
                                return -1;
                }
        }
        return 0;
}
