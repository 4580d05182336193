#include "base/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"

bool str_ends(const char *s, const char *suffix)
{
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

char *str_lower(const char *s)
{
        char *copy = xstrdup(s);

        for (char *p = copy; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p += 'a' - 'A';
        return copy;
}

char *str_upper(const char *s)
{
        char *copy = xstrdup(s);

        for (char *p = copy; *p; p++)
                if (*p >= 'a' && *p <= 'z')
                        *p -= 'a' - 'A';
        return copy;
}

static bool is_space(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

char *str_trim(const char *s)
{
        size_t n;

        while (is_space(*s))
                s++;
        n = strlen(s);
        while (n > 0 && is_space(s[n - 1]))
                n--;
        return xstrndup(s, n);
}

char *str_join(char *const *items, size_t n_items, const char *separator)
{
        size_t gap = strlen(separator), size = 1;
        char *joined, *p;

        for (size_t i = 0; i < n_items; i++)
                size += strlen(items[i]) + gap;
        p = joined = xmalloc(size);
        *p = '\0';
        for (size_t i = 0; i < n_items; i++) {
                if (i > 0)
                        p = stpcpy(p, separator);
                p = stpcpy(p, items[i]);
        }
        return joined;
}

char *str_replace(const char *s, const char *from, const char *to)
{
        size_t from_size = strlen(from), to_size = strlen(to), count = 0;
        const char *hit;
        char *result, *p;

        for (hit = strstr(s, from); hit; hit = strstr(hit + from_size, from))
                count++;
        p = result = xmalloc(strlen(s) + count * to_size + 1);
        while ((hit = strstr(s, from))) {
                p = mempcpy(p, s, (size_t)(hit - s));
                p = mempcpy(p, to, to_size);
                s = hit + from_size;
        }
        strcpy(p, s);
        return result;
}

int str_to_u64_base(const char *s, unsigned base, uint64_t *ret)
{
        uint64_t value = 0;

        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                unsigned digit;

                if (*s >= '0' && *s <= '9')
                        digit = (unsigned)(*s - '0');
                else if (*s >= 'a' && *s <= 'f')
                        digit = (unsigned)(*s - 'a') + 10;
                else if (*s >= 'A' && *s <= 'F')
                        digit = (unsigned)(*s - 'A') + 10;
                else
                        return -EINVAL;
                if (digit >= base)
                        return -EINVAL;
                if (__builtin_mul_overflow(value, (uint64_t)base, &value) || __builtin_add_overflow(value, (uint64_t)digit, &value))
                        return -ERANGE;
        }
        *ret = value;
        return 0;
}

int str_to_u64(const char *s, uint64_t *ret)
{
        return str_to_u64_base(s, 10, ret);
}

int str_to_u32(const char *s, uint32_t *ret)
{
        uint64_t value;
        int r = str_to_u64(s, &value);

        if (r < 0)
                return r;
        if (value > UINT32_MAX)
                return -ERANGE;
        *ret = (uint32_t)value;
        return 0;
}

int str_to_i64(const char *s, int64_t *ret)
{
        bool negative = *s == '-';
        uint64_t value;
        int r = str_to_u64(negative ? s + 1 : s, &value);

        if (r < 0)
                return r;
        if (value > (uint64_t)INT64_MAX + (negative ? 1 : 0))
                return -ERANGE;
        *ret = negative ? (int64_t)(0 - value) : (int64_t)value;
        return 0;
}

int str_to_bool(const char *value, bool *ret)
{
        static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" }, *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

        for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
                if (streq(value, yes[i]) || streq(value, no[i])) {
                        *ret = streq(value, yes[i]);
                        return 0;
                }
        }
        return -EINVAL;
}

int str_to_size(const char *s, uint64_t *ret)
{
        static const char units[] = "kmgtp";
        char *end;
        double value;
        unsigned shift = 0;

        if (!isdigit((unsigned char)*s))
                return -EINVAL;
        errno = 0;
        value = strtod(s, &end);
        if (errno || !isfinite(value))
                return -ERANGE;
        for (const char *p = s; p < end; p++)
                if (!isdigit((unsigned char)*p) && *p != '.')
                        return -EINVAL; /* strtod also reads hexadecimal and exponents */
        while (*end == ' ')
                end++;
        if (*end) {
                const char *unit = strchr(units, tolower((unsigned char)*end));

                if (unit) {
                        shift = (unsigned)(unit - units + 1) * 10;
                        end++;
                        if (tolower((unsigned char)*end) == 'i')
                                end++;
                }
                if (tolower((unsigned char)*end) == 'b')
                        end++;
                if (*end)
                        return -EINVAL;
        }
        value = ldexp(value, (int)shift);
        if (value >= 9.2e18)
                return -ERANGE;
        *ret = (uint64_t)value;
        return 0;
}

static char *size_for_people(uint64_t size, double step, int n_digits, const char *const *units, size_t n_units)
{
        double value = (double)size;
        size_t i = 0;

        while (value >= step && i + 1 < n_units) {
                value /= step;
                i++;
        }
        return xasprintf("%.*g%s", n_digits, value, units[i]);
}

static const char *const decimal_units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };

