/*
 * Parser directives: "# name=value" lines at the head of a file. Private to this folder.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a line (without its line end) is a directive behind `prefix` ("#", "//" or ""). The name is one of "syntax", "check", "escape" (static); the value is
 * the part of the line from *ret_value on, *ret_size bytes.
 */
bool directive_match(const char *line, size_t size, const char *prefix, const char **ret_name, const char **ret_value, size_t *ret_size);

/*
 * Goes over the directive lines at the head of a text, behind a byte order mark and a "#!" line. Start with *at = 0 and *line = 0.
 * Returns false at the first line that is none.
 */
bool directive_next(const char *text, size_t size, const char *prefix, size_t *at, unsigned *line, const char **ret_name, const char **ret_value,
                    size_t *ret_size);
