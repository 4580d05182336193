#include "dockerfile/flags.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/arena.h"
#include "dockerfile/diagnose.h"

#define FLAGS_MAX 16

static int unknown_flag(const Dockerfile *df, const DfNode *node, const DfWord *flag, const char *name, const FlagRule *rules, size_t n_rules, Diagnosis *diag,
                        Error *err)
{
        const char *names[FLAGS_MAX];
        _cleanup_free_ char *suggestion = NULL;

        for (size_t i = 0; i < MIN(n_rules, (size_t)FLAGS_MAX); i++)
                names[i] = rules[i].name;
        suggestion = dockerfile_suggest(name, names, MIN(n_rules, (size_t)FLAGS_MAX), false);
        if (suggestion)
                return diagnosis_set(diag, err, ERROR_INVALID, df->filename, flag->pos, node->range, "unknown flag: --%s (did you mean %s?)", name, suggestion);
        return diagnosis_set(diag, err, ERROR_INVALID, df->filename, flag->pos, node->range, "unknown flag: --%s", name);
}

/* The problem as a heap string, or NULL. */
static char *set_flag(FlagValue *flag, FlagType type, const char *name, const char *value, SourcePos pos, Arena *arena)
{
        if (flag->used && type != FLAG_STRINGS)
                return xasprintf("duplicate flag specified: --%s", name);
        flag->used = true;
        flag->pos = pos;
        if (!value && type != FLAG_BOOL)
                return xasprintf("missing a value on flag: --%s", name);
        switch (type) {
        case FLAG_BOOL:
                if (value && !*value)
                        return xasprintf("missing a value on flag: --%s", name);
                if (value && strcasecmp(value, "true") != 0 && strcasecmp(value, "false") != 0)
                        return xasprintf("expecting boolean value for flag --%s, not: %s", name, value);
                flag->boolean = !value || strcasecmp(value, "true") == 0;
                break;
        case FLAG_STRING:
                flag->value = value;
                break;
        case FLAG_STRINGS:
                flag->values = arena_grow(arena, flag->values, flag->n_values, &flag->capacity, sizeof(DfWord));
                flag->values[flag->n_values++] = (DfWord){ value, pos };
                break;
        }
        return NULL;
}

int flags_parse(const Dockerfile *df, const DfNode *node, const FlagRule *rules, size_t n_rules, FlagValue *values, Arena *arena, Diagnosis *diag, Error *err)
{
        for (size_t i = 0; i < node->n_flags; i++) {
                const DfWord *flag = &node->flags[i];
                const char *equals = strchr(flag->text, '=');
                _cleanup_free_ char *name = NULL, *problem = NULL;
                size_t rule = 0;

                if (!str_starts(flag->text, "--"))
                        return diagnosis_set(diag, err, ERROR_INVALID, df->filename, flag->pos, node->range, "arg should start with -- : %s", flag->text);
                name = xstrndup(flag->text + 2, equals ? (size_t)(equals - flag->text - 2) : strlen(flag->text + 2));
                while (rule < n_rules && !streq(rules[rule].name, name))
                        rule++;
                if (rule == n_rules)
                        return unknown_flag(df, node, flag, name, rules, n_rules, diag, err);
                problem = set_flag(&values[rule], rules[rule].type, name, equals ? equals + 1 : NULL, flag->pos, arena);
                if (problem)
                        return diagnosis_set(diag, err, ERROR_INVALID, df->filename, flag->pos, node->range, "%s", problem);
        }
        return 0;
}
