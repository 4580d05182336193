#include "engine/build_cache.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "store/maintain.h"

/* --- filters --- */

typedef enum FilterKey {
        KEY_ID,
        KEY_PARENTS,
        KEY_TYPE,
        KEY_DESCRIPTION,
        KEY_INUSE,
        KEY_MUTABLE,
        KEY_IMMUTABLE,
        KEY_SHARED,
        KEY_PRIVATE,
        KEY_UNTIL,
        KEY_UNUSED_FOR
} FilterKey;

static const char *const filter_keys[] = {
        [KEY_ID] = "id",
        [KEY_PARENTS] = "parents",
        [KEY_TYPE] = "type",
        [KEY_DESCRIPTION] = "description",
        [KEY_INUSE] = "inuse",
        [KEY_MUTABLE] = "mutable",
        [KEY_IMMUTABLE] = "immutable",
        [KEY_SHARED] = "shared",
        [KEY_PRIVATE] = "private",
        [KEY_UNTIL] = "until",
        [KEY_UNUSED_FOR] = "unused-for",
};

typedef struct Condition {
        FilterKey key;
        char op; /* '=', '!', '~' */
        char *value;
        bool wanted; /* of the keys that are true or false */
        regex_t regex;
} Condition;

struct CacheFilter {
        Condition *items;
        size_t n_items;
        Timestamp until;
};

void cache_filter_free(CacheFilter *filter)
{
        if (!filter)
                return;
        for (size_t i = 0; i < filter->n_items; i++) {
                free(filter->items[i].value);
                if (filter->items[i].op == '~')
                        regfree(&filter->items[i].regex);
        }
        free(filter->items);
        free(filter);
}

static bool is_flag(FilterKey key)
{
        return key >= KEY_INUSE && key <= KEY_PRIVATE;
}

static int find_key(const char *text, size_t size, FilterKey *ret, Error *err)
{
        _cleanup_free_ char *name = xstrndup(text, size);
        const char *nearest;

        for (size_t i = 0; i < ARRAY_LEN(filter_keys); i++)
                if (streq(filter_keys[i], name)) {
                        *ret = (FilterKey)i;
                        return 0;
                }
        nearest = str_suggest(name, filter_keys, ARRAY_LEN(filter_keys));
        if (nearest)
                return error_set(err, ERROR_INVALID, "invalid filter '%s' (did you mean '%s'?)", text, nearest);
        return error_set(err, ERROR_INVALID,
                         "invalid filter '%s': known are id, parents, type, description, inuse, mutable, immutable, shared, private, until and unused-for",
                         text);
}

static int parse_flag(const char *text, const char *value, bool *ret, Error *err)
{
        bool yes = !value || streq(value, "true") || streq(value, "1");

        if (!yes && !streq(value, "false") && !streq(value, "0"))
                return error_set(err, ERROR_INVALID, "invalid filter '%s': say true or false", text);
        *ret = yes;
        return 0;
}

static int parse_condition(CacheFilter *filter, const char *text, Error *err)
{
        Condition *condition = &filter->items[filter->n_items];
        const char *equals = strchr(text, '=');
        size_t size = equals ? (size_t)(equals - text) : strlen(text);

        *condition = (Condition){ .op = '=' };
        if (equals && size && (text[size - 1] == '!' || text[size - 1] == '~'))
                condition->op = text[--size];
        if (find_key(text, size, &condition->key, err) < 0)
                return -1;
        if (is_flag(condition->key)) {
                if (condition->op == '~')
                        return error_set(err, ERROR_INVALID, "invalid filter '%s': '%s' is true or false", text, filter_keys[condition->key]);
                if (parse_flag(text, equals ? equals + 1 : NULL, &condition->wanted, err) < 0)
                        return -1;
                condition->wanted ^= condition->op == '!';
                condition->op = '=';
                filter->n_items++;
                return 0;
        }
        if (!equals || !equals[1])
                return error_set(err, ERROR_INVALID, "invalid filter '%s': bad format of filter (expected name=value)", text);
        if (condition->key == KEY_UNTIL || condition->key == KEY_UNUSED_FOR) {
                if (filter->until)
                        return error_set(err, ERROR_INVALID, "more than one until filter specified");
                if (condition->op != '=' || timestamp_parse_any(equals + 1, clock_now(), &filter->until) < 0)
                        return error_set(err, ERROR_INVALID, "invalid filter '%s': say a time (2024-01-31T12:00:00), Unix seconds, or an age (24h)", text);
                return 0;
        }
        if (condition->op == '~' && regcomp(&condition->regex, equals + 1, REG_EXTENDED | REG_NOSUB) != 0)
                return error_set(err, ERROR_INVALID, "invalid filter '%s': not a regular expression", text);
        condition->value = xstrdup(equals + 1);
        filter->n_items++;
        return 0;
}

