#include "tar/path.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tar/limits.h"
#include "tar/tar.h"

char *path_shown(const char *path)
{
        size_t n = strnlen(path, 301);
        _cleanup_free_ char *shown = str_printable(path, MIN(n, (size_t)300));

        return n > 300 ? xasprintf("%s...", shown) : TAKE_PTR(shown);
}

static int bad_path(Error *err, ErrorCode code, const char *path, const char *why)
{
        _cleanup_free_ char *shown = path_shown(path);

        return error_set(err, code, "path '%s' %s", shown, why);
}

/* Removes the last component from the end of `out`. */
static void drop_component(Buf *out)
{
        size_t n = out->size;

        while (n > 0 && out->data[n - 1] != '/')
                n--;
        if (n > 0)
                n--;
        out->size = n;
        out->data[n] = '\0';
}

int path_clean_to(const char *path, Buf *out, Error *err)
{
        buf_reset(out);
        buf_puts(out, "");
        for (const char *p = path; *p;) {
                size_t n = strcspn(p, "/");

                if (n == 0 || (n == 1 && p[0] == '.')) {
                        /* nothing */
                } else if (n == 2 && p[0] == '.' && p[1] == '.') {
                        if (out->size == 0)
                                return bad_path(err, ERROR_INVALID, path, "leads out of the root with '..'");
                        drop_component(out);
                } else {
                        if (n > TAR_NAME_MAX)
                                return bad_path(err, ERROR_LIMIT, path, "has a component longer than 255 bytes");
                        if (out->size + (out->size > 0) + n > TAR_PATH_MAX)
                                return bad_path(err, ERROR_LIMIT, path, "is longer than 4095 bytes");
                        if (out->size)
                                buf_putc(out, '/');
                        buf_put(out, p, n);
                }
                p += n;
                while (*p == '/')
                        p++;
        }
        return 0;
}

int tar_path_clean(const char *path, char **ret, Error *err)
{
        _cleanup_buf_ Buf out = BUF_INIT(TAR_PATH_MAX + 1);

        if (path_clean_to(path, &out, err) < 0)
                return -1;
        *ret = buf_detach(&out);
        return 0;
}
