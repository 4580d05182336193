#include "build/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "json/dispatch.h"

#define POLICY_SIZE_MAX ((size_t)4 << 20)
#define ROUNDS_MAX 20
#define GROUPS_MAX 32

static const JsonLimits limits = { .size = POLICY_SIZE_MAX, .depth = 16 };

typedef enum Action { ACTION_ALLOW, ACTION_DENY, ACTION_CONVERT } Action;
typedef enum MatchType { MATCH_WILDCARD, MATCH_EXACT, MATCH_REGEX } MatchType;
typedef enum Condition { CONDITION_EQUAL, CONDITION_NOTEQUAL, CONDITION_MATCHES } Condition;

static const char *const actions[] = { "ALLOW", "DENY", "CONVERT" };
static const char *const match_types[] = { "WILDCARD", "EXACT", "REGEX" };
static const char *const conditions[] = { "EQUAL", "NOTEQUAL", "MATCHES" };

typedef struct Constraint {
        char *key, *value;
        char *condition_text;
        StringMap unknown;
        Condition condition;
        regex_t regex; /* CONDITION_MATCHES */
        bool compiled;
} Constraint;

typedef struct Selector {
        char *identifier, *match_text, *match_text_go;
        JSON_ITEMS(Constraint) constraints;
        StringMap unknown;
} Selector;

typedef struct Update {
        char *identifier;
        StringMap attrs, unknown;
} Update;

typedef struct Rule {
        char *action_text;
        Selector selector;
        Update *updates;
        StringMap unknown;
        Action action;
        MatchType match;
        regex_t regex; /* MATCH_WILDCARD, MATCH_REGEX */
        bool compiled;
} Rule;

struct Policy {
        int64_t version;
        JSON_ITEMS(Rule) rules;
        StringMap unknown;
};

static const JsonField constraint_fields[] = {
        { "key", JSON_FIELD_STRING, offsetof(Constraint, key), JSON_MANDATORY },
        { "value", JSON_FIELD_STRING, offsetof(Constraint, value) },
        { "condition", JSON_FIELD_RAW, offsetof(Constraint, condition_text) },
        { "", JSON_FIELD_UNKNOWN, offsetof(Constraint, unknown) },
        JSON_FIELD_END,
};
static const JsonField selector_fields[] = {
        { "identifier", JSON_FIELD_STRING, offsetof(Selector, identifier), JSON_MANDATORY },
        { "match_type", JSON_FIELD_RAW, offsetof(Selector, match_text_go) },
        { "matchType", JSON_FIELD_RAW, offsetof(Selector, match_text) },
        { "constraints", JSON_FIELD_OBJECTS, offsetof(Selector, constraints), 0, constraint_fields, sizeof(Constraint) },
        { "", JSON_FIELD_UNKNOWN, offsetof(Selector, unknown) },
        JSON_FIELD_END,
};
static const JsonField update_fields[] = {
        { "identifier", JSON_FIELD_STRING, offsetof(Update, identifier) },
        { "attrs", JSON_FIELD_STRING_MAP, offsetof(Update, attrs) },
        { "", JSON_FIELD_UNKNOWN, offsetof(Update, unknown) },
        JSON_FIELD_END,
};
static const JsonField rule_fields[] = {
        { "action", JSON_FIELD_RAW, offsetof(Rule, action_text) },
        { "selector", JSON_FIELD_OBJECT, offsetof(Rule, selector), JSON_MANDATORY, selector_fields },
        { "updates", JSON_FIELD_OBJECT_PTR, offsetof(Rule, updates), 0, update_fields, sizeof(Update) },
        { "", JSON_FIELD_UNKNOWN, offsetof(Rule, unknown) },
        JSON_FIELD_END,
};
static const JsonField policy_fields[] = {
        { "version", JSON_FIELD_INT, offsetof(Policy, version) },
        { "rules", JSON_FIELD_OBJECTS, offsetof(Policy, rules), 0, rule_fields, sizeof(Rule) },
        { "", JSON_FIELD_UNKNOWN, offsetof(Policy, unknown) },
        JSON_FIELD_END,
};

