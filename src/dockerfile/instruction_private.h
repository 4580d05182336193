/*
 * What instruction.c shares with its helpers. Private to this folder.
 */
#pragma once

#include "dockerfile/arena.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/instruction.h"

/* One node being understood; `out` and its parts live in `arena`. */
typedef struct Reading {
        const Dockerfile *df;
        const DfNode *node;
        Instruction *out;
        Arena *arena;
        Diagnosis *diag;
        Error *err;
} Reading;

int reading_fail(Reading *r, ErrorCode code, const char *format, ...) _printf_(3, 4);
int reading_fail_at(Reading *r, ErrorCode code, SourcePos pos, const char *format, ...) _printf_(4, 5);

/* Fills a zeroed Instruction that lives in `arena`. */
int instruction_read(Instruction *out, const Dockerfile *df, const DfNode *node, Arena *arena, Diagnosis *diag, Error *err);

/* The parsers that have files of their own. */
int read_run(Reading *r);
int read_health(Reading *r);
int read_copy(Reading *r);

/* Mounts: `value` is the text of --mount. Before expansion only `from` is read (expand == false). `env` may then be NULL. */
int mount_parse(DfMount *ret, const char *value, SourcePos pos, bool expand, const ExpandEnv *env, char escape, ExpandUse *use, Arena *arena, Error *err);

/* Go's time.ParseDuration, in nanoseconds. Errors: INVALID in its words. */
int health_duration_parse(const char *text, int64_t *ret, Error *err);

/* What ADD takes as a git repository, and as a file to download. */
bool source_is_git(const char *source);
bool source_is_url(const char *source);
