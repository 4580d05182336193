/*
 * What every FROM of a file must be, also in a stage that nobody needs.
 */
#pragma once

#include "dockerfile/scope.h"

/*
 * `platform` is the expanded value of --platform (NULL is fine), `use` the names that it was made of (or NULL).
 * Errors: INVALID `failed to parse platform ${P}: "x/y/z/w": cannot parse platform specifier: invalid argument`.
 */
int from_check_platform(const GlobalScope *scope, const Instruction *from, const char *platform, const ExpandUse *use, Diagnosis *diag, Error *err);

/* The name of a stage could be that of a named context, so it must be one: "a.", "a..b" are not. Errors: INVALID `invalid context name a.: …`. */
int from_check_name(const Instruction *from, Diagnosis *diag, Error *err);

/* `base` is the expanded word, and no stage. Errors: INVALID `failed to parse stage name "Busybox": invalid reference format: …`. */
int from_check_base(const Instruction *from, const char *base, Diagnosis *diag, Error *err);
