/*
 * What the phases of a check share. Private to this folder.
 */
#pragma once

#include "dockerfile/lint.h"
#include "dockerfile/lint_config.h"

/* What a stage looks like once it has been walked; later stages may start from it. */
typedef struct LintStage {
        StageScope scope;
        LintBase base; /* of the image it starts from */
        bool walked;
        bool env_known; /* false: the base image could not be asked */
        bool work_dir_set, has_shell;
} LintStage;

typedef struct LintRun {
        LintResult *result;
        LintConfig config;
        const LintOptions *options;
        const Dockerfile *df;
        const Stages *stages;
        GlobalScope *global;
        char **base_names; /* per stage, expanded */
        char **platforms;  /* per stage, expanded; NULL without --platform */
        int *base_of;
        bool *needed;
        LintStage *walked;
        size_t total_env; /* of the stages walked */
        Diagnosis order;  /* a stage used before it is defined: reported when the walk gets there */
        Diagnosis *diag;  /* of the result */
} LintRun;

void lint_warn(LintRun *run, const LintConfig *config, LintRuleId id, SourceRange range, const char *format, ...) _printf_(5, 6);

/* Asks for the base images of the needed stages. -1: as lint_walk(). */
int lint_ask_bases(LintRun *run, Error *err);

/* Walks the instructions of the needed stages in order. -1: the build error is in run->diag. */
int lint_walk(LintRun *run, Error *err);
