#include "build/lint.h"

#include "base/mem.h"
#include "dockerfile/lint.h"

void build_lint_base(const ImageConfig *config, LintBase *ret)
{
        ret->known = true;
        strlist_copy(&ret->env, &config->config.env);
        strlist_copy(&ret->onbuild, &config->config.on_build);
        ret->os = xstrdup_or_null(config->platform.os);
        ret->arch = xstrdup_or_null(config->platform.architecture);
        ret->variant = xstrdup_or_null(config->platform.variant);
        ret->work_dir = xstrdup_or_null(config->config.working_dir);
        ret->has_shell = config->config.shell.n_items > 0;
}

const char *build_lint_option(const Build *build)
{
        const StrList *args = &build->options->build_args;
        const char *value = NULL;

        for (size_t i = 0; i < args->n_items; i++)
                value = str_starts(args->items[i], "BUILDKIT_DOCKERFILE_CHECK=") ? strchr(args->items[i], '=') + 1 : value;
        return value;
}

/* Both as one writes them in one way; what is no platform is compared as it is. */
static bool same_platform(const char *a, const char *b)
{
        _cleanup_platform_ Platform x = { 0 }, y = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (platform_parse(a, &x, &ignored) < 0 || platform_parse(b, &y, &ignored) < 0)
                return false;
        return platform_equal(&x, &y);
}

/* What is known of a base image: those that this build has resolved; of one that several stages start from, for the platform in question if there is it. */
static int known_base(void *user, const char *image, const char *platform, LintBase *ret, Error *err)
{
        const Build *build = user;
        const BuildStage *found = NULL;

        platform = str_empty(platform) ? build->targets[0].text : platform;
        for (size_t i = 0; i < build->parsed->n_items; i++) {
                const BuildStage *stage = build->stages[i];

                if (!stage->needed || stage->base || !streq(stage->base_name, image))
                        continue;
                if (!found || same_platform(platform, stage_platform(stage)))
                        found = stage;
        }
        if (found)
                build_lint_base(&found->image, ret);
        return 0;
}

static int fail_on(const LintResult *result, Error *err)
{
        _cleanup_strlist_ StrList rules = { 0 };
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < result->n_warnings; i++)
                if (!strlist_has(&rules, result->warnings[i].rule->name))
                        strlist_add(&rules, result->warnings[i].rule->name);
        strlist_sort(&rules);
        text = strlist_join(&rules, ", ");
        return error_set(err, ERROR_INVALID, "lint violation found for rules: %s", text);
}

/*
 * An instruction that will fail when its turn comes fails now, before anything has run: the checks have expanded all of them. With a named context in the place
 * of a stage or an image they did not see what the build does, and the instruction speaks for itself.
 */
static int fail_early(Build *build, const Diagnosis *found, Error *err)
{
        SourceRange range = found->n_ranges ? found->ranges[0] : (SourceRange){ 0 };

        if (build->options->n_contexts > 0 || build->plan_only)
                return 0;
        diagnosis_set(&build->diagnosis, err, ERROR_INVALID, build->dockerfile_name, found->pos, range, "%s", found->message);
        for (size_t i = 1; i < found->n_ranges; i++)
                diagnosis_add_range(&build->diagnosis, found->ranges[i]);
        return -1;
}

int build_lint(Build *build, Error *err)
{
        _cleanup_(lint_result_done) LintResult result = LINT_RESULT_INIT;
        LintOptions options = {
                .scope = target_scope_options(&build->targets[0]),
                .target = build->options->target,
                .needed_only = true,
                .check = build_lint_option(build),
                .ignore = build->ignore,
                .base_image = known_base,
                .user = build,
        };

        if (lint_run_parsed(&result, build->parsed, &options, err) < 0)
                return -1;
        if (result.bad_options)
                return error_set(err, ERROR_INVALID, "%s", result.build_error.message);
        for (size_t i = 0; i < result.n_warnings; i++) {
                const LintWarning *found = &result.warnings[i];

                progress_warning(build->progress, &(BuildWarning){
                                                          .rule = found->rule->name,
                                                          .message = found->detail,
                                                          .description = found->rule->description,
                                                          .url = str_empty(found->rule->url) ? NULL : found->rule->url,
                                                          .file = build->dockerfile_name,
                                                          .line = found->range.start,
                                                          .end_line = found->range.end,
                                                  });
        }
        if (result.has_build_error && fail_early(build, &result.build_error, err) < 0)
                return -1;
        return result.error_on_warning && result.n_warnings ? fail_on(&result, err) : 0;
}
