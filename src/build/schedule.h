/*
 * What the rest of the engine tells the scheduler.
 */
#pragma once

#include "build/engine.h"

/* A key was released: stages that waited for one may look again. */
void scheduler_wake(Scheduler *scheduler);

/* Stops the build: flag and descriptor. */
void build_stop(Build *build);

/* Whether no stage is working on the key. */
bool scheduler_key_is_free(Build *build, const Digest *key);
