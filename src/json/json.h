/*
 * JSON values: a strict reader and a tree to look into or to build.
 *
 * Strict means: RFC 8259 only, valid UTF-8, no NUL inside strings, no lone surrogates, no duplicate keys, nothing after the value, and limits on size and
 * depth. Keys are compared exactly (Go's decoder folds case; we do not, so that one document can never be read in two ways).
 * Integers must fit int64_t; text with larger ones is refused. Objects keep the order of their members.
 *
 * For one struct per wire object see json/dispatch.h; for writing text directly (and for uint64_t and verbatim parts) see json/writer.h.
 *
 * Ownership: new, parse and copy return a reference that json_value_unref() gives back. get, at and next return borrowed values. set and append take over the
 * value. Threads: a value may be read by several threads, and changed by one alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

/* The library's own type under our name; only json/ knows what is inside. */
typedef struct json_t JsonValue;

typedef enum JsonType { JSON_TYPE_NULL, JSON_TYPE_BOOL, JSON_TYPE_INT, JSON_TYPE_DOUBLE, JSON_TYPE_STRING, JSON_TYPE_ARRAY, JSON_TYPE_OBJECT } JsonType;

typedef struct JsonLimits {
        size_t size; /* bytes of text */
        unsigned depth;
} JsonLimits;

/* What the registries agree on for manifests is 4 MiB; configs of real images stay below 1 MiB. 8 MiB leaves room; 64 levels are twice what any known document
 * has. */
#define JSON_LIMITS_DEFAULT ((JsonLimits){ .size = (size_t)8 << 20, .depth = 64 })

/*
 * Reads one value from `size` bytes of text (no terminator needed). `limits` may be NULL for the default.
 * Errors: INVALID with line and column, LIMIT.
 */
int json_value_parse(const void *text, size_t size, const JsonLimits *limits, JsonValue **ret, Error *err);

void json_value_unref(JsonValue *value); /* NULL is fine */
DEFINE_CLEANUP(JsonValue *, json_value_unref)
#define _cleanup_json_ _cleanup_(json_value_unrefp)

JsonValue *json_value_ref(JsonValue *value);
JsonValue *json_value_copy(const JsonValue *value); /* deep */

/* --- looking; all accept NULL as "absent", which reads as null --- */

JsonType json_value_type(const JsonValue *value);
const char *json_type_name(JsonType type); /* "a string", "an object", ... for messages */
static inline bool json_value_is_null(const JsonValue *value)
{
        return json_value_type(value) == JSON_TYPE_NULL;
}

size_t json_value_size(const JsonValue *value);                      /* members or elements; 0 for anything else */
JsonValue *json_value_get(const JsonValue *object, const char *key); /* borrowed, or NULL */
JsonValue *json_value_at(const JsonValue *array, size_t index);      /* borrowed, or NULL */
const char *json_value_string(const JsonValue *value);               /* borrowed, or NULL when it is not a string */
bool json_value_bool(const JsonValue *value);                        /* false when it is not true */
int64_t json_value_int(const JsonValue *value, int64_t otherwise);   /* `otherwise` when it is not an integer */
double json_value_double(const JsonValue *value, double otherwise);  /* integers too */

/* Iterates over the members of an object in their order. Start with *at = NULL; false at the end. The object must not change meanwhile. */
bool json_value_next(const JsonValue *object, void **at, const char **ret_key, JsonValue **ret_value);

/*
 * The value at a path such as "config.Env[2]" below `root`, or NULL. A member name ends at '.' or '['.
 */
JsonValue *json_value_find(const JsonValue *root, const char *path);

/*
 * The same for a string. Absent and null: with `mandatory` an error "'config.Env[2]' is missing", else success with *ret untouched.
 * A wrong type: INVALID "'config.Env[2]' must be a string".
 */
int json_value_find_string(const JsonValue *root, const char *path, bool mandatory, const char **ret, Error *err);

/* --- building; strings must be UTF-8: bytes that are not become U+FFFD, as Go does --- */

JsonValue *json_value_new_object(void);
JsonValue *json_value_new_array(void);
JsonValue *json_value_new_string(const char *s); /* NULL makes null */
JsonValue *json_value_new_int(int64_t n);
JsonValue *json_value_new_double(double d); /* not NaN, not infinite: those become null */
JsonValue *json_value_new_bool(bool b);
JsonValue *json_value_new_null(void);

void json_value_set(JsonValue *object, const char *key, JsonValue *value); /* takes over; replaces */
void json_value_set_string(JsonValue *object, const char *key, const char *s);
void json_value_set_int(JsonValue *object, const char *key, int64_t n);
void json_value_set_bool(JsonValue *object, const char *key, bool b);
bool json_value_remove(JsonValue *object, const char *key);
void json_value_append(JsonValue *array, JsonValue *value); /* takes over */
void json_value_append_string(JsonValue *array, const char *s);

/* --- writing: see json/writer.h for the text's form --- */

typedef enum JsonWriteFlags {
        JSON_WRITE_COMPACT = 0,
        JSON_WRITE_SORTED = 1 << 0,   /* members by key, bytewise, as Go writes maps; otherwise in their order */
        JSON_WRITE_INDENT_2 = 1 << 1, /* two spaces, as manifests are written */
        JSON_WRITE_INDENT_4 = 1 << 2, /* four spaces, as `docker inspect` prints */
        JSON_WRITE_NO_HTML = 1 << 3,  /* leave <, > and & as they are (Go's SetEscapeHTML(false), as the Docker API does) */
} JsonWriteFlags;

/* Appends the text. LIMIT when `out` is full. */
int json_value_write(const JsonValue *value, JsonWriteFlags flags, Buf *out, Error *err);

/* The text as a new string, without a newline at the end. */
char *json_value_text(const JsonValue *value, JsonWriteFlags flags);
