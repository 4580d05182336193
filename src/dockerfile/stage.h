/*
 * A whole Dockerfile: global ARGs, then stages, and the lookups between them.
 */
#pragma once

#include "dockerfile/instruction.h"

typedef struct Stage {
        size_t index;
        const char *name;          /* lower case; NULL without AS */
        int same_name;             /* the stage before this one with its name, or -1 */
        const Instruction *from;   /* its FROM */
        Instruction *instructions; /* without the FROM */
        size_t n_instructions;
} Stage;

typedef struct Stages {
        const Dockerfile *df;
        Instruction *global_args; /* ARGs before the first FROM */
        size_t n_global_args;
        Stage *items;
        size_t n_items;
        Map *last; /* name -> index + 1 of the last stage with it */
        Arena *arena;
} Stages;

/*
 * Understands every node of `df`. Errors as instruction_parse(); INVALID for an instruction before the first FROM ("no build stage in current context")
 * and for a file without FROM ("dockerfile contains no stages to build").
 * Ownership: *ret is freed with stages_free(), before the Dockerfile.
 */
int stages_parse(Stages **ret, const Dockerfile *df, Diagnosis *diag, Error *err);
void stages_free(Stages *stages);
DEFINE_CLEANUP(Stages *, stages_free)

/* The last stage before `before` with this name, in any case (duplicate names are allowed; the latest wins). Returns the index or -1. */
int stages_find(const Stages *stages, const char *name, size_t before);

/*
 * The stage of --target: a name in any case; NULL or "" is the last one. Unlike BuildKit a number is an index when no stage has it as its name
 * (the classic builder allowed that).
 * Errors: NOT_FOUND `target stage "x" could not be found (did you mean y?)`.
 */
int stages_target(const Stages *stages, const char *target, size_t *ret, Error *err);

/*
 * What COPY --from=WORD or a mount's from= names, seen from stage `at`: *ret is the stage's index, or -1 for an image or named context.
 * Any stage of the file is found, also a later one: dependency_order decides whether that is an error. COPY also takes an index.
 * Errors: INVALID `invalid stage index 7`; variables in `from` (`variable expansion is not supported for --from, …`).
 */
int stages_find_source(const Stages *stages, const Instruction *instruction, const char *from, int *ret, Diagnosis *diag, Error *err);

/*
 * The stages that `target` (or STAGES_ALL) needs (itself included), as flags per index: FROM stage, COPY --from, mount from=. `base_of[i]` (may be NULL) is the
 * stage that stage i starts from, or -1; `base_names[i]` the expanded FROM words (scope.h). Errors: INVALID for a cycle ("circular dependency detected on
 * stage: x") and for a stage used before it is defined
 * (`cannot copy from stage "x", it needs to be defined before current stage "y"`).
 */
#define STAGES_ALL SIZE_MAX
int stages_reachable(const Stages *stages, const char *const *base_names, size_t target, bool *ret_needed, int *base_of, Diagnosis *diag, Error *err);
