/*
 * Reading, freeing and copying structs by dispatch table.
 *
 * The tree from the reader and the text are walked side by side: the tree has the decoded values, the text the bytes that are kept verbatim.
 * Both have the members in the same order, because duplicate keys were refused.
 */
#include "json/dispatch.h"

#include "base/mem.h"
#include "json/scan.h"

/* Where we are, for messages; a chain through the stack. */
typedef struct Path {
        const struct Path *parent;
        const char *name; /* NULL: an index */
        size_t index;
} Path;

/* The text of the value at hand. */
typedef struct Span {
        const char *at, *end;
} Span;

static int read_object(const JsonField *table, void *object, const JsonValue *value, Span span, const Path *path, Error *err);

static void path_put(const Path *path, Buf *out)
{
        if (!path)
                return;
        path_put(path->parent, out);
        if (path->name)
                buf_putf(out, "%s%s", path->parent ? "." : "", path->name);
        else
                buf_putf(out, "[%zu]", path->index);
}

/* "'config.Env[2]'", printable whatever the document says. New string. */
static char *path_text(const Path *path)
{
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_free_ char *clean = NULL;

        path_put(path, &text);
        if (text.size == 0)
                return xstrdup("the document");
        clean = str_printable(text.data, MIN(text.size, (size_t)300));
        return xasprintf("'%s'", clean);
}

static int fail_type(const Path *path, const char *expected, const JsonValue *value, Error *err)
{
        _cleanup_free_ char *where = path_text(path);

        return error_set(err, ERROR_INVALID, "%s must be %s, not %s", where, expected, json_type_name(json_value_type(value)));
}

static int expect(const Path *path, JsonType type, const JsonValue *value, Error *err)
{
        return json_value_type(value) == type ? 0 : fail_type(path, json_type_name(type), value, err);
}

static int check_count(const Path *path, const JsonValue *value, Error *err)
{
        _cleanup_free_ char *where = NULL;

        if (json_value_size(value) <= JSON_ITEMS_MAX)
                return 0;
        where = path_text(path);
        return error_set(err, ERROR_LIMIT, "%s has %zu items, more than the %d allowed", where, json_value_size(value), JSON_ITEMS_MAX);
}

static char *compact(Span span)
{
        Buf out = BUF_INIT((size_t)(span.end - span.at) + 1);

        if (json_text_compact(span.at, (size_t)(span.end - span.at), &out) < 0)
                abort(); /* never longer than what it came from */
        return buf_detach(&out);
}

static int read_int(void *field, const JsonField *f, const JsonValue *value, const Path *path, Error *err)
{
        int64_t n = json_value_int(value, 0);

        if (expect(path, JSON_TYPE_INT, value, err) < 0)
                return -1;
        if (f->type == JSON_FIELD_INT_PTR) {
                *(int64_t **)field = xmemdup(&n, sizeof(n));
        } else if (f->type == JSON_FIELD_UINT) {
                if (n < 0)
                        return fail_type(path, "zero or more", value, err);
                *(uint64_t *)field = (uint64_t)n;
        } else {
                *(int64_t *)field = n;
        }
        return 0;
}

static int read_strings(StrList *list, const JsonValue *value, const Path *path, Error *err)
{
        if (expect(path, JSON_TYPE_ARRAY, value, err) < 0 || check_count(path, value, err) < 0)
                return -1;
        for (size_t i = 0; i < json_value_size(value); i++) {
                Path here = { .parent = path, .index = i };
                const JsonValue *item = json_value_at(value, i);

                if (expect(&here, JSON_TYPE_STRING, item, err) < 0)
                        return -1;
                strlist_add(list, json_value_string(item));
        }
        return 0;
}

static int read_string_map(StringMap *map, const JsonValue *value, const Path *path, Error *err)
{
        const char *key;
        JsonValue *item;

        if (expect(path, JSON_TYPE_OBJECT, value, err) < 0 || check_count(path, value, err) < 0)
                return -1;
        for (void *at = NULL; json_value_next(value, &at, &key, &item);) {
                Path here = { .parent = path, .name = key };

                if (json_value_is_null(item)) {
                        string_map_set(map, key, ""); /* Go's decoder leaves the zero value */
                        continue;
                }
                if (expect(&here, JSON_TYPE_STRING, item, err) < 0)
                        return -1;
                string_map_set(map, key, json_value_string(item));
        }
        return 0;
}

