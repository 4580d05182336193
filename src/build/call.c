#include "build/call.h"

#include <string.h>

#include "base/mem.h"
#include "build/context.h"
#include "build/engine.h"
#include "build/lint.h"
#include "build/named.h"

void build_call_result_done(BuildCallResult *result)
{
        for (size_t i = 0; i < result->n_targets; i++) {
                free(result->targets[i].name);
                free(result->targets[i].description);
                free(result->targets[i].base);
                free(result->targets[i].platform);
        }
        free(result->targets);
        free(result->filename);
        free(result->path);
        buf_done(&result->text);
        lint_result_done(&result->lint);
        outline_done(&result->outline);
        *result = (BuildCallResult){ 0 };
}

/* An image of the store, however it is called in this build. What is not there, or cannot be read, is not known; a check is no place to complain. */
static int stored_base(void *user, const char *image, const char *platform, LintBase *ret, Error *err)
{
        const Build *build = user;
        _cleanup_(image_freep) Image *found = NULL;
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error ignored = ERROR_INIT;

        platform = str_empty(platform) ? build->targets[0].text : platform;
        if (named_find(build, image, platform)) {
                image = named_value(build, image, platform, "docker-image://");
                if (!image)
                        return 0;
        }
        if (!build->store || image_find(build->store, image, &found, &ignored) < 0 || image_config(build->store, found, &text, &ignored) < 0 ||
            image_config_parse(text.data, text.size, &config, &ignored) < 0)
                return 0;
        build_lint_base(&config, ret);
        return 0;
}

static int check(Build *build, const LintOptions *options, BuildCallResult *ret, Error *err)
{
        const Buf *text = &build->dockerfile_text;

        if (!text->size) {
                ret->lint.has_build_error = true;
                ret->lint.build_error.message = xstrdup("the Dockerfile cannot be empty");
                return 0;
        }
        if (dockerfile_check_syntax(build->dockerfile_name, text->data, text->size, &build->diagnosis, err) < 0)
                return -1;
        return lint_run(&ret->lint, build->dockerfile_name, text->data, text->size, options, err);
}

static void list_targets(const Build *build, BuildCallResult *ret)
{
        ret->targets = NEW_ARRAY(BuildCallTarget, build->parsed->n_items);
        for (size_t i = 0; i < build->parsed->n_items; i++) {
                const Instruction *in = build->parsed->items[i].from;

                ret->targets[ret->n_targets++] = (BuildCallTarget){
                        .name = xstrdup_or_null(in->from.name),
                        .description = xstrdup_or_null(in->from.doc),
                        .base = xstrdup(in->from.image.text),
                        .platform = xstrdup_or_null(in->from.platform),
                        .is_default = i + 1 == build->parsed->n_items,
                        .range = in->range,
                };
        }
}

static int answer(Build *build, BuildCallKind kind, BuildCallResult *ret, Error *err)
{
        LintOptions options;

        if (build_load_text(build, err) < 0)
                return -1;
        options = (LintOptions){
                .scope = target_scope_options(&build->targets[0]),
                .target = build->options->target,
                .check = build_lint_option(build),
                .ignore = build->ignore,
                .base_image = stored_base,
                .user = build,
        };
        if (kind == BUILD_CALL_CHECK)
                return check(build, &options, ret, err);
        if (build_parse_text(build, err) < 0)
                return -1;
        if (kind == BUILD_CALL_OUTLINE)
                return outline_make(&ret->outline, build->parsed, &options, &build->diagnosis, err);
        list_targets(build, ret);
        return 0;
}

static char *shown_path(const Build *build)
{
        const BuildOptions *options = build->options;
        const char *context = options->context;

        if (options->dockerfile_text)
                return xstrdup(options->dockerfile ? options->dockerfile : "stdin");
        if (options->dockerfile)
                return xstrdup(options->dockerfile);
        if (context && streq(context, "-") && !digest_is_set(&build->context_layer))
                return xstrdup("stdin");
        if (digest_is_set(&build->context_layer))
                return xstrdup(build->dockerfile_name);
        while (context && str_starts(context, "./"))
                context += 2;
        if (!context || !*context || streq(context, "."))
                return xstrdup(build->dockerfile_name);
        return xasprintf("%s%s%s", context, context[strlen(context) - 1] == '/' ? "" : "/", build->dockerfile_name);
}

bool build_call_needs_store(const BuildOptions *options)
{
        return options->context && (streq(options->context, "-") || context_is_remote(options->context));
}

int build_call(Store *store, const BuildOptions *options, BuildCallKind kind, BuildCallResult *ret, Error *err)
{
        _cleanup_(build_freep) Build *build = build_new(store, options);

        if (answer(build, kind, ret, err) < 0)
                return build_explain(build, &build->diagnosis, err);
        ret->filename = xstrdup(str_base_name(build->dockerfile_name));
        ret->path = shown_path(build);
        ret->text = build->dockerfile_text;
        build->dockerfile_text = BUF_INIT(0);
        return 0;
}
