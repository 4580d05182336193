/*
 * Writing JSON text, piece by piece or from a tree.
 */
#include "json/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"

void json_writer_init(JsonWriter *writer, Buf *out, JsonWriteFlags flags)
{
        *writer = (JsonWriter){ .out = out, .flags = flags };
}

static void put(JsonWriter *writer, const char *text, size_t size)
{
        if (writer->failure >= 0)
                writer->failure = buf_add(writer->out, text, size);
}

/* What comes before any value: a comma, unless it follows a key or is the first. */
static void begin_value(JsonWriter *writer)
{
        if (!writer->after_key && writer->need_comma)
                put(writer, ",", 1);
        writer->after_key = false;
        writer->need_comma = true;
}

static void put_value(JsonWriter *writer, const char *text)
{
        begin_value(writer);
        put(writer, text, strlen(text));
}

static void open_level(JsonWriter *writer, const char *mark)
{
        put_value(writer, mark);
        writer->need_comma = false;
        if (++writer->depth > JSON_WRITER_DEPTH_MAX && writer->failure >= 0)
                writer->failure = -EFBIG;
}

static void close_level(JsonWriter *writer, const char *mark)
{
        put(writer, mark, 1);
        writer->need_comma = true;
        if (writer->depth-- == 0 || writer->after_key)
                writer->failure = -EINVAL;
}

void json_writer_begin_object(JsonWriter *writer)
{
        open_level(writer, "{");
}

void json_writer_end_object(JsonWriter *writer)
{
        close_level(writer, "}");
}

void json_writer_begin_array(JsonWriter *writer)
{
        open_level(writer, "[");
}

void json_writer_end_array(JsonWriter *writer)
{
        close_level(writer, "]");
}

void json_writer_key(JsonWriter *writer, const char *key)
{
        json_writer_string(writer, key);
        put(writer, ":", 1);
        writer->after_key = true;
}

void json_writer_stringn(JsonWriter *writer, const char *s, size_t size)
{
        begin_value(writer);
        if (writer->failure >= 0)
                writer->failure = json_text_quote(s, size, writer->flags, writer->out);
}

void json_writer_string(JsonWriter *writer, const char *s)
{
        if (s)
                json_writer_stringn(writer, s, strlen(s));
        else
                json_writer_null(writer);
}

void json_writer_int(JsonWriter *writer, int64_t n)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRId64, n);
        put_value(writer, text);
}

void json_writer_uint(JsonWriter *writer, uint64_t n)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, n);
        put_value(writer, text);
}

/* The shortest decimal digits that read back as d, as "d.ddde±xx" taken apart: digits without the point, exponent of the first. */
static size_t shortest_digits(double d, char digits[static 20], int *ret_exponent)
{
        char text[40];
        size_t n = 0;

        for (int precision = 0; precision <= 16; precision++) {
                snprintf(text, sizeof(text), "%.*e", precision, d);
                if (strtod(text, NULL) == d)
                        break;
        }
        for (const char *p = text; *p && *p != 'e'; p++)
                if (*p >= '0' && *p <= '9')
                        digits[n++] = *p;
        *ret_exponent = atoi(strchr(text, 'e') + 1);
        return n;
}

void json_writer_double(JsonWriter *writer, double d)
{
        char digits[20], text[64];
        size_t n, at = 0;
        int exponent;

        if (!isfinite(d)) {
                json_writer_null(writer);
                return;
        }
        if (signbit(d))
                text[at++] = '-';
        d = fabs(d);
        n = shortest_digits(d, digits, &exponent);
        if (d != 0 && (d < 1e-6 || d >= 1e21)) {
                text[at++] = digits[0];
                if (n > 1) {
                        text[at++] = '.';
                        memcpy(text + at, digits + 1, n - 1);
                        at += n - 1;
                }
                /* Go writes e-7, not e-07, but e+21. */
                snprintf(text + at, sizeof(text) - at, "e%c%d", exponent < 0 ? '-' : '+', abs(exponent));
                put_value(writer, text);
                return;
        }
        if (exponent < 0) {
                text[at++] = '0';
                text[at++] = '.';
                for (int i = -1; i > exponent; i--)
                        text[at++] = '0';
        }
        for (size_t i = 0; i < n || (int)i <= exponent; i++) {
                if (exponent >= 0 && (int)i == exponent + 1)
                        text[at++] = '.';
                text[at++] = i < n ? digits[i] : '0';
        }
        text[at] = '\0';
        put_value(writer, text);
}