static int read_set(StrList *list, const JsonValue *value, const Path *path, Error *err)
{
        const char *key;
        JsonValue *item;

        if (expect(path, JSON_TYPE_OBJECT, value, err) < 0 || check_count(path, value, err) < 0)
                return -1;
        for (void *at = NULL; json_value_next(value, &at, &key, &item);) {
                Path here = { .parent = path, .name = key };

                if (!json_value_is_null(item) && expect(&here, JSON_TYPE_OBJECT, item, err) < 0)
                        return -1;
                strlist_add(list, key);
        }
        strlist_sort(list);
        return 0;
}

static int read_objects(void *field, const JsonField *f, const JsonValue *value, Span span, const Path *path, Error *err)
{
        JsonItems *list = field;
        const char *p = span.at + 1;

        if (expect(path, JSON_TYPE_ARRAY, value, err) < 0 || check_count(path, value, err) < 0)
                return -1;
        for (size_t i = 0; i < json_value_size(value); i++) {
                Path here = { .parent = path, .index = i };
                Span item = { .at = json_scan_space(p, span.end) };
                void *object = json_items_add(list, f->item_size);

                item.end = json_scan_value(item.at, span.end);
                p = json_scan_space(item.end, span.end) + 1; /* behind the comma or the bracket */
                if (read_object(f->table, object, json_value_at(value, i), item, &here, err) < 0)
                        return -1;
                if (f->flags & JSON_KEEP_TEXT)
                        *(char **)object = compact(item);
        }
        return 0;
}

static int read_custom(void *field, const JsonField *f, const JsonValue *value, const Path *path, Error *err)
{
        _cleanup_free_ char *where = NULL;

        if (f->custom->read(value, field, err) >= 0)
                return 0;
        where = path_text(path);
        return error_wrap(err, "%s", where);
}

static int read_field(void *field, const JsonField *f, const JsonValue *value, Span span, const Path *path, Error *err)
{
        switch (f->type) {
        case JSON_FIELD_STRING:
                if (expect(path, JSON_TYPE_STRING, value, err) < 0)
                        return -1;
                *(char **)field = xstrdup(json_value_string(value));
                return 0;
        case JSON_FIELD_BOOL:
                *(bool *)field = json_value_bool(value);
                return expect(path, JSON_TYPE_BOOL, value, err);
        case JSON_FIELD_INT:
        case JSON_FIELD_UINT:
        case JSON_FIELD_INT_PTR:
                return read_int(field, f, value, path, err);
        case JSON_FIELD_STRINGS:
                return read_strings(field, value, path, err);
        case JSON_FIELD_STRING_MAP:
                return read_string_map(field, value, path, err);
        case JSON_FIELD_SET:
                return read_set(field, value, path, err);
        case JSON_FIELD_OBJECT:
                return read_object(f->table, field, value, span, path, err);
        case JSON_FIELD_OBJECT_PTR:
                *(void **)field = xcalloc(1, f->item_size);
                return read_object(f->table, *(void **)field, value, span, path, err);
        case JSON_FIELD_OBJECTS:
                return read_objects(field, f, value, span, path, err);
        case JSON_FIELD_RAW:
                *(char **)field = compact(span);
                return 0;
        case JSON_FIELD_CUSTOM:
                return read_custom(field, f, value, path, err);
        case JSON_FIELD_UNKNOWN:
        case JSON_FIELD_NONE:
                break;
        }
        return 0;
}

/* The field for a member; *ret_index is its place in the table. The unknown-field when there is one and no other fits, else NULL. */
static const JsonField *find_field(const JsonField *table, const char *name, size_t *ret_index)
{
        const JsonField *unknown = NULL;

        for (const JsonField *f = table; f->type != JSON_FIELD_NONE || f->name; f++) {
                *ret_index = (size_t)(f - table);
                if (f->type == JSON_FIELD_UNKNOWN)
                        unknown = f;
                else if (streq(f->name, name))
                        return f;
        }
        return unknown;
}

static int check_mandatory(const JsonField *table, uint64_t seen, const void *object, const Path *path, Error *err)
{
        for (const JsonField *f = table; f->type != JSON_FIELD_NONE || f->name; f++) {
                Path here = { .parent = path, .name = f->name };
                _cleanup_free_ char *where = NULL;
                bool there = seen & (UINT64_C(1) << (f - table));

                if (!(f->flags & JSON_MANDATORY))
                        continue;
                if (there && f->type == JSON_FIELD_STRING)
                        there = **(char *const *)((const char *)object + f->offset);
                if (there)
                        continue;
                where = path_text(&here);
                return error_set(err, ERROR_INVALID, "%s is missing or empty", where);
        }
        return 0;
}