int cache_filter_new(const StrList *filters, CacheFilter **ret, Error *err)
{
        _cleanup_(cache_filter_freep) CacheFilter *filter = NEW(CacheFilter);

        filter->items = NEW_ARRAY(Condition, filters->n_items + 1);
        for (size_t i = 0; i < filters->n_items; i++)
                if (parse_condition(filter, filters->items[i], err) < 0)
                        return -1;
        *ret = TAKE_PTR(filter);
        return 0;
}

Timestamp cache_filter_until(const CacheFilter *filter)
{
        return filter->until;
}

static bool flag_of(const CacheItem *item, FilterKey key)
{
        switch (key) {
        case KEY_INUSE:
                return item->in_use;
        case KEY_MUTABLE:
                return cache_item_is_mount(item);
        case KEY_IMMUTABLE:
                return !cache_item_is_mount(item);
        case KEY_SHARED:
                return item->shared;
        default:
                return !item->shared;
        }
}

static bool text_fits(const Condition *condition, const char *text)
{
        if (condition->op == '~')
                return regexec(&condition->regex, text, 0, NULL, 0) == 0;
        if (condition->key == KEY_ID || condition->key == KEY_PARENTS)
                return str_starts(text, condition->value);
        return streq(text, condition->value);
}

static bool fits(const Condition *condition, const CacheItem *item)
{
        char hex[DIGEST_TEXT_SIZE];
        bool fit = false;

        switch (condition->key) {
        case KEY_ID:
                fit = text_fits(condition, digest_hex(&item->key, hex));
                break;
        case KEY_PARENTS:
                for (size_t i = 0; i < item->n_parents && !fit; i++)
                        fit = text_fits(condition, digest_hex(&item->parents[i], hex));
                break;
        case KEY_TYPE:
                fit = text_fits(condition, item->kind);
                break;
        case KEY_DESCRIPTION:
                fit = text_fits(condition, item->description);
                break;
        default:
                return flag_of(item, condition->key) == condition->wanted;
        }
        return fit != (condition->op == '!');
}

bool cache_filter_match(void *user, const CacheItem *item)
{
        const CacheFilter *filter = user;

        for (size_t i = 0; i < filter->n_items; i++) {
                bool any = false;

                for (size_t k = 0; k < filter->n_items && !any; k++)
                        any = filter->items[k].key == filter->items[i].key && filter->items[k].op == filter->items[i].op && fits(&filter->items[k], item);
                /* "not a" and "not b" are both meant, where "a" and "b" are alternatives. */
                if (!any || (filter->items[i].op == '!' && !fits(&filter->items[i], item)))
                        return false;
        }
        return true;
}

/* --- pruning --- */

int engine_cache_prune(Store *store, bool all, const StrList *filters, const CacheSpace *space, void (*removed)(void *user, const CacheItem *item), void *user,
                       uint64_t *ret_size, Error *err)
{
        _cleanup_(cache_filter_freep) CacheFilter *filter = NULL;
        CachePrune prune = { .all = all, .selected = cache_filter_match };

        if (cache_filter_new(filters, &filter, err) < 0)
                return -1;
        prune.user = filter;
        prune.until = filter->until;
        if (space)
                prune.space = *space;
        return cache_prune(store, &prune, true, removed, user, ret_size, err);
}

static void count_removed(void *user, const CacheItem *item)
{
        ++*(size_t *)user;
}

int engine_cache_gc(Store *store, const Config *config, size_t *ret_n, Error *err)
{
        CachePrune prune = { 0 };
        struct statvfs fs;
        size_t n = 0;
        uint64_t whole, bound;
        int known;
        int64_t keep = config_duration(config, "builder.gc.keep-duration");

        if (ret_n)
                *ret_n = 0;
        if (!config_bool(config, "builder.gc.enabled"))
                return 0;
        if (fstatvfs(store_root_fd(store), &fs) < 0)
                return error_errno(err, errno, "cannot see how large the file system of '%s' is", store_root(store));
        whole = (uint64_t)fs.f_blocks * fs.f_frsize;
        prune.space.max_used = config_size(config, "builder.gc.max-used-space", whole);
        prune.space.reserved = config_size(config, "builder.gc.reserved-space", whole);
        prune.space.min_free = config_size(config, "builder.gc.min-free-space", whole);
        if (keep > 0)
                prune.until = clock_now() - keep;
        /* Only a reserve is no limit here, unlike at `builder prune --reserved-space`, where it says how much to leave. */
        if (!prune.space.max_used && !prune.space.min_free)
                return 0;
        /* Mostly the whole store is smaller than what the cache may take in any case. */
        known = cache_size_bound(store, &bound, err);
        if (known < 0)
                return -1;
        if (known && bound <= prune.space.reserved)
                return 0;
        if (cache_prune(store, &prune, false, count_removed, &n, NULL, err) < 0)
                return -1;
        if (ret_n)
                *ret_n = n;
        return 0;
}
