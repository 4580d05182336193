/*
 * Matching without backtracking: a pattern is a list of segments (literals and '?') with '*' between them. A star cannot cross a newline, so taking each
 * segment at the first place it fits never loses a match, and only the last one decides how long the match is.
 */
#include "dockerfile/pattern.h"

#include <string.h>

#include "base/mem.h"
#include "dockerfile/limits.h"
#include "dockerfile/text.h"

enum { UNIT_STAR = -1, UNIT_ANY = -2, UNIT_INVALID = -256 }; /* a byte b that is not UTF-8 is UNIT_INVALID - b */

typedef struct Units {
        int32_t *items; /* characters, or UNIT_… */
        size_t n_items;
} Units;

static void units_done(Units *units)
{
        free(units->items);
}

#define _cleanup_units_ _cleanup_(units_done)

static int32_t unit_at(const char *s, const char *end, size_t *ret_size)
{
        uint32_t rune = rune_at(s, end, ret_size);

        return rune == RUNE_INVALID && *ret_size == 1 ? UNIT_INVALID - (unsigned char)*s : (int32_t)rune;
}

static Units units_of_value(const char *value)
{
        const char *end = value + strlen(value);
        Units units = { NEW_ARRAY(int32_t, (size_t)(end - value) + 1), 0 };
        size_t n;

        for (; value < end; value += n)
                units.items[units.n_items++] = unit_at(value, end, &n);
        return units;
}

static int bad_escape(const char *pattern, const char *at, const char *end, Error *err)
{
        size_t n = 0;

        if (at < end)
                rune_at(at, end, &n);
        return error_set(err, ERROR_INVALID, "invalid pattern (%s) in substitution: invalid escape '\\%.*s'", pattern, n ? (int)n : 3, n ? at : "\xef\xbf\xbd");
}

static int units_of_pattern(Units *ret, const char *pattern, Error *err)
{
        const char *end = pattern + strlen(pattern), *p = pattern;
        _cleanup_units_ Units units = { NEW_ARRAY(int32_t, (size_t)(end - p) + 1), 0 };
        size_t n;

        for (; p < end; p += n) {
                int32_t unit = unit_at(p, end, &n);

                if (unit == '*') {
                        unit = UNIT_STAR;
                } else if (unit == '?') {
                        unit = UNIT_ANY;
                } else if (unit == '\\') {
                        if (p + 1 < end && (p[1] == '}' || p[1] == '/'))
                                continue; /* was quoted for the sake of ${…} only */
                        p++;
                        if (p == end || !strchr("*?\\", *p))
                                return bad_escape(pattern, p, end, err);
                        unit = *p;
                }
                units.items[units.n_items++] = unit;
        }
        *ret = units;
        units.items = NULL;
        return 0;
}

static void units_reverse(Units *units)
{
        for (size_t i = 0, j = units->n_items; i + 1 < j; i++) {
                int32_t other = units->items[--j];

                units->items[j] = units->items[i];
                units->items[i] = other;
        }
}

static bool segment_fits(const int32_t *segment, size_t n, const Units *value, size_t at, size_t *steps)
{
        *steps += 1;
        if (n > value->n_items - at)
                return false;
        for (size_t i = 0; i < n; i++, *steps += 1)
                if (segment[i] == UNIT_ANY ? value->items[at + i] == '\n' : segment[i] != value->items[at + i])
                        return false;
        return true;
}

typedef struct Match {
        bool found;
        bool ran_out; /* a segment behind a star fits nowhere up to `limit`: no later start on that line can match either */
        size_t end, limit;
} Match;

/* The shortest or longest match that starts at `start`. */
static Match match_at(const Units *pattern, const Units *value, size_t start, bool longest, size_t *steps)
{
        size_t at = start, i = 0, n = 0;

        while (i + n < pattern->n_items && pattern->items[i + n] != UNIT_STAR)
                n++;
        if (!segment_fits(pattern->items, n, value, at, steps))
                return (Match){ 0 };
        at += n;
        i = n;
        while (i < pattern->n_items) {
                size_t found = SIZE_MAX, last;

                i++; /* the star */
                for (n = 0; i + n < pattern->n_items && pattern->items[i + n] != UNIT_STAR; n++)
                        ;
                last = i + n == pattern->n_items;
                for (size_t place = at; place <= value->n_items; place++) {
                        if (segment_fits(pattern->items + i, n, value, place, steps)) {
                                found = place;
                                if (!(last && longest))
                                        break;
                        }
                        if (place == value->n_items || value->items[place] == '\n' || *steps > LIMIT_PATTERN_STEPS)
                                break;
                }
                if (found == SIZE_MAX) {
                        for (at = start; at < value->n_items && value->items[at] != '\n'; at++)
                                ;
                        return (Match){ .ran_out = true, .limit = at };
                }
                at = found + n;
                i += n;
        }
        return (Match){ .found = true, .end = at };
}

