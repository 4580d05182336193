/*
 * Texts as Go's fmt prints them: history entries of image configs hold them, and rebuilding an image must give the same bytes.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"

/* strconv.Quote: printable UTF-8 stays, the rest is escaped. */
void go_quote(const char *s, Buf *out);
/* %q of a []string: ["a" "b"]. */
void go_quote_list(const char *const *items, size_t n_items, Buf *out);
/* %v of a []string: [a b]. */
void go_print_list(const char *const *items, size_t n_items, Buf *out);