void policy_free(Policy *policy)
{
        if (!policy)
                return;
        for (size_t i = 0; i < policy->rules.n_items; i++) {
                Rule *rule = &policy->rules.items[i];

                if (rule->compiled)
                        regfree(&rule->regex);
                for (size_t k = 0; k < rule->selector.constraints.n_items; k++)
                        if (rule->selector.constraints.items[k].compiled)
                                regfree(&rule->selector.constraints.items[k].regex);
        }
        json_object_done(policy_fields, policy);
        free(policy);
}

void policy_source_done(PolicySource *source)
{
        free(source->identifier);
        strlist_done(&source->attrs);
        *source = (PolicySource){ 0 };
}

/* --- expressions --- */

/* One escape of Go's syntax in POSIX's, outside or inside of brackets. NULL when there is none. */
static const char *translate_escape(char c, bool bracket)
{
        switch (c) {
        case 'd':
                return bracket ? "0-9" : "[0-9]";
        case 'w':
                return bracket ? "A-Za-z0-9_" : "[A-Za-z0-9_]";
        case 's':
                return bracket ? " \t\n\r\f" : "[ \t\n\r\f]";
        case 'D':
                return bracket ? NULL : "[^0-9]";
        case 'W':
                return bracket ? NULL : "[^A-Za-z0-9_]";
        case 'S':
                return bracket ? NULL : "[^ \t\n\r\f]";
        default:
                return NULL;
        }
}

static int unsupported(const char *expression, const char *what, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "source policy: %s in the regular expression '%s' is not supported", what, expression);
}

static int translate(const char *expression, Buf *out, Error *err)
{
        bool bracket = false;

        for (const char *at = expression; *at; at++) {
                if (*at == '\\' && at[1]) {
                        const char *plain = translate_escape(at[1], bracket);

                        at++;
                        if (plain)
                                buf_puts(out, plain);
                        else if (bracket && strchr("-]^\\", *at))
                                return unsupported(expression, "an escape inside of []", err);
                        else if (strchr("abfnrtvxpPzAQEBDWS0123456789", *at))
                                return unsupported(expression, "an escape", err);
                        else
                                buf_putf(out, bracket ? "%c" : "\\%c", *at);
                        continue;
                }
                if (!bracket && *at == '(' && at[1] == '?')
                        return unsupported(expression, "(?", err);
                if (!bracket && *at == '?' && at > expression && strchr("*+?}", at[-1]) && (at < expression + 2 || at[-2] != '\\'))
                        return unsupported(expression, "a lazy quantifier", err);
                if (!bracket && *at == '[') {
                        bracket = true;
                        buf_putc(out, *at);
                        if (at[1] == '^')
                                buf_putc(out, *++at);
                        if (at[1] == ']')
                                buf_putc(out, *++at);
                        continue;
                }
                if (bracket && *at == ']')
                        bracket = false;
                buf_putc(out, *at);
        }
        return 0;
}

static int compile(const char *expression, bool is_wildcard, regex_t *ret, Error *err)
{
        _cleanup_buf_ Buf out = BUF_INIT(POLICY_SIZE_MAX);
        char text[256];
        int r;

        if (is_wildcard) {
                if (strstr(expression, "**"))
                        return error_set(err, ERROR_INVALID, "source policy: invalid wildcard '%s': \"**\"", expression);
                buf_putc(&out, '^');
                for (const char *at = expression; *at; at++) {
                        if (*at == '*')
                                buf_puts(&out, "(.*)");
                        else if (strchr(".[]{}()\\+?|^$", *at))
                                buf_putf(&out, "\\%c", *at);
                        else
                                buf_putc(&out, *at);
                }
                buf_putc(&out, '$');
        } else if (translate(expression, &out, err) < 0) {
                return -1;
        }
        r = regcomp(ret, buf_str(&out), REG_EXTENDED);
        if (r == 0)
                return 0;
        regerror(r, ret, text, sizeof(text));
        return error_set(err, ERROR_INVALID, "source policy: invalid regular expression '%s': %s", expression, text);
}

/* --- reading --- */

/* A name or a number of an enumeration; the first when it is absent. */
static int parse_enum(const char *text, const char *const *names, size_t n_names, const char *what, unsigned *ret, Error *err)
{
        *ret = 0;
        if (!text)
                return 0;
        for (size_t i = 0; i < n_names; i++) {
                _cleanup_free_ char *quoted = xasprintf("\"%s\"", names[i]), *number = xasprintf("%zu", i);

                if (streq(text, quoted) || streq(text, number)) {
                        *ret = (unsigned)i;
                        return 0;
                }
        }
        return error_set(err, ERROR_INVALID, "source policy: unknown %s %s", what, text);
}

