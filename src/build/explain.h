/*
 * Why each step was or was not answered by the cache: `mica build --explain`.
 *
 * After every build in which a key or a result differs from the time before, what went into the keys is written by name to <store>/cache/explain/<hash>
 * (docs/formats/explain.md), one file for each Dockerfile, target and context. The next build compares. A build in which nothing changed reads 72 bytes of that
 * file.
 */
#pragma once

#include "base/str.h"
#include "build/explain_record.h"

typedef enum ExplainVerdict { EXPLAIN_CACHED, EXPLAIN_RAN, EXPLAIN_FAILED } ExplainVerdict;

const char *explain_verdict_name(ExplainVerdict verdict); /* "cached", "ran", "failed" */

typedef struct ExplainedStep {
        const char *stage; /* "" in a Dockerfile with one stage */
        char *name;        /* "[builder 2/5] RUN make" */
        unsigned line;
        ExplainVerdict verdict;
        char *reason;           /* one sentence */
        ExplainChanges changes; /* since the last build; empty when that is not known */
        StrList notes;
} ExplainedStep;

struct Build;

/* Compares, tells options->explain, and writes what the next build compares with. Call once, when no step runs any more. Never fails: what goes wrong is
 * logged. */
void explain_build(struct Build *build);
