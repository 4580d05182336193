#include "dockerfile/text.h"

#include <string.h>

#include "dockerfile/unicode_ranges.h"

static bool is_tail(unsigned char c)
{
        return (c & 0xc0) == 0x80;
}

uint32_t rune_at(const char *s, const char *end, size_t *ret_size)
{
        const unsigned char *p = (const unsigned char *)s;
        size_t left = (size_t)(end - s);
        uint32_t rune;

        *ret_size = 1;
        if (p[0] < 0x80)
                return p[0];
        if (p[0] >= 0xc2 && p[0] < 0xe0 && left >= 2 && is_tail(p[1])) {
                *ret_size = 2;
                return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        }
        if (p[0] >= 0xe0 && p[0] < 0xf0 && left >= 3 && is_tail(p[1]) && is_tail(p[2])) {
                rune = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
                if (rune >= 0x800 && (rune < 0xd800 || rune > 0xdfff)) {
                        *ret_size = 3;
                        return rune;
                }
        }
        if (p[0] >= 0xf0 && p[0] < 0xf5 && left >= 4 && is_tail(p[1]) && is_tail(p[2]) && is_tail(p[3])) {
                rune = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
                if (rune >= 0x10000 && rune <= 0x10ffff) {
                        *ret_size = 4;
                        return rune;
                }
        }
        return RUNE_INVALID;
}

size_t rune_size_before(const char *start, const char *end)
{
        for (size_t n = 2; n <= 4 && (size_t)(end - start) >= n; n++) {
                size_t size;

                rune_at(end - n, end, &size);
                if (size == n)
                        return n;
        }
        return 1;
}

static bool in_ranges(const UnicodeRange *ranges, size_t n_ranges, uint32_t rune)
{
        size_t low = 0, high = n_ranges;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (rune > ranges[middle].last)
                        low = middle + 1;
                else if (rune < ranges[middle].first)
                        high = middle;
                else
                        return true;
        }
        return false;
}

bool rune_is_space(uint32_t rune)
{
        if (rune < 0x80)
                return rune == ' ' || (rune >= '\t' && rune <= '\r');
        return rune == 0x85 || rune == 0xa0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 || rune == 0x2029 || rune == 0x202f ||
               rune == 0x205f || rune == 0x3000;
}

bool rune_is_letter(uint32_t rune)
{
        if (rune < 0x80)
                return (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z');
        return in_ranges(unicode_letters, unicode_n_letters, rune);
}

bool rune_is_digit(uint32_t rune)
{
        if (rune < 0x80)
                return rune >= '0' && rune <= '9';
        return in_ranges(unicode_digits, unicode_n_digits, rune);
}

bool rune_is_print(uint32_t rune)
{
        if (rune < 0x80)
                return rune >= 0x20 && rune < 0x7f;
        return in_ranges(unicode_printables, unicode_n_printables, rune);
}

void text_trim_left(const char **start, const char *end)
{
        size_t size;

        while (*start < end && rune_is_space(rune_at(*start, end, &size)))
                *start += size;
}

void text_trim(const char **start, const char **end)
{
        text_trim_left(start, *end);
        while (*start < *end) {
                size_t size = rune_size_before(*start, *end), n;

                if (!rune_is_space(rune_at(*end - size, *end, &n)))
                        break;
                *end -= size;
        }
}

void text_quote(Buf *out, const char *s, size_t size)
{
        static const char names[] = "\aa\bb\ff\nn\rr\tt\vv\"\"\\\\";
        const char *end = s + size;
        size_t n;

        buf_putc(out, '"');
        for (; s < end; s += n) {
                uint32_t rune = rune_at(s, end, &n);
                const char *name = NULL;

                if (end - s >= 2 && memcmp(s, "\xc0\x80", 2) == 0) {
                        buf_puts(out, "\\x00"); /* see json_words.c */
                        n = 2;
                        continue;
                }
                for (size_t i = 0; i + 1 < sizeof(names) && rune < 0x80; i += 2)
                        if ((char)rune == names[i])
                                name = &names[i + 1];
                if (name)
                        buf_putf(out, "\\%c", *name);
                else if (rune == RUNE_INVALID && n == 1)
                        buf_putf(out, "\\x%02x", (unsigned char)*s);
                else if (rune_is_print(rune))
                        buf_put(out, s, n);
                else if (rune < 0x80)
                        buf_putf(out, "\\x%02x", rune);
                else if (rune < 0x10000)
                        buf_putf(out, "\\u%04x", rune);
                else
                        buf_putf(out, "\\U%08x", rune);
        }
        buf_putc(out, '"');
}

char *text_quoted(const char *s)
{
        Buf out = BUF_INIT(SIZE_MAX / 2);

        text_quote(&out, s, strlen(s));
        return buf_detach(&out);
}
