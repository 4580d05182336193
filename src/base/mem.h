/*
 * Memory: small allocations that abort when the system has none left, and a checked path for sizes from outside.
 *
 * A container tool that cannot allocate 100 bytes has nothing useful left to do, so the x-functions abort. A size that comes from a file
 * or a socket goes through mem_try_alloc() or a Buf with a maximum, and fails with an error instead.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/macros.h"

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull)); /* n * size is checked for overflow */
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
void *xreallocarray(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrdup_or_null(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *p, size_t size) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...) _printf_(1, 2) __attribute__((returns_nonnull));
char *xvasprintf(const char *format, va_list args) _printf_(1, 0) __attribute__((returns_nonnull));

/* Allocates zeroed memory for a size from outside. Returns NULL when it cannot be had. */
void *mem_try_alloc(size_t size);

#define NEW(type) ((type *)xcalloc(1, sizeof(type)))
#define NEW_ARRAY(type, n) ((type *)xcalloc((n), sizeof(type)))

/*
 * Makes room for at least `need` items in a growing array (pointer, capacity in items). Doubles, so that n appends cost O(n).
 *   GROW(list->items, list->capacity, list->n_items + 1);
 */
#define GROW(ptr, capacity, need) \
        do { \
                if ((need) > (capacity)) { \
                        (capacity) = MAX((typeof(capacity))(need), (typeof(capacity))((capacity)*2)); \
                        if ((capacity) < 8) \
                                (capacity) = 8; \
                        (ptr) = xreallocarray((ptr), (capacity), sizeof(*(ptr))); \
                } \
        } while (0)
