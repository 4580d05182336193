/*
 * The "--name=value" flags of an instruction against a table. Private to this folder.
 */
#pragma once

#include "dockerfile/ast.h"

typedef enum FlagType { FLAG_BOOL, FLAG_STRING, FLAG_STRINGS } FlagType;

typedef struct FlagRule {
        const char *name;
        FlagType type;
} FlagRule;

typedef struct FlagValue {
        bool used;
        bool boolean;      /* FLAG_BOOL */
        const char *value; /* FLAG_STRING: or NULL */
        SourcePos pos;
        DfWord *values; /* FLAG_STRINGS */
        size_t n_values, capacity;
} FlagValue;

/* `values` has n_rules elements, zeroed. Errors: INVALID, with BuildKit's texts; the place is the flag. */
int flags_parse(const Dockerfile *df, const DfNode *node, const FlagRule *rules, size_t n_rules, FlagValue *values, Arena *arena, Diagnosis *diag, Error *err);
