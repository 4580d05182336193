#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void buf_done(Buf *buf)
{
        free(buf->data);
        *buf = BUF_INIT(buf->max);
}

void buf_reset(Buf *buf)
{
        buf->size = 0;
        if (buf->data)
                buf->data[0] = '\0';
}

static int make_room(Buf *buf, size_t size)
{
        size_t need, capacity;
        char *data;

        if (__builtin_add_overflow(buf->size, size, &need) || need > buf->max)
                return -EFBIG;
        need++;
        if (need <= buf->capacity)
                return 0;
        capacity = MAX(need, MIN(buf->capacity * 2, buf->max + 1));
        capacity = MAX(capacity, (size_t)64);
        data = realloc(buf->data, capacity);
        if (!data)
                return -ENOMEM;
        buf->data = data;
        buf->capacity = capacity;
        return 0;
}

void *buf_reserve(Buf *buf, size_t size)
{
        return make_room(buf, size) < 0 ? NULL : buf->data + buf->size;
}

void buf_commit(Buf *buf, size_t size)
{
        buf->size += size;
        buf->data[buf->size] = '\0';
}

int buf_add(Buf *buf, const void *data, size_t size)
{
        int r = make_room(buf, size);

        if (r < 0)
                return r;
        if (size)
                memcpy(buf->data + buf->size, data, size);
        buf_commit(buf, size);
        return 0;
}

int buf_adds(Buf *buf, const char *s)
{
        return buf_add(buf, s, strlen(s));
}

int buf_addc(Buf *buf, char c)
{
        return buf_add(buf, &c, 1);
}

int buf_add_zero(Buf *buf, size_t size)
{
        int r = make_room(buf, size);

        if (r < 0)
                return r;
        memset(buf->data + buf->size, 0, size);
        buf_commit(buf, size);
        return 0;
}

int buf_addfv(Buf *buf, const char *format, va_list args)
{
        va_list again;
        int n, r;

        va_copy(again, args);
        n = vsnprintf(NULL, 0, format, again);
        va_end(again);
        if (n < 0)
                return -EINVAL;
        r = make_room(buf, (size_t)n);
        if (r < 0)
                return r;
        vsnprintf(buf->data + buf->size, (size_t)n + 1, format, args);
        buf_commit(buf, (size_t)n);
        return 0;
}

int buf_addf(Buf *buf, const char *format, ...)
{
        va_list args;
        int r;

        va_start(args, format);
        r = buf_addfv(buf, format, args);
        va_end(args);
        return r;
}

static void or_die(int r)
{
        if (unlikely(r < 0)) {
                fprintf(stderr, "mica: internal buffer limit reached\n");
                abort();
        }
}

void buf_put(Buf *buf, const void *data, size_t size)
{
        or_die(buf_add(buf, data, size));
}

void buf_puts(Buf *buf, const char *s)
{
        or_die(buf_adds(buf, s));
}

void buf_putc(Buf *buf, char c)
{
        or_die(buf_addc(buf, c));
}

void buf_putf(Buf *buf, const char *format, ...)
{
        va_list args;
        int r;

        va_start(args, format);
        r = buf_addfv(buf, format, args);
        va_end(args);
        or_die(r);
}

void buf_consume(Buf *buf, size_t size)
{
        if (size == 0)
                return;
        memmove(buf->data, buf->data + size, buf->size - size);
        buf->size -= size;
        buf->data[buf->size] = '\0';
}

char *buf_detach(Buf *buf)
{
        char *data = buf->data ? buf->data : xstrdup("");

        *buf = BUF_INIT(buf->max);
        return data;
}
