/*
 * The exec form: CMD ["a", "b"]. Valid JSON with something else than strings in it is an error; what is not valid JSON is the shell form, so the whole text is
 * checked.
 *
 * "\u0000" becomes the bytes C0 80, since strings here end at a NUL; no valid text holds them, text_quote() shows them as \x00, and instruction_parse() refuses
 * them.
 *
 * Differs: bytes in strings that are not UTF-8 pass unchanged (Go writes U+FFFD).
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/arena.h"
#include "dockerfile/line.h"
#include "dockerfile/text.h"

#define DEPTH_MAX 200 /* Go stops at 10000; both then take the text for the shell form */

typedef struct Json {
        const char *p, *end;
        Buf string; /* the string read last */
} Json;

static void skip_space(Json *json)
{
        while (json->p < json->end && strchr(" \t\r\n", *json->p))
                json->p++;
}

static bool take_char(Json *json, char c)
{
        if (json->p == json->end || *json->p != c)
                return false;
        json->p++;
        return true;
}

static bool take_literal(Json *json, const char *literal)
{
        size_t n = strlen(literal);

        if ((size_t)(json->end - json->p) < n || memcmp(json->p, literal, n) != 0)
                return false;
        json->p += n;
        return true;
}

static bool take_digits(Json *json)
{
        const char *start = json->p;

        while (json->p < json->end && *json->p >= '0' && *json->p <= '9')
                json->p++;
        return json->p > start;
}

static bool take_number(Json *json)
{
        const char *start = json->p;
        _cleanup_free_ char *text = NULL;

        take_char(json, '-');
        if (!take_char(json, '0') && !take_digits(json))
                return false;
        if (take_char(json, '.') && !take_digits(json))
                return false;
        if (take_char(json, 'e') || take_char(json, 'E')) {
                if (!take_char(json, '+'))
                        take_char(json, '-');
                if (!take_digits(json))
                        return false;
        }
        text = xstrndup(start, (size_t)(json->p - start));
        return isfinite(strtod(text, NULL));
}

static bool take_hex4(Json *json, uint32_t *ret)
{
        *ret = 0;
        for (int i = 0; i < 4; i++, json->p++) {
                static const char digits[] = "0123456789abcdef";
                const char *digit;

                if (json->p == json->end)
                        return false;
                digit = memchr(digits, *json->p | (*json->p >= 'A' ? 0x20 : 0), 16);
                if (!digit)
                        return false;
                *ret = *ret << 4 | (uint32_t)(digit - digits);
        }
        return true;
}

static void put_rune(Buf *out, uint32_t c)
{
        if (c < 0x80)
                buf_putc(out, (char)c);
        else if (c < 0x800)
                buf_putf(out, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
        else if (c < 0x10000)
                buf_putf(out, "%c%c%c", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 0x3f)), (int)(0x80 | (c & 0x3f)));
        else
                buf_putf(out, "%c%c%c%c", (int)(0xf0 | c >> 18), (int)(0x80 | (c >> 12 & 0x3f)), (int)(0x80 | (c >> 6 & 0x3f)), (int)(0x80 | (c & 0x3f)));
}

static bool take_unicode(Json *json)
{
        uint32_t c, low;

        if (!take_hex4(json, &c))
                return false;
        if (c >= 0xd800 && c < 0xdc00 && json->end - json->p >= 6 && json->p[0] == '\\' && json->p[1] == 'u') {
                Json ahead = *json;

                ahead.p += 2;
                if (take_hex4(&ahead, &low) && low >= 0xdc00 && low < 0xe000) {
                        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                        json->p = ahead.p;
                }
        }
        if (c >= 0xd800 && c < 0xe000)
                c = RUNE_INVALID;
        if (c == 0)
                buf_puts(&json->string, "\xc0\x80");
        else
                put_rune(&json->string, c);
        return true;
}

static bool take_string(Json *json)
{
        static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";

        buf_reset(&json->string);
        if (!take_char(json, '"'))
                return false;
        while (json->p < json->end) {
                char c = *json->p++;

                if (c == '"')
                        return true;
                if ((unsigned char)c < 0x20)
                        return false;
                if (c != '\\') {
                        buf_putc(&json->string, c);
                        continue;
                }
                if (json->p == json->end)
                        return false;
                c = *json->p++;
                if (c == 'u') {
                        if (!take_unicode(json))
                                return false;
                        continue;
                }
                for (size_t i = 0;; i += 2) {
                        if (i + 1 >= sizeof(escapes))
                                return false;
                        if (escapes[i] == c) {
                                buf_putc(&json->string, escapes[i + 1]);
                                break;
                        }
                }
        }
        return false;
}

static bool take_value(Json *json, unsigned depth);

static bool take_members(Json *json, char close, unsigned depth)
{
        json->p++;
        skip_space(json);
        if (take_char(json, close))
                return true;
        for (;;) {
                if (close == '}') {
                        skip_space(json);
                        if (!take_string(json))
                                return false;
                        skip_space(json);
                        if (!take_char(json, ':'))
                                return false;
                }
                if (!take_value(json, depth + 1))
                        return false;
                skip_space(json);
                if (take_char(json, close))
                        return true;
                if (!take_char(json, ','))
                        return false;
        }
}

static bool take_value(Json *json, unsigned depth)
{
        skip_space(json);
        if (json->p == json->end || depth > DEPTH_MAX)
                return false;
        switch (*json->p) {
        case '"':
                return take_string(json);
        case '[':
                return take_members(json, ']', depth);
        case '{':
                return take_members(json, '}', depth);
        default:
                return take_literal(json, "true") || take_literal(json, "false") || take_literal(json, "null") || take_number(json);
        }
}

static int parse(Json *json, const LogicalLine *line, Arena *arena, DfWord **words, size_t *n_words, bool *ret_strings)
{
        size_t capacity = 0;

        if (!take_char(json, '['))
                return 0;
        skip_space(json);
        if (!take_char(json, ']')) {
                do {
                        const char *start;
                        bool is_string;

                        skip_space(json);
                        start = json->p;
                        is_string = start < json->end && *start == '"';
                        if (!take_value(json, 1))
                                return 0;
                        *ret_strings &= is_string;
                        if (is_string) {
                                *words = arena_grow(arena, *words, *n_words, &capacity, sizeof(**words));
                                (*words)[(*n_words)++] = (DfWord){ arena_strndup(arena, buf_str(&json->string), json->string.size),
                                                                   line_pos(line, (size_t)(start - line->text)) };
                        }
                        skip_space(json);
                } while (take_char(json, ','));
                if (!take_char(json, ']'))
                        return 0;
        }
        skip_space(json);
        return json->p == json->end;
}

int json_words_parse(const LogicalLine *line, size_t start, size_t end, Arena *arena, DfWord **ret, size_t *ret_n, Error *err)
{
        Json json = { .p = line->text + start, .end = line->text + end, .string = BUF_INIT(SIZE_MAX / 2) };
        DfWord *words = NULL;
        size_t n_words = 0;
        bool strings = true;
        int valid;

        text_trim_left(&json.p, json.end);
        valid = parse(&json, line, arena, &words, &n_words, &strings);
        buf_done(&json.string);
        if (!valid)
                return 0;
        if (!strings)
                return error_set(err, ERROR_INVALID, "when using JSON array syntax, arrays must be comprised of strings only");
        *ret = words;
        *ret_n = n_words;
        return 1;
}
