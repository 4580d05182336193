/*
 * The order of phases is BuildKit's, since a wrong Dockerfile shows the warnings up to its error: lines, instructions, stages, FROM words, graph, walk.
 */
#include "dockerfile/lint.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "dockerfile/directive.h"
#include "dockerfile/from.h"
#include "dockerfile/image_name.h"
#include "dockerfile/lint_private.h"
#include "dockerfile/text.h"

void lint_result_done(LintResult *result)
{
        for (size_t i = 0; i < result->n_warnings; i++)
                free(result->warnings[i].detail);
        free(result->warnings);
        diagnosis_done(&result->build_error);
        *result = LINT_RESULT_INIT;
}

void lint_base_done(LintBase *base)
{
        strlist_done(&base->env);
        strlist_done(&base->onbuild);
        free(base->os);
        free(base->arch);
        free(base->variant);
        free(base->work_dir);
        *base = (LintBase){ 0 };
}

void lint_warn(LintRun *run, const LintConfig *config, LintRuleId id, SourceRange range, const char *format, ...)
{
        LintResult *result = run->result;
        va_list args;

        if (!lint_config_allows(config, id))
                return;
        va_start(args, format);
        GROW(result->warnings, result->capacity, result->n_warnings + 1);
        result->warnings[result->n_warnings++] = (LintWarning){ id, lint_rule(id), xvasprintf(format, args), range };
        va_end(args);
}

