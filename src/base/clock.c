#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

Timestamp clock_now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

Timestamp clock_now_or_epoch(int64_t epoch)
{
        return epoch >= 0 ? epoch * NSEC_PER_SEC : clock_now();
}

char *timestamp_format(Timestamp t, char *buffer)
{
        int64_t seconds = t / NSEC_PER_SEC, fraction = t % NSEC_PER_SEC;
        struct tm tm;
        time_t when;
        int n;

        if (fraction < 0) {
                fraction += NSEC_PER_SEC;
                seconds--;
        }
        when = (time_t)seconds;
        gmtime_r(&when, &tm);
        n = (int)strftime(buffer, TIMESTAMP_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
        if (fraction) {
                n += snprintf(buffer + n, TIMESTAMP_TEXT_SIZE - (size_t)n, ".%09" PRId64, fraction);
                while (buffer[n - 1] == '0')
                        n--;
        }
        strcpy(buffer + n, "Z");
        return buffer;
}

/* Reads exactly `n` digits. */
static bool digits(const char **s, int n, int *ret)
{
        *ret = 0;
        for (int i = 0; i < n; i++, (*s)++) {
                if (!isdigit((unsigned char)**s))
                        return false;
                *ret = *ret * 10 + (**s - '0');
        }
        return true;
}

static bool skip(const char **s, char c)
{
        if (**s != c)
                return false;
        (*s)++;
        return true;
}

static int days_in_month(int year, int month)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return month == 2 && leap ? 29 : days[month - 1];
}

/* As much of a time as is there: "05", "05:06", "05:06:07", "05:06:07.8". With `strict`, the seconds must be. */
static int parse_time(const char **s, bool strict, struct tm *tm, int64_t *ret_fraction)
{
        if (!digits(s, 2, &tm->tm_hour) || tm->tm_hour > 23)
                return -EINVAL;
        if (!skip(s, ':'))
                return strict ? -EINVAL : 0;
        if (!digits(s, 2, &tm->tm_min) || tm->tm_min > 59)
                return -EINVAL;
        if (!skip(s, ':'))
                return strict ? -EINVAL : 0;
        if (!digits(s, 2, &tm->tm_sec) || tm->tm_sec > 59)
                return -EINVAL;
        if (!skip(s, '.'))
                return 0;
        if (!isdigit((unsigned char)**s))
                return -EINVAL;
        for (int64_t unit = NSEC_PER_SEC / 10; isdigit((unsigned char)**s); ++*s, unit /= 10)
                *ret_fraction += (**s - '0') * unit;
        return 0;
}

/* "Z" or "+01:00", when it is there. *ret_offset: seconds to the east of Greenwich. */
static int parse_zone(const char **s, bool *ret_there, int *ret_offset)
{
        int sign = skip(s, '+') ? 1 : skip(s, '-') ? -1 : 0, hour, minute;

        *ret_there = sign || skip(s, 'Z') || skip(s, 'z');
        if (!sign)
                return 0;
        if (!digits(s, 2, &hour) || !skip(s, ':') || !digits(s, 2, &minute) || hour > 23 || minute > 59)
                return -EINVAL;
        *ret_offset = sign * (hour * 3600 + minute * 60);
        return 0;
}

/* Reads a date and as much of the time and zone as is there. With `strict`, all parts must be. */
static int parse_date(const char *s, bool strict, Timestamp *ret)
{
        struct tm tm = { .tm_mday = 1, .tm_isdst = -1 };
        int64_t fraction = 0, seconds;
        int offset = 0, year, month, day;
        bool zone;

        if (!digits(&s, 4, &year) || !skip(&s, '-') || !digits(&s, 2, &month) || !skip(&s, '-') || !digits(&s, 2, &day))
                return -EINVAL;
        tm.tm_year = year - 1900;
        tm.tm_mon = month - 1;
        tm.tm_mday = day;
        if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || year < 1678 || year > 2261)
                return -EINVAL;
        if (skip(&s, 'T') || skip(&s, 't') || (strict && skip(&s, ' '))) {
                if (parse_time(&s, strict, &tm, &fraction) < 0)
                        return -EINVAL;
        } else if (strict) {
                return -EINVAL;
        }
        if (parse_zone(&s, &zone, &offset) < 0)
                return -EINVAL;
        if (*s || (strict && !zone))
                return -EINVAL;
        seconds = (int64_t)(zone ? timegm(&tm) : mktime(&tm)) - offset;
        *ret = seconds * NSEC_PER_SEC + fraction;
        return 0;
}

int timestamp_parse(const char *s, Timestamp *ret)
{
        return parse_date(s, true, ret);
}

int timestamp_parse_any(const char *s, Timestamp now, Timestamp *ret)
{
        int64_t span;
        const char *dot = strchr(s, '.');
        _cleanup_free_ char *whole = dot ? xstrndup(s, (size_t)(dot - s)) : xstrdup(s);

        if (str_to_i64(whole, &span) == 0 && span < INT64_MAX / NSEC_PER_SEC && span > INT64_MIN / NSEC_PER_SEC) {
                int64_t unit = NSEC_PER_SEC / 10, fraction = 0;

                for (const char *p = dot ? dot + 1 : ""; *p; p++, unit /= 10) {
                        if (!isdigit((unsigned char)*p))
                                return -EINVAL;
                        fraction += (*p - '0') * unit;
                }
                *ret = span * NSEC_PER_SEC + fraction;
                return 0;
        }
        if (duration_parse(s, &span) == 0) {
                *ret = now - span;
                return 0;
        }
        return parse_date(s, false, ret);
}

