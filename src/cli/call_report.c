#include "cli/call_report.h"

#include <string.h>

#include "base/mem.h"
#include "crypto/encode.h"

void call_report_location(JsonWriter *json, const SourceRange *ranges, size_t n_ranges)
{
        json_writer_begin_object(json);
        if (n_ranges) {
                json_writer_key(json, "ranges");
                json_writer_begin_array(json);
        }
        for (size_t i = 0; i < n_ranges; i++)
                for (uint32_t line = ranges[i].start; line <= MAX(ranges[i].start, ranges[i].end); line++) {
                        json_writer_begin_object(json);
                        for (int end = 0; end < 2; end++) {
                                json_writer_key(json, end ? "end" : "start");
                                json_writer_begin_object(json);
                                json_writer_member_int(json, "line", line);
                                json_writer_end_object(json);
                        }
                        json_writer_end_object(json);
                }
        if (n_ranges)
                json_writer_end_array(json);
        json_writer_end_object(json);
}

int call_report_finish(JsonWriter *json, const Buf *flat, Buf *out, Error *err)
{
        if (json_writer_finish(json, err) < 0)
                return -1;
        if (json_text_indent(flat->data, flat->size, 2, out) < 0)
                return error_set(err, ERROR_LIMIT, "the result is too large to be printed");
        buf_putc(out, '\n');
        return 0;
}

/* --- tables, as Go's text/tabwriter lays them out --- */

static size_t width_of(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char)*text & 0xc0) != 0x80;
        return n;
}

#define TABLE_COLUMNS_MAX 3

/* `cells` holds rows of n_columns strings; the last column is not padded. */
static void put_table(Buf *out, const StrList *cells, size_t n_columns, size_t padding)
{
        size_t widths[TABLE_COLUMNS_MAX] = { 0 };

        for (size_t i = 0; i < cells->n_items; i++)
                widths[i % n_columns] = MAX(widths[i % n_columns], width_of(cells->items[i]));
        for (size_t i = 0; i < cells->n_items; i++) {
                size_t column = i % n_columns;

                buf_puts(out, cells->items[i]);
                if (column == n_columns - 1) {
                        buf_putc(out, '\n');
                        continue;
                }
                buf_putf(out, "%*s", (int)(widths[column] + padding - width_of(cells->items[i])), "");
        }
}

static void add_cell(StrList *cells, const char *text)
{
        if (text)
                strlist_take(cells, str_printable(text, strlen(text)));
        else
                strlist_add(cells, "");
}

static void put_list(Buf *out, const OutlineList *list, const char *title)
{
        _cleanup_strlist_ StrList cells = { 0 };

        if (!list->n_items)
                return;
        strlist_add(&cells, title);
        strlist_add(&cells, "REQUIRED");
        for (size_t i = 0; i < list->n_items; i++) {
                add_cell(&cells, list->items[i].name);
                strlist_add(&cells, list->items[i].required ? "true" : "");
        }
        put_table(out, &cells, 2, 3);
        buf_putc(out, '\n');
}

static void put_outline(const Outline *outline, Buf *out)
{
        _cleanup_strlist_ StrList head = { 0 }, args = { 0 }, caches = { 0 };

        if (outline->name || outline->description) {
                strlist_add(&head, "TARGET:");
                add_cell(&head, outline->name ? outline->name : "(default)");
                if (outline->description) {
                        strlist_add(&head, "DESCRIPTION:");
                        add_cell(&head, outline->description);
                }
                put_table(out, &head, 2, 1);
                buf_putc(out, '\n');
        }
        if (outline->args.n_items) {
                strlist_add(&args, "BUILD ARG");
                strlist_add(&args, "VALUE");
                strlist_add(&args, "DESCRIPTION");
                for (size_t i = 0; i < outline->args.n_items; i++) {
                        add_cell(&args, outline->args.items[i].name);
                        add_cell(&args, outline->args.items[i].value);
                        add_cell(&args, outline->args.items[i].description);
                }
                put_table(out, &args, 3, 3);
                buf_putc(out, '\n');
        }
        put_list(out, &outline->secrets, "SECRET");
        put_list(out, &outline->ssh, "SSH");
        if (outline->caches.n_items) {
                strlist_add(&caches, "CACHE MOUNT");
                for (size_t i = 0; i < outline->caches.n_items; i++)
                        add_cell(&caches, outline->caches.items[i].name);
                put_table(out, &caches, 1, 3);
                buf_putc(out, '\n');
        }
}

/* --- JSON --- */

static void write_member(JsonWriter *json, const char *key, const char *value)
{
        if (!str_empty(value))
                json_writer_member_string(json, key, value);
}

static void write_sources(JsonWriter *json, const BuildCallResult *result)
{
        _cleanup_free_ char *data = base64_encode(BASE64_STANDARD, result->text.data, result->text.size);

        json_writer_key(json, "sources");
        json_writer_begin_array(json);
        json_writer_string(json, data);
        json_writer_end_array(json);
}

static void write_list(JsonWriter *json, const char *key, const char *name_key, const OutlineList *list)
{
        if (!list->n_items)
                return;
        json_writer_key(json, key);
        json_writer_begin_array(json);
        for (size_t i = 0; i < list->n_items; i++) {
                const OutlineItem *item = &list->items[i];

                json_writer_begin_object(json);
                json_writer_member_string(json, name_key, item->name);
                write_member(json, "description", item->description);
                write_member(json, "value", item->value);
                if (item->required)
                        json_writer_member_bool(json, "required", true);
                json_writer_key(json, "location");
                call_report_location(json, &item->range, 1);
                json_writer_end_object(json);
        }
        json_writer_end_array(json);
}

