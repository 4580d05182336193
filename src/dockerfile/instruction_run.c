/*
 * RUN and HEALTHCHECK.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/flags.h"
#include "dockerfile/instruction_private.h"
#include "dockerfile/line.h"
#include "dockerfile/text.h"

enum { RUN_MOUNT, RUN_NETWORK, RUN_SECURITY, RUN_DEVICE, RUN_FLAGS };

static const FlagRule run_rules[] = {
        [RUN_MOUNT] = { "mount", FLAG_STRINGS },
        [RUN_NETWORK] = { "network", FLAG_STRING },
        [RUN_SECURITY] = { "security", FLAG_STRING },
        [RUN_DEVICE] = { "device", FLAG_STRINGS },
};

static int parse_flags(Reading *r, const FlagRule *rules, size_t n_rules, FlagValue *values)
{
        if (flags_parse(r->df, r->node, rules, n_rules, values, r->arena, r->diag, r->err) == 0)
                return 0;
        if (r->diag)
                r->diag->in_instruction = true;
        return -1;
}

static void copy_args(Reading *r, CommandLine *command, size_t first)
{
        command->shell_form = !r->node->json;
        command->n_args = r->node->n_args - first;
        command->args = ARENA_ARRAY(r->arena, const char *, command->n_args + 1);
        for (size_t i = 0; i < command->n_args; i++)
                command->args[i] = r->node->args[first + i].text;
}

static int read_network(Reading *r, const FlagValue *flag)
{
        static const char *const names[] = { "default", "none", "host" }; /* by DfNetwork */
        _cleanup_free_ char *quoted = NULL;

        r->out->run.has_network = flag->used;
        if (!flag->used)
                return 0;
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                if (streq(flag->value, names[i])) {
                        r->out->run.network = (DfNetwork)i;
                        return 0;
                }
        }
        quoted = text_quoted(flag->value);
        return reading_fail_at(r, ERROR_INVALID, flag->pos, "invalid network mode %s", quoted);
}

static int read_security(Reading *r, const FlagValue *flag)
{
        _cleanup_free_ char *quoted = NULL;

        r->out->run.has_security = flag->used;
        if (!flag->used || streq(flag->value, "sandbox"))
                return 0;
        if (streq(flag->value, "insecure")) {
                r->out->run.security = RUN_SECURITY_INSECURE;
                return 0;
        }
        quoted = text_quoted(flag->value);
        return reading_fail_at(r, ERROR_INVALID, flag->pos, "security %s is not valid", quoted);
}

int read_run(Reading *r)
{
        RunInstruction *run = &r->out->run;
        FlagValue flags[RUN_FLAGS] = { 0 };

        if (parse_flags(r, run_rules, RUN_FLAGS, flags) < 0)
                return -1;
        if (flags[RUN_DEVICE].used)
                return reading_fail_at(r, ERROR_UNSUPPORTED, flags[RUN_DEVICE].pos,
                                       "RUN --device is not supported: there are no CDI devices here; remove the flag");
        copy_args(r, &run->command, 0);
        run->n_mounts = flags[RUN_MOUNT].n_values;
        run->mount_flags = flags[RUN_MOUNT].values;
        run->mounts = ARENA_ARRAY(r->arena, DfMount, run->n_mounts);
        for (size_t i = 0; i < run->n_mounts; i++) {
                _cleanup_error_ Error inner = ERROR_INIT;
                const DfWord *flag = &run->mount_flags[i];

                if (mount_parse(&run->mounts[i], flag->text, flag->pos, false, NULL, r->df->escape, NULL, r->arena, &inner) < 0)
                        return reading_fail_at(r, inner.code, flag->pos, "%s", error_message(&inner));
        }
        return read_network(r, &flags[RUN_NETWORK]) < 0 || read_security(r, &flags[RUN_SECURITY]) < 0 ? -1 : 0;
}

enum { HEALTH_INTERVAL, HEALTH_TIMEOUT, HEALTH_START_PERIOD, HEALTH_START_INTERVAL, HEALTH_RETRIES, HEALTH_FLAGS };

static const FlagRule health_rules[] = {
        [HEALTH_INTERVAL] = { "interval", FLAG_STRING },         [HEALTH_TIMEOUT] = { "timeout", FLAG_STRING },
        [HEALTH_START_PERIOD] = { "start-period", FLAG_STRING }, [HEALTH_START_INTERVAL] = { "start-interval", FLAG_STRING },
        [HEALTH_RETRIES] = { "retries", FLAG_STRING },
};

static int read_duration(Reading *r, int flag, const FlagValue *value, int64_t *ret)
{
        _cleanup_error_ Error inner = ERROR_INIT;

        if (!value->value || !*value->value)
                return 0;
        if (health_duration_parse(value->value, ret, &inner) < 0)
                return reading_fail_at(r, ERROR_INVALID, value->pos, "%s", error_message(&inner));
        if (*ret != 0 && *ret < 1000000)
                return reading_fail_at(r, ERROR_INVALID, value->pos, "Interval \"%s\" cannot be less than 1ms", health_rules[flag].name);
        return 0;
}