char *str_from_size(uint64_t size)
{
        return size_for_people(size, 1000.0, 3, decimal_units, ARRAY_LEN(decimal_units));
}

char *str_from_size_exact(uint64_t size)
{
        return size_for_people(size, 1000.0, 4, decimal_units, ARRAY_LEN(decimal_units));
}

char *str_from_size_binary(uint64_t size)
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

        return size_for_people(size, 1024.0, 4, units, ARRAY_LEN(units));
}

/* Damerau-Levenshtein with adjacent transpositions, ASCII case folded. Words longer than 63 bytes never match. */
static size_t distance(const char *a, const char *b)
{
        size_t n = strlen(a), m = strlen(b);
        size_t rows[3][64];
        size_t *before = rows[0], *last = rows[1], *now = rows[2];

        if (n > 63 || m > 63)
                return SIZE_MAX;
        for (size_t j = 0; j <= m; j++)
                last[j] = j;
        for (size_t i = 1; i <= n; i++) {
                size_t *spare;

                now[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
                        size_t best = MIN(last[j], now[j - 1]) + 1;

                        best = MIN(best, last[j - 1] + (ca != cb));
                        if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && tolower((unsigned char)a[i - 2]) == cb)
                                best = MIN(best, before[j - 2] + 1);
                        now[j] = best;
                }
                spare = before;
                before = last;
                last = now;
                now = spare;
        }
        return last[m];
}

const char *str_suggest(const char *word, const char *const *candidates, size_t n_candidates)
{
        size_t limit = MAX(strlen(word) / 3, (size_t)1), best = limit + 1;
        const char *found = NULL;

        for (size_t i = 0; i < n_candidates; i++) {
                size_t d = distance(word, candidates[i]);

                if (d < best) {
                        best = d;
                        found = candidates[i];
                }
        }
        return found;
}

/* Length of the valid UTF-8 sequence at s (at most `size` bytes), or 0. Rejects overlong forms, surrogates and > U+10FFFF. */
static size_t utf8_sequence(const unsigned char *s, size_t size)
{
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t code;
        size_t n;

        if (s[0] < 0x80)
                return s[0] ? 1 : 0;
        if (s[0] >= 0xc2 && s[0] < 0xe0)
                n = 2, code = s[0] & 0x1fu;
        else if (s[0] >= 0xe0 && s[0] < 0xf0)
                n = 3, code = s[0] & 0x0fu;
        else if (s[0] >= 0xf0 && s[0] < 0xf5)
                n = 4, code = s[0] & 0x07u;
        else
                return 0;
        if (n > size)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                code = code << 6 | (s[i] & 0x3fu);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
                return 0;
        return n;
}

bool str_is_ip_address(const char *s)
{
        unsigned char binary[sizeof(struct in6_addr)];

        return inet_pton(AF_INET, s, binary) == 1 || inet_pton(AF_INET6, s, binary) == 1;
}

bool str_is_utf8(const char *s, size_t size)
{
        for (size_t i = 0; i < size;) {
                size_t n = utf8_sequence((const unsigned char *)s + i, size - i);

                if (!n)
                        return false;
                i += n;
        }
        return true;
}

