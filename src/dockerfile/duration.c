/*
 * Durations as Go writes them: "1h30m", "1.5s", "250ms".
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/instruction_private.h"
#include "dockerfile/text.h"

static const struct {
        const char *name;
        uint64_t ns;
} units[] = {
        { "ns", 1 },
        { "us", 1000 },
        { "\xc2\xb5s", 1000 },
        { "\xce\xbcs", 1000 },
        { "ms", 1000000 },
        { "s", UINT64_C(1000000000) },
        { "m", UINT64_C(60000000000) },
        { "h", UINT64_C(3600000000000) },
};

static int bad(const char *problem, const char *text, Error *err)
{
        _cleanup_free_ char *quoted = text_quoted(text);

        return error_set(err, ERROR_INVALID, "time: %s %s", problem, quoted);
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* One number with its unit, added to *total. */
static int take_part(const char **p, const char *text, uint64_t *total, Error *err)
{
        const uint64_t max = UINT64_C(1) << 63;
        uint64_t whole = 0, fraction = 0, ns = 0;
        double scale = 1;
        bool digits = false, overflow = false;
        const char *unit;
        size_t n;

        for (; is_digit(**p); (*p)++, digits = true) {
                if (whole > max / 10)
                        return bad("invalid duration", text, err);
                whole = whole * 10 + (uint64_t)(**p - '0');
                if (whole > max)
                        return bad("invalid duration", text, err);
        }
        if (**p == '.') {
                for ((*p)++; is_digit(**p); (*p)++, digits = true) {
                        if (overflow || fraction > (max - 1) / 10) {
                                overflow = true; /* more digits than count */
                                continue;
                        }
                        fraction = fraction * 10 + (uint64_t)(**p - '0');
                        scale *= 10;
                }
        }
        if (!digits)
                return bad("invalid duration", text, err);
        unit = *p;
        for (n = 0; unit[n] && unit[n] != '.' && !is_digit(unit[n]); n++)
                ;
        if (n == 0)
                return bad("missing unit in duration", text, err);
        *p += n;
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
                if (strlen(units[i].name) == n && memcmp(units[i].name, unit, n) == 0)
                        ns = units[i].ns;
        if (ns == 0) {
                _cleanup_free_ char *name = xstrndup(unit, n), *quoted = text_quoted(name), *problem = xasprintf("unknown unit %s in duration", quoted);

                return bad(problem, text, err);
        }
        if (whole > max / ns)
                return bad("invalid duration", text, err);
        whole *= ns;
        if (fraction > 0) {
                whole += (uint64_t)((double)fraction * ((double)ns / scale));
                if (whole > max)
                        return bad("invalid duration", text, err);
        }
        *total += whole;
        return *total > max ? bad("invalid duration", text, err) : 0;
}

int health_duration_parse(const char *text, int64_t *ret, Error *err)
{
        const char *p = text;
        uint64_t total = 0;
        bool negative = *p == '-';

        if (*p == '-' || *p == '+')
                p++;
        if (streq(p, "0")) {
                *ret = 0;
                return 0;
        }
        if (!*p)
                return bad("invalid duration", text, err);
        while (*p) {
                if (*p != '.' && !is_digit(*p))
                        return bad("invalid duration", text, err);
                if (take_part(&p, text, &total, err) < 0)
                        return -1;
        }
        if (!negative && total > INT64_MAX)
                return bad("invalid duration", text, err);
        *ret = negative ? (int64_t)(0 - total) : (int64_t)total;
        return 0;
}
