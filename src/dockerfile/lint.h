/*
 * Build checks: BuildKit's 22 rules with its names, texts, links and lines.
 *
 * Order of the results: by phase, as BuildKit emits them (file, stages, FROM lines, instructions of each stage). `skip`, `experimental` and `error` come from
 * `# check=…` at the head of the file (or `check` in the options, which replaces it), and from `# check=…` comments right above an instruction.
 *
 * To add a rule: an entry in LintRuleId and in the table of lint_rules.c, the call in the phase it belongs to, cases in tests/golden/dockerfile/lint.
 */
#pragma once

#include "dockerfile/diagnose.h"
#include "dockerfile/ignore.h"
#include "dockerfile/scope.h"

typedef enum LintRuleId {
        LINT_STAGE_NAME_CASING,
        LINT_FROM_AS_CASING,
        LINT_NO_EMPTY_CONTINUATION,
        LINT_CONSISTENT_INSTRUCTION_CASING,
        LINT_DUPLICATE_STAGE_NAME,
        LINT_RESERVED_STAGE_NAME,
        LINT_JSON_ARGS_RECOMMENDED,
        LINT_MAINTAINER_DEPRECATED,
        LINT_UNDEFINED_ARG_IN_FROM,
        LINT_WORKDIR_RELATIVE_PATH,
        LINT_UNDEFINED_VAR,
        LINT_MULTIPLE_INSTRUCTIONS_DISALLOWED,
        LINT_LEGACY_KEY_VALUE_FORMAT,
        LINT_INVALID_BASE_IMAGE_PLATFORM,
        LINT_REDUNDANT_TARGET_PLATFORM,
        LINT_SECRETS_USED_IN_ARG_OR_ENV,
        LINT_INVALID_DEFAULT_ARG_IN_FROM,
        LINT_FROM_PLATFORM_FLAG_CONST_DISALLOWED,
        LINT_COPY_IGNORED_FILE,
        LINT_INVALID_DEFINITION_DESCRIPTION,
        LINT_EXPOSE_PROTO_CASING,
        LINT_EXPOSE_INVALID_FORMAT,
        LINT_RULES
} LintRuleId;

typedef struct LintRule {
        const char *name; /* "StageNameCasing" */
        const char *description;
        const char *url; /* or "" */
        bool experimental;
} LintRule;

const LintRule *lint_rule(LintRuleId id);

typedef struct LintWarning {
        LintRuleId id;
        const LintRule *rule;
        char *detail;      /* "Stage name 'Foo' should be lowercase" */
        SourceRange range; /* BuildKit's JSON has one range per line */
} LintWarning;

typedef struct LintResult {
        LintWarning *warnings;
        size_t n_warnings, capacity;
        bool error_on_warning; /* `error=true`: a build with warnings fails */
        bool has_build_error;  /* the Dockerfile is wrong: `build_error` says how; warnings up to there are kept */
        bool bad_options;      /* … because of its check options: no other part of a build finds that */
        Diagnosis build_error;
} LintResult;

#define LINT_RESULT_INIT ((LintResult){ 0 })
void lint_result_done(LintResult *result);

/* What is known of a base image without pulling it. */
typedef struct LintBase {
        bool known;  /* false: UndefinedVar is not judged in stages on it */
        StrList env; /* of its config */
        char *os, *arch, *variant;
        char *work_dir;
        bool has_shell;  /* SHELL is set in its config */
        StrList onbuild; /* triggers */
} LintBase;
void lint_base_done(LintBase *base);

typedef struct LintOptions {
        ScopeOptions scope;
        const char *target;          /* NULL: all stages are checked, or with `needed_only` … */
        bool needed_only;            /* … those that the last one needs, as in an ordinary build */
        const char *check;           /* replaces the file's directive (BUILDKIT_DOCKERFILE_CHECK); NULL: the file's */
        const IgnoreMatcher *ignore; /* of the build context; NULL: none */
        /* Fills *ret for an image reference and platform ("linux/amd64"; NULL: the target's). NULL callback: nothing is known. -1 makes a build error. */
        int (*base_image)(void *user, const char *image, const char *platform, LintBase *ret, Error *err);
        void *user;
} LintOptions;

/*
 * Checks a Dockerfile. A wrong Dockerfile is a result, not a failure.
 * Returns 0, or -1 only for limits and bad options.
 */
int lint_run(LintResult *result, const char *filename, const void *text, size_t size, const LintOptions *options, Error *err);

/* The same over what was parsed already (ordinary builds). */
int lint_run_parsed(LintResult *result, const Stages *stages, const LintOptions *options, Error *err);

/* Sorts by line for the text form (stable). */
void lint_result_sort(LintResult *result);
