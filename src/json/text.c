/*
 * JSON as text: scanning, compacting, indenting and quoting, all byte for byte as Go's encoding/json.
 */
#include <errno.h>
#include <stdint.h>

#include "json/scan.h"
#include "json/writer.h"

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

const char *json_scan_space(const char *p, const char *end)
{
        while (p < end && is_space(*p))
                p++;
        return p;
}

const char *json_scan_string(const char *p, const char *end)
{
        for (p++; p < end && *p != '"'; p++)
                if (*p == '\\' && p + 1 < end)
                        p++;
        return p < end ? p + 1 : end;
}

const char *json_scan_value(const char *p, const char *end)
{
        size_t depth = 0;

        if (p >= end)
                return end;
        if (*p == '"')
                return json_scan_string(p, end);
        if (*p != '{' && *p != '[') {
                while (p < end && !is_space(*p) && *p != ',' && *p != '}' && *p != ']')
                        p++;
                return p;
        }
        while (p < end) {
                if (*p == '"') {
                        p = json_scan_string(p, end);
                        continue;
                }
                if (*p == '{' || *p == '[')
                        depth++;
                else if ((*p == '}' || *p == ']') && --depth == 0)
                        return p + 1;
                p++;
        }
        return end;
}

int json_scan_limits(const char *text, size_t size, unsigned depth_max, Error *err)
{
        const char *end = text + size;
        size_t depth = 0, n_values = 1;

        for (const char *p = text; p < end;) {
                switch (*p) {
                case '"':
                        p = json_scan_string(p, end);
                        continue;
                case '{':
                case '[':
                        n_values++;
                        if (++depth > depth_max)
                                return error_set(err, ERROR_LIMIT, "invalid JSON: nested more than %u levels deep", depth_max);
                        break;
                case '}':
                case ']':
                        if (depth > 0)
                                depth--;
                        break;
                case ',':
                        n_values++;
                        break;
                default:
                        break;
                }
                if (n_values > JSON_VALUES_MAX)
                        return error_set(err, ERROR_LIMIT, "invalid JSON: more than %d values", JSON_VALUES_MAX);
                p++;
        }
        return 0;
}

int json_text_compact(const char *text, size_t size, Buf *out)
{
        const char *end = text + size;

        for (const char *p = json_scan_space(text, end); p < end; p = json_scan_space(p, end)) {
                const char *from = p;
                int r;

                if (*p == '"')
                        p = json_scan_string(p, end);
                else
                        while (p < end && *p != '"' && !is_space(*p))
                                p++;
                r = buf_add(out, from, (size_t)(p - from));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_line(Buf *out, size_t depth, unsigned n_spaces)
{
        int r = buf_addc(out, '\n');

        for (size_t i = 0; r >= 0 && i < depth * n_spaces; i++)
                r = buf_addc(out, ' ');
        return r;
}

/* One punctuation character with what belongs before and after it. *depth follows. */
static int indent_mark(char c, char next, unsigned n_spaces, size_t *depth, bool *empty, Buf *out)
{
        int r = 0;

        switch (c) {
        case '{':
        case '[':
                *empty = next == '}' || next == ']';
                r = buf_addc(out, c);
                if (*empty)
                        return r;
                (*depth)++;
                return r < 0 ? r : add_line(out, *depth, n_spaces);
        case '}':
        case ']':
                if (!*empty && *depth > 0) {
                        (*depth)--;
                        r = add_line(out, *depth, n_spaces);
                }
                *empty = false;
                return r < 0 ? r : buf_addc(out, c);
        case ',':
                r = buf_addc(out, c);
                return r < 0 ? r : add_line(out, *depth, n_spaces);
        case ':':
                return buf_add(out, ": ", 2);
        default:
                return buf_addc(out, c);
        }
}

int json_text_indent(const char *text, size_t size, unsigned n_spaces, Buf *out)
{
        const char *end = text + size;
        size_t depth = 0;
        bool empty = false;

        for (const char *p = json_scan_space(text, end); p < end; p = json_scan_space(p, end)) {
                int r;

                if (*p == '"') {
                        const char *from = p;

                        p = json_scan_string(p, end);
                        r = buf_add(out, from, (size_t)(p - from));
                } else {
                        const char *next = json_scan_space(p + 1, end);

                        r = indent_mark(*p, next < end ? *next : '\0', n_spaces, &depth, &empty, out);
                        p++;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Length of the well-formed UTF-8 sequence at p (at least one byte left), or 0. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
        size_t n = *p < 0x80 ? 1 : *p >= 0xc2 && *p <= 0xdf ? 2 : *p >= 0xe0 && *p <= 0xef ? 3 : *p >= 0xf0 && *p <= 0xf4 ? 4 : 0;

        if (n == 0 || n > left)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
                return 0; /* overlong, surrogate, beyond U+10FFFF */
        return n;
}

/* The escape of one ASCII character, or NULL when it stands for itself. */
static const char *escape_ascii(unsigned char c, bool html, char *scratch)
{
        static const char digits[] = "0123456789abcdef";

        switch (c) {
        case '"':
                return "\\\"";
        case '\\':
                return "\\\\";
        case '\b':
                return "\\b";
        case '\f':
                return "\\f";
        case '\n':
                return "\\n";
        case '\r':
                return "\\r";
        case '\t':
                return "\\t";
        default:
                break;
        }
        if (c >= 0x20 && !(html && (c == '<' || c == '>' || c == '&')))
                return NULL;
        memcpy(scratch, "\\u00", 4);
        scratch[4] = digits[c >> 4];
        scratch[5] = digits[c & 15];
        scratch[6] = '\0';
        return scratch;
}

int json_text_quote(const char *s, size_t size, JsonWriteFlags flags, Buf *out)
{
        const unsigned char *p = (const unsigned char *)s, *end = p + size, *plain = p;
        int r = buf_addc(out, '"');

        while (r >= 0 && p < end) {
                size_t n = utf8_length(p, (size_t)(end - p));
                const char *escape = NULL;
                char scratch[7];

                if (n == 0) {
                        escape = "\\ufffd";
                        n = 1;
                } else if (n == 1) {
                        escape = escape_ascii(*p, !(flags & JSON_WRITE_NO_HTML), scratch);
                } else if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) {
                        escape = p[2] == 0xa8 ? "\\u2028" : "\\u2029";
                }
                if (escape) {
                        r = buf_add(out, plain, (size_t)(p - plain));
                        if (r >= 0)
                                r = buf_adds(out, escape);
                        plain = p + n;
                }
                p += n;
        }
        if (r >= 0)
                r = buf_add(out, plain, (size_t)(end - plain));
        return r < 0 ? r : buf_addc(out, '"');
}