static int read_retries(Reading *r, const FlagValue *value)
{
        _cleanup_free_ char *quoted = NULL;
        const char *text = value->value;
        int64_t number;
        int bad;

        if (!text || !*text)
                return 0;
        quoted = text_quoted(text);
        bad = str_to_i64(*text == '+' && text[1] != '-' ? text + 1 : text, &number);
        if (bad == -EINVAL)
                return reading_fail_at(r, ERROR_INVALID, value->pos, "strconv.ParseInt: parsing %s: invalid syntax", quoted);
        if (bad < 0 || number > INT32_MAX || number < INT32_MIN)
                return reading_fail_at(r, ERROR_INVALID, value->pos, "strconv.ParseInt: parsing %s: value out of range", quoted);
        if (number < 0)
                return reading_fail_at(r, ERROR_INVALID, value->pos, "--retries cannot be negative (%d)", (int)number);
        r->out->health.retries = (int32_t)number;
        return 0;
}

int read_health(Reading *r)
{
        HealthInstruction *health = &r->out->health;
        const DfNode *node = r->node;
        FlagValue flags[HEALTH_FLAGS] = { 0 };
        int64_t *const durations[] = { &health->interval, &health->timeout, &health->start_period, &health->start_interval };
        _cleanup_free_ char *type = NULL, *quoted = NULL;
        CommandLine command;

        if (node->n_args == 0)
                return reading_fail(r, ERROR_INVALID, "HEALTHCHECK requires at least one argument");
        type = str_upper(node->args[0].text);
        if (streq(type, "NONE")) {
                if (node->n_args != 1)
                        return reading_fail(r, ERROR_INVALID, "HEALTHCHECK NONE takes no arguments");
                health->none = true;
                health->test = ARENA_ARRAY(r->arena, const char *, 2);
                health->test[0] = "NONE";
                health->n_test = 1;
                return 0;
        }
        if (parse_flags(r, health_rules, HEALTH_FLAGS, flags) < 0)
                return -1;
        if (!streq(type, "CMD")) {
                quoted = text_quoted(type);
                return reading_fail_at(r, ERROR_INVALID, node->args[0].pos, "Unknown type %s in HEALTHCHECK (try CMD)", quoted);
        }
        copy_args(r, &command, 1);
        if (command.n_args == 0)
                return reading_fail(r, ERROR_INVALID, "Missing command after HEALTHCHECK CMD");
        health->n_test = command.n_args + 1;
        health->test = ARENA_ARRAY(r->arena, const char *, health->n_test + 1);
        health->test[0] = node->json ? "CMD" : "CMD-SHELL";
        memcpy(health->test + 1, command.args, command.n_args * sizeof(char *));
        for (int i = HEALTH_INTERVAL; i <= HEALTH_START_INTERVAL; i++)
                if (read_duration(r, i, &flags[i], durations[i]) < 0)
                        return -1;
        return read_retries(r, &flags[HEALTH_RETRIES]);
}

static char *join_script(const Instruction *run)
{
        Buf text = BUF_INIT(SIZE_MAX / 2);

        buf_puts(&text, run->run.command.args[0]);
        for (size_t i = 0; i < run->n_heredocs; i++) {
                buf_putc(&text, '\n');
                buf_put(&text, run->heredocs[i].content, run->heredocs[i].content_size);
                buf_puts(&text, run->heredocs[i].name);
        }
        return buf_detach(&text);
}

int run_script_make(RunScript *ret, const Instruction *run, Error *err)
{
        _cleanup_(arena_freep) Arena *arena = arena_new();
        const CommandLine *command = &run->run.command;
        DfHeredoc heredoc;
        int only;

        *ret = (RunScript){ 0 };
        if (!command->shell_form)
                return 0;
        if (run->n_heredocs == 0) {
                ret->command = command->n_args > 0 ? xstrdup(command->args[0]) : xstrdup("");
                return 0;
        }
        if (command->n_args != 1)
                return error_set(err, ERROR_INVALID, "parsing produced an invalid run command");
        only = heredoc_parse_word(command->args[0], arena, &heredoc, err);
        if (only < 0)
                return -1;
        if (only == 0) {
                ret->command = join_script(run);
                return 0;
        }
        ret->command = dockerfile_heredoc_text(&run->heredocs[0], &ret->file_size);
        if (str_starts(ret->command, "#!")) {
                ret->file_data = TAKE_PTR(ret->command);
                ret->file_name = run->heredocs[0].name;
        }
        return 0;
}

void run_script_done(RunScript *script)
{
        free(script->command);
        free(script->file_data);
        *script = (RunScript){ 0 };
}
