#include "store/http_memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/internal.h"

#define FIRST_LINE "mica http 1"
#define DIRECTORY "cache/http"
#define SHOWN_MAX 2000

void http_memory_done(HttpMemory *memory)
{
        free(memory->etag);
        *memory = (HttpMemory){ 0 };
}

static char *path_of(const char *url)
{
        Digest digest = digest_of(url, strlen(url));
        char hex[2 * DIGEST_SIZE_MAX + 1];

        return xasprintf(DIRECTORY "/%s", digest_hex(&digest, hex));
}

/* Four lines: what it is, digest, date, validator. A fifth, the URL as people may see it, is for listings only. */
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
        _cleanup_buf_ Buf text = BUF_INIT(2 * HTTP_MEMORY_ETAG_MAX + SHOWN_MAX);
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

int http_memory_put(Store *store, const char *url, const char *shown, const HttpMemory *memory, Error *err)
{
        _cleanup_free_ char *path = path_of(url), *text = NULL;
        char digest[DIGEST_TEXT_SIZE];
        int r;

        if (str_empty(memory->etag) || strlen(memory->etag) > HTTP_MEMORY_ETAG_MAX || strpbrk(memory->etag, "\r\n"))
                return 0;
        /* What follows a question mark is often a password. */
        text = xasprintf(FIRST_LINE "\n%s\n%lld\n%s\n%.*s\n", digest_format(&memory->digest, digest), (long long)memory->mtime_ns, memory->etag,
                         (int)MIN(strcspn(shown, "?#\n"), (size_t)SHOWN_MAX), shown);
        if ((sys_mkdirat(store->root_fd, "cache", 0700) < 0 && errno != EEXIST) || (sys_mkdirat(store->root_fd, DIRECTORY, 0700) < 0 && errno != EEXIST))
                return error_errno(err, errno, "cannot make '" DIRECTORY "' in the store");
        r = file_write_atomic(store->root_fd, path, text, strlen(text), 0600, false);
        return r < 0 ? error_errno(err, r, "cannot write '%s' of the store", path) : 0;
}

void http_memory_touch(Store *store, const char *url)
{
        _cleanup_free_ char *path = path_of(url);

        (void)sys_utimensat(store->root_fd, path, NULL, 0);
}

/* --- as part of the cache --- */

/* The entry that a file of the directory holds. False: it is none, or has gone. */
static bool look_at(int dir_fd, const char *name, HttpMemoryEntry *ret)
{
        _cleanup_buf_ Buf text = BUF_INIT(2 * HTTP_MEMORY_ETAG_MAX + SHOWN_MAX);
        _cleanup_strlist_ StrList lines = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        struct stat st;

        if (digest_parse_hex(DIGEST_SHA256, name, &ret->key, &ignored) < 0 || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return false;
        ret->size = (uint64_t)st.st_blocks * 512;
        ret->last_used = (Timestamp)st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
        if (file_read(dir_fd, name, &text) == 0)
                strlist_split(&lines, buf_str(&text), '\n');
        ret->shown = lines.n_items > 4 ? str_printable(lines.items[4], strlen(lines.items[4])) : xstrdup("");
        return true;
}

int http_memory_list(Store *store, int (*each)(void *user, const HttpMemoryEntry *entry, Error *err), void *user, Error *err)
{
        int fd = openat(store->root_fd, DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        if (!dir)
                return errno == ENOENT ? 0 : error_errno(err, errno, "cannot read '" DIRECTORY "' of the store");
        while (r >= 0 && (entry = readdir(dir))) {
                HttpMemoryEntry found = { 0 };

                if (look_at(fd, entry->d_name, &found))
                        r = each(user, &found, err);
                free(found.shown);
        }
        closedir(dir);
        return r < 0 ? -1 : 0;
}

int http_memory_remove(Store *store, const Digest *key, Error *err)
{
        char hex[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *path = xasprintf(DIRECTORY "/%s", digest_hex(key, hex));

        if (sys_unlinkat(store->root_fd, path, 0) == 0)
                return 1;
        return errno == ENOENT ? 0 : error_errno(err, errno, "cannot remove '%s' of the store", path);
}
