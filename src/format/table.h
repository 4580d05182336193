/*
 * Lists as docker prints them: aligned columns under headers, a template per row, or JSON per row.
 *
 * A row is a JSON object whose members are the columns by docker's field names, all strings. A ListColumn names the field and its header.
 */
#pragma once

#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "json/json.h"

/*
 * Aligns cells separated by tabs, as Go's tabwriter with padding 3 and spaces: a column is as wide as its widest cell plus 3, at least `min_width`.
 * The last cell of a line is no column.
 */
void table_align(const char *text, size_t min_width, Buf *out);

#define TABLE_MIN_WIDTH 10     /* docker's lists */
#define TABLE_MIN_WIDTH_TOP 20 /* docker top */

typedef struct ListColumn {
        const char *field;  /* "ID" */
        const char *header; /* "IMAGE ID" */
} ListColumn;

typedef struct List List;

/*
 * format: what --format says, or NULL: "table", "table TEMPLATE", "json", "TEMPLATE". `fallback` is the default table as a template without "table ".
 * `quiet`: one `quiet_field` per line when no format was given.
 * columns: ends with { NULL }.
 */
int list_new(const char *format, const char *fallback, const char *quiet_field, const ListColumn *columns, List **ret, Error *err);
/* Rows are not printed: list_add() appends them to `array`, which must live as long. */
List *list_new_collecting(JsonValue *array);
void list_free(List *list);
DEFINE_CLEANUP(List *, list_free)

/* True when the format mentions the field, or prints all of them: for what is dear to compute. */
bool list_wants(const List *list, const char *field);

/* Adds a row; takes the row over. `labels` may be NULL. */
int list_add(List *list, JsonValue *row, const JsonValue *labels, Error *err);
/* Prints everything. */
int list_print(List *list, FILE *to, Error *err);

/* inspect and version: `format` is "json", a template, or NULL: indented JSON. Appends to `out` with a newline. */
int format_value(const char *format, const JsonValue *value, Buf *out, Error *err);
