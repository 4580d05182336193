/*
 * Which checks are on: `skip=A,B;experimental=all;error=true`. Private to this folder.
 */
#pragma once

#include "dockerfile/lint.h"

typedef struct LintConfig {
        bool skip_all, experimental_all, error;
        uint32_t skip, experimental; /* bits by LintRuleId */
} LintConfig;

/* Errors: INVALID `invalid check option "x"`. `text` may hold a comment behind a space. */
int lint_config_parse(LintConfig *ret, const char *text, Error *err);

/* `base` with what a "check=…" comment among `comments` adds. */
LintConfig lint_config_merge(const LintConfig *base, const char **comments, size_t n_comments);

bool lint_config_allows(const LintConfig *config, LintRuleId id);
