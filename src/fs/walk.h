/*
 * A walk over a directory tree in a fixed order: the names of a directory sorted by bytes, a directory before its content. Symbolic links are reported, never
 * followed.
 *
 * Bounds: at most WALK_MAX_FDS descriptors whatever the depth; memory for the names of the directories on the current path. Files may come and go during
 * the walk: a name that has vanished is passed over.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"

#define WALK_MAX_FDS 64

typedef struct WalkEntry {
        int dir_fd;       /* the directory that holds it; for the root of the walk, the root itself */
        const char *name; /* in dir_fd; "." for the root of the walk */
        const char *path; /* below the root of the walk, without leading slash; "" for the root of the walk. Any length */
        size_t path_size; /* bytes of path */
        size_t depth;     /* 0 for the root of the walk */
        struct stat st;   /* of the entry itself, as lstat(2) gives it */
} WalkEntry;

/* What entry() may return beside 0 and -1: do not go into this directory (leave() is not called for it). */
#define WALK_SKIP 1

typedef struct WalkOps {
        /* Each entry, directories before their content. The entry and its strings are valid during the call. */
        int (*entry)(void *user, const WalkEntry *entry, Error *err);
        /* A directory after its content. May be NULL. */
        int (*leave)(void *user, const WalkEntry *entry, Error *err);
        bool one_file_system; /* do not go into directories on another file system (they are reported) */
} WalkOps;

/* Walks `path` below `dir_fd` ("." for dir_fd itself), which must be a directory and is reported first. Stops with the error of a callback. */
int tree_walk(int dir_fd, const char *path, const WalkOps *ops, void *user, Error *err);
