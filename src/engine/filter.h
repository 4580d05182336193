/*
 * --filter key=value: the words of docker.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"
#include "json/string_map.h"

/* Checks that every filter is key=value with a key of `allowed` (NULL-terminated). INVALID. */
int filters_check(const StrList *filters, const char *const *allowed, Error *err);

/* Iterates over the values of one key: start with *at = 0; NULL at the end. */
const char *filters_next(const StrList *filters, const char *key, size_t *at);
bool filters_have(const StrList *filters, const char *key);

/* A filter that is true or false. 1 when given, 0 when not. INVALID for other values and for both at once. */
int filters_bool(const StrList *filters, const char *key, bool *ret, Error *err);

/* until=: RFC 3339, Unix seconds or a duration back from now. 1 when given, 0 when not. */
int filters_until(const StrList *filters, Timestamp *ret, Error *err);

/* Every label= matches and no label!= does. */
bool filters_match_labels(const StrList *filters, const StringMap *labels);

/* Go's path.Match: '*' and '?' do not match '/', [classes], backslash. */
bool pattern_match(const char *pattern, const char *name);
