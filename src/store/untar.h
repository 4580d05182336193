/*
 * A tree as a stream of tar, and such a stream as a tree below a directory, never leaving it whatever symbolic links are there.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/sink.h"

typedef struct Untar Untar;

/*
 * Entries of the tar are made below `root_fd`, under the in-root directory `directory`. `rename_to` (may be NULL): the first component of every path becomes
 * this; "" drops it, so that the content of the first directory lands in `directory` itself. keep_owner: owners of the tar, else those of the calling process.
 */
Untar *untar_new(int root_fd, const char *directory, const char *rename_to, bool keep_owner);
void untar_free(Untar *untar); /* NULL is fine */
DEFINE_CLEANUP(Untar *, untar_free)
Sink untar_sink(Untar *untar);
int untar_finish(Untar *untar, Error *err); /* the tar has ended; sets the times of directories */

/* Writes `name` in `dir_fd` with everything below as a tar whose paths begin with `base` ("" for a directory: its content and an entry for itself). */
int tar_tree(int dir_fd, const char *name, const char *base, const Sink *sink, Error *err);
