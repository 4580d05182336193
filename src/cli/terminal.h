/*
 * The terminal: its width, whether there is one, whether colours are wanted.
 */
#pragma once

#include <stdbool.h>

#define TERMINAL_WIDTH_DEFAULT 80

/* Columns of the terminal behind `fd`, or TERMINAL_WIDTH_DEFAULT. */
unsigned terminal_width(int fd);
/* Columns and rows; false when `fd` is no terminal. */
bool terminal_size(int fd, unsigned *ret_columns, unsigned *ret_rows);
/* True when escape sequences are welcome: a terminal that is not "dumb". */
bool terminal_is_smart(int fd);
/* The same, and NO_COLOR (no-color.org) is not set. */
bool terminal_has_color(int fd);