static int read_object(const JsonField *table, void *object, const JsonValue *value, Span span, const Path *path, Error *err)
{
        const char *p = span.at + 1, *key;
        uint64_t seen = 0;
        JsonValue *member;

        if (expect(path, JSON_TYPE_OBJECT, value, err) < 0)
                return -1;
        for (void *at = NULL; json_value_next(value, &at, &key, &member);) {
                Path here = { .parent = path, .name = key };
                Span part;
                size_t index;
                const JsonField *f = find_field(table, key, &index);

                p = json_scan_string(json_scan_space(p, span.end), span.end);
                part.at = json_scan_space(json_scan_space(p, span.end) + 1, span.end); /* behind the colon */
                part.end = json_scan_value(part.at, span.end);
                p = json_scan_space(part.end, span.end) + 1; /* behind the comma or the brace */
                if (!f || f->flags & JSON_IGNORE)
                        continue;
                if (f->type == JSON_FIELD_UNKNOWN) {
                        string_map_take((StringMap *)((char *)object + f->offset), key, compact(part));
                        continue;
                }
                if (json_value_is_null(member)) {
                        if (f->flags & JSON_NULL_IS_EMPTY)
                                seen |= UINT64_C(1) << index;
                        continue;
                }
                if (read_field((char *)object + f->offset, f, member, part, &here, err) < 0)
                        return -1;
                seen |= UINT64_C(1) << index;
        }
        return check_mandatory(table, seen, object, path, err);
}

int json_object_read(const void *text, size_t size, const JsonLimits *limits, const JsonField *table, void *object, size_t object_size, Error *err)
{
        _cleanup_json_ JsonValue *value = NULL;
        Span span = { .end = (const char *)text + size };

        if (json_value_parse(text, size, limits, &value, err) < 0)
                return -1;
        span.at = json_scan_space(text, span.end);
        if (read_object(table, object, value, span, NULL, err) < 0) {
                json_object_done(table, object);
                memset(object, 0, object_size);
                return -1;
        }
        return 0;
}

void *json_items_add(void *list, size_t item_size)
{
        JsonItems *items = list;

        if (items->n_items == items->capacity) {
                items->capacity = MAX(items->capacity * 2, (size_t)4);
                items->items = xreallocarray(items->items, items->capacity, item_size);
        }
        return memset((char *)items->items + item_size * items->n_items++, 0, item_size);
}

/* The items' own text of JSON_KEEP_TEXT. */
static void done_items(const JsonField *f, JsonItems *list)
{
        for (size_t i = 0; i < list->n_items; i++) {
                void *item = (char *)list->items + i * f->item_size;

                if (f->flags & JSON_KEEP_TEXT)
                        freep(item);
                json_object_done(f->table, item);
        }
        free(list->items);
        *list = (JsonItems){ 0 };
}

void json_object_done(const JsonField *table, void *object)
{
        for (const JsonField *f = table; f->type != JSON_FIELD_NONE || f->name; f++) {
                void *field = (char *)object + f->offset;

                if (f->flags & JSON_IGNORE)
                        continue;
                switch (f->type) {
                case JSON_FIELD_STRING:
                case JSON_FIELD_RAW:
                case JSON_FIELD_INT_PTR:
                        freep(field);
                        *(void **)field = NULL;
                        break;
                case JSON_FIELD_BOOL:
                        *(bool *)field = false;
                        break;
                case JSON_FIELD_INT:
                case JSON_FIELD_UINT:
                        *(int64_t *)field = 0;
                        break;
                case JSON_FIELD_STRINGS:
                case JSON_FIELD_SET:
                        strlist_done(field);
                        break;
                case JSON_FIELD_STRING_MAP:
                case JSON_FIELD_UNKNOWN:
                        string_map_done(field);
                        break;
                case JSON_FIELD_OBJECT:
                        json_object_done(f->table, field);
                        break;
                case JSON_FIELD_OBJECT_PTR:
                        if (*(void **)field)
                                json_object_done(f->table, *(void **)field);
                        freep(field);
                        *(void **)field = NULL;
                        break;
                case JSON_FIELD_OBJECTS:
                        done_items(f, field);
                        break;
                case JSON_FIELD_CUSTOM:
                        if (f->custom->done)
                                f->custom->done(field);
                        break;
                case JSON_FIELD_NONE:
                        break;
                }
        }
}
