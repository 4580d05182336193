#include "build/download.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/http_source.h"

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

static int take(void *user, const void *data, size_t size, Error *err)
{
        int r = fd_write_all(*(const int *)user, data, size);

        return r < 0 ? error_errno(err, r, "cannot write a temporary file") : 0;
}

/* Into an unnamed file; without one when the server says that it is what is remembered. */
static int fetch(Build *build, Work *work, CopyItem *item, const Digest *expected, bool revalidate, Error *err)
{
        _cleanup_close_ int fd = open(work->plan.tmp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        Sink sink = { .write = take, .user = &fd };
        HttpFile file;

        if (fd < 0)
                return error_errno(err, errno, "cannot make a temporary file in '%s'", work->plan.tmp);
        if (http_source_fetch(build, work->vertex, item->url, expected, revalidate, &sink, &file, err) < 0)
                return -1;
        item->digest = file.digest;
        item->mtime_ns = file.mtime_ns;
        if (file.unchanged)
                return 0;
        item->fd = TAKE_FD(fd);
        item->size = file.size;
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
                return http_source_note(build, url, &expected, err);
        }
        progress_start(build->progress, work->vertex);
        return fetch(build, work, item, NULL, true, err);
}

int download_missing(Build *build, Work *work, Error *err)
{
        for (size_t i = 0; i < work->plan.n_items; i++) {
                CopyItem *item = &work->plan.items[i];

                if (item->kind == COPY_FILE && item->fd < 0) {
                        Digest expected = item->digest;
                        int64_t mtime_ns = item->mtime_ns;

                        if (fetch(build, work, item, &expected, false, err) < 0)
                                return -1;
                        /* What the key was made of. */
                        if (!item->expected)
                                item->mtime_ns = mtime_ns;
                }
        }
        return 0;
}
