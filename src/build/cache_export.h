/*
 * Writing the steps of a finished build, and the contents of cache mounts, into a directory that another machine's build reads (build/cache_import.h).
 *
 * Invariants:
 *  1. index.json is replaced last, by rename, after everything it leads to is on disk. kill -9 at any point leaves the old cache.
 *  2. One exporter at a time: flock on <dest>/index.json.lock, as BuildKit has it.
 *  3. A blob that the old index leads to is not written again; one that the new index does not lead to is removed.
 */
#pragma once

#include "build/engine.h"

/* Writes every --cache-to of the build. A failure is the build's, unless ignore-error was asked for. */
int cache_export_all(Build *build, Error *err);