char *str_printable(const char *s, size_t size)
{
        char *text = xmalloc(size * 4 + 1), *p = text;

        for (size_t i = 0; i < size;) {
                const unsigned char *c = (const unsigned char *)s + i;
                size_t n = utf8_sequence(c, size - i);

                if (n == 0 || *c < 0x20 || *c == 0x7f || (n == 2 && c[0] == 0xc2 && c[1] < 0xa0)) {
                        p += sprintf(p, "\\x%02x", *c);
                        i++;
                        continue;
                }
                p = mempcpy(p, c, n);
                i += n;
        }
        *p = '\0';
        return text;
}

bool str_is_one_of(const char *s, const char *const *words, size_t n_words)
{
        for (size_t i = 0; i < n_words; i++)
                if (streq(words[i], s))
                        return true;
        return false;
}

void strlist_done(StrList *list)
{
        for (size_t i = 0; i < list->n_items; i++)
                free(list->items[i]);
        free(list->items);
        *list = (StrList){ 0 };
}

void strlist_take(StrList *list, char *s)
{
        GROW(list->items, list->capacity, list->n_items + 2);
        list->items[list->n_items++] = s;
        list->items[list->n_items] = NULL;
}

void strlist_add(StrList *list, const char *s)
{
        strlist_take(list, xstrdup(s));
}

void strlist_addn(StrList *list, const char *s, size_t n)
{
        strlist_take(list, xstrndup(s, n));
}

void strlist_addf(StrList *list, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        strlist_take(list, xvasprintf(format, args));
        va_end(args);
}

void strlist_insert(StrList *list, size_t at, const char *s)
{
        char *copy = xstrdup(s);

        strlist_take(list, copy);
        memmove(list->items + at + 1, list->items + at, (list->n_items - 1 - at) * sizeof(*list->items));
        list->items[at] = copy;
}

void strlist_remove(StrList *list, size_t at)
{
        free(list->items[at]);
        memmove(list->items + at, list->items + at + 1, (list->n_items - at) * sizeof(*list->items));
        list->n_items--;
}

void strlist_copy(StrList *to, const StrList *from)
{
        for (size_t i = 0; i < from->n_items; i++)
                strlist_add(to, from->items[i]);
}

bool strlist_has(const StrList *list, const char *s)
{
        return str_is_one_of(s, (const char *const *)list->items, list->n_items);
}

static int compare_strings(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void strlist_sort(StrList *list)
{
        if (list->n_items > 1)
                qsort(list->items, list->n_items, sizeof(*list->items), compare_strings);
}

char *strlist_join(const StrList *list, const char *separator)
{
        return str_join(list->items, list->n_items, separator);
}

void strlist_split(StrList *list, const char *s, char separator)
{
        const char *end;

        while ((end = strchr(s, separator))) {
                strlist_addn(list, s, (size_t)(end - s));
                s = end + 1;
        }
        strlist_add(list, s);
}

char *const *strlist_argv(const StrList *list)
{
        static char *const none[] = { NULL };

        return list->items ? list->items : none;
}

/* Index of NAME in an environment list, or n_items. */
static size_t env_find(const StrList *env, const char *name, size_t name_size)
{
        for (size_t i = 0; i < env->n_items; i++)
                if (strncmp(env->items[i], name, name_size) == 0 && (env->items[i][name_size] == '=' || !env->items[i][name_size]))
                        return i;
        return env->n_items;
}

void strlist_env_set(StrList *env, const char *name, const char *value)
{
        size_t at = env_find(env, name, strlen(name));
        char *entry = xasprintf("%s=%s", name, value);

        if (at == env->n_items) {
                strlist_take(env, entry);
                return;
        }
        free(env->items[at]);
        env->items[at] = entry;
}

const char *strlist_env_get(const StrList *env, const char *name)
{
        size_t size = strlen(name), at = env_find(env, name, size);

        if (at == env->n_items)
                return NULL;
        return env->items[at][size] ? env->items[at] + size + 1 : "";
}

void strlist_env_unset(StrList *env, const char *name)
{
        size_t at = env_find(env, name, strlen(name));

        if (at < env->n_items)
                strlist_remove(env, at);
}

void str_cut_passwords(char *text)
{
        for (char *at = text; (at = strstr(at, "://"));) {
                size_t size = strcspn(at += 3, "/?# \t\"'");
                char *sign = memrchr(at, '@', size);

                if (sign)
                        memmove(at, sign + 1, strlen(sign + 1) + 1);
        }
}
