/*
 * Writing JSON text as Go's encoding/json does, byte for byte, because digests are taken over it.
 *
 * Strings: \" \\ \b \f \n \r \t, other control characters as \u00xx, and < > & U+2028 U+2029 as \u003c \u003e \u0026 \u2028 \u2029 (the HTML three can be left
 * alone); bytes that are not UTF-8 become \ufffd. Doubles: the shortest text that reads back the same, with an exponent below 1e-6 and from 1e21 on.
 *
 * A JsonWriter keeps the commas and remembers the first failure, so that only json_writer_finish() has to be checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "json/json.h"

#define JSON_WRITER_DEPTH_MAX 128

/* Plain data; set it up with json_writer_init(). */
typedef struct JsonWriter {
        Buf *out;
        JsonWriteFlags flags; /* only JSON_WRITE_NO_HTML and JSON_WRITE_SORTED (for values) matter here */
        unsigned depth;
        bool need_comma, after_key;
        int failure; /* the first negative errno */
} JsonWriter;

/*
 * Values in the order of the calls, with commas where they belong. Nothing fails on the way: the first failure is kept, and json_writer_finish() tells it.
 */
void json_writer_init(JsonWriter *writer, Buf *out, JsonWriteFlags flags);
void json_writer_begin_object(JsonWriter *writer);
void json_writer_end_object(JsonWriter *writer);
void json_writer_begin_array(JsonWriter *writer);
void json_writer_end_array(JsonWriter *writer);
void json_writer_key(JsonWriter *writer, const char *key);

void json_writer_string(JsonWriter *writer, const char *s); /* NULL writes null */
void json_writer_stringn(JsonWriter *writer, const char *s, size_t size);
void json_writer_int(JsonWriter *writer, int64_t n);
void json_writer_uint(JsonWriter *writer, uint64_t n);
void json_writer_double(JsonWriter *writer, double d); /* NaN and infinities write null */
void json_writer_bool(JsonWriter *writer, bool b);
void json_writer_null(JsonWriter *writer);
void json_writer_raw(JsonWriter *writer, const char *text); /* one value, already text; copied as it is */
void json_writer_value(JsonWriter *writer, const JsonValue *value);
void json_writer_strings(JsonWriter *writer, const StrList *list); /* an array */

/* Shorthand for json_writer_key() and a value. */
void json_writer_member_string(JsonWriter *writer, const char *key, const char *s);
void json_writer_member_int(JsonWriter *writer, const char *key, int64_t n);
void json_writer_member_uint(JsonWriter *writer, const char *key, uint64_t n);
void json_writer_member_bool(JsonWriter *writer, const char *key, bool b);

/* Errors: LIMIT (the buffer's maximum), INTERNAL (objects or arrays still open). */
int json_writer_finish(JsonWriter *writer, Error *err);

/* --- on text that is known to be valid JSON --- */

/* Appends `text` with n_spaces of indentation per level, as Go's json.Indent; {} and [] stay as they are. 0 or -EFBIG. */
int json_text_indent(const char *text, size_t size, unsigned n_spaces, Buf *out) _warn_unused_;

/* Appends `text` without white space between tokens; strings and numbers stay byte for byte. 0 or -EFBIG. */
int json_text_compact(const char *text, size_t size, Buf *out) _warn_unused_;

/* Appends a quoted string. 0 or -EFBIG. */
int json_text_quote(const char *s, size_t size, JsonWriteFlags flags, Buf *out) _warn_unused_;
