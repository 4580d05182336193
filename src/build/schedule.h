/*
 * What the rest of the engine tells the scheduler.
 */
#pragma once

#include "build/engine.h"

/* Marks a key as being worked on. False when another stage is doing it: then the caller's stage is to wait (ADVANCE_BLOCKED, with the key). */
bool build_claim(Build *build, const Digest *key);

/* The work is done, or has failed: stages that wait for a key look again. */
void build_release(Build *build, const Digest *key);
