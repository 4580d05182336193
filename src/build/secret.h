/*
 * The secrets that a build was given with --secret: read when they are needed, never kept.
 */
#pragma once

#include "build/engine.h"

/* BuildKit's limit for one secret. */
#define SECRET_SIZE_MAX ((size_t)500 << 10)

/*
 * The value of a secret, appended to `value` (made with BUF_INIT(SECRET_SIZE_MAX)): 1, or 0 when it was not given. Wipe it with secret_wipe().
 * Errors: NOT_FOUND (its file or variable), LIMIT.
 */
int secret_find(const Build *build, const char *id, Buf *value, Error *err);

/* A secret of one line, trimmed: what goes into a header. 1, or 0 with *ret NULL. Wipe it. INVALID when it has more lines. */
int secret_find_line(const Build *build, const char *id, char **ret, Error *err);

/* Overwrites and frees. */
void secret_wipe(Buf *value);
#define _cleanup_secret_ _cleanup_(secret_wipe)

/* Overwrites and frees a string. */
void secret_wipe_string(char **text);
#define _cleanup_secret_string_ _cleanup_(secret_wipe_string)

/* A small file that no disk ever sees (a tmpfs in the build's own mount namespace). Its absolute path, new string. */
char *build_secret_file(Build *build, const char *kind, const void *data, size_t size, uint32_t mode, uint32_t uid, uint32_t gid, Error *err);
