/*
 * `mica build --call` and `--check`: what is asked of a Dockerfile instead of a build.
 */
#pragma once

#include "cli/build_request.h"
#include "cli/context.h"

/*
 * Answers --call, --check and --format. Returns -1 with *err filled, or the exit status (0, or 1 when a check has found something and the status is not to be
 * ignored), or BUILD_CALL_NONE when an ordinary build is asked for.
 */
#define BUILD_CALL_NONE (-2)
int build_call_run(Cli *cli, const BuildFlags *flags, const BuildOptions *options, Error *err);