static bool is_lower(const char *s)
{
        return s[strcspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static bool is_upper(const char *s)
{
        return s[strcspn(s, "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

/* Whether `lower` is the lower case of `word`: BuildKit compares with the name as it has stored it. */
static bool is_lowered(const char *word, const char *lower, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if ((word[i] >= 'A' && word[i] <= 'Z' ? word[i] | 0x20 : word[i]) != lower[i])
                        return false;
        return true;
}

/* ---- instructions by themselves ---- */

/* A comment right above an ARG or a named FROM should describe it: "# name text". */
static void check_description(LintRun *run, const LintConfig *config, const DfNode *node, const char *keyword, const DfWord *names, size_t n_names, bool lower)
{
        const char *comment;
        size_t n;

        if (node->n_comments == 0 || n_names == 0)
                return;
        comment = node->comments[node->n_comments - 1];
        n = strcspn(comment, " ");
        for (size_t i = 0; i < n_names; i++) {
                size_t n_name = strcspn(names[i].text, "=");

                if (n_name == n && (lower ? is_lowered(names[i].text, comment, n) : strncmp(names[i].text, comment, n) == 0))
                        return;
        }
        if (n_names > 1) {
                lint_warn(run, config, LINT_INVALID_DEFINITION_DESCRIPTION, node->range, "Comment for %s should follow the format: `# <arg_key> <description>`",
                          keyword);
        } else {
                _cleanup_free_ char *raw = xstrndup(names[0].text, strcspn(names[0].text, "=")), *name = lower ? str_lower(raw) : xstrdup(raw);

                lint_warn(run, config, LINT_INVALID_DEFINITION_DESCRIPTION, node->range, "Comment for %s should follow the format: `# %s <description>`",
                          keyword, name);
        }
}

static void check_from_casing(LintRun *run, const LintConfig *config, const DfNode *node)
{
        if (node->n_args == 3 && !is_lower(node->args[2].text))
                lint_warn(run, config, LINT_STAGE_NAME_CASING, node->range, "Stage name '%s' should be lowercase", node->args[2].text);
        if (node->n_args >= 3 && (is_lower(node->keyword) ? !is_lower(node->args[1].text) : is_upper(node->keyword) && !is_upper(node->args[1].text)))
                lint_warn(run, config, LINT_FROM_AS_CASING, node->range, "'%s' and '%s' keywords' casing do not match", node->args[1].text, node->keyword);
}

/* `broken`: this node could not be understood; what BuildKit says before it finds out. */
static void check_node(LintRun *run, const DfNode *node, bool broken)
{
        LintConfig config = lint_config_merge(&run->config, node->comments, node->n_comments);

        if (strcasecmp(node->keyword, "maintainer") == 0)
                lint_warn(run, &config, LINT_MAINTAINER_DEPRECATED, node->range, "Maintainer instruction is deprecated in favor of using label");
        if (strcasecmp(node->keyword, "from") == 0)
                check_from_casing(run, &config, node);
        if (broken)
                return;
        if (strcasecmp(node->keyword, "from") == 0 && node->n_args == 3)
                check_description(run, &config, node, "FROM", &node->args[2], 1, true);
        if (strcasecmp(node->keyword, "arg") == 0)
                check_description(run, &config, node, "ARG", node->args, node->n_args, false);
}

static void check_nodes(LintRun *run, uint32_t broken_line)
{
        for (size_t i = 0; i < run->df->n_empty_continuations; i++) {
                uint32_t line = run->df->empty_continuations[i];

                lint_warn(run, &run->config, LINT_NO_EMPTY_CONTINUATION, (SourceRange){ line, line }, "Empty continuation line");
        }
        for (size_t i = 0; i < run->df->n_nodes; i++) {
                const DfNode *node = run->df->nodes[i];
                bool broken = broken_line > 0 && node->range.start >= broken_line;

                check_node(run, node, broken);
                if (broken)
                        break;
        }
}

/* ---- stages ---- */

static void check_stage_names(LintRun *run)
{
        Map *seen = map_new(NULL);

        for (size_t i = 0; i < run->stages->n_items; i++) {
                const Stage *stage = &run->stages->items[i];

                if (!stage->name)
                        continue;
                if (streq(stage->name, "scratch") || streq(stage->name, "context"))
                        lint_warn(run, &run->config, LINT_RESERVED_STAGE_NAME, stage->from->range,
                                  "Stage name should not use the same name as reserved stage \"%s\"", stage->name);
                if (map_has(seen, stage->name))
                        lint_warn(run, &run->config, LINT_DUPLICATE_STAGE_NAME, stage->from->range, "Duplicate stage name \"%s\", stage names should be unique",
                                  stage->name);
                map_set(seen, stage->name, NULL);
        }
        map_free(seen);
}

static void check_casing(LintRun *run)
{
        size_t n_lower = 0, n_upper = 0;
        bool lower;

        for (int pass = 0; pass < 2; pass++) {
                lower = n_lower > n_upper;
                for (size_t i = 0; i < run->stages->n_items; i++) {
                        const Stage *stage = &run->stages->items[i];

                        for (size_t j = 0; j <= stage->n_instructions; j++) {
                                const Instruction *in = j == 0 ? stage->from : &stage->instructions[j - 1];

                                if (pass == 0) {
                                        n_lower += is_lower(in->keyword);
                                        n_upper += !is_lower(in->keyword) && is_upper(in->keyword);
                                } else if (lower ? !is_lower(in->keyword) : !is_upper(in->keyword)) {
                                        lint_warn(run, &run->config, LINT_CONSISTENT_INSTRUCTION_CASING, in->range,
                                                  "Command '%s' should match the case of the command majority (%s)", in->keyword,
                                                  lower ? "lowercase" : "uppercase");
                                }
                        }
                }
        }
}

/* ---- FROM words ---- */

/* With no build arguments given, every FROM should still name something. */
static void check_default_bases(LintRun *run)
{
        _cleanup_(global_scope_freep) GlobalScope *defaults = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_strlist_ StrList platform_args = { 0 };
        ScopeOptions options = run->options->scope;
        ExpandEnv env;

        for (size_t i = 0; options.build_args && i < options.build_args->n_items; i++)
                if (str_starts(options.build_args->items[i], "BUILD") || str_starts(options.build_args->items[i], "TARGET"))
                        strlist_add(&platform_args, options.build_args->items[i]);
        options.build_args = &platform_args;
        if (global_scope_new(&defaults, run->stages, &options, NULL, &ignored) < 0)
                return;
        env = global_scope_env(defaults);
        for (size_t i = 0; i < run->stages->n_items; i++) {
                const Instruction *from = run->stages->items[i].from;
                const ExpandOptions expand = { .escape = from->escape };
                _cleanup_error_ Error invalid = ERROR_INIT;
                _cleanup_free_ char *image = NULL;

                if (expand_word(&image, from->from.image.text, &env, &expand, NULL, &ignored) < 0)
                        return;
                if (image_name_check(image, &invalid) < 0)
                        lint_warn(run, &run->config, LINT_INVALID_DEFAULT_ARG_IN_FROM, from->range,
                                  "Default value for ARG %s results in empty or invalid base image name", from->from.image.text);
        }
}

static void warn_undeclared(LintRun *run, const LintConfig *config, const Instruction *from, const StrList *undefined)
{
        _cleanup_strlist_ StrList declared = { 0 };

        if (undefined->n_items == 0)
                return;
        for (size_t i = 0; i < run->stages->n_global_args; i++)
                for (size_t j = 0; j < run->stages->global_args[i].pairs.n_items; j++)
                        strlist_add(&declared, run->stages->global_args[i].pairs.items[j].key);
        global_scope_names(run->global, &declared);
        for (size_t i = 0; i < undefined->n_items; i++) {
                const char *name = undefined->items[i];
                _cleanup_free_ char *suggestion = NULL;

                if (strlist_has(&declared, name))
                        continue;
                suggestion = dockerfile_suggest(name, (const char *const *)strlist_argv(&declared), declared.n_items, false);
                if (suggestion)
                        lint_warn(run, config, LINT_UNDEFINED_ARG_IN_FROM, from->range, "FROM argument '%s' is not declared (did you mean %s?)", name,
                                  suggestion);
                else
                        lint_warn(run, config, LINT_UNDEFINED_ARG_IN_FROM, from->range, "FROM argument '%s' is not declared", name);
        }
}

static void check_platform(LintRun *run, const LintConfig *config, const Instruction *from, const char *platform, const ExpandUse *use)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        const char *target = global_scope_get(run->global, "TARGETPLATFORM"), *name = from->from.name ? from->from.name : "";
        PlatformName parsed;

        if (use->used.n_items == 1 && use->undefined.n_items == 0 && streq(use->used.items[0], "TARGETPLATFORM") && streq_ptr(platform, target))
                lint_warn(run, config, LINT_REDUNDANT_TARGET_PLATFORM, from->range,
                          "Setting platform to predefined %s in FROM is redundant as this is the default behavior", from->from.platform);
        if (use->used.n_items > 0 || use->undefined.n_items > 0 || platform_name_parse(platform, &parsed, &ignored) < 0)
                return;
        if (!strstr(name, parsed.os) && !strstr(name, parsed.arch)) {
                _cleanup_free_ char *quoted = text_quoted(platform);

                lint_warn(run, config, LINT_FROM_PLATFORM_FLAG_CONST_DISALLOWED, from->range, "FROM --platform flag should not use constant value %s", quoted);
        }
}

static int check_from(LintRun *run, size_t index, Error *err)
{
        const Instruction *from = run->stages->items[index].from;
        LintConfig config = lint_config_merge(&run->config, from->comments, from->n_comments);
        _cleanup_expand_use_ ExpandUse image_use = EXPAND_USE_INIT, platform_use = EXPAND_USE_INIT;
        int r;

        r = global_scope_from(run->global, from, &run->base_names[index], &run->platforms[index], &image_use, &platform_use, run->diag, err);
        warn_undeclared(run, &config, from, &image_use.undefined);
        warn_undeclared(run, &config, from, &platform_use.undefined);
        if (r < 0)
                return -1;
        if (run->platforms[index])
                check_platform(run, &config, from, run->platforms[index], &platform_use);
        if (from_check_platform(run->global, from, run->platforms[index], &platform_use, run->diag, err) < 0)
                return -1;
        return from_check_name(from, run->diag, err);
}

/* ---- all together ---- */

static int plan(LintRun *run, Error *err)
{
        const LintOptions *options = run->options;
        size_t target, n = run->stages->n_items;

        if (global_scope_new(&run->global, run->stages, &options->scope, run->diag, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++)
                if (check_from(run, i, err) < 0)
                        return -1;
        if (stages_target(run->stages, options->target, &target, err) < 0) {
                run->diag->message = xstrdup(error_message(err));
                return -1;
        }
        if (str_empty(options->target) && !options->needed_only)
                target = STAGES_ALL;
        if (stages_reachable(run->stages, (const char *const *)run->base_names, target, run->needed, run->base_of, &run->order, err) < 0) {
                if (!str_starts(run->order.message, "cannot ")) {
                        *run->diag = run->order;
                        run->order = DIAGNOSIS_INIT;
                        return -1;
                }
                error_done(err);
        }
        for (size_t i = 0; i < n; i++)
                if (run->base_of[i] < 0 && from_check_base(run->stages->items[i].from, run->base_names[i], run->diag, err) < 0)
                        return -1;
        if (lint_ask_bases(run, err) < 0)
                return -1;
        return lint_walk(run, err);
}

static int run_stages(LintRun *run, Error *err)
{
        size_t n = run->stages->n_items;
        int r;

        check_stage_names(run);
        check_casing(run);
        check_default_bases(run);
        run->base_names = NEW_ARRAY(char *, n + 1);
        run->platforms = NEW_ARRAY(char *, n + 1);
        run->base_of = NEW_ARRAY(int, n + 1);
        run->needed = NEW_ARRAY(bool, n + 1);
        run->walked = NEW_ARRAY(LintStage, n + 1);
        r = plan(run, err);
        for (size_t i = 0; i < n; i++) {
                free(run->base_names[i]);
                free(run->platforms[i]);
                if (run->walked[i].walked)
                        stage_scope_done(&run->walked[i].scope);
                lint_base_done(&run->walked[i].base);
        }
        free(run->base_names);
        free(run->platforms);
        free(run->base_of);
        free(run->needed);
        free(run->walked);
        diagnosis_done(&run->order);
        global_scope_free(run->global);
        run->global = NULL;
        return r;
}

/* `error=true` turns warnings into a failing build. */
static void apply_error_option(LintRun *run)
{
        LintResult *result = run->result;
        uint32_t seen = 0;
        Buf text = BUF_INIT(SIZE_MAX / 2);

        result->error_on_warning = run->config.error;
        if (!run->config.error || result->n_warnings == 0 || result->has_build_error) {
                buf_done(&text);
                return;
        }
        for (size_t i = 0; i < result->n_warnings; i++) {
                uint32_t bit = UINT32_C(1) << result->warnings[i].id;

                if (!(seen & bit))
                        buf_putf(&text, "%s%s", seen ? ", " : "lint violation found for rules: ", result->warnings[i].rule->name);
                seen |= bit;
        }
        result->has_build_error = true;
        result->build_error.message = buf_detach(&text);
}

static void finish(LintRun *run, int r, Error *inner)
{
        LintResult *result = run->result;

        if (r < 0) {
                result->has_build_error = true;
                if (!result->build_error.message)
                        result->build_error.message = xstrdup(error_message(inner));
        }
        apply_error_option(run);
}

/* The value of `# check=` at the head of a text that cannot be parsed, or NULL. New string. */
static char *head_option(const char *text, size_t size)
{
        const char *name, *value;
        size_t at = 0, value_size;
        unsigned line = 0;

        while (directive_next(text, size, "#", &at, &line, &name, &value, &value_size))
                if (streq(name, "check"))
                        return xstrndup(value, value_size);
        return NULL;
}

/* `text`: what the file says; NULL: nothing. */
static int check_options(LintRun *run, const char *text, Error *inner)
{
        text = run->options->check ? run->options->check : text;
        run->result->bad_options = lint_config_parse(&run->config, text ? text : "", inner) < 0;
        if (run->result->bad_options)
                return error_wrap(inner, "failed to parse check options");
        return 0;
}

static int read_config(LintRun *run, const Dockerfile *df, Error *inner)
{
        return check_options(run, df ? dockerfile_directive(df, "check") : NULL, inner);
}

int lint_run_parsed(LintResult *result, const Stages *stages, const LintOptions *options, Error *err)
{
        _cleanup_error_ Error inner = ERROR_INIT;
        LintRun run = { .result = result, .options = options, .df = stages->df, .stages = stages, .diag = &result->build_error };
        int r;

        r = read_config(&run, run.df, &inner);
        if (r == 0) {
                check_nodes(&run, 0);
                r = run_stages(&run, &inner);
        }
        finish(&run, r, &inner);
        return inner.code == ERROR_LIMIT ? error_move(err, &inner) : 0;
}

int lint_run(LintResult *result, const char *filename, const void *text, size_t size, const LintOptions *options, Error *err)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_(stages_freep) Stages *stages = NULL;
        _cleanup_error_ Error inner = ERROR_INIT;
        LintRun run = { .result = result, .options = options, .diag = &result->build_error };

        if (dockerfile_parse(&df, filename, text, size, run.diag, &inner) < 0) {
                _cleanup_error_ Error wrong_options = ERROR_INIT;
                _cleanup_free_ char *check = head_option(text, size);

                /* Wrong options are said first, whatever else is wrong. */
                if (check_options(&run, check, &wrong_options) < 0) {
                        diagnosis_done(run.diag);
                        error_done(&inner);
                        error_move(&inner, &wrong_options);
                }
                finish(&run, -1, &inner);
                return 0;
        }
        if (stages_parse(&stages, df, run.diag, &inner) == 0)
                return lint_run_parsed(result, stages, options, err);
        run.df = df;
        if (read_config(&run, df, &inner) < 0)
                diagnosis_done(run.diag);
        else
                check_nodes(&run, run.diag->n_ranges ? run.diag->ranges[0].start : 0);
        finish(&run, -1, &inner);
        return 0;
}

static int compare_warnings(const void *a, const void *b)
{
        const LintWarning *const *x = a, *const *y = b;

        if ((*x)->range.start != (*y)->range.start)
                return (*x)->range.start < (*y)->range.start ? -1 : 1;
        return *x < *y ? -1 : *x > *y; /* keep the order of emission */
}

void lint_result_sort(LintResult *result)
{
        LintWarning **order = NEW_ARRAY(LintWarning *, result->n_warnings + 1), *sorted = NEW_ARRAY(LintWarning, result->n_warnings + 1);

        for (size_t i = 0; i < result->n_warnings; i++)
                order[i] = &result->warnings[i];
        qsort(order, result->n_warnings, sizeof(*order), compare_warnings);
        for (size_t i = 0; i < result->n_warnings; i++)
                sorted[i] = *order[i];
        free(result->warnings);
        free(order);
        result->warnings = sorted;
        result->capacity = result->n_warnings + 1;
}
