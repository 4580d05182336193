/*
 * `--debug-shell`: lends the terminal, or standard input and output, to a shell in a step of a build.
 */
#pragma once

#include "cli/build_progress.h"

/* For BuildOptions.shell. Returns when the shell has ended; its exit status does not matter. */
int build_shell_open(BuildProgress *progress, const BuildShell *shell, Error *err);
