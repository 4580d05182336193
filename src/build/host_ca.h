/*
 * The host's CA bundle inside a RUN, for networks whose TLS is checked against certificates that a fresh base image does not have. It is lent: nothing of it is
 * in the layer, in the history or in the cache key.
 */
#pragma once

#include "build/engine.h"
#include "build/stubs.h"

/*
 * Mounts the bundle into the container of `spec`, names it in variables that the image does not set, and lends it to the image's own place of it. Errors:
 * NOT_FOUND (this host has none).
 */
int host_ca_prepare(Build *build, RunSpec *spec, Stubs *stubs, Error *err);
