/*
 * A map from strings to strings in a sorted array.
 */
#include "json/string_map.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* Where `key` is or belongs. */
static size_t find(const StringMap *map, const char *key, bool *ret_found)
{
        size_t low = 0, high = map->n_items;

        *ret_found = false;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(map->items[middle].key, key);

                if (order == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

void string_map_done(StringMap *map)
{
        for (size_t i = 0; i < map->n_items; i++) {
                free(map->items[i].key);
                free(map->items[i].value);
        }
        free(map->items);
        *map = (StringMap){ 0 };
}

void string_map_take(StringMap *map, const char *key, char *value)
{
        bool found;
        size_t at = find(map, key, &found);

        if (found) {
                free(map->items[at].value);
                map->items[at].value = value;
                return;
        }
        GROW(map->items, map->capacity, map->n_items + 1);
        memmove(map->items + at + 1, map->items + at, (map->n_items - at) * sizeof(*map->items));
        map->items[at] = (StringMapItem){ .key = xstrdup(key), .value = value };
        map->n_items++;
}

void string_map_set(StringMap *map, const char *key, const char *value)
{
        string_map_take(map, key, xstrdup(value));
}

const char *string_map_get(const StringMap *map, const char *key)
{
        bool found;
        size_t at = find(map, key, &found);

        return found ? map->items[at].value : NULL;
}

void string_map_copy(StringMap *to, const StringMap *from)
{
        for (size_t i = 0; i < from->n_items; i++)
                string_map_set(to, from->items[i].key, from->items[i].value);
}
