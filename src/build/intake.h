/*
 * The gate that everything from outside passes: source policies (policy.h) decide before anything is asked of a server, the lock (--locked) decides when it is
 * known what it is and before it is used, and the list of sources (sources.h) gets it.
 */
#pragma once

#include "build/engine.h"
#include "build/sources.h"
#include "dockerfile/git_url.h"

/* Reads the policy that EXPERIMENTAL_BUILDKIT_SOURCE_POLICY names and the lock of --locked. */
int intake_open(Build *build, Error *err);
void intake_close(Build *build);

/* Policies. Each may change what is to be taken; new strings. DENIED. */
int intake_image(Build *build, const char *name, char **ret_name, Error *err);
/* `checksum` (may be set already) gets what a policy demands: CORRUPT when both are set and differ. */
int intake_http(Build *build, const char *url, char **ret_url, Digest *checksum, Error *err);
int intake_git(Build *build, GitUrl *url, bool *keep_git_dir, Error *err);
/* "local://context", "oci-layout://…": what can be allowed or denied but not converted. */
int intake_other(Build *build, const char *identifier, Error *err);

/* The lock, and the list. DENIED when the build is locked to something else. */
int intake_take(Build *build, const SourceRecord *record, Error *err);

/* Writes the lock of --pin, when it was asked for. */
int intake_pin(Build *build, Error *err);
