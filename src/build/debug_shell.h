/*
 * A shell where a step is to run, or where it has failed (`--debug-shell`).
 *
 * Before a step: the layers below it with an upper directory that is thrown away, its environment, user, working directory and mounts. The step runs afterwards
 * as if nothing had been. After a failure: the state that the command left; the build then fails as it would have. Cache mounts are seen through an overlay
 * that is thrown away.
 */
#pragma once

#include "build/run_root.h"

/* After build_plan(): marks the step that BuildOptions.debug_shell names. Errors: INVALID, NOT_FOUND (no such step among those that are needed). */
int debug_shell_plan(Build *build, Error *err);

/* Opens the shell before the present step, whose Work may be NULL, once. */
int debug_shell_before(BuildStage *stage, Work *work, Error *err);

/* Opens one after a failure when that is wished. *err stays as it is. */
void debug_shell_after(RunRoot *running, const Error *err);
