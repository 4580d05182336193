/*
 * Strings and lists of strings.
 *
 * A StrList owns its strings, keeps their order and is always usable as a NULL-terminated `char **` through `items`
 * (`items` itself may be NULL while the list is empty; strlist_argv() never is).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

static inline bool streq(const char *a, const char *b)
{
        return strcmp(a, b) == 0;
}

/* Equal where NULL equals only NULL. */
static inline bool streq_ptr(const char *a, const char *b)
{
        return a == b || (a && b && streq(a, b));
}

/* The rest of `s` behind `prefix`, or NULL when it does not start so. Points into `s`. */
static inline const char *str_after(const char *s, const char *prefix)
{
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static inline bool str_starts(const char *s, const char *prefix)
{
        return str_after(s, prefix) != NULL;
}

bool str_ends(const char *s, const char *suffix);

/* What is behind the last '/', or all of it: "c" of "a/b/c", "" of "a/". Points into `path`. */
static inline const char *str_base_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static inline bool str_empty(const char *s)
{
        return !s || !*s;
}

char *str_lower(const char *s); /* ASCII only; new string */
char *str_upper(const char *s); /* ASCII only; new string */
char *str_trim(const char *s);  /* without ASCII white space at both ends; new string */

/* Joins with `separator` between; new string. */
char *str_join(char *const *items, size_t n_items, const char *separator);

/* Replaces every `from` (not empty) by `to`; new string. */
char *str_replace(const char *s, const char *from, const char *to);

/* Whole-string decimal numbers, no sign, no white space. Return 0, or -EINVAL, or -ERANGE; *ret only on success. */
int str_to_u64(const char *s, uint64_t *ret);
int str_to_u32(const char *s, uint32_t *ret);
int str_to_i64(const char *s, int64_t *ret);                      /* a leading '-' is allowed */
int str_to_u64_base(const char *s, unsigned base, uint64_t *ret); /* base 8 or 16; no prefix */

/* Go's strconv.ParseBool: 1, t, T, true, TRUE, True and their opposites. 0 or -EINVAL. */
int str_to_bool(const char *s, bool *ret);

/*
 * A size as docker reads it: a decimal number (a fraction is allowed) and an optional unit b, k, m, g, t, p in either case,
 * each optionally followed by "b" or "ib"; always powers of 1024. Returns bytes; -EINVAL, -ERANGE.
 */
int str_to_size(const char *s, uint64_t *ret);

/*
 * A size for people as docker prints it: powers of 1000, three significant digits ("7.66MB", "118MB", "0B").
 * str_from_size_exact: four digits, as docker sums up ("1.982MB"). str_from_size_binary: powers of 1024, four digits, "MiB".
 */
char *str_from_size(uint64_t size);
char *str_from_size_exact(uint64_t size);
char *str_from_size_binary(uint64_t size);

/* The candidate closest to `word` by Damerau-Levenshtein distance, when close enough to suggest (<= 1/3 of its length, at least 1), or NULL. */
const char *str_suggest(const char *word, const char *const *candidates, size_t n_candidates);

/* Copies `s` with every control and non-UTF-8 byte written as \xNN, for terminals and logs. New string. */
char *str_printable(const char *s, size_t size);

/* Cuts "user:password@" out of the URLs in a text that is going to be shown or kept. */
void str_cut_passwords(char *text);

/* Whether it is an IPv4 or IPv6 address, and nothing more: no brackets, port or zone. */
bool str_is_ip_address(const char *s);

/* True when the bytes are valid UTF-8 without NUL. */
bool str_is_utf8(const char *s, size_t size);

bool str_is_one_of(const char *s, const char *const *words, size_t n_words);

typedef struct StrList {
        char **items; /* n_items strings, then NULL; or NULL */
        size_t n_items;
        size_t capacity;
} StrList;

#define _cleanup_strlist_ _cleanup_(strlist_done)

void strlist_done(StrList *list);               /* frees the content; the list is empty and usable again */
void strlist_add(StrList *list, const char *s); /* copies */
void strlist_addn(StrList *list, const char *s, size_t n);
void strlist_addf(StrList *list, const char *format, ...) _printf_(2, 3);
void strlist_take(StrList *list, char *s); /* takes ownership of a heap string */
void strlist_insert(StrList *list, size_t at, const char *s);
void strlist_remove(StrList *list, size_t at);
void strlist_copy(StrList *to, const StrList *from); /* appends copies */
bool strlist_has(const StrList *list, const char *s);
void strlist_sort(StrList *list); /* by bytes */
char *strlist_join(const StrList *list, const char *separator);

/* Splits at each `separator`; empty parts are kept. Appends. */
void strlist_split(StrList *list, const char *s, char separator);

/* NULL-terminated; valid until the list changes. Never NULL. */
char *const *strlist_argv(const StrList *list);

/*
 * Environment lists ("NAME=value", order kept). set replaces in place or appends; get returns the value inside the list, or NULL.
 */
void strlist_env_set(StrList *env, const char *name, const char *value);
const char *strlist_env_get(const StrList *env, const char *name);
void strlist_env_unset(StrList *env, const char *name);
