/*
 * --change of import and commit: Dockerfile instructions that only touch the config.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dockerfile/instruction.h"
#include "engine/images.h"

static void set_list(StrList *list, const char *const *items, size_t n)
{
        strlist_done(list);
        for (size_t i = 0; i < n; i++)
                strlist_add(list, items[i]);
}

/* CMD and ENTRYPOINT: the shell form gets the image's shell in front. */
static void set_command(StrList *list, const CommandLine *command, const RunConfig *config)
{
        strlist_done(list);
        if (command->shell_form) {
                if (config->shell.n_items) {
                        strlist_copy(list, &config->shell);
                } else {
                        strlist_add(list, "/bin/sh");
                        strlist_add(list, "-c");
                }
        }
        for (size_t i = 0; i < command->n_args; i++)
                strlist_add(list, command->args[i]);
}

static void add_to_set(StrList *set, const char *item)
{
        if (!strlist_has(set, item))
                strlist_add(set, item);
}

static void set_text(char **to, const char *value)
{
        free(*to);
        *to = xstrdup(value);
}

static void set_health(RunConfig *config, const HealthInstruction *from)
{
        HealthConfig *health = NEW(HealthConfig);

        health_config_free(config->healthcheck);
        for (size_t i = 0; i < from->n_test; i++)
                strlist_add(&health->test, from->test[i]);
        health->interval = from->interval;
        health->timeout = from->timeout;
        health->start_period = from->start_period;
        health->start_interval = from->start_interval;
        health->retries = from->retries;
        config->healthcheck = health;
}

static void set_work_dir(RunConfig *config, const char *path)
{
        if (*path == '/' || str_empty(config->working_dir)) {
                char *absolute = *path == '/' ? xstrdup(path) : xasprintf("/%s", path);

                free(config->working_dir);
                config->working_dir = absolute;
        } else {
                char *joined = xasprintf("%s%s%s", config->working_dir, str_ends(config->working_dir, "/") ? "" : "/", path);

                free(config->working_dir);
                config->working_dir = joined;
        }
}

static int apply(RunConfig *config, const Instruction *instruction, Error *err)
{
        switch (instruction->kind) {
        case INSTRUCTION_CMD:
                set_command(&config->cmd, &instruction->command, config);
                return 0;
        case INSTRUCTION_ENTRYPOINT:
                set_command(&config->entrypoint, &instruction->command, config);
                return 0;
        case INSTRUCTION_ENV:
                for (size_t i = 0; i < instruction->pairs.n_items; i++)
                        strlist_env_set(&config->env, instruction->pairs.items[i].key, instruction->pairs.items[i].value);
                return 0;
        case INSTRUCTION_LABEL:
                for (size_t i = 0; i < instruction->pairs.n_items; i++)
                        string_map_set(&config->labels, instruction->pairs.items[i].key, instruction->pairs.items[i].value);
                return 0;
        case INSTRUCTION_EXPOSE:
                for (size_t i = 0; i < instruction->ports.n_items; i++)
                        add_to_set(&config->exposed_ports, instruction->ports.items[i].text);
                return 0;
        case INSTRUCTION_VOLUME:
                for (size_t i = 0; i < instruction->volumes.n_items; i++)
                        add_to_set(&config->volumes, instruction->volumes.items[i].text);
                return 0;
        case INSTRUCTION_USER:
                set_text(&config->user, instruction->word.text);
                return 0;
        case INSTRUCTION_STOPSIGNAL:
                set_text(&config->stop_signal, instruction->word.text);
                return 0;
        case INSTRUCTION_WORKDIR:
                set_work_dir(config, instruction->word.text);
                return 0;
        case INSTRUCTION_ONBUILD:
                strlist_add(&config->on_build, instruction->onbuild.expression);
                return 0;
        case INSTRUCTION_SHELL:
                set_list(&config->shell, instruction->shell.args, instruction->shell.n_args);
                return 0;
        case INSTRUCTION_HEALTHCHECK:
                set_health(config, &instruction->health);
                return 0;
        default:
                return error_set(err, ERROR_INVALID, "%s is not a valid change command", instruction_kind_name(instruction->kind));
        }
}

static const char *env_get(const void *user, const char *name)
{
        return strlist_env_get(user, name);
}

static int apply_text(ImageConfig *config, const char *text, Error *err)
{
        _cleanup_(dockerfile_freep) Dockerfile *dockerfile = NULL;
        ExpandEnv env = { 0 };

        env.get = env_get;
        env.user = &config->config.env;
        if (dockerfile_parse(&dockerfile, "change", text, strlen(text), NULL, err) < 0)
                return -1;
        for (size_t i = 0; i < dockerfile->n_nodes; i++) {
                _cleanup_(instruction_freep) Instruction *instruction = NULL;
                _cleanup_(instruction_freep) Instruction *expanded = NULL;

                if (instruction_parse(&instruction, dockerfile, dockerfile->nodes[i], NULL, err) < 0 ||
                    instruction_expand(&expanded, instruction, &env, NULL, NULL, err) < 0 || apply(&config->config, expanded, err) < 0)
                        return -1;
        }
        return 0;
}

int engine_apply_changes(ImageConfig *config, const StrList *changes, Error *err)
{
        for (size_t i = 0; i < changes->n_items; i++)
                if (apply_text(config, changes->items[i], err) < 0)
                        return -1;
        return 0;
}
