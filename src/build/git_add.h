/*
 * ADD from git. The step's key is the commit, so a known step costs one question to the server and no files; they are fetched when the step has to run.
 */
#pragma once

#include "build/engine.h"

/* Whether a source of ADD names a repository (in a right or in a wrong way). */
bool git_add_takes(const char *source);

/* Adds the repository to the plan of the step: 1; 0 when `source` names none. */
int git_add(Build *build, Work *work, const char *source, Error *err);

/* Brings the files that git_add() left for later. */
int git_add_missing(Build *build, Work *work, Error *err);

/* Frees what Build.checkouts holds. */
void git_tree_free(void *tree);