int call_report_outline(const BuildCallResult *result, bool as_json, Buf *out, Error *err)
{
        const Outline *outline = &result->outline;
        _cleanup_buf_ Buf flat = BUF_INIT(BUF_MAX_DEFAULT);
        JsonWriter json;

        if (!as_json) {
                put_outline(outline, out);
                return 0;
        }
        json_writer_init(&json, &flat, JSON_WRITE_COMPACT);
        json_writer_begin_object(&json);
        write_member(&json, "name", outline->name);
        write_member(&json, "description", outline->description);
        write_list(&json, "args", "name", &outline->args);
        write_list(&json, "secrets", "name", &outline->secrets);
        write_list(&json, "ssh", "name", &outline->ssh);
        write_list(&json, "cache", "ID", &outline->caches);
        write_sources(&json, result);
        json_writer_end_object(&json);
        return call_report_finish(&json, &flat, out, err);
}

static void put_targets(const BuildCallResult *result, Buf *out)
{
        _cleanup_strlist_ StrList cells = { 0 };

        strlist_add(&cells, "TARGET");
        strlist_add(&cells, "DESCRIPTION");
        for (size_t i = 0; i < result->n_targets; i++) {
                const BuildCallTarget *target = &result->targets[i];

                if (target->is_default)
                        strlist_addf(&cells, "%s%s(default)", target->name ? target->name : "", target->name ? " " : "");
                else
                        add_cell(&cells, target->name);
                add_cell(&cells, target->description);
        }
        put_table(out, &cells, 2, 1);
}

int call_report_targets(const BuildCallResult *result, bool as_json, Buf *out, Error *err)
{
        _cleanup_buf_ Buf flat = BUF_INIT(BUF_MAX_DEFAULT);
        JsonWriter json;

        if (!as_json) {
                put_targets(result, out);
                return 0;
        }
        json_writer_init(&json, &flat, JSON_WRITE_COMPACT);
        json_writer_begin_object(&json);
        json_writer_key(&json, "targets");
        json_writer_begin_array(&json);
        for (size_t i = 0; i < result->n_targets; i++) {
                const BuildCallTarget *target = &result->targets[i];

                json_writer_begin_object(&json);
                write_member(&json, "name", target->name);
                if (target->is_default)
                        json_writer_member_bool(&json, "default", true);
                write_member(&json, "description", target->description);
                write_member(&json, "base", target->base);
                write_member(&json, "platform", target->platform);
                json_writer_key(&json, "location");
                call_report_location(&json, &target->range, 1);
                json_writer_end_object(&json);
        }
        json_writer_end_array(&json);
        write_sources(&json, result);
        json_writer_end_object(&json);
        return call_report_finish(&json, &flat, out, err);
}

/* --- what can be asked --- */

static const struct {
        const char *name, *description;
        const char *option, *option_help; /* or NULL */
        bool has_options, has_status;
} requests[] = {
        { "outline", "List all parameters current build target supports", "target", "Target build stage", true, false },
        { "targets", "List all targets current build supports", NULL, NULL, true, false },
        { "lint", "Lint a Dockerfile", NULL, NULL, true, true },
        { "subrequests.describe", "List available subrequest types", NULL, NULL, false, false },
};

static void write_named(JsonWriter *json, const char *name, const char *help)
{
        json_writer_begin_object(json);
        json_writer_member_string(json, "name", name);
        json_writer_member_string(json, "description", help);
        json_writer_end_object(json);
}

static void write_request(JsonWriter *json, size_t i)
{
        _cleanup_free_ char *name = xasprintf("frontend.%s", requests[i].name);

        json_writer_begin_object(json);
        json_writer_member_string(json, "name", name);
        json_writer_member_string(json, "version", "1.0.0");
        json_writer_member_string(json, "type", "rpc");
        json_writer_member_string(json, "description", requests[i].description);
        json_writer_key(json, "opts");
        if (requests[i].has_options) {
                json_writer_begin_array(json);
                if (requests[i].option)
                        write_named(json, requests[i].option, requests[i].option_help);
                json_writer_end_array(json);
        } else {
                json_writer_null(json);
        }
        json_writer_key(json, "inputs");
        json_writer_null(json);
        json_writer_key(json, "metadata");
        json_writer_begin_array(json);
        write_named(json, "result.json", "");
        write_named(json, "result.txt", "");
        if (requests[i].has_status)
                write_named(json, "result.statuscode", "");
        json_writer_end_array(json);
        json_writer_key(json, "refs");
        json_writer_null(json);
        json_writer_end_object(json);
}

int call_report_describe(bool as_json, Buf *out, Error *err)
{
        _cleanup_buf_ Buf flat = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_strlist_ StrList cells = { 0 };
        JsonWriter json;

        if (as_json) {
                json_writer_init(&json, &flat, JSON_WRITE_COMPACT);
                json_writer_begin_array(&json);
                for (size_t i = 0; i < ARRAY_LEN(requests); i++)
                        write_request(&json, i);
                json_writer_end_array(&json);
                return call_report_finish(&json, &flat, out, err);
        }
        strlist_add(&cells, "NAME");
        strlist_add(&cells, "VERSION");
        strlist_add(&cells, "DESCRIPTION");
        for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
                strlist_add(&cells, requests[i].name);
                strlist_add(&cells, "1.0.0");
                strlist_add(&cells, requests[i].description);
        }
        put_table(out, &cells, 3, 1);
        return 0;
}