static int no_unknown(const StringMap *unknown, const char *where, Error *err)
{
        return unknown->n_items ? error_set(err, ERROR_INVALID, "source policy: unknown member '%s' of %s", unknown->items[0].key, where) : 0;
}

static int prepare_rule(Rule *rule, Error *err)
{
        const char *match = rule->selector.match_text ? rule->selector.match_text : rule->selector.match_text_go;
        unsigned action, type;

        if (no_unknown(&rule->unknown, "a rule", err) < 0 || no_unknown(&rule->selector.unknown, "a selector", err) < 0 ||
            (rule->updates && no_unknown(&rule->updates->unknown, "updates", err) < 0) ||
            parse_enum(rule->action_text, actions, ARRAY_LEN(actions), "action", &action, err) < 0 ||
            parse_enum(match, match_types, ARRAY_LEN(match_types), "match type", &type, err) < 0)
                return -1;
        rule->action = (Action)action;
        rule->match = (MatchType)type;
        if (rule->action == ACTION_CONVERT && !rule->updates)
                return error_set(err, ERROR_INVALID, "source policy: missing destination for convert rule '%s'", rule->selector.identifier);
        if (rule->match != MATCH_EXACT) {
                if (compile(rule->selector.identifier, rule->match == MATCH_WILDCARD, &rule->regex, err) < 0)
                        return -1;
                rule->compiled = true;
        }
        for (size_t i = 0; i < rule->selector.constraints.n_items; i++) {
                Constraint *constraint = &rule->selector.constraints.items[i];
                unsigned condition;

                if (no_unknown(&constraint->unknown, "a constraint", err) < 0 ||
                    parse_enum(constraint->condition_text, conditions, ARRAY_LEN(conditions), "condition", &condition, err) < 0)
                        return -1;
                constraint->condition = (Condition)condition;
                if (constraint->condition != CONDITION_MATCHES)
                        continue;
                if (compile(constraint->value ? constraint->value : "", false, &constraint->regex, err) < 0)
                        return -1;
                constraint->compiled = true;
        }
        return 0;
}

int policy_parse(const char *text, size_t size, Policy **ret, Error *err)
{
        _cleanup_(policy_freep) Policy *policy = NEW(Policy);

        if (json_object_read(text, size, &limits, policy_fields, policy, sizeof(*policy), err) < 0)
                return error_wrap(err, "invalid source policy");
        if (policy->version > 1)
                return error_set(err, ERROR_UNSUPPORTED, "source policy: version %lld is not supported, only 1 is", (long long)policy->version);
        if (no_unknown(&policy->unknown, "the policy", err) < 0)
                return -1;
        for (size_t i = 0; i < policy->rules.n_items; i++)
                if (prepare_rule(&policy->rules.items[i], err) < 0)
                        return -1;
        *ret = TAKE_PTR(policy);
        return 0;
}

int policy_load(const char *path, Policy **ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(POLICY_SIZE_MAX);
        int r = file_read(AT_FDCWD, path, &text);

        if (r < 0)
                return error_errno(err, r, "cannot read the source policy '%s'", path);
        return policy_parse(text.data ? text.data : "", text.size, ret, err) < 0 ? error_wrap(err, "'%s'", path) : 0;
}

/* --- evaluating --- */

static bool constraint_holds(const Constraint *constraint, const PolicySource *source)
{
        const char *have = strlist_env_get(&source->attrs, constraint->key), *value = constraint->value ? constraint->value : "";

        have = have ? have : "";
        switch (constraint->condition) {
        case CONDITION_EQUAL:
                return streq(have, value);
        case CONDITION_NOTEQUAL:
                return !streq(have, value);
        case CONDITION_MATCHES:
                return regexec(&constraint->regex, have, 0, NULL, 0) == 0;
        }
        return false;
}

