/*
 * The host's CA bundle inside a RUN, for networks whose TLS is checked against certificates that a fresh base image does not have. It is lent: nothing of it is
 * in the layer, in the history or in the cache key.
 */
#pragma once

#include "build/engine.h"
#include "build/stubs.h"

int host_ca_prepare(Build *build, RunSpec *spec, Stubs *stubs, Error *err);