void json_writer_bool(JsonWriter *writer, bool b)
{
        put_value(writer, b ? "true" : "false");
}

void json_writer_null(JsonWriter *writer)
{
        put_value(writer, "null");
}

void json_writer_raw(JsonWriter *writer, const char *text)
{
        put_value(writer, text);
}

void json_writer_strings(JsonWriter *writer, const StrList *list)
{
        json_writer_begin_array(writer);
        for (size_t i = 0; i < list->n_items; i++)
                json_writer_string(writer, list->items[i]);
        json_writer_end_array(writer);
}

void json_writer_member_string(JsonWriter *writer, const char *key, const char *s)
{
        json_writer_key(writer, key);
        json_writer_string(writer, s);
}

void json_writer_member_uint(JsonWriter *writer, const char *key, uint64_t n)
{
        json_writer_key(writer, key);
        json_writer_uint(writer, n);
}

void json_writer_member_int(JsonWriter *writer, const char *key, int64_t n)
{
        json_writer_key(writer, key);
        json_writer_int(writer, n);
}

void json_writer_member_bool(JsonWriter *writer, const char *key, bool b)
{
        json_writer_key(writer, key);
        json_writer_bool(writer, b);
}

int json_writer_finish(JsonWriter *writer, Error *err)
{
        if (writer->failure == -EFBIG || writer->failure == -ENOMEM)
                return error_set(err, ERROR_LIMIT, "cannot write JSON: larger than %zu bytes or nested too deeply", writer->out->max);
        if (writer->failure < 0 || writer->depth > 0 || writer->after_key)
                return error_set(err, ERROR_INTERNAL, "cannot write JSON: objects and arrays are not balanced");
        return 0;
}

static int compare_keys(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_object(JsonWriter *writer, json_t *object)
{
        size_t n = json_object_size(object), i = 0;
        _cleanup_free_ const char **keys = NEW_ARRAY(const char *, n + 1);
        const char *key;
        json_t *value;

        json_object_foreach(object, key, value) keys[i++] = key;
        if (writer->flags & JSON_WRITE_SORTED)
                qsort(keys, n, sizeof(*keys), compare_keys);
        json_writer_begin_object(writer);
        for (i = 0; i < n; i++) {
                json_writer_key(writer, keys[i]);
                json_writer_value(writer, json_object_get(object, keys[i]));
        }
        json_writer_end_object(writer);
}

void json_writer_value(JsonWriter *writer, const JsonValue *value)
{
        if (writer->failure < 0)
                return;
        switch (json_value_type(value)) {
        case JSON_TYPE_NULL:
                json_writer_null(writer);
                return;
        case JSON_TYPE_BOOL:
                json_writer_bool(writer, json_is_true(value));
                return;
        case JSON_TYPE_INT:
                json_writer_int(writer, json_integer_value(value));
                return;
        case JSON_TYPE_DOUBLE:
                json_writer_double(writer, json_real_value(value));
                return;
        case JSON_TYPE_STRING:
                json_writer_stringn(writer, json_string_value(value), json_string_length(value));
                return;
        case JSON_TYPE_ARRAY:
                json_writer_begin_array(writer);
                for (size_t i = 0; i < json_array_size(value); i++)
                        json_writer_value(writer, json_array_get(value, i));
                json_writer_end_array(writer);
                return;
        case JSON_TYPE_OBJECT:
                write_object(writer, (json_t *)(uintptr_t)value); /* iterating does not change it; the library just does not say so */
                return;
        }
}

int json_value_write(const JsonValue *value, JsonWriteFlags flags, Buf *out, Error *err)
{
        _cleanup_buf_ Buf flat = BUF_INIT(out->max);
        bool indent = flags & (JSON_WRITE_INDENT_2 | JSON_WRITE_INDENT_4);
        JsonWriter writer;

        json_writer_init(&writer, indent ? &flat : out, flags);
        json_writer_value(&writer, value);
        if (json_writer_finish(&writer, err) < 0)
                return -1;
        if (indent && json_text_indent(buf_str(&flat), flat.size, flags & JSON_WRITE_INDENT_2 ? 2 : 4, out) < 0)
                return error_set(err, ERROR_LIMIT, "cannot write JSON: larger than %zu bytes", out->max);
        return 0;
}

char *json_value_text(const JsonValue *value, JsonWriteFlags flags)
{
        Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;

        if (json_value_write(value, flags, &out, &err) < 0)
                buf_reset(&out); /* 64 MiB of our own making: nothing that is read can be that large */
        return buf_detach(&out);
}
