#include "dockerfile/instruction.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/flags.h"
#include "dockerfile/instruction_private.h"
#include "dockerfile/text.h"

static int _printf_(4, 0) fail_va(Reading *r, ErrorCode code, SourcePos pos, const char *format, va_list args)
{
        _cleanup_free_ char *message = xvasprintf(format, args);

        diagnosis_set(r->diag, r->err, code, r->df->filename, pos, r->node->range, "%s", message);
        if (r->diag)
                r->diag->in_instruction = true;
        return -1;
}

int reading_fail(Reading *r, ErrorCode code, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        fail_va(r, code, r->node->pos, format, args);
        va_end(args);
        return -1;
}

int reading_fail_at(Reading *r, ErrorCode code, SourcePos pos, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        fail_va(r, code, pos, format, args);
        va_end(args);
        return -1;
}

static int at_least_one(Reading *r, const char *name)
{
        return reading_fail(r, ERROR_INVALID, "%s requires at least one argument", name);
}

/* For instructions that take no flags. */
static int no_flags(Reading *r)
{
        if (flags_parse(r->df, r->node, NULL, 0, NULL, r->arena, r->diag, r->err) == 0)
                return 0;
        if (r->diag)
                r->diag->in_instruction = true;
        return -1;
}

static const char **arg_texts(Reading *r)
{
        const char **texts = ARENA_ARRAY(r->arena, const char *, r->node->n_args + 1);

        for (size_t i = 0; i < r->node->n_args; i++)
                texts[i] = r->node->args[i].text;
        return texts;
}

static int read_pairs(Reading *r, const char *name)
{
        const DfNode *node = r->node;
        size_t n = node->n_args / 3;
        DfPair *pairs = ARENA_ARRAY(r->arena, DfPair, n);

        if (no_flags(r) < 0)
                return -1;
        if (n == 0)
                return at_least_one(r, name);
        for (size_t i = 0; i < n; i++) {
                const DfWord *word = &node->args[3 * i];

                if (!*word->text)
                        return reading_fail_at(r, ERROR_INVALID, word->pos, "%s names can not be blank", name);
                pairs[i] = (DfPair){ .key = word[0].text, .value = word[1].text, .legacy = !*word[2].text, .pos = word->pos };
        }
        r->out->pairs.items = pairs;
        r->out->pairs.n_items = n;
        return 0;
}

static int read_env(Reading *r)
{
        return read_pairs(r, "ENV");
}

static int read_label(Reading *r)
{
        return read_pairs(r, "LABEL");
}

/* The text behind "name " in the comments above; or NULL. */
static const char *doc_comment(const DfNode *node, const char *name)
{
        size_t n = strlen(name);

        for (size_t i = 0; i < node->n_comments; i++)
                if (strncmp(node->comments[i], name, n) == 0 && node->comments[i][n] == ' ')
                        return node->comments[i] + n + 1;
        return NULL;
}

static int read_arg(Reading *r)
{
        const DfNode *node = r->node;
        DfPair *pairs = ARENA_ARRAY(r->arena, DfPair, node->n_args);

        if (node->n_args == 0)
                return at_least_one(r, "ARG");
        for (size_t i = 0; i < node->n_args; i++) {
                const DfWord *word = &node->args[i];
                const char *equals = strchr(word->text, '=');

                if (equals == word->text)
                        return reading_fail_at(r, ERROR_INVALID, word->pos, "ARG names can not be blank");
                pairs[i].pos = word->pos;
                pairs[i].key = equals ? arena_strndup(r->arena, word->text, (size_t)(equals - word->text)) : word->text;
                pairs[i].value = equals ? equals + 1 : NULL;
                pairs[i].doc = doc_comment(node, pairs[i].key);
        }
        r->out->pairs.items = pairs;
        r->out->pairs.n_items = node->n_args;
        return 0;
}

/* MAINTAINER, STOPSIGNAL, USER, WORKDIR. */
static int read_word(Reading *r, const char *name, bool flags_checked)
{
        if (r->node->n_args != 1)
                return reading_fail(r, ERROR_INVALID, "%s requires exactly one argument", name);
        if (flags_checked && no_flags(r) < 0)
                return -1;
        r->out->word = r->node->args[0];
        return 0;
}

static int read_maintainer(Reading *r)
{
        return read_word(r, "MAINTAINER", true);
}

static int read_stopsignal(Reading *r)
{
        return read_word(r, "STOPSIGNAL", false); /* BuildKit does not look at its flags */
}

static int read_user(Reading *r)
{
        return read_word(r, "USER", true);
}

static int read_workdir(Reading *r)
{
        return read_word(r, "WORKDIR", true);
}

