#include "build/gotext.h"

#include <stdint.h>
#include <string.h>

/* One UTF-8 character: its length, or 0 when the bytes are none. */
static size_t utf8_decode(const unsigned char *s, uint32_t *ret)
{
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t n = *s < 0x80 ? 1 : (*s & 0xe0) == 0xc0 ? 2 : (*s & 0xf0) == 0xe0 ? 3 : (*s & 0xf8) == 0xf0 ? 4 : 0;
        uint32_t c;

        if (!n)
                return 0;
        c = n == 1 ? *s : *s & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3fu);
        }
        if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret = c;
        return n;
}

/* strconv.IsPrint for what matters: controls, soft hyphen, separators other than the blank, format characters and unassigned planes are escaped. */
static int is_printable(uint32_t c)
{
        if (c < 0x7f)
                return c >= 0x20;
        if (c < 0xa1 || c == 0xad)
                return 0;
        if ((c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x3000 || c == 0xfeff)
                return 0;
        return !(c >= 0xe000 && c <= 0xf8ff) && !(c >= 0xfff0 && c <= 0xfffb) && (c & 0xfffe) != 0xfffe && c < 0xf0000;
}

static int escape_letter(uint32_t c)
{
        switch (c) {
        case '\a':
                return 'a';
        case '\b':
                return 'b';
        case '\f':
                return 'f';
        case '\n':
                return 'n';
        case '\r':
                return 'r';
        case '\t':
                return 't';
        case '\v':
                return 'v';
        case '\\':
        case '"':
                return (int)c;
        default:
                return 0;
        }
}

void go_quote(const char *s, Buf *out)
{
        const unsigned char *at = (const unsigned char *)s;

        buf_putc(out, '"');
        while (*at) {
                uint32_t c = 0;
                size_t n = utf8_decode(at, &c);

                if (!n) {
                        buf_putf(out, "\\x%02x", *at++);
                        continue;
                }
                if (escape_letter(c))
                        buf_putf(out, "\\%c", escape_letter(c));
                else if (is_printable(c))
                        buf_put(out, at, n);
                else if (c < 0x80)
                        buf_putf(out, "\\x%02x", c);
                else if (c < 0x10000)
                        buf_putf(out, "\\u%04x", c);
                else
                        buf_putf(out, "\\U%08x", c);
                at += n;
        }
        buf_putc(out, '"');
}

void go_quote_list(const char *const *items, size_t n_items, Buf *out)
{
        buf_putc(out, '[');
        for (size_t i = 0; i < n_items; i++) {
                if (i)
                        buf_putc(out, ' ');
                go_quote(items[i], out);
        }
        buf_putc(out, ']');
}

void go_print_list(const char *const *items, size_t n_items, Buf *out)
{
        buf_putc(out, '[');
        for (size_t i = 0; i < n_items; i++)
                buf_putf(out, "%s%s", i ? " " : "", items[i]);
        buf_putc(out, ']');
}
