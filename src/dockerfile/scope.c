#include "dockerfile/scope.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/limits.h"

struct GlobalScope {
        Map *build_args; /* by name */
        Map *values;     /* platform ARGs and global ARGs */
};

static const char *or_empty(const char *s)
{
        return s ? s : "";
}

static char *platform_text(const DfPlatform *p, bool with_version)
{
        bool version = with_version && !str_empty(p->os_version);

        return xasprintf("%s%s%s%s/%s%s%s", or_empty(p->os), version ? "(" : "", version ? p->os_version : "", version ? ")" : "", or_empty(p->arch),
                         str_empty(p->variant) ? "" : "/", or_empty(p->variant));
}

static void set_default(GlobalScope *scope, const char *name, const char *value)
{
        const char *given = map_get(scope->build_args, name);

        map_set(scope->values, name, xstrdup(given ? given : or_empty(value)));
}

static void set_platform_args(GlobalScope *scope, const Stages *stages, const ScopeOptions *options)
{
        const DfPlatform *build = &options->build, *target = &options->target;
        _cleanup_free_ char *build_text = platform_text(build, false), *target_text = platform_text(target, true);
        const char *stage = options->target_stage;

        if (str_empty(stage))
                stage = stages->items[stages->n_items - 1].name;
        set_default(scope, "BUILDPLATFORM", build_text);
        set_default(scope, "BUILDOS", build->os);
        set_default(scope, "BUILDOSVERSION", build->os_version);
        set_default(scope, "BUILDARCH", build->arch);
        set_default(scope, "BUILDVARIANT", build->variant);
        set_default(scope, "TARGETPLATFORM", target_text);
        set_default(scope, "TARGETOS", target->os);
        set_default(scope, "TARGETOSVERSION", target->os_version);
        set_default(scope, "TARGETARCH", target->arch);
        set_default(scope, "TARGETVARIANT", target->variant);
        set_default(scope, "TARGETSTAGE", str_empty(stage) ? "default" : stage);
}

static int fail_at(const Instruction *instruction, SourcePos pos, const Error *inner, Diagnosis *diag, Error *err)
{
        return diagnosis_set(diag, err, inner->code, instruction->filename, pos, instruction->range, "%s", error_message(inner));
}

static int set_global_arg(GlobalScope *scope, const Instruction *arg, const DfPair *pair, size_t *total, Diagnosis *diag, Error *err)
{
        const ExpandOptions options = { .escape = arg->escape };
        const char *given = map_get(scope->build_args, pair->key);
        _cleanup_error_ Error inner = ERROR_INIT;
        ExpandEnv env = expand_env_map(scope->values);
        char *value = NULL;

        if (given)
                value = xstrdup(given);
        else if (pair->value && expand_word(&value, pair->value, &env, &options, NULL, &inner) < 0)
                return fail_at(arg, pair->pos, &inner, diag, err);
        if (!value)
                return 0;
        *total += strlen(value);
        map_set(scope->values, pair->key, value);
        if (*total > LIMIT_ENVIRONMENT_SIZE) {
                error_set(&inner, ERROR_LIMIT, "the global ARGs are larger than 16 MiB");
                return fail_at(arg, pair->pos, &inner, diag, err);
        }
        return 0;
}

int global_scope_new(GlobalScope **ret, const Stages *stages, const ScopeOptions *options, Diagnosis *diag, Error *err)
{
        _cleanup_(global_scope_freep) GlobalScope *scope = NEW(GlobalScope);
        size_t total = 0;

        scope->build_args = map_new(free);
        scope->values = map_new(free);
        for (size_t i = 0; options->build_args && i < options->build_args->n_items; i++) {
                const char *arg = options->build_args->items[i], *equals = strchr(arg, '=');

                if (equals)
                        map_setn(scope->build_args, arg, (size_t)(equals - arg), xstrdup(equals + 1));
        }
        set_platform_args(scope, stages, options);
        for (size_t i = 0; i < stages->n_global_args; i++) {
                const Instruction *arg = &stages->global_args[i];

                for (size_t j = 0; j < arg->pairs.n_items; j++)
                        if (set_global_arg(scope, arg, &arg->pairs.items[j], &total, diag, err) < 0)
                                return -1;
        }
        *ret = TAKE_PTR(scope);
        return 0;
}

