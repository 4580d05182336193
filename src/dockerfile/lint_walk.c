/*
 * Going through the instructions of each stage with the variables that are set there.
 */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "dockerfile/expose.h"
#include "dockerfile/image_name.h"
#include "dockerfile/instruction_private.h"
#include "dockerfile/limits.h"
#include "dockerfile/lint_private.h"
#include "dockerfile/text.h"

typedef struct Walk {
        LintRun *run;
        LintStage *stage;
        const Instruction *cmd, *entrypoint, *health; /* the last ones */
        LintConfig config;                            /* for the present instruction */
} Walk;

static bool is_secret_name(const char *name)
{
        static const char *const secret[] = { "apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token" };
        static const char *const harmless[] = { "public", "file", "version" };
        bool found = false;

        for (const char *word = name;;) {
                size_t n = strcspn(word, "_");

                for (size_t i = 0; i < ARRAY_LEN(secret); i++)
                        found |= strlen(secret[i]) == n && strncasecmp(word, secret[i], n) == 0;
                for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
                        if (strlen(harmless[i]) == n && strncasecmp(word, harmless[i], n) == 0)
                                return false;
                if (!word[n])
                        return found;
                word += n + 1;
        }
}

static void warn_secret(Walk *w, const Instruction *in, const char *keyword, const char *name)
{
        _cleanup_free_ char *quoted = NULL;

        if (!is_secret_name(name))
                return;
        quoted = text_quoted(name);
        lint_warn(w->run, &w->config, LINT_SECRETS_USED_IN_ARG_OR_ENV, in->range, "Do not use ARG or ENV instructions for sensitive data (%s %s)", keyword,
                  quoted);
}

static bool is_declared(const StageScope *scope, const char *name)
{
        for (size_t i = 0; i < scope->n_args; i++)
                if (streq(scope->args[i].name, name))
                        return true;
        return false;
}

/* `fresh`: a variable that is only just being set, and so is nothing that could have been meant; or NULL. */
static void warn_undefined(Walk *w, const Instruction *in, const StrList *undefined, const char *fresh)
{
        const StageScope *scope = &w->stage->scope;
        _cleanup_strlist_ StrList names = { 0 };

        if (!w->stage->env_known)
                return;
        for (size_t i = 0; i < undefined->n_items; i++) {
                const char *name = undefined->items[i];
                _cleanup_free_ char *suggestion = NULL;

                if (is_declared(scope, name) || str_starts(name, "BUILDKIT_SBOM_SCAN_"))
                        continue;
                strlist_done(&names);
                for (size_t j = 0; j < scope->env.n_items; j++) {
                        size_t n_name = strcspn(scope->env.items[j], "=");

                        if (!fresh || strncmp(scope->env.items[j], fresh, n_name) != 0 || fresh[n_name])
                                strlist_addn(&names, scope->env.items[j], n_name);
                }
                suggestion = dockerfile_suggest(name, (const char *const *)strlist_argv(&names), names.n_items, false);
                if (suggestion)
                        lint_warn(w->run, &w->config, LINT_UNDEFINED_VAR, in->range, "Usage of undefined variable '$%s' (did you mean $%s?)", name, suggestion);
                else
                        lint_warn(w->run, &w->config, LINT_UNDEFINED_VAR, in->range, "Usage of undefined variable '$%s'", name);
        }
}

static int walk_env(Walk *w, const Instruction *in, Error *err)
{
        for (size_t i = 0; i < in->pairs.n_items; i++) {
                const DfPair *pair = &in->pairs.items[i];

                if (pair->legacy)
                        lint_warn(w->run, &w->config, LINT_LEGACY_KEY_VALUE_FORMAT, in->range,
                                  "\"%s key=value\" should be used instead of legacy \"%s key value\" format", in->keyword, in->keyword);
                if (in->kind == INSTRUCTION_LABEL)
                        continue;
                warn_secret(w, in, "ENV", pair->key);
                if (stage_scope_set(&w->stage->scope, pair->key, pair->value, err) < 0)
                        return -1;
        }
        return 0;
}

