/*
 * Characters as the Dockerfile grammar sees them: Go's notion of white space, letters and digits over UTF-8, and Go's quoting in messages. Private to this
 * folder.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define RUNE_INVALID 0xfffd

/* The character at `s` (s < end) and its length. A byte that does not start valid UTF-8 is RUNE_INVALID of length 1. */
uint32_t rune_at(const char *s, const char *end, size_t *ret_size);

/* The length of the character that ends at `end` (start < end). */
size_t rune_size_before(const char *start, const char *end);

bool rune_is_space(uint32_t rune);
bool rune_is_letter(uint32_t rune);
bool rune_is_digit(uint32_t rune);
bool rune_is_print(uint32_t rune);

/* White space at the ends by rune_is_space(). Move the pointers. */
void text_trim(const char **start, const char **end);
void text_trim_left(const char **start, const char *end);

/* \t \v \f \r and space: what separates words in a logical line. */
static inline bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

/* Appends `s` between double quotes as Go's %q. */
void text_quote(Buf *out, const char *s, size_t size);

/* The same as a heap string. */
char *text_quoted(const char *s);
