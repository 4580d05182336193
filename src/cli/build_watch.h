/*
 * mica build --watch: waits until something changes that the last build used.
 *
 * inotify on exactly the directories that were read and those that hold the Dockerfile, ignore files and secrets; of what happens there only what could change
 * the build counts (build/inputs.h). Watches stay while the next build runs, so that nothing that changes meanwhile is missed.
 */
#pragma once

#include <signal.h>

#include "base/error.h"
#include "build/inputs.h"

typedef struct BuildWatch BuildWatch;

/* `own`: absolute paths that the build itself writes (--iidfile, --output …): what happens there does not count. Errors: LIMIT (too many inotify instances). */
int build_watch_new(const StrList *own, BuildWatch **ret, Error *err);
void build_watch_free(BuildWatch *watch);
DEFINE_CLEANUP(BuildWatch *, build_watch_free)

/* What to watch from now on; takes the inputs over (they become empty). Errors: LIMIT (too many watches). */
int build_watch_set(BuildWatch *watch, BuildInputs *inputs, Error *err);
/* The inputs that were set last; borrowed. */
const BuildInputs *build_watch_inputs(const BuildWatch *watch);
size_t build_watch_size(const BuildWatch *watch); /* directories watched */

/*
 * Waits for a change, and then until nothing has changed for a moment. Returns 1 with what changed in `changes` ("src/a.c: changed", "src/new.c: added", …), 0
 * when *cancel became non-zero.
 */
int build_watch_wait(BuildWatch *watch, const volatile sig_atomic_t *cancel, StrList *changes, Error *err);
