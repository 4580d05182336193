#include "build/evolve.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "build/gotext.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/ignore.h"

#define HISTORY_COMMENT "buildkit.dockerfile.v0"

void stem_init_image(Stem *stem, const ImageConfig *base, const GlobalScope *global, int64_t epoch)
{
        *stem = (Stem){ .epoch = epoch };
        image_config_copy(&stem->image, base);
        stem->image.created = (ConfigTime){ 0 };
        stem->n_base_history = base->history.n_items;
        strlist_done(&stem->image.config.on_build);
        if (!strlist_env_get(&stem->image.config.env, "PATH"))
                strlist_env_set(&stem->image.config.env, "PATH", IMAGE_DEFAULT_PATH);
        stage_scope_init(&stem->scope, global, &stem->image.config.env);
}

void stem_init_stage(Stem *stem, const Stem *base)
{
        *stem = (Stem){ .epoch = base->epoch, .n_base_history = base->n_base_history };
        image_config_copy(&stem->image, &base->image);
        strlist_done(&stem->image.config.on_build);
        stage_scope_init_from(&stem->scope, &base->scope);
}

void stem_done(Stem *stem)
{
        image_config_done(&stem->image);
        stage_scope_done(&stem->scope);
        *stem = (Stem){ 0 };
}

char *stem_work_dir(const Stem *stem)
{
        const char *dir = stem->image.config.working_dir;
        _cleanup_free_ char *rooted = xasprintf("/%s", str_empty(dir) ? "" : dir);

        return path_clean(rooted);
}

char *stem_path(const Stem *stem, const char *path)
{
        _cleanup_free_ char *dir = stem_work_dir(stem);
        _cleanup_free_ char *joined = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", dir, path);
        _cleanup_free_ char *rooted = xasprintf("/%s", joined);
        _cleanup_free_ char *clean = path_clean(rooted);
        bool slash = !*path || streq(path, ".") || str_ends(path, "/") || str_ends(path, "/.");

        return slash && !streq(clean, "/") ? xasprintf("%s/", clean) : TAKE_PTR(clean);
}

/* The SHELL of the image, or the default, with `command` behind it. Appends to `args`. */
static void add_shell(const Stem *stem, const char *command, StrList *args)
{
        if (stem->image.config.shell.n_items) {
                strlist_copy(args, &stem->image.config.shell);
        } else {
                strlist_add(args, "/bin/sh");
                strlist_add(args, "-c");
        }
        strlist_add(args, command);
}

void stem_run_args(const Stem *stem, const Instruction *run, const RunScript *script, StrList *args)
{
        const CommandLine *command = &run->run.command;

        if (script->file_name) {
                _cleanup_free_ char *path = xasprintf(RUN_PIPES_DIR "/%s", script->file_name);

                if (command->shell_form)
                        add_shell(stem, path, args);
                else
                        strlist_add(args, path);
        } else if (script->command) {
                add_shell(stem, script->command, args);
        } else {
                for (size_t i = 0; i < command->n_args; i++)
                        strlist_add(args, command->args[i]);
        }
}

void stem_date_last(Stem *stem, Timestamp created)
{
        if (stem->image.history.n_items)
                stem->image.history.items[stem->image.history.n_items - 1].created = (ConfigTime){ .set = true, .time = created };
}

static int commit(Stem *stem, Buf *text, bool layer, bool mark)
{
        Timestamp epoch = stem->epoch * NSEC_PER_SEC;

        if (mark)
                buf_puts(text, " # buildkit");
        image_config_add_history(&stem->image, stem->epoch >= 0 ? &epoch : NULL, buf_str(text), HISTORY_COMMENT, !layer);
        return 0;
}

#define TEXT_MAX ((size_t)32 << 20)

static void take_list(StrList *list, const char *const *args, size_t n_args)
{
        strlist_done(list);
        for (size_t i = 0; i < n_args; i++)
                strlist_add(list, args[i]);
}

/* --- one function per instruction --- */

typedef int (*Evolve)(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err);

static int evolve_env(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);

        buf_puts(&text, "ENV");
        for (size_t i = 0; i < in->pairs.n_items; i++) {
                const DfPair *pair = &in->pairs.items[i];

                buf_putf(&text, " %s=%s", pair->key, pair->value ? pair->value : "");
                if (stage_scope_set(&stem->scope, pair->key, pair->value ? pair->value : "", err) < 0)
                        return -1;
                strlist_env_set(&stem->image.config.env, pair->key, pair->value ? pair->value : "");
        }
        return commit(stem, &text, false, false);
}

static int evolve_arg(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);
        _cleanup_free_ char *args = NULL;

        if (stage_scope_arg(&stem->scope, in, &args, NULL, diag, err) < 0)
                return -1;
        buf_putf(&text, "ARG %s", args);
        return commit(stem, &text, false, false);
}

