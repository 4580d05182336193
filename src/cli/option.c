#include "cli/option.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* What stands for the value in help, when the option does not say it. */
static const char *const metas[_OPTION_TYPE_MAX] = {
        [OPTION_BOOL] = "",           [OPTION_STRING] = "string", [OPTION_INT] = "int",         [OPTION_SIZE] = "bytes", [OPTION_DURATION] = "duration",
        [OPTION_DECIMAL] = "decimal", [OPTION_LIST] = "list",     [OPTION_CSV] = "stringArray",
};

const char *option_meta(const Option *option)
{
        return option->meta ? option->meta : metas[option->type];
}

/* `tables` end with NULL. NULL: there is no such option. */
static const Option *find_option(const Option *const *tables, const char *name, size_t name_size)
{
        for (; *tables; tables++)
                for (const Option *option = *tables; option->type != OPTION_END; option++)
                        if (strncmp(option->name, name, name_size) == 0 && !option->name[name_size])
                                return option;
        return NULL;
}

static const Option *find_letter(const Option *const *tables, char letter)
{
        for (; *tables; tables++)
                for (const Option *option = *tables; option->type != OPTION_END; option++)
                        if (option->letter == letter)
                                return option;
        return NULL;
}

static int compare_options(const void *a, const void *b)
{
        return strcmp((*(const Option *const *)a)->name, (*(const Option *const *)b)->name);
}

const Option **options_sorted(const Option *const *tables, size_t *ret_n)
{
        const Option **list = NULL;
        size_t n = 0, capacity = 0;

        for (; *tables; tables++)
                for (const Option *option = *tables; option->type != OPTION_END; option++)
                        if (!(option->flags & OPTION_HIDDEN)) {
                                GROW(list, capacity, n + 1);
                                list[n++] = option;
                        }
        if (n)
                qsort(list, n, sizeof(*list), compare_options);
        *ret_n = n;
        return list;
}

void option_result_done(OptionResult *result)
{
        strlist_done(&result->args);
        strlist_done(&result->given);
}

/* "1.5" -> 1500000000. */
static int parse_decimal(const char *s, int64_t *ret)
{
        uint64_t whole = 0, fraction = 0, scale = 1000000000;
        bool digits = false;

        for (; *s >= '0' && *s <= '9'; s++, digits = true) {
                whole = whole * 10 + (uint64_t)(*s - '0');
                if (whole > INT32_MAX)
                        return -ERANGE;
        }
        if (*s == '.')
                for (s++; *s >= '0' && *s <= '9'; s++, digits = true) {
                        if (scale == 1)
                                return -ERANGE;
                        scale /= 10;
                        fraction += (uint64_t)(*s - '0') * scale;
                }
        if (*s || !digits)
                return -EINVAL;
        *ret = (int64_t)(whole * 1000000000 + fraction);
        return 0;
}

static int parse_size(const char *s, int64_t *ret)
{
        uint64_t size;
        int r;

        if (streq(s, "-1")) {
                *ret = -1;
                return 0;
        }
        r = str_to_size(s, &size);
        if (r < 0)
                return r;
        if (size > INT64_MAX)
                return -ERANGE;
        *ret = (int64_t)size;
        return 0;
}

/* Go's durations; a bare number is seconds. */
static int parse_duration(const char *s, int64_t *ret)
{
        uint64_t seconds;

        if (str_to_u64(s, &seconds) == 0) {
                if (seconds > INT64_MAX / NSEC_PER_SEC)
                        return -ERANGE;
                *ret = (int64_t)seconds * NSEC_PER_SEC;
                return 0;
        }
        return duration_parse(s, ret);
}

static void split_commas(StrList *list, const char *s)
{
        if (*s)
                strlist_split(list, s, ',');
}

/* What went wrong with a value, as Go's parsers say it. */
static const char *value_problem(OptionType type, int r)
{
        if (r == -ERANGE)
                return "value out of range";
        if (r == -EBADMSG)
                return "bad format of filter (expected name=value)";
        switch (type) {
        case OPTION_SIZE:
                return "invalid size";
        case OPTION_DURATION:
                return "invalid duration";
        case OPTION_DECIMAL:
                return "not a decimal number with at most nine digits after the point";
        default:
                return "invalid syntax";
        }
}

/* Puts one value where the option wants it. 0 or a negative errno. */
static int store_value(const Option *option, void *options, const char *value)
{
        void *to = (char *)options + option->offset;

        switch (option->type) {
        case OPTION_BOOL:
                return str_to_bool(value, to);
        case OPTION_STRING:
                *(const char **)to = value;
                return 0;
        case OPTION_INT:
                return str_to_i64(value, to);
        case OPTION_SIZE:
                return parse_size(value, to);
        case OPTION_DURATION:
                return parse_duration(value, to);
        case OPTION_DECIMAL:
                return parse_decimal(value, to);
        case OPTION_LIST:
                if ((option->flags & OPTION_FILTER) && !*value)
                        return 0; /* --filter "$FILTER" */
                if ((option->flags & OPTION_FILTER) && !strchr(value, '='))
                        return -EBADMSG;
                strlist_add(to, value);
                return 0;
        case OPTION_CSV:
                split_commas(to, value);
                return 0;
        default:
                return -EINVAL;
        }
}

