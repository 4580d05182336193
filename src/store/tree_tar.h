/*
 * Writing entries of a directory tree as members of a tar: what a layer made from a writable layer, and an export of a whole tree, have in common.
 */
#pragma once

#include <sys/stat.h>

#include "base/map.h"
#include "base/sink.h"
#include "store/store.h"

typedef struct TreeTar {
        const Sink *sink;
        LayerWriter *writer; /* the same place, for the content of files; NULL: through the sink */
        int64_t epoch;       /* seconds; later times become it. -1: none */
        bool exact;          /* times to the nanosecond, and all attributes that are not this machine's */
        Map *inodes;         /* (device, inode) -> path of files with several names that were written */
        Buf header;
        char *buffer; /* for content, when there is no writer */
} TreeTar;

void tree_tar_init(TreeTar *tar, const Sink *sink, LayerWriter *writer, int64_t epoch);
void tree_tar_done(TreeTar *tar);

/* One entry of any type, with its content; sockets are passed over. `path` is that in the tar, `dir_fd` and `name` say where the entry is. */
int tree_tar_add(TreeTar *tar, int dir_fd, const char *name, const char *path, const struct stat *st, Error *err);
/* A regular file whose content is in `fd`; mode, owner, size and time from `st`. */
int tree_tar_add_content(TreeTar *tar, int fd, const char *path, const struct stat *st, Error *err);
/* A whiteout of `path`. */
int tree_tar_add_whiteout(TreeTar *tar, const char *path, Error *err);
/* The end of the archive. */
int tree_tar_finish(TreeTar *tar, Error *err);
