/*
 * The functions of templates: docker's (json, join, split, title, lower, upper, pad, truncate) and Go's own.
 *
 * Adding one: a function here and a row in functions[], sorted by name.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/private.h"
#include "json/writer.h"

#define PRINTF_WIDTH_MAX 4096

bool template_truth(const JsonValue *value)
{
        switch (json_value_type(value)) {
        case JSON_TYPE_NULL:
                return false;
        case JSON_TYPE_BOOL:
                return json_value_bool(value);
        case JSON_TYPE_INT:
                return json_value_int(value, 0) != 0;
        case JSON_TYPE_DOUBLE:
                return json_value_double(value, 0) != 0; /* exactly zero is what Go asks, too */
        case JSON_TYPE_STRING:
                return *json_value_string(value) != '\0';
        default:
                return json_value_size(value) != 0;
        }
}

static int compare_keys(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Everything that is printed goes through here; a full buffer just stops growing, and the caller sees it. */
static void put(Buf *out, const char *s)
{
        if (buf_adds(out, s) < 0)
                out->size = out->data ? MIN(out->size, out->max) : 0;
}

static void print_object(const JsonValue *value, Buf *out)
{
        size_t n = json_value_size(value), i = 0;
        const char **keys = xcalloc(n + 1, sizeof(*keys));
        JsonValue *member;

        for (void *at = NULL; i < n && json_value_next(value, &at, &keys[i], &member);)
                i++;
        qsort(keys, n, sizeof(*keys), compare_keys);
        put(out, "map[");
        for (i = 0; i < n; i++) {
                put(out, i ? " " : "");
                put(out, keys[i]);
                put(out, ":");
                template_print(json_value_get(value, keys[i]), out);
        }
        put(out, "]");
        free(keys);
}

void template_print(const JsonValue *value, Buf *out)
{
        switch (json_value_type(value)) {
        case JSON_TYPE_NULL:
                put(out, value ? "<nil>" : "<no value>");
                return;
        case JSON_TYPE_STRING:
                put(out, json_value_string(value));
                return;
        case JSON_TYPE_OBJECT:
                print_object(value, out);
                return;
        case JSON_TYPE_ARRAY:
                put(out, "[");
                for (size_t i = 0; i < json_value_size(value); i++) {
                        put(out, i ? " " : "");
                        template_print(json_value_at(value, i), out);
                }
                put(out, "]");
                return;
        default: {
                _cleanup_free_ char *text = json_value_text(value, JSON_WRITE_COMPACT);

                put(out, text);
                return;
        }
        }
}

/* The value as text; new string. */
static char *text_of(const JsonValue *value)
{
        Buf out = BUF_INIT(BUF_MAX_DEFAULT);

        template_print(value, &out);
        return buf_detach(&out);
}

static int want_string(const JsonValue *value, const char **ret, Error *err)
{
        *ret = json_value_string(value);
        return *ret ? 0 : error_set(err, ERROR_INVALID, "wrong type for value; expected string; got %s", json_type_name(json_value_type(value)));
}

static int want_int(const JsonValue *value, int64_t *ret, Error *err)
{
        if (json_value_type(value) != JSON_TYPE_INT)
                return error_set(err, ERROR_INVALID, "wrong type for value; expected int; got %s", json_type_name(json_value_type(value)));
        *ret = json_value_int(value, 0);
        return 0;
}

static int call_json(const FunctionCall *call, JsonValue **ret, Error *err)
{
        bool row = call->data->row && call->args[0] == call->data->root;
        _cleanup_free_ char *text = json_value_text(call->args[0], row ? JSON_WRITE_SORTED : JSON_WRITE_NO_HTML);

        *ret = json_value_new_string(text);
        return 0;
}

static int call_join(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        const char *separator;

        if (want_string(call->args[1], &separator, err) < 0)
                return -1;
        if (!json_value_is_null(call->args[0]) && json_value_type(call->args[0]) != JSON_TYPE_ARRAY)
                return error_set(err, ERROR_INVALID, "wrong type for value; expected []string; got %s", json_type_name(json_value_type(call->args[0])));
        for (size_t i = 0; i < json_value_size(call->args[0]); i++) {
                put(&out, i ? separator : "");
                template_print(json_value_at(call->args[0], i), &out);
        }
        *ret = json_value_new_string(buf_str(&out));
        return 0;
}

static int call_split(const FunctionCall *call, JsonValue **ret, Error *err)
{
        const char *s, *separator, *at;

        if (want_string(call->args[0], &s, err) < 0 || want_string(call->args[1], &separator, err) < 0)
                return -1;
        *ret = json_value_new_array();
        if (!*separator) {
                for (; *s; s++) {
                        const char one[2] = { *s, '\0' };

                        json_value_append_string(*ret, one);
                }
                return 0;
        }
        for (; (at = strstr(s, separator)); s = at + strlen(separator)) {
                _cleanup_free_ char *part = xstrndup(s, (size_t)(at - s));

                json_value_append_string(*ret, part);
        }
        json_value_append_string(*ret, s);
        return 0;
}

static int call_lower(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_free_ char *text = NULL;
        const char *s;

        if (want_string(call->args[0], &s, err) < 0)
                return -1;
        text = str_lower(s);
        *ret = json_value_new_string(text);
        return 0;
}

static int call_upper(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_free_ char *text = NULL;
        const char *s;

        if (want_string(call->args[0], &s, err) < 0)
                return -1;
        text = str_upper(s);
        *ret = json_value_new_string(text);
        return 0;
}

/* docker's title: the first letter of the whole text. */
static int call_title(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_free_ char *text = NULL;
        const char *s;

        if (want_string(call->args[0], &s, err) < 0)
                return -1;
        text = xstrdup(s);
        *text = (char)toupper((unsigned char)*text);
        *ret = json_value_new_string(text);
        return 0;
}

/* pad TEXT BEFORE AFTER: spaces around a text that is not empty. */
static int call_pad(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_free_ char *text = NULL;
        int64_t before, after;
        const char *s;

        if (want_string(call->args[0], &s, err) < 0 || want_int(call->args[1], &before, err) < 0 || want_int(call->args[2], &after, err) < 0)
                return -1;
        if (before < 0 || after < 0 || before > PRINTF_WIDTH_MAX || after > PRINTF_WIDTH_MAX)
                return error_set(err, ERROR_INVALID, "padding out of range");
        text = *s ? xasprintf("%*s%s%*s", (int)before, "", s, (int)after, "") : xstrdup("");
        *ret = json_value_new_string(text);
        return 0;
}

static int call_truncate(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_free_ char *text = NULL;
        int64_t size;
        const char *s;

        if (want_string(call->args[0], &s, err) < 0 || want_int(call->args[1], &size, err) < 0)
                return -1;
        text = xstrndup(s, size < 0 ? 0 : (size_t)size);
        *ret = json_value_new_string(text);
        return 0;
}

static int call_len(const FunctionCall *call, JsonValue **ret, Error *err)
{
        const char *s = json_value_string(call->args[0]);
        JsonType type = json_value_type(call->args[0]);

        if (!s && type != JSON_TYPE_ARRAY && type != JSON_TYPE_OBJECT && type != JSON_TYPE_NULL)
                return error_set(err, ERROR_INVALID, "len of %s", json_type_name(type));
        *ret = json_value_new_int((int64_t)(s ? strlen(s) : json_value_size(call->args[0])));
        return 0;
}

static int call_index(const FunctionCall *call, JsonValue **ret, Error *err)
{
        JsonValue *value = call->args[0];

        for (size_t i = 1; i < call->n_args; i++) {
                int64_t at;
                const char *key;

                if (json_value_type(value) == JSON_TYPE_OBJECT || json_value_is_null(value)) {
                        if (json_value_is_null(value) && i == 1 && json_value_type(call->args[1]) == JSON_TYPE_INT)
                                return error_set(err, ERROR_INVALID, "index of untyped nil");
                        if (want_string(call->args[i], &key, err) < 0)
                                return -1;
                        value = json_value_get(value, key);
                        if (!value && i + 1 == call->n_args) {
                                *ret = json_value_new_string("");
                                return 0;
                        }
                        continue;
                }
                if (json_value_type(value) != JSON_TYPE_ARRAY)
                        return error_set(err, ERROR_INVALID, "can't index item of type %s", json_type_name(json_value_type(value)));
                if (want_int(call->args[i], &at, err) < 0)
                        return -1;
                if (at < 0 || (uint64_t)at >= json_value_size(value))
                        return error_set(err, ERROR_INVALID, "index out of range: %lld", (long long)at);
                value = json_value_at(value, (size_t)at);
        }
        *ret = value ? json_value_ref(value) : NULL;
        return 0;
}

static int call_slice(const FunctionCall *call, JsonValue **ret, Error *err)
{
        const char *s = json_value_string(call->args[0]);
        size_t size = s ? strlen(s) : json_value_size(call->args[0]);
        int64_t from = 0, to = (int64_t)size;

        if (!s && json_value_type(call->args[0]) != JSON_TYPE_ARRAY)
                return error_set(err, ERROR_INVALID, "can't slice item of type %s", json_type_name(json_value_type(call->args[0])));
        if ((call->n_args > 1 && want_int(call->args[1], &from, err) < 0) || (call->n_args > 2 && want_int(call->args[2], &to, err) < 0))
                return -1;
        if (from < 0 || to < from || to > (int64_t)size)
                return error_set(err, ERROR_INVALID, "index out of range: %lld", (long long)(to > (int64_t)size ? to : from));
        if (s) {
                _cleanup_free_ char *part = xstrndup(s + from, (size_t)(to - from));

                *ret = json_value_new_string(part);
                return 0;
        }
        *ret = json_value_new_array();
        for (int64_t i = from; i < to; i++)
                json_value_append(*ret, json_value_ref(json_value_at(call->args[0], (size_t)i)));
        return 0;
}

static bool is_number(const JsonValue *value)
{
        return json_value_type(value) == JSON_TYPE_INT || json_value_type(value) == JSON_TYPE_DOUBLE;
}

/* Orders two values of the same basic type: < 0, 0, > 0 in *ret. */
static int compare(const JsonValue *a, const JsonValue *b, int *ret, Error *err)
{
        if (json_value_type(a) == JSON_TYPE_INT && json_value_type(b) == JSON_TYPE_INT) {
                int64_t x = json_value_int(a, 0), y = json_value_int(b, 0);

                *ret = (x > y) - (x < y);
                return 0;
        }
        if (is_number(a) && is_number(b)) {
                double x = json_value_double(a, 0), y = json_value_double(b, 0);

                *ret = (x > y) - (x < y);
                return 0;
        }
        if (json_value_is_null(a) || json_value_is_null(b)) {
                *ret = json_value_is_null(a) - json_value_is_null(b);
                return 0;
        }
        if (json_value_type(a) != json_value_type(b))
                return error_set(err, ERROR_INVALID, "incompatible types for comparison");
        if (json_value_type(a) == JSON_TYPE_STRING)
                *ret = strcmp(json_value_string(a), json_value_string(b));
        else if (json_value_type(a) == JSON_TYPE_BOOL)
                *ret = (int)json_value_bool(a) - (int)json_value_bool(b);
        else
                return error_set(err, ERROR_INVALID, "invalid type for comparison");
        return 0;
}

static int call_eq(const FunctionCall *call, JsonValue **ret, Error *err)
{
        bool equal = false;

        for (size_t i = 1; i < call->n_args && !equal; i++) {
                int order;

                if (compare(call->args[0], call->args[i], &order, err) < 0)
                        return -1;
                equal = order == 0;
        }
        *ret = json_value_new_bool(equal);
        return 0;
}

static int call_ordered(const FunctionCall *call, bool less, bool equal, bool more, JsonValue **ret, Error *err)
{
        int order;

        if (compare(call->args[0], call->args[1], &order, err) < 0)
                return -1;
        *ret = json_value_new_bool(order < 0 ? less : order > 0 ? more : equal);
        return 0;
}

static int call_ne(const FunctionCall *call, JsonValue **ret, Error *err)
{
        return call_ordered(call, true, false, true, ret, err);
}

static int call_lt(const FunctionCall *call, JsonValue **ret, Error *err)
{
        return call_ordered(call, true, false, false, ret, err);
}

static int call_le(const FunctionCall *call, JsonValue **ret, Error *err)
{
        return call_ordered(call, true, true, false, ret, err);
}

static int call_gt(const FunctionCall *call, JsonValue **ret, Error *err)
{
        return call_ordered(call, false, false, true, ret, err);
}

static int call_ge(const FunctionCall *call, JsonValue **ret, Error *err)
{
        return call_ordered(call, false, true, true, ret, err);
}

static int call_not(const FunctionCall *call, JsonValue **ret, Error *err)
{
        *ret = json_value_new_bool(!template_truth(call->args[0]));
        return 0;
}

/* Evaluated by execute.c, which must not need the arguments behind the one that decides. */
static int call_logic(const FunctionCall *call, JsonValue **ret, Error *err)
{
        return error_set(err, ERROR_INTERNAL, "not callable");
}

static int call_print(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);

        for (size_t i = 0; i < call->n_args; i++) {
                /* Go's Sprint puts a space between operands when neither is a string. */
                if (i && json_value_type(call->args[i]) != JSON_TYPE_STRING && json_value_type(call->args[i - 1]) != JSON_TYPE_STRING)
                        put(&out, " ");
                template_print(call->args[i], &out);
        }
        *ret = json_value_new_string(buf_str(&out));
        return 0;
}

