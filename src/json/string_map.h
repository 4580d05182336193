/*
 * A small map from strings to strings, kept sorted by key (bytewise), which is the order in which Go writes maps: labels, annotations.
 * Plain data: read `items` directly. O(log n) to look up, O(n) to insert in the middle.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

typedef struct StringMapItem {
        char *key;
        char *value;
} StringMapItem;

typedef struct StringMap {
        StringMapItem *items;
        size_t n_items;
        size_t capacity;
} StringMap;

#define _cleanup_string_map_ _cleanup_(string_map_done)

void string_map_done(StringMap *map);                                    /* frees the content; empty and usable again */
void string_map_set(StringMap *map, const char *key, const char *value); /* copies; replaces */
void string_map_take(StringMap *map, const char *key, char *value);      /* the same, taking over a heap string as the value */
const char *string_map_get(const StringMap *map, const char *key);       /* or NULL */
void string_map_copy(StringMap *to, const StringMap *from);              /* sets every key of `from` in `to` */
