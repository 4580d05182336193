/*
 * A growable run of bytes with a maximum it is born with (curl's dynbuf is the model).
 *
 * Invariants:
 *  1. `size` never exceeds `max`; an append that would is refused with -EFBIG and leaves the content as it was.
 *  2. While `data` is not NULL, data[size] is a NUL byte that `size` does not count, so text can be used as a C string.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

typedef struct Buf {
        char *data; /* NULL while nothing was appended */
        size_t size;
        size_t capacity;
        size_t max;
} Buf;

/* For buffers whose content we make ourselves from things already limited. */
#define BUF_MAX_DEFAULT ((size_t)64 << 20)

#define BUF_INIT(maximum) ((Buf){ .max = (maximum) })
#define _cleanup_buf_ _cleanup_(buf_done)

void buf_done(Buf *buf);  /* frees; keeps `max`, so the buffer is usable again */
void buf_reset(Buf *buf); /* empties but keeps the memory */

/* Appends. Return 0, -EFBIG (beyond `max`) or -ENOMEM. */
int buf_add(Buf *buf, const void *data, size_t size) _warn_unused_;
int buf_adds(Buf *buf, const char *s) _warn_unused_;
int buf_addc(Buf *buf, char c) _warn_unused_;
int buf_addf(Buf *buf, const char *format, ...) _printf_(2, 3) _warn_unused_;
int buf_addfv(Buf *buf, const char *format, va_list args) _printf_(2, 0) _warn_unused_;
int buf_add_zero(Buf *buf, size_t size) _warn_unused_;

/* The same for content of our own making where the limit cannot be reached: aborts instead of failing. */
void buf_put(Buf *buf, const void *data, size_t size);
void buf_puts(Buf *buf, const char *s);
void buf_putc(Buf *buf, char c);
void buf_putf(Buf *buf, const char *format, ...) _printf_(2, 3);

/* Makes room for `size` more bytes and returns where they go, or NULL (over the maximum). Call buf_commit() with what was filled. */
void *buf_reserve(Buf *buf, size_t size);
void buf_commit(Buf *buf, size_t size);

/* Removes bytes from the front; O(remaining). */
void buf_consume(Buf *buf, size_t size);

/* Takes the bytes out as a NUL-terminated heap string (never NULL); the buffer is empty afterwards. */
char *buf_detach(Buf *buf);

/* The content as a C string; "" while empty. Valid until the next change. */
static inline const char *buf_str(const Buf *buf)
{
        return buf->data ? buf->data : "";
}
