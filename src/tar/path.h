/*
 * Private to tar/: cleaning of names in place of a buffer.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* Replaces the content of `out` by the clean form of `path` (see TarEntry.path). Errors: INVALID, LIMIT. */
int path_clean_to(const char *path, Buf *out, Error *err);

/* For messages: the name with control characters and odd bytes escaped, cut when very long. New string. */
char *path_shown(const char *path);
