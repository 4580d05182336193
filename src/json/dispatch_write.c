/*
 * Writing and copying structs by dispatch table.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "json/dispatch.h"

static bool is_last(const JsonField *f)
{
        return f->type == JSON_FIELD_NONE && !f->name;
}

/* Empty as Go's omitempty means it. */
static bool is_empty(const JsonField *f, const void *field)
{
        switch (f->type) {
        case JSON_FIELD_STRING:
        case JSON_FIELD_RAW:
                return str_empty(*(char *const *)field);
        case JSON_FIELD_BOOL:
                return !*(const bool *)field;
        case JSON_FIELD_INT:
        case JSON_FIELD_UINT:
                return *(const int64_t *)field == 0;
        case JSON_FIELD_INT_PTR:
        case JSON_FIELD_OBJECT_PTR:
                return !*(void *const *)field;
        case JSON_FIELD_STRINGS:
        case JSON_FIELD_SET:
                return ((const StrList *)field)->n_items == 0;
        case JSON_FIELD_STRING_MAP:
        case JSON_FIELD_UNKNOWN:
                return ((const StringMap *)field)->n_items == 0;
        case JSON_FIELD_OBJECTS:
                return ((const JsonItems *)field)->n_items == 0;
        case JSON_FIELD_CUSTOM:
                return f->custom->is_empty(field);
        case JSON_FIELD_OBJECT: /* Go never takes a struct as empty */
        case JSON_FIELD_NONE:
                break;
        }
        return false;
}

