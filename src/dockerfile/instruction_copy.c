/*
 * ADD and COPY.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/flags.h"
#include "dockerfile/instruction_private.h"
#include "dockerfile/line.h"

enum { COPY_CHOWN, COPY_CHMOD, COPY_LINK, COPY_EXCLUDE, COPY_COMMON, COPY_FROM = COPY_COMMON, COPY_PARENTS, COPY_FLAGS };
enum { ADD_KEEP_GIT_DIR = COPY_COMMON, ADD_CHECKSUM, ADD_UNPACK, ADD_FLAGS };

static const FlagRule copy_rules[COPY_FLAGS] = {
        [COPY_CHOWN] = { "chown", FLAG_STRING },      [COPY_CHMOD] = { "chmod", FLAG_STRING }, [COPY_LINK] = { "link", FLAG_BOOL },
        [COPY_EXCLUDE] = { "exclude", FLAG_STRINGS }, [COPY_FROM] = { "from", FLAG_STRING },   [COPY_PARENTS] = { "parents", FLAG_BOOL },
};

static const FlagRule add_rules[ADD_FLAGS] = {
        [COPY_CHOWN] = { "chown", FLAG_STRING },
        [COPY_CHMOD] = { "chmod", FLAG_STRING },
        [COPY_LINK] = { "link", FLAG_BOOL },
        [COPY_EXCLUDE] = { "exclude", FLAG_STRINGS },
        [ADD_KEEP_GIT_DIR] = { "keep-git-dir", FLAG_BOOL },
        [ADD_CHECKSUM] = { "checksum", FLAG_STRING },
        [ADD_UNPACK] = { "unpack", FLAG_BOOL },
};

static const char *text_of(const FlagValue *flag)
{
        return flag->value && *flag->value ? flag->value : NULL;
}

static Tristate tristate_of(const FlagValue *flag)
{
        return !flag->used ? TRISTATE_UNSET : flag->boolean ? TRISTATE_TRUE : TRISTATE_FALSE;
}

static const DfHeredoc *find_heredoc(const DfNode *node, const char *name)
{
        for (size_t i = node->n_heredocs; i-- > 0;)
                if (streq(node->heredocs[i].name, name))
                        return &node->heredocs[i];
        return NULL;
}

/* A word is a heredoc, or -- also when it cannot be read as one -- a path. */
static bool is_heredoc(Reading *r, const char *word, DfHeredoc *ret)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        return heredoc_parse_word(word, r->arena, ret, &ignored) > 0;
}

static void add_file(Reading *r, const DfHeredoc *word, SourcePos pos)
{
        CopyInstruction *copy = &r->out->copy;
        const DfHeredoc *found = find_heredoc(r->node, word->name);
        DfInlineFile *file = &copy->files[copy->n_files++];

        *file = (DfInlineFile){ .name = word->name, .data = "", .expand = word->expand, .pos = pos };
        if (found) {
                DfHeredoc body = *found;
                _cleanup_free_ char *text = NULL;

                body.chomp = word->chomp;
                text = dockerfile_heredoc_text(&body, &file->size);
                file->data = arena_strndup(r->arena, text, file->size);
        }
}

static int read_paths(Reading *r, const char *name)
{
        CopyInstruction *copy = &r->out->copy;
        const DfNode *node = r->node;
        DfHeredoc heredoc;

        copy->destination = node->args[node->n_args - 1];
        if (is_heredoc(r, copy->destination.text, &heredoc))
                return reading_fail_at(r, ERROR_INVALID, copy->destination.pos, "%s cannot accept a heredoc as a destination", name);
        copy->sources = ARENA_ARRAY(r->arena, DfWord, node->n_args);
        copy->files = ARENA_ARRAY(r->arena, DfInlineFile, node->n_args);
        for (size_t i = 0; i + 1 < node->n_args; i++) {
                if (is_heredoc(r, node->args[i].text, &heredoc))
                        add_file(r, &heredoc, node->args[i].pos);
                else
                        copy->sources[copy->n_sources++] = node->args[i];
        }
        return 0;
}

int read_copy(Reading *r)
{
        CopyInstruction *copy = &r->out->copy;
        bool is_add = r->out->kind == INSTRUCTION_ADD;
        const char *name = instruction_kind_name(r->out->kind);
        FlagValue flags[COPY_FLAGS + ADD_FLAGS] = { 0 };

        if (r->node->n_args < 2)
                return reading_fail(r, ERROR_INVALID, "%s requires at least two arguments, but only one was provided. Destination could not be determined",
                                    name);
        if (flags_parse(r->df, r->node, is_add ? add_rules : copy_rules, is_add ? (size_t)ADD_FLAGS : (size_t)COPY_FLAGS, flags, r->arena, r->diag, r->err) <
            0) {
                if (r->diag)
                        r->diag->in_instruction = true;
                return -1;
        }
        if (read_paths(r, name) < 0)
                return -1;
        copy->chown = text_of(&flags[COPY_CHOWN]);
        copy->chmod = text_of(&flags[COPY_CHMOD]);
        copy->link = flags[COPY_LINK].boolean;
        copy->n_exclude = flags[COPY_EXCLUDE].n_values;
        copy->exclude = ARENA_ARRAY(r->arena, const char *, copy->n_exclude + 1);
        for (size_t i = 0; i < copy->n_exclude; i++)
                copy->exclude[i] = flags[COPY_EXCLUDE].values[i].text;
        if (is_add) {
                copy->keep_git_dir = tristate_of(&flags[ADD_KEEP_GIT_DIR]);
                copy->checksum = text_of(&flags[ADD_CHECKSUM]);
                copy->unpack = tristate_of(&flags[ADD_UNPACK]);
        } else {
                copy->from = text_of(&flags[COPY_FROM]);
                copy->from_pos = flags[COPY_FROM].pos;
                copy->parents = flags[COPY_PARENTS].boolean;
        }
        return 0;
}