static bool matches(const Rule *rule, const PolicySource *source)
{
        for (size_t i = 0; i < rule->selector.constraints.n_items; i++)
                if (!constraint_holds(&rule->selector.constraints.items[i], source))
                        return false;
        return streq(rule->selector.identifier, source->identifier) ||
               (rule->match != MATCH_EXACT && regexec(&rule->regex, source->identifier, 0, NULL, 0) == 0);
}

/* Go's Expand: $1, ${1}, $$. Names are no groups here and expand to nothing, as unknown ones do there. */
static void expand(const char *format, const char *subject, const regmatch_t *groups, Buf *out)
{
        for (const char *at = format; *at; at++) {
                const char *digits;
                size_t n, group;
                bool braces;

                if (*at != '$' || !at[1]) {
                        buf_putc(out, *at);
                        continue;
                }
                if (at[1] == '$') {
                        buf_putc(out, *at++);
                        continue;
                }
                braces = at[1] == '{';
                digits = at + 1 + braces;
                n = strspn(digits, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
                if (!n || (braces && digits[n] != '}')) {
                        buf_putc(out, *at);
                        continue;
                }
                group = strspn(digits, "0123456789") == n ? strtoul(digits, NULL, 10) : GROUPS_MAX;
                if (group < GROUPS_MAX && groups[group].rm_so >= 0)
                        buf_put(out, subject + groups[group].rm_so, (size_t)(groups[group].rm_eo - groups[group].rm_so));
                at = digits + n + braces - 1;
        }
}

/* Every match is replaced, what is around them stays (for a wildcard that is the whole). */
static char *format_identifier(const Rule *rule, const char *identifier)
{
        const char *destination = rule->updates->identifier;
        Buf out = BUF_INIT(POLICY_SIZE_MAX);
        const char *at = identifier;
        regmatch_t groups[GROUPS_MAX];

        if (str_empty(destination)) /* only attributes change */
                return xstrdup(identifier);
        if (rule->match == MATCH_EXACT || regexec(&rule->regex, identifier, GROUPS_MAX, groups, 0) != 0)
                return xstrdup(rule->match == MATCH_EXACT ? destination : identifier);
        do {
                buf_put(&out, at, (size_t)groups[0].rm_so);
                expand(destination, at, groups, &out);
                if (groups[0].rm_eo == groups[0].rm_so) {
                        if (!at[groups[0].rm_eo])
                                break;
                        buf_putc(&out, at[groups[0].rm_eo]);
                        at++;
                }
                at += groups[0].rm_eo;
        } while (*at && regexec(&rule->regex, at, GROUPS_MAX, groups, REG_NOTBOL) == 0);
        buf_puts(&out, at);
        return buf_detach(&out);
}

static bool convert(const Rule *rule, PolicySource *source)
{
        char *identifier = format_identifier(rule, source->identifier);
        bool changed = *identifier && !streq(identifier, source->identifier);

        if (changed) {
                free(source->identifier);
                source->identifier = identifier;
        } else {
                free(identifier);
        }
        for (size_t i = 0; i < rule->updates->attrs.n_items; i++) {
                const char *key = rule->updates->attrs.items[i].key, *value = rule->updates->attrs.items[i].value;

                if (streq_ptr(strlist_env_get(&source->attrs, key), value))
                        continue;
                strlist_env_set(&source->attrs, key, value);
                changed = true;
        }
        return changed;
}

/* 1 when a rule has converted it. */
static int one_round(const Policy *policy, PolicySource *source, Error *err)
{
        bool deny = false;

        for (size_t i = 0; i < policy->rules.n_items; i++) {
                const Rule *rule = &policy->rules.items[i];

                if (!matches(rule, source))
                        continue;
                if (rule->action == ACTION_CONVERT) {
                        if (convert(rule, source))
                                return 1;
                } else {
                        deny = rule->action == ACTION_DENY;
                }
        }
        return deny ? error_set(err, ERROR_DENIED, "source \"%s\" denied by policy", source->identifier) : 0;
}

int policy_evaluate(const Policy *policy, PolicySource *source, Error *err)
{
        int changed = 0;

        for (unsigned round = 0; round <= ROUNDS_MAX; round++) {
                int r = one_round(policy, source, err);

                if (r <= 0)
                        return r < 0 ? -1 : changed;
                changed = 1;
        }
        return error_set(err, ERROR_INVALID, "source policy: too many mutations on a single source (\"%s\")", source->identifier);
}
