/*
 * Copying a tree of an image into a directory of the host. Private to the exporters.
 *
 * Nothing is written outside of the directory: every directory on the way is opened without following symbolic links, and what is in the way of a directory
 * and is none (a link that somebody put there) gives way to it. A file appears under its name when it is complete; until then it has no name where the file
 * system can do that. Files belong to the caller; modes, times, symbolic links, hard links and user attributes are kept.
 */
#pragma once

#include "build/engine.h"

typedef struct LocalCopy LocalCopy;

typedef struct LocalCopyOptions {
        const char *dest; /* made when it is missing */
        int64_t epoch;    /* time of everything, or -1 */
        bool mirror;      /* what is in a directory and not in the tree goes */
        bool exclusive;   /* several trees into one directory: a file of two of them is an error */
        Build *build;
        BuildVertex *vertex;
} LocalCopyOptions;

/* Makes the directory when it is missing, and removes what a killed output left in it. `options` is copied, what it points to must live as long. */
int local_copy_new(const LocalCopyOptions *options, LocalCopy **ret, Error *err);
void local_copy_free(LocalCopy *copy);
DEFINE_CLEANUP(LocalCopy *, local_copy_free)

/* Copies what is in `root_fd` into the directory, or into `directory` in it (one component). */
int local_copy_tree(LocalCopy *copy, int root_fd, const char *directory, Error *err);
/* Writes a file of mode 0600. `name` may have no slashes. */
int local_copy_text(LocalCopy *copy, const char *directory, const char *name, const char *text, Error *err);
/* With `mirror`: what the top directory had before goes. */
int local_copy_finish(LocalCopy *copy, Error *err);
