#include "format/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "format/template.h"

#define CELL_PADDING 3

/* --- alignment --- */

typedef struct Line {
        const char **cells;
        size_t *sizes; /* bytes */
        size_t n_cells, capacity, size_capacity;
} Line;

/* Characters of UTF-8 text: bytes that do not continue one. */
static size_t text_width(const char *s, size_t size)
{
        size_t n = 0;

        for (size_t i = 0; i < size; i++)
                n += ((unsigned char)s[i] & 0xc0) != 0x80;
        return n;
}

static void split_line(const char *s, size_t size, Line *line)
{
        const char *end = s + size;

        for (;;) {
                const char *tab = memchr(s, '\t', (size_t)(end - s)), *stop = tab ? tab : end;

                GROW(line->cells, line->capacity, line->n_cells + 1);
                GROW(line->sizes, line->size_capacity, line->n_cells + 1);
                line->cells[line->n_cells] = s;
                line->sizes[line->n_cells++] = (size_t)(stop - s);
                if (!tab)
                        return;
                s = tab + 1;
        }
}

/* Width of column `column` in the run of lines around `at` that all have it. */
static size_t column_width(const Line *lines, size_t n_lines, size_t at, size_t column, size_t min_width, size_t *ret_end)
{
        size_t width = min_width, end = at;

        for (; end < n_lines && lines[end].n_cells > column + 1; end++)
                width = MAX(width, text_width(lines[end].cells[column], lines[end].sizes[column]) + CELL_PADDING);
        *ret_end = end;
        return width;
}

void table_align(const char *text, size_t min_width, Buf *out)
{
        Line *lines = NULL;
        size_t n_lines = 0, capacity = 0, most = 0;
        size_t *widths;

        for (const char *s = text; *s;) {
                size_t size = strcspn(s, "\n");

                GROW(lines, capacity, n_lines + 1);
                lines[n_lines] = (Line){ 0 };
                split_line(s, size, &lines[n_lines]);
                most = MAX(most, lines[n_lines].n_cells);
                n_lines++;
                s += size + (s[size] == '\n');
        }
        widths = xcalloc(n_lines * most + 1, sizeof(*widths));
        for (size_t column = 0; column + 1 < most; column++)
                for (size_t at = 0, end; at < n_lines; at = MAX(end, at + 1)) {
                        size_t width = column_width(lines, n_lines, at, column, min_width, &end);

                        for (size_t i = at; i < end; i++)
                                widths[i * most + column] = width;
                }
        for (size_t i = 0; i < n_lines; i++) {
                for (size_t c = 0; c < lines[i].n_cells; c++) {
                        size_t width = text_width(lines[i].cells[c], lines[i].sizes[c]);

                        buf_put(out, lines[i].cells[c], lines[i].sizes[c]);
                        for (; c + 1 < lines[i].n_cells && width < widths[i * most + c]; width++)
                                buf_putc(out, ' ');
                }
                buf_putc(out, '\n');
                free(lines[i].cells);
                free(lines[i].sizes);
        }
        free(widths);
        free(lines);
}

/* --- lists --- */

struct List {
        const ListColumn *columns;
        char *text; /* of the template */
        Template *template;
        bool table, all;
        Buf rows;
        JsonValue *collected; /* NULL: rows are text */
};

List *list_new_collecting(JsonValue *array)
{
        List *list = NEW(List);

        list->collected = array;
        list->all = true;
        return list;
}

void list_free(List *list)
{
        if (!list)
                return;
        free(list->text);
        template_free(list->template);
        buf_done(&list->rows);
        free(list);
}

/* Without spaces around; line ends stay. New string. */
static char *trim_spaces(const char *format)
{
        size_t n;

        format += strspn(format, " ");
        for (n = strlen(format); n > 0 && format[n - 1] == ' ';)
                n--;
        return xstrndup(format, n);
}

