#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void *or_abort(void *p)
{
        if (unlikely(!p)) {
                static const char text[] = "mica: out of memory\n";

                if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
                        abort();
                abort();
        }
        return p;
}

void *xmalloc(size_t size)
{
        return or_abort(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
        return or_abort(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
        return or_abort(realloc(p, size ? size : 1));
}

void *xreallocarray(void *p, size_t n, size_t size)
{
        return or_abort(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
        return or_abort(strdup(s));
}

char *xstrdup_or_null(const char *s)
{
        return s ? xstrdup(s) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
        return or_abort(strndup(s, n));
}

void *xmemdup(const void *p, size_t size)
{
        void *copy = xmalloc(size);

        if (size)
                memcpy(copy, p, size);
        return copy;
}

char *xvasprintf(const char *format, va_list args)
{
        char *s = NULL;

        if (vasprintf(&s, format, args) < 0)
                or_abort(NULL);
        return s;
}

char *xasprintf(const char *format, ...)
{
        va_list args;
        char *s;

        va_start(args, format);
        s = xvasprintf(format, args);
        va_end(args);
        return s;
}

void *mem_try_alloc(size_t size)
{
        return size <= PTRDIFF_MAX ? calloc(1, size ? size : 1) : NULL;
}
