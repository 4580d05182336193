/*
 * `mica build --timings`: how long each step took, and the chain of steps that the end of the build waited for.
 */
#pragma once

#include "build/build.h"

typedef struct BuildTimings BuildTimings;

BuildTimings *build_timings_new(void);
void build_timings_free(BuildTimings *timings);
DEFINE_CLEANUP(BuildTimings *, build_timings_free)

/* Takes part in a build: one event at a time. */
void build_timings_event(BuildTimings *timings, const BuildEvent *event);

/* Appends the table, or one line of JSON. */
void build_timings_write(const BuildTimings *timings, bool json, Buf *out);
