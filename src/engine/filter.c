#include "engine/filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/mem.h"

int filters_check(const StrList *filters, const char *const *allowed, Error *err)
{
        for (size_t i = 0; i < filters->n_items; i++) {
                const char *filter = filters->items[i], *equals = strchr(filter, '=');
                size_t size = equals ? (size_t)(equals - filter) : 0;
                bool known = false;

                if (!equals)
                        return error_set(err, ERROR_INVALID, "invalid filter '%s': bad format of filter (expected name=value)", filter);
                for (const char *const *name = allowed; *name; name++)
                        known |= strlen(*name) == size && strncmp(*name, filter, size) == 0;
                if (!known) {
                        _cleanup_free_ char *key = xstrndup(filter, size);
                        size_t n = 0;
                        const char *nearest;

                        while (allowed[n])
                                n++;
                        nearest = str_suggest(key, allowed, n);
                        return nearest ? error_set(err, ERROR_INVALID, "invalid filter '%s' (did you mean '%s'?)", key, nearest)
                                       : error_set(err, ERROR_INVALID, "invalid filter '%s'", key);
                }
        }
        return 0;
}

const char *filters_next(const StrList *filters, const char *key, size_t *at)
{
        while (*at < filters->n_items) {
                const char *rest = str_after(filters->items[(*at)++], key);

                if (rest && *rest == '=')
                        return rest + 1;
        }
        return NULL;
}

bool filters_have(const StrList *filters, const char *key)
{
        size_t at = 0;

        return filters_next(filters, key, &at) != NULL;
}

int filters_bool(const StrList *filters, const char *key, bool *ret, Error *err)
{
        int found = 0;
        const char *value;

        for (size_t at = 0; (value = filters_next(filters, key, &at));) {
                bool is = streq(value, "true") || streq(value, "1") || streq(value, "True") || streq(value, "t");

                if (!is && !streq(value, "false") && !streq(value, "0") && !streq(value, "False") && !streq(value, "f"))
                        return error_set(err, ERROR_INVALID, "invalid filter '%s=[%s]'", key, value);
                if (found && *ret != is)
                        return error_set(err, ERROR_INVALID, "invalid filter '%s': both true and false are asked for", key);
                *ret = is;
                found = 1;
        }
        return found;
}

int filters_until(const StrList *filters, Timestamp *ret, Error *err)
{
        size_t at = 0;
        const char *value = filters_next(filters, "until", &at);

        if (!value)
                return 0;
        if (filters_next(filters, "until", &at))
                return error_set(err, ERROR_INVALID, "more than one until filter specified");
        if (timestamp_parse_any(value, clock_now(), ret) < 0)
                return error_set(err, ERROR_INVALID, "invalid filter 'until=%s': say a time (2024-01-31T12:00:00), Unix seconds, or an age (24h)", value);
        return 1;
}

static bool has_label(const StringMap *labels, const char *wanted)
{
        const char *equals = strchr(wanted, '=');
        _cleanup_free_ char *key = equals ? xstrndup(wanted, (size_t)(equals - wanted)) : xstrdup(wanted);
        const char *value = string_map_get(labels, key);

        return value && (!equals || streq(value, equals + 1));
}

bool filters_match_labels(const StrList *filters, const StringMap *labels)
{
        const char *value;

        for (size_t at = 0; (value = filters_next(filters, "label", &at));)
                if (!has_label(labels, value))
                        return false;
        for (size_t at = 0; (value = filters_next(filters, "label!", &at));)
                if (has_label(labels, value))
                        return false;
        return true;
}

bool pattern_match(const char *pattern, const char *name)
{
        return fnmatch(pattern, name, FNM_PATHNAME) == 0;
}
