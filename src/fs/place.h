/*
 * How what was made gets its name in a directory of the host: as a whole, whatever is there already, and so that somebody who is killed leaves at most a name
 * that the next one removes.
 *
 * A name that is free is given at once: linkat(2) of a file that has none yet, symlinkat(2), mknodat(2). Where something has to be replaced, or the file system
 * has no files without a name, there is a temporary name for a moment: .mica-<pid>-<mark>-<number>.tmp, with a mark that each process draws.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

#define PLACE_NAME_SIZE 64

typedef enum PlaceOver {
        PLACE_OVER_FILES, /* a directory that has the name is an error */
        PLACE_OVER_TREES, /* a directory that has the name is removed with everything in it */
} PlaceOver;

/* A name in `buffer` (PLACE_NAME_SIZE bytes) that nobody else uses. Returns `buffer`. Threads: any. */
const char *place_temporary(char *buffer);

/*
 * Removes the temporary names of processes that are gone from a directory. What it cannot look at or remove stays. A process of another pid namespace counts as
 * gone when its number is free here: two that write into one directory at the same time have no promises anyway.
 */
void place_sweep(int dir_fd);

/* A new file of mode 0600 in a directory: without a name when that is possible (*ret_named false), else with the temporary one. The descriptor, or -1. */
int place_open(int dir_fd, const char *temporary, bool *ret_named, const char *path, Error *err);
/* Gives the file its name. `path` is for messages. */
int place_file(int fd, int dir_fd, const char *temporary, bool named, const char *name, PlaceOver over, const char *path, Error *err);
/* Gives what has the temporary name its own. On failure the temporary name is gone too. */
int place_rename(int dir_fd, const char *temporary, const char *name, PlaceOver over, const char *path, Error *err);
