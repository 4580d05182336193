/*
 * Mount points that a RUN needs and its root lacks: made before it, gone after it, with the times of their parents as they were. And files that are only lent
 * to a RUN (the host's CA bundle), likewise.
 *
 * The work goes to the upper directory of the step's overlay, so what is taken back leaves neither a change nor a whiteout in the layer. Something that the RUN
 * put into a made directory, or wrote into a made file, stays.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"

typedef struct Stubs Stubs;

/* Both descriptors must stay open: the merged root, and its upper directory. */
Stubs *stubs_new(int root_fd, int upper_fd);
void stubs_free(Stubs *stubs);
DEFINE_CLEANUP(Stubs *, stubs_free)

/* Makes what is missing of `path`: directories 0755, and at its end a directory or an empty file. */
int stubs_add(Stubs *stubs, const char *path, bool is_dir, Error *err);
/* Puts a file with this content over whatever is there; parents are made. An existing symbolic link at the end is followed. */
int stubs_lend(Stubs *stubs, const char *path, const void *data, size_t size, Error *err);
/* After the RUN. */
int stubs_clean(Stubs *stubs, Error *err);