static int read_command(Reading *r)
{
        if (no_flags(r) < 0)
                return -1;
        r->out->command = (CommandLine){ !r->node->json, arg_texts(r), r->node->n_args };
        return 0;
}

static int read_shell(Reading *r)
{
        if (no_flags(r) < 0)
                return -1;
        if (r->node->n_args == 0)
                return at_least_one(r, "SHELL");
        if (!r->node->json)
                return reading_fail(r, ERROR_INVALID, "SHELL requires the arguments to be in JSON form");
        r->out->shell.args = arg_texts(r);
        r->out->shell.n_args = r->node->n_args;
        return 0;
}

static int compare_words(const void *a, const void *b)
{
        return strcmp(((const DfWord *)a)->text, ((const DfWord *)b)->text);
}

static int read_expose(Reading *r)
{
        const DfNode *node = r->node;
        DfWord *ports = ARENA_ARRAY(r->arena, DfWord, node->n_args);

        if (node->n_args == 0)
                return at_least_one(r, "EXPOSE");
        if (no_flags(r) < 0)
                return -1;
        memcpy(ports, node->args, node->n_args * sizeof(DfWord));
        qsort(ports, node->n_args, sizeof(DfWord), compare_words);
        r->out->ports.items = ports;
        r->out->ports.n_items = node->n_args;
        return 0;
}

static int read_volume(Reading *r)
{
        const DfNode *node = r->node;
        DfWord *volumes = ARENA_ARRAY(r->arena, DfWord, node->n_args);

        if (node->n_args == 0)
                return at_least_one(r, "VOLUME");
        if (no_flags(r) < 0)
                return -1;
        for (size_t i = 0; i < node->n_args; i++) {
                const char *start = node->args[i].text, *end = start + strlen(start);

                text_trim(&start, &end);
                if (start == end)
                        return reading_fail_at(r, ERROR_INVALID, node->args[i].pos, "VOLUME specified can not be an empty string");
                volumes[i] = (DfWord){ arena_strndup(r->arena, start, (size_t)(end - start)), node->args[i].pos };
        }
        r->out->volumes.items = volumes;
        r->out->volumes.n_items = node->n_args;
        return 0;
}

/* ^[a-z][a-z0-9-_.]*$ */
static bool is_stage_name(const char *name)
{
        if (*name < 'a' || *name > 'z')
                return false;
        return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0';
}

static int read_from(Reading *r)
{
        static const FlagRule rules[] = { { "platform", FLAG_STRING } };
        FlagValue flags[ARRAY_LEN(rules)] = { 0 };
        FromInstruction *from = &r->out->from;
        const DfNode *node = r->node;

        if (node->n_args == 3 && strcasecmp(node->args[1].text, "as") == 0) {
                _cleanup_free_ char *lower = str_lower(node->args[2].text), *quoted = text_quoted(node->args[2].text);

                if (!is_stage_name(lower))
                        return reading_fail_at(r, ERROR_INVALID, node->args[2].pos,
                                               "invalid name for build stage: %s, name can't start with a number or contain symbols", quoted);
                from->name = arena_strdup(r->arena, lower);
                from->name_written = node->args[2].text;
                from->as = node->args[1].text;
                from->doc = doc_comment(node, from->name);
        } else if (node->n_args != 1) {
                return reading_fail(r, ERROR_INVALID, "FROM requires either one or three arguments");
        }
        if (flags_parse(r->df, node, rules, ARRAY_LEN(rules), flags, r->arena, r->diag, r->err) < 0) {
                if (r->diag)
                        r->diag->in_instruction = true;
                return -1;
        }
        from->image = node->args[0];
        from->platform = flags[0].value && *flags[0].value ? flags[0].value : NULL;
        from->platform_pos = flags[0].pos;
        return 0;
}

static const char *skip_keyword(const char *text)
{
        text += strspn(text, "\t\n\f\r ");
        if (strncasecmp(text, "onbuild", 7) == 0)
                text += 7;
        return text + strspn(text, "\t\n\f\r ");
}

static int find_kind(const char *keyword);