void global_scope_free(GlobalScope *scope)
{
        if (!scope)
                return;
        map_free(scope->build_args);
        map_free(scope->values);
        free(scope);
}

const char *global_scope_get(const GlobalScope *scope, const char *name)
{
        return map_get(scope->values, name);
}

void global_scope_names(const GlobalScope *scope, StrList *names)
{
        const char *name;
        void *value;

        for (size_t at = 0; map_next(scope->values, &at, &name, &value);)
                strlist_add(names, name);
}

ExpandEnv global_scope_env(const GlobalScope *scope)
{
        return expand_env_map(scope->values);
}

const char *global_scope_build_arg(const GlobalScope *scope, const char *name)
{
        return map_get(scope->build_args, name);
}

char *global_scope_suggest(const GlobalScope *scope, const StrList *names)
{
        _cleanup_strlist_ StrList set = { 0 };

        global_scope_names(scope, &set);
        for (size_t i = 0; i < names->n_items; i++) {
                _cleanup_free_ char *near = dockerfile_suggest(names->items[i], (const char *const *)strlist_argv(&set), set.n_items, false);

                if (near)
                        return xasprintf(" (did you mean %s?)", near);
        }
        return NULL;
}

int global_scope_from(const GlobalScope *scope, const Instruction *from, char **ret_image, char **ret_platform, ExpandUse *image_use, ExpandUse *platform_use,
                      Diagnosis *diag, Error *err)
{
        const ExpandOptions options = { .escape = from->escape };
        const FromInstruction *f = &from->from;
        _cleanup_free_ char *image = NULL, *platform = NULL;
        _cleanup_error_ Error inner = ERROR_INIT;
        ExpandEnv env = global_scope_env(scope);

        if (expand_word(&image, f->image.text, &env, &options, image_use, &inner) < 0)
                return fail_at(from, f->image.pos, &inner, diag, err);
        if (!*image)
                return diagnosis_set(diag, err, ERROR_INVALID, from->filename, f->image.pos, from->range, "base name (%s) should not be blank", f->image.text);
        if (f->platform) {
                if (expand_word(&platform, f->platform, &env, &options, platform_use, &inner) < 0) {
                        error_wrap(&inner, "failed to process arguments for platform ");
                        return fail_at(from, f->platform_pos, &inner, diag, err);
                }
                if (!*platform) {
                        _cleanup_free_ char *suggestion = platform_use ? global_scope_suggest(scope, &platform_use->undefined) : NULL;

                        return diagnosis_set(diag, err, ERROR_INVALID, from->filename, f->platform_pos, from->range,
                                             "empty platform value from expression %s%s", f->platform, suggestion ? suggestion : "");
                }
        }
        *ret_image = TAKE_PTR(image);
        *ret_platform = TAKE_PTR(platform);
        return 0;
}

/* ---- one stage ---- */

static int set_variable(StageScope *scope, const char *name, const char *value, Error *err)
{
        const char *old = map_get(scope->values, name);

        scope->env_size += strlen(name) + strlen(value) + 2;
        if (old)
                scope->env_size -= strlen(name) + strlen(old) + 2;
        if (scope->env_size > LIMIT_ENVIRONMENT_SIZE)
                return error_set(err, ERROR_LIMIT, "the variables of this stage are larger than 16 MiB");
        if (old)
                strlist_env_set(&scope->env, name, value);
        else
                strlist_addf(&scope->env, "%s=%s", name, value);
        map_set(scope->values, name, xstrdup(value));
        return 0;
}

