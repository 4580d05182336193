#include "dockerfile/lint_config.h"

#include <string.h>

#include "base/mem.h"
#include "dockerfile/directive.h"
#include "dockerfile/text.h"

_Static_assert(LINT_RULES <= 32, "rules are kept as bits of a word");

static void parse_rules(const char *value, bool *all, uint32_t *bits)
{
        _cleanup_strlist_ StrList names = { 0 };

        if (streq(value, "all")) {
                *all = true;
                return;
        }
        strlist_split(&names, value, ',');
        for (size_t i = 0; i < names.n_items; i++) {
                _cleanup_free_ char *name = str_trim(names.items[i]);

                for (int id = 0; id < LINT_RULES; id++)
                        if (streq(name, lint_rule((LintRuleId)id)->name))
                                *bits |= UINT32_C(1) << id;
        }
}

static int parse_error_option(const char *part, const char *value, bool *ret, Error *err)
{
        _cleanup_free_ char *quoted = NULL, *quoted_value = NULL;

        if (str_to_bool(value, ret) == 0)
                return 0;
        quoted = text_quoted(part);
        quoted_value = text_quoted(value);
        return error_set(err, ERROR_INVALID, "failed to parse check option %s: strconv.ParseBool: parsing %s: invalid syntax", quoted, quoted_value);
}

static int parse_part(LintConfig *config, const char *part, Error *err)
{
        const char *equals = strchr(part, '=');
        _cleanup_free_ char *raw = xstrndup(part, equals ? (size_t)(equals - part) : strlen(part)), *key = str_trim(raw);
        _cleanup_free_ char *value = str_trim(equals ? equals + 1 : ""), *quoted = NULL;

        if (equals && streq(key, "skip"))
                parse_rules(value, &config->skip_all, &config->skip);
        else if (equals && streq(key, "experimental"))
                parse_rules(value, &config->experimental_all, &config->experimental);
        else if (equals && streq(key, "error"))
                return parse_error_option(part, value, &config->error, err);
        else {
                quoted = text_quoted(equals ? key : part);
                return error_set(err, ERROR_INVALID, "invalid check option %s", quoted);
        }
        return 0;
}

int lint_config_parse(LintConfig *ret, const char *text, Error *err)
{
        _cleanup_free_ char *copy = xstrndup(text, strcspn(text, " ")), *trimmed = str_trim(copy);
        LintConfig config = { 0 };
        char *part = trimmed;

        for (int i = 0; *trimmed && part; i++) {
                char *semicolon = i < 2 ? strchr(part, ';') : NULL; /* three parts at most */

                if (semicolon)
                        *semicolon = '\0';
                if (parse_part(&config, part, err) < 0)
                        return -1;
                part = semicolon ? semicolon + 1 : NULL;
        }
        *ret = config;
        return 0;
}

LintConfig lint_config_merge(const LintConfig *base, const char **comments, size_t n_comments)
{
        LintConfig merged = *base, local;

        for (size_t i = 0; i < n_comments; i++) {
                _cleanup_error_ Error ignored = ERROR_INIT;
                _cleanup_free_ char *text = NULL;
                const char *name, *value;
                size_t size;

                if (!directive_match(comments[i], strlen(comments[i]), "", &name, &value, &size) || !streq(name, "check"))
                        continue;
                text = xstrndup(value, size);
                if (lint_config_parse(&local, text, &ignored) < 0)
                        return merged;
                merged.skip_all |= local.skip_all;
                merged.experimental_all |= local.experimental_all;
                merged.skip |= local.skip;
                merged.experimental |= local.experimental;
                return merged;
        }
        return merged;
}

bool lint_config_allows(const LintConfig *config, LintRuleId id)
{
        uint32_t bit = UINT32_C(1) << id;

        if (lint_rule(id)->experimental)
                return config->experimental_all || config->experimental & bit;
        return !config->skip_all && !(config->skip & bit);
}
