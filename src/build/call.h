/*
 * What a Dockerfile says of itself, without building anything: `mica build --check` and `--call`.
 *
 * Nothing is run, nothing is written, and a store is not needed. With one, base images that it has are asked for their variables, platform and triggers;
 * checks that need those are left out for images that it does not have. Only a context that is not a directory goes through a store.
 */
#pragma once

#include "build/build.h"
#include "dockerfile/outline.h"

typedef enum BuildCallKind { BUILD_CALL_CHECK, BUILD_CALL_OUTLINE, BUILD_CALL_TARGETS } BuildCallKind;

typedef struct BuildCallTarget {
        char *name, *description, *base, *platform; /* base and platform as written; NULL: none */
        bool is_default;
        SourceRange range;
} BuildCallTarget;

typedef struct BuildCallResult {
        char *filename; /* "Dockerfile": without directories */
        char *path;     /* as it was found: "sub/Dockerfile"; "stdin" for standard input */
        Buf text;       /* the Dockerfile */
        LintResult lint;
        Outline outline;
        BuildCallTarget *targets;
        size_t n_targets;
} BuildCallResult;

void build_call_result_done(BuildCallResult *result);

/* Whether the context is one that is kept in a store: remote, or standard input. */
bool build_call_needs_store(const BuildOptions *options);

/*
 * `store` may be NULL unless it is needed for the context. Fills the part of *ret that `kind` is about, beside the source. A wrong Dockerfile is part of the
 * result of a check (lint.build_error) and an error of the others. Errors: INVALID, NOT_FOUND (no Dockerfile, no such target). Free *ret in either case.
 */
int build_call(Store *store, const BuildOptions *options, BuildCallKind kind, BuildCallResult *ret, Error *err);