static int set_option(const Option *option, void *options, const char *value, OptionResult *result, Error *err)
{
        int r = store_value(option, options, value);

        if (r < 0) {
                if (option->letter)
                        return error_set(err, ERROR_INVALID, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s", value, option->letter, option->name,
                                         value_problem(option->type, r));
                return error_set(err, ERROR_INVALID, "invalid argument \"%s\" for \"--%s\" flag: %s", value, option->name, value_problem(option->type, r));
        }
        if (!strlist_has(&result->given, option->name))
                strlist_add(&result->given, option->name);
        return 0;
}

static const char *implied_value(const Option *option)
{
        return option->type == OPTION_BOOL ? "true" : option->implied;
}

static int unknown_long(const Option *const *tables, const char *name, size_t name_size, Error *err)
{
        _cleanup_free_ char *word = xstrndup(name, name_size);
        _cleanup_free_ const char **names = NULL;
        const Option **all;
        const char *nearest;
        size_t n;

        all = options_sorted(tables, &n);
        names = xcalloc(n + 1, sizeof(*names));
        for (size_t i = 0; i < n; i++)
                names[i] = all[i]->name;
        free(all);
        nearest = str_suggest(word, names, n);
        if (nearest)
                return error_set(err, ERROR_INVALID, "unknown flag: --%s (did you mean --%s?)", word, nearest);
        return error_set(err, ERROR_INVALID, "unknown flag: --%s", word);
}

/* Handles "--name…" at args[*at]. */
static int parse_long(const Option *const *tables, void *options, int n_args, char *const *args, int *at, OptionResult *result, Error *err)
{
        const char *name = args[*at] + 2, *equals = strchr(name, '=');
        size_t name_size = equals ? (size_t)(equals - name) : strlen(name);
        const Option *option;

        if (name_size == 0 || name[0] == '-')
                return error_set(err, ERROR_INVALID, "bad flag syntax: %s", args[*at]);
        option = find_option(tables, name, name_size);
        if (!option) {
                if (name_size == 4 && strncmp(name, "help", 4) == 0) {
                        result->help = true;
                        return 0;
                }
                return unknown_long(tables, name, name_size, err);
        }
        if (equals)
                return set_option(option, options, equals + 1, result, err);
        if (implied_value(option))
                return set_option(option, options, implied_value(option), result, err);
        if (*at + 1 >= n_args)
                return error_set(err, ERROR_INVALID, "flag needs an argument: --%s", option->name);
        return set_option(option, options, args[++*at], result, err);
}

/* Handles "-abc" at args[*at]. */
static int parse_letters(const Option *const *tables, void *options, int n_args, char *const *args, int *at, OptionResult *result, Error *err)
{
        for (const char *p = args[*at] + 1; *p; p++) {
                const Option *option = find_letter(tables, *p);

                if (!option) {
                        if (*p == 'h') {
                                result->help = true;
                                return 0;
                        }
                        return error_set(err, ERROR_INVALID, "unknown shorthand flag: '%c' in -%s", *p, args[*at] + 1);
                }
                if (p[1] == '=')
                        return set_option(option, options, p + 2, result, err);
                if (implied_value(option)) {
                        if (set_option(option, options, implied_value(option), result, err) < 0)
                                return -1;
                        continue;
                }
                if (p[1])
                        return set_option(option, options, p + 1, result, err);
                if (*at + 1 >= n_args)
                        return error_set(err, ERROR_INVALID, "flag needs an argument: '%c' in -%s", *p, args[*at] + 1);
                return set_option(option, options, args[++*at], result, err);
        }
        return 0;
}

static int set_defaults(const Option *const *tables, void *options, Error *err)
{
        for (; *tables; tables++)
                for (const Option *option = *tables; option->type != OPTION_END; option++)
                        if (option->value && store_value(option, options, option->value) < 0)
                                return error_set(err, ERROR_INTERNAL, "the default of --%s cannot be read: '%s'", option->name, option->value);
        return 0;
}

int options_parse(const Option *const *tables, void *options, bool stop_at_argument, int n_args, char *const *args, OptionResult *result, Error *err)
{
        if (set_defaults(tables, options, err) < 0)
                return -1;
        for (int i = 0; i < n_args; i++) {
                const char *arg = args[i];
                int r;

                if (arg[0] != '-' || !arg[1]) {
                        strlist_add(&result->args, arg);
                        if (!stop_at_argument)
                                continue;
                        while (++i < n_args)
                                strlist_add(&result->args, args[i]);
                        return 0;
                }
                if (streq(arg, "--")) {
                        while (++i < n_args)
                                strlist_add(&result->args, args[i]);
                        return 0;
                }
                r = arg[1] == '-' ? parse_long(tables, options, n_args, args, &i, result, err) : parse_letters(tables, options, n_args, args, &i, result, err);
                if (r < 0)
                        return -1;
                if (result->help)
                        return 0;
        }
        return 0;
}

void options_done(const Option *const *tables, void *options)
{
        for (; *tables; tables++)
                for (const Option *option = *tables; option->type != OPTION_END; option++)
                        if (option->type == OPTION_LIST || option->type == OPTION_CSV)
                                strlist_done((StrList *)((char *)options + option->offset));
}