/* What a user writes as \t and \n means these; a shell leaves them. */
static char *unescape_format(const char *format)
{
        _cleanup_free_ char *tabs = str_replace(format, "\\t", "\t");

        return str_replace(tabs, "\\n", "\n");
}

int list_new(const char *format, const char *fallback, const char *quiet_field, const ListColumn *columns, List **ret, Error *err)
{
        _cleanup_(list_freep) List *list = NEW(List);
        _cleanup_free_ char *trimmed = NULL;
        const char *rest;

        list->columns = columns;
        list->rows = BUF_INIT((size_t)1 << 30);
        if (str_empty(format) && quiet_field) {
                list->text = xasprintf("{{.%s}}", quiet_field);
        } else if (str_empty(format) || streq(format, "table")) {
                list->table = true;
                list->text = quiet_field ? xasprintf("{{.%s}}", quiet_field) : xstrdup(fallback);
                list->table = !quiet_field;
        } else if (streq(format, "json")) {
                list->text = xstrdup("{{json .}}");
        } else {
                rest = str_after(format, "table"); /* "table{{.ID}}" is one, too */
                list->table = rest != NULL;
                trimmed = list->table ? str_trim(rest) : trim_spaces(format);
                list->text = unescape_format(trimmed);
        }
        list->all = strstr(list->text, "{{json .}}") != NULL;
        if (template_parse(list->text, &list->template, err) < 0)
                return -1;
        *ret = TAKE_PTR(list);
        return 0;
}

bool list_wants(const List *list, const char *field)
{
        _cleanup_free_ char *name = xasprintf(".%s", field);

        return list->all || strstr(list->text, name);
}

static int check_size(const List *list, Error *err)
{
        return list->rows.size + MIB >= list->rows.max ? error_set(err, ERROR_LIMIT, "the list is too long to print") : 0;
}

int list_add(List *list, JsonValue *row, const JsonValue *labels, Error *err)
{
        _cleanup_json_ JsonValue *mine = row;
        TemplateData data = { .root = mine, .labels = labels, .row = true };

        if (list->collected) {
                json_value_append(list->collected, TAKE_PTR(mine));
                return 0;
        }
        if (template_execute(list->template, &data, &list->rows, err) < 0 || check_size(list, err) < 0)
                return -1;
        buf_putc(&list->rows, '\n');
        return 0;
}

int list_print(List *list, FILE *to, Error *err)
{
        _cleanup_json_ JsonValue *headers = json_value_new_object();
        _cleanup_buf_ Buf head = BUF_INIT(list->rows.max), aligned = BUF_INIT(list->rows.max * 2);
        TemplateData data = { .root = headers, .headers = true };

        if (!list->table) {
                fwrite(buf_str(&list->rows), 1, list->rows.size, to);
                return 0;
        }
        for (const ListColumn *column = list->columns; column->field; column++)
                json_value_set_string(headers, column->field, column->header);
        if (template_execute(list->template, &data, &head, err) < 0)
                return -1;
        buf_putc(&head, '\n');
        buf_put(&head, buf_str(&list->rows), list->rows.size);
        table_align(buf_str(&head), TABLE_MIN_WIDTH, &aligned);
        fwrite(buf_str(&aligned), 1, aligned.size, to);
        return 0;
}

int format_value(const char *format, const JsonValue *value, Buf *out, Error *err)
{
        _cleanup_(template_freep) Template *template = NULL;
        TemplateData data = { .root = value, .typed = true };

        if (str_empty(format) || streq(format, "json")) {
                if (json_value_write(value, JSON_WRITE_NO_HTML | (str_empty(format) ? JSON_WRITE_INDENT_4 : 0), out, err) < 0)
                        return -1;
                buf_putc(out, '\n');
                return 0;
        }
        if (template_parse(format, &template, err) < 0 || template_execute(template, &data, out, err) < 0)
                return -1;
        buf_putc(out, '\n');
        return 0;
}
