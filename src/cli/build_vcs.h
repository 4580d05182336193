/*
 * What git says about a build's context: the commit, where it comes from, where in the repository the context lies.
 */
#pragma once

#include "build/build.h"
#include "cli/context.h"

/*
 * Fills options->vcs when the provenance is to be written, and adds labels when BUILDX_GIT_LABELS asks for them; after the outputs were taken. Does nothing
 * when `dir` is no directory of this machine or in no repository; one that git cannot read is a warning. `dockerfile`: -f, or NULL.
 */
int build_take_vcs(Cli *cli, const char *dir, const char *dockerfile, BuildOptions *options, Error *err);
