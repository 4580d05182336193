/*
 * mica build --watch: build, wait for a change, build again, until Ctrl-C.
 */
#pragma once

#include "cli/build_request.h"
#include "cli/command.h"

typedef int BuildOnce(Cli *cli, const BuildFlags *flags, BuildRequest *request, BuildInputs *inputs, Error *err);

/* Returns 130 after Ctrl-C (128 and the number of the signal), -1 when it cannot watch or the build cannot even begin. */
int build_watch_loop(Cli *cli, const BuildFlags *flags, BuildRequest *request, BuildOnce *once, Error *err);
