/*
 * Build checks as part of an ordinary build: warnings as events, and a failure when the Dockerfile asks for one (`# check=error=true`).
 */
#pragma once

#include "build/engine.h"
#include "dockerfile/lint.h"

/* After build_plan(): base images are known then. */
int build_lint(Build *build, Error *err);

/* What the checks want to know of a base image. Fills *ret with copies. */
void build_lint_base(const ImageConfig *config, LintBase *ret);

/* --build-arg BUILDKIT_DOCKERFILE_CHECK, which replaces what the Dockerfile says of checks; or NULL. Borrowed. */
const char *build_lint_option(const Build *build);
