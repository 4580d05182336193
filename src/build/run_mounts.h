/*
 * RUN --mount: what each kind brings into the container, and what it adds to the step's key.
 */
#pragma once

#include "build/engine.h"
#include "build/stubs.h"

/* What lives as long as the RUN: cache directories that are locked, mounted sources. */
typedef struct RunHeld RunHeld;

/* Adds what the mounts decide to the key: kinds, targets, options, and the content of what they read. Never ids of caches, secrets, or their values. */
int run_mounts_hash(BuildStage *stage, Work *work, Hash *hash, Error *err);

/*
 * Prepares all mounts: adds them to the spec, their variables to its environment, their mount points to `stubs`. NOT_FOUND for a required secret that is not
 * given. `throwaway`: what is written to cache mounts does not stay either.
 */
int run_mounts_prepare(BuildStage *stage, Work *work, bool throwaway, RunSpec *spec, Stubs *stubs, RunHeld **ret, Error *err);
void run_held_free(RunHeld *held);
DEFINE_CLEANUP(RunHeld *, run_held_free)
