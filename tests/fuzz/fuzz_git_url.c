/*
 * URLs of repositories from hostile text. What is accepted must be safe on a command line, stay inside the repository, and read back as the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/git_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = xstrndup((const char *)data, size), *shown = NULL, *identifier = NULL;
        _cleanup_git_url_ GitUrl url = { 0 }, again = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;

        if (git_url_parse(text, &url, &err) <= 0)
                return 0;
        if (*url.remote == '-' || (url.ref && *url.ref == '-') || (url.user && *url.user == '-') || *url.host == '-' || *url.path == '-')
                abort();
        if (url.sub_dir && (*url.sub_dir == '/' || streq(url.sub_dir, "..") || str_starts(url.sub_dir, "../") || strstr(url.sub_dir, "/../")))
                abort();
        if (strpbrk(url.remote, "?#\n"))
                abort();
        shown = git_url_shown(&url);
        identifier = git_url_identifier(&url);
        if (!url.implicit && (git_url_parse(url.remote, &again, &err) != 1 || !streq(again.remote, url.remote) || again.ref || again.sub_dir))
                abort();
        return 0;
}
