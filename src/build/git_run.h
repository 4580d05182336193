/*
 * Running the git program in an environment of its own: see git.h for what it may do.
 */
#pragma once

#include "base/buf.h"
#include "build/engine.h"
#include "dockerfile/git_url.h"

typedef struct GitRun {
        Build *build;
        BuildVertex *vertex; /* what git says goes here; or NULL */
        const char *dir;     /* work tree, or NULL */
        StrList env;         /* git_run_init() */
} GitRun;

/* Prepares to talk to a repository: environment, credentials from secrets or the URL, the ssh agent. Errors: those of secrets and agents. */
int git_run_init(GitRun *run, Build *build, BuildVertex *vertex, const GitUrl *url, Error *err);
void git_run_done(GitRun *run); /* wipes */
#define _cleanup_git_run_ _cleanup_(git_run_done)

/*
 * Runs git with the arguments (NULL at the end) and appends its standard output to `out` (NULL: dropped). Stops it when the build stops.
 * Errors: NETWORK with what git said last, CANCELLED, NOT_FOUND (no git), LIMIT (output).
 */
int git_run(const GitRun *run, Buf *out, Error *err, ...) __attribute__((sentinel));

/* What git is given for the repository: without user and password of http, which travel in the environment. New string. */
char *git_remote(const GitUrl *url);
