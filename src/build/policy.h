/*
 * Source policies: rules that allow, deny or convert what a build may take from outside (BuildKit's sourcepolicy, as buildx reads it from the file that
 * EXPERIMENTAL_BUILDKIT_SOURCE_POLICY names).
 *
 *   { "version": 1, "rules": [ { "action": "ALLOW"|"DENY"|"CONVERT",
 *     "selector": { "identifier": …, "match_type": "WILDCARD"|"EXACT"|"REGEX", "constraints": [ { "key", "value", "condition": "EQUAL"|"NOTEQUAL"|"MATCHES" } ]
 * }, "updates": { "identifier": …, "attrs": { … } } } ] }
 *
 * Of the rules that allow or deny the last one that matches counts; one that converts ends the round, and the rules are asked again about what it became, at
 * most 20 times. Identifiers are BuildKit's: "docker-image://docker.io/library/x:tag", "https://…", "git://host/path.git#ref", "local://context",
 * "oci-layout://…".
 *
 * Differs: members that no one knows are an error (a rule that is read only in part protects nothing). Regular expressions are POSIX extended ones with \d, \w
 * and \s; Go's (?…) groups and lazy quantifiers are refused.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"

typedef struct Policy Policy;

/* Reads the file. Errors: NOT_FOUND, INVALID, LIMIT. */
int policy_load(const char *path, Policy **ret, Error *err);
int policy_parse(const char *text, size_t size, Policy **ret, Error *err);
void policy_free(Policy *policy);
DEFINE_CLEANUP(Policy *, policy_free)

/* What is asked about, and what it became. */
typedef struct PolicySource {
        char *identifier;
        StrList attrs; /* "key=value": "http.checksum=sha256:…", "git.fullurl=…" */
} PolicySource;

void policy_source_done(PolicySource *source);
#define _cleanup_policy_source_ _cleanup_(policy_source_done)

/* 1 when it was converted, 0 when it may be used as it is. DENIED; INVALID (a rule that cannot be used, too many conversions). */
int policy_evaluate(const Policy *policy, PolicySource *source, Error *err);
