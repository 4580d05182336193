/*
 * Build checks as part of an ordinary build: warnings as events, and a failure when the Dockerfile asks for one (`# check=error=true`).
 */
#pragma once

#include "build/engine.h"

/* After build_plan(): base images are known then. */
int build_lint(Build *build, Error *err);