static int walk_arg(Walk *w, const Instruction *in, Error *err)
{
        /* One pair at a time: each sees the ones before it. */
        for (size_t i = 0; i < in->pairs.n_items; i++) {
                _cleanup_expand_use_ ExpandUse use = EXPAND_USE_INIT;
                Instruction one = *in;
                const char *fresh;
                int r;

                one.pairs.items = &in->pairs.items[i];
                one.pairs.n_items = 1;
                warn_secret(w, in, "ARG", one.pairs.items->key);
                fresh = stage_scope_get(&w->stage->scope, one.pairs.items->key) ? NULL : one.pairs.items->key;
                r = stage_scope_arg(&w->stage->scope, &one, NULL, &use, w->run->diag, err);
                if (r == 0) {
                        /* The declaration itself must not hide an undefined variable of the same name in its default. */
                        w->stage->scope.n_args--;
                        warn_undefined(w, in, &use.undefined, fresh);
                        w->stage->scope.n_args++;
                } else {
                        warn_undefined(w, in, &use.undefined, fresh);
                        return -1;
                }
        }
        return 0;
}

static void warn_repeated(Walk *w, const Instruction **last, const Instruction *in)
{
        if (*last)
                lint_warn(w->run, &w->config, LINT_MULTIPLE_INSTRUCTIONS_DISALLOWED, (*last)->range,
                          "Multiple %s instructions should not be used in the same stage because only the last one will be used", in->keyword);
        *last = in;
}

static void walk_command(Walk *w, const Instruction **last, const Instruction *source)
{
        warn_repeated(w, last, source);
        if (source->command.shell_form && !w->stage->has_shell)
                lint_warn(w->run, &w->config, LINT_JSON_ARGS_RECOMMENDED, source->range,
                          "JSON arguments recommended for %s to prevent unintended behavior related to OS signals", source->keyword);
}

static void walk_work_dir(Walk *w, const Instruction *in)
{
        if (!w->stage->work_dir_set && in->word.text[0] != '/') {
                _cleanup_free_ char *quoted = text_quoted(in->word.text);

                lint_warn(w->run, &w->config, LINT_WORKDIR_RELATIVE_PATH, in->range,
                          "Relative workdir %s can have unexpected results if the base image changes", quoted);
        }
        w->stage->work_dir_set = true;
}

static void walk_expose(Walk *w, const Instruction *source)
{
        const ExpandOptions options = { .escape = source->escape };
        ExpandEnv env = stage_scope_env(&w->stage->scope);

        for (size_t i = 0; i < source->ports.n_items; i++) {
                _cleanup_strlist_ StrList words = { 0 }, ports = { 0 };
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (expand_words(&words, source->ports.items[i].text, &env, &options, NULL, &ignored) < 0)
                        return;
                for (size_t j = 0; j < words.n_items; j++) {
                        ExposeFindings found = { 0 };
                        bool bad = expose_parse(&ports, words.items[j], &found, &ignored) < 0;

                        if (found.proto_case)
                                lint_warn(w->run, &w->config, LINT_EXPOSE_PROTO_CASING, source->range,
                                          "Defined protocol '%s' in EXPOSE instruction should be lowercase", words.items[j]);
                        if (found.host_format)
                                lint_warn(w->run, &w->config, LINT_EXPOSE_INVALID_FORMAT, source->range,
                                          "EXPOSE instruction should not define an IP address or host-port mapping, found '%s'", words.items[j]);
                        if (bad)
                                return;
                }
        }
}

static void walk_copy(Walk *w, const Instruction *in)
{
        const IgnoreMatcher *ignore = w->run->options->ignore;

        if (!ignore || in->copy.from || ignore_matcher_has_exceptions(ignore))
                return;
        for (size_t i = 0; i < in->copy.n_sources; i++) {
                const char *source = in->copy.sources[i].text;
                _cleanup_free_ char *clean = NULL, *quoted = NULL;

                if (in->kind == INSTRUCTION_ADD && (source_is_git(source) || source_is_url(source)))
                        continue;
                clean = path_clean(source);
                if ((streq(clean, ".") || streq(clean, "/")) && !ignore_matcher_excludes_root(ignore))
                        continue;
                if (!ignore_matcher_match(ignore, clean))
                        continue;
                quoted = text_quoted(clean);
                lint_warn(w->run, &w->config, LINT_COPY_IGNORED_FILE, in->range, "Attempting to %s file %s that is excluded by .dockerignore",
                          in->kind == INSTRUCTION_ADD ? "Add" : "Copy", quoted);
        }
}

