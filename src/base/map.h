/*
 * A hash map from byte strings to pointers: open addressing, insertion order kept for iteration.
 *
 * Keys are copied. Values belong to the caller unless `free_value` is given. Hashing is keyed per process (SipHash-1-3), so that keys from outside
 * cannot be chosen to collide. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

typedef struct Map Map;

Map *map_new(void (*free_value)(void *value)); /* free_value may be NULL */
void map_free(Map *map);                       /* NULL is fine */
DEFINE_CLEANUP(Map *, map_free)

/* Adds or replaces. A replaced value is freed with `free_value`. */
void map_set(Map *map, const char *key, void *value);
void map_setn(Map *map, const void *key, size_t key_size, void *value);

/* The value, or NULL when absent (or when NULL was stored: see map_has). */
void *map_get(const Map *map, const char *key);
void *map_getn(const Map *map, const void *key, size_t key_size);
bool map_has(const Map *map, const char *key);

/* Removes the key and frees the value. Returns whether it was there. */
bool map_remove(Map *map, const char *key);

size_t map_size(const Map *map);

/*
 * Iterates in order of insertion. Start with *at = 0; returns false at the end. Removing during iteration is allowed, adding is not.
 *   for (size_t at = 0; map_next(map, &at, &key, (void **)&value);) …
 */
bool map_next(const Map *map, size_t *at, const char **ret_key, void **ret_value);

/* The keyed hash of the map, for tables of a shape of their own. Differs from process to process. */
uint64_t map_hash(const void *data, size_t size);
