/*
 * Dispatch tables: one static table describes one wire object, and is used to read it into a C struct, to write it and to free it.
 *
 *   typedef struct Pet { char *name; int64_t age; StrList toys; } Pet;
 *   static const JsonField pet_fields[] = {
 *           { "name", JSON_FIELD_STRING, offsetof(Pet, name), JSON_MANDATORY },
 *           { "age", JSON_FIELD_INT, offsetof(Pet, age), JSON_OMIT_EMPTY },
 *           { "toys", JSON_FIELD_STRINGS, offsetof(Pet, toys), JSON_OMIT_EMPTY },
 *           JSON_FIELD_END,
 *   };
 *
 * Adding a field: one line in the table, in the place where Go's struct has it (that is the order of writing), and one member in the struct.
 *
 * Reading: `null` is the same as absent. A member that no field names is skipped, unless the table has a JSON_FIELD_UNKNOWN.
 * Writing: table order. With JSON_OMIT_EMPTY a field that is empty as Go's omitempty means it (zero, "", no items, NULL) is left out.
 * Errors name the path: "'config.Env[2]' must be a string, not a number".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "json/json.h"
#include "json/string_map.h"
#include "json/writer.h"

typedef enum JsonFieldType {
        JSON_FIELD_NONE,       /* ends the table */
        JSON_FIELD_STRING,     /* char *; NULL is "" when written */
        JSON_FIELD_BOOL,       /* bool */
        JSON_FIELD_INT,        /* int64_t */
        JSON_FIELD_UINT,       /* uint64_t; what is read is at most INT64_MAX */
        JSON_FIELD_INT_PTR,    /* int64_t *; NULL is absent */
        JSON_FIELD_STRINGS,    /* StrList: an array of strings */
        JSON_FIELD_STRING_MAP, /* StringMap: an object of strings */
        JSON_FIELD_SET,        /* StrList: the keys of an object of empty objects (Go's map[string]struct{}); sorted when written */
        JSON_FIELD_OBJECT,     /* a struct inside the struct; `table` */
        JSON_FIELD_OBJECT_PTR, /* a pointer to a struct of `item_size`; NULL is absent; `table` */
        JSON_FIELD_OBJECTS,    /* JsonItems: an array of structs of `item_size`; `table` */
        JSON_FIELD_RAW,        /* char *: any value, its text without white space between tokens */
        JSON_FIELD_CUSTOM,     /* whatever `custom` reads and writes */
        JSON_FIELD_UNKNOWN,    /* StringMap: all members that no field names, as text; written last, by key. Its name is "" */
} JsonFieldType;

typedef enum JsonFieldFlags {
        JSON_MANDATORY = 1 << 0,  /* must be there and not null (and for strings: not "") */
        JSON_OMIT_EMPTY = 1 << 1, /* not written when empty */
        JSON_READ_ONLY = 1 << 2,  /* read, never written */
        JSON_IGNORE = 1 << 3,     /* neither read nor counted as unknown: known ballast; offset is not used */
        JSON_KEEP_TEXT = 1 << 4,  /* JSON_FIELD_OBJECTS: each item's struct begins with a `char *text`; it takes the item's text, and is written instead of the
                                     fields while it is not NULL */
        JSON_NULL_IS_EMPTY = 1 << 5, /* for JSON_MANDATORY: null is there, and has nothing in it (Go writes an empty list so) */
} JsonFieldFlags;

typedef struct JsonField JsonField;

/* How a field of a type that json/ does not know is handled. All are called with the field's address. */
typedef struct JsonCustom {
        int (*read)(const JsonValue *value, void *field, Error *err); /* never sees null; its error is put behind the path */
        void (*write)(const void *field, JsonWriter *writer);
        bool (*is_empty)(const void *field);
        void (*done)(void *field); /* may be NULL */
} JsonCustom;

struct JsonField {
        const char *name;
        JsonFieldType type;
        size_t offset;
        unsigned flags; /* JsonFieldFlags */
        const JsonField *table;
        size_t item_size;
        const JsonCustom *custom;
};

#define JSON_FIELD_END \
        { \
                .type = JSON_FIELD_NONE \
        }

/* What a JSON_FIELD_OBJECTS field is; declare it in the struct as JSON_ITEMS(Type), which has the same layout with a typed pointer. */
typedef struct JsonItems {
        void *items;
        size_t n_items;
        size_t capacity;
} JsonItems;
#define JSON_ITEMS(Type) \
        struct { \
                Type *items; \
                size_t n_items; \
                size_t capacity; \
        }

/* Bounds for reading a hostile document into structs: items of one array or object. */
#define JSON_ITEMS_MAX 65536

/*
 * Reads an object into a struct that is all zero before. On failure what was read is freed and the struct is all zero again.
 * Errors: INVALID (syntax, type, missing), LIMIT.
 */
int json_object_read(const void *text, size_t size, const JsonLimits *limits, const JsonField *table, void *object, size_t object_size, Error *err);

/* Writes the object as one value, members in table order; with JSON_WRITE_SORTED the members of this object (not of nested ones) by name. */
void json_object_write(const JsonField *table, const void *object, unsigned flags, JsonWriter *writer);

/* The same as text appended to `out`; JSON_WRITE_INDENT_* apply. Errors: LIMIT. */
int json_object_text(const JsonField *table, const void *object, unsigned flags, Buf *out, Error *err);

/* Frees everything that the fields own and zeroes them. */
void json_object_done(const JsonField *table, void *object);

/* Deep copy of `from` into `to` (all zero before). */
void json_object_copy(const JsonField *table, const void *from, void *to);

/* Appends a zeroed item to a JSON_ITEMS list and returns it. */
void *json_items_add(void *list, size_t item_size);
