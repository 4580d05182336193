/*
 * JSON values over jansson.
 */
#include "json/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "json/scan.h"
#include "json/writer.h"

/* The library returns NULL only without memory here: strings are checked before. */
static json_t *must(json_t *value)
{
        if (!value)
                abort();
        return value;
}

int json_value_parse(const void *text, size_t size, const JsonLimits *limits, JsonValue **ret, Error *err)
{
        JsonLimits max = limits ? *limits : JSON_LIMITS_DEFAULT;
        json_error_t where;
        json_t *value;

        if (size > max.size)
                return error_set(err, ERROR_LIMIT, "invalid JSON: %zu bytes, more than the %zu allowed", size, max.size);
        if (size == 0)
                return error_set(err, ERROR_INVALID, "invalid JSON: it is empty");
        if (json_scan_limits(text, size, max.depth, err) < 0)
                return -1;
        value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
        if (!value) {
                _cleanup_free_ char *why = str_printable(where.text, strlen(where.text));

                return error_set(err, ERROR_INVALID, "invalid JSON at line %d, column %d: %s", where.line, where.column, why);
        }
        *ret = value;
        return 0;
}

void json_value_unref(JsonValue *value)
{
        json_decref(value);
}

JsonValue *json_value_ref(JsonValue *value)
{
        return json_incref(value);
}

JsonValue *json_value_copy(const JsonValue *value)
{
        return value ? must(json_deep_copy(value)) : NULL;
}

JsonType json_value_type(const JsonValue *value)
{
        if (!value)
                return JSON_TYPE_NULL;
        switch (json_typeof(value)) {
        case JSON_OBJECT:
                return JSON_TYPE_OBJECT;
        case JSON_ARRAY:
                return JSON_TYPE_ARRAY;
        case JSON_STRING:
                return JSON_TYPE_STRING;
        case JSON_INTEGER:
                return JSON_TYPE_INT;
        case JSON_REAL:
                return JSON_TYPE_DOUBLE;
        case JSON_TRUE:
        case JSON_FALSE:
                return JSON_TYPE_BOOL;
        case JSON_NULL:
                break;
        }
        return JSON_TYPE_NULL;
}

const char *json_type_name(JsonType type)
{
        static const char *const names[] = {
                [JSON_TYPE_NULL] = "null",       [JSON_TYPE_BOOL] = "a boolean", [JSON_TYPE_INT] = "an integer",   [JSON_TYPE_DOUBLE] = "a fraction",
                [JSON_TYPE_STRING] = "a string", [JSON_TYPE_ARRAY] = "an array", [JSON_TYPE_OBJECT] = "an object",
        };

        return names[type];
}

size_t json_value_size(const JsonValue *value)
{
        return json_value_type(value) == JSON_TYPE_ARRAY ? json_array_size(value) : json_value_type(value) == JSON_TYPE_OBJECT ? json_object_size(value) : 0;
}

JsonValue *json_value_get(const JsonValue *object, const char *key)
{
        return object ? json_object_get(object, key) : NULL;
}

JsonValue *json_value_at(const JsonValue *array, size_t index)
{
        return array ? json_array_get(array, index) : NULL;
}

const char *json_value_string(const JsonValue *value)
{
        return value ? json_string_value(value) : NULL;
}

bool json_value_bool(const JsonValue *value)
{
        return value && json_is_true(value);
}

int64_t json_value_int(const JsonValue *value, int64_t otherwise)
{
        return value && json_is_integer(value) ? json_integer_value(value) : otherwise;
}

double json_value_double(const JsonValue *value, double otherwise)
{
        return value && json_is_number(value) ? json_number_value(value) : otherwise;
}

bool json_value_next(const JsonValue *object, void **at, const char **ret_key, JsonValue **ret_value)
{
        json_t *o = (json_t *)(uintptr_t)object; /* iterating does not change it; the library just does not say so */

        if (json_value_type(object) != JSON_TYPE_OBJECT)
                return false;
        *at = *at ? json_object_iter_next(o, *at) : json_object_iter(o);
        if (!*at)
                return false;
        *ret_key = json_object_iter_key(*at);
        *ret_value = json_object_iter_value(*at);
        return true;
}

JsonValue *json_value_find(const JsonValue *root, const char *path)
{
        JsonValue *value = (JsonValue *)(uintptr_t)root;

        while (*path && value) {
                if (*path == '[') {
                        char *end;
                        unsigned long index = strtoul(path + 1, &end, 10);

                        value = json_value_at(value, index);
                        path = *end == ']' ? end + 1 : end;
                } else {
                        size_t n = strcspn(path, ".[");
                        _cleanup_free_ char *key = xstrndup(path, n);

                        value = json_value_get(value, key);
                        path += n;
                }
                if (*path == '.')
                        path++;
        }
        return value;
}

int json_value_find_string(const JsonValue *root, const char *path, bool mandatory, const char **ret, Error *err)
{
        JsonValue *value = json_value_find(root, path);
        JsonType type = json_value_type(value);

        if (type == JSON_TYPE_NULL)
                return mandatory ? error_set(err, ERROR_INVALID, "'%s' is missing", path) : 0;
        if (type != JSON_TYPE_STRING)
                return error_set(err, ERROR_INVALID, "'%s' must be %s, not %s", path, json_type_name(JSON_TYPE_STRING), json_type_name(type));
        *ret = json_string_value(value);
        return 0;
}

JsonValue *json_value_new_object(void)
{
        return must(json_object());
}

JsonValue *json_value_new_array(void)
{
        return must(json_array());
}

/* Well-formed text as it is; otherwise a copy whose bad bytes are U+FFFD: our own quoting does that, and the library reads it back. */
JsonValue *json_value_new_string(const char *s)
{
        Buf quoted = BUF_INIT(BUF_MAX_DEFAULT);
        json_t *value;

        if (!s)
                return must(json_null());
        if (str_is_utf8(s, strlen(s)))
                return must(json_string_nocheck(s));
        if (json_text_quote(s, strlen(s), JSON_WRITE_COMPACT, &quoted) < 0)
                abort();
        value = must(json_loadb(quoted.data, quoted.size, JSON_DECODE_ANY, NULL));
        buf_done(&quoted);
        return value;
}

JsonValue *json_value_new_int(int64_t n)
{
        return must(json_integer(n));
}

JsonValue *json_value_new_double(double d)
{
        return must(isfinite(d) ? json_real(d) : json_null());
}

JsonValue *json_value_new_bool(bool b)
{
        return must(json_boolean(b));
}

JsonValue *json_value_new_null(void)
{
        return must(json_null());
}

void json_value_set(JsonValue *object, const char *key, JsonValue *value)
{
        _cleanup_json_ JsonValue *clean = json_value_new_string(key);

        if (json_object_set_new_nocheck(object, json_string_value(clean), value) < 0)
                abort();
}

void json_value_set_string(JsonValue *object, const char *key, const char *s)
{
        json_value_set(object, key, json_value_new_string(s));
}

void json_value_set_int(JsonValue *object, const char *key, int64_t n)
{
        json_value_set(object, key, json_value_new_int(n));
}

void json_value_set_bool(JsonValue *object, const char *key, bool b)
{
        json_value_set(object, key, json_value_new_bool(b));
}

bool json_value_remove(JsonValue *object, const char *key)
{
        return json_object_del(object, key) == 0;
}

void json_value_append(JsonValue *array, JsonValue *value)
{
        if (json_array_append_new(array, value) < 0)
                abort();
}

void json_value_append_string(JsonValue *array, const char *s)
{
        json_value_append(array, json_value_new_string(s));
}