static int call_println(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);

        for (size_t i = 0; i < call->n_args; i++) {
                put(&out, i ? " " : "");
                template_print(call->args[i], &out);
        }
        put(&out, "\n");
        *ret = json_value_new_string(buf_str(&out));
        return 0;
}

/* One verb of printf. `flags` is what stood between '%' and the verb, checked to be digits, '-', '+', '0', '.', ' ' and '#' only. */
static int format_verb(char verb, const char *flags, const JsonValue *value, Buf *out, Error *err)
{
        _cleanup_free_ char *text = NULL, *format = NULL;

        switch (verb) {
        case 'd':
        case 'x':
        case 'X':
        case 'o':
        case 'c':
                if (json_value_type(value) == JSON_TYPE_INT) {
                        format = verb == 'c' ? xasprintf("%%%sc", flags) : xasprintf("%%%sll%c", flags, verb);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                        text = verb == 'c' ? xasprintf(format, (int)json_value_int(value, 0)) : xasprintf(format, (long long)json_value_int(value, 0));
                        break;
                }
                text = text_of(value);
                put(out, "%!");
                buf_putc(out, verb);
                put(out, "(");
                put(out, text);
                put(out, ")");
                return 0;
        case 'f':
        case 'g':
        case 'e':
                format = xasprintf("%%%s%c", flags, verb);
                text = xasprintf(format, json_value_double(value, 0));
                break;
        case 'q': {
                _cleanup_free_ char *plain = text_of(value);
                _cleanup_buf_ Buf quoted = BUF_INIT(BUF_MAX_DEFAULT);
                char *inner;

                if (json_text_quote(plain, strlen(plain), JSON_WRITE_NO_HTML, &quoted) < 0)
                        return error_set(err, ERROR_LIMIT, "the text is too large");
                inner = buf_detach(&quoted);
                format = xasprintf("%%%ss", flags);
                text = xasprintf(format, inner);
                free(inner);
                break;
        }
        case 's':
        case 'v':
        case 't': {
                _cleanup_free_ char *plain = text_of(value);

                format = xasprintf("%%%ss", flags);
                text = xasprintf(format, plain);
#pragma GCC diagnostic pop
                break;
        }
        default:
                return error_set(err, ERROR_INVALID, "unknown verb %%%c", verb);
        }
        put(out, text);
        return 0;
}