static int compare_strings(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_set(const StrList *list, JsonWriter *writer)
{
        _cleanup_free_ const char **keys = NEW_ARRAY(const char *, list->n_items + 1);

        for (size_t i = 0; i < list->n_items; i++)
                keys[i] = list->items[i];
        qsort(keys, list->n_items, sizeof(*keys), compare_strings);
        json_writer_begin_object(writer);
        for (size_t i = 0; i < list->n_items; i++) {
                if (i > 0 && streq(keys[i], keys[i - 1]))
                        continue;
                json_writer_key(writer, keys[i]);
                json_writer_raw(writer, "{}");
        }
        json_writer_end_object(writer);
}

static void write_string_map(const StringMap *map, JsonWriter *writer)
{
        json_writer_begin_object(writer);
        for (size_t i = 0; i < map->n_items; i++)
                json_writer_member_string(writer, map->items[i].key, map->items[i].value);
        json_writer_end_object(writer);
}

static void write_objects(const JsonField *f, const JsonItems *list, JsonWriter *writer)
{
        json_writer_begin_array(writer);
        for (size_t i = 0; i < list->n_items; i++) {
                const void *item = (const char *)list->items + i * f->item_size;

                if (f->flags & JSON_KEEP_TEXT && *(char *const *)item)
                        json_writer_raw(writer, *(char *const *)item);
                else
                        json_object_write(f->table, item, 0, writer);
        }
        json_writer_end_array(writer);
}

static void write_field(const JsonField *f, const void *field, JsonWriter *writer)
{
        switch (f->type) {
        case JSON_FIELD_STRING:
                json_writer_string(writer, *(char *const *)field ? *(char *const *)field : "");
                return;
        case JSON_FIELD_BOOL:
                json_writer_bool(writer, *(const bool *)field);
                return;
        case JSON_FIELD_INT:
                json_writer_int(writer, *(const int64_t *)field);
                return;
        case JSON_FIELD_UINT:
                json_writer_uint(writer, *(const uint64_t *)field);
                return;
        case JSON_FIELD_INT_PTR:
                if (*(int64_t *const *)field)
                        json_writer_int(writer, **(int64_t *const *)field);
                else
                        json_writer_null(writer);
                return;
        case JSON_FIELD_STRINGS:
                json_writer_strings(writer, field);
                return;
        case JSON_FIELD_STRING_MAP:
                write_string_map(field, writer);
                return;
        case JSON_FIELD_SET:
                write_set(field, writer);
                return;
        case JSON_FIELD_OBJECT:
                json_object_write(f->table, field, 0, writer);
                return;
        case JSON_FIELD_OBJECT_PTR:
                if (*(void *const *)field)
                        json_object_write(f->table, *(void *const *)field, 0, writer);
                else
                        json_writer_null(writer);
                return;
        case JSON_FIELD_OBJECTS:
                write_objects(f, field, writer);
                return;
        case JSON_FIELD_RAW:
                json_writer_raw(writer, *(char *const *)field ? *(char *const *)field : "null");
                return;
        case JSON_FIELD_CUSTOM:
                f->custom->write(field, writer);
                return;
        case JSON_FIELD_UNKNOWN:
        case JSON_FIELD_NONE:
                return;
        }
}

/* One member to be: a field of the table, or the text of an unknown one. */
typedef struct Member {
        const char *name;
        const JsonField *field;
        const char *text;
} Member;

static int compare_members(const void *a, const void *b)
{
        return strcmp(((const Member *)a)->name, ((const Member *)b)->name);
}

static size_t count_members(const JsonField *table, const void *object)
{
        size_t n = 0;

        for (const JsonField *f = table; !is_last(f); f++)
                n += f->type == JSON_FIELD_UNKNOWN ? ((const StringMap *)(const void *)((const char *)object + f->offset))->n_items : 1;
        return n;
}

/* Unknown members come behind all others, whatever the place of their field in the table. */
static size_t list_members(const JsonField *table, const void *object, Member *members)
{
        size_t n = 0;

        for (const JsonField *f = table; !is_last(f); f++) {
                const void *field = (const char *)object + f->offset;

                if (f->flags & (JSON_IGNORE | JSON_READ_ONLY) || f->type == JSON_FIELD_UNKNOWN || (f->flags & JSON_OMIT_EMPTY && is_empty(f, field)))
                        continue;
                members[n++] = (Member){ .name = f->name, .field = f };
        }
        for (const JsonField *f = table; !is_last(f); f++) {
                const StringMap *unknown = (const void *)((const char *)object + f->offset);

                if (f->type != JSON_FIELD_UNKNOWN)
                        continue;
                for (size_t i = 0; i < unknown->n_items; i++)
                        members[n++] = (Member){ .name = unknown->items[i].key, .text = unknown->items[i].value };
        }
        return n;
}

void json_object_write(const JsonField *table, const void *object, unsigned flags, JsonWriter *writer)
{
        _cleanup_free_ Member *members = NEW_ARRAY(Member, count_members(table, object) + 1);
        size_t n = list_members(table, object, members);

        if (flags & JSON_WRITE_SORTED)
                qsort(members, n, sizeof(*members), compare_members);
        json_writer_begin_object(writer);
        for (size_t i = 0; i < n; i++) {
                json_writer_key(writer, members[i].name);
                if (members[i].field)
                        write_field(members[i].field, (const char *)object + members[i].field->offset, writer);
                else
                        json_writer_raw(writer, members[i].text);
        }
        json_writer_end_object(writer);
}

int json_object_text(const JsonField *table, const void *object, unsigned flags, Buf *out, Error *err)
{
        _cleanup_buf_ Buf flat = BUF_INIT(out->max);
        bool indent = flags & (JSON_WRITE_INDENT_2 | JSON_WRITE_INDENT_4);
        JsonWriter writer;

        json_writer_init(&writer, indent ? &flat : out, flags);
        json_object_write(table, object, flags, &writer);
        if (json_writer_finish(&writer, err) < 0)
                return -1;
        if (indent && json_text_indent(buf_str(&flat), flat.size, flags & JSON_WRITE_INDENT_2 ? 2 : 4, out) < 0)
                return error_set(err, ERROR_LIMIT, "cannot write JSON: larger than %zu bytes", out->max);
        return 0;
}

/* Types that json/ does not know are copied through their text. */
static void copy_custom(const JsonField *f, const void *from, void *to)
{
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_error_ Error err = ERROR_INIT;
        JsonWriter writer;

        if (f->custom->is_empty(from))
                return;
        json_writer_init(&writer, &text, 0);
        f->custom->write(from, &writer);
        if (json_writer_finish(&writer, &err) < 0 || json_value_parse(buf_str(&text), text.size, NULL, &value, &err) < 0 ||
            f->custom->read(value, to, &err) < 0)
                abort(); /* a type that cannot read what it writes */
}

static void copy_objects(const JsonField *f, const JsonItems *from, JsonItems *to)
{
        for (size_t i = 0; i < from->n_items; i++) {
                const void *item = (const char *)from->items + i * f->item_size;
                void *copy = json_items_add(to, f->item_size);

                if (f->flags & JSON_KEEP_TEXT)
                        *(char **)copy = xstrdup_or_null(*(char *const *)item);
                json_object_copy(f->table, item, copy);
        }
}

static void copy_pointer(const JsonField *f, void *const *from, void **to)
{
        if (!*from)
                return;
        *to = xcalloc(1, f->item_size);
        json_object_copy(f->table, *from, *to);
}

void json_object_copy(const JsonField *table, const void *from_object, void *to_object)
{
        for (const JsonField *f = table; !is_last(f); f++) {
                const void *from = (const char *)from_object + f->offset;
                void *to = (char *)to_object + f->offset;

                if (f->flags & JSON_IGNORE)
                        continue;
                switch (f->type) {
                case JSON_FIELD_STRING:
                case JSON_FIELD_RAW:
                        *(char **)to = xstrdup_or_null(*(char *const *)from);
                        break;
                case JSON_FIELD_BOOL:
                        *(bool *)to = *(const bool *)from;
                        break;
                case JSON_FIELD_INT:
                case JSON_FIELD_UINT:
                        *(int64_t *)to = *(const int64_t *)from;
                        break;
                case JSON_FIELD_INT_PTR:
                        *(void **)to = *(void *const *)from ? xmemdup(*(void *const *)from, sizeof(int64_t)) : NULL;
                        break;
                case JSON_FIELD_STRINGS:
                case JSON_FIELD_SET:
                        strlist_copy(to, from);
                        break;
                case JSON_FIELD_STRING_MAP:
                case JSON_FIELD_UNKNOWN:
                        string_map_copy(to, from);
                        break;
                case JSON_FIELD_OBJECT:
                        json_object_copy(f->table, from, to);
                        break;
                case JSON_FIELD_OBJECT_PTR:
                        copy_pointer(f, from, to);
                        break;
                case JSON_FIELD_OBJECTS:
                        copy_objects(f, from, to);
                        break;
                case JSON_FIELD_CUSTOM:
                        copy_custom(f, from, to);
                        break;
                case JSON_FIELD_NONE:
                        break;
                }
        }
}