static int too_complex(const char *pattern, Error *err)
{
        return error_set(err, ERROR_LIMIT, "pattern (%s) in substitution takes too long or makes too much text", pattern);
}

static void put_units(Buf *out, const Units *units, size_t from, size_t to)
{
        for (size_t i = from; i < to; i++) {
                uint32_t c = (uint32_t)units->items[i];

                if (units->items[i] <= UNIT_INVALID)
                        buf_putc(out, (char)(UNIT_INVALID - units->items[i]));
                else if (c < 0x80)
                        buf_putc(out, (char)c);
                else if (c < 0x800)
                        buf_putf(out, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
                else if (c < 0x10000)
                        buf_putf(out, "%c%c%c", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 0x3f)), (int)(0x80 | (c & 0x3f)));
                else
                        buf_putf(out, "%c%c%c%c", (int)(0xf0 | c >> 18), (int)(0x80 | (c >> 12 & 0x3f)), (int)(0x80 | (c >> 6 & 0x3f)),
                                 (int)(0x80 | (c & 0x3f)));
        }
}

int pattern_trim_prefix(Buf *out, const char *pattern, const char *value, bool longest, Error *err)
{
        _cleanup_units_ Units units = { 0 }, text = { 0 };
        size_t steps = 0;
        Match match;

        if (units_of_pattern(&units, pattern, err) < 0)
                return -1;
        text = units_of_value(value);
        match = match_at(&units, &text, 0, longest, &steps);
        if (steps > LIMIT_PATTERN_STEPS)
                return too_complex(pattern, err);
        put_units(out, &text, match.found ? match.end : 0, text.n_items);
        return 0;
}

int pattern_trim_suffix(Buf *out, const char *pattern, const char *value, bool longest, Error *err)
{
        _cleanup_units_ Units units = { 0 }, text = { 0 };
        size_t steps = 0;
        Match match;

        if (units_of_pattern(&units, pattern, err) < 0)
                return -1;
        text = units_of_value(value);
        units_reverse(&units);
        units_reverse(&text);
        match = match_at(&units, &text, 0, longest, &steps);
        if (steps > LIMIT_PATTERN_STEPS)
                return too_complex(pattern, err);
        units_reverse(&text);
        put_units(out, &text, 0, text.n_items - (match.found ? match.end : 0));
        return 0;
}

/* Behind the name that begins at `p`: letters, digits and '_' of any script. */
static const char *name_end(const char *p)
{
        const char *end = p + strlen(p);
        size_t n;

        for (; p < end; p += n) {
                uint32_t rune = rune_at(p, end, &n);

                if (rune != '_' && !rune_is_letter(rune) && !rune_is_digit(rune))
                        break;
        }
        return p;
}

/* The template language of the regular expressions that BuildKit replaces with. */
static void put_replacement(Buf *out, const char *replacement, const Units *text, size_t from, size_t to)
{
        for (const char *p = replacement; *p;) {
                bool braces = p[0] == '$' && p[1] == '{';
                const char *name = p + 1 + braces, *end;

                if (*p != '$') {
                        buf_putc(out, *p++);
                        continue;
                }
                if (p[1] == '$') {
                        buf_putc(out, '$');
                        p += 2;
                        continue;
                }
                end = name_end(name);
                if (end == name || (braces && *end != '}')) {
                        buf_putc(out, *p++); /* not a template */
                        continue;
                }
                if (end - name == 1 && *name == '0')
                        put_units(out, text, from, to);
                p = end + braces;
        }
}

int pattern_replace(Buf *out, const char *pattern, const char *replacement, const char *value, bool all, Error *err)
{
        _cleanup_units_ Units units = { 0 }, text = { 0 };
        size_t copied = 0, steps = 0, dead_until = 0;

        if (units_of_pattern(&units, pattern, err) < 0)
                return -1;
        text = units_of_value(value);
        for (size_t at = 0; at <= text.n_items;) {
                Match match = { 0 };

                if (at >= dead_until) {
                        match = match_at(&units, &text, at, true, &steps);
                        if (match.ran_out)
                                dead_until = match.limit;
                }
                if (steps > LIMIT_PATTERN_STEPS || out->size > LIMIT_EXPANSION_SIZE + text.n_items)
                        return too_complex(pattern, err);
                if (!match.found) {
                        at++;
                        continue;
                }
                put_units(out, &text, copied, at);
                if (!all) {
                        buf_puts(out, replacement);
                        copied = match.end;
                        break;
                }
                /* No empty match directly behind another match. */
                if (match.end > copied || at == 0)
                        put_replacement(out, replacement, &text, at, match.end);
                copied = match.end;
                at = match.end > at ? match.end : at + 1;
        }
        put_units(out, &text, copied, text.n_items);
        return 0;
}
