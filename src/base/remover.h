/*
 * Removing trees beside other work, by several threads. Removing is mostly waiting: a file system that discards at once (mounted `discard`, without a journal)
 * takes a millisecond for each file or directory, and does several side by side in the time of one.
 */
#pragma once

#include "base/macros.h"

typedef struct Remover Remover;

/* For entries of one directory, which the caller keeps open. Starts no thread until there is something to do. */
Remover *remover_new(int dir_fd);
/* Waits until everything is removed. NULL is fine. */
void remover_free(Remover *remover);
DEFINE_CLEANUP(Remover *, remover_free)

/*
 * Removes an entry of the directory (a tree) some time. Nobody may use the name any more. What cannot be removed stays, maybe in parts, some of them as
 * entries ".mica-removed-…" of the directory. Threads: any.
 */
void remover_add(Remover *remover, const char *name);
