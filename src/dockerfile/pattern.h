/*
 * Shell patterns inside ${v#p} and ${v/p/r}: '*' any run, '?' any one character, neither a newline; '\' quotes '*', '?', '\', '/' and '}'. Private to this
 * folder.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* Removes the match at the front of `value`, the shortest or the longest. Errors: INVALID `invalid pattern (…) in substitution: invalid escape '\x'`; LIMIT. */
int pattern_trim_prefix(Buf *out, const char *pattern, const char *value, bool longest, Error *err);
int pattern_trim_suffix(Buf *out, const char *pattern, const char *value, bool longest, Error *err);

/* Replaces the first or every match, each as far left and as long as can be. "$0" in the replacement is the match, other "$name" are empty, "$$" is '$'. */
int pattern_replace(Buf *out, const char *pattern, const char *replacement, const char *value, bool all, Error *err);