static int walk_expanded(Walk *w, const Instruction *in, const Instruction *source, Error *err)
{
        switch (in->kind) {
        case INSTRUCTION_ENV:
        case INSTRUCTION_LABEL:
                return walk_env(w, in, err);
        case INSTRUCTION_ADD:
        case INSTRUCTION_COPY:
                walk_copy(w, in);
                return 0;
        case INSTRUCTION_CMD:
                walk_command(w, &w->cmd, source);
                return 0;
        case INSTRUCTION_ENTRYPOINT:
                walk_command(w, &w->entrypoint, source);
                return 0;
        case INSTRUCTION_HEALTHCHECK:
                warn_repeated(w, &w->health, source);
                return 0;
        case INSTRUCTION_SHELL:
                w->stage->has_shell = true;
                return 0;
        case INSTRUCTION_WORKDIR:
                walk_work_dir(w, in);
                return 0;
        default:
                return 0;
        }
}

static int walk_instruction(Walk *w, const Instruction *source, Error *err)
{
        _cleanup_expand_use_ ExpandUse use = EXPAND_USE_INIT;
        _cleanup_(instruction_freep) Instruction *in = NULL;
        ExpandEnv env = stage_scope_env(&w->stage->scope);
        LintRun *run = w->run;
        int r;

        w->config = lint_config_merge(&run->config, source->comments, source->n_comments);
        if (run->order.message && source->range.start == run->order.ranges[0].start) {
                *run->diag = run->order;
                run->order = DIAGNOSIS_INIT;
                return error_set(err, ERROR_INVALID, "%s", run->diag->message);
        }
        if (source->kind == INSTRUCTION_ARG)
                return walk_arg(w, source, err);
        if (source->kind == INSTRUCTION_EXPOSE)
                walk_expose(w, source);
        r = instruction_expand(&in, source, &env, &use, run->diag, err);
        if (source->kind != INSTRUCTION_EXPOSE) /* where BuildKit does not look */
                warn_undefined(w, source, &use.undefined, NULL);
        return r < 0 ? -1 : walk_expanded(w, in, source, err);
}

/* A trigger stands in an image's config, or in a stage that this one starts from; it is reported at the FROM. */
static int walk_trigger(Walk *w, const Stage *stage, const char *expression, Error *err)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_(instruction_freep) Instruction *trigger = NULL;
        const Instruction *from = stage->from;
        int r;

        if (dockerfile_parse_trigger(&df, from->filename, expression, from->range, w->run->diag, err) < 0)
                return -1;
        if (instruction_parse(&trigger, df, df->nodes[0], w->run->diag, err) < 0) {
                w->run->diag->in_instruction = false;
                return -1;
        }
        r = walk_instruction(w, trigger, err);
        /* These point into what is freed now; a trigger's place is the FROM anyway. */
        w->cmd = w->cmd == trigger ? from : w->cmd;
        w->entrypoint = w->entrypoint == trigger ? from : w->entrypoint;
        w->health = w->health == trigger ? from : w->health;
        return r;
}

