/*
 * Trees from outside as layers: a git checkout, a directory that is used as an image, what a bind mount reads from a context. Made once, remembered under a
 * key, and from then on a layer like any other: it can be mounted, copied from and be a base, without the source being there.
 */
#pragma once

#include "build/engine.h"

typedef struct SnapshotSpec {
        SourceTree *tree;
        const IgnoreMatcher *exclude; /* or NULL */
        int64_t epoch;                /* every time is this many seconds; -1: as in the tree */
        const char *description;      /* for `builder du` */
        const char *kind;             /* likewise: "source.local", "source.git.checkout", … */
} SnapshotSpec;

/* The layer of a key, when it is known and still there: 1, 0. */
int snapshot_find(Build *build, const Digest *key, Digest *ret_diff_id, Error *err);

/* Writes the tree as a layer and remembers it under the key. */
int snapshot_make(Build *build, const SnapshotSpec *spec, const Digest *key, Digest *ret_diff_id, Error *err);

/* One file of mode 0600, as ADD makes one from a URL, at the root as a layer, dated `mtime` (seconds); remembered likewise. */
int snapshot_make_file(Build *build, const char *name, const Buf *content, int64_t mtime, const Digest *key, const char *description, Digest *ret_diff_id,
                       Error *err);

/* Remembers a layer that is there under a key. */
int snapshot_put(Build *build, const Digest *key, const Digest *diff_id, const char *description, const char *kind, Error *err);

/* An image without a config that has this one layer: what FROM means for a context that is no image. */
void snapshot_image(const Platform *platform, const Digest *diff_id, ImageConfig *ret);