static int evolve_label(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);

        buf_puts(&text, "LABEL");
        for (size_t i = 0; i < in->pairs.n_items; i++) {
                const DfPair *pair = &in->pairs.items[i];

                buf_putf(&text, " %s=%s", pair->key, pair->value ? pair->value : "");
                string_map_set(&stem->image.config.labels, pair->key, pair->value ? pair->value : "");
        }
        return commit(stem, &text, false, false);
}

static void command_args(const Stem *stem, const CommandLine *command, StrList *args)
{
        if (command->shell_form) {
                add_shell(stem, command->n_args ? command->args[0] : "", args);
                return;
        }
        for (size_t i = 0; i < command->n_args; i++)
                strlist_add(args, command->args[i]);
}

static int evolve_command(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);
        _cleanup_strlist_ StrList args = { 0 };
        bool is_cmd = in->kind == INSTRUCTION_CMD;

        command_args(stem, &in->command, &args);
        buf_puts(&text, is_cmd ? "CMD " : "ENTRYPOINT ");
        go_quote_list((const char *const *)args.items, args.n_items, &text);
        if (is_cmd) {
                take_list(&stem->image.config.cmd, (const char *const *)args.items, args.n_items);
                stem->image.config.args_escaped = true;
                stem->cmd_set = true;
        } else {
                take_list(&stem->image.config.entrypoint, (const char *const *)args.items, args.n_items);
                if (!stem->cmd_set)
                        strlist_done(&stem->image.config.cmd);
        }
        return commit(stem, &text, false, false);
}

static int evolve_healthcheck(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        const HealthInstruction *health = &in->health;
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);
        HealthConfig *config = NEW(HealthConfig);
        const struct {
                const char *name;
                int64_t value;
        } times[] = {
                { "Interval", health->interval },
                { "Timeout", health->timeout },
                { "StartPeriod", health->start_period },
                { "StartInterval", health->start_interval },
        };

        take_list(&config->test, health->test, health->n_test);
        config->interval = health->interval;
        config->timeout = health->timeout;
        config->start_period = health->start_period;
        config->start_interval = health->start_interval;
        config->retries = health->retries;
        health_config_free(stem->image.config.healthcheck);
        stem->image.config.healthcheck = config;

        buf_puts(&text, "HEALTHCHECK {Test:");
        go_print_list((const char *const *)config->test.items, config->test.n_items, &text);
        for (size_t i = 0; i < ARRAY_LEN(times); i++) {
                char duration[40];

                buf_putf(&text, " %s:%s", times[i].name, duration_format(times[i].value, duration));
        }
        buf_putf(&text, " Retries:%d}", (int)health->retries);
        return commit(stem, &text, false, false);
}

static int evolve_expose(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);

        buf_puts(&text, "EXPOSE [");
        for (size_t i = 0; i < in->ports.n_items; i++) {
                const char *port = in->ports.items[i].text;

                buf_putf(&text, "%s%s", i ? " " : "", port);
                if (!strlist_has(&stem->image.config.exposed_ports, port))
                        strlist_add(&stem->image.config.exposed_ports, port);
        }
        buf_putc(&text, ']');
        return commit(stem, &text, false, false);
}

static int evolve_volume(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);

        buf_puts(&text, "VOLUME [");
        for (size_t i = 0; i < in->volumes.n_items; i++) {
                const char *volume = in->volumes.items[i].text;

                if (!*volume)
                        return diagnosis_set(diag, err, ERROR_INVALID, in->filename, in->pos, in->range, "VOLUME specified can not be an empty string");
                buf_putf(&text, "%s%s", i ? " " : "", volume);
                if (!strlist_has(&stem->image.config.volumes, volume))
                        strlist_add(&stem->image.config.volumes, volume);
        }
        buf_putc(&text, ']');
        return commit(stem, &text, false, false);
}

/* USER, STOPSIGNAL, MAINTAINER: one word, one field. */
static int evolve_word(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);
        char **field = in->kind == INSTRUCTION_USER         ? &stem->image.config.user
                       : in->kind == INSTRUCTION_STOPSIGNAL ? &stem->image.config.stop_signal
                                                            : &stem->image.author;

        free(*field);
        *field = xstrdup(in->word.text);
        buf_putf(&text, "%s %s", instruction_kind_name(in->kind), in->word.text);
        return commit(stem, &text, false, false);
}

static int evolve_shell(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);

        take_list(&stem->image.config.shell, in->shell.args, in->shell.n_args);
        buf_puts(&text, "SHELL ");
        go_print_list(in->shell.args, in->shell.n_args, &text);
        return commit(stem, &text, false, false);
}