static void check_base_platform(LintRun *run, const Stage *stage, const LintBase *base)
{
        const DfPlatform *target = &run->options->scope.target;
        _cleanup_free_ char *expected = NULL, *actual = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        PlatformName wanted = { 0 };

        if (run->platforms[stage->index]) {
                if (platform_name_parse(run->platforms[stage->index], &wanted, &ignored) < 0)
                        return;
                expected = xasprintf("%s/%s%s%s", wanted.os, wanted.arch, *wanted.variant ? "/" : "", wanted.variant);
        } else {
                expected = xasprintf("%s/%s%s%s", target->os ? target->os : "", target->arch ? target->arch : "", str_empty(target->variant) ? "" : "/",
                                     target->variant ? target->variant : "");
                if (str_empty(target->os) || platform_name_parse(expected, &wanted, &ignored) < 0)
                        return;
        }
        if (str_empty(base->os) || str_empty(base->arch) || (streq(base->os, wanted.os) && streq(base->arch, wanted.arch)))
                return;
        actual = xasprintf("%s/%s%s%s", base->os, base->arch, str_empty(base->variant) ? "" : "/", base->variant ? base->variant : "");
        lint_warn(run, &run->config, LINT_INVALID_BASE_IMAGE_PLATFORM, stage->from->range,
                  "Base image %s was pulled with platform \"%s\", expected \"%s\" for current build", run->base_names[stage->index], actual, expected);
}

int lint_ask_bases(LintRun *run, Error *err)
{
        for (size_t i = 0; i < run->stages->n_items; i++) {
                const Stage *stage = &run->stages->items[i];
                const char *image = run->base_names[i];
                LintBase *base = &run->walked[i].base;

                if (!run->needed[i] || run->base_of[i] >= 0)
                        continue;
                base->known = streq(image, "scratch");
                if (base->known || !run->options->base_image)
                        continue;
                if (run->options->base_image(run->options->user, image, run->platforms[i], base, err) < 0) {
                        _cleanup_free_ char *message = xstrdup(error_message(err));

                        return diagnosis_set(run->diag, err, err->code, stage->from->filename, stage->from->from.image.pos, stage->from->range, "%s: %s", image,
                                             message);
                }
                if (base->known)
                        check_base_platform(run, stage, base);
        }
        return 0;
}

/* Starts the stage's variables from its base. The triggers are those of the base. */
static int start_stage(LintRun *run, const Stage *stage, LintStage *walked, StrList *triggers, Error *err)
{
        int base = run->base_of[stage->index];

        if (base >= 0 && run->walked[base].walked) {
                const LintStage *from = &run->walked[base];
                const Stage *other = &run->stages->items[base];

                stage_scope_init_from(&walked->scope, &from->scope);
                walked->env_known = from->env_known;
                walked->work_dir_set = from->work_dir_set;
                walked->has_shell = from->has_shell;
                for (size_t i = 0; i < other->n_instructions; i++)
                        if (other->instructions[i].kind == INSTRUCTION_ONBUILD)
                                strlist_add(triggers, other->instructions[i].onbuild.expression);
        } else {
                stage_scope_init(&walked->scope, run->global, &walked->base.env);
                walked->env_known = walked->base.known;
                walked->has_shell = walked->base.has_shell;
                strlist_copy(triggers, &walked->base.onbuild);
        }
        walked->walked = true;
        if (stage_scope_get(&walked->scope, "PATH"))
                return 0;
        return stage_scope_set(&walked->scope, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", err);
}

static int walk_stage(LintRun *run, const Stage *stage, Error *err)
{
        LintStage *walked = &run->walked[stage->index];
        _cleanup_strlist_ StrList triggers = { 0 };
        Walk w = { .run = run, .stage = walked };

        if (start_stage(run, stage, walked, &triggers, err) < 0)
                return -1;
        for (size_t i = 0; i < triggers.n_items; i++)
                if (walk_trigger(&w, stage, triggers.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < stage->n_instructions; i++)
                if (walk_instruction(&w, &stage->instructions[i], err) < 0)
                        return -1;
        run->total_env += walked->scope.env_size + walked->scope.n_args * sizeof(ScopeArg);
        if (run->total_env > LIMIT_ALL_ENVIRONMENTS_SIZE)
                return diagnosis_set(run->diag, err, ERROR_LIMIT, stage->from->filename, stage->from->pos, stage->from->range,
                                     "the variables of all stages together are larger than %zu MiB", LIMIT_ALL_ENVIRONMENTS_SIZE >> 20);
        return 0;
}

int lint_walk(LintRun *run, Error *err)
{
        for (size_t i = 0; i < run->stages->n_items; i++)
                if (run->needed[i] && walk_stage(run, &run->stages->items[i], err) < 0)
                        return -1;
        return 0;
}
