/* An ignore file, a NUL byte, and a path to match against it, at once and on the way down. What a walk may skip must be ignored in the end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dockerfile/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
        _cleanup_(ignore_matcher_freep) IgnoreMatcher *matcher = NULL;
        _cleanup_strlist_ StrList patterns = { 0 };
        _cleanup_free_ char *raw = NULL, *path = NULL;
        _cleanup_error_ Error err = ERROR_INIT;
        IgnoreState parent = { 0 };
        bool matched = false, skipped = false;

        if (!nul || ignore_file_read(&patterns, data, (size_t)(nul - data), &err) < 0 || ignore_matcher_new(&matcher, &patterns, &err) < 0)
                return 0;
        raw = xstrndup((const char *)nul + 1, strnlen((const char *)nul + 1, MIN(size - (size_t)(nul - data) - 1, (size_t)4096)));
        path = path_clean(raw);
        if (*path == '/' || *path == '.')
                return 0;
        ignore_matcher_match(matcher, path);
        for (char *p = path;; p++) {
                IgnoreState mine = { 0 };
                char c = *p;

                if (c && c != '/')
                        continue;
                *p = '\0';
                matched = ignore_matcher_match_in(matcher, path, &parent, &mine);
                skipped |= c && matched && ignore_matcher_can_skip(matcher, path);
                ignore_state_done(&parent);
                parent = mine;
                *p = c;
                if (!c)
                        break;
        }
        ignore_state_done(&parent);
        if (skipped && !matched)
                abort();
        return 0;
}