/* Triggers are recorded without a history entry. */
static int evolve_onbuild(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        strlist_add(&stem->image.config.on_build, in->onbuild.expression);
        return 0;
}

static int evolve_workdir(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);
        _cleanup_free_ char *base = stem_work_dir(stem);
        _cleanup_free_ char *joined = xasprintf("%s/%s", base, in->word.text);

        free(stem->image.config.working_dir);
        /* An absolute path stays as it is written; only a relative one is joined and cleaned. */
        stem->image.config.working_dir = in->word.text[0] == '/' ? xstrdup(in->word.text) : path_clean(joined);
        buf_putf(&text, "WORKDIR %s", stem->image.config.working_dir);
        return commit(stem, &text, !streq(stem->image.config.working_dir, "/"), false);
}

/* "|2 A=1 B=2 /bin/sh -c …": every ARG so far once, with the value that RUN sees. */
static int evolve_run(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);
        _cleanup_strlist_ StrList args = { 0 };

        for (size_t i = 0; i < stem->scope.n_args; i++) {
                const ScopeArg *arg = &stem->scope.args[i];
                const char *value = stage_scope_get(&stem->scope, arg->name);

                strlist_env_set(&args, arg->name, value ? value : arg->value ? arg->value : "");
        }
        buf_puts(&text, "RUN");
        if (args.n_items)
                buf_putf(&text, " |%zu", args.n_items);
        for (size_t i = 0; i < args.n_items; i++)
                buf_putf(&text, " %s", args.items[i]);
        for (size_t i = 0; i < run_args->n_items; i++)
                buf_putf(&text, " %s", run_args->items[i]);
        return commit(stem, &text, true, true);
}

static int evolve_copy(Stem *stem, const Instruction *in, const StrList *run_args, Diagnosis *diag, Error *err)
{
        const CopyInstruction *copy = &in->copy;
        _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);

        buf_puts(&text, instruction_kind_name(in->kind));
        if (copy->parents)
                buf_puts(&text, " --parents");
        if (!str_empty(copy->chown))
                buf_putf(&text, " --chown=%s", copy->chown);
        if (!str_empty(copy->chmod))
                buf_putf(&text, " --chmod=%s", copy->chmod);
        for (size_t i = 0; i < copy->n_sources; i++)
                buf_putf(&text, " %s", copy->sources[i].text);
        for (size_t i = 0; i < copy->n_files; i++)
                buf_putf(&text, " <<%s", copy->files[i].name);
        buf_putf(&text, " %s", copy->destination.text);
        return commit(stem, &text, true, true);
}

static const Evolve evolvers[INSTRUCTION_KINDS] = {
        [INSTRUCTION_ADD] = evolve_copy,           [INSTRUCTION_ARG] = evolve_arg,
        [INSTRUCTION_CMD] = evolve_command,        [INSTRUCTION_COPY] = evolve_copy,
        [INSTRUCTION_ENTRYPOINT] = evolve_command, [INSTRUCTION_ENV] = evolve_env,
        [INSTRUCTION_EXPOSE] = evolve_expose,      [INSTRUCTION_HEALTHCHECK] = evolve_healthcheck,
        [INSTRUCTION_LABEL] = evolve_label,        [INSTRUCTION_MAINTAINER] = evolve_word,
        [INSTRUCTION_ONBUILD] = evolve_onbuild,    [INSTRUCTION_RUN] = evolve_run,
        [INSTRUCTION_SHELL] = evolve_shell,        [INSTRUCTION_STOPSIGNAL] = evolve_word,
        [INSTRUCTION_USER] = evolve_word,          [INSTRUCTION_VOLUME] = evolve_volume,
        [INSTRUCTION_WORKDIR] = evolve_workdir,
};

int stem_apply(Stem *stem, const Instruction *instruction, const StrList *run_args, Diagnosis *diag, Error *err)
{
        Evolve evolve = instruction->kind < INSTRUCTION_KINDS ? evolvers[instruction->kind] : NULL;

        if (!evolve)
                return error_set(err, ERROR_INTERNAL, "the instruction %s cannot be applied to an image", instruction_kind_name(instruction->kind));
        return evolve(stem, instruction, run_args, diag, err);
}

bool stem_makes_layer(const Stem *stem, const Instruction *instruction)
{
        switch (instruction->kind) {
        case INSTRUCTION_RUN:
        case INSTRUCTION_COPY:
        case INSTRUCTION_ADD:
                return true;
        case INSTRUCTION_WORKDIR: {
                _cleanup_free_ char *path = stem_path(stem, instruction->word.text);

                return !streq(path, "/");
        }
        default:
                return false;
        }
}
