/*
 * Where what runs is noted (docs/formats/runtime.md). It decides what runs as whom, so it must be the user's alone.
 */
#pragma once

#include "base/error.h"

/*
 * Chooses the directory, makes it and checks it: `wanted` (may be NULL); else /run/mica for root; else below $XDG_RUNTIME_DIR or /run/user/<uid>, whichever is
 * the user's own; else /tmp/mica-<uid>. The user is the one who started this process, in a user namespace as well. *ret is a new string.
 */
int state_dir_make(const char *wanted, char **ret, Error *err);