static int call_printf(const FunctionCall *call, JsonValue **ret, Error *err)
{
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        const char *format;
        size_t next = 1;

        if (want_string(call->args[0], &format, err) < 0 || !format)
                return -1;
        for (; *format; format++) {
                size_t n;
                char flags[16];

                if (*format != '%') {
                        buf_putc(&out, *format);
                        continue;
                }
                if (*++format == '%') {
                        buf_putc(&out, '%');
                        continue;
                }
                n = strspn(format, "0123456789-+ .#");
                if (n >= sizeof(flags) - 1 || strtol(format + strspn(format, "-+ #0"), NULL, 10) > PRINTF_WIDTH_MAX)
                        return error_set(err, ERROR_INVALID, "bad width in '%s'", json_value_string(call->args[0]));
                memcpy(flags, format, n);
                flags[n] = '\0';
                format += n;
                if (!*format) {
                        put(&out, "%!(NOVERB)");
                        break;
                }
                if (next >= call->n_args) {
                        put(&out, "%!");
                        buf_putc(&out, *format);
                        put(&out, "(MISSING)");
                        continue;
                }
                if (format_verb(*format, flags, call->args[next++], &out, err) < 0)
                        return -1;
        }
        *ret = json_value_new_string(buf_str(&out));
        return 0;
}

static const TemplateFunction functions[] = {
        { "and", 1, 0, call_logic },      { "eq", 2, 0, call_eq },
        { "ge", 2, 2, call_ge },          { "gt", 2, 2, call_gt },
        { "index", 1, 0, call_index, 1 }, { "join", 2, 2, call_join, 1 },
        { "json", 1, 1, call_json },      { "le", 2, 2, call_le },
        { "len", 1, 1, call_len },        { "lower", 1, 1, call_lower },
        { "lt", 2, 2, call_lt },          { "ne", 2, 2, call_ne },
        { "not", 1, 1, call_not },        { "or", 1, 0, call_logic },
        { "pad", 3, 3, call_pad, 1 },     { "print", 0, 0, call_print },
        { "printf", 1, 0, call_printf },  { "println", 0, 0, call_println },
        { "slice", 1, 4, call_slice, 1 }, { "split", 2, 2, call_split, 1 },
        { "title", 1, 1, call_title },    { "truncate", 2, 2, call_truncate, 1 },
        { "upper", 1, 1, call_upper },
};

const TemplateFunction *template_function_find(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(functions); i++)
                if (streq(functions[i].name, name))
                        return &functions[i];
        return NULL;
}