void stage_scope_init(StageScope *scope, const GlobalScope *global, const StrList *base_env)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        *scope = (StageScope){ .global = global, .values = map_new(free) };
        for (size_t i = 0; base_env && i < base_env->n_items; i++) {
                const char *item = base_env->items[i], *equals = strchr(item, '=');
                _cleanup_free_ char *name = xstrndup(item, equals ? (size_t)(equals - item) : strlen(item));

                set_variable(scope, name, equals ? equals + 1 : "", &ignored);
        }
}

void stage_scope_init_from(StageScope *scope, const StageScope *base)
{
        stage_scope_init(scope, base->global, &base->env);
        scope->args = NEW_ARRAY(ScopeArg, base->n_args);
        scope->args_capacity = base->n_args;
        for (size_t i = 0; i < base->n_args; i++)
                scope->args[scope->n_args++] = (ScopeArg){ xstrdup(base->args[i].name), xstrdup_or_null(base->args[i].value) };
}

void stage_scope_done(StageScope *scope)
{
        for (size_t i = 0; i < scope->n_args; i++) {
                free(scope->args[i].name);
                free(scope->args[i].value);
        }
        free(scope->args);
        strlist_done(&scope->env);
        map_free(scope->values);
        *scope = (StageScope){ 0 };
}

ExpandEnv stage_scope_env(const StageScope *scope)
{
        return expand_env_map(scope->values);
}

const char *stage_scope_get(const StageScope *scope, const char *name)
{
        return map_get(scope->values, name);
}

int stage_scope_set(StageScope *scope, const char *name, const char *value, Error *err)
{
        return set_variable(scope, name, value, err);
}

/* These steer the builder and never become variables, even when declared. */
static bool is_builder_arg(const char *name)
{
        static const char *const names[] = { "BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE" };

        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

static int set_arg(StageScope *scope, const Instruction *arg, const DfPair *pair, Buf *text, ExpandUse *use, Diagnosis *diag, Error *err)
{
        const ExpandOptions options = { .escape = arg->escape };
        const char *given = global_scope_build_arg(scope->global, pair->key);
        _cleanup_error_ Error inner = ERROR_INIT;
        _cleanup_free_ char *value = NULL;
        ExpandEnv env = stage_scope_env(scope);

        if (given)
                value = xstrdup(given);
        else if (!pair->value)
                value = xstrdup_or_null(global_scope_get(scope->global, pair->key));
        else if (expand_word(&value, pair->value, &env, &options, use, &inner) < 0)
                return fail_at(arg, pair->pos, &inner, diag, err);
        if (value && !is_builder_arg(pair->key) && set_variable(scope, pair->key, value, &inner) < 0)
                return fail_at(arg, pair->pos, &inner, diag, err);
        buf_putf(text, "%s%s%s%s", text->size ? " " : "", pair->key, value ? "=" : "", value ? value : "");
        GROW(scope->args, scope->args_capacity, scope->n_args + 1);
        scope->args[scope->n_args++] = (ScopeArg){ xstrdup(pair->key), TAKE_PTR(value) };
        return 0;
}

int stage_scope_arg(StageScope *scope, const Instruction *arg, char **ret_text, ExpandUse *use, Diagnosis *diag, Error *err)
{
        Buf text = BUF_INIT(SIZE_MAX / 2);

        for (size_t i = 0; i < arg->pairs.n_items; i++) {
                if (set_arg(scope, arg, &arg->pairs.items[i], &text, use, diag, err) < 0) {
                        buf_done(&text);
                        return -1;
                }
        }
        if (ret_text)
                *ret_text = buf_detach(&text);
        else
                buf_done(&text);
        return 0;
}

bool scope_is_proxy_arg(const char *name)
{
        static const char *const names[] = { "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy" };

        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (strcasecmp(name, names[i]) == 0)
                        return true;
        return false;
}