char *duration_words(int64_t ns)
{
        int64_t seconds = ns / NSEC_PER_SEC, minutes = seconds / 60, hours = (seconds + 1800) / 3600;

        if (seconds < 1)
                return xstrdup("Less than a second");
        if (seconds == 1)
                return xstrdup("1 second");
        if (seconds < 60)
                return xasprintf("%" PRId64 " seconds", seconds);
        if (minutes == 1)
                return xstrdup("About a minute");
        if (minutes < 60)
                return xasprintf("%" PRId64 " minutes", minutes);
        if (hours == 1)
                return xstrdup("About an hour");
        if (hours < 48)
                return xasprintf("%" PRId64 " hours", hours);
        if (hours < 24 * 7 * 2)
                return xasprintf("%" PRId64 " days", hours / 24);
        if (hours < 24 * 30 * 2)
                return xasprintf("%" PRId64 " weeks", hours / 24 / 7);
        if (hours < 24 * 365 * 2)
                return xasprintf("%" PRId64 " months", hours / 24 / 30);
        return xasprintf("%" PRId64 " years", hours / 24 / 365);
}

char *timestamp_ago(Timestamp t, Timestamp now)
{
        _cleanup_free_ char *words = duration_words(now > t ? now - t : 0);

        return xasprintf("%s ago", words);
}

static const struct {
        const char *name;
        int64_t ns;
} units[] = {
        { "ns", 1 },
        { "us", 1000 },
        { "\xc2\xb5s", 1000 }, /* micro sign */
        { "\xce\xbcs", 1000 }, /* Greek mu */
        { "ms", NSEC_PER_MSEC },
        { "s", NSEC_PER_SEC },
        { "m", 60 * NSEC_PER_SEC },
        { "h", 3600 * NSEC_PER_SEC },
};

int duration_parse(const char *s, int64_t *ret)
{
        bool negative = *s == '-';
        int64_t total = 0;

        if (*s == '-' || *s == '+')
                s++;
        if (streq(s, "0")) {
                *ret = 0;
                return 0;
        }
        if (!*s)
                return -EINVAL;
        while (*s) {
                int64_t whole = 0, unit = 0, part, divisor = 1, fraction = 0;
                const char *start = s;
                size_t best = 0;

                for (; isdigit((unsigned char)*s); s++)
                        if (__builtin_mul_overflow(whole, INT64_C(10), &whole) || __builtin_add_overflow(whole, (int64_t)(*s - '0'), &whole))
                                return -ERANGE;
                if (*s == '.') {
                        for (s++; isdigit((unsigned char)*s); s++)
                                if (divisor < INT64_C(1000000000)) {
                                        fraction = fraction * 10 + (*s - '0');
                                        divisor *= 10;
                                }
                        if (s == start + 1)
                                return -EINVAL;
                } else if (s == start) {
                        return -EINVAL;
                }
                for (size_t i = 0; i < ARRAY_LEN(units); i++)
                        if (str_starts(s, units[i].name) && strlen(units[i].name) > best) {
                                best = strlen(units[i].name);
                                unit = units[i].ns;
                        }
                if (!unit)
                        return -EINVAL;
                s += best;
                if (__builtin_mul_overflow(whole, unit, &part) || __builtin_add_overflow(total, part, &total) ||
                    __builtin_add_overflow(total, (int64_t)((double)fraction * ((double)unit / (double)divisor)), &total))
                        return -ERANGE;
        }
        *ret = negative ? -total : total;
        return 0;
}

/* Writes a number of `unit`s with its fraction, trailing zeros dropped. */
static int put_fraction(char *to, size_t size, uint64_t value, uint64_t unit, const char *name)
{
        char fraction[24] = "";
        int n = 0;

        if (value % unit) {
                int width = 0;

                for (uint64_t u = unit; u > 1; u /= 10)
                        width++;
                n = snprintf(fraction, sizeof(fraction), ".%0*" PRIu64, width, value % unit);
                while (fraction[n - 1] == '0')
                        fraction[--n] = '\0';
        }
        return snprintf(to, size, "%" PRIu64 "%s%s", value / unit, fraction, name);
}

char *duration_format(int64_t ns, char *buffer)
{
        uint64_t value = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns, minutes;
        size_t size = TIMESTAMP_TEXT_SIZE;
        char *p = buffer;

        if (ns < 0) {
                *p++ = '-';
                size--;
        }
        if (value == 0) {
                strcpy(p, "0s");
        } else if (value < 1000) {
                put_fraction(p, size, value, 1, "ns");
        } else if (value < 1000000) {
                put_fraction(p, size, value, 1000, "\xc2\xb5s");
        } else if (value < 1000000000) {
                put_fraction(p, size, value, 1000000, "ms");
        } else {
                minutes = value / (60 * (uint64_t)NSEC_PER_SEC);
                if (minutes >= 60)
                        p += sprintf(p, "%" PRIu64 "h", minutes / 60);
                if (minutes > 0)
                        p += sprintf(p, "%" PRIu64 "m", minutes % 60);
                put_fraction(p, (size_t)(buffer + TIMESTAMP_TEXT_SIZE - p), value % (60 * (uint64_t)NSEC_PER_SEC), (uint64_t)NSEC_PER_SEC, "s");
        }
        return buffer;
}