static int read_onbuild(Reading *r)
{
        const DfNode *node = r->node, *child = node->child;
        _cleanup_free_ char *upper = NULL;
        Buf text = BUF_INIT(SIZE_MAX / 2);
        int kind;

        if (!child)
                return at_least_one(r, "ONBUILD");
        if (no_flags(r) < 0)
                return -1;
        upper = str_upper(child->keyword);
        if (streq(upper, "ONBUILD"))
                return reading_fail_at(r, ERROR_INVALID, child->pos, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
        if (streq(upper, "MAINTAINER") || streq(upper, "FROM"))
                return reading_fail_at(r, ERROR_INVALID, child->pos, "%s isn't allowed as an ONBUILD trigger", upper);
        kind = find_kind(child->keyword);
        r->out->onbuild.kind = kind < 0 ? INSTRUCTION_KINDS : (InstructionKind)kind;
        buf_puts(&text, skip_keyword(node->original));
        for (size_t i = 0; i < node->n_heredocs; i++)
                buf_putf(&text, "\n%s%s", node->heredocs[i].content, node->heredocs[i].name);
        r->out->onbuild.expression = arena_strdup(r->arena, buf_str(&text));
        buf_done(&text);
        return 0;
}

static const struct {
        const char *name;
        int (*read)(Reading *r);
} instructions[INSTRUCTION_KINDS] = {
        [INSTRUCTION_ADD] = { "ADD", read_copy },
        [INSTRUCTION_ARG] = { "ARG", read_arg },
        [INSTRUCTION_CMD] = { "CMD", read_command },
        [INSTRUCTION_COPY] = { "COPY", read_copy },
        [INSTRUCTION_ENTRYPOINT] = { "ENTRYPOINT", read_command },
        [INSTRUCTION_ENV] = { "ENV", read_env },
        [INSTRUCTION_EXPOSE] = { "EXPOSE", read_expose },
        [INSTRUCTION_FROM] = { "FROM", read_from },
        [INSTRUCTION_HEALTHCHECK] = { "HEALTHCHECK", read_health },
        [INSTRUCTION_LABEL] = { "LABEL", read_label },
        [INSTRUCTION_MAINTAINER] = { "MAINTAINER", read_maintainer },
        [INSTRUCTION_ONBUILD] = { "ONBUILD", read_onbuild },
        [INSTRUCTION_RUN] = { "RUN", read_run },
        [INSTRUCTION_SHELL] = { "SHELL", read_shell },
        [INSTRUCTION_STOPSIGNAL] = { "STOPSIGNAL", read_stopsignal },
        [INSTRUCTION_USER] = { "USER", read_user },
        [INSTRUCTION_VOLUME] = { "VOLUME", read_volume },
        [INSTRUCTION_WORKDIR] = { "WORKDIR", read_workdir },
};

const char *instruction_kind_name(InstructionKind kind)
{
        return kind < INSTRUCTION_KINDS ? instructions[kind].name : "?";
}

static int find_kind(const char *keyword)
{
        for (int i = 0; i < INSTRUCTION_KINDS; i++)
                if (strcasecmp(keyword, instructions[i].name) == 0)
                        return i;
        return -1;
}

static int unknown_instruction(Reading *r)
{
        const char *names[INSTRUCTION_KINDS], *keyword = r->node->keyword;
        _cleanup_free_ char *suggestion = NULL;

        for (int i = 0; i < INSTRUCTION_KINDS; i++)
                names[i] = instructions[i].name;
        suggestion = dockerfile_suggest(keyword, names, INSTRUCTION_KINDS, true);
        if (suggestion)
                return reading_fail(r, ERROR_INVALID, "unknown instruction: %s (did you mean %s?)", keyword, suggestion);
        return reading_fail(r, ERROR_INVALID, "unknown instruction: %s", keyword);
}

int instruction_read(Instruction *out, const Dockerfile *df, const DfNode *node, Arena *arena, Diagnosis *diag, Error *err)
{
        Reading r = { df, node, out, arena, diag, err };
        const char *start = node->original, *end = start + strlen(start);
        int kind = find_kind(node->keyword);

        if (kind < 0)
                return unknown_instruction(&r);
        for (size_t i = 0; node->json && i < node->n_args; i++)
                if (strstr(node->args[i].text, "\xc0\x80"))
                        return reading_fail_at(&r, ERROR_INVALID, node->args[i].pos, "a string in the JSON array holds a NUL character");
        text_trim(&start, &end);
        out->kind = (InstructionKind)kind;
        out->keyword = node->keyword;
        out->original = arena_strndup(arena, start, (size_t)(end - start));
        out->filename = df->filename;
        out->pos = node->pos;
        out->range = node->range;
        out->comments = node->comments;
        out->n_comments = node->n_comments;
        out->heredocs = node->heredocs;
        out->n_heredocs = node->n_heredocs;
        out->escape = df->escape;
        return instructions[kind].read(&r);
}

int instruction_parse(Instruction **ret, const Dockerfile *df, const DfNode *node, Diagnosis *diag, Error *err)
{
        _cleanup_(arena_freep) Arena *arena = arena_new();
        Instruction *out = ARENA_NEW(arena, Instruction);

        if (instruction_read(out, df, node, arena, diag, err) < 0)
                return -1;
        out->arena = TAKE_PTR(arena);
        *ret = out;
        return 0;
}

void instruction_free(Instruction *instruction)
{
        if (instruction)
                arena_free(instruction->arena); /* it lives in there itself */
}
